use std::net::{Ipv4Addr, Ipv6Addr};

use bmc::{
    DestinationAddress, Event, Gateway, Ipv6AddressStatus, Ipv6Fact, Ipv6Source, LanFacts, LanStatistics,
    Privilege,
};
use proptest::prelude::*;

use super::super::{table::TRANSPORT, tests::Bench};

impl Bench {
    /// A bench whose interface was looked at.
    fn on_network() -> Self {
        let mut bench = Self::new();
        bench.bmc.lan.facts = LanFacts {
            interface: "eth0".into(),
            mac: [2, 0x42, 0xc0, 0, 2, 5],
            ip: Ipv4Addr::new(192, 0, 2, 5),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
            gateway: Some(Gateway { address: Ipv4Addr::new(192, 0, 2, 1), mac: [2, 0x42, 0, 0, 0, 1] }),
            vlan: None,
            ipv6: vec![
                fact("2001:db8::5", Ipv6Source::Static),
                fact("fe80::42:c0ff:fe00:205", Ipv6Source::Slaac),
            ],
            ipv6_gateway: Some(Gateway { address: "fe80::1".parse().unwrap(), mac: [2, 0x42, 0, 0, 0, 1] }),
            port: 623,
        };
        bench
    }

    /// What a parameter has, without the revision.
    fn lan(&mut self, parameter: u8, set: u8) -> Vec<u8> {
        let answer = self.ok(TRANSPORT, 0x02, &[0x0e, parameter, set, 0]);
        assert_eq!(answer[0], 0x11);
        answer[1..].to_vec()
    }

    fn set_lan(&mut self, parameter: u8, data: &[u8]) -> u8 {
        self.code(TRANSPORT, 0x01, &[&[1, parameter], data].concat())
    }
}

fn fact(address: &str, source: Ipv6Source) -> Ipv6Fact {
    Ipv6Fact { address: address.parse().unwrap(), prefix: 64, source, status: Ipv6AddressStatus::Active }
}

#[test]
fn what_was_not_set_is_as_the_interface_has_it() {
    let mut bench = Bench::on_network();
    let expected: [(u8, &[u8]); 16] = [
        (3, &[192, 0, 2, 5]),
        (4, &[1]),
        (5, &[2, 0x42, 0xc0, 0, 2, 5]),
        (6, &[255, 255, 255, 0]),
        (7, &[0x40, 0x40, 0x10]),
        (8, &[0x6f, 0x02]),
        (10, &[0x02]),
        (11, &[0]),
        (12, &[192, 0, 2, 1]),
        (13, &[2, 0x42, 0, 0, 0, 1]),
        (14, &[0; 4]),
        (15, &[0; 6]),
        (16, b"public\0\0\0\0\0\0\0\0\0\0\0\0"),
        (17, &[8]),
        (20, &[0, 0]),
        (21, &[0]),
    ];
    for (parameter, data) in expected {
        assert_eq!(bench.lan(parameter, 0), data, "parameter {parameter}");
    }
}

#[test]
fn what_was_set_comes_back() {
    let mut bench = Bench::on_network();
    let sets: [(u8, &[u8]); 14] = [
        (3, &[198, 51, 100, 7]),
        (4, &[2]),
        (6, &[255, 255, 240, 0]),
        (7, &[0x20, 0x60, 0x18]),
        (10, &[0x03]),
        (11, &[4]),
        (12, &[198, 51, 100, 1]),
        (13, &[2, 0, 0, 0, 0, 9]),
        (14, &[198, 51, 100, 2]),
        (15, &[2, 0, 0, 0, 0, 8]),
        (16, b"a string of 18 by."),
        (20, &[0x34, 0x81]),
        (21, &[5]),
        (24, &[0, 0x32, 0x44, 0, 0, 0, 0, 0, 0x50]),
    ];
    for (parameter, data) in sets {
        assert_eq!(bench.set_lan(parameter, data), 0, "parameter {parameter}");
        assert_eq!(bench.lan(parameter, 0), data, "parameter {parameter}");
    }
    assert!(bench.bmc.take_unsaved());
}

