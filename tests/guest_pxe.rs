//! Machines with an empty disk, installed by PXE from the provisioning node of `containerlab/pxe`, as it is: its
//! image, its DHCP, TFTP and HTTP. What it installs here is the test guest.
//!
//! ```text
//!   namespace "node"                          container of the provisioning node
//!   ┌───────────────────────────┐             ┌──────────────────────────┐
//!   │ qemu-bmc, QEMU, ipmitool  │    cable    │ dnsmasq, httpd           │
//!   │ eth2: for the guest ──────┼─────────────┼─ eth1, a port of lan0    │
//!   └───────────────────────────┘             └──────────────────────────┘
//! ```

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::support::{
    Setup,
    docker::{A_WHILE, docker, logs, pid, provisioner_image},
    installer,
    lab::{Lab, Namespace},
    wait_for,
};

/// The provisioning node.
struct Provisioner {
    container: String,
    _install: tempfile::TempDir,
}

impl Provisioner {
    /// Starts it, and puts a cable between it and an interface of the namespace.
    fn start(image: &str, node: &Namespace, interface: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let container = format!("qemu-bmc-test-provisioner-{}-{number}", std::process::id());
        let install = tempfile::Builder::new().prefix("qemu-bmc-install-").tempdir().unwrap();
        installer::make(install.path());
        let hosts = install.path().join("hosts");
        fs::write(&hosts, "52:54:00:00:00:01,server1,10.10.10.11\n").unwrap();

        let volume = format!("{}:/install:ro", install.path().display());
        let hosts = format!("{}:/etc/provisioner/hosts:ro", hosts.display());
        let provisioner = Self { container, _install: install };
        let name = &provisioner.container;
        let options = ["--network", "none", "--cap-add", "NET_ADMIN", "-v", &volume, "-v", &hosts];
        docker(&[&["run", "-d", "--name", name], &options[..], &[image]].concat()).ok();
        node.ip(&format!("link add {interface} type veth peer name eth1 netns {}", pid(name)));
        node.ip(&format!("link set {interface} up"));
        wait_for("the provisioning node has a port", A_WHILE, || {
            provisioner.logs().contains("eth1 is a port of the switch").then_some(())
        });
        provisioner
    }

    fn logs(&self) -> String {
        logs(&self.container)
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- the provisioning node says\n{}", self.logs());
        }
        let _ = docker(&["rm", "-f", &self.container]);
    }
}

/// Installs a machine, and returns what the provisioning node has to say of it.
fn installs(firmware: &str, bootdev: &[&str], extra: &str) -> Option<String> {
    let (lab, image) = (Lab::here()?, provisioner_image()?);
    let node = lab.namespace("node");
    let provisioner = Provisioner::start(&image, &node, "eth2");
    let setup = Setup::new()
        .with("VM_BOOT_MODE", firmware)
        .with("VM_NETWORKS", "eth2")
        .with("VM_MAC_ETH2", "52:54:00:00:00:01")
        .with("QEMU_EXTRA_ARGS", extra)
        .in_namespace(&node);
    let disk = setup.folder.path().join("disk.qcow2");
    let made = Command::new("qemu-img").args(["create", "-q", "-f", "qcow2"]).arg(disk).arg("128M").status();
    assert!(made.unwrap().success());

    let machine = setup.start();
    machine.ipmitool(&[&["chassis", "bootdev", "pxe"], bootdev].concat()).ok();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_printed("installer: I run", 1);
    machine.wait_printed("installer: I am server1 at 10.10.10.11", 1);
    machine.wait_printed("installer: the disk is written", 1);
    // Network boot was for one boot, and nobody has asked for this one.
    machine.wait_ready(1);
    assert_eq!(machine.boots(), [format!("medium=disk firmware={firmware}")]);
    assert_eq!(machine.printed("installer: I run"), 1);
    Some(provisioner.logs())
}

#[test]
fn a_machine_is_installed_by_pxe_in_bios_mode() {
    installs("bios", &[], "");
}

#[test]
fn a_machine_is_installed_by_pxe_in_uefi_mode() {
    installs("uefi", &["options=efiboot"], "");
}

#[test]
fn a_machine_whose_nic_has_no_rom_is_installed_by_the_network_stack_of_uefi() {
    let no_rom = "-global virtio-net-pci.romfile=";
    let Some(said) = installs("uefi", &["options=efiboot"], no_rom) else { return };
    assert!(said.contains("sent /srv/tftp/snponly.efi to 10.10.10.11"), "{said}");
}
