//! The agent in the guest: what it says of it, and the harm that it can't do. The guest is the test itself, which is
//! at the other end of the agent's port; a serial port that somebody listens on is all that makes a machine.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    sync::mpsc,
    thread,
};

use serde_json::{Value, json};

use crate::support::{Machine, SOON, Setup, qemu::PlainQemu, wait_for};

/// A machine that is on, and whose agent is `agent`, on each connection anew.
struct Guest {
    machine: Machine,
    _serial: UnixListener,
}

impl Guest {
    fn with_agent(agent: impl Fn(UnixStream) + Send + 'static) -> Self {
        let setup = Setup::new();
        let folder = setup.folder.path().to_owned();
        let serial = UnixListener::bind(folder.join("serial.sock")).unwrap();
        let port = UnixListener::bind(folder.join("agent.sock")).unwrap();
        thread::spawn(move || port.incoming().for_each(|stream| agent(stream.unwrap())));
        let path = |name: &str| folder.join(name).display().to_string();
        let serial_port = format!("unix:{}", path("serial.sock"));
        let machine = setup.start_with(&["attach", "--serial", &serial_port, "--agent", &path("agent.sock")]);
        machine.wait_power("on", SOON);
        Self { machine, _serial: serial }
    }

    fn shown(&self) -> Option<String> {
        let status = self.machine.local(&["status"]).ok();
        status.lines().find_map(|line| line.strip_prefix("Guest:")).map(|line| line.trim().to_owned())
    }
}

/// Answers as qemu-ga does, and passes on what it was asked.
fn answer(stream: UnixStream, asked: &mpsc::Sender<String>) {
    let mut answers = stream.try_clone().unwrap();
    for line in BufReader::new(stream).split(b'\n') {
        let Ok(line) = line else { return };
        let json = line.rsplit(|byte| *byte == 0xff).next().unwrap();
        let request: Value = serde_json::from_slice(json).unwrap();
        let command = request["execute"].as_str().unwrap();
        let _ = asked.send(command.to_owned());
        let answer = match command {
            "guest-sync-delimited" => {
                // An answer to somebody who is gone, and half of another.
                let _ = answers.write_all(b"{\"return\": 1}\n{\"return\": {\"half\": \xff");
                json!({ "return": request["arguments"]["id"] })
            }
            "guest-get-osinfo" => json!({ "return": { "pretty-name": "Debian GNU/Linux 13 (trixie)" } }),
            "guest-get-host-name" => json!({ "return": { "host-name": "node1" } }),
            "guest-network-get-interfaces" => json!({ "return": [
                { "name": "lo", "ip-addresses": [{ "ip-address": "127.0.0.1" }] },
                { "name": "ens3", "ip-addresses": [{ "ip-address": "10.0.2.15" }] },
            ] }),
            _ => json!({ "error": { "class": "CommandNotFound", "desc": "no" } }),
        };
        if writeln!(answers, "{answer}").is_err() {
            return;
        }
    }
}

#[test]
fn what_the_agent_says_of_its_guest_is_shown_as_long_as_it_answers() {
    let (asked, _requests) = mpsc::channel();
    let times = std::sync::atomic::AtomicUsize::new(0);
    let guest = Guest::with_agent(move |stream| {
        // The first one is gone in the middle of it, as with a guest that reboots.
        if times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) > 0 {
            answer(stream, &asked);
        }
    });
    let shown = wait_for("the guest is shown", SOON, || guest.shown());
    assert_eq!(shown, "Debian GNU/Linux 13 (trixie), node1, 10.0.2.15");
    let told = |what| guest.machine.ipmitool(&["mc", "getsysinfo", what]).ok();
    assert!(told("os_name").contains("Debian GNU/Linux 13"), "{}", told("os_name"));
    // What somebody writes goes over it.
    guest.machine.ipmitool(&["mc", "setsysinfo", "system_name", "the-host-of-the-database"]).ok();
    assert!(told("system_name").contains("the-host-of-the-database"), "{}", told("system_name"));
}

#[test]
fn a_guest_that_ignores_its_button_is_asked_to_shut_down_by_its_agent() {
    let setup = Setup::new().with("SOFT_TIMEOUT", "3");
    let folder = setup.folder.path().to_owned();
    let path = |name: &str| folder.join(name).display().to_string();
    let port = UnixListener::bind(folder.join("agent.sock")).unwrap();
    let (asked, requests) = mpsc::channel();
    thread::spawn(move || port.incoming().for_each(|stream| answer(stream.unwrap(), &asked)));
    let ipmi = format!("unix:{}", path("ipmi.sock"));
    let agent = path("agent.sock");
    let machine =
        setup.start_with(&["attach", "--inband", &ipmi, "--qmp", &path("qmp.sock"), "--agent", &agent]);
    // It has no guest that could heed a button.
    let _qemu = PlainQemu::start(&machine, &format!("path={}", path("ipmi.sock")), &["-m", "64"]);
    machine.wait_log("the machine's monitor answers", SOON);
    machine.wait_log("the guest's agent answers", SOON);
    let said: Vec<_> = requests.try_iter().collect();
    assert!(!said.iter().any(|said| said == "guest-shutdown"), "{said:?}");

    machine.ipmitool(&["power", "soft"]).ok();
    wait_for("the agent is asked", SOON, || requests.try_iter().find(|said| said == "guest-shutdown"));
}

#[test]
fn an_agent_that_wants_harm_is_let_go_and_shows_nothing() {
    let hostile: [fn(UnixStream); 4] = [
        // A line without end.
        |mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {},
        // Lines without end, none of which is an answer.
        |mut stream| while stream.write_all(b"{\"return\": 0}\n[[[[\n\xff\n").is_ok() {},
        // An answer to everything that is deeper than any.
        |mut stream| {
            let deep = [&[b'['; 60_000][..], b"\n"].concat();
            while stream.write_all(&deep).is_ok() {}
        },
        // Nothing, and it hangs up.
        drop,
    ];
    let (served, counted) = mpsc::channel();
    let next = std::sync::Mutex::new(hostile.into_iter().cycle());
    let guest = Guest::with_agent(move |stream| {
        let agent = next.lock().unwrap().next().unwrap();
        agent(stream);
        let _ = served.send(());
    });
    for _ in 0..5 {
        counted.recv_timeout(SOON).expect("it is let go");
    }
    assert_eq!(guest.shown(), None);
    assert_eq!(guest.machine.power(), "on");
    let log = guest.machine.log();
    assert!(!log.contains("xxxx") && !log.contains("failed"), "{log}");
}
