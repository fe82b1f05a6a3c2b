//! With real interfaces, each test in a network namespace of its own.

mod namespace;
mod wire;

use std::process::Command;

use super::*;
use namespace::in_namespace;
use wire::{Raw, TapEnd};

const PEER: &str = "peer";
const ETH: &str = "eth2";

struct Bench {
    host: Host,
    run_dir: tempfile::TempDir,
}

impl Bench {
    /// A veth pair as a lab makes it: `eth2` is the node's, `peer` the lab's.
    fn new() -> Self {
        ip(&format!("link add {ETH} type veth peer name {PEER}"));
        ip(&format!("link set {PEER} up"));
        quiet(PEER);
        let run_dir = tempfile::tempdir().unwrap();
        Self { host: Host::open(run_dir.path()).unwrap(), run_dir }
    }

    fn attach(&self, mode: Mode) -> (Attachment, Tap) {
        self.host.attach(&request(mode)).unwrap_or_else(|error| panic!("{}", crate::chain(&error)))
    }
}

fn request(mode: Mode) -> Request {
    Request { interface: ETH.into(), mode, queues: 1, virtio: false }
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

/// Last octets of 01:80:c2:00:00:0X, what is after the addresses, and whose they are.
const LINK_LOCAL: [(u8, &[u8]); 4] = [
    (0x0e, &[0x88, 0xcc]),        // LLDP
    (0x02, &[0x88, 0x09]),        // LACP
    (0x00, &[0, 38, 0x42, 0x42]), // STP
    (0x03, &[0x88, 0x8e]),        // 802.1X
];
const BROADCAST: [u8; 6] = [0xFF; 6];
const SOMEBODY: [u8; 6] = [2, 0, 0, 0, 0, 7];
const IPV4: &[u8] = &[0x08, 0x00];
/// EtherType of no protocol (IEEE 802 local experimental).
const EXPERIMENTAL: &[u8] = &[0x88, 0xb5];
const VLAN: &[u8] = &[0x81, 0x00, 0x60, 0x2a, 0x88, 0xb5];
const QINQ: &[u8] = &[0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x2a, 0x88, 0xb5];

#[test]
fn a_redirected_frame_is_not_changed() {
    in_namespace(|| {
        frames_pass_both_ways(Mode::Redirect, |frames| {
            // Nothing looks into it: what is no IP packet passes for one.
            frames.push(wire::frame(SOMEBODY, IPV4, 34));
        });
    });
}

#[test]
fn a_bridged_frame_is_not_changed() {
    in_namespace(|| frames_pass_both_ways(Mode::Bridge, |_| {}));
}

#[test]
fn a_frame_by_way_of_a_macvtap_device_is_not_changed() {
    in_namespace(|| frames_pass_both_ways(Mode::Macvtap, |_| {}));
}

fn frames_pass_both_ways(mode: Mode, more: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let bench = Bench::new();
    let (_, tap) = bench.attach(mode);
    let (lab, guest) = (Raw::open(PEER), TapEnd(tap));
    let mut frames: Vec<_> =
        LINK_LOCAL.iter().map(|&(octet, kind)| wire::frame([1, 0x80, 0xc2, 0, 0, octet], kind, 60)).collect();
    for length in [14, 15, 17, 18, 33, 60, 64, 1514] {
        frames.push(wire::frame(BROADCAST, EXPERIMENTAL, length));
        frames.push(wire::frame(SOMEBODY, EXPERIMENTAL, length));
    }
    frames.push(wire::frame([0x33, 0x33, 0, 0, 0, 0xfb], EXPERIMENTAL, 90));
    more(&mut frames);
    for frame in &frames {
        lab.send(frame);
        guest.expect(frame);
        guest.send(frame);
        lab.expect(frame);
    }
    for frame in [wire::frame(SOMEBODY, VLAN, 1518), wire::frame(SOMEBODY, QINQ, 300)] {
        lab.send(&frame);
        guest.expect(&frame);
    }
}
