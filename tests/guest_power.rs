//! Power, as a guest feels it: every way in which a machine starts, stops and starts again.

use std::time::{Duration, Instant};

use crate::support::{BOOT, Machine, READY, SOON, Setup};

const POWER_BUTTON: &str = "qemu-bmc-guest: power button";

/// A machine whose guest's shell is there.
fn booted(setup: Setup) -> Machine {
    let machine = setup.with_disk().with("POWER_ON_AT_START", true).start();
    machine.wait_ready(1);
    machine
}

fn uefi() -> Setup {
    Setup::new().with("VM_BOOT_MODE", "uefi")
}

/// One guest through every kind of new beginning.
#[test]
fn restarts_keep_the_process_and_cycles_do_not() {
    let machine = booted(Setup::new());
    assert_eq!(machine.boots(), ["medium=disk firmware=bios"]);
    assert_eq!(machine.power(), "on");
    assert!(
        machine.restart_cause().contains("power-up due to always-restore"),
        "{}",
        machine.restart_cause()
    );
    let first = machine.qemu_pid().unwrap();
    let shell = machine.shell();

    shell.line("reboot");
    machine.wait_ready(2);
    assert_eq!(machine.qemu_pid(), Some(first));
    machine.wait_log("the guest rebooted", SOON);
    assert!(machine.restart_cause().contains("soft reset"), "{}", machine.restart_cause());

    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_ready(3);
    assert_eq!(machine.qemu_pid(), Some(first));
    assert!(machine.restart_cause().contains("chassis power control"), "{}", machine.restart_cause());
    // A soft shutdown that was asked for before a reset is forgotten, and the machine was never off.
    assert!(!machine.log().contains("the machine is off"), "{}", machine.log());

    machine.ipmitool(&["power", "cycle"]).ok();
    machine.wait_ready(4);
    let second = machine.qemu_pid().unwrap();
    assert_ne!(second, first);

    shell.line("poweroff");
    machine.wait_power("off", BOOT);
    machine.wait_log("the machine is off: the guest shut down", SOON);
    assert!(machine.ipmitool(&["power", "status"]).ok().contains("is off"));
    assert_eq!(machine.qemu_pid(), None);

    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_ready(5);
    assert_eq!(machine.boots(), ["medium=disk firmware=bios"; 5]);
}

#[test]
fn a_guest_is_asked_to_shut_down_and_does() {
    let machine = booted(uefi());
    assert_eq!(machine.boots(), ["medium=disk firmware=uefi"]);
    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_power("off", BOOT);
    assert_eq!(machine.printed(POWER_BUTTON), 1);
    machine.wait_log("the machine is off: the guest shut down", SOON);
    assert!(machine.ipmitool(&["power", "status"]).ok().contains("is off"));
}

#[test]
fn a_guest_that_ignores_the_button_stays_on_and_crashes_and_is_switched_off_at_the_end() {
    let mut machine = booted(Setup::new().with("SOFT_TIMEOUT", 1).with("STOP_TIMEOUT", 2));
    let shell = machine.shell();
    machine.guest_does("ignore-button");

    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_log("the guest ignored a soft shutdown for 1 s", SOON);
    machine.wait_printed("qemu-bmc-guest: power button ignored", 1);
    assert_eq!(machine.power(), "on");

    machine.ipmitool(&["power", "diag"]).ok();
    machine.wait_printed("NMI received", 1);
    assert_eq!(machine.power(), "on");

    shell.line("panic");
    machine.wait_log("the guest panicked", BOOT);
    assert!(machine.ipmitool(&["power", "status"]).ok().contains("is on"));

    // It is dead and cannot follow: STOP_TIMEOUT bounds how long that takes.
    let start = Instant::now();
    machine.signal("INT");
    assert!(machine.wait_end(SOON).success());
    assert!(start.elapsed() >= Duration::from_secs(2), "it had {:?} to shut down", start.elapsed());
    assert!(machine.log().contains("the guest has not shut down: it is switched off"));
    assert_eq!(machine.power(), "off");
}

#[test]
fn a_guest_that_ignores_the_button_is_switched_off_where_that_is_wanted() {
    let machine = booted(uefi().with("SOFT_TIMEOUT", 1).with("SOFT_TIMEOUT_ACTION", "off"));
    machine.guest_does("ignore-button");
    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_power("off", BOOT);
    machine.wait_log("the guest ignored a soft shutdown for 1 s", SOON);
    machine.wait_log("the machine is off: powered off by command", SOON);
}

#[test]
fn the_end_of_the_program_is_a_shutdown_of_the_guest() {
    let mut machine = booted(Setup::new().with("STOP_TIMEOUT", 60));
    let qemu = machine.qemu_pid().unwrap();
    machine.signal("TERM");
    assert!(machine.wait_end(BOOT).success());
    assert_eq!(machine.printed(POWER_BUTTON), 1);
    assert!(machine.log().contains("the machine is off: the guest shut down"), "{}", machine.log());
    assert!(!std::path::Path::new(&format!("/proc/{qemu}")).exists());
    assert_eq!(machine.power(), "off");
}

#[test]
fn a_guest_does_not_notice_that_its_controller_was_killed() {
    const LINES: usize = 400;
    let mut machine = booted(Setup::new());
    let qemu = machine.qemu_pid();
    let shell = machine.shell();
    shell.line(&format!("for i in $(seq {LINES}); do echo line=$i.; usleep 20000; done; echo all-printed"));
    machine.wait_printed("line=50.", 1);
    machine.signal("KILL");
    machine.wait_end(SOON);
    assert_eq!(machine.printed("\nall-printed"), 0, "the guest was too fast for this test");
    machine.launch();
    assert_eq!(machine.qemu_pid(), qemu);
    machine.wait_log("the machine was running already", SOON);
    assert!(machine.ipmitool(&["power", "status"]).ok().contains("is on"));

    machine.wait_printed("\nall-printed", 1);
    machine.guest_does("true");
    assert_eq!(machine.printed(READY), 1);
    let console = machine.console();
    let printed: Vec<&str> = console.lines().filter(|line| line.starts_with("line=")).collect();
    let expected: Vec<String> = (1..=LINES).map(|number| format!("line={number}.")).collect();
    assert_eq!(printed, expected);

    // Under control again means: everything works.
    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_power("off", BOOT);
    machine.wait_log("the machine is off: the guest shut down", SOON);
}
