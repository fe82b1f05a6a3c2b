//! A real guest in a QEMU that the test started, and the controller that the guest and the LAN share.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use crate::support::{BOOT, READY, SOON, Setup, guest_media, qemu::PlainQemu, wait_for};

/// What the guest prints, and a way to type.
struct Serial {
    stream: UnixStream,
    shown: String,
}

impl Serial {
    fn new(qemu: &PlainQemu) -> Self {
        let stream = qemu.serial();
        stream.set_nonblocking(true).unwrap();
        Self { stream, shown: String::new() }
    }

    /// Waits until the guest has printed this, and forgets everything up to it.
    #[track_caller]
    fn wait(&mut self, text: &str) {
        let mut chunk = [0; 4096];
        wait_for(&format!("{text:?} on the serial port"), BOOT, || {
            if let Ok(count @ 1..) = self.stream.read(&mut chunk) {
                self.shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
            }
            let end = self.shown.find(text)? + text.len();
            self.shown.drain(..end);
            Some(())
        });
    }

    /// Has the guest carry out a line, and waits for its success.
    #[track_caller]
    fn guest_does(&mut self, line: &str) {
        // The quotes keep the mark out of the line's own echo.
        writeln!(self.stream, "( {line} ) && echo do''ne").unwrap();
        self.wait("done\r\n");
    }
}

#[test]
fn a_guest_of_somebody_elses_qemu_has_the_bmc_that_the_lan_has() {
    let setup = Setup::new().with_disk();
    let folder = setup.folder.path().to_owned();
    let endpoint = format!("unix:{}", folder.join("ipmi.sock").display());
    let qmp = folder.join("qmp.sock").display().to_string();
    let machine = setup.start_with(&["attach", "--inband", &endpoint, "--qmp", &qmp]);
    let disk = format!("file={},format=qcow2,if=virtio", folder.join("disk.qcow2").display());
    let ipmi = format!("path={}", folder.join("ipmi.sock").display());
    let mut qemu = PlainQemu::start(
        &machine,
        &ipmi,
        &["-m", "512", "-cpu", "max", "-device", "VGA", "-drive", &disk, "-no-shutdown"],
    );
    let mut serial = Serial::new(&qemu);
    serial.wait(READY);
    serial.guest_does("until [ -c /dev/ipmi0 ]; do usleep 100000; done");
    serial.guest_does("ipmitool mc info | grep 'IPMI Version              : 2.0'");
    serial.guest_does("ipmitool chassis policy always-off");
    let status = machine.ipmitool(&["chassis", "status"]).ok();
    assert!(status.contains("always-off") && status.contains("System Power         : on"), "{status}");

    machine.ipmitool(&["power", "reset"]).ok();
    serial.wait(READY);

    // It stays, told by `-no-shutdown` to do so: then it can be brought back.
    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_log("the machine is off: the guest shut down", BOOT);
    assert_eq!(machine.power(), "off");
    assert!(qemu.runs());
    machine.ipmitool(&["power", "on"]).ok();
    serial.wait(READY);
    machine.wait_power("on", SOON);
}

#[test]
fn a_machine_of_somebody_elses_has_power_a_console_and_boot_devices_without_being_asked_first() {
    let setup = Setup::new().with_disk();
    let path = |name: &str| setup.folder.path().join(name).display().to_string();
    let (qmp, serial) = (path("qmp.sock"), path("serial.sock"));
    let cd = guest_media().join("cd.iso").canonicalize().unwrap();
    // As somebody types it: devices without names, some of them by QEMU's short options.
    let start = format!(
        "qemu-system-x86_64 -machine q35 -accel tcg -cpu max -m 512 -display none -nic none -no-user-config \
         -drive file={},format=qcow2,if=virtio -cdrom {} \
         -qmp unix:{qmp},server=on,wait=off -serial unix:{serial},server=on,wait=off",
        path("disk.qcow2"),
        cd.display(),
    );
    let port = format!("unix:{serial}");
    let mut machine = setup.start_with(&["attach", "--qmp", &qmp, "--serial", &port, "--start", &start]);
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_ready(1);
    assert_eq!(machine.boots(), ["medium=disk firmware=bios"]);
    let shell = machine.shell();
    machine.ipmitool(&["chassis", "bootdev", "cdrom"]).ok();
    shell.line("reboot");
    machine.wait_ready(2);
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_ready(3);
    let booted = ["disk", "cdrom", "disk"].map(|medium| format!("medium={medium} firmware=bios"));
    assert_eq!(machine.boots(), booted);

    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_log("is under control again", SOON);
    machine.ipmitool(&["power", "diag"]).ok();
    machine.wait_printed("NMI received for unknown reason", 1);
    machine.ipmitool(&["power", "soft"]).ok();
    machine.wait_log("the machine is off: the guest shut down", BOOT);
    machine.wait_power("off", SOON);
}
