//! The event log as clients read, fill and clear it, what the machine's life writes into it, and that nothing
//! that was acknowledged is lost.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::support::{Machine, SOON, Said, Setup, run, signal, wait_for};
use bmc::Password;
use ipmi::{
    CompletionCode,
    client::{Client, ClientError, Credentials},
};

const STORAGE: u8 = 0x0a;
const ADD_SEL_ENTRY: u8 = 0x44;

#[track_caller]
fn assert_says(said: &str, lines: &[&str]) {
    for line in lines {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
}

/// The output of a client that found nothing to complain of.
#[track_caller]
fn clean(said: Said) -> String {
    assert_eq!(said.err, "");
    said.ok()
}

/// Has FreeIPMI read the sensor data records, which it tells on standard error the first time.
fn read_sdr(machine: &Machine) {
    machine.freeipmi("ipmi-sel", &["--info"]).ok();
    machine.freeipmi("ipmi-sel", &[]).ok();
}

/// What ipmitool lists, oldest first, without ids and times.
fn entries(machine: &Machine) -> Vec<String> {
    let said = clean(machine.ipmitool(&["sel", "elist"]));
    said.lines().map(|line| line.splitn(4, " | ").nth(3).unwrap_or(line).to_owned()).collect()
}

/// `ipmitool raw` with these bytes, and the bytes of the answer.
#[track_caller]
fn raw(machine: &Machine, bytes: &[u8]) -> Vec<u8> {
    let words: Vec<String> = bytes.iter().map(|byte| format!("{byte:#04x}")).collect();
    let arguments: Vec<&str> = std::iter::once("raw").chain(words.iter().map(String::as_str)).collect();
    let said = machine.ipmitool(&arguments).ok();
    said.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

fn client(machine: &Machine) -> Client {
    let password = Password::new(b"password").unwrap();
    let credentials = Credentials::new("admin", password);
    Client::login(SocketAddr::new(machine.address(), 6230), credentials, [7; 32]).unwrap()
}

/// An entry that no client decodes, with a number in it.
fn entry(number: u16) -> [u8; 16] {
    let [low, high] = number.to_le_bytes();
    let mut entry = [0; 16];
    (entry[2], entry[14], entry[15]) = (0xe0, high, low);
    entry
}

/// The number in such an entry, as ipmitool prints it, by record id.
fn numbers(said: &str) -> BTreeSet<(u16, u16)> {
    let hex = |text: &str| u16::from_str_radix(text.trim(), 16).unwrap();
    let of_ours = |line: &str| {
        let (id, rest) = line.split_once('|')?;
        Some((hex(id), hex(rest.trim().strip_prefix("OEM record e0 | ")?.get(22..26)?)))
    };
    said.lines().filter_map(of_ours).collect()
}

#[test]
fn entries_are_added_from_a_file() {
    let machine = Setup::new().start();
    let file = machine.folder().join("events");
    fs::write(
        &file,
        "0x04 0x01 0x30 0x01 0x59 0x00 0x00 # a temperature\n0x04 0x0d 0x31 0x6f 0x01 0xff 0xff\n",
    )
    .unwrap();
    clean(machine.ipmitool(&["sel", "add", &file.display().to_string()]));
    let said = clean(machine.ipmitool(&["sel", "list"]));
    assert_says(
        &said,
        &["Temperature #0x30 | Upper Critical going high | Asserted", "Drive Fault | Asserted"],
    );
}

#[test]
fn an_entry_can_be_added_in_parts() {
    let machine = Setup::new().start();
    let reservation = raw(&machine, &[0x0a, 0x42]);
    let [r0, r1] = reservation[..] else { panic!("{reservation:?}") };
    let id = raw(&machine, &[0x0a, 0x45, r0, r1, 0, 0, 0, 0, 0, 0, 0x02, 0, 0, 0, 0]);
    let [i0, i1] = id[..] else { panic!("{id:?}") };
    let rest = [0x20, 0x00, 0x04, 0x0d, 0x31, 0x6f, 0x01, 0xff, 0xff];
    let last = [&[0x0a, 0x45, r0, r1, i0, i1, 7, 1][..], &rest].concat();
    assert_eq!(raw(&machine, &last), [i0, i1]);
    assert_says(
        &machine.ipmitool(&["sel", "list"]).ok(),
        &["Drive Slot / Bay #0x31 | Drive Fault | Asserted"],
    );
}

#[test]
fn ipmitool_reads_saves_deletes_and_clears() {
    let machine = Setup::new().start();
    for event in ["1", "2", "3"] {
        clean(machine.ipmitool(&["event", event]));
    }
    assert_says(
        &clean(machine.ipmitool(&["sel", "info"])),
        &[
            "Entries          : 4",
            "Overflow         : false",
            "# of Alloc Units : 10000",
            "# Free Units     : 9996",
        ],
    );
    assert_says(
        &clean(machine.ipmitool(&["sel", "get", "0x02"])),
        &["Generator ID          : 0081", "Description           : Upper Critical going high"],
    );
    let saved = machine.folder().join("saved");
    clean(machine.ipmitool(&["sel", "save", &saved.display().to_string()]));
    assert_eq!(fs::read_to_string(saved).unwrap().lines().count(), 4);
    let raw = machine.folder().join("raw");
    clean(machine.ipmitool(&["sel", "writeraw", &raw.display().to_string()]));
    assert_eq!(fs::read(raw).unwrap().len(), 4 * 16);

    clean(machine.ipmitool(&["sel", "delete", "1", "3"]));
    let left = entries(&machine);
    assert_eq!(left.len(), 2, "{left:?}");
    assert_says(&left.join("\n"), &["Temperature #0x30 | Upper Critical", "Memory #0x53 | Correctable ECC"]);
    clean(machine.ipmitool(&["sel", "clear"]));
    assert_eq!(entries(&machine), ["Event Logging Disabled SEL | Log area reset/cleared | Asserted"]);
    assert_says(&clean(machine.ipmitool(&["sel", "list", "last", "1"])), &["   5 |"]);
}

#[test]
fn freeipmi_reads_deletes_and_clears() {
    let machine = Setup::new().start();
    read_sdr(&machine);
    let sel = |arguments: &[&str]| clean(machine.freeipmi("ipmi-sel", arguments));
    clean(machine.freeipmi("bmc-device", &["--platform-event=0x04 0x0d 0x31 0x6f 0x00 0x01 0xff 0xff"]));
    assert_says(&sel(&["--info"]), &["Number of log entries                  : 2"]);
    assert_says(
        &sel(&["--output-event-state"]),
        &["| BMC ", "transition to Running", "Critical | Drive Fault"],
    );
    assert_says(&sel(&["-vv", "--interpret-oem-data", "--tail=1"]), &["Generator ID 81h", "Assertion Event"]);
    sel(&["--delete=1"]);
    assert_eq!(sel(&["--no-header-output"]).lines().count(), 1);
    assert_says(&sel(&["--post-clear"]), &["Drive Fault"]);
    assert_says(&sel(&[]), &["Log Area Reset/Cleared"]);
    sel(&["--clear"]);
    assert_says(&sel(&["--no-header-output"]), &["4  | "]);
}

#[test]
fn pyghmi_makes_sentences_of_it() {
    let machine = Setup::new().start();
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    let said = machine.python(
        "
import sys
from pyghmi.ipmi.command import Command
bmc = Command(bmc=sys.argv[1], userid='admin', password='password', port=6230)
for event in bmc.get_event_log(clear=True):
    print(event['component'], event['event'], event.get('event_data', ''))
for event in bmc.get_event_log():
    print(event['component'], event['event'])
",
    );
    let expected = "BMC Running \nPower Unit Power on \nPower State Online \nRestart System restart Remote request\n\
        SEL Log clear\n";
    assert_eq!(said.ok(), expected);
}

#[test]
fn the_clock_is_set_and_both_times_are_in_the_log() {
    let mut machine = Setup::new().start();
    let set = clean(machine.ipmitool(&["sel", "time", "set", "01/02/30 03:04:05"]));
    assert_says(&set, &["01/02/30 03:04:05 UTC"]);
    let before = entries(&machine).len();
    assert_eq!(before, 3, "one of the controller's start, and two of the clock");
    assert_says(
        &clean(machine.ipmitool(&["sel", "list", "last", "1"])),
        &["01/02/30 | 03:04:05", "Clock Sync"],
    );
    let offset = || clean(machine.freeipmi("bmc-device", &["--get-sel-time-utc-offset"]));
    assert_says(&offset(), &["0"]);
    clean(machine.freeipmi("bmc-device", &["--set-sel-time-utc-offset=-90"]));
    assert_says(&offset(), &["-90"]);
    clean(machine.freeipmi("bmc-device", &["--set-sel-time-utc-offset=none"]));
    assert_says(&offset(), &["nspecified"]);

    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    assert_says(&clean(machine.freeipmi("bmc-device", &["--get-sel-time"])), &["01/02/2030 - 03:0"]);
}

#[test]
fn the_machines_life_is_in_the_log() {
    let machine = Setup::new().start();
    let on = || machine.wait_power("on", SOON);
    machine.ipmitool(&["power", "on"]).ok();
    on();
    machine.ipmitool(&["power", "reset"]).ok();
    machine.wait_log("the machine was reset by command", SOON);
    let first = machine.qemu_pid();
    machine.ipmitool(&["power", "cycle"]).ok();
    wait_for("another QEMU", SOON, || machine.qemu_pid().filter(|pid| Some(*pid) != first));
    wait_for("the cycle is over", SOON, || {
        (machine.log().matches("the machine is on").count() == 2).then_some(())
    });
    machine.ipmitool(&["chassis", "bootdev", "pxe"]).ok();
    signal(machine.qemu_pid().unwrap(), "SEGV");
    machine.wait_power("off", SOON);
    machine.local(&["power", "on"]).ok();
    on();
    machine.local(&["power", "off"]).ok();
    machine.wait_power("off", SOON);
    let off = ["Power Unit Power Unit | Power off/down | Asserted", "State | S5/G2: soft-off | Asserted"];
    let started = [
        "Power Unit Power Unit | Power off/down | Deasserted",
        "State | S0/G0: working | Asserted",
        "Restart | System Restart | Asserted",
    ];
    let expected: Vec<&str> = [
        &["Microcontroller BMC | Transition to Running | Asserted"][..],
        &started,
        &["Restart | System Restart | Asserted", "Power Unit Power Unit | Power cycle | Asserted"],
        &off,
        &started,
        &["System | System Reconfigured | Asserted", "Power Unit Power Unit | Failure detected | Asserted"],
        &off,
        &["Power Unit Power Unit | Failure detected | Deasserted"],
        &started,
        &off,
    ]
    .concat();
    let said: Vec<String> = entries(&machine).into_iter().filter(|entry| !entry.contains("going")).collect();
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(said.ends_with(expected), "{said:?} is not {expected:?}");
    }
    read_sdr(&machine);
    let said = clean(machine.freeipmi("ipmi-sel", &["--interpret-oem-data"]));
    assert_says(
        &said,
        &["System Restart ; Chassis Control command", "System Restart ; power-up via power pushbutton"],
    );
}

#[test]
fn the_log_is_read_and_cleared_without_a_network_client() {
    let machine = Setup::new().start();
    machine.ipmitool(&["event", "3"]).ok();
    let said = clean(machine.local(&["sel", "list"]));
    let texts: Vec<&str> = said.lines().map(|line| line.get(29..).unwrap()).collect();
    assert_eq!(texts, ["BMC: running", "memory, sensor 53h of a remote console: correctable error"]);
    assert!(said.starts_with("    1  20"), "{said}");
    machine.wait_log("WARN memory, sensor 53h of a remote console: correctable error", SOON);
    assert_eq!(clean(machine.local(&["sel", "clear"])), "event log cleared\n");
    assert_says(&clean(machine.local(&["sel", "list"])), &["    3  ", "SEL: event log cleared"]);
}

#[test]
fn failed_logins_are_in_the_log() {
    let machine = Setup::new().with("IPMI_LAN15", true).start();
    let address = machine.address().to_string();
    let guess = || {
        let mut command = Command::new("ipmitool");
        command.args(["-I", "lan", "-H", &address, "-p", "6230", "-U", "admin", "-P", "guess", "-R", "1"]);
        run(command.args(["mc", "info"]), SOON).failed();
    };
    guess();
    guess();
    let said = entries(&machine);
    let expected = "Platform Security Sessions | Out-of-band access password violation | Asserted";
    assert_eq!(said[1..], [expected, expected]);
}

#[test]
fn what_was_acknowledged_survives_resets_and_restarts() {
    let mut machine = Setup::new().start();
    let mut client = client(&machine);
    let mut acknowledged = BTreeSet::new();
    for number in 0..50 {
        let (code, id) = client.command(STORAGE, ADD_SEL_ENTRY, &entry(number)).unwrap();
        assert_eq!(code, CompletionCode::OK);
        acknowledged.insert((u16::from_le_bytes([id[0], id[1]]), number));
    }
    let kept = |machine: &Machine| numbers(&clean(machine.ipmitool(&["sel", "list"])));
    assert_eq!(kept(&machine), acknowledged);
    machine.ipmitool(&["mc", "reset", "cold"]).ok();
    wait_for("the controller restarts", SOON, || {
        (machine.log().matches("the machine was left as it was").count() == 1).then_some(())
    });
    assert_eq!(kept(&machine), acknowledged);
    machine.signal("TERM");
    machine.wait_end(SOON);
    machine.launch();
    assert_eq!(kept(&machine), acknowledged);
    let said = entries(&machine).join("\n");
    assert_says(
        &said,
        &["Power Unit Power Unit | AC lost | Asserted", "Power Unit Power Unit | AC lost | Deasserted"],
    );
}

#[test]
fn a_kill_among_additions_loses_none_that_was_acknowledged() {
    let mut machine = Setup::new().start();
    let mut acknowledged = BTreeSet::new();
    let mut number = 0;
    for kill in 0..5_u64 {
        let mut client = client(&machine);
        let pid = machine.pid();
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20 + 17 * kill));
            signal(pid, "KILL");
        });
        loop {
            match client.command(STORAGE, ADD_SEL_ENTRY, &entry(number)) {
                Ok((CompletionCode::OK, id)) => {
                    acknowledged.insert((u16::from_le_bytes([id[0], id[1]]), number));
                }
                Ok((code, _)) => panic!("{code:?}"),
                Err(ClientError::Silent | ClientError::Socket(_)) => break,
                Err(error) => panic!("{error}"),
            }
            number += 1;
        }
        // The one that was not answered may be there or not.
        number += 1;
        killer.join().unwrap();
        machine.wait_end(SOON);
        machine.launch();
        let kept = numbers(&clean(machine.ipmitool(&["sel", "list"])));
        let lost: Vec<_> = acknowledged.difference(&kept).collect();
        assert!(lost.is_empty(), "lost after kill {kill}: {lost:?}");
        assert!(kept.len() <= usize::from(number), "{} entries of {number}", kept.len());
    }
    assert!(acknowledged.len() > 5, "nothing was added before a kill");
}

