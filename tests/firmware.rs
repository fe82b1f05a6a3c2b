//! Firmware without a guest: what is found, what is said when it isn't, and what is kept of it.

use std::{fs, path::PathBuf};

use crate::support::{Machine, SOON, Setup, wait_for};

fn uefi() -> Setup {
    Setup::new().with("VM_BOOT_MODE", "uefi")
}

fn check(setup: &Setup) -> String {
    crate::support::run(&mut setup.command(&["check"]), SOON).ok()
}

fn power_on(machine: &Machine) {
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
}

fn variables(machine: &Machine) -> PathBuf {
    machine.folder().join("state/uefi-variables.fd")
}

#[test]
fn firmware_keeps_a_log_of_its_work() {
    let machine = Setup::new().with("VM_FIRMWARE_LOG", true).start();
    power_on(&machine);
    let log = machine.folder().join("state/firmware.log");
    let said = || fs::read_to_string(&log).unwrap_or_default();
    wait_for("SeaBIOS says that nothing boots", SOON, || said().contains("No bootable device").then_some(()));
    assert!(said().starts_with("SeaBIOS (version "), "from the first byte on: {}", said());

    // A new controller goes on with it.
    let mut machine = machine;
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_power("on", SOON);
    machine.ipmitool(&["power", "reset"]).ok();
    wait_for("SeaBIOS starts again", SOON, || {
        (said().matches("SeaBIOS (version ").count() > 1).then_some(())
    });
}

#[test]
fn secure_boot_is_another_build_with_variables_of_its_own_that_the_guest_cannot_reach() {
    let plain = check(&uefi());
    assert!(!plain.contains("smm=on") && plain.contains("uefi-variables.fd"), "{plain}");
    let secure = check(&uefi().with("VM_SECURE_BOOT", true));
    for part in
        [",smm=on", "secboot", "cfi.pflash01,property=secure,value=on", "uefi-variables.secure-boot.fd"]
    {
        assert!(secure.contains(part), "{part}: {secure}");
    }
}

#[test]
fn variables_begin_afresh_with_the_program_and_not_with_the_machine() {
    let mut machine = uefi().with("VM_UEFI_RESET", true).start();
    power_on(&machine);
    let fresh = fs::read(variables(&machine)).unwrap();
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);

    // Something that the machine has written, as far as the program can know.
    let mut written = fresh.clone();
    *written.last_mut().unwrap() ^= 0xff;
    fs::write(variables(&machine), &written).unwrap();
    let last = |machine: &Machine| *fs::read(variables(machine)).unwrap().last().unwrap();
    power_on(&machine);
    assert_eq!(last(&machine), *written.last().unwrap(), "a power cycle keeps them");
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_power("on", SOON);
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    power_on(&machine);
    assert_eq!(
        last(&machine),
        *written.last().unwrap(),
        "so does a controller that finds the machine running"
    );

    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    power_on(&machine);
    assert_eq!(last(&machine), *fresh.last().unwrap(), "a new start of the program does not");
    machine.wait_log("UEFI variables start afresh (VM_UEFI_RESET)", SOON);
    let aside = fs::read(variables(&machine).with_extension("fd.before-reset")).unwrap();
    assert_eq!(aside.last(), written.last());
}

#[test]
fn a_machine_that_cannot_start_loses_no_variables() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    fs::write(&disk, b"\x1f\x8b compressed").unwrap();
    let mut machine = uefi().with("VM_UEFI_RESET", true).with("VM_DISK", disk.display()).start();
    fs::write(variables(&machine), b"the machine's own").unwrap();
    for times in 1..=2 {
        machine.local(&["power", "on"]);
        wait_for("a start that fails", SOON, || {
            (machine.log().matches("it is compressed").count() >= times).then_some(())
        });
    }
    assert_eq!(fs::read(variables(&machine)).unwrap(), b"the machine's own");
    machine.signal("TERM");
    machine.wait_end(SOON);
}