#[test]
fn writing_back_what_was_read_changes_nothing() {
    let mut bench = Bench::on_network();
    let before = bench.bmc.lan.clone();
    bench.bmc.take_unsaved();
    let _ = bench.bmc.take_events();
    for parameter in (1..=8).chain(10..=17).chain(20..=24).chain(50..=55).chain([57, 60, 62]).chain(64..=73) {
        let data = bench.lan(parameter, 0);
        assert_eq!(bench.set_lan(parameter, &data), 0, "parameter {parameter}");
    }
    for (parameter, set) in [(18, 3), (19, 3), (25, 3), (56, 0), (56, 3), (59, 0), (74, 0), (77, 0)] {
        let data = bench.lan(parameter, set);
        assert_eq!(bench.set_lan(parameter, &data), 0, "parameter {parameter}");
    }
    assert_eq!(bench.bmc.lan, before);
    assert!(!bench.bmc.take_unsaved());
    assert_eq!(bench.bmc.take_events().count(), 0);
}

#[test]
fn what_cannot_be_set_says_why() {
    let mut bench = Bench::on_network();
    let before = bench.bmc.lan.clone();
    let refusals: [(u8, &[u8], u8); 32] = [
        (1, &[0x15], 0x82),
        (2, &[0x01, 0, 0, 0, 0], 0xcc),
        (2, &[0; 4], 0xc7),
        (3, &[1, 2, 3], 0xc7),
        (4, &[5], 0xcc),
        (5, &[2, 0, 0, 0, 0, 1], 0x82),
        (6, &[255, 0, 255, 0], 0xcc),
        (8, &[0x70, 0x02], 0x82),
        (9, &[0x98, 0x02], 0x80),
        (16, b"short", 0xc7),
        (17, &[4], 0x82),
        (18, &[9, 0, 0, 0], 0xc9),
        (18, &[1, 1, 0, 0], 0xcc),
        (19, &[1, 0, 0, 1, 2, 3, 4], 0xc7),
        (19, &[9, 0, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0], 0xc9),
        (19, &[1, 0x20, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0], 0xcc),
        (20, &[0, 0x80], 0xcc),
        (20, &[0xff, 0x8f], 0xcc),
        (22, &[5], 0x82),
        (23, &[0, 3], 0x82),
        (24, &[0, 0x06, 0, 0, 0, 0, 0, 0, 0], 0xcc),
        (25, &[1, 0x20, 0, 0], 0xcc),
        (26, &[0; 6], 0x80),
        (50, &[7], 0x82),
        (51, &[1], 0xcc),
        (55, &[1, 1, 1], 0x82),
        (56, &[&[4, 0x80][..], &[0x20; 16], &[64, 0]].concat(), 0xc9),
        (56, &[&[0, 0x80][..], &[0x20; 16], &[129, 0]].concat(), 0xcc),
        (56, &[&[0, 0x80][..], &[0; 16], &[64, 0]].concat(), 0xcc),
        (59, &[0; 20], 0x82),
        (67, &[129], 0xcc),
        (81, &[0], 0x80),
    ];
    for (parameter, data, code) in refusals {
        assert_eq!(bench.set_lan(parameter, data), code, "parameter {parameter}: {data:x?}");
    }
    assert_eq!(bench.bmc.lan, before);
    for (parameter, set, code) in [
        (9, 0, 0x80),
        (26, 0, 0x80),
        (18, 9, 0xc9),
        (56, 4, 0xc9),
        (59, 8, 0xc9),
        (74, 1, 0xc9),
        (58, 0, 0x80),
    ] {
        assert_eq!(bench.code(TRANSPORT, 0x02, &[1, parameter, set, 0]), code, "parameter {parameter}");
    }
    assert_eq!(bench.code(TRANSPORT, 0x02, &[2, 3, 0, 0]), 0xcc);
    assert_eq!(bench.code(TRANSPORT, 0x01, &[0x0f, 3, 1, 2, 3, 4]), 0xcc);
}

#[test]
fn one_party_sets_at_a_time_and_the_revision_can_be_asked_for_alone() {
    let mut bench = Bench::new();
    assert_eq!(bench.set_lan(0, &[1]), 0);
    assert_eq!(bench.set_lan(0, &[1]), 0x81);
    assert_eq!(bench.lan(0, 0), [1]);
    assert_eq!(bench.set_lan(0, &[2]), 0);
    assert_eq!(bench.set_lan(0, &[0]), 0);
    assert_eq!(bench.ok(TRANSPORT, 0x02, &[0x8e, 3, 0, 0]), [0x11]);
}

