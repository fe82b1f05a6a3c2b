//! What a guest finds of what it is told at its first boot.

use std::{fs, process::Command};

use crate::support::{SOON, Setup, run};

#[test]
fn the_guest_finds_its_seed_and_its_ignition_configuration_byte_for_byte() {
    let setup = Setup::new().with_disk();
    let folder = setup.folder.path().join("seed");
    fs::create_dir(&folder).unwrap();
    // More than a sector, and no whole number of them.
    let script: String = (0..700).map(|line| format!("# {line}\n")).collect();
    let files = [
        ("user-data", format!("#!/bin/sh\n{script}")),
        ("meta-data", "instance-id: i-1\nlocal-hostname: node7\n".to_owned()),
        ("network-config", "version: 2\nethernets: {}\n".to_owned()),
        ("vendor-data", "#cloud-config\n{}\n".to_owned()),
    ];
    for (name, text) in &files {
        fs::write(folder.join(name), text).unwrap();
    }
    let ignition = setup.folder.path().join("a config, of mine.ign");
    fs::write(&ignition, r#"{"ignition": {"version": "3.4.0"}}"#).unwrap();
    let machine = setup
        .with("VM_USER_DATA", folder.display())
        .with("VM_IGNITION", ignition.display())
        .with("POWER_ON_AT_START", true)
        .start();
    machine.wait_ready(1);

    // Its name is the last one, it can't be written, and the label is where every volume descriptor has it.
    machine
        .guest_says("modprobe -a isofs qemu_fw_cfg; mkdir /seed; mount -t iso9660 -o ro /dev/vdb /seed")
        .ok();
    let said = machine
        .guest_says("cat /sys/block/vdb/ro; dd if=/dev/vdb bs=1 skip=32808 count=7 2>/dev/null; ls /seed")
        .ok();
    let words: Vec<_> = said.split_whitespace().collect();
    assert_eq!(words, ["1", "cidata", "meta-data", "network-config", "user-data", "vendor-data"]);
    let there = machine
        .guest_says("cd /seed; sha256sum meta-data network-config user-data vendor-data /sys/firmware/qemu_fw_cfg/by_name/opt/com.coreos/config/raw")
        .ok();
    let here: Vec<_> =
        ["meta-data", "network-config", "user-data", "vendor-data"].map(|name| folder.join(name)).into();
    let here = run(Command::new("sha256sum").args(here).arg(&ignition), SOON).ok();
    let sums = |said: &str| said.lines().map(|line| line[..64].to_owned()).collect::<Vec<_>>();
    assert_eq!(sums(&there), sums(&here));
}
