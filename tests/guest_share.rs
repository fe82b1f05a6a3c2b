//! Folders that a guest shares with the machine that it runs on.

use std::{fs, path::PathBuf};

use crate::support::{BOOT, Machine, SOON, Setup, run, signal, wait_for};

/// A machine with folders to share, each with a file in it.
fn with_folders(folders: &[&str]) -> (Setup, Vec<PathBuf>) {
    let setup = Setup::new().with_disk();
    let made = folders.iter().map(|name| {
        let folder = setup.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("theirs"), "from outside\n").unwrap();
        folder
    });
    let made = made.collect();
    (setup, made)
}

/// The process that serves a folder, as `status` shows it.
fn server(machine: &Machine) -> Option<i32> {
    let status = machine.local(&["status"]).ok();
    let line = status.lines().find(|line| line.contains("the shared folder"))?;
    line.split(|char: char| !char.is_ascii_digit()).filter_map(|word| word.parse().ok()).next_back()
}

#[test]
fn a_folder_is_shared_by_virtiofs_with_a_guest_that_has_nodes_of_memory() {
    let (setup, folders) = with_folders(&["data"]);
    let share = format!("data:{}", folders[0].display());
    let machine = setup.with("VM_SHARE", share).with("VM_NUMA", 2).with("VM_MACHINE", "pc").start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_ready(1);
    machine
        .guest_says(
            "mkdir -p /mnt && modprobe virtiofs && mount -t virtiofs data /mnt && grep outside /mnt/theirs",
        )
        .ok();
    machine.guest_says("echo from within > /mnt/ours && mkdir /mnt/sub && chown 12:34 /mnt/ours").ok();
    assert_eq!(fs::read_to_string(folders[0].join("ours")).unwrap(), "from within\n");
    assert!(folders[0].join("sub").is_dir());
    fs::write(folders[0].join("later"), "later\n").unwrap();
    machine.guest_says("grep later /mnt/later && ls -ln /mnt/ours | grep -E ' 12 +34 '").ok();
    let nodes = machine.guest_says("cat /sys/devices/system/node/online").ok();
    assert!(nodes.contains("0-1"), "{nodes}");

    let lost = server(&machine).expect("a server");
    signal(lost, "KILL");
    machine.wait_log("the shared folder data (virtiofsd)", SOON);
    machine.wait_log("the guest waits in vain", SOON);
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_ready(2);
    machine
        .guest_says(
            "mkdir -p /mnt && modprobe virtiofs && mount -t virtiofs data /mnt && grep within /mnt/ours",
        )
        .ok();
    let next = server(&machine).expect("a server again");
    assert_ne!(next, lost);
    machine.ipmitool(&["power", "off"]).ok();
    wait_for("the server ends with its machine", BOOT, || {
        (!PathBuf::from(format!("/proc/{next}")).exists()).then_some(())
    });
}

/// And it has no reason to think that it is a guest, which is a matter of the same machine to save another boot.
#[test]
fn folders_are_shared_by_9p_one_of_them_for_reading_alone() {
    let (setup, folders) = with_folders(&["data", "fixed"]);
    let share = format!("data:{},fixed:{}:ro", folders[0].display(), folders[1].display());
    let setup = setup.with("VM_SHARE", share).with("VM_SHARE_MODE", "9p").with("VM_HIDE_HYPERVISOR", true);
    let machine = setup.start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_ready(1);
    machine.guest_does("modprobe -a 9pnet_virtio 9p; mkdir -p /mnt /tmp/fixed");
    machine.guest_says("mount -t 9p -o trans=virtio data /mnt && grep outside /mnt/theirs").ok();
    machine.guest_says("mount -t 9p -o trans=virtio fixed /tmp/fixed && grep outside /tmp/fixed/theirs").ok();
    machine.guest_says("echo from within > /mnt/ours").ok();
    assert_eq!(fs::read_to_string(folders[0].join("ours")).unwrap(), "from within\n");
    machine.guest_says("echo x > /tmp/fixed/ours").failed();
    assert!(!folders[1].join("ours").exists());

    machine.guest_says("grep -w hypervisor /proc/cpuinfo").failed();
    let tables = machine.guest_says("dmidecode").ok();
    assert!(tables.contains("Generic"), "{tables}");
    for word in ["QEMU", "Bochs", "SeaBIOS", "i440", "q35"] {
        assert!(!tables.contains(word), "{word} in {tables}");
    }
    let acpi = machine.guest_says("head -c 36 /sys/firmware/acpi/tables/FACP | strings").ok();
    assert!(acpi.contains("GENERI") && !acpi.contains("BOCHS"), "{acpi}");
}

#[test]
fn what_can_not_be_shared_is_named_before_anything_starts() {
    let (setup, folders) = with_folders(&["data"]);
    let file = folders[0].join("theirs");
    let setup = setup.with("VM_SHARE", format!("a:/no/such/folder,b:{}", file.display()));
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    assert!(said.contains("/no/such/folder does not exist"), "{said}");
    assert!(said.contains(&format!("{} is not a folder", file.display())), "{said}");
}