#[test]
fn a_change_is_recorded_by_its_number() {
    let mut bench = Bench::new();
    assert_eq!(bench.set_lan(3, &[192, 0, 2, 9]), 0);
    let events: Vec<String> = bench.bmc.take_events().map(|event: Event| event.to_string()).collect();
    assert_eq!(events, ["LAN configuration parameter 3 (IP address) set by user 2"]);
}

#[test]
fn destinations_are_kept_by_their_number() {
    let mut bench = Bench::new();
    assert_eq!(bench.lan(18, 1), [1, 0, 0, 0]);
    assert_eq!(bench.set_lan(18, &[8, 0x86, 4, 3]), 0);
    assert_eq!(bench.lan(18, 8), [8, 0x86, 4, 3]);
    let address = [8, 0, 1, 192, 0, 2, 9, 2, 0, 0, 0, 0, 1];
    assert_eq!(bench.set_lan(19, &address), 0);
    assert_eq!(bench.lan(19, 8), address);
    let destination = *bench.bmc.lan.destinations.get(8).unwrap();
    assert_eq!(
        destination.address,
        DestinationAddress::V4 {
            backup_gateway: true,
            ip: Ipv4Addr::new(192, 0, 2, 9),
            mac: [2, 0, 0, 0, 0, 1]
        }
    );
    let by_ipv6 = [&[0, 0x10][..], &Ipv6Addr::LOCALHOST.octets()].concat();
    assert_eq!(bench.set_lan(19, &by_ipv6), 0);
    assert_eq!(bench.lan(19, 0), by_ipv6);
    assert_eq!(bench.set_lan(25, &[8, 0x10, 0x07, 0xa0]), 0);
    assert_eq!(bench.lan(25, 8), [8, 0x10, 0x07, 0xa0]);
    assert_eq!(bench.lan(25, 7), [7, 0, 0, 0]);
}

#[test]
fn authentication_is_that_of_ipmi_1_5_where_it_is_on() {
    let mut bench = Bench::new();
    assert_eq!((bench.lan(1, 0), bench.lan(2, 0)), (vec![0], vec![0; 5]));
    assert_eq!(bench.set_lan(2, &[0, 0, 0, 4, 0]), 0);
    assert_eq!((bench.lan(1, 0), bench.lan(2, 0)), (vec![0], vec![0, 0, 0, 4, 0]));
    assert!(!bench.bmc.lan.v15_admits(Privilege::Administrator), "it is still off");

    let mut bench = Bench::new();
    bench.bmc.lan.v15 = true;
    assert_eq!((bench.lan(1, 0), bench.lan(2, 0)), (vec![4], vec![4; 5]));
    assert_eq!(bench.set_lan(2, &[4, 4, 4, 0, 0]), 0);
    assert_eq!(bench.lan(2, 0), [4, 4, 4, 0, 0]);
    assert!(!bench.bmc.lan.v15_admits(Privilege::Administrator));
}

#[test]
fn cipher_suites_are_those_that_are_served() {
    let mut bench = Bench::new();
    assert_eq!((bench.lan(22, 0), bench.lan(23, 0)), (vec![2], vec![0, 17, 3]));
    assert_eq!(bench.lan(24, 0), [&[0][..], &[0x44; 8]].concat());
}

#[test]
fn static_ipv6_addresses_are_set_in_slots() {
    let mut bench = Bench::on_network();
    let found = [&[0, 0x80][..], &"2001:db8::5".parse::<Ipv6Addr>().unwrap().octets(), &[64, 0]].concat();
    assert_eq!(bench.lan(56, 0), found);
    let own = "2001:db8::77".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(bench.set_lan(56, &[&[1, 0x80][..], &own, &[48, 0]].concat()), 0);
    assert_eq!(bench.lan(56, 1), [&[1, 0x80][..], &own, &[48, 2]].concat(), "not there yet");
    assert_eq!(bench.set_lan(56, &[&[1, 0][..], &own, &[48]].concat()), 0);
    assert_eq!(bench.lan(56, 1), [&[1, 0][..], &own, &[48, 1]].concat());
}

