//! SOL as the server carries it: whose it is, how it is protected, who is told (security.md, line 10).

use bmc::{Fact, Privilege};
use ipmi::{
    CompletionCode,
    client::{Incoming, Session},
    lan::Dropped,
    sol::SolInput,
    wire::{
        session::PayloadType,
        sol::{Packet, Status},
    },
};

use super::bench::{APP, Bench, HOME, admin, elsewhere, operator, reader};

const ACTIVATE_PAYLOAD: u8 = 0x48;
const DEACTIVATE_PAYLOAD: u8 = 0x49;
/// SOL, instance 1, encrypted and authenticated.
const PROTECTED: [u8; 6] = [1, 1, 0xc0, 0, 0, 0];

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.bmc.on_fact(bench.now, Fact::Started);
    bench.server.set_sol_input_room(4096);
    bench
}

fn activate(bench: &mut Bench, session: &mut Session) -> CompletionCode {
    bench.command(session, APP, ACTIVATE_PAYLOAD, &PROTECTED).0
}

/// Everything that the server has to send by itself, with where it goes.
fn transmitted(bench: &mut Bench) -> Vec<(std::net::SocketAddr, Vec<u8>)> {
    let (mut all, mut out) = (Vec::new(), Vec::new());
    while let Some(route) = bench.server.poll_transmit(bench.now, &mut bench.bmc, &mut out) {
        all.push((route.peer, out.clone()));
        assert!(all.len() < 100, "it does not come to an end");
    }
    all
}

/// The SOL payloads for one session.
fn payloads(bench: &mut Bench, session: &Session) -> Vec<Vec<u8>> {
    transmitted(bench)
        .into_iter()
        .filter_map(|(_, mut datagram)| match session.receive(&mut datagram) {
            Ok(Incoming::Sol(payload)) => Some(payload),
            _ => None,
        })
        .collect()
}

fn type_in(bench: &mut Bench, session: &mut Session, sequence: u8, characters: &[u8]) {
    let mut datagram = Vec::new();
    session.sol(&Packet { sequence, characters, ..Packet::default() }, &mut datagram);
    assert_eq!(bench.send(&datagram), None, "SOL is answered by what is polled");
    assert_eq!(bench.server.last_drop(), None);
}

#[test]
fn characters_go_both_ways() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    assert_eq!(activate(&mut bench, &mut session), CompletionCode::OK);
    assert!(bench.server.sol_active());
    assert_eq!(bench.server.sol_activations(), 1);

    type_in(&mut bench, &mut session, 1, b"ls\r");
    assert_eq!(bench.server.take_sol_input(), Some(SolInput::Bytes(b"ls\r".to_vec())));
    bench.server.sol_feed(b"ls\r\n");
    bench.now += std::time::Duration::from_secs(1);
    let payloads = payloads(&mut bench, &session);
    let packets: Vec<_> = payloads.iter().map(|payload| Packet::parse(payload).unwrap()).collect();
    assert!(packets.iter().any(|packet| (packet.ack, packet.accepted) == (1, 3)), "{packets:?}");
    let characters: Vec<u8> = packets.iter().flat_map(|packet| packet.characters).copied().collect();
    assert_eq!(characters, b"ls\r\n");
}

#[test]
fn without_room_nothing_is_accepted_and_memory_is_bounded() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    activate(&mut bench, &mut session);
    bench.server.set_sol_input_room(300);
    for sequence in 0..100 {
        type_in(&mut bench, &mut session, sequence % 15 + 1, &[b'x'; 200]);
        bench.now += std::time::Duration::from_secs(10);
        let _ = transmitted(&mut bench);
        assert!(bench.is_alive(&mut session));
    }
    let mut accepted = 0;
    while let Some(input) = bench.server.take_sol_input() {
        if let SolInput::Bytes(bytes) = input {
            accepted += bytes.len();
        }
    }
    assert_eq!(accepted, 300);
}

#[test]
fn sol_of_another_session_is_dropped() {
    let mut bench = bench();
    let (mut owner, mut other) = (bench.login(admin()), bench.login(operator()));
    activate(&mut bench, &mut owner);
    let mut datagram = Vec::new();
    other.sol(&Packet { sequence: 1, characters: b"reboot\r", ..Packet::default() }, &mut datagram);
    assert_eq!(bench.dropped(&datagram), Dropped::UnexpectedPayload);
    assert_eq!(bench.server.take_sol_input(), None);
}

#[test]
fn sol_that_is_unsigned_or_unencrypted_is_dropped() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    activate(&mut bench, &mut session);
    let payload = [1, 0, 0, 0, b'x'];
    for (encrypted, authenticated) in [(false, false), (true, false), (false, true)] {
        let mut datagram = Vec::new();
        session.seal(PayloadType::Sol, encrypted, authenticated, &payload, &mut datagram);
        assert_eq!(bench.dropped(&datagram), Dropped::Unprotected);
    }
    assert_eq!(bench.server.take_sol_input(), None);
}

