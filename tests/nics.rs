//! The guest's NICs as QEMU has them: no guest boots for that.

use std::fs;

use crate::support::{
    BOOT, SOON, Setup,
    lab::Lab,
    nics::{Node, ids, on, shown, virtio_link, wait_shown},
    qemu::Qmp,
    wait_for,
};
use serde_json::json;

#[test]
fn a_machine_without_interfaces_has_a_nic_behind_nat() {
    let machine = Setup::new().with("VM_NETWORKS", "").start();
    let nics = on(&machine).nics();
    let [nic] = &nics[..] else { panic!("{nics:?}") };
    assert_eq!((nic.id.as_str(), nic.model.as_str()), ("nic-user", "virtio-net-pci"));
    assert!(nic.mac.starts_with("52:54:00:"), "{nic:?}");
    machine.ipmitool(&["power", "cycle"]).ok();
    machine.wait_log("the machine is off", SOON);
    machine.wait_power("on", SOON);
    assert_eq!(Qmp::connect(&machine).nics()[0].mac, nic.mac);
}

#[test]
fn a_machine_that_is_to_have_no_nic_has_none() {
    let machine = Setup::new().with("VM_NETWORKS", "none").start();
    assert!(on(&machine).nics().is_empty());
}

#[test]
fn qemu_has_no_privilege_but_to_open_files() {
    let machine = Setup::new().start();
    on(&machine);
    let status = fs::read_to_string(format!("/proc/{}/status", machine.qemu_pid().unwrap())).unwrap();
    let set = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
    };
    const DAC_OVERRIDE: u64 = 1 << 1;
    for name in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(set(name) & !DAC_OVERRIDE, 0, "{status}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[test]
fn every_interface_from_eth2_on_is_a_nic_in_numeric_order() {
    let Some(node) = Node::with(&["eth10", "eth1", "eth2", "eth9"]) else { return };
    let before = node.traces();
    let machine = node.setup().with("VM_BOOT_NIC", "eth9").with("VM_BOOT", "n").start();
    let nics = on(&machine).nics();
    let ids: Vec<_> = nics.iter().map(|nic| nic.id.as_str()).collect();
    assert_eq!(ids, ["nic-eth2", "nic-eth9", "nic-eth10"]);
    assert_eq!(nics.iter().map(|nic| nic.port).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(nics.iter().map(|nic| nic.bootindex).collect::<Vec<_>>(), [2, 1, 3]);
    assert!(!machine.log().contains("VM_BOOT_NIC"), "{}", machine.log());
    assert_ne!(node.traces(), before);
    for name in ["eth2", "eth9", "eth10"] {
        let line = shown(&machine, name).unwrap();
        assert!(line.contains("redirect") && line.contains("link up"), "{line}");
    }
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    assert_eq!(node.traces(), before);
}

#[test]
fn a_nic_follows_its_interface_and_the_event_log_says_so() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    let machine = node.setup().start();
    let mut qmp = on(&machine);
    node.lab.ip("link set eth2 down");
    wait_shown(&machine, "eth2", "link down");
    wait_shown(&machine, "eth3", "link up");
    node.lab.ip("link set eth2 up");
    wait_shown(&machine, "eth2", "link up");
    node.own.ip("link set eth3 down");
    wait_shown(&machine, "eth3", "link down");
    node.own.ip("link set eth3 up");
    wait_shown(&machine, "eth3", "link up");

    node.own.ip("link del eth2");
    wait_shown(&machine, "eth2", "link down");
    assert_eq!(ids(&mut qmp), ["nic-eth2", "nic-eth3"]);
    node.add("eth2");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(ids(&mut qmp), ["nic-eth2", "nic-eth3"]);

    let log = machine.ipmitool(&["sel", "elist"]).ok();
    let said: Vec<_> = log.lines().filter(|line| line.contains("Link")).collect();
    assert_eq!(said.len(), 6, "{log}");
    assert!(said[0].contains("eth2 Link") && said[0].contains("Lost"), "{log}");
    let sensors = machine.ipmitool(&["sdr", "elist", "all"]).ok();
    assert!(sensors.contains("eth3 Link"), "{sensors}");
}

#[test]
fn an_interface_that_was_away_is_attached_again_even_if_its_number_is_the_same() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    let Some(elsewhere) = Lab::here().map(|lab| lab.namespace("away")) else { return };
    let machine = node.setup().start();
    on(&machine);
    wait_shown(&machine, "eth2", "link up");
    let number = || node.own.sh("cat /sys/class/net/eth2/ifindex");
    let before = number();
    node.own.ip(&format!("link set eth2 netns {}", elsewhere.name()));
    wait_shown(&machine, "eth2", "link down");
    elsewhere.ip(&format!("link set eth2 netns {}", node.own.name()));
    node.own.ip("link set eth2 up");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(number(), before);
    let filters = node.own.sh("tc filter show dev eth2 ingress");
    assert!(filters.contains("Egress Redirect to device qb-eth2"), "{filters}");
}

