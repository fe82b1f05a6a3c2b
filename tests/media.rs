//! What becomes of CDs that can't be had, without a guest that would care.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Stdio,
    sync::mpsc,
    thread,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;

use crate::support::{Machine, SOON, Setup, http::WebServer, own_address, qemu::Qmp, wait_for};

fn on(setup: Setup) -> Machine {
    let machine = setup.start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    machine
}

#[test]
fn what_cannot_be_put_into_a_drive_is_told_and_the_drive_is_as_it_was() {
    let setup = Setup::new().with("VM_CDROM2", "none");
    let folder = setup.folder.path().to_owned();
    let good = folder.join("good.iso");
    fs::write(&good, vec![0; 64 * 1024]).unwrap();
    let good = good.display().to_string();
    let pipe = folder.join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let pipe = pipe.display().to_string();
    let web = WebServer::start(&folder);
    let machine = on(setup);
    machine.local(&["media", "insert", "--drive", "cdrom1", &good]).ok();

    for (arguments, why) in [
        (&["insert", "--drive", "cdrom1", "/nowhere.iso"][..], "No such file"),
        (&["insert", "--drive", "cdrom1", "/tmp"], "is a folder"),
        (&["insert", "--drive", "cdrom1", &pipe], "is no regular file"),
        (&["insert", "--drive", "cdrom1", &web.url("absent.iso")], "404"),
        (&["insert", "--drive", "cdrom1", "ftp://example.org/a.iso"], "those of http and https are read"),
        (&["eject", "--drive", "cdrom2"], "there is no drive cdrom2; there is cdrom0, cdrom1"),
    ] {
        let said = machine.local(&[&["media"], arguments].concat()).failed();
        assert!(said.contains(why), "{arguments:?}: no {why:?} in {said}");
        assert_eq!(machine.local(&["media"]).ok(), format!("cdrom0  empty\ncdrom1  {good}\n"));
    }
}

#[test]
fn a_web_server_without_byte_ranges_is_named_as_the_reason() {
    let server = TcpListener::bind((own_address(), 0)).unwrap();
    let url = format!("http://{}/a.iso", server.local_addr().unwrap());
    thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 65536\r\n\r\n");
        }
    });
    let machine = on(Setup::new());
    let said = machine.local(&["media", "insert", &url]).failed();
    assert!(said.contains("byte ranges"), "{said}");

    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    machine.local(&["media", "insert", &url]).ok();
    machine.local(&["power", "on"]).ok();
    machine.wait_log("the machine did not start", SOON);
    assert!(machine.log().contains("byte ranges"), "{}", machine.log());
}

#[test]
fn a_tray_that_is_opened_is_shown() {
    let machine = on(Setup::new());
    let mut qmp = Qmp::connect(&machine);
    let shown = |open: bool| {
        wait_for("the tray is shown as it is", SOON, || {
            (machine.local(&["media"]).ok().contains("opened the tray") == open).then_some(())
        });
    };
    qmp.execute("blockdev-open-tray", json!({ "id": "cdrom0" }));
    shown(true);
    qmp.execute("blockdev-close-tray", json!({ "id": "cdrom0" }));
    shown(false);
}

fn small_image(machine: &Machine) -> String {
    let path = machine.folder().join("good.iso");
    fs::write(&path, vec![0; 64 * 1024]).unwrap();
    path.display().to_string()
}

#[test]
fn what_others_do_with_a_drive_is_shown_also_if_it_was_done_while_nobody_looked() {
    let mut machine = on(Setup::new());
    let good = small_image(&machine);
    machine.local(&["media", "insert", &good]).ok();
    let mut qmp = Qmp::connect(&machine);
    qmp.execute("blockdev-open-tray", json!({ "id": "cdrom0" }));
    qmp.execute("blockdev-remove-medium", json!({ "id": "cdrom0" }));
    qmp.execute("blockdev-close-tray", json!({ "id": "cdrom0" }));
    wait_for("the drive is shown as empty", SOON, || {
        (machine.local(&["media"]).ok() == "cdrom0  empty\n").then_some(())
    });

    machine.signal("KILL");
    machine.wait_end(SOON);
    let medium = json!({ "driver": "file", "filename": good });
    let node = json!({ "node-name": "others", "driver": "raw", "read-only": true, "file": medium });
    qmp.execute("blockdev-add", node);
    qmp.execute("blockdev-open-tray", json!({ "id": "cdrom0" }));
    qmp.execute("blockdev-insert-medium", json!({ "id": "cdrom0", "node-name": "others" }));
    qmp.execute("blockdev-close-tray", json!({ "id": "cdrom0" }));
    machine.launch();
    wait_for("the drive is shown as it is", SOON, || {
        (machine.local(&["media"]).ok() == format!("cdrom0  {good}\n")).then_some(())
    });
}

#[test]
fn a_controller_that_is_killed_in_the_middle_of_a_change_leaves_a_drive_that_can_be_changed() {
    let server = TcpListener::bind((own_address(), 0)).unwrap();
    let url = format!("http://{}/a.iso", server.local_addr().unwrap());
    let (asks, asked) = mpsc::channel();
    let (answer, may_answer) = mpsc::channel::<()>();
    thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = asks.send(());
            // It is answered when nobody is left to say so.
            let _ = may_answer.recv();
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 65536\r\n\r\n");
        }
    });
    let mut machine = on(Setup::new());
    let good = small_image(&machine);
    let mut insert = machine.setup.command(&["media", "insert", &url]);
    let mut insert = insert.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    asked.recv_timeout(SOON).unwrap();
    machine.signal("KILL");
    machine.wait_end(SOON);
    assert!(!insert.wait().unwrap().success());
    drop(answer);
    machine.launch();
    machine.local(&["media", "insert", &good]).ok();
    assert_eq!(machine.local(&["media"]).ok(), format!("cdrom0  {good}\n"));
}

#[test]
fn what_was_inserted_is_checked_and_where_it_is_missing_the_way_out_is_named() {
    let machine = Setup::new().start();
    let good = small_image(&machine);
    machine.local(&["media", "insert", &good]).ok();
    let said = machine.local(&["check"]).ok();
    assert!(said.contains(&format!("cdrom0 has {good} in it")), "{said}");
    assert!(said.contains("drive=cdrom0-image"), "{said}");

    fs::remove_file(&good).unwrap();
    machine.local(&["power", "on"]).ok();
    machine.wait_log("the machine did not start: drive cdrom0: open", SOON);
    machine.wait_log("qemu-bmc media eject --drive cdrom0", SOON);
    machine.local(&["media", "eject", "--drive", "cdrom0"]).ok();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
}
