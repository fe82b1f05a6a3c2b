//! The BMC from inside: a guest with Linux's own drivers and ipmitool, by every interface that there is.

use std::process::Command;

use crate::support::{BOOT, Machine, READY, SOON, Setup, run, wait_for};

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
    // An answer that comes at once is taken without one, so on a fast machine few commands wait for theirs.
    let before = interrupts(machine);
    wait_for("an interrupt of the guest's interface", BOOT, || {
        machine.guest_says(&many(50)).ok();
        (interrupts(machine) > before).then_some(())
    });
    machine.guest_says("ps | grep '[k]ipmi'").failed();
}

#[track_caller]
fn says_who_it_is(machine: &Machine) {
    let info = machine.guest_says("ipmitool mc info").ok();
    assert!(info.contains("IPMI Version              : 2.0") && info.contains("Chassis Device"), "{info}");
}

/// What the guest asks first after a restart of the controller is answered as if nothing had been.
#[track_caller]
fn says_so_to_the_next_controller_too(machine: &Machine) {
    says_who_it_is(machine);
    machine.ipmitool(&["mc", "reset", "warm"]).ok();
    machine.wait_log("the machine was running already", SOON);
    says_who_it_is(machine);
}

/// What firmware tells an operating system of the machine, and of the way to its BMC.
#[track_caller]
fn dmi_tables_say(machine: &Machine, kind: u8, lines: &[&str]) {
    let table = machine.guest_says(&format!("dmidecode -q -t {kind}")).ok();
    for line in lines {
        assert!(table.lines().any(|found| found.trim() == *line), "type {kind} without {line:?}: {table}");
    }
}

#[test]
fn a_guest_with_kcs_has_the_same_bmc_as_the_lan() {
    let setup = Setup::new()
        .with("VM_MANUFACTURER", "Example, Inc.")
        .with("VM_PRODUCT", "Model 1")
        .with("VM_PART_NUMBER", "P-1")
        .with("VM_SERIAL", "S1")
        .with("VM_ASSET_TAG", "rack 7");
    let machine = booted(setup);
    says_so_to_the_next_controller_too(&machine);
    interrupts_and_does_not_poll(&machine);

    // What is set on one side is there on the other.
    machine.guest_says("ipmitool chassis bootdev cdrom options=persistent").ok();
    let flags = machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
    assert!(flags.contains("Force Boot from CD/DVD"), "{flags}");
    machine.wait_log("by the guest", SOON);
    machine.ipmitool(&["chassis", "policy", "always-off"]).ok();
    let status = machine.guest_says("ipmitool chassis status").ok();
    assert!(status.contains("always-off") && status.contains("System Power         : on"), "{status}");

    // The inventory is in its DMI tables too, and so is this interface.
    let (maker, product, serial) =
        ("Manufacturer: Example, Inc.", "Product Name: Model 1", "Serial Number: S1");
    let uuid = machine.local(&["status"]).ok();
    let uuid = uuid.lines().find_map(|line| line.strip_prefix("GUID:")).unwrap().trim().to_owned();
    dmi_tables_say(&machine, 1, &[maker, product, serial, "SKU Number: P-1", &format!("UUID: {uuid}")]);
    dmi_tables_say(&machine, 2, &[maker, product, serial, "Asset Tag: rack 7"]);
    dmi_tables_say(&machine, 3, &[maker, serial, "Asset Tag: rack 7"]);
    let registers =
        ["Interface Type: KCS (Keyboard Control Style)", "Base Address: 0x0000000000000CA2 (I/O)"];
    dmi_tables_say(&machine, 38, &registers);

    // A user made here logs in there, and what is logged there is read here.
    machine.guest_says("ipmitool user set name 5 guest && ipmitool user set password 5 secret").ok();
    machine.guest_says("ipmitool channel setaccess 1 5 ipmi=on privilege=3 && ipmitool user enable 5").ok();
    let mut as_guest = Command::new("ipmitool");
    as_guest.args(["-I", "lanplus", "-H", &machine.address().to_string(), "-p", "6230"]);
    as_guest.args(["-U", "guest", "-P", "secret", "-L", "operator", "sel", "info"]);
    run(&mut as_guest, SOON).ok();
    machine.ipmitool(&["sel", "clear"]).ok();
    machine.ipmitool(&["event", "1"]).ok();
    let log = machine.guest_says("ipmitool sel elist").ok();
    assert!(log.contains("Temperature") && log.contains("Upper Critical going high"), "{log}");

    // What only a LAN has is not there, and what is not there is an error and no silence.
    assert!(machine.guest_says("ipmitool raw 6 0x39 0 0").failed().contains("Invalid command"));
    assert!(machine.guest_says("ipmitool raw 0x3a 1").failed().contains("Invalid command"));
}

#[test]
fn a_guest_with_bt_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "bt"));
    says_so_to_the_next_controller_too(&machine);
    interrupts_and_does_not_poll(&machine);
}

#[test]
fn a_guest_with_kcs_on_the_pci_bus_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "pci-kcs").with("VM_BOOT_MODE", "uefi"));
    says_so_to_the_next_controller_too(&machine);
    interrupts_and_does_not_poll(&machine);
}

