//! The guest's NICs when something goes wrong: the controller or QEMU is killed, stopped, or started over and over.

use std::{fs, thread, time::Duration};

use serde_json::json;

use crate::support::{
    BOOT, SOON,
    nics::{Node, ids, on, virtio_link, wait_shown},
    qemu::Qmp,
    signal, wait_for,
};

#[test]
fn a_controller_that_restarts_while_the_machine_waits_goes_on_waiting() {
    let Some(node) = Node::new() else { return };
    let machine = node.setup().with("VM_NETWORKS", "eth2").with("VM_NETWORKS_WAIT", "3600").start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("waits for eth2", SOON);
    machine.ipmitool(&["mc", "reset", "cold"]);
    wait_for("the next controller waits", SOON, || {
        (machine.log().matches("waits for eth2").count() == 2).then_some(())
    });
    machine.ipmitool(&["mc", "info"]).ok();
    node.add("eth2");
    machine.wait_power("on", SOON);
    assert_eq!(ids(&mut Qmp::connect(&machine)), ["nic-eth2"]);
}

#[test]
fn a_link_is_followed_even_if_nobody_knows_any_more_what_was_done_to_it() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    let mut machine = node.setup().start();
    on(&machine);
    signal(machine.pid(), "KILL");
    machine.wait_end(SOON);
    fs::write(machine.folder().join("run/nics.json"), "damaged").unwrap();
    node.lab.ip("link set eth2 down");
    machine.launch();
    machine.wait_log("what was done to eth2 is not known any more", SOON);
    wait_shown(&machine, "eth2", "link down");
    node.lab.ip("link set eth2 up");
    wait_shown(&machine, "eth2", "link up");
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

#[test]
fn a_controller_that_is_killed_at_any_moment_of_a_start_leaves_interfaces_as_they_were() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    let before = node.traces();
    let mut machine = node.setup().with("VM_NETWORK_MODE", "redirect,eth3=bridge").start();
    for delay in [0, 5, 10, 20, 30, 45, 60, 80, 100, 130, 170, 220, 300] {
        machine.local(&["power", "on"]).ok();
        // Not to wait for something: this is when it dies.
        thread::sleep(Duration::from_millis(delay));
        signal(machine.pid(), "KILL");
        machine.wait_end(SOON);
        machine.launch();
        wait_for("the machine is on, or nothing of it is left", SOON, || {
            let is_settled = machine.power() == "on" || node.traces() == before;
            is_settled.then_some(())
        });
        machine.local(&["power", "off"]).ok();
        machine.wait_power("off", SOON);
        wait_for("all is as it was", SOON, || (node.traces() == before).then_some(()));
    }
}

#[test]
fn a_qemu_that_was_stopped_learns_what_became_of_a_link_meanwhile() {
    let Some(node) = Node::with(&["eth2"]) else { return };
    let machine = node.setup().start();
    let mut qmp = on(&machine);
    let mut wait = |up: bool| {
        wait_for(&format!("the link is {up}"), BOOT, || (virtio_link(&mut qmp)? == up).then_some(()));
    };
    wait(true);
    let qemu = machine.qemu_pid().unwrap();
    signal(qemu, "STOP");
    node.lab.ip("link set eth2 down");
    machine.wait_log("set the link of eth2: set_link: no answer", SOON);
    wait_shown(&machine, "eth2", "link down");
    node.lab.ip("link set eth2 up");
    wait_shown(&machine, "eth2", "link up");
    signal(qemu, "CONT");
    // Commands are carried out in their order: this one after all about the link.
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset", SOON);
    wait(true);
}

#[test]
fn a_qemu_that_is_stopped_is_switched_off_at_once_however_many_links_change() {
    let names: Vec<String> = (2..=17).map(|number| format!("eth{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let Some(node) = Node::with(&names) else { return };
    let machine = node.setup().start();
    on(&machine);
    signal(machine.qemu_pid().unwrap(), "STOP");
    for name in names {
        node.lab.ip(&format!("link set {name} down"));
    }
    machine.wait_log("set the link of", SOON);
    machine.ipmitool(&["power", "off"]).ok();
    // Half of what it took if each link were waited for.
    machine.wait_power("off", SOON + Duration::from_secs(5));
}

#[test]
fn a_link_that_appears_while_qemu_is_stopped_is_plugged_in_when_it_answers() {
    let Some(node) = Node::new() else { return };
    let machine = node.setup().start();
    let mut qmp = on(&machine);
    let qemu = machine.qemu_pid().unwrap();
    signal(qemu, "STOP");
    node.add("eth2");
    machine.wait_log("plug in the NIC of eth2: qom-list: no answer", SOON);
    signal(qemu, "CONT");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(ids(&mut qmp), ["nic-user", "nic-eth2"]);
    assert!(!machine.log().contains("no port left"), "{}", machine.log());
}

#[test]
fn a_backend_that_was_left_behind_is_in_nobodys_way() {
    let Some(node) = Node::new() else { return };
    let machine = node.setup().start();
    let mut qmp = on(&machine);
    qmp.execute("netdev_add", json!({ "type": "user", "id": "net-eth2" }));
    node.add("eth2");
    wait_shown(&machine, "eth2", "link up");
    assert_eq!(ids(&mut qmp), ["nic-user", "nic-eth2"]);
}

#[test]
fn a_hundred_starts_leave_nothing_behind() {
    let Some(node) = Node::with(&["eth2", "eth3"]) else { return };
    let before = node.traces();
    let machine =
        node.setup().with("VM_NETWORK_MODE", "redirect,eth3=bridge").with("VM_MGMT", "user").start();
    let held = || fs::read_dir(format!("/proc/{}/fd", machine.pid())).unwrap().count();
    let mut first = None;
    for _ in 0..100 {
        machine.local(&["power", "on"]).ok();
        machine.wait_power("on", SOON);
        machine.local(&["power", "off"]).ok();
        machine.wait_power("off", SOON);
        wait_for("all is as it was", SOON, || (node.traces() == before).then_some(()));
        first.get_or_insert_with(held);
    }
    assert_eq!(Some(held()), first);
    let left: Vec<_> = fs::read_dir(machine.folder().join("run")).unwrap().collect();
    assert!(left.len() < 20, "{left:?}");
}
