//! Disks as files: how they are made, what stays of them, and what is said of those that can't be used. QEMU is
//! started, and no guest waited for.

use std::{fs, path::Path, process::Command};

use crate::support::{Machine, SOON, Setup, run, wait_for};

fn qemu_img(arguments: &[&str]) -> String {
    run(Command::new("qemu-img").args(arguments), SOON).ok()
}

fn info(path: &Path) -> serde_json::Value {
    let path = path.to_str().unwrap();
    serde_json::from_str(&qemu_img(&["info", "--force-share", "--output=json", path])).unwrap()
}

fn power_on(machine: &Machine) {
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
}

fn power_off(machine: &Machine) {
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
}

/// Why the machine does not start.
#[track_caller]
fn refused(setup: Setup) -> String {
    let machine = setup.start();
    machine.local(&["power", "on"]).ok();
    const MARK: &str = "the machine did not start: ";
    let log = wait_for("the start fails", SOON, || Some(machine.log()).filter(|log| log.contains(MARK)));
    log.split_once(MARK).unwrap().1.lines().next().unwrap().to_owned()
}

#[test]
fn an_absent_disk_is_made_and_grows_and_never_shrinks() {
    let setup = Setup::new().with("VM_DISK_SIZE", "2G");
    let folder = setup.folder.path().to_owned();
    let disk = folder.join("disk.qcow2");
    let setup = setup.with("VM_DISK2", folder.join("second.raw").display()).with("VM_DISK2_SIZE", "8M");
    // A start that was killed half way has left this.
    fs::write(folder.join(".disk.qcow2.new"), "half").unwrap();
    let checked = run(&mut setup.command(&["check"]), SOON).ok();
    assert!(checked.contains("power on makes it, qcow2 of 2G") && !disk.exists(), "{checked}");
    let mut machine = setup.start();
    power_on(&machine);
    assert_eq!(
        (info(&disk)["format"].as_str(), info(&disk)["virtual-size"].as_u64()),
        (Some("qcow2"), Some(2 << 30))
    );
    assert_eq!(fs::metadata(folder.join("second.raw")).unwrap().len(), 8 << 20);
    assert!(!folder.join(".disk.qcow2.new").exists());

    for (size, becomes) in [("3G", 3 << 30), ("1G", 3_u64 << 30)] {
        power_off(&machine);
        machine.signal("TERM");
        machine.wait_end(SOON);
        machine.setup.environment.insert("VM_DISK_SIZE".into(), size.into());
        machine.launch();
        power_on(&machine);
        assert_eq!(info(&disk)["virtual-size"].as_u64(), Some(becomes), "{size}");
    }
    machine.wait_log("a disk never shrinks", SOON);
}

#[test]
fn a_raw_disk_stays_raw_whatever_its_guest_writes() {
    let setup = Setup::new();
    let folder = setup.folder.path().to_owned();
    let (disk, other) = (folder.join("disk"), folder.join("other.qcow2"));
    fs::File::create(&disk).unwrap().set_len(4 << 20).unwrap();
    let machine = setup.with("VM_DISK", disk.display()).start();
    power_on(&machine);
    power_off(&machine);
    // What a guest could do: a header that has the host open another of its files.
    qemu_img(&[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-F",
        "raw",
        "-b",
        "/etc/passwd",
        other.to_str().unwrap(),
        "4M",
    ]);
    let header = fs::read(&other).unwrap();
    let mut file = fs::File::options().write(true).open(&disk).unwrap();
    std::io::Write::write_all(&mut file, &header).unwrap();
    drop(file);
    assert_eq!(info(&disk)["format"], "qcow2", "the header is good");

    power_on(&machine);
    machine.wait_log("it stays raw", SOON);
    let open = fs::read_dir(format!("/proc/{}/fd", machine.qemu_pid().unwrap())).unwrap();
    let open: Vec<_> = open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
    assert!(open.contains(&disk) && !open.contains(&"/etc/passwd".into()), "{open:#?}");
}

#[test]
fn what_cannot_be_a_disk_is_told_with_the_reason() {
    let file = |name: &str, contents: &[u8]| {
        let setup = Setup::new();
        let path = setup.folder.path().join(name);
        fs::write(&path, contents).unwrap();
        setup.with("VM_DISK", path.display())
    };
    let html = b"<html><body>404 Not Found</body></html>".repeat(20);
    for (setup, why) in [
        (file("disk.qcow2", &html), "it is no qcow2 image, as its name says"),
        (file("disk.img", b""), "it is empty"),
        (file("disk.qcow2", b"\xfd7zXZ\0 and so on"), "it is compressed (xz): unpack it first"),
        (Setup::new().with("VM_DISK", "/dev/null"), "it is neither a file nor a block device"),
    ] {
        let said = refused(setup);
        assert!(said.contains(why), "no {why:?} in {said}");
    }
    let setup = Setup::new().with("VM_DISK2", "/dev/sdz");
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    assert!(said.contains("docker run --device=/dev/sdz"), "{said}");
}