#[test]
fn dynamic_ipv6_addresses_and_routers_are_those_that_are_there() {
    let mut bench = Bench::on_network();
    let own = "fe80::42:c0ff:fe00:205".parse::<Ipv6Addr>().unwrap().octets();
    assert_eq!(bench.lan(59, 0), [&[0, 1][..], &own, &[64, 0]].concat());
    assert_eq!(bench.lan(59, 7), [&[7, 1][..], &[0; 17], &[1]].concat());
    assert_eq!(bench.lan(73, 0), [1]);
    assert_eq!(bench.lan(74, 0)[..3], [0, 0xfe, 0x80]);
    assert_eq!(bench.lan(75, 0), [0, 2, 0x42, 0, 0, 0, 1]);
    assert_eq!((bench.lan(76, 0), bench.lan(77, 0).len()), (vec![0, 0], 17));
}

#[test]
fn ipv6_settings_come_back_as_set() {
    let mut bench = Bench::new();
    assert_eq!((bench.lan(50, 0), bench.lan(55, 0)), (vec![6], vec![4, 8, 2]));
    let sets: [(u8, &[u8]); 13] = [
        (51, &[0]),
        (52, &[7]),
        (53, &[99]),
        (54, &[0x0f, 0x12, 0x34]),
        (64, &[3]),
        (65, &[0x11; 16]),
        (66, &[0x22; 6]),
        (67, &[64]),
        (68, &[0x33; 16]),
        (69, &[0x44; 16]),
        (70, &[0x55; 6]),
        (71, &[128]),
        (72, &[0x66; 16]),
    ];
    for (parameter, data) in sets {
        assert_eq!(bench.set_lan(parameter, data), 0, "parameter {parameter}");
        assert_eq!(bench.lan(parameter, 0), data, "parameter {parameter}");
    }
}

#[test]
fn statistics_count_and_are_cleared() {
    let mut bench = Bench::new();
    bench.bmc.lan.statistics = LanStatistics { received: 0x0102, sent: 3, rmcp_valid: 4 };
    let expected = [2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 2, 1, 4, 0, 0, 0, 0, 0];
    assert_eq!(bench.ok(TRANSPORT, 0x04, &[0x0e, 0]), expected);
    assert_eq!(bench.ok(TRANSPORT, 0x04, &[0x0e, 1]), expected);
    assert_eq!(bench.ok(TRANSPORT, 0x04, &[0x0e, 0]), [0; 18]);
    assert_eq!(bench.code(TRANSPORT, 0x04, &[0x0f, 0]), 0xcc);
}

#[test]
fn a_guest_that_is_not_trusted_reads_the_statistics_and_does_not_clear_them() {
    let mut bench = Bench::new();
    bench.channel = crate::command::SYSTEM_INTERFACE;
    bench.trusted = false;
    bench.sessions.own = None;
    bench.bmc.lan.statistics = LanStatistics { received: 1, sent: 2, rmcp_valid: 3 };
    let before = bench.ok(TRANSPORT, 0x04, &[0x01, 0]);
    assert_eq!(bench.code(TRANSPORT, 0x04, &[0x01, 1]), 0xd4);
    assert_eq!(bench.ok(TRANSPORT, 0x04, &[0x01, 0]), before);
}

#[test]
fn arp_goes_on_and_the_answer_says_so() {
    let mut bench = Bench::new();
    assert_eq!(bench.ok(TRANSPORT, 0x03, &[0x0e, 3]), [2]);
    assert_eq!(bench.code(TRANSPORT, 0x03, &[2, 3]), 0xcc);
}

proptest! {
    /// Whatever is taken is read back as it was written, but for bits that are reserved.
    #[test]
    fn what_is_taken_can_be_read_and_written_again(
        parameter: u8,
        data in proptest::collection::vec(any::<u8>(), 0..24),
    ) {
        let mut bench = Bench::on_network();
        if bench.set_lan(parameter, &data) == 0 {
            let set = if matches!(parameter, 18 | 19 | 25 | 56 | 59 | 74..=77) { data[0] & 0x0f } else { 0 };
            let once = bench.lan(parameter, set);
            prop_assert_eq!(bench.set_lan(parameter, &once), 0);
            prop_assert_eq!(bench.lan(parameter, set), once);
        }
    }
}
