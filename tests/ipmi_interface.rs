//! IPMI over LAN that is bound to one of the container's interfaces (`IPMI_INTERFACE`).

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use crate::support::{
    Machine, SOON, Setup,
    lab::{Lab, Namespace},
    run, wait_for,
};

/// A container with two interfaces, and a host that has a cable to each.
struct Site {
    node: Namespace,
    admin: Namespace,
}

const ETH0: &str = "10.0.0.2";
const ETH1: &str = "10.0.1.2";

impl Site {
    /// The management network alone: the lab's link comes later.
    fn new(lab: Lab) -> Self {
        let site = Self { node: lab.namespace("node"), admin: lab.namespace("admin") };
        site.cable("eth0", "10.0.0");
        site
    }

    fn cable(&self, interface: &str, network: &str) {
        self.node.cable(interface, &self.admin, interface);
        self.node.ip(&format!("addr add {network}.2/24 dev {interface}"));
        self.admin.ip(&format!("addr add {network}.1/24 dev {interface}"));
    }

    fn setup(&self) -> Setup {
        Setup::new().in_namespace(&self.node).with("IPMI_ADDRESS", "all").with("IPMI_INTERFACE", "eth1")
    }

    /// What a client on the host gets from the controller at this address, if it gets anything.
    fn asks(&self, address: &str, arguments: &[&str]) -> Option<String> {
        let mut command = self.admin.enter();
        command.args(["ipmitool", "-I", "lanplus", "-N", "1", "-R", "1", "-H", address, "-p", "6230"]);
        command.args(["-U", "admin", "-P", "password"]).args(arguments);
        let said = run(&mut command, Duration::from_secs(30));
        said.status.success().then_some(said.out)
    }

    #[track_caller]
    fn wait_answer(&self, address: &str) -> String {
        wait_for("an answer", Duration::from_secs(20), || self.asks(address, &["lan", "print", "1"]))
    }

    /// What the node's interface is like, as the client is to see it.
    fn facts(&self, interface: &str, address: &str) -> [String; 3] {
        let mac = self.node.sh(&format!("cat /sys/class/net/{interface}/address"));
        [
            format!("MAC Address             : {}", mac.trim()),
            format!("IP Address              : {address}"),
            "Subnet Mask             : 255.255.255.0".into(),
        ]
    }
}

#[track_caller]
fn assert_shows(said: &str, lines: &[String]) {
    for line in lines {
        assert!(said.lines().any(|shown| shown == line), "no {line:?} in:\n{said}");
    }
}

fn status(machine: &Machine) -> String {
    machine.local(&["status"]).ok()
}

#[test]
fn it_is_answered_on_its_interface_and_on_no_other() {
    let Some(lab) = Lab::here() else { return };
    let site = Site::new(lab);
    site.cable("eth1", "10.0.1");
    let machine = site.setup().start();
    assert_shows(&site.wait_answer(ETH1), &site.facts("eth1", ETH1));
    assert_eq!(site.asks(ETH0, &["mc", "info"]), None, "eth0 is not its interface");
    let inside =
        site.node.says("ipmitool -I lanplus -N 1 -R 1 -H 127.0.0.1 -p 6230 -U admin -P password mc info");
    assert!(!inside.status.success(), "nor is loopback: {inside:?}");
    assert!(status(&machine).contains("IPMI:            udp 0.0.0.0:6230 on eth1\n"), "{}", status(&machine));

    machine.signal("STOP");
    let hung = machine.local(&["healthcheck"]);
    machine.signal("CONT");
    assert!(!hung.status.success(), "{hung:?}");
    machine.local(&["healthcheck"]).ok();
}

#[test]
fn without_the_setting_it_is_answered_on_all() {
    let Some(lab) = Lab::here() else { return };
    let site = Site::new(lab);
    site.cable("eth1", "10.0.1");
    let _machine = site.setup().with("IPMI_INTERFACE", "").start();
    site.wait_answer(ETH0);
    site.wait_answer(ETH1);
}

#[test]
fn an_interface_that_comes_late_or_again_is_waited_for() {
    let Some(lab) = Lab::here() else { return };
    let site = Site::new(lab);
    let machine = site.setup().start();
    machine.wait_log("there is no interface eth1 yet: IPMI waits for it (IPMI_INTERFACE)", SOON);
    assert!(status(&machine).contains("on eth1 (waiting for it)\n"), "{}", status(&machine));
    // The rest runs meanwhile.
    machine.local(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    assert_eq!(site.asks(ETH0, &["mc", "info"]), None);

    site.cable("eth1", "10.0.1");
    site.wait_answer(ETH1);
    machine.wait_log("IPMI is answered on the interface eth1", SOON);

    site.node.ip("link del eth1");
    machine.wait_log("the interface eth1 is gone", SOON);
    machine.local(&["healthcheck"]).ok();
    site.cable("eth1", "10.0.7");
    site.wait_answer("10.0.7.2");
    // The facts follow by themselves, though not at once.
    let expected = site.facts("eth1", "10.0.7.2");
    wait_for("the new interface's facts", SOON, || {
        let said = site.asks("10.0.7.2", &["lan", "print", "1"])?;
        expected.iter().all(|line| said.lines().any(|shown| shown == line)).then_some(())
    });
    assert_eq!(machine.power(), "on");
}

#[test]
fn an_address_that_the_interface_has_not_yet_is_waited_for() {
    let Some(lab) = Lab::here() else { return };
    let site = Site::new(lab);
    site.node.cable("eth1", &site.admin, "eth1");
    let machine = site.setup().with("IPMI_ADDRESS", ETH1).start();
    machine.wait_log(&format!("bind udp {ETH1}:6230 on eth1 for IPMI"), SOON);
    site.node.ip(&format!("addr add {ETH1}/24 dev eth1"));
    site.admin.ip("addr add 10.0.1.1/24 dev eth1");
    site.wait_answer(ETH1);
}

/// A receiver of one datagram, which says where it came from.
struct Receiver(Child, BufReader<ChildStdout>);

impl Receiver {
    fn start(namespace: &Namespace, address: &str) -> Self {
        let program = format!(
            "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('{address}', 162)); \
             print('listening', flush=True); print('from', s.recvfrom(2000)[1][0], flush=True)"
        );
        let mut command = namespace.enter();
        let mut child = command.args(["python3", "-c", &program]).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let mut receiver = Self(child, out);
        assert_eq!(receiver.line(), "listening");
        receiver
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn alerts_leave_by_its_interface() {
    let Some(lab) = Lab::here() else { return };
    let site = Site::new(lab);
    site.cable("eth1", "10.0.1");
    let _machine = site.setup().start();
    // By its routes the node would reach this by eth0.
    site.admin.ip("addr add 10.0.0.9/32 dev lo");
    let mut receiver = Receiver::start(&site.admin, "10.0.0.9");
    let ask = |arguments: &[&str]| site.asks(ETH1, arguments).expect("an answer");
    ask(&["lan", "alert", "set", "1", "1", "ipaddr", "10.0.0.9"]);
    ask(&["raw", "0x04", "0x02", "0x04", "0x20", "0x04", "0x6f", "0x01", "0xff", "0xff"]);
    assert_eq!(receiver.line(), format!("from {ETH1}"));
}