#[test]
fn sol_that_was_activated_without_protection_keeps_to_its_peer_and_its_own_numbers() {
    let mut bench = bench();
    bench.bmc.sol_mut().force_encryption = false;
    bench.bmc.sol_mut().force_authentication = false;
    let mut session = bench.login(admin());
    let (code, _) = bench.command(&mut session, APP, ACTIVATE_PAYLOAD, &[1, 1, 0, 0, 0, 0]);
    assert_eq!(code, CompletionCode::OK);

    let mut datagram = Vec::new();
    session.seal(PayloadType::Sol, false, false, &[1, 0, 0, 0, b'x'], &mut datagram);
    assert_eq!(bench.dropped_from(elsewhere(1, 1), &datagram), Dropped::Unprotected);
    assert_eq!(bench.send(&datagram), None);
    assert_eq!(bench.server.take_sol_input(), Some(SolInput::Bytes(b"x".to_vec())));
    assert_eq!(bench.dropped(&datagram), Dropped::Sequence, "a replay");
    assert!(bench.is_alive(&mut session), "the authenticated count is another");

    let mut commands = Vec::new();
    session.seal(PayloadType::Ipmi, false, false, &[0; 8], &mut commands);
    assert_eq!(bench.dropped(&commands), Dropped::Unprotected, "commands stay protected");

    let sent = transmitted(&mut bench);
    let (_, acknowledgement) = &sent[0];
    assert_eq!(acknowledgement[5], 0x01, "neither encrypted nor authenticated");
    assert_eq!(acknowledgement[10..14], 1u32.to_le_bytes());
}

#[test]
fn a_lesser_privilege_can_t_take_sol_over() {
    let mut bench = bench();
    bench.bmc.sol_mut().privilege = Privilege::Operator as u8;
    let mut owner = bench.login(operator());
    let mut lesser = bench.login(reader());
    assert_eq!(activate(&mut bench, &mut owner), CompletionCode::OK);
    assert_ne!(activate(&mut bench, &mut lesser), CompletionCode::OK);
    assert_ne!(bench.command(&mut lesser, APP, DEACTIVATE_PAYLOAD, &[1, 1, 0, 0, 0, 0]).0.0, 0);
    type_in(&mut bench, &mut owner, 1, b"x");
    assert_eq!(bench.server.take_sol_input(), Some(SolInput::Bytes(b"x".to_vec())));
}

#[test]
fn sol_without_the_payload_right_is_refused() {
    let mut bench = bench();
    let admin_id = bench.user("admin");
    bench.bmc.users.set_sol_access(admin_id, false).unwrap();
    let mut session = bench.login(admin());
    assert_ne!(activate(&mut bench, &mut session), CompletionCode::OK);
    assert!(!bench.server.sol_active());
}

#[test]
fn a_right_that_is_lost_ends_sol_and_the_console_is_told() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    activate(&mut bench, &mut session);
    let admin_id = bench.user("admin");
    bench.bmc.users.set_sol_access(admin_id, false).unwrap();
    let payloads = payloads(&mut bench, &session);
    let statuses = payloads.iter().map(|payload| Packet::parse(payload).unwrap().status());
    assert!(statuses.into_iter().any(|status| status.contains(Status::DEACTIVATED)));
    assert!(!bench.server.sol_active());
    let mut datagram = Vec::new();
    session.sol(&Packet { sequence: 1, characters: b"x", ..Packet::default() }, &mut datagram);
    assert_eq!(bench.dropped(&datagram), Dropped::UnexpectedPayload);
}

#[test]
fn output_does_not_go_to_a_user_who_was_disabled() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    activate(&mut bench, &mut session);
    let admin_id = bench.user("admin");
    bench.server.sol_feed(b"secret");
    bench.bmc.users.set_enabled(admin_id, false).unwrap();
    bench.now += std::time::Duration::from_secs(1);
    assert_eq!(transmitted(&mut bench), []);
    assert!(!bench.server.sol_active());
}

#[test]
fn who_is_taken_over_is_told_and_keeps_the_session() {
    let mut bench = bench();
    let mut old = bench.login(admin());
    let mut new = bench.login_at(HOME, admin());
    activate(&mut bench, &mut old);
    let _ = transmitted(&mut bench);
    assert_eq!(activate(&mut bench, &mut new), CompletionCode::OK);
    let payloads = payloads(&mut bench, &old);
    assert_eq!(payloads.len(), 1);
    assert!(Packet::parse(&payloads[0]).unwrap().status().contains(Status::DEACTIVATED));
    assert!(bench.is_alive(&mut old));
    assert_eq!(bench.server.sol_activations(), 2);
}

#[test]
fn a_shutdown_is_told() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    activate(&mut bench, &mut session);
    let _ = transmitted(&mut bench);
    bench.server.shutdown();
    let payloads = payloads(&mut bench, &session);
    assert!(Packet::parse(&payloads[0]).unwrap().status().contains(Status::DEACTIVATED));
}

#[test]
fn sol_ends_with_its_session() {
    let mut bench = bench();
    let mut session = bench.login(admin());
    activate(&mut bench, &mut session);
    let id = session.id().to_le_bytes();
    bench.command(&mut session, APP, 0x3c, &id);
    assert!(!bench.server.sol_active());
    bench.server.sol_feed(b"lost");
    assert_eq!(transmitted(&mut bench), []);
    assert!(bench.server.next_timeout().is_some(), "the wake-up of the session, not of SOL");
}

#[test]
fn the_activation_reports_the_advertised_port() {
    use ipmi::lan::ServerConfig;
    for (advertised_port, expected) in [(None, 623u16), (Some(6230), 6230)] {
        let config = ServerConfig { advertised_port, ..ServerConfig::default() };
        let mut bench = Bench::with(bmc::Lan::default(), config);
        let mut session = bench.login(admin());
        let (code, data) = bench.command(&mut session, APP, ACTIVATE_PAYLOAD, &PROTECTED);
        assert_eq!(code, CompletionCode::OK);
        let [.., i0, i1, o0, o1, p0, p1, _, _] = data[..] else { panic!("{data:?}") };
        for size in [u16::from_le_bytes([i0, i1]), u16::from_le_bytes([o0, o1])] {
            assert!((5..=259).contains(&size), "{size}");
        }
        assert_eq!(u16::from_le_bytes([p0, p1]), expected);
    }
}