#[test]
fn an_interface_that_was_away_for_an_instant_is_attached_again() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    let Some(elsewhere) = Lab::here().map(|lab| lab.namespace("away")) else { return };
    let machine = node.setup().with("VM_NETWORK_MODE", "redirect,eth3=bridge").start();
    on(&machine);
    let (here, there) = (node.own.name(), elsewhere.name());
    for name in ["eth2", "eth3"] {
        wait_shown(&machine, name, "link up");
        node.own.sh(&format!(
            "ip link set {name} netns {there}; ip -n {there} link set {name} netns {here}; ip link set {name} up"
        ));
    }
    wait_for("frames pass again", SOON, || {
        let filters = node.own.sh("tc filter show dev eth2 ingress");
        let ports = node.own.sh("bridge link");
        (filters.contains("Egress Redirect to device qb-eth2") && ports.contains(" eth3")).then_some(())
    });
    for name in ["eth2", "eth3"] {
        wait_shown(&machine, name, "link up");
    }
}

#[test]
fn an_interface_with_another_name_for_a_while_is_still_attached() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    for (name, address) in [("eth2", "192.0.2.2/24"), ("eth3", "198.51.100.2/24")] {
        node.own.ip(&format!("addr add {address} dev {name}"));
    }
    let before = node.traces();
    let machine = node.setup().with("VM_NETWORK_MODE", "redirect,eth3=bridge").start();
    let mut qmp = on(&machine);
    for (name, other) in [("eth2", "other"), ("eth3", "eth7")] {
        wait_shown(&machine, name, "link up");
        node.own.ip(&format!("link set {name} down"));
        node.own.ip(&format!("link set {name} name {other}"));
        node.own.ip(&format!("link set {other} up"));
        wait_shown(&machine, name, "link down");
        node.own.ip(&format!("link set {other} name {name}"));
        wait_shown(&machine, name, "link up");
    }
    assert_eq!(ids(&mut qmp), ["nic-eth2", "nic-eth3"]);
    let log = machine.log();
    assert!(!log.contains("somebody else") && !log.contains("attached again"), "{log}");
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    assert_eq!(node.traces(), before);
}

#[test]
fn a_link_that_appears_is_plugged_in() {
    let Some(node) = Node::new() else { return };
    let before = node.traces();
    let machine = node.setup().start();
    let mut qmp = on(&machine);
    assert_eq!(ids(&mut qmp), ["nic-user"]);
    node.add("eth2");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(ids(&mut qmp), ["nic-user", "nic-eth2"]);
    node.lab.ip("link set eth2 down");
    wait_shown(&machine, "eth2", "link down");
    assert!(machine.ipmitool(&["sdr", "elist", "all"]).ok().contains("eth2 Link"));
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    node.own.ip("link del eth2");
    assert_eq!(node.traces(), before);
}

#[test]
fn a_start_waits_for_the_links_of_the_lab() {
    let Some(node) = Node::new() else { return };
    let machine = node.setup().with("CLAB_INTFS", 2).start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("waits for 2 of the lab's 2 links", SOON);
    assert_eq!(machine.power(), "off");
    node.add("eth1");
    node.add("eth2");
    machine.wait_power("on", SOON);
    assert_eq!(ids(&mut Qmp::connect(&machine)), ["nic-eth2"]);
}

#[test]
fn a_wait_is_over_when_the_machine_is_not_wanted_any_more_or_its_time_is_up() {
    let Some(node) = Node::new() else { return };
    let setup = node.setup().with("VM_NETWORKS", "eth2,eth3").with("VM_NETWORKS_WAIT", "3600");
    let mut machine = setup.start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("waits for eth2, eth3", SOON);
    let status = machine.local(&["status"]).ok();
    assert!(status.contains("(power on under way, waiting for eth2, eth3 (VM_NETWORKS))"), "{status}");
    machine.ipmitool(&["power", "off"]).ok();
    wait_for("nothing is under way", SOON, || {
        let status = machine.local(&["status"]).ok();
        (!status.contains("under way") && !status.contains("waiting for")).then_some(())
    });
    machine.ipmitool(&["power", "on"]).ok();
    machine.signal("TERM");
    assert!(machine.wait_end(SOON).success());

    machine.setup.environment.insert("VM_NETWORKS_WAIT".into(), "100ms".into());
    machine.launch();
    node.add("eth3");
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("still missing after 0.1 s (VM_NETWORKS_WAIT): eth2 (VM_NETWORKS)", SOON);
    machine.wait_power("on", SOON);
    let nics = Qmp::connect(&machine).nics();
    assert_eq!((nics.len(), nics[0].id.as_str(), nics[0].port), (1, "nic-eth3", 1));
    // Its place was kept.
    node.add("eth2");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(ids(&mut Qmp::connect(&machine)), ["nic-eth2", "nic-eth3"]);
}

