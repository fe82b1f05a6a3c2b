//! An installer for the provisioning node of `containerlab/pxe`: the test guest's kernel, which writes the test guest's
//! disk.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use super::{docker::A_WHILE, guest_media, run};

/// What the installer does in place of what the test guest does at its start: gets an address, writes the disk, and
/// boots from it.
const INSTALLER: &str = r#"#!/bin/sh
export PATH=/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a -q $(cat /etc/modules.early) virtio_net
say "installer: I run"
while [ ! -e /sys/class/net/eth0 ] || [ ! -e /dev/vda ]; do usleep 100000; done
ip link set eth0 up
udhcpc -f -q -i eth0 -s /sbin/use-lease &&
	wget -q -O /dev/vda "http://10.10.10.1/disk.img" && sync &&
	say "installer: the disk is written" && reboot
say "installer: failed"
"#;

/// What udhcpc calls when it has a lease.
const USE_LEASE: &str = r#"#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
say "installer: I am $hostname at $ip"
"#;

/// The installer's kernel and initramfs, by iPXE.
const SCRIPT: &str = "#!ipxe
kernel vmlinuz initrd=initrd console=ttyS0,115200 quiet panic=0 no_timer_check
initrd initrd
boot
";

/// Makes the folder that the provisioning node serves over HTTP.
pub fn make(folder: &Path) {
    let media = guest_media();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(media.join("pxe/vmlinuz"), folder.join("vmlinuz")).unwrap();
    fs::copy(media.join("disk.img"), folder.join("disk.img")).unwrap();
    fs::write(folder.join("install.ipxe"), SCRIPT).unwrap();

    // What comes later in an initramfs replaces what came before.
    let changes = tempfile::tempdir().unwrap();
    for (name, text) in [("etc/rcS", INSTALLER), ("sbin/use-lease", USE_LEASE)] {
        let path = changes.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let archive = "find . | cpio -o -H newc -R 0:0 --quiet | gzip";
    let script = format!(
        "{{ cat {}/pxe/initrd; {archive}; }} >{}/initrd",
        media.canonicalize().unwrap().display(),
        folder.display()
    );
    run(Command::new("sh").args(["-ec", &script]).current_dir(&changes), A_WHILE).ok();
}
