//! A session that is half open runs nothing (security.md, line 2).

use std::time::Duration;

use ipmi::{
    client::{Login, Step},
    lan::Dropped,
    wire::{
        message::Request,
        rakp::Status,
        rmcp::Class,
        session::{Header, Packet, PayloadType, emit_trailer},
        session_v15,
    },
};

use super::bench::{Bench, HOME, admin, elsewhere};

/// A power-on under a session id: unprotected, with forged protection, and in the wrapper of IPMI 1.5.
fn power_on(session: u32) -> Vec<Vec<u8>> {
    let mut payload = Vec::new();
    Request {
        responder: 0x20,
        netfn: 0,
        lun: 0,
        requester: 0x81,
        requester_lun: 0,
        sequence: 1,
        command: 2,
        data: &[1],
    }
    .emit(&mut payload);
    let mut datagrams = Vec::new();
    for (encrypted, authenticated) in [(false, false), (true, false), (false, true), (true, true)] {
        let header =
            Header { payload_type: PayloadType::Ipmi, encrypted, authenticated, session, sequence: 1 };
        let mut datagram = Vec::new();
        Class::Ipmi.emit(&mut datagram);
        header.emit(&mut datagram, |out| {
            out.extend(if encrypted { vec![0; 48] } else { payload.clone() });
        });
        if authenticated {
            emit_trailer(&mut datagram, 4);
            datagram.extend([0; 16]);
        }
        datagrams.push(datagram);
    }
    let mut old = Vec::new();
    Class::Ipmi.emit(&mut old);
    session_v15::Packet { sequence: 1, session, code: None, payload: &payload }.emit(&mut old);
    datagrams.push(old);
    datagrams
}

fn managed_session(rakp1: &[u8]) -> u32 {
    u32::from_le_bytes(rakp1[20..24].try_into().unwrap())
}

#[test]
fn a_command_after_open_session_or_rakp_1_is_dropped() {
    let mut bench = Bench::new();
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    for step in ["open session", "RAKP 1"] {
        let answer = bench.send(&datagram).unwrap();
        assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Send)));
        for command in power_on(managed_session(&datagram)) {
            let reason = bench.dropped(&command);
            assert!(matches!(reason, Dropped::HalfOpen | Dropped::AuthenticationType), "{step}: {reason}");
        }
    }
    assert_eq!(bench.bmc.take_intent(), None);
    // And the handshake goes on as if nothing had been.
    let answer = bench.send(&datagram).unwrap();
    assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Done(_))));
}

#[test]
fn another_peer_can_t_go_on_with_a_handshake() {
    let mut bench = Bench::new();
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    for _ in 0..2 {
        let answer = bench.send(&datagram).unwrap();
        assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Send)));
        let answer = bench.send_from(elsewhere(1, 1), &datagram).unwrap();
        assert_eq!(Packet::parse(&answer[4..]).unwrap().payload[1], Status::INVALID_SESSION_ID.0);
    }
    let answer = bench.send(&datagram).unwrap();
    assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Done(_))));
}

#[test]
fn a_half_open_session_is_forgotten_after_ten_seconds() {
    for (pause, finishes) in [(9_900, true), (10_000, false)] {
        let mut bench = Bench::new();
        let mut datagram = Vec::new();
        let seed = bench.seed();
        let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
        let answer = bench.send(&datagram).unwrap();
        login.receive(&answer, &mut datagram).unwrap();
        assert_eq!(bench.server.next_timeout(), Some(bench.now + Duration::from_secs(10)));
        bench.wait(Duration::from_millis(pause));
        let answer = bench.send(&datagram).unwrap();
        assert_eq!(login.receive(&answer, &mut datagram).is_ok(), finishes, "after {pause} ms");
    }
}

#[test]
fn a_repeated_message_gets_the_same_answer_again() {
    let mut bench = Bench::new();
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    let session = loop {
        let answer = bench.send(&datagram).unwrap();
        assert_eq!(bench.send(&datagram).as_ref(), Some(&answer), "its answer was lost");
        match login.receive(&answer, &mut datagram).unwrap() {
            Step::Done(session) => break session,
            Step::Send | Step::Wait => {}
        }
    };
    let rakp3 = datagram;
    let mut forged = rakp3.clone();
    *forged.last_mut().unwrap() ^= 1;
    let answer = bench.send(&forged).unwrap();
    assert_eq!(Packet::parse(&answer[4..]).unwrap().payload.len(), 8, "an error, not RAKP 4");
    assert!(bench.is_alive(&mut { *session }));
    let answer = bench.send(&rakp3).unwrap();
    let status = Packet::parse(&answer[4..]).unwrap().payload[1];
    assert_eq!(status, Status::INVALID_SESSION_ID.0, "the first packet proved that RAKP 4 arrived");
    assert_eq!(bench.events().len(), 1, "one login");
}

#[test]
fn one_socket_keeps_four_half_open_sessions() {
    let mut bench = Bench::new();
    let mut logins = Vec::new();
    for _ in 0..6 {
        let mut datagram = Vec::new();
        let seed = bench.seed();
        let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
        let answer = bench.send_from(HOME, &datagram).unwrap();
        login.receive(&answer, &mut datagram).unwrap();
        logins.push((login, datagram));
        bench.wait(Duration::from_millis(1));
    }
    let alive = logins.into_iter().map(|(mut login, mut datagram)| {
        let answer = bench.send(&datagram).unwrap();
        login.receive(&answer, &mut datagram).is_ok()
    });
    assert_eq!(alive.collect::<Vec<_>>(), [false, false, true, true, true, true]);
}
