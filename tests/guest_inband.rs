//! The BMC from inside: a guest with Linux's own drivers and ipmitool, by every interface that there is.

#![allow(missing_docs)]
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use support::{BOOT, Machine, READY, SOON, Setup, wait_for};

/// A machine whose guest has found its BMC.
fn booted(setup: Setup) -> Machine {
    let machine = setup.with_disk().with("POWER_ON_AT_START", true).start();
    machine.wait_ready(1);
    machine.wait_for_ipmi();
    machine
}

/// Get Device ID so many times, by one ipmitool that says so in the end.
fn many(count: u64) -> String {
    format!("yes 'raw 6 1' | head -n {count} >/tmp/many; ipmitool exec /tmp/many >/dev/null")
}

/// How often the interface has interrupted the guest.
fn interrupts(machine: &Machine) -> u64 {
    let line = machine.guest_says("grep ipmi_si /proc/interrupts").ok();
    line.split_whitespace().skip(1).map_while(|count| count.parse::<u64>().ok()).sum()
}

#[track_caller]
fn interrupts_and_does_not_poll(machine: &Machine) {
    const COMMANDS: u64 = 50;
    let before = interrupts(machine);
    machine.guest_says(&many(COMMANDS)).ok();
    let more = interrupts(machine) - before;
    // An answer that comes at once is taken without one.
    assert!(more > COMMANDS / 2, "{more} interrupts for {COMMANDS} commands");
    machine.guest_says("ps | grep '[k]ipmi'").failed();
}

#[track_caller]
fn says_who_it_is(machine: &Machine) {
    let info = machine.guest_says("ipmitool mc info").ok();
    assert!(info.contains("IPMI Version              : 2.0") && info.contains("Chassis Device"), "{info}");
}

#[test]
fn a_guest_with_kcs_has_the_same_bmc_as_the_lan() {
    let machine = booted(Setup::new());
    says_who_it_is(&machine);
    interrupts_and_does_not_poll(&machine);

    // What is set on one side is there on the other.
    machine.guest_says("ipmitool chassis bootdev cdrom options=persistent").ok();
    let flags = machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
    assert!(flags.contains("Force Boot from CD/DVD"), "{flags}");
    machine.wait_log("by the guest", SOON);
    machine.ipmitool(&["chassis", "policy", "always-off"]).ok();
    let status = machine.guest_says("ipmitool chassis status").ok();
    assert!(status.contains("always-off") && status.contains("System Power         : on"), "{status}");

    // What only a LAN has is not there, and what is not there is an error and no silence.
    assert!(machine.guest_says("ipmitool raw 6 0x39 0 0").failed().contains("Invalid command"));
    assert!(machine.guest_says("ipmitool raw 0x3a 1").failed().contains("Invalid command"));
}

#[test]
fn a_guest_with_bt_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "bt"));
    says_who_it_is(&machine);
    interrupts_and_does_not_poll(&machine);
}

#[test]
fn a_guest_with_kcs_on_the_pci_bus_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "pci-kcs").with("VM_BOOT_MODE", "uefi"));
    says_who_it_is(&machine);
    interrupts_and_does_not_poll(&machine);
}

#[test]
fn a_guest_with_bt_on_the_pci_bus_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "pci-bt"));
    says_who_it_is(&machine);
    interrupts_and_does_not_poll(&machine);
}

#[test]
fn a_guest_with_ssif_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "ssif"));
    says_who_it_is(&machine);
    machine.guest_says(&many(20)).ok();
}

#[test]
fn an_interface_that_the_machine_can_not_have_is_refused_in_qemus_words() {
    let setup = Setup::new().with("VM_IPMI", "ssif").with("QEMU_EXTRA_ARGS", "-machine q35,smbus=off");
    let machine = setup.start();
    machine.local(&["power", "on"]).ok();
    machine.wait_log("the machine did not start", SOON);
    assert!(machine.log().contains("for device 'smbus-ipmi'"), "{}", machine.log());
    assert_eq!(machine.power(), "off");
}

