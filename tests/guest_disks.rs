//! Disks as a real guest sees them: on every bus, as overlays, and such as forget.

use std::{fs, path::Path, process::Command};

use crate::support::{READY, SOON, Setup, run};

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
