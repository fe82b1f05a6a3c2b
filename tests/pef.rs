//! Event filters and alerts: as ipmitool and FreeIPMI set them up, and as net-snmp's daemon gets the traps.

use std::{
    fs,
    net::{IpAddr, UdpSocket},
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::support::{Machine, SOON, Setup, run, wait_for};

/// The guest's kernel panicked, as a remote console says it.
const PANIC: [&str; 9] = ["0x04", "0x02", "0x04", "0x20", "0x04", "0x6f", "0x01", "0xff", "0xff"];

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[track_caller]
fn pef(machine: &Machine, arguments: &[&str]) -> String {
    let said = machine.ipmitool(&[&["pef"], arguments].concat());
    assert_eq!(said.err, "", "{said:#?}");
    said.ok()
}

fn raw(machine: &Machine, bytes: &[&str]) {
    machine.ipmitool(&[&["raw"], bytes].concat()).ok();
}

/// A receiver of traps, on the machine's own address.
fn receiver(machine: &Machine, port: u16) -> UdpSocket {
    let socket = UdpSocket::bind((machine.address(), port)).unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, IpAddr) {
    let mut datagram = [0; 1500];
    let (size, from) = socket.recv_from(&mut datagram).unwrap();
    (datagram[..size].to_vec(), from.ip())
}

/// The machine with its first destination at its own address.
fn with_destination(port: u16) -> Machine {
    let machine = Setup::new().with("IPMI_TRAP_PORT", port).start();
    let address = machine.address().to_string();
    machine.ipmitool(&["lan", "alert", "set", "1", "1", "ipaddr", &address]).ok();
    machine
}

/// net-snmp's daemon, ended when it goes out of scope.
struct Daemon(Child);

impl Daemon {
    fn start(machine: &Machine, port: u16) -> Self {
        let folder = machine.folder();
        let configuration = folder.join("snmptrapd.conf");
        fs::write(&configuration, "disableAuthorization yes\n").unwrap();
        let mut command = Command::new("snmptrapd");
        command.env("SNMP_PERSISTENT_DIR", folder.join("snmp"));
        command.args(["-f", "-C", "-M", "", "-m", "", "-On", "-F", "trap %w|%q|%A|%v\\n"]);
        command.arg("-c").arg(configuration).arg("-Lf").arg(folder.join("traps"));
        command.arg(format!("{}:{port}", machine.address()));
        let daemon = Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let listens = || fs::read_to_string(folder.join("traps")).ok()?.contains("NET-SNMP").then_some(());
        wait_for("snmptrapd listens", SOON, listens);
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_trap_reaches_its_receiver_and_is_understood() {
    let machine = with_destination(16_200);
    let _daemon = Daemon::start(&machine, 16_200);
    raw(&machine, &PANIC);
    let traps = wait_for("a trap", SOON, || {
        let traps = fs::read_to_string(machine.folder().join("traps")).unwrap();
        (traps.contains("Hex-STRING") && traps.ends_with('\n')).then_some(traps)
    });
    machine.wait_log(&format!("alert 1 sent to {}", machine.address()), SOON);

    // Enterprise-specific, of sensor type 20h, event type 6Fh, offset 1.
    let trap = &traps[traps.find("trap ").unwrap()..];
    assert_says(trap, &["trap 6|.2125569|", ".1.3.6.1.4.1.3183.1.1.1 = Hex-STRING: "]);
    let octets: Vec<&str> = trap.split("Hex-STRING: ").nth(1).unwrap().split_whitespace().collect();
    assert_eq!(octets.len(), 47);
    let cache = machine.folder().display().to_string();
    let arguments = [&["--sdr-cache-directory", &cache, "-v", "2125569"], &octets[..]].concat();
    let said = machine.freeipmi("ipmi-pet", &arguments).ok();
    assert_says(
        &said,
        &["OS Critical Stop", "Critical condition", "Assertion Event", "Run-time Critical Stop"],
    );
}

#[test]
fn an_alert_is_repeated_until_it_is_acknowledged() {
    let machine = with_destination(16_200);
    for setting in [["ack", "on"], ["time", "1"], ["retry", "7"]] {
        machine.ipmitool(&[&["lan", "alert", "set", "1", "1"], &setting[..]].concat()).ok();
    }
    let socket = receiver(&machine, 16_200);
    raw(&machine, &PANIC);
    let (first, from) = receive(&socket);
    assert_eq!(from, machine.address());
    let (again, _) = receive(&socket);
    let octets = |datagram: &[u8]| datagram[datagram.len() - 47..].to_vec();
    assert_eq!(octets(&again), octets(&first), "the same trap, with the same sequence number");

    // FreeIPMI acknowledges without a session.
    let octets: Vec<String> = octets(&first).iter().map(|byte| format!("{byte:02X}")).collect();
    let mut acknowledge = Command::new("ipmi-pet");
    acknowledge.args(["-D", "LAN_2_0", "-h", &format!("{}:6230", machine.address()), "--pet-acknowledge"]);
    run(acknowledge.arg("2125569").args(octets), SOON).ok();
    // What was sent until then is still there to be read.
    socket.set_read_timeout(Some(Duration::from_secs(4))).unwrap();
    let left = std::iter::from_fn(|| socket.recv_from(&mut [0; 1500]).ok()).count();
    assert!(left <= 2, "{left} more came after the acknowledgement");
}

#[test]
fn a_filter_switches_the_machine_off() {
    let machine = Setup::new().start();
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    // Filter 12: enabled, power off, for sensor type 20h.
    let mut filter =
        vec!["0x04", "0x12", "0x06", "0x0c", "0x80", "0x02", "0x00", "0x00", "0xff", "0xff", "0x20"];
    filter.extend(["0xff", "0xff", "0xff", "0xff"]);
    filter.extend(["0x00"; 9]);
    raw(&machine, &filter);
    raw(&machine, &PANIC);
    machine.wait_power("off", SOON);
    machine.wait_log("power off requested by event filter 12", SOON);
}

#[test]
fn ipmitool_shows_and_changes_filters_and_policies() {
    let mut machine = Setup::new().start();
    assert_says(&pef(&machine, &["info"]), &["0x51 | 20 | 20 |", "Alert,Power-off,Reset,Power-cycle"]);
    assert_says(&pef(&machine, &["status"]), &["| PEF | Alert,Power-off,Reset,Power-cycle"]);
    assert_says(
        &pef(&machine, &["filter", "list"]),
        &["1 | enabled, configurable | Temperature | Any | Warning | Threshold", "20 | disabled"],
    );
    assert_says(
        &pef(&machine, &["policy", "list"]),
        &["1 | 1 | enabled | Match-always | 1 | 802.3 LAN | PET"],
    );
    pef(&machine, &["filter", "disable", "1"]);
    pef(&machine, &["policy", "disable", "1"]);
    machine.wait_log("(alert policy table) set by user 2", SOON);
    machine.signal("KILL");
    machine.wait_end(SOON);
    machine.launch();
    assert_says(&pef(&machine, &["filter", "list"]), &["1 | disabled, configurable\n"]);
    assert_says(&pef(&machine, &["policy", "list"]), &["1 | 1 | disabled"]);
    pef(&machine, &["filter", "enable", "1"]);
    pef(&machine, &["policy", "enable", "1"]);
    assert_says(&pef(&machine, &["filter", "list"]), &["1 | enabled, configurable | Temperature"]);
}

#[test]
fn freeipmi_commits_what_it_checked_out() {
    let machine = Setup::new().start();
    let file = machine.folder().join("pef.conf").display().to_string();
    let name = format!("--filename={file}");
    for step in ["--checkout", "--commit", "--diff"] {
        let said = machine.freeipmi("ipmi-config", &["--category=pef", step, &name]);
        assert_eq!((said.out.as_str(), said.err.as_str()), ("", ""), "{step}: {said:#?}");
        said.ok();
    }
    let said = machine.freeipmi("ipmi-pef-config", &["--info"]);
    assert_eq!(said.err, "");
    assert_says(
        &said.ok(),
        &[
            "Number of Event Filters                : 20",
            "Alert action                           : supported",
        ],
    );
}
