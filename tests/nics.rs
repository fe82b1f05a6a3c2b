//! The guest's NICs as QEMU has them: no guest boots for that.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::fs;

use support::{
    Machine, SOON, Setup,
    lab::{Lab, Namespace},
    qemu::Qmp,
    signal, wait_for,
};

fn on(machine: &Machine) -> Qmp {
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    Qmp::connect(machine)
}

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

/// A node's namespace with eth0 for its BMC, and a lab with the other ends of its links.
struct Node {
    own: Namespace,
    lab: Namespace,
}

impl Node {
    fn new() -> Option<Self> {
        let lab = Lab::here()?;
        Some(Self { own: lab.namespace("node"), lab: lab.namespace("lab") })
    }

    /// With these links; at the lab's end they have the same names.
    fn with(links: &[&str]) -> Option<Self> {
        let node = Self::new()?;
        links.iter().for_each(|link| node.add(link));
        Some(node)
    }

    fn add(&self, link: &str) {
        self.own.cable(link, &self.lab, link);
    }

    /// A machine in here that has every ethN.
    fn setup(&self) -> Setup {
        Setup::new().in_namespace(&self.own).with("VM_NETWORKS", "")
    }

    /// Everything that could be left behind.
    fn traces(&self) -> String {
        ["ip -d addr", "ip route", "tc qdisc", "bridge link"].map(|line| self.own.sh(line)).concat()
    }
}

fn ids(qmp: &mut Qmp) -> Vec<String> {
    qmp.nics().into_iter().map(|nic| nic.id).collect()
}

/// What `status` says of a NIC: how it is attached, and its link.
fn shown(machine: &Machine, nic: &str) -> Option<String> {
    let status = machine.local(&["status"]).ok();
    let line = status.lines().find(|line| line.starts_with("NIC:") && line.contains(&format!(" {nic} ")))?;
    Some(line.to_owned())
}

#[track_caller]
fn wait_shown(machine: &Machine, nic: &str, text: &str) {
    wait_for(&format!("{nic} is shown as {text}"), SOON, || {
        shown(machine, nic).filter(|line| line.contains(text))
    });
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
    assert_eq!(nics.iter().map(|nic| nic.bootindex).collect::<Vec<_>>(), [1, 0, 2]);
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
    machine.ipmitool(&["power", "off"]).ok();
    wait_for("nothing is under way", SOON, || {
        (!machine.local(&["status"]).ok().contains("under way")).then_some(())
    });
    machine.ipmitool(&["power", "on"]).ok();
    machine.signal("TERM");
    assert!(machine.wait_end(SOON).success());

    machine.setup.environment.insert("VM_NETWORKS_WAIT".into(), "100ms".into());
    machine.launch();
    node.add("eth3");
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("there is no eth2 (VM_NETWORKS) after 0.1 s", SOON);
    machine.wait_power("on", SOON);
    let nics = Qmp::connect(&machine).nics();
    assert_eq!((nics.len(), nics[0].id.as_str(), nics[0].port), (1, "nic-eth3", 1));
    // Its place was kept.
    node.add("eth2");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(ids(&mut Qmp::connect(&machine)), ["nic-eth2", "nic-eth3"]);
}

#[test]
fn a_controller_that_was_killed_finds_its_nics_again() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    let before = node.traces();
    let mut machine = node.setup().start();
    on(&machine);
    signal(machine.pid(), "KILL");
    machine.wait_end(SOON);
    node.lab.ip("link set eth2 down");
    node.add("eth4");
    machine.launch();
    wait_shown(&machine, "eth2", "link down");
    wait_shown(&machine, "eth3", "link up");
    wait_shown(&machine, "eth4", "link up");
    assert_eq!(ids(&mut Qmp::connect(&machine)), ["nic-eth2", "nic-eth3", "nic-eth4"]);
    node.lab.ip("link set eth2 up");
    wait_shown(&machine, "eth2", "link up");

    // Both are killed: the next one undoes what it finds.
    let qemu = machine.qemu_pid().unwrap();
    signal(machine.pid(), "KILL");
    machine.wait_end(SOON);
    signal(qemu, "KILL");
    machine.launch();
    node.own.ip("link del eth4");
    wait_for("all is as it was", SOON, || (node.traces() == before).then_some(()));
    assert_eq!(machine.power(), "off");
}
