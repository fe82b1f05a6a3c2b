//! The event log and a guest: what it does is written there, and what it says, and it reads the same log.

use crate::support::{BOOT, Machine, SOON, Setup, wait_for};

/// What ipmitool lists over LAN, oldest first, without ids and times.
fn entries(machine: &Machine) -> Vec<String> {
    let said = machine.ipmitool(&["sel", "elist"]).ok();
    said.lines().map(|line| line.splitn(4, " | ").nth(3).unwrap_or(line).to_owned()).collect()
}

/// The entries after these, which are then passed over too.
fn news(machine: &Machine, seen: &mut usize) -> Vec<String> {
    let news = entries(machine).split_off(*seen);
    *seen += news.len();
    news
}

#[track_caller]
fn assert_ends(said: &[String], expected: &[&str]) {
    let same =
        said.len() == expected.len() && said.iter().zip(expected).all(|(said, end)| said.ends_with(end));
    assert!(same, "{said:#?} is not {expected:#?}");
}

#[test]
fn a_guests_life_is_in_the_log_that_it_reads_itself() {
    let machine = Setup::new().with_disk().with("POWER_ON_AT_START", true).start();
    machine.wait_ready(1);
    machine.wait_for_ipmi();
    let shell = machine.shell();
    let mut seen = 0;
    let started = ["Power off/down | Deasserted", "S0/G0: working | Asserted", "System Restart | Asserted"];
    assert_ends(&news(&machine, &mut seen), &[&["Transition to Running | Asserted"], &started[..]].concat());

    machine.guest_says("ipmitool event 1").ok();
    let inside = machine.guest_says("ipmitool sel list last 1").ok();
    assert!(inside.contains("Temperature #0x30 | Upper Critical going high | Asserted"), "{inside}");
    assert_ends(&news(&machine, &mut seen), &["Upper Critical going high | Asserted"]);
    let last = machine.ipmitool(&["sel", "get", &format!("{seen}")]).ok();
    assert!(last.contains("Generator ID          : 0041"), "system software's: {last}");

    shell.line("reboot");
    machine.wait_ready(2);
    assert_ends(&news(&machine, &mut seen), &["Restart | System Restart | Asserted"]);
    shell.line("poweroff");
    machine.wait_power("off", BOOT);
    machine.wait_log("the machine is off: the guest shut down", SOON);
    let off = ["OS graceful shutdown | Asserted", "Power off/down | Asserted", "S5/G2: soft-off | Asserted"];
    assert_ends(&news(&machine, &mut seen), &off);

    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_ready(3);
    assert_ends(&news(&machine, &mut seen), &started);
    shell.line("panic");
    wait_for("the guest's panic is in the log", BOOT, || {
        entries(&machine).last().unwrap().ends_with("Run-time critical stop | Asserted").then_some(())
    });
}
