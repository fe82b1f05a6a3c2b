//! The TPM's process beside QEMU, through all that ends either of them. What a guest has of it is in
//! `guest_tpm.rs`.

use std::fs;

use crate::support::{Machine, SOON, Setup, signal, wait_for};

fn alive(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn machine() -> Machine {
    Setup::new().with("VM_TPM", true).start()
}

/// Powers the machine on, and says which process its TPM is.
fn on(machine: &Machine) -> i32 {
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    machine.companion_pid("tpm").unwrap()
}

#[track_caller]
fn wait_gone(machine: &Machine, swtpm: i32) {
    wait_for("swtpm ends", SOON, || (!alive(swtpm)).then_some(()));
    wait_for("its record goes", SOON, || machine.companion_pid("tpm").is_none().then_some(()));
}

#[test]
fn a_tpm_lives_as_long_as_its_machine() {
    let machine = machine();
    assert!(!machine.local(&["status"]).ok().contains("TPM"));
    let first = on(&machine);
    let status = machine.local(&["status"]).ok();
    assert!(status.contains(&format!("the TPM (swtpm)  process {first}")), "{status}");
    let state = machine.folder().join("state/tpm");
    assert!(fs::read_dir(&state).unwrap().count() > 0, "it keeps its state in {}", state.display());

    // A reset leaves it as it is, a power cycle does not.
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("reset by command", SOON);
    assert_eq!(machine.companion_pid("tpm"), Some(first));
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    wait_gone(&machine, first);
    let second = on(&machine);
    assert_ne!(first, second);

    // Whatever ends QEMU.
    signal(machine.qemu_pid().unwrap(), "KILL");
    machine.wait_power("off", SOON);
    wait_gone(&machine, second);
    assert!(!machine.log().contains("fails every command"), "it ended as it should");
}

#[test]
fn a_tpm_that_ends_is_missed_and_comes_back_with_the_next_reset() {
    let machine = machine();
    let first = on(&machine);
    let qemu = machine.qemu_pid();
    signal(first, "KILL");
    machine.wait_log("the TPM (swtpm) ended with signal 9: the guest's TPM fails every command", SOON);
    let status = machine.local(&["status"]).ok();
    assert!(status.contains("the TPM (swtpm)  ended"), "{status}");
    assert_eq!(machine.qemu_pid(), qemu, "the machine runs on");

    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("reset by command", SOON);
    let second = machine.companion_pid("tpm").unwrap();
    assert!(alive(second) && second != first);
    let status = machine.local(&["status"]).ok();
    assert!(status.contains(&format!("process {second}")), "{status}");
}

#[test]
fn the_next_controller_takes_over_a_tpm_with_its_machine() {
    let mut machine = machine();
    let swtpm = on(&machine);
    machine.signal("KILL");
    machine.wait_end(SOON);
    assert!(alive(swtpm));
    machine.launch();
    machine.wait_power("on", SOON);
    let status = machine.local(&["status"]).ok();
    assert!(status.contains(&format!("process {swtpm}")), "{status}");
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    wait_gone(&machine, swtpm);

    // Of a machine that ended in between, nothing is left either.
    let swtpm = on(&machine);
    let qemu = machine.qemu_pid().unwrap();
    machine.signal("KILL");
    machine.wait_end(SOON);
    signal(swtpm, "STOP");
    signal(qemu, "KILL");
    wait_for("QEMU ends", SOON, || (!alive(qemu)).then_some(()));
    signal(swtpm, "CONT");
    machine.launch();
    wait_gone(&machine, swtpm);
}

#[test]
fn a_start_that_fails_leaves_no_tpm() {
    let machine = Setup::new().with("VM_TPM", true).with("QEMU_EXTRA_ARGS", "-device nonsense").start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("the machine did not start", SOON);
    wait_for("swtpm ends", SOON, || machine.companion_pid("tpm").is_none().then_some(()));
    assert_eq!(machine.left_behind(), [""; 0]);
}

#[test]
fn without_its_program_a_tpm_is_refused_with_the_package_to_install() {
    let setup = Setup::new().with("VM_TPM", true);
    // Everything that is in PATH but swtpm.
    let bin = setup.folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/usr/bin/qemu-system-x86_64", bin.join("qemu-system-x86_64")).unwrap();
    let mut check = setup.command(&["check"]);
    check.env("PATH", &bin);
    let said = crate::support::run(&mut check, SOON).failed();
    assert!(said.contains("install the package swtpm"), "{said}");
}

#[test]
fn a_tpm_that_cannot_start_is_the_reason_that_the_machine_does_not() {
    let machine = machine();
    fs::create_dir_all(machine.folder().join("state/tpm/tpm2-00.permall")).unwrap();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_log("the TPM (swtpm) says: Error: Could not initialize the TPM", SOON);
    machine.wait_log("the machine did not start: QEMU ended at once with exit status 1: tpm-emulator", SOON);
    wait_for("swtpm ends", SOON, || machine.companion_pid("tpm").is_none().then_some(()));
    assert_eq!(machine.left_behind(), [""; 0]);
}
