//! CDs that are changed while the machine runs, as the guest sees them.

use std::{fs, path::Path};

use crate::support::{Machine, READY, SOON, Setup, guest_media, http::WebServer, wait_for};

/// A CD of nothing but a few words.
fn image(folder: &Path, name: &str) -> String {
    let mut contents = format!("this is {name}.").into_bytes();
    contents.resize(64 * 1024, 0);
    fs::write(folder.join(name), contents).unwrap();
    folder.join(name).display().to_string()
}

/// What is on the CD, in the guest's eyes.
fn seen(machine: &Machine) -> String {
    machine.guest_says("head -c 32 /dev/sr0 | tr -dc 'a-z0-9. '").out
}

#[track_caller]
fn wait_seen(machine: &Machine, words: &str) {
    wait_for(&format!("the guest sees {words:?}"), SOON * 2, || seen(machine).contains(words).then_some(()));
}

#[test]
fn a_cd_is_changed_while_the_guest_runs_and_kept_over_power_cycles() {
    let setup = Setup::new().with_disk();
    let folder = setup.folder.path().to_owned();
    let (first, second) = (image(&folder, "first.iso"), image(&folder, "second.iso"));
    let web = WebServer::start(&folder);
    let mut machine = setup.with("VM_CDROM", &first).with("POWER_ON_AT_START", "true").start();
    machine.wait_printed(READY, 1);
    wait_seen(&machine, "this is first.iso.");

    machine.local(&["media", "insert", &second]).ok();
    wait_seen(&machine, "this is second.iso.");

    // A guest that uses a CD holds the tray shut, and is not robbed of it unless somebody insists.
    machine.guest_does("exec 3</dev/sr0");
    let said = machine.local(&["media", "insert", &first]).failed();
    assert!(said.contains("holds the tray shut") && said.contains("--force"), "{said}");
    assert_eq!(machine.local(&["media"]).ok(), format!("cdrom0  {second}\n"));
    let url = web.url("first.iso");
    machine.local(&["media", "insert", "--force", &url]).ok();
    wait_seen(&machine, "this is first.iso.");
    assert_eq!(machine.local(&["media"]).ok(), format!("cdrom0  {url}\n"));

    machine.local(&["media", "eject", "--force"]).ok();
    assert_eq!(machine.local(&["media"]).ok(), "cdrom0  empty\n");
    wait_seen(&machine, "No medium found");

    // What is put in while the machine is off is there when it starts, whoever restarts in between.
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    machine.local(&["media", "insert", &second]).ok();
    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    machine.wait_printed(READY, 2);
    wait_seen(&machine, "this is second.iso.");
}

#[test]
fn a_cd_on_a_web_server_boots() {
    let web = WebServer::start(&guest_media());
    let machine = Setup::new()
        .with("VM_DISK", "none")
        .with("VM_CDROM", web.url("cd.iso"))
        .with("POWER_ON_AT_START", "true")
        .start();
    machine.wait_printed("booted medium=cdrom", 1);
}
