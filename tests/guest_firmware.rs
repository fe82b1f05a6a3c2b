//! What a guest has of its firmware and of its TPM: Secure Boot, variables, and what a TPM remembers.

use std::{fs, thread, time::Duration};

use serde_json::json;

use crate::support::{BOOT, Machine, SOON, Setup, guest_media, qemu::Qmp, wait_for};

const EFIVARS: &str = "/sys/firmware/efi/efivars";
const MOUNT_EFIVARS: &str =
    "modprobe efivarfs; mount -t efivarfs efivarfs /sys/firmware/efi/efivars 2>/dev/null";

fn uefi() -> Setup {
    Setup::new().with("VM_BOOT_MODE", "uefi")
}

/// A machine whose disk has nothing on it that is not signed, but for an initramfs.
fn with_signed_disk(setup: Setup) -> Setup {
    let disk = setup.folder.path().join("signed.img");
    fs::copy(guest_media().join("signed.img"), &disk).unwrap();
    setup.with("VM_DISK", disk.display())
}

fn power_on(machine: &Machine) {
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
}

/// Whether a PCR of SHA-256 (TCG PC Client Platform Firmware Profile §3.3.4) has something in it.
fn measured(machine: &Machine, pcr: u8) -> bool {
    let said = machine.guest_says(&format!("cat /sys/class/tpm/tpm0/pcr-sha256/{pcr}")).ok();
    let digest = said.trim();
    assert_eq!(digest.len(), 64, "{said}");
    digest.contains(|digit| digit != '0')
}

/// How often the TPM was started, as it remembers itself: TPM2_ReadClock (TPM 2.0 Part 3 §29.1), whose answer has
/// the number behind a header and two clocks.
fn starts(machine: &Machine) -> u32 {
    // One write is one command, and its answer is read where it was written.
    let ask = r"printf '\x80\x01\x00\x00\x00\x0a\x00\x00\x01\x81' >/tmp/ask; exec 3<>/dev/tpm0; cat /tmp/ask >&3; dd bs=64 count=1 <&3 2>/tmp/errors | od -An -v -tx1";
    let said = machine.guest_says(ask).ok();
    let bytes: Vec<u8> = said.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    assert_eq!(bytes[6..10], [0; 4], "it succeeds: {said}");
    u32::from_be_bytes(bytes[26..30].try_into().unwrap())
}

#[test]
fn secure_boot_is_on_in_a_guest_that_is_signed_and_no_other_is_started() {
    let signed = with_signed_disk(uefi().with("VM_SECURE_BOOT", true)).start();
    power_on(&signed);
    signed.wait_ready(1);
    // Four bytes of attributes come before a variable's value.
    let said = signed.guest_says(&format!("{MOUNT_EFIVARS}; od -An -tu1 {EFIVARS}/SecureBoot-*")).ok();
    assert_eq!(said.split_whitespace().last(), Some("1"), "{said}");
    let said = signed.guest_says("dmesg | grep -i 'secure boot'").ok();
    assert!(said.contains("Secure boot enabled"), "{said}");
    drop(signed);

    let unsigned = uefi().with_disk().with("VM_SECURE_BOOT", true).start();
    power_on(&unsigned);
    unsigned.wait_printed("Access Denied", 1);
    assert_eq!(unsigned.printed("qemu-bmc-guest"), 0);
}

#[test]
fn variables_and_what_a_tpm_remembers_outlive_the_machine_and_the_program() {
    let mut machine = uefi().with_disk().with("VM_TPM", true).start();
    power_on(&machine);
    machine.wait_ready(1);
    assert!(measured(&machine, 0) && measured(&machine, 4), "the firmware, and what it started");
    let first = starts(&machine);
    let variable = format!("{EFIVARS}/Kept-3f2b8c54-7d0e-4a7b-9d57-0c3a54e1f1a2");
    machine.guest_says(&format!(r"{MOUNT_EFIVARS}; printf '\x07\x00\x00\x00it-is-kept' >{variable}")).ok();

    // The guest does not notice that the controller was killed.
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_power("on", SOON);
    assert_eq!(starts(&machine), first);

    // What a new container finds: the state folder, and no machine.
    machine.ipmitool(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    machine.signal("TERM");
    machine.wait_end(SOON);
    fs::remove_dir_all(machine.folder().join("run")).unwrap();
    machine.launch();
    power_on(&machine);
    machine.wait_ready(2);
    assert!(starts(&machine) > first, "it is the same TPM");
    let said = machine.guest_says(&format!("{MOUNT_EFIVARS}; cat {variable}")).ok();
    assert!(said.contains("it-is-kept"), "{said}");
}

#[test]
fn a_bios_measures_into_a_tpm_too() {
    let machine = Setup::new().with_disk().with("VM_TPM", true).start();
    power_on(&machine);
    machine.wait_ready(1);
    assert!(measured(&machine, 0) && measured(&machine, 4), "the firmware, and what it started");
}

#[test]
fn either_firmware_waits_for_somebody_who_wants_its_menu() {
    let bios = Setup::new().with("VM_BOOT_MENU_TIMEOUT", 60_000).start();
    power_on(&bios);
    bios.wait_printed("Press ESC for boot menu", 1);
    press_until(&bios, "esc", "Select boot device");
    drop(bios);

    // Without a menu, OVMF takes no key; it ends with its shell, which is not what is wanted here.
    let uefi = uefi().with("VM_BOOT_MENU_TIMEOUT", 60_000).start();
    power_on(&uefi);
    press_until(&uefi, "f2", "Boot Maintenance Manager");
}

/// Presses a key on the machine's keyboard until the console shows this.
fn press_until(machine: &Machine, key: &str, shown: &str) {
    let mut qmp = Qmp::connect(machine);
    wait_for(&format!("{shown:?} on the console"), BOOT, || {
        qmp.execute("send-key", json!({ "keys": [{ "type": "qcode", "data": key }] }));
        // A key is held for a while, and those that come meanwhile wait.
        thread::sleep(Duration::from_millis(300));
        (machine.printed(shown) > 0).then_some(())
    });
}

#[test]
fn a_shell_is_there_where_it_is_asked_for() {
    let machine = uefi().with("VM_UEFI_SHELL", true).start();
    power_on(&machine);
    machine.wait_printed("UEFI Interactive Shell", 1);
}
