//! The guest's NICs as links of a lab: what goes in at one end comes out at the other, bit for bit.

#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use support::lab::{Frame, Lab};

/// Frames that a switch would keep, change or not know, and some that are long or short.
fn frames() -> Vec<(&'static str, Frame)> {
    const SENDER: &str = "02:00:00:00:0a:01";
    let frame = |to: &str, rest: &str, length| Frame::new(&format!("{to}{SENDER}{rest}"), length);
    vec![
        ("STP", frame("01:80:c2:00:00:00", "0026 424203 0000", 60)),
        ("LACP", frame("01:80:c2:00:00:02", "8809 0101", 124)),
        ("802.1X", frame("01:80:c2:00:00:03", "888e 0101 0000", 60)),
        ("LLDP", frame("01:80:c2:00:00:0e", "88cc", 200)),
        ("CDP", frame("01:00:0c:cc:cc:cc", "0060 aaaa03 00000c 2000", 110)),
        ("a VLAN tag", frame("02:00:00:00:0a:02", "8100 0064 88b5", 64)),
        ("a priority tag", frame("02:00:00:00:0a:02", "8100 e000 88b5", 64)),
        ("two VLAN tags", frame("02:00:00:00:0a:02", "8100 0064 8100 00c8 88b5", 68)),
        ("a service tag and a VLAN tag", frame("02:00:00:00:0a:02", "88a8 0065 8100 00c9 88b5", 68)),
        ("MPLS", frame("02:00:00:00:0a:02", "8847 00010140", 90)),
        ("broadcast", frame("ff:ff:ff:ff:ff:ff", "88b5", 60)),
        ("multicast of IPv4", frame("01:00:5e:00:00:05", "88b5", 100)),
        ("multicast of IPv6", frame("33:33:00:00:00:05", "88b5", 100)),
        ("somebody else's", frame("02:00:00:00:0b:99", "88b5", 60)),
        ("a full one", frame("02:00:00:00:0a:02", "88b5 01", 1514)),
        ("a full one with a tag", frame("02:00:00:00:0a:02", "8100 0064 88b5 01", 1518)),
        ("a jumbo", frame("02:00:00:00:0a:02", "88b5 02", 9014)),
    ]
}

#[test]
fn the_lab_itself_changes_no_frame() {
    let Some(lab) = Lab::here() else { return };
    let (left, right) = (lab.namespace("left"), lab.namespace("right"));
    left.cable_with_mtu("eth2", &right, "eth3", 9000);
    let capture = right.listen("eth3");
    for (what, frame) in frames() {
        left.send("eth2", &frame);
        capture.wait(what, &frame);
    }
    assert_eq!(capture.frames(), frames().into_iter().map(|(_, frame)| frame).collect::<Vec<_>>());
}
