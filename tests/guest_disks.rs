//! Disks as a real guest sees them: on every bus, as overlays, and such as forget.

use std::{fs, path::Path, process::Command};

use crate::support::{READY, SOON, Setup, guest_media, run, wait_for};

/// Has the guest say what each disk begins with, and its serial number, which each kind has elsewhere.
const LIST: &str = "for d in /sys/block/*d[a-z] /sys/block/nvme*; do \
    t=$(head -c 64 /dev/${d##*/} | tr -dc 'a-zA-Z0-9. '); \
    s=$(cat $d/serial $d/device/serial $d/device/vpd_pg80 $(realpath $d/device)/../../../../serial 2>/dev/null | tr -dc 'A-Z0-9-'); \
    echo \"disk: $t $s\"; done";

/// What a disk image holds in its first bytes.
fn image(folder: &Path, name: &str, says: &str) -> String {
    let path = folder.join(name);
    let mut contents = vec![0; 1 << 20];
    contents[..says.len()].copy_from_slice(says.as_bytes());
    fs::write(&path, contents).unwrap();
    path.display().to_string()
}

fn convert(from: &str, format: &str) -> String {
    let to = format!("{from}.{format}");
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", format, from, &to]);
    run(&mut command, SOON).ok();
    to
}

#[test]
fn a_guest_has_disks_on_every_bus_and_of_every_format_with_serial_numbers_of_their_own() {
    let mut setup = Setup::new().with_disk();
    let disks = [("virtio", "raw"), ("scsi", "qcow2"), ("nvme", "vmdk"), ("sata", "vdi"), ("usb", "vhdx")];
    for (number, (bus, format)) in (2..).zip(disks) {
        let mut path =
            image(setup.folder.path(), &format!("{bus}.raw"), &format!("this is {bus} in {format}."));
        if format != "raw" {
            path = convert(&path, format);
        }
        setup = setup
            .with(&format!("VM_DISK{number}"), path)
            .with(&format!("VM_DISK{number}_BUS"), bus)
            .with(&format!("VM_DISK{number}_SERIAL"), format!("NUMBER-{number}"));
    }
    let machine = setup.with("POWER_ON_AT_START", "true").start();
    machine.wait_printed(READY, 1);
    machine.guest_does("until [ -e /sys/block/sdc ]; do usleep 100000; done");
    let said = machine.guest_says(LIST).ok();
    for (number, (bus, format)) in (2..).zip(disks) {
        let line = format!("this is {bus} in {format}. NUMBER-{number}");
        assert!(said.contains(&line), "no {line:?} in:\n{said}");
    }
}

fn checksum(path: &Path) -> String {
    run(Command::new("sha256sum").arg(path), SOON * 6).ok()
}

#[test]
fn an_overlay_leaves_its_base_alone_and_an_ephemeral_disk_forgets() {
    let base = guest_media().join("disk.qcow2").canonicalize().unwrap();
    let before = checksum(&base);
    let setup = Setup::new();
    let second = image(setup.folder.path(), "second.raw", "as it was");
    let machine = setup
        .with("VM_DISK_BASE", base.display())
        .with("VM_DISK2", &second)
        .with("VM_DISK2_EPHEMERAL", "true")
        .with("POWER_ON_AT_START", "true")
        .start();
    machine.wait_printed(READY, 1);
    machine.guest_does("echo written | dd of=/dev/vdb conv=notrunc,fsync bs=512 2>/dev/null; sync");

    // A reset keeps it.
    machine.local(&["power", "reset"]).ok();
    machine.wait_printed(READY, 2);
    assert!(machine.guest_says("head -c 16 /dev/vdb").out.contains("written"));

    machine.local(&["power", "cycle"]).ok();
    machine.wait_printed(READY, 3);
    assert!(machine.guest_says("head -c 16 /dev/vdb").out.contains("as it was"));
    // The guest's disk counts its boots, so the overlay has been written to.
    machine.wait_printed("boot=3", 1);
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    assert_eq!(checksum(&base), before);
    assert!(fs::read(&second).unwrap().starts_with(b"as it was"));
    assert!(!machine.folder().join("run/disk1.ephemeral.qcow2").exists());
}

#[test]
fn a_guest_whose_disk_finds_no_room_waits_until_there_is_some() {
    let setup = Setup::new();
    let small = setup.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let Some(setup) = setup.with_disk().with_file_system(&small, "24m") else { return };
    let machine = setup
        .with("VM_DISK2", small.join("disk.qcow2").display())
        .with("VM_DISK2_SIZE", "64M")
        .with("POWER_ON_AT_START", "true")
        .start();
    machine.wait_printed(READY, 1);
    machine.guest_does(
        "(dd if=/dev/zero of=/dev/vdb bs=1M count=40 conv=fsync 2>/dev/null && say all-is-written) & true",
    );
    machine.wait_log("the file system of one of its disks is full", SOON * 3);
    let paused = || machine.local(&["status"]).ok().contains("on (paused)").then_some(());
    wait_for("it is paused", SOON, paused);
    let written = "qemu-bmc-guest: all-is-written";
    assert_eq!(machine.printed(written), 0);

    let mut remount = Command::new("mount");
    run(remount.args(["-o", "remount,size=96m"]).arg(&small), SOON).ok();
    machine.wait_printed(written, 1);
    assert!(machine.log().contains("there is room again"), "{}", machine.log());
}

/// Boots from a disk on each of these buses.
fn boots_from(firmware: &str, buses: &[&str]) {
    for bus in buses {
        let machine = Setup::new()
            .with_disk()
            .with("VM_DISK_BUS", bus)
            .with("VM_BOOT_MODE", firmware)
            .with("POWER_ON_AT_START", "true")
            .start();
        machine.wait_printed(&format!("booted medium=disk firmware={firmware}"), 1);
    }
}

#[test]
fn bios_boots_from_every_bus() {
    boots_from("bios", &["scsi", "nvme", "sata", "usb"]);
}

#[test]
fn uefi_boots_from_other_buses() {
    boots_from("uefi", &["scsi", "nvme"]);
}