#[test]
fn a_machine_without_the_interface_starts_without_it() {
    let machine = Setup::new().with("VM_IPMI", "none").start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert!(!machine.folder().join("run/bmc-ipmi.sock").exists());
}

#[test]
fn a_guest_restarts_and_switches_itself_off_by_its_bmc() {
    let machine = booted(Setup::new());
    let first = machine.qemu_pid();
    let shell = machine.shell();
    shell.line("reboot");
    machine.wait_ready(2);
    machine.wait_for_ipmi();
    assert_eq!(machine.qemu_pid(), first);
    says_who_it_is(&machine);

    shell.line("ipmitool chassis power cycle");
    machine.wait_ready(3);
    assert_ne!(machine.qemu_pid(), first);
    machine.wait_for_ipmi();
    interrupts_and_does_not_poll(&machine);

    shell.line("modprobe ipmi_poweroff && poweroff");
    machine.wait_power("off", BOOT);
    machine.wait_log("power off requested by the guest", SOON);
    machine.wait_log("the machine is off: powered off by command", SOON);
}

#[test]
fn a_guest_that_is_not_trusted_changes_nothing_of_the_bmcs_own() {
    let machine = booted(Setup::new().with("VM_IPMI_TRUST", "restricted"));
    let refused = machine.guest_says("ipmitool raw 0x0c 0x21 1 1 0").failed();
    assert!(refused.contains("Insufficient privilege level"), "{refused}");
    let sol = machine.ipmitool(&["sol", "info", "1"]).ok();
    assert!(sol.contains("Enabled                         : true"), "{sol}");
    // Its own boot device is its own affair.
    machine.guest_says("ipmitool chassis bootdev pxe").ok();
}

/// How many commands of the guest were carried out. The program has to run with DEBUG.
fn carried_out(machine: &Machine) -> usize {
    machine.log().matches("in band: Get Device ID").count()
}

/// The guest asks without end, as fast as it can. A command that fails is no end of that; one that is never
/// answered would be.
fn asks_without_end(machine: &Machine) {
    machine.guest_says("yes 'raw 6 1' | head -n 1000 >/tmp/endless").ok();
    machine.guest_does("(while :; do ipmitool exec /tmp/endless; done) >/dev/null 2>&1 & true");
}

#[track_caller]
fn wait_for_more(machine: &Machine) {
    let before = carried_out(machine);
    wait_for("the guest's commands are carried out", BOOT, || {
        (carried_out(machine) > before + 20).then_some(())
    });
}

#[test]
fn a_controller_that_dies_again_and_again_leaves_the_guest_its_interface() {
    const DEATHS: usize = 20;
    let mut machine = booted(Setup::new().with("DEBUG", true));
    let qemu = machine.qemu_pid();
    asks_without_end(&machine);
    for _ in 0..DEATHS {
        wait_for_more(&machine);
        machine.signal("KILL");
        machine.wait_end(SOON);
        machine.launch();
    }
    wait_for_more(&machine);

    // A restart that was asked for by the guest itself has its answer first.
    machine.guest_says("ipmitool mc reset cold").ok();
    wait_for_more(&machine);
    assert_eq!(machine.qemu_pid(), qemu);
    assert_eq!(machine.printed(READY), 1);
    says_who_it_is(&machine);
}

#[test]
fn a_reset_in_the_middle_of_a_command_is_no_matter_to_the_next_boot() {
    const RESETS: usize = 3;
    let machine = booted(Setup::new().with("DEBUG", true));
    for boot in 2..2 + RESETS {
        asks_without_end(&machine);
        wait_for_more(&machine);
        machine.ipmitool(&["power", "reset"]).ok();
        machine.wait_ready(boot);
        machine.wait_for_ipmi();
        says_who_it_is(&machine);
    }
    interrupts_and_does_not_poll(&machine);
}
