//! No datagram of any length ends the process (security.md, line 2), whether it comes from nowhere or
//! from somebody who has the keys.

use bmc::{Fact, Lan};
use ipmi::{
    client::{Login, Session, Step},
    lan::ServerConfig,
    wire::session::PayloadType,
};
use proptest::prelude::*;

use super::bench::{APP, Bench, HOME, admin, elsewhere};

/// A server with an active session that has SOL, and one that waits for RAKP 3.
fn busy() -> (Bench, Session, u32) {
    let mut bench = Bench::with(Lan { v15: true, ..Lan::default() }, ServerConfig::default());
    bench.bmc.on_fact(bench.now, Fact::Started);
    bench.server.set_sol_input_room(1 << 20);
    let mut session = bench.login(admin());
    assert_eq!(bench.command(&mut session, APP, 0x48, &[1, 1, 0xc0, 0, 0, 0]).0.0, 0);
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    for _ in 0..2 {
        let answer = bench.send(&datagram).unwrap();
        assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Send)));
    }
    let half_open = u32::from_le_bytes(datagram[20..24].try_into().unwrap());
    (bench, session, half_open)
}

fn feed(bench: &mut Bench, datagram: &[u8]) {
    let mut out = Vec::new();
    bench.send(datagram);
    let mut packets = 0;
    while bench.server.poll_transmit(bench.now, &mut bench.bmc, &mut out).is_some() {
        packets += 1;
        assert!(packets < 100);
    }
    while bench.server.take_sol_input().is_some() {}
}

/// What an honest console would send, more or less: enough of a form to come past the first checks.
fn nearly_right() -> impl Strategy<Value = Vec<u8>> {
    // The bench draws the same numbers every time.
    let (_, active, half_open) = busy();
    let active = active.id();
    let session = prop_oneof![Just(0), Just(active), Just(half_open), any::<u32>()];
    let kind = prop_oneof![
        Just(0u8),
        Just(1),
        0x10u8..0x16,
        any::<u8>(),
        Just(0xc0),
        Just(0xc1),
        Just(0x40),
        Just(0x80),
    ];
    let bytes = proptest::collection::vec(any::<u8>(), 0..80);
    let lie = prop_oneof![9 => Just(0i32), 1 => -5i32..5];
    (session, kind, any::<u32>(), bytes, lie).prop_map(move |(session, kind, sequence, mut payload, lie)| {
        // RAKP messages carry a session id of their own.
        if (0x12..0x16).contains(&kind) && payload.len() >= 8 {
            payload[4..8].copy_from_slice(&half_open.to_le_bytes());
        }
        let mut datagram = vec![0x06, 0, 0xff, 0x07, 0x06, kind];
        datagram.extend(session.to_le_bytes());
        datagram.extend((sequence % 40).to_le_bytes());
        let length = i32::try_from(payload.len()).unwrap() + lie;
        datagram.extend(u16::try_from(length.max(0)).unwrap().to_le_bytes());
        datagram.extend(payload);
        datagram
    })
}

#[test]
fn every_length_of_datagram_is_survived() {
    let (mut bench, mut session, half_open) = busy();
    let ids = [0, session.id(), half_open];
    let mut datagram = vec![0; 65_507];
    for (n, length) in (0..600usize).chain((600..=65_507).step_by(997)).chain([65_506, 65_507]).enumerate() {
        for head in [[0x06, 0, 0xff, 0x06], [0x06, 0, 0xff, 0x07], [0xff; 4]] {
            for kind in [0x00, 0x02, 0x06] {
                datagram[..4].copy_from_slice(&head);
                datagram[4] = kind;
                datagram[5] = [0x00, 0x10, 0x12, 0x14, 0xc0, 0xc1][n % 6];
                datagram[6..10].copy_from_slice(&ids[n % 3].to_le_bytes());
                datagram[14..16]
                    .copy_from_slice(&u16::try_from(length.saturating_sub(16)).unwrap().to_le_bytes());
                feed(&mut bench, &datagram[..length]);
            }
        }
    }
    assert!(bench.is_alive(&mut session));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_survived(datagrams in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 1..20)) {
        let (mut bench, mut session, _) = busy();
        for mut datagram in datagrams {
            feed(&mut bench, &datagram);
            datagram.splice(0..0, [0x06, 0, 0xff, 0x07]);
            feed(&mut bench, &datagram);
        }
        prop_assert!(bench.is_alive(&mut session));
    }

    #[test]
    fn nearly_right_datagrams_are_survived(datagrams in proptest::collection::vec(nearly_right(), 1..30)) {
        let (mut bench, mut session, _) = busy();
        for datagram in datagrams {
            feed(&mut bench, &datagram);
        }
        prop_assert!(bench.is_alive(&mut session));
    }

    /// Whoever has the keys can sign nonsense.
    #[test]
    fn signed_nonsense_is_survived(
        payloads in proptest::collection::vec(
            (any::<bool>(), any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..30),
    ) {
        let (mut bench, mut session, _) = busy();
        for (sol, encrypted, payload) in payloads {
            let kind = if sol { PayloadType::Sol } else { PayloadType::Ipmi };
            let mut datagram = Vec::new();
            session.seal(kind, encrypted, true, &payload, &mut datagram);
            feed(&mut bench, &datagram);
            // Packets that were not taken leave the window behind.
            *session.sequence_mut() -= u32::from(!encrypted);
        }
        prop_assert!(bench.is_alive(&mut session));
    }

    /// Every command with any data: the table's lengths and the handlers' checks hold, and what comes
    /// back fits into a datagram.
    #[test]
    fn any_command_with_any_data_is_answered(
        commands in proptest::collection::vec(
            (0u8..32, any::<u8>(), proptest::collection::vec(any::<u8>(), 0..24)), 1..40),
    ) {
        let (mut bench, mut session, _) = busy();
        for (netfn, command, data) in commands {
            // Not Close Session, and not what takes the level away that the others need.
            if netfn == 3 && (0x3b..=0x3c).contains(&command) {
                continue;
            }
            let mut datagram = Vec::new();
            session.request(netfn * 2, command, &data, &mut datagram);
            let answer = bench.send(&datagram);
            let answer = answer.expect("no answer");
            prop_assert!(answer.len() <= 400);
            while bench.bmc.take_intent().is_some() {
                bench.bmc.power_done();
            }
        }
    }
}

#[test]
fn a_peer_that_sends_nothing_but_nonsense_costs_no_memory() {
    let (mut bench, _, _) = busy();
    let mut out = Vec::new();
    for n in 0..20_000u32 {
        let mut datagram = [&[0x06, 0, 0xff, 0x07][..], &n.to_le_bytes(), &[0x5a; 40]].concat();
        let peer = if n % 2 == 0 { HOME } else { elsewhere(n, 1) };
        let route = ipmi::lan::Route { peer, tag: 0 };
        bench.server.handle(bench.now, route, &mut datagram, &mut bench.bmc, &mut out);
        assert!(out.capacity() < 1024);
    }
}
