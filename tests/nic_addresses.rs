//! The hardware addresses of the guest's NICs, as QEMU is told of them and as it has them.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{Machine, SOON, Setup, qemu::Qmp, run};

/// A machine whose NICs need no interfaces.
fn setup(networks: &str) -> Setup {
    Setup::new().with("VM_NETWORKS", networks).with("VM_NETWORK_MODE", "user").with("VM_MGMT", "user")
}

/// The addresses on the command line that `check` shows.
fn announced(setup: &Setup) -> Vec<String> {
    let said = run(&mut setup.command(&["check"]), SOON).ok();
    let addresses = said.split("\"mac\":\"").skip(1);
    addresses.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

/// The addresses that QEMU has, by NIC.
fn of(machine: &Machine) -> BTreeMap<String, String> {
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    Qmp::connect(machine).nics().into_iter().map(|nic| (nic.id, nic.mac)).collect()
}

#[test]
fn ten_nodes_share_no_address() {
    let mut all = BTreeSet::new();
    for number in 0..10 {
        let setup = setup("eth2,eth3,eth4,eth10").with("VM_NAME", format!("node{number}"));
        let addresses = announced(&setup);
        assert_eq!(addresses.len(), 5, "{addresses:?}");
        assert!(addresses.iter().all(|address| address.starts_with("52:54:00:")), "{addresses:?}");
        all.extend(addresses);
    }
    assert_eq!(all.len(), 50);
}

#[test]
fn an_address_outlives_restarts_power_cycles_and_changes_of_the_other_nics() {
    let mut machine = setup("eth2,eth3").start();
    let first = of(&machine);
    assert_eq!(first.keys().collect::<Vec<_>>(), ["nic-eth2", "nic-eth3", "nic-mgmt"]);
    assert_eq!(
        announced(&machine.setup).into_iter().collect::<BTreeSet<_>>(),
        first.values().cloned().collect()
    );

    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    assert_eq!(of(&machine), first, "after a power cycle");

    machine.signal("TERM");
    machine.wait_end(SOON);
    for (name, value) in
        [("VM_NETWORKS", "eth7,eth3,eth10,eth2"), ("VM_MGMT", "none"), ("VM_NIC_MODEL", "e1000")]
    {
        machine.setup.environment.insert(name.into(), value.into());
    }
    machine.launch();
    let changed = of(&machine);
    assert_eq!(changed.len(), 4);
    for nic in ["nic-eth2", "nic-eth3"] {
        assert_eq!(changed[nic], first[nic], "{nic} with other NICs beside it");
    }
}

#[test]
fn addresses_can_be_chosen() {
    let machine = setup("eth2,eth10,ens3")
        .with("VM_MAC_BASE", "52:54:00:12:34:00")
        .with("VM_MAC_ENS3", "52-54-00-AB-CD-EF")
        .start();
    let expected = [
        ("nic-ens3", "52:54:00:ab:cd:ef"),
        ("nic-eth10", "52:54:00:12:34:0a"),
        ("nic-eth2", "52:54:00:12:34:02"),
        ("nic-mgmt", "52:54:00:12:34:00"),
    ];
    let expected: BTreeMap<_, _> = expected.map(|(nic, mac)| (nic.to_owned(), mac.to_owned())).into();
    assert_eq!(of(&machine), expected);
}