#[test]
fn without_net_admin_an_interface_is_replaced_by_nat_and_the_log_says_what_to_give() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    let before = node.traces();
    let machine = node.setup().without_capability("net_admin").start();
    assert_eq!(ids(&mut on(&machine)), ["nic-eth2", "nic-eth3"]);
    machine.wait_log("--cap-add NET_ADMIN --device /dev/net/tun", SOON);
    machine.wait_log("eth2 is behind NAT instead (VM_NETWORK_FALLBACK=user)", SOON);
    // What was never done is not undone, and nobody is told that it failed.
    let warnings =
        machine.log().lines().filter(|line| line.contains("WARN") && line.contains("eth2")).count();
    assert_eq!(warnings, 1, "{}", machine.log());
    assert!(shown(&machine, "eth2").unwrap().contains("user"));
    assert_eq!(node.traces(), before);
    drop(machine);

    let machine = node.setup().with("VM_NETWORK_FALLBACK", "none").without_capability("net_admin").start();
    assert!(on(&machine).nics().is_empty());
    machine.wait_log("the guest does without eth3 (VM_NETWORK_FALLBACK=none)", SOON);
}

#[test]
fn user_mode_takes_no_capability_at_all() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    let setup = node.setup().with("VM_MGMT", "user").with("VM_NETWORK_MODE", "user");
    let machine = setup.with("VM_HOSTFWD", "tcp:2222-:22").without_privilege().start();
    assert_eq!(ids(&mut on(&machine)), ["nic-mgmt", "nic-eth2"]);
    let listening = node.own.sh("ss -Hltn");
    assert!(listening.contains(":2222 "), "{listening}");
    assert!(!machine.log().contains("NAT instead"), "{}", machine.log());
}

#[test]
fn any_model_that_qemu_knows_can_be_had() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    for model in
        ["e1000", "e1000e", "rtl8139", "vmxnet3", "pcnet", "i82559er", "ne2k_pci", "virtio", "usb-net"]
    {
        let machine = node.setup().with("VM_NIC_MODEL", model).with("VM_CPUS", 2).start();
        let nics = on(&machine).execute("qom-list", json!({ "path": "/machine/peripheral/nic-eth2" }));
        assert!(nics.is_array(), "{model}");
        // Another can be plugged in as well.
        if model != "usb-net" {
            node.add("eth3");
            wait_shown(&machine, "eth3", "link up");
        }
        machine.ipmitool(&["power", "off"]).ok();
        machine.wait_power("off", SOON);
        if model != "usb-net" {
            node.own.ip("link del eth3");
        }
    }
    let machine = node.setup().with("VM_NIC_MODEL", "e1001").start();
    let before = node.traces();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("'e1001' is not a valid device model name", SOON);
    wait_for("nothing is left", SOON, || (node.traces() == before).then_some(()));
}

#[test]
fn the_guest_has_the_mtu_of_the_interface_and_a_queue_for_each_processor() {
    let Some(node) = Node::new() else { return };
    node.own.cable_with_mtu("eth2", &node.lab, "eth2", 9000);
    let machine = node.setup().with("VM_CPUS", 4).start();
    let mut qmp = on(&machine);
    let path = "/machine/peripheral/nic-eth2";
    assert_eq!(qmp.property(path, "host_mtu"), 9000);
    assert_eq!(qmp.property(path, "mq"), true);
    let backends = qmp.human("info network");
    assert_eq!(backends.matches("net-eth2: index=").count(), 4, "{backends}");
    let mtu = |of: &str| node.own.sh(&format!("cat /sys/class/net/{of}/mtu")).trim().to_owned();
    assert_eq!(mtu("qb-eth2"), "9000");
    node.own.ip("link set eth2 mtu 4000");
    wait_for("the other end has it too", SOON, || (mtu("qb-eth2") == "4000").then_some(()));
}

#[test]
fn the_guest_sees_the_link() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    node.lab.ip("link set eth2 down");
    let machine = node.setup().start();
    let mut qmp = on(&machine);
    // SeaBIOS gives the device its addresses within a moment.
    let mut wait = |up: bool| {
        wait_for(&format!("the link is {up}"), BOOT, || (virtio_link(&mut qmp)? == up).then_some(()));
    };
    wait(false);
    node.lab.ip("link set eth2 up");
    wait(true);
    node.own.ip("link set eth2 down");
    wait(false);
    node.own.ip("link set eth2 up");
    wait(true);
    node.own.ip("link del eth2");
    wait(false);
    node.add("eth2");
    wait(true);
}

#[test]
fn there_is_room_for_eight_more_and_the_next_comes_at_the_next_start() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    let machine = node.setup().start();
    on(&machine);
    for number in 3..=10 {
        node.add(&format!("eth{number}"));
        wait_shown(&machine, &format!("eth{number}"), "link up");
    }
    node.add("eth11");
    machine.wait_log("eth11 appeared, but the machine has no port left", SOON);
    machine.ipmitool(&["power", "cycle"]).ok();
    wait_shown(&machine, "eth11", "link up");
    let ports: Vec<_> = Qmp::connect(&machine).nics().into_iter().map(|nic| nic.port).collect();
    assert_eq!(ports, (0..10).collect::<Vec<_>>());
}
