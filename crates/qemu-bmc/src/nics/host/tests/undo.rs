//! What is left behind: nothing.

use std::{collections::BTreeMap, slice};

use serde_json::Value;

use super::{
    super::{Host, steps::Step},
    Bench, ETH, Mode, PEER, ip,
    namespace::in_namespace,
    request, run, wait_for,
    wire::{self, Raw, TapEnd},
};

const MODES: [Mode; 3] = [Mode::Redirect, Mode::Bridge, Mode::Macvtap];

/// Addresses and routes of every sort that a lab gives an interface.
fn furnish() {
    ip(&format!("link set {ETH} up mtu 1400"));
    for address in [
        "192.0.2.2/24 brd 192.0.2.255 label eth2:lab",
        "192.0.2.3/24",
        "192.0.2.4/24 valid_lft 86400 preferred_lft 86400",
        "198.51.100.1 peer 198.51.100.2/32",
        "203.0.113.9/32 scope link",
        "2001:db8::2/64 nodad",
        "2001:db8::3/64 nodad",
        "2001:db8:1::3/128 nodad",
    ] {
        ip(&format!("addr add {address} dev {ETH}"));
    }
    for route in [
        "default via 192.0.2.1 metric 100",
        "203.0.113.128/25 scope link",
        "100.64.0.0/10 via 203.0.113.129 onlink",
        "100.64.1.0/24 via 192.0.2.9 proto static src 192.0.2.3",
        "100.64.2.0/24 via 192.0.2.9 table 77 mtu 1300",
        "2001:db8:ffff::/48 via 2001:db8::1 proto static",
        "default via 2001:db8::1 metric 5",
    ] {
        ip(&format!("route add {route} dev {ETH}"));
    }
    ip(&format!(
        "route add 100.64.3.0/24 nexthop via 192.0.2.7 dev {ETH} nexthop via 192.0.2.8 dev {ETH} weight 3"
    ));
    wait_for("every address is ready for use", || {
        !everything()["addresses"].to_string().contains("tentative")
    });
}

/// All that there is in the namespace, as a user looks at it.
fn everything() -> BTreeMap<&'static str, Value> {
    let shown = [
        ("links", "ip", "-j -d link show"),
        ("addresses", "ip", "-j addr show"),
        ("routes", "ip", "-j route show table all"),
        ("IPv6 routes", "ip", "-j -6 route show table all"),
        ("qdiscs", "tc", "-j qdisc show"),
    ];
    shown.into_iter().map(|(what, program, arguments)| (what, read(&run(program, arguments)))).collect()
}

fn read(json: &str) -> Value {
    let mut value: Value = serde_json::from_str(json).unwrap();
    without_time(&mut value);
    // In which order routes are listed says nothing.
    if let Value::Array(entries) = &mut value {
        entries.sort_by_key(Value::to_string);
    }
    value
}

/// Lifetimes run on by themselves.
fn without_time(value: &mut Value) {
    match value {
        Value::Array(entries) => entries.iter_mut().for_each(without_time),
        Value::Object(members) => {
            for (name, value) in members {
                match name.as_str() {
                    "valid_life_time" | "preferred_life_time" => {
                        *value = (value.as_u64() == Some(u64::from(u32::MAX))).into();
                    }
                    _ => without_time(value),
                }
            }
        }
        _ => {}
    }
}

fn expect_as_before(before: &BTreeMap<&'static str, Value>, when: &str) {
    wait_for(&format!("all addresses are ready for use {when}"), || {
        !everything()["addresses"].to_string().contains("tentative")
    });
    for (what, now) in everything() {
        assert_eq!(now, before[what], "{what} {when}");
    }
}