fn fill(machine: &Machine, entries: u16) -> CompletionCode {
    let mut client = client(machine);
    let mut last = CompletionCode::OK;
    for number in 0..entries {
        (last, _) = client.command(STORAGE, ADD_SEL_ENTRY, &entry(number)).unwrap();
    }
    last
}

#[test]
fn ten_thousand_entries_are_kept_and_read() {
    let mut machine = Setup::new().start();
    assert_eq!(fill(&machine, 10_100), CompletionCode::OK);
    let said = clean(machine.ipmitool(&["sel", "info"]));
    assert_says(&said, &["Entries          : 10000", "Overflow         : true", "# Free Units     : 0"]);
    let list = |machine: &Machine| {
        let start = Instant::now();
        let said = run(machine.ipmitool_command().args(["sel", "list"]), Duration::from_secs(120));
        eprintln!("10,000 entries were read in {:?}", start.elapsed());
        clean(said)
    };
    let before = list(&machine);
    assert_eq!(before.lines().count(), 10_000);
    assert_says(before.lines().last().unwrap(), &["OEM record e0", "002773"]);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    let after = clean(machine.ipmitool(&["sel", "info"]));
    assert_says(&after, &["Entries          : 10000", "Overflow         : true"]);
    let size = fs::metadata(machine.folder().join("state/sel.log")).unwrap().len();
    assert!(size < 2_000_000, "{size} bytes");
}

#[test]
fn a_log_that_stops_when_it_is_full_says_so() {
    let machine = Setup::new().with("SEL_SIZE", 64).with("SEL_FULL", "stop").start();
    assert_eq!(fill(&machine, 100), CompletionCode::OUT_OF_SPACE);
    let said = clean(machine.ipmitool(&["sel", "elist"]));
    assert_eq!(said.lines().count(), 64);
    assert_says(&said, &["SEL | Log almost full | Asserted", "SEL | Log full | Asserted"]);
    assert_says(said.lines().next().unwrap(), &["Microcontroller BMC"]);
    clean(machine.ipmitool(&["sel", "clear"]));
    assert_eq!(fill(&machine, 1), CompletionCode::OK);
}
