use std::{collections::BTreeMap, time::Duration};

use super::{FakeHost, errors, load, load_on, warnings};
use crate::config::{Fallback, Mac, Mode, Networks, NicsPlan};

fn nics(variables: &[(&str, &str)]) -> NicsPlan {
    load(variables).unwrap().machine.nics
}

/// What is wrong, without the line that counts it.
fn problems(variables: &[(&str, &str)]) -> Vec<String> {
    errors(variables).lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

/// What is odd.
fn remarks(variables: &[(&str, &str)]) -> Vec<String> {
    warnings(&FakeHost::container(), variables)
}

fn mac(text: &str) -> Mac {
    text.parse().unwrap()
}

#[test]
fn nothing_said_is_every_interface_of_the_lab_unchanged() {
    let plan = nics(&[]);
    assert_eq!((plan.networks.clone(), plan.modes.of("eth2")), (Networks::Auto, Mode::Redirect));
    assert_eq!(
        (plan.wait, plan.expected_links, plan.fallback),
        (Duration::from_secs(30), None, Fallback::User)
    );
    assert_eq!(
        (plan.model.as_str(), plan.management, plan.boot_nic.as_deref()),
        ("virtio-net-pci", false, None)
    );
    assert!(plan.forwards.is_empty() && plan.macs.base.is_none() && plan.macs.by_interface.is_empty());
    assert_eq!(load(&[]).unwrap().lan.interface, None);
}

#[test]
fn every_setting_has_its_effect() {
    let plan = nics(&[
        ("VM_NETWORKS", "eth2,ens3"),
        ("VM_NETWORKS_WAIT", "500ms"),
        ("CLAB_INTFS", "3"),
        ("VM_NETWORK_MODE", "bridge,ens3=user"),
        ("VM_NETWORK_FALLBACK", "none"),
        ("VM_MGMT", "user"),
        ("VM_HOSTFWD", "tcp:2222-:22"),
        ("VM_NIC_MODEL", "e1000e"),
        ("VM_BOOT_NIC", "ens3"),
        ("VM_MAC_BASE", "52:54:00:aa:00:00"),
        ("VM_MAC_ENS3", "52:54:00:bb:00:01"),
    ]);
    assert_eq!(plan.networks, Networks::Named(vec!["eth2".into(), "ens3".into()]));
    assert_eq!((plan.wait, plan.expected_links), (Duration::from_millis(500), Some(3)));
    assert_eq!((plan.modes.of("eth2"), plan.modes.of("ens3")), (Mode::Bridge, Mode::User));
    assert_eq!((plan.fallback, plan.management, plan.model.as_str()), (Fallback::None, true, "e1000e"));
    assert_eq!((plan.forwards.len(), plan.boot_nic.as_deref()), (1, Some("ens3")));
    let chosen = ["mgmt", "eth2", "ens3"].map(|nic| plan.macs.chosen(nic));
    assert_eq!(
        chosen,
        ["52:54:00:aa:00:00", "52:54:00:aa:00:02", "52:54:00:bb:00:01"].map(|text| Some(mac(text)))
    );
}

#[test]
fn addresses_of_single_nics_are_a_family_of_variables_and_a_table_of_the_file() {
    let host = FakeHost::container().file(
        "/etc/qemu-bmc.toml",
        "[machine]\nnetworks = ['eth2', 'eth3', 'Lab.100']\n\
         [machine.mac]\neth2 = '52:54:00:00:00:02'\neth3 = '52:54:00:00:00:03'\n'Lab.100' = '52:54:00:00:00:64'",
    );
    let plan = load_on(&host, &[("VM_MAC_ETH3", "52:54:00:00:00:33"), ("VM_MAC_ETH2", "")]).unwrap();
    let expected =
        [("Lab.100", "52:54:00:00:00:64"), ("eth2", "52:54:00:00:00:02"), ("eth3", "52:54:00:00:00:33")];
    let expected: BTreeMap<String, Mac> = expected.map(|(nic, text)| (nic.into(), mac(text))).into();
    assert_eq!(plan.machine.nics.macs.by_interface, expected);
    let shown = plan.describe();
    for line in
        ["VM_MAC_ETH2  52:54:00:00:00:02  /etc/qemu-bmc.toml", "VM_MAC_ETH3  52:54:00:00:00:33  environment"]
    {
        let words = || line.split_whitespace();
        assert!(shown.lines().any(|shown| shown.split_whitespace().eq(words())), "{line}\n{shown}");
    }

    // In upper case there is one name for two interfaces.
    assert_eq!(
        problems(&[("VM_NETWORKS", "lab,Lab"), ("VM_MAC_LAB", "52:54:00:00:00:01")]),
        ["VM_MAC_LAB: this can be lab or Lab: say which in the file"]
    );
    assert_eq!(
        problems(&[("VM_MAC_ETH2", "52:54:00:00:00:01"), ("VM_MAC_eth2", "52:54:00:00:00:02")]),
        ["VM_MAC_ETH2 and VM_MAC_eth2 are both for eth2: leave one out"]
    );
    assert_eq!(
        problems(&[("VM_MAC_ETH2", "52:54:00:00:00")]),
        ["VM_MAC_ETH2: got \"52:54:00:00:00\"; takes a unicast MAC address"]
    );
}

#[test]
fn an_address_is_one_nic_s() {
    assert_eq!(
        problems(&[("VM_MAC_ETH2", "52:54:00:00:00:01"), ("VM_MAC_ETH3", "52:54:00:00:00:01")]),
        [
            "eth2 and eth3 would have the same address, 52:54:00:00:00:01: give one of them another (VM_MAC_<INTERFACE>, VM_MAC_BASE)"
        ]
    );
    // That of another, by its number, whether or not it is there now.
    for more in [("VM_NETWORKS", "eth5,eth3"), ("VM_NETWORKS", "auto")] {
        let found =
            problems(&[("VM_MAC_BASE", "52:54:00:00:00:00"), ("VM_MAC_ETH3", "52:54:00:00:00:05"), more]);
        assert!(found[0].starts_with("eth3 and eth5 would have the same address"), "{found:?}");
    }
    let found = problems(&[("VM_MAC_BASE", "52:54:00:00:00:00"), ("VM_NETWORKS", "enp1s0,enp2s0")]);
    assert!(found[0].starts_with("enp1s0 and enp2s0 would have the same address"), "{found:?}");
    // One that the guest does not have is in nobody's way.
    nics(&[
        ("VM_MAC_BASE", "52:54:00:00:00:00"),
        ("VM_MAC_ETH3", "52:54:00:00:00:05"),
        ("VM_NETWORKS", "eth3"),
    ]);
}

#[test]
fn names_of_nics_that_there_cannot_be_are_mistakes() {
    assert_eq!(
        remarks(&[("VM_MAC_BSAE", "52:54:00:00:00:00"), ("VM_MAC_ETH1", "52:54:00:00:00:01")]),
        [
            "VM_MAC_BSAE: the guest has no such NIC; did you mean VM_MAC_BASE?",
            "VM_MAC_ETH1: the guest has no such NIC"
        ]
    );
    assert_eq!(
        remarks(&[("VM_MACS_ETH2", "x"), ("vm_mac_eth2", "x"), ("VM_MAC_", "x")]),
        [
            "VM_MACS_ETH2 is not a setting; did you mean VM_MAC_ETH2?",
            "VM_MAC_ is not a setting; did you mean VM_MAC_BASE?",
            "vm_mac_eth2 is not a setting; did you mean VM_MAC_ETH2?"
        ]
    );
    assert_eq!(
        remarks(&[("VM_NETWORKS", "eth2"), ("VM_NETWORK_MODE", "eth2=user,eth3=bridge")]),
        ["VM_NETWORK_MODE: eth3 is not one of the guest's interfaces (VM_NETWORKS)"]
    );
    let boot = |variables: &[(&str, &str)]| load(variables).is_ok();
    assert!(boot(&[("VM_BOOT_NIC", "eth7")]) && boot(&[("VM_BOOT_NIC", "mgmt"), ("VM_MGMT", "user")]));
    for more in [("VM_MGMT", "none"), ("VM_NETWORKS", "eth3")] {
        assert!(!boot(&[("VM_BOOT_NIC", "mgmt"), more]));
    }
    assert!(!boot(&[("VM_BOOT_NIC", "eth2"), ("VM_NETWORKS", "eth3")]));
    assert!(!boot(&[("VM_BOOT_NIC", "eth2"), ("VM_NETWORK_MODE", "eth2=none")]));
    assert!(!boot(&[("VM_NETWORKS", "mgmt"), ("VM_MGMT", "user")]));
}

#[test]
fn forwards_keep_clear_of_the_doors_and_need_a_nic() {
    assert_eq!(
        problems(&[("VM_HOSTFWD", "udp:6230-:623,tcp:127.0.0.1:5900-:22")]),
        ["VM_HOSTFWD: got \"udp:6230-:623,tcp:127.0.0.1:5900-:22\": tcp port 5900 is VNC's (VNC_PORT)"]
    );
    for (forward, free) in [
        ("udp:623-:623", false),
        ("tcp:623-:623", true),
        ("tcp:9002-:22", false),
        ("tcp:127.0.0.1:9002-:22", false),
        ("tcp:127.0.0.2:9002-:22", true),
    ] {
        assert_eq!(load(&[("VM_HOSTFWD", forward)]).is_ok(), free, "{forward}");
    }
    let elsewhere = [("VM_HOSTFWD", "tcp:127.0.0.2:5900-:22"), ("VNC_ADDRESS", "127.0.0.1,::")];
    assert!(load(&elsewhere).is_ok());

    let forward = ("VM_HOSTFWD", "tcp:2222-:22");
    let lonely = ["VM_HOSTFWD: no NIC is in mode user, so nothing is forwarded (VM_MGMT=user adds one)"];
    let none = <[&str; 0]>::default();
    assert_eq!(remarks(&[forward]), none);
    assert_eq!(remarks(&[forward, ("VM_NETWORKS", "none")]), lonely);
    assert_eq!(remarks(&[forward, ("VM_NETWORK_FALLBACK", "none")]), lonely);
    assert_eq!(remarks(&[forward, ("VM_NETWORKS", "eth2")]), lonely);
    assert_eq!(remarks(&[forward, ("VM_NETWORKS", "eth2"), ("VM_NETWORK_MODE", "eth2=user")]), none);
    assert_eq!(remarks(&[forward, ("VM_NETWORKS", "none"), ("VM_MGMT", "user")]), none);
}

#[test]
fn an_interface_is_the_guest_s_or_the_controller_s() {
    assert_eq!(
        problems(&[("IPMI_INTERFACE", "eth2")]),
        ["IPMI_INTERFACE: got \"eth2\": this interface is the guest's (VM_NETWORKS)"]
    );
    assert_eq!(load(&[("IPMI_INTERFACE", "eth1")]).unwrap().lan.interface.as_deref(), Some("eth1"));
    assert!(load(&[("IPMI_INTERFACE", "eth2"), ("VM_NETWORK_MODE", "eth2=none")]).is_ok());
    assert_eq!(
        remarks(&[("VM_NETWORKS", "eth0")]),
        ["eth0 becomes the guest's (VM_NETWORKS): IPMI and VNC are not reached by it any more"]
    );
}

proptest::proptest! {
    /// Whoever names a variable so has a NIC's address in mind, and hears about it.
    #[test]
    fn no_variable_of_the_family_is_overlooked(name in "[A-Za-z0-9_.-]{1,12}", text in "\\PC{0,20}|([0-9a-f]{2}:){5}[0-9a-f]{2}") {
        let variable = format!("VM_MAC_{name}");
        let others = [("IPMI_PASS", "secret"), ("VNC_PASSWORD", "secret"), ("VM_NETWORKS", "eth2,ens3")];
        match load(&[&others[..], &[(&variable, &text)]].concat()) {
            Ok(plan) => {
                let nics = &plan.machine.nics;
                let taken = !nics.macs.by_interface.is_empty() || nics.macs.base.is_some();
                let warnings = [plan.warnings, plan.machine_warnings].concat();
                let heard = warnings.iter().any(|warning| warning.contains(&variable));
                proptest::prop_assert!(taken || heard || text.is_empty(), "{warnings:?}");
            }
            Err(errors) => proptest::prop_assert!(errors.to_string().contains(&variable), "{errors}"),
        }
    }
}
