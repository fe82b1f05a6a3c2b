//! What goes in comes out.

use super::{
    Bench, PEER, Request,
    namespace::in_namespace,
    wire::{self, Raw, TapEnd},
};
use crate::config::Mode;

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

/// Frames with tags are looked at where they come out of another TAP device: a packet socket is shown them without
/// their outer tag.
#[test]
fn tags_of_the_guest_s_are_still_there_at_another_guest() {
    in_namespace(|| {
        let bench = Bench::new();
        let (_, tap) = bench.attach(Mode::Redirect);
        let other = Request { interface: PEER.into(), mode: Mode::Redirect, queues: 1, virtio: false };
        let (_, other) = bench.host.attach(&other).unwrap();
        let (one, other) = (TapEnd(tap), TapEnd(other));
        for frame in [wire::frame(SOMEBODY, VLAN, 1518), wire::frame(BROADCAST, QINQ, 1518)] {
            one.send(&frame);
            other.expect(&frame);
            other.send(&frame);
            one.expect(&frame);
        }
    });
}

#[test]
fn a_nic_with_several_queues_passes_frames_by_each() {
    for mode in [Mode::Redirect, Mode::Macvtap] {
        in_namespace(move || {
            let bench = Bench::new();
            let request = Request { queues: 4, ..super::request(mode) };
            let (_, tap) = bench.host.attach(&request).unwrap();
            assert_eq!(tap.queues.len(), 4);
            let (lab, guest) = (Raw::open(PEER), TapEnd(tap));
            for (number, queue) in (1..).zip(&guest.0.queues) {
                let frame = wire::frame([2, 0, 0, 0, 0, number], EXPERIMENTAL, 100);
                wire::send_by(queue, &frame);
                lab.expect(&frame);
                lab.send(&frame);
                guest.expect(&frame);
            }
        });
    }
}
