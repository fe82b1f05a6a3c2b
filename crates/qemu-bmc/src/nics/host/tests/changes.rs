//! An interface that changes, goes and comes back while a machine runs.

use std::slice;

use super::{
    Bench, ETH, Mode, PEER, ip, make_wire,
    namespace::in_namespace,
    quiet, run, wait_for_bridge,
    wire::{self, Raw, TapEnd},
};

fn frame(length: usize) -> Vec<u8> {
    wire::frame([2, 0, 0, 0, 0, 7], &[0x88, 0xb5], length)
}

fn passes(lab: &Raw, guest: &TapEnd, length: usize) {
    let frame = frame(length);
    lab.send(&frame);
    guest.expect(&frame);
    guest.send(&frame);
    lab.expect(&frame);
}

#[test]
fn an_interface_that_comes_back_is_connected_with_the_same_device() {
    for mode in [Mode::Redirect, Mode::Bridge] {
        in_namespace(move || {
            let bench = Bench::new();
            let (first, tap) = bench.attach(mode);
            let guest = TapEnd(tap);
            ip(&format!("link delete {ETH}"));
            make_wire();
            ip(&format!("addr add 192.0.2.2/24 dev {ETH}"));
            let second = bench.host.reattach(&first).unwrap();
            assert_eq!(bench.host.attached(), slice::from_ref(&second));
            wait_for_bridge(mode);
            passes(&Raw::open(PEER), &guest, 200);
            drop(guest);
            bench.host.detach(&second);
            assert!(ip("addr show dev eth2").contains("192.0.2.2/24"));
            assert!(!ip("link show").contains("qb"), "{}", ip("link show"));
        });
    }
}

#[test]
fn how_an_interface_was_at_first_is_remembered_when_it_is_attached_again() {
    for (mode, parting) in
        [(Mode::Redirect, "tc qdisc delete dev eth2 ingress"), (Mode::Bridge, "ip link set eth2 nomaster")]
    {
        in_namespace(move || {
            let bench = Bench::new();
            ip(&format!("link set {ETH} up"));
            ip(&format!("addr add 192.0.2.2/24 dev {ETH}"));
            let (first, tap) = bench.attach(mode);
            let guest = TapEnd(tap);
            assert!(bench.host.is_connected(&first));
            let (program, arguments) = parting.split_once(' ').unwrap();
            run(program, arguments);
            assert!(!bench.host.is_connected(&first), "{mode:?}");
            let mut lost = first.clone();
            lost.lose_interface();
            let second = bench.host.reattach(&lost).unwrap();
            assert_eq!(second, first);
            wait_for_bridge(mode);
            passes(&Raw::open(PEER), &guest, 200);
            bench.host.detach(&second);
            let shown = ip("-d addr show dev eth2");
            assert!(shown.contains("192.0.2.2/24") && shown.contains("promiscuity 0"), "{shown}");
        });
    }
}

#[test]
fn another_interface_of_that_name_takes_the_place_of_the_one_that_was_renamed() {
    for mode in [Mode::Redirect, Mode::Bridge] {
        in_namespace(move || {
            let bench = Bench::new();
            ip(&format!("addr add 192.0.2.2/24 dev {ETH}"));
            let (first, tap) = bench.attach(mode);
            ip(&format!("link set {ETH} down"));
            ip(&format!("link set {ETH} name other"));
            ip(&format!("link set {PEER} name others"));
            make_wire();
            let second = bench.host.reattach(&first).unwrap();
            wait_for_bridge(mode);
            passes(&Raw::open(PEER), &TapEnd(tap), 200);
            let shown = ip("-d addr show dev other");
            assert!(shown.contains("192.0.2.2/24") && shown.contains("promiscuity 0"), "{shown}");
            assert!(!run("tc", "qdisc show dev other").contains("ingress"));
            bench.host.detach(&second);
        });
    }
}

#[test]
fn a_macvtap_device_went_with_its_interface() {
    in_namespace(|| {
        let bench = Bench::new();
        let (attachment, _tap) = bench.attach(Mode::Macvtap);
        ip(&format!("link delete {ETH}"));
        make_wire();
        let error = bench.host.reattach(&attachment).unwrap_err().to_string();
        assert!(error.contains("at the next power on"), "{error}");
    });
}

