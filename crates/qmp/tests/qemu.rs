//! The client against the QEMU that is installed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use qmp::commands::*;
use qmp::qapi::{ErrorClass, RunState, ShutdownCause};
use qmp::{Error, Event, EventRecord, Events, Session};
use serde_json::{Value, json};

const QEMU: &str = "qemu-system-x86_64";
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A QEMU that is killed when the test ends.
struct Qemu {
    child: Child,
    folder: tempfile::TempDir,
}

impl Qemu {
    /// A machine that has not started yet; none, and a line that says so, where QEMU is not installed.
    async fn start(arguments: &[&str]) -> Option<(Self, Session)> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("qmp.sock");
        let spawned = Process::new(QEMU)
            .args(["-nodefaults", "-accel", "tcg", "-S", "-display", "none", "-qmp"])
            .arg(format!("unix:{},server=on,wait=off", socket.display()))
            .args(arguments)
            .stdin(Stdio::null())
            .spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: {QEMU} is not installed");
                return None;
            }
            Err(error) => panic!("start {QEMU}: {error}"),
        };
        let qemu = Self { child, folder };
        let limit = Instant::now() + LONG;
        let session = loop {
            match qmp::connect(&socket, LONG).await {
                Err(Error::Connect { .. }) if Instant::now() < limit => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                result => break result.unwrap(),
            }
        };
        Some((qemu, session))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("qmp.sock")
    }

    fn signal(&self, signal: &str) {
        let status = Process::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first event that `wanted` accepts.
async fn event(events: &mut Events, wanted: impl Fn(&Event) -> bool) -> EventRecord {
    let search = async {
        loop {
            let record = events.next().await.expect("an event before the end");
            if wanted(&record.event) {
                return record;
            }
        }
    };
    tokio::time::timeout(LONG, search).await.expect("the event in time")
}

#[tokio::test]
async fn questions_are_answered() {
    let name_and_id = ["-machine", "none", "-name", "node1", "-uuid", "00112233-4455-6677-8899-aabbccddeeff"];
    let Some((_qemu, Session { greeting, client, .. })) = Qemu::start(&name_and_id).await else { return };
    assert!(greeting.version.qemu.major >= 7);
    assert_eq!(client.call(&QueryVersion, LONG).await.unwrap().value, greeting.version);
    assert_eq!(client.call(&QueryName, LONG).await.unwrap().value.name.as_deref(), Some("node1"));
    let uuid = client.call(&QueryUuid, LONG).await.unwrap().value.uuid;
    assert_eq!(uuid, "00112233-4455-6677-8899-aabbccddeeff");
    assert!(!client.call(&QueryKvm, LONG).await.unwrap().value.enabled);
    let status = client.call(&QueryStatus, LONG).await.unwrap().value;
    assert_eq!((status.running, status.status), (false, RunState::Prelaunch));
    let root = client.call(&QomList { path: "/" }, LONG).await.unwrap().value;
    assert!(root.iter().any(|property| property.name == "machine" && property.kind.starts_with("child<")));
    let kind = client.call(&QomGet { path: "/machine", property: "type" }, LONG).await.unwrap().value;
    assert_eq!(kind, json!("none-machine"));
    let text = client.call(&HumanMonitorCommand { command_line: "info name" }, LONG).await.unwrap().value;
    assert_eq!(text.trim(), "node1");
    let names = client.execute("query-commands", Value::Null, LONG).await.unwrap().value;
    assert!(names.as_array().unwrap().contains(&json!({"name": "quit"})));
}

#[tokio::test]
async fn a_refusal_names_its_class() {
    let Some((_qemu, Session { client, .. })) = Qemu::start(&["-machine", "none"]).await else { return };
    let error = client.execute("no-such-command", Value::Null, LONG).await.unwrap_err();
    assert_eq!(error.class(), Some(&ErrorClass::CommandNotFound));
    let missing = QomGet { path: "/no/such/object", property: "type" };
    let error = client.call(&missing, LONG).await.unwrap_err();
    assert_eq!(error.class(), Some(&ErrorClass::DeviceNotFound));
}

#[tokio::test]
async fn events_come_in_order_with_replies_up_to_the_end() {
    let Some((mut qemu, Session { client, mut events, .. })) = Qemu::start(&["-machine", "none"]).await
    else {
        return;
    };
    let cont = client.call(&Cont, LONG).await.unwrap();
    let resume = event(&mut events, |event| *event == Event::Resume).await;
    let stop = client.call(&Stop, LONG).await.unwrap();
    let stopped = event(&mut events, |event| *event == Event::Stop).await;
    assert!(cont.seq < stop.seq && resume.seq < stop.seq && cont.seq < stopped.seq);

    // QEMU may be gone before it has answered.
    match client.call(&Quit, LONG).await {
        Ok(_) | Err(Error::Disconnected { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let shutdown = event(&mut events, |event| matches!(event, Event::Shutdown { .. })).await;
    assert_eq!(shutdown.event, Event::Shutdown { guest: false, reason: ShutdownCause::HostQmpQuit });
    assert!(shutdown.timestamp.is_some());
    assert_eq!(events.next().await, None);
    assert!(qemu.child.wait().unwrap().success());
}

#[tokio::test]
async fn a_hung_qemu_is_a_time_out_and_no_more() {
    let Some((qemu, Session { client, .. })) = Qemu::start(&["-machine", "none"]).await else { return };
    qemu.signal("-STOP");
    let result = client.call(&QueryName, Duration::from_millis(50)).await;
    assert!(matches!(result, Err(Error::Timeout { .. })), "{result:?}");
    qemu.signal("-CONT");
    assert_eq!(client.call(&QueryStatus, LONG).await.unwrap().value.status, RunState::Prelaunch);
}

#[tokio::test]
async fn a_second_client_waits_for_the_first() {
    let Some((qemu, session)) = Qemu::start(&["-machine", "none"]).await else { return };
    let second = qmp::connect(&qemu.socket(), Duration::from_millis(50)).await;
    assert!(matches!(second, Err(Error::NoGreeting(_))), "{second:?}");
    drop(session);
    qmp::connect(&qemu.socket(), LONG).await.unwrap();
}

#[tokio::test]
async fn a_machine_is_worked_by_typed_commands() {
    let machine =
        ["-machine", "q35", "-vga", "std", "-device", "ide-cd,id=cd0,bootindex=1", "-nic", "user,id=nic0"];
    let Some((qemu, Session { client, mut events, .. })) = Qemu::start(&machine).await else { return };

    let bootindex = |value| QomSet { path: "/machine/peripheral/cd0", property: "bootindex", value };
    client.call(&bootindex(json!(-1)), LONG).await.unwrap();
    let reset = client.call(&SystemReset, LONG).await.unwrap();
    let reset_event = event(&mut events, |event| matches!(event, Event::Reset { .. })).await;
    let after = client.call(&bootindex(json!(0)), LONG).await.unwrap();
    assert_eq!(reset_event.event, Event::Reset { guest: false, reason: ShutdownCause::HostQmpSystemReset });
    assert!(reset_event.seq < after.seq && reset.seq < after.seq);

    let image = qemu.folder.path().join("a.iso");
    fs::write(&image, vec![0; 2048]).unwrap();
    let image = image.to_str().unwrap();
    let insert = BlockdevChangeMedium { id: "cd0", filename: image, format: Some("raw"), force: false };
    client.call(&insert, LONG).await.unwrap();
    let closed =
        event(&mut events, |event| matches!(event, Event::DeviceTrayMoved { open: false, .. })).await;
    assert!(matches!(closed.event, Event::DeviceTrayMoved { id, .. } if id == "cd0"));
    let drive = |drives: Vec<BlockDevice>| {
        drives.into_iter().find(|drive| drive.qdev.as_deref() == Some("cd0")).expect("the cd drive")
    };
    let inserted = drive(client.call(&QueryBlock, LONG).await.unwrap().value).inserted.expect("a medium");
    assert_eq!((inserted.file.as_str(), inserted.drv.as_str(), inserted.ro), (image, "raw", true));
    client.call(&Eject { id: "cd0", force: true }, LONG).await.unwrap();
    event(&mut events, |event| matches!(event, Event::DeviceTrayMoved { open: true, .. })).await;
    assert_eq!(drive(client.call(&QueryBlock, LONG).await.unwrap().value).tray_open, Some(true));

    let buses = client.call(&QueryPci, LONG).await.unwrap().value;
    assert!(buses.iter().flat_map(|bus| &bus.devices).any(|device| device.class_info.class == 0x0200));
    client.call(&SetLink { name: "nic0", up: false }, LONG).await.unwrap();
    let screen = qemu.folder.path().join("screen.ppm");
    let dump = Screendump { filename: screen.to_str().unwrap(), format: None };
    client.call(&dump, LONG).await.unwrap();
    assert!(fs::read(&screen).unwrap().starts_with(b"P6"));
    // QEMU takes input for a running guest only.
    client.call(&Cont, LONG).await.unwrap();
    client.call(&SendKey { keys: vec![Key::Qcode("f12")], hold_time: Some(10) }, LONG).await.unwrap();
    let pointer = InputEvent::Btn { button: "left", down: true };
    let key = InputEvent::Key { key: Key::Qcode("esc"), down: true };
    client.call(&InputSendEvent { events: vec![pointer, key] }, LONG).await.unwrap();
    client.call(&InjectNmi, LONG).await.unwrap();
    client.call(&SystemPowerdown, LONG).await.unwrap();
    event(&mut events, |event| *event == Event::Powerdown).await;
}

#[tokio::test]
async fn a_nic_is_plugged_in_with_a_descriptor_of_ours() {
    let machine = ["-machine", "q35", "-device", "pcie-root-port,id=port0,chassis=1"];
    let Some((_qemu, Session { client, .. })) = Qemu::start(&machine).await else { return };
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    client.call_with_descriptor(&GetFd { fdname: "net0-fd" }, theirs.into(), LONG).await.unwrap();
    let netdev = json!({"type": "dgram", "id": "net0", "local": {"type": "fd", "str": "net0-fd"}});
    client.call(&NetdevAdd(netdev), LONG).await.unwrap();
    let device = json!({"driver": "e1000", "id": "nic0", "netdev": "net0", "bus": "port0"});
    client.call(&DeviceAdd(device), LONG).await.unwrap();

    // The other end of ours is open as long as QEMU has it.
    ours.send(&[0xff; 60]).unwrap();
    client.call(&DeviceDel { id: "nic0" }, LONG).await.unwrap();
    client.call(&NetdevDel { id: "net0" }, LONG).await.unwrap();
    let closed = async {
        while ours.send(&[0xff; 60]).is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, closed).await.expect("QEMU closes it with the backend");

    let (_ours, theirs) = UnixDatagram::pair().unwrap();
    client.call_with_descriptor(&GetFd { fdname: "unused" }, theirs.into(), LONG).await.unwrap();
    client.call(&CloseFd { fdname: "unused" }, LONG).await.unwrap();
    let error = client.call(&CloseFd { fdname: "unused" }, LONG).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}