#[test]
fn a_guest_with_bt_on_the_pci_bus_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "pci-bt"));
    says_so_to_the_next_controller_too(&machine);
    interrupts_and_does_not_poll(&machine);
}

#[test]
fn a_guest_with_ssif_has_a_bmc() {
    let machine = booted(Setup::new().with("VM_IPMI", "ssif"));
    says_so_to_the_next_controller_too(&machine);
    machine.guest_says(&many(20)).ok();
}

#[test]
fn an_interface_that_the_machine_can_not_have_is_refused_in_qemus_words() {
    let setup = Setup::new().with("VM_IPMI", "ssif").with("VM_MACHINE", "q35,smbus=off");
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

    shell.line("ipmitool chassis power off");
    machine.wait_power("off", BOOT);
    machine.wait_log("power off requested by the guest", SOON);
    machine.wait_log("the machine is off: powered off by command", SOON);
}

/// Where there is ACPI, Linux prefers it. Where there is none, the DMI table is all that tells of the BMC.
#[test]
fn a_guest_without_acpi_finds_its_bmc_and_has_it_switch_it_off() {
    let media = crate::support::guest_media().join("pxe").canonicalize().unwrap();
    let arguments = format!(
        "-kernel {0}/vmlinuz -initrd {0}/initrd -append 'console=ttyS0,115200 quiet loglevel=3 acpi=off'",
        media.display()
    );
    let machine = Setup::new().with("QEMU_EXTRA_ARGS", arguments).with("POWER_ON_AT_START", true).start();
    machine.wait_ready(1);
    machine.wait_for_ipmi();
    let shell = machine.shell();
    shell.line("modprobe ipmi_poweroff && poweroff");
    machine.wait_power("off", BOOT);
    machine.wait_log("power off requested by the guest", SOON);
}

#[test]
fn a_guest_that_is_not_trusted_changes_nothing_of_the_bmcs_own() {
    let machine = booted(Setup::new().with("VM_IPMI_TRUST", "restricted"));
    let refused = machine.guest_says("ipmitool raw 0x0c 0x21 1 1 0").failed();
    assert!(refused.contains("Insufficient privilege level"), "{refused}");
    let refused = machine.guest_says("ipmitool user set name 5 guest").failed();
    assert!(refused.contains("Insufficient privilege level"), "{refused}");
    let users = machine.ipmitool(&["user", "list", "1"]).ok();
    assert!(!users.contains("guest"), "{users}");
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
    wait_for("the machine is taken over once more", SOON, || {
        (machine.log().matches("the machine was running already").count() > DEATHS).then_some(())
    });
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

/// The guest starts its watchdog and never comes back to it.
fn starts_watchdog(machine: &Machine, options: &str) {
    machine.guest_says(&format!("modprobe ipmi_watchdog {options} && echo > /dev/watchdog")).ok();
    assert!(machine.ipmitool(&["mc", "watchdog", "get"]).ok().contains("Started/Running"));
}

#[test]
fn a_guest_that_forgets_its_watchdog_is_warned_and_reset() {
    let machine = booted(Setup::new().with("DEBUG", true));
    let qemu = machine.qemu_pid();
    machine.ipmitool(&["sel", "clear"]).ok();
    starts_watchdog(&machine, "timeout=8 pretimeout=4 action=reset preaction=pre_int");
    machine.wait_log("reset requested by the watchdog timer", BOOT);
    // Linux was interrupted before, looked why, and took note of it.
    let log = machine.log();
    let (_, warned) = log.split_once("Watchdog: timer interrupt").unwrap();
    let (between, _) = warned.split_once("reset requested by the watchdog timer").unwrap();
    assert!(between.contains("in band: Get Message Flags"), "{between}");
    assert!(between.contains("in band: Clear Message Flags"), "{between}");
    machine.wait_ready(2);
    assert_eq!(machine.qemu_pid(), qemu);
    assert!(machine.restart_cause().contains("watchdog"), "{}", machine.restart_cause());
    let watchdog = machine.ipmitool(&["mc", "watchdog", "get"]).ok();
    assert!(watchdog.contains("Stopped") && watchdog.contains("SMS/OS"), "{watchdog}");
    let log = machine.ipmitool(&["sel", "elist"]).ok();
    assert!(log.contains("Timer interrupt") && log.contains("Hard reset"), "{log}");

    // Nothing that waited for the old boot is left for the new one, and its watchdog works again.
    machine.wait_for_ipmi();
    starts_watchdog(&machine, "timeout=3 action=power_off");
    machine.wait_power("off", BOOT);
    machine.wait_log("power off requested by the watchdog timer", SOON);
}

#[test]
fn a_warning_by_nmi_panics_a_guest_that_wants_that_and_the_power_cycle_follows() {
    let machine = booted(Setup::new());
    let qemu = machine.qemu_pid();
    // In its panic Linux sets the timer anew, without interrupts, to have the time for what it does then.
    let options = "timeout=8 pretimeout=5 action=power_cycle preaction=pre_nmi preop=preop_panic";
    starts_watchdog(&machine, &format!("{options} panic_wdt_timeout=3"));
    machine.wait_log("the guest panicked", BOOT);
    machine.wait_log("power cycle requested by the watchdog timer", BOOT);
    machine.wait_ready(2);
    assert_ne!(machine.qemu_pid(), qemu);
}
