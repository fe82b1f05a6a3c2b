//! The watchdog timer, as ipmitool sets it over LAN, and what it does to a machine that is on. What it does for a
//! guest's own driver is shown with a guest.

use std::time::{Duration, Instant};

use crate::support::{Machine, SOON, Setup, qemu::Qmp, wait_for};
use serde_json::json;

fn machine_on() -> Machine {
    let machine = Setup::new().start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    machine
}

/// Sets the timer and starts it.
fn guard(machine: &Machine, options: &[&str]) {
    machine.ipmitool(&[&["mc", "watchdog", "set", "use=oem"], options].concat()).ok();
    machine.ipmitool(&["mc", "watchdog", "reset"]).ok();
}

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

#[test]
fn time_that_is_up_resets_the_machine_and_everybody_can_see_why() {
    let machine = machine_on();
    let pid = machine.qemu_pid();
    guard(&machine, &["action=reset", "timeout=1"]);
    machine.wait_log("reset requested by the watchdog timer", SOON);
    machine.wait_log("the machine was reset by command", SOON);
    assert_eq!(machine.qemu_pid(), pid);
    let cause = machine.ipmitool(&["chassis", "restart_cause"]).ok();
    assert_says(&cause, &["watchdog expired"]);
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert_says(&log, &["Watchdog2", "Hard reset"]);
    let timer = machine.ipmitool(&["mc", "watchdog", "get"]).ok();
    assert_says(&timer, &["Stopped", "Timer Expiration Flags: (0x20)"]);
}

#[test]
fn a_timer_that_is_reset_in_time_does_nothing() {
    let machine = machine_on();
    guard(&machine, &["action=poweroff", "timeout=60"]);
    let timer = machine.ipmitool(&["mc", "watchdog", "get"]).ok();
    assert_says(&timer, &["Started", "Power Down", "Initial Countdown:      60.0 sec"]);
    machine.ipmitool(&["mc", "watchdog", "off"]).ok();
    assert_says(&machine.ipmitool(&["mc", "watchdog", "get"]).ok(), &["Stopped"]);
}

#[test]
fn a_warning_comes_as_an_nmi_before_the_power_goes() {
    let machine = machine_on();
    guard(&machine, &["action=poweroff", "timeout=3", "pretimeout=2", "int=nmi"]);
    machine.wait_log("diagnostic interrupt requested by the watchdog timer", SOON);
    machine.wait_power("off", SOON);
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert_says(&log, &["Timer interrupt", "Power down"]);
}

#[test]
fn a_machine_that_its_user_has_paused_is_not_reset() {
    let mut machine = machine_on();
    let mut monitor = Qmp::connect(&machine);
    guard(&machine, &["action=poweroff", "timeout=4"]);
    monitor.execute("stop", json!({}));
    machine.wait_log("the machine is paused", SOON);
    assert_says(&machine.local(&["status"]).ok(), &["Power:           on (paused)\n"]);
    let left = |machine: &Machine| {
        let timer = machine.ipmitool(&["mc", "watchdog", "get"]).ok();
        timer.lines().find(|line| line.contains("Present Countdown")).unwrap().to_owned()
    };
    let before = left(&machine);
    assert!(!before.contains(" 0.0 sec"), "{before}");

    // The next controller finds it paused, and has its timer wait as well.
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    wait_for("it is found paused", SOON, || {
        (machine.log().matches("the machine is paused").count() == 2).then_some(())
    });
    let adopted = Instant::now();
    wait_for("more time than the watchdog had", SOON, || {
        (adopted.elapsed() > Duration::from_secs(5)).then_some(())
    });
    assert_eq!(machine.power(), "on");
    monitor.execute("cont", json!({}));
    machine.wait_log("the machine goes on", SOON);
    assert_says(&machine.local(&["status"]).ok(), &["Power:           on\n"]);
    machine.wait_log("power off requested by the watchdog timer", SOON);
}

#[test]
fn the_machine_is_guarded_on_by_a_controller_that_comes_back() {
    let mut machine = machine_on();
    guard(&machine, &["action=poweroff", "timeout=4"]);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_log("is under control again", SOON);
    assert_says(&machine.ipmitool(&["mc", "watchdog", "get"]).ok(), &["Started"]);
    machine.wait_power("off", SOON);
    machine.wait_log("power off requested by the watchdog timer", SOON);
}

#[test]
fn a_cold_reset_of_the_controller_stops_the_timer() {
    let machine = machine_on();
    guard(&machine, &["action=poweroff", "timeout=60"]);
    machine.ipmitool(&["mc", "reset", "cold"]).ok();
    machine.wait_log("is under control again", SOON);
    let timer = wait_for("the controller answers", SOON, || {
        let said = machine.ipmitool(&["mc", "watchdog", "get"]);
        said.status.success().then_some(said.out)
    });
    assert_says(&timer, &["Stopped", "Initial Countdown:      60.0 sec"]);
}
