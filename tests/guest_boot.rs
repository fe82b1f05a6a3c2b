//! Boot devices, proved by what boots: the guest says which medium it came from and which firmware loaded it.

use crate::support::{Machine, Setup, guest_media, terminal::Terminal};

/// A machine with a disk, a CD and a NIC that network boot works on.
fn with_everything(firmware: &str) -> Setup {
    let pxe = guest_media().join("pxe").canonicalize().unwrap();
    let network = format!(
        "-netdev user,id=net0,restrict=on,tftp={},bootfile=boot.ipxe -device virtio-net-pci,netdev=net0,id=nic0",
        pxe.display()
    );
    Setup::new().with_disk().with_cd().with("VM_BOOT_MODE", firmware).with("QEMU_EXTRA_ARGS", network)
}

/// A machine, and what it is expected to have booted so far.
struct Walk {
    machine: Machine,
    shell: Terminal,
    firmware: &'static str,
    booted: Vec<String>,
}

impl Walk {
    fn start(setup: Setup, firmware: &'static str) -> Self {
        let machine = setup.start();
        let shell = machine.shell();
        Self { machine, shell, firmware, booted: Vec::new() }
    }

    /// The next boot is one from `medium`, and the guest's shell is there.
    #[track_caller]
    fn boots(&mut self, medium: &str) {
        self.booted.push(format!("medium={medium} firmware={}", self.firmware));
        self.machine.wait_ready(self.booted.len());
        assert_eq!(self.machine.boots(), self.booted);
    }

    #[track_caller]
    fn bootdev(&self, device: &str, options: &[&str]) {
        self.machine.ipmitool(&[&["chassis", "bootdev", device], options].concat()).ok();
    }

    #[track_caller]
    fn power(&self, what: &str) {
        self.machine.ipmitool(&["power", what]).ok();
    }

    fn guest_reboots(&self) {
        self.shell.line("reboot");
    }

    /// What the BMC says that the next boot's device is, if that is not the usual one.
    #[track_caller]
    fn selected(&self) -> Option<String> {
        let parameter = self.machine.ipmitool(&["chassis", "bootparam", "get", "5"]).ok();
        if parameter.contains("Boot Flag Invalid") {
            return None;
        }
        let (_, device) = parameter.split_once("Boot Device Selector : ").unwrap();
        device.lines().next().map(str::to_owned)
    }
}

/// Every device and every way to begin a boot, in as few boots as show it.
fn walk(firmware: &'static str) {
    let mut walk = Walk::start(with_everything(firmware), firmware);
    let (once, always): (&[&str], &[&str]) = match firmware {
        "uefi" => (&["options=efiboot"], &["options=efiboot,persistent"]),
        _ => (&[], &["options=persistent"]),
    };

    // At power on, once: the boot after it, which the guest begins itself, is the usual one.
    walk.bootdev("cdrom", once);
    walk.power("on");
    walk.boots("cdrom");
    assert_eq!(walk.selected(), None);
    walk.guest_reboots();
    walk.boots("disk");

    // At the guest's own reboot, persistently; at a reset and a cycle too.
    walk.bootdev("cdrom", always);
    walk.guest_reboots();
    walk.boots("cdrom");
    walk.power("reset");
    walk.boots("cdrom");
    walk.power("cycle");
    walk.boots("cdrom");
    assert_eq!(walk.selected().as_deref(), Some("Force Boot from CD/DVD"));

    walk.bootdev("none", &[]);
    walk.power("reset");
    walk.boots("disk");

    // At a reset, once.
    walk.bootdev("pxe", once);
    walk.power("reset");
    walk.boots("pxe");
    walk.power("cycle");
    walk.boots("disk");
}

#[test]
fn bios_boots_what_it_is_told_to() {
    walk("bios");
}

#[test]
fn uefi_boots_what_it_is_told_to() {
    walk("uefi");
}

#[test]
fn the_setup_of_bios_is_its_boot_menu() {
    setup_is_shown_once("bios", "Select boot device:");
}

#[test]
fn the_setup_of_uefi_is_its_user_interface() {
    setup_is_shown_once("uefi", "Boot Maintenance Manager");
}

/// The firmware's setup waits for somebody, and the boot after it is the usual one.
fn setup_is_shown_once(firmware: &'static str, text: &str) {
    let mut walk = Walk::start(Setup::new().with_disk().with("VM_BOOT_MODE", firmware), firmware);
    walk.bootdev("bios", &[]);
    walk.power("on");
    walk.machine.wait_printed(text, 1);
    assert_eq!(walk.selected(), None);
    walk.power("reset");
    walk.boots("disk");
    assert_eq!(walk.machine.printed(text), 1);

    // Once more from a running guest: nobody but the setup has the machine now.
    walk.bootdev("bios", &[]);
    walk.guest_reboots();
    walk.machine.wait_printed(text, 2);
    walk.power("cycle");
    walk.boots("disk");
}

#[test]
fn the_usual_order_is_that_of_the_settings() {
    let mut cd_first = Walk::start(with_everything("uefi").with("VM_BOOT", "d"), "uefi");
    cd_first.power("on");
    cd_first.boots("cdrom");
    drop(cd_first);

    let mut network_first = Walk::start(with_everything("bios").with("VM_BOOT", "n"), "bios");
    network_first.power("on");
    network_first.boots("pxe");
    network_first.bootdev("disk", &[]);
    network_first.guest_reboots();
    network_first.boots("disk");
}