#[test]
fn an_interface_that_was_detached_is_as_it_was_before() {
    in_namespace(|| {
        let bench = Bench::new();
        furnish();
        let before = everything();
        for mode in MODES {
            let (attachment, tap) = bench.attach(mode);
            let addresses = run("ip", &format!("-j addr show dev {ETH}"));
            assert!(addresses.contains(r#""addr_info":[]"#), "{mode:?}: {addresses}");
            assert_ne!(everything(), before, "{mode:?}");
            assert_eq!(bench.host.attached(), slice::from_ref(&attachment));
            // As when QEMU has ended, and as when it has not.
            if mode == Mode::Redirect {
                drop(tap);
                bench.host.detach(&attachment);
            } else {
                bench.host.detach(&attachment);
                drop(tap);
            }
            expect_as_before(&before, &format!("after {mode:?}"));
            assert_eq!(bench.host.attached(), []);
        }
    });
}

#[test]
fn an_interface_is_up_or_down_as_the_lab_wants_it() {
    in_namespace(|| {
        let bench = Bench::new();
        let is_set_up = || ip(&format!("link show {ETH}")).contains(",UP");
        for mode in MODES {
            let (attachment, tap) = bench.attach(mode);
            ip(&format!("link set {ETH} down"));
            drop(tap);
            bench.host.detach(&attachment);
            assert!(!is_set_up(), "{mode:?}");
            let again =
                bench.host.attach(&request(mode)).unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
            assert!(!is_set_up(), "{mode:?}");
            ip(&format!("link set {ETH} up"));
            drop(again.1);
            bench.host.detach(&again.0);
            assert!(is_set_up(), "{mode:?}");
        }
    });
}

#[test]
fn an_interface_that_was_down_without_an_address_is_so_again() {
    in_namespace(|| {
        let bench = Bench::new();
        ip(&format!("link set {ETH} down"));
        wait_for("the other end has lost its carrier", || {
            ip(&format!("link show {PEER}")).contains("state LOWERLAYERDOWN")
        });
        let before = everything();
        for mode in MODES {
            let (attachment, tap) =
                bench.host.attach(&request(mode)).unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
            drop(tap);
            bench.host.detach(&attachment);
            expect_as_before(&before, &format!("after {mode:?}"));
        }
    });
}

#[test]
fn what_was_begun_when_the_controller_was_killed_is_undone_by_the_next() {
    in_namespace(|| {
        let bench = Bench::new();
        furnish();
        let before = everything();
        for mode in MODES {
            for count in 0..=Step::ALL.len() {
                let attachment = bench.host.plan(&request(mode)).unwrap();
                bench.host.record.put(&attachment).unwrap();
                let mut queues = Vec::new();
                for step in &Step::ALL[..count] {
                    bench.host.take(*step, &attachment, &mut queues).unwrap();
                }
                drop(queues);

                let next = Host::open(bench.run_dir.path()).unwrap();
                let found = next.attached();
                assert_eq!(found, [attachment]);
                next.detach(&found[0]);
                expect_as_before(&before, &format!("after {count} steps of {mode:?}"));
            }
        }
    });
}

#[test]
fn a_hundred_power_cycles_leave_nothing_behind() {
    in_namespace(|| {
        let bench = Bench::new();
        furnish();
        let before = everything();
        let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let open = descriptors();
        for _ in 0..100 {
            let (attachment, tap) = bench.attach(Mode::Redirect);
            drop(tap);
            bench.host.detach(&attachment);
        }
        expect_as_before(&before, "after 100 times");
        // Other tests may run in this process beside this one.
        wait_for("as many descriptors are open as before", || descriptors() <= open + 20);
        let left: Vec<_> = std::fs::read_dir(bench.run_dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    });
}

#[test]
fn detaching_does_not_mind_what_is_gone() {
    in_namespace(|| {
        for mode in MODES {
            let bench = Bench::new();
            let (attachment, tap) = bench.attach(mode);
            ip(&format!("link delete {PEER}"));
            drop(tap);
            bench.host.detach(&attachment);
            bench.host.detach(&attachment);
            let links = run("ip", "-j link show");
            assert!(!links.contains("qb"), "{mode:?}: {links}");
        }
    });
}

#[test]
fn another_interface_of_that_name_is_let_alone() {
    in_namespace(|| {
        let bench = Bench::new();
        furnish();
        let (attachment, tap) = bench.attach(Mode::Redirect);
        ip(&format!("link delete {ETH}"));
        super::make_wire();
        ip(&format!("link set {ETH} promisc on"));
        let before = everything();
        drop(tap);
        bench.host.detach(&attachment);
        let mut after = everything();
        // The TAP device was there.
        for (what, now) in &mut after {
            let mut before = before[what].clone();
            for value in [&mut before, now] {
                value.as_array_mut().unwrap().retain(|entry| !entry.to_string().contains("qb-eth2"));
            }
            assert_eq!(*now, before, "{what}");
        }
    });
}

#[test]
fn an_interface_in_another_namespace_is_none_of_ours() {
    let run_dir = tempfile::tempdir().unwrap();
    let folder = run_dir.path().to_owned();
    in_namespace(move || {
        let bench = Bench::new();
        furnish();
        let host = Host::open(&folder).unwrap();
        let _ = host.attach(&request(Mode::Redirect)).unwrap();
        drop(bench);
    });
    let folder = run_dir.path().to_owned();
    in_namespace(move || {
        let _bench = Bench::new();
        ip(&format!("link set {ETH} promisc on"));
        let before = everything();
        let host = Host::open(&folder).unwrap();
        let [attachment] = &host.attached()[..] else { panic!("{:?}", host.attached()) };
        assert!(run("ip", "link show").contains(&format!("{}: {ETH}", attachment.before.index)));
        host.detach(attachment);
        assert_eq!(everything(), before);
        assert_eq!(host.attached(), []);
    });
}

#[test]
fn what_somebody_else_filters_is_not_taken_from_him() {
    in_namespace(|| {
        let bench = Bench::new();
        for kind in ["ingress", "clsact"] {
            run("tc", &format!("qdisc add dev {ETH} {kind}"));
            let before = everything();
            let error = bench.host.attach(&request(Mode::Redirect)).unwrap_err();
            assert!(error.to_string().contains("somebody else filters what comes in at eth2"), "{error}");
            assert_eq!(everything(), before);
            run("tc", &format!("qdisc delete dev {ETH} {kind}"));
        }
        assert_eq!(bench.host.attached(), []);
    });
}

/// A container that is started anew in the network namespace of another, as in a Kubernetes pod, finds what was done
/// there and not what was written down.
#[test]
fn what_nobody_remembers_is_taken_over() {
    for mode in [Mode::Redirect, Mode::Bridge] {
        in_namespace(move || {
            let bench = Bench::new();
            drop(bench.attach(mode));
            std::fs::remove_file(bench.run_dir.path().join("nics.json")).unwrap();
            let (attachment, tap) = bench.attach(mode);
            let (lab, guest) = (Raw::open(PEER), TapEnd(tap));
            let frame = wire::frame([2, 0, 0, 0, 0, 7], &[0x88, 0xb5], 60);
            lab.send(&frame);
            guest.expect(&frame);
            guest.send(&frame);
            lab.expect(&frame);
            bench.host.detach(&attachment);
            assert!(!run("ip", "link show").contains("qb"));
            assert!(!run("tc", "qdisc show").contains("ingress"));
        });
    }
}

#[test]
fn an_interface_that_another_controller_holds_stays_with_it() {
    in_namespace(|| {
        let bench = Bench::new();
        let (_, _tap) = bench.attach(Mode::Redirect);
        let before = everything();
        let other = tempfile::tempdir().unwrap();
        let error = Host::open(other.path()).unwrap().attach(&request(Mode::Redirect)).unwrap_err();
        assert!(error.to_string().contains("there is an interface qb-eth2 already"), "{error}");
        assert_eq!(everything(), before);
    });
}
