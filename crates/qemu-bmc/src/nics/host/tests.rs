//! With real interfaces, each test in a network namespace of its own.

mod changes;
mod frames;
mod namespace;
mod offloads;
mod privilege;
mod undo;
mod wire;

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::*;

const PEER: &str = "peer";
const ETH: &str = "eth2";

struct Bench {
    host: Host,
    run_dir: tempfile::TempDir,
}

impl Bench {
    /// A veth pair as a lab makes it: `eth2` is the node's, `peer` the lab's.
    fn new() -> Self {
        make_wire();
        let run_dir = tempfile::tempdir().unwrap();
        Self { host: Host::open(run_dir.path()).unwrap(), run_dir }
    }

    fn attach(&self, mode: Mode) -> (Attachment, Tap) {
        let attached = self.host.attach(&request(mode));
        let attached = attached.unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
        wait_for_bridge(mode);
        attached
    }
}

fn make_wire() {
    ip(&format!("link add {ETH} type veth peer name {PEER}"));
    ip(&format!("link set {PEER} up"));
    ip(&format!("link set {ETH} up"));
    for end in [PEER, ETH] {
        wait_for("the carrier is noticed", || ip(&format!("link show {end}")).contains("state UP"));
    }
    quiet(PEER);
}

fn request(mode: Mode) -> Request {
    Request { interface: ETH.into(), mode, queues: 1, virtio: false }
}

/// Waits until a bridge forwards, which it does as soon as the kernel has noticed that its ports have a carrier.
fn wait_for_bridge(mode: Mode) {
    if mode == Mode::Bridge {
        for port in [ETH, "qb-eth2"] {
            wait_for("a port forwards", || ip(&format!("-d link show {port}")).contains("state forwarding"));
        }
    }
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Keeps the kernel from sending frames of its own, which would get among those that are looked for.
fn quiet(interface: &str) {
    ip(&format!("link set {interface} addrgenmode none"));
    ip(&format!("addr flush dev {interface}"));
}

fn ip(arguments: &str) -> String {
    run("ip", arguments)
}

fn run(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments}: {error}");
    String::from_utf8(output.stdout).unwrap()
}