#[test]
fn a_damaged_disk_is_told_and_left_alone() {
    let setup = Setup::new().with("VM_DISK_SIZE", "16M");
    let disk = setup.folder.path().join("disk.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", disk.to_str().unwrap(), "16M"]);
    // The mark that QEMU makes when it finds damage: bit 1 of the incompatible features.
    let mut image = fs::read(&disk).unwrap();
    image[79] |= 2;
    fs::write(&disk, &image).unwrap();
    let said = refused(setup.with("VM_DISK", disk.display()));
    assert!(said.contains("it is damaged") && said.contains("qemu-img check"), "{said}");
}

#[test]
fn a_disk_that_another_machine_uses_is_told_with_its_process() {
    let first = Setup::new().with("VM_DISK_SIZE", "16M").start();
    power_on(&first);
    let disk = first.folder().join("disk.qcow2");
    let said = refused(Setup::new().with("VM_DISK", disk.display()));
    let process = format!("is in use by process {} (qemu-system", first.qemu_pid().unwrap());
    assert!(said.contains(&process), "no {process:?} in {said}");
}

#[test]
fn a_disk_for_which_there_is_no_room_is_not_made_by_half() {
    let setup = Setup::new();
    let small = setup.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let Some(setup) = setup.with_small_disk(&small) else { return };
    let disk = small.join("disk.qcow2");
    let said = refused(setup.with("VM_DISK", disk.display()).with("VM_DISK_SIZE", "20G"));
    assert!(said.contains("No space left on device"), "{said}");
}

#[test]
fn files_that_an_image_names_elsewhere_are_told() {
    let elsewhere = tempfile::Builder::new().prefix("qemu-bmc-test-").tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, [b'x'; 1024]).unwrap();
    let setup = Setup::new();
    let disk = setup.folder.path().join("strange.qcow2");
    let (secret, disk) = (secret.to_str().unwrap(), disk.to_str().unwrap());
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, disk]);
    let check = |setup: Setup| run(&mut setup.command(&["check"]), SOON).ok();
    let said = check(setup.with("VM_DISK", disk));
    assert!(said.contains("names files in other folders") && said.contains(secret), "{said}");
}

#[test]
fn nodes_share_a_base_and_an_overlay_knows_its_own() {
    let base = tempfile::Builder::new().prefix("qemu-bmc-test-").tempdir().unwrap();
    let image = base.path().join("debian.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", image.to_str().unwrap(), "16M"]);
    let nodes: Vec<_> = (0..2)
        .map(|_| Setup::new().with("VM_DISK_BASE", image.display()).with("VM_DISK_SIZE", "1G").start())
        .collect();
    for node in &nodes {
        power_on(node);
        let disk = info(&node.folder().join("disk.qcow2"));
        assert_eq!(disk["full-backing-filename"].as_str(), image.to_str());
        assert_eq!(disk["virtual-size"].as_u64(), Some(1 << 30));
    }
    power_off(&nodes[0]);
    let other = base.path().join("other.qcow2");
    fs::copy(&image, &other).unwrap();
    let disk = nodes[0].folder().join("disk.qcow2");
    let said = refused(Setup::new().with("VM_DISK", disk.display()).with("VM_DISK_BASE", other.display()));
    assert!(said.contains("an overlay is worth nothing on another base"), "{said}");
}

#[test]
fn the_host_is_asked_for_disks_as_it_was_said() {
    let setup =
        Setup::new().with("VM_DISK_SIZE", "16M").with("VM_DISK_CACHE", "none").with("VM_DISK_AIO", "native");
    let setup = setup.with("VM_DISK_DISCARD", "ignore").with("VM_DISK_BUS", "scsi");
    let machine = setup.start();
    power_on(&machine);
    let line = fs::read(format!("/proc/{}/cmdline", machine.qemu_pid().unwrap())).unwrap();
    let line = String::from_utf8_lossy(&line).into_owned();
    for part in
        ["\"aio\":\"native\"", "\"direct\":true", "\"discard\":\"ignore\"", "scsi-hd,bus=scsi0.0,id=disk0"]
    {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let setup = Setup::new().with("VM_DISK_SIZE", "16M").with("VM_DISK_AIO", "native");
    let said = run(&mut setup.command(&["check"]), SOON).failed();
    assert!(said.contains("VM_DISK_AIO=native needs VM_DISK_CACHE=none or directsync"), "{said}");
}