#[test]
fn both_sides_have_the_mtu_of_the_interface() {
    for mode in [Mode::Redirect, Mode::Bridge, Mode::Macvtap] {
        in_namespace(move || {
            let bench = Bench::new();
            for end in [ETH, PEER] {
                ip(&format!("link set {end} mtu 9000"));
            }
            let (attachment, tap) = bench.attach(mode);
            assert_eq!(tap.mtu, 9000);
            let (lab, guest) = (Raw::open(PEER), TapEnd(tap));
            passes(&lab, &guest, 9014);
            for end in [ETH, PEER] {
                ip(&format!("link set {end} mtu 9500"));
            }
            assert_eq!(bench.host.set_mtu(&attachment, 9500).unwrap(), 9500);
            passes(&lab, &guest, 9514);
        });
    }
}

#[test]
fn an_mtu_that_the_kernel_does_not_take_is_the_greatest_that_it_does() {
    in_namespace(|| {
        let bench = Bench::new();
        for end in [ETH, PEER] {
            ip(&format!("link set {end} mtu 65535"));
        }
        let (_, tap) = bench.attach(Mode::Redirect);
        assert!((65_000..=65_535).contains(&tap.mtu), "{}", tap.mtu);
        let mtu = usize::try_from(tap.mtu).unwrap();
        passes(&Raw::open(PEER), &TapEnd(tap), mtu);
    });
}

#[test]
fn interfaces_are_listed_with_their_state() {
    in_namespace(|| {
        let bench = Bench::new();
        let is_up = || bench.host.links().unwrap().iter().find(|link| link.name == ETH).map(|link| link.up);
        assert_eq!(is_up(), Some(true));
        ip(&format!("link set {ETH} down"));
        assert_eq!(is_up(), Some(false));
        ip(&format!("link set {ETH} up mtu 1400"));
        assert_eq!(is_up(), Some(true));
        ip(&format!("link set {PEER} down"));
        assert_eq!(is_up(), Some(false), "no carrier");
        let links = bench.host.links().unwrap();
        assert_eq!(links.iter().find(|link| link.name == ETH).map(|link| link.mtu), Some(1400));
        ip(&format!("link delete {ETH}"));
        assert_eq!(is_up(), None);
    });
}

#[test]
fn whoever_watches_is_told_of_each_change() {
    in_namespace(|| {
        let bench = Bench::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watch = bench.host.watch().unwrap();
            let limit = std::time::Duration::from_secs(10);
            for change in
                ["link set eth2 down", "link set peer down", "link delete eth2", "link add x type bridge"]
            {
                ip(change);
                tokio::time::timeout(limit, watch.changed()).await.expect(change).unwrap();
            }
            let moment = std::time::Duration::from_millis(200);
            tokio::time::timeout(moment, watch.changed()).await.expect_err("nothing changed");
            // More than the kernel keeps for one listener.
            for number in 0..2000 {
                ip(&format!("link set x mtu {}", 1000 + number % 400));
            }
            tokio::time::timeout(limit, watch.changed()).await.unwrap().unwrap();
            ip("link delete x");
            tokio::time::timeout(limit, watch.changed()).await.unwrap().unwrap();
        });
    });
}

#[test]
fn the_kernel_sends_nothing_of_its_own() {
    for mode in [Mode::Redirect, Mode::Bridge, Mode::Macvtap] {
        in_namespace(move || {
            let bench = Bench::new();
            ip(&format!("addr add 192.0.2.2/24 dev {ETH}"));
            ip(&format!("link set {ETH} up"));
            let (_, tap) = bench.attach(mode);
            quiet(PEER);
            let (lab, guest) = (Raw::open(PEER), TapEnd(tap));
            // Whoever asks for the interface's old address is answered by the guest or by nobody.
            let mut question = wire::frame([0xFF; 6], &[0x08, 0x06], 14);
            question.extend([0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 9, 192, 0, 2, 1]);
            question.extend([0, 0, 0, 0, 0, 0, 192, 0, 2, 2]);
            lab.send(&question);
            guest.expect(&question);
            passes(&lab, &guest, 60);
            while let Some(frame) = lab.next() {
                // Reports of multicast groups are the one thing that an interface without an address sends.
                let is_mld = frame.starts_with(&[0x33, 0x33, 0, 0, 0, 0x16]);
                assert!(is_mld, "{mode:?}: {frame:02x?}");
            }
        });
    }
}
