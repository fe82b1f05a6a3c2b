//! Sensors of a machine whose guest does something.

use crate::support::{BOOT, Machine, READY, Setup, wait_for};

/// What a sensor reads, in its unit.
fn value(machine: &Machine, name: &str) -> Option<f64> {
    let list = machine.local(&["sensor", "list"]).ok();
    let line = list.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{list}"));
    line.split_once(name).unwrap().1.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_guest_that_boots_warms_its_machine_up() {
    let machine = Setup::new().with_disk().start();
    machine.ipmitool(&["power", "on"]).ok();
    wait_for("the processors have something to do", BOOT, || {
        (value(&machine, "CPU Usage")? >= 20.0).then_some(())
    });
    wait_for("the processors are warmer than without load", BOOT, || {
        (value(&machine, "CPU Temp")? >= 42.0).then_some(())
    });
    machine.wait_printed(READY, 1);
    let memory = value(&machine, "Memory Usage").unwrap();
    assert!((5.0..=100.0).contains(&memory), "{memory} %");
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert!(!log.contains("going"), "nothing has crossed a threshold:\n{log}");
    machine.ipmitool(&["power", "off"]).ok();
    wait_for("the processors' temperature is dark", BOOT, || {
        value(&machine, "CPU Temp").is_none().then_some(())
    });
}
