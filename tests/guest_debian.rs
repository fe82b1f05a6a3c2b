//! A real distribution, as docs/debian-cloud.md has it: Debian's own cloud-init, SSH, drivers and shutdown.

use std::fs;

use crate::support::{
    BOOT, Setup,
    debian::{self, SshKey},
    wait_for,
};

#[test]
fn debian_lets_the_key_in_reads_the_sensors_and_shuts_down_in_bios_mode() {
    let Some(disk) = debian::disk() else { return };
    let key = SshKey::new();
    let machine = Setup::new()
        .with_debian(&disk)
        .with("VM_BOOT_MODE", "bios")
        .with("VM_HOSTNAME", "node7")
        .with("VM_SSH_KEY", key.public())
        .start();
    machine.wait_ssh(&key);
    let said =
        machine.ssh(&key, "hostname; sudo blkid -L cidata; test -d /sys/firmware/efi || echo bios").ok();
    assert_eq!(said.split_whitespace().collect::<Vec<_>>(), ["node7", "/dev/vdb", "bios"]);

    let sensors = machine.ssh(&key, "sudo modprobe ipmi_devintf && sudo ipmitool sensor").ok();
    for name in ["Inlet Temp", "CPU Temp", "FAN1"] {
        let line = sensors.lines().find(|line| line.starts_with(name));
        assert!(line.is_some_and(|line| line.contains("| ok ")), "{name}: {sensors}");
    }

    // Its agent is asked every few seconds, so it may have known less at first.
    wait_for("the guest's agent is heard", BOOT, || {
        let status = machine.local(&["status"]).ok();
        let guest = status.lines().find(|line| line.starts_with("Guest:"))?;
        ["Debian GNU/Linux", "node7", "10.0.2.15"].iter().all(|said| guest.contains(said)).then_some(())
    });

    machine.ipmitool(&["chassis", "power", "soft"]).ok();
    machine.wait_power("off", BOOT);
    machine.wait_log("the machine is off: the guest shut down", BOOT);
}

#[test]
fn debian_does_what_user_data_says_in_uefi_mode() {
    let Some(disk) = debian::disk() else { return };
    let key = SshKey::new();
    let setup = Setup::new();
    let user_data = setup.folder.path().join("user-data");
    fs::write(&user_data, "#cloud-config\nwrite_files:\n- {path: /etc/told, content: \"by user-data\\n\"}\n")
        .unwrap();
    let machine = setup
        .with_debian(&disk)
        .with("VM_BOOT_MODE", "uefi")
        .with("VM_USER_DATA", user_data.display())
        .with("VM_SSH_KEY", key.public())
        .start();
    machine.wait_ssh(&key);
    let said = machine.ssh(&key, "hostname; cat /etc/told; test -d /sys/firmware/efi && echo uefi").ok();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        ["test", "by user-data", "uefi"],
        "VM_NAME is its name as well"
    );
}
