//! Packets of an active session that are not what they should be are dropped without a word
//! (security.md, line 4; §13.28).

use std::time::Duration;

use ipmi::{
    client::{Incoming, Session},
    lan::Dropped,
    wire::{Malformed, message, session::PayloadType},
};

use super::bench::{APP, Bench, GET_DEVICE_ID, HOME, admin, elsewhere};

fn get_device_id(session: &mut Session) -> Vec<u8> {
    let mut datagram = Vec::new();
    session.request(APP, GET_DEVICE_ID, &[], &mut datagram);
    datagram
}

/// Power on, as a payload.
fn power_on() -> Vec<u8> {
    let mut payload = Vec::new();
    message::Request {
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
    payload
}

#[test]
fn unsigned_or_unencrypted_packets_are_dropped() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    for (encrypted, authenticated) in [(false, false), (true, false), (false, true)] {
        let mut datagram = Vec::new();
        session.seal(PayloadType::Ipmi, encrypted, authenticated, &power_on(), &mut datagram);
        assert_eq!(bench.dropped(&datagram), Dropped::Unprotected);
    }
    assert_eq!(bench.bmc.take_intent(), None);
    let mut datagram = Vec::new();
    session.seal(PayloadType::Ipmi, true, true, &power_on(), &mut datagram);
    assert!(bench.send(&datagram).is_some(), "protected, the same packet runs");
}

#[test]
fn a_replayed_packet_is_dropped() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let datagram = get_device_id(&mut session);
    assert!(bench.send(&datagram).is_some());
    assert_eq!(bench.dropped(&datagram), Dropped::Sequence);
    for _ in 0..40 {
        assert!(bench.is_alive(&mut session));
    }
    assert_eq!(bench.dropped(&datagram), Dropped::Sequence);
}

#[test]
fn packets_out_of_order_are_taken_within_the_window_and_dropped_beyond() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let mut datagrams: Vec<_> = (0..18).map(|_| get_device_id(&mut session)).collect();
    let too_far = datagrams.split_off(15);
    assert_eq!(bench.dropped(&too_far[0]), Dropped::Sequence, "16 ahead");
    for datagram in datagrams.iter().rev() {
        assert!(bench.send(datagram).is_some());
    }
    for datagram in &datagrams {
        assert_eq!(bench.dropped(datagram), Dropped::Sequence);
    }
    *session.sequence_mut() = 0;
    let mut datagram = Vec::new();
    session.repeat(&mut datagram);
    assert_eq!(bench.dropped(&datagram), Dropped::Sequence, "0 is no number of a session");
}

#[test]
fn a_forged_packet_does_not_move_the_window() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let good = get_device_id(&mut session);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(bench.dropped(&forged), Dropped::BadCode);
    assert!(bench.send(&good).is_some());
}

#[test]
fn a_packet_with_any_bit_flipped_is_dropped() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let good = get_device_id(&mut session);
    for index in 0..good.len() {
        // Reserved and sequence number of RMCP are not looked at.
        if matches!(index, 1 | 2) {
            continue;
        }
        for bit in 0..8 {
            let mut bent = good.clone();
            bent[index] ^= 1 << bit;
            let reason = bench.dropped(&bent);
            let expected = match index {
                8..12 if index != 5 => {
                    matches!(reason, Dropped::Sequence | Dropped::NoSuchSession | Dropped::BadCode)
                }
                16.. => matches!(reason, Dropped::BadCode),
                _ => true,
            };
            assert!(expected, "byte {index} bit {bit}: {reason}");
        }
    }
    assert!(bench.send(&good).is_some());
}

#[test]
fn a_truncated_packet_is_dropped() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let good = get_device_id(&mut session);
    for size in 0..good.len() {
        let reason = bench.dropped(&good[..size]);
        assert!(matches!(reason, Dropped::Malformed(_) | Dropped::BadCode), "{size} bytes: {reason}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(bench.dropped(&longer), Dropped::BadCode);
    assert!(bench.send(&good).is_some());
}

#[test]
fn another_session_s_keys_are_dropped() {
    let mut bench = Bench::new();
    let mut mine = bench.login(admin());
    let theirs = bench.login(admin());
    let mut datagram = get_device_id(&mut mine);
    datagram[6..10].copy_from_slice(&theirs.id().to_le_bytes());
    datagram[10..14].copy_from_slice(&9u32.to_le_bytes());
    assert_eq!(bench.dropped(&datagram), Dropped::BadCode);
    datagram[6..10].copy_from_slice(&0x5555_5555u32.to_le_bytes());
    assert_eq!(bench.dropped(&datagram), Dropped::NoSuchSession);
}

#[test]
fn handshake_and_unknown_payloads_within_a_session_are_dropped() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    for payload_type in [
        PayloadType::OpenSessionRequest,
        PayloadType::OpenSessionResponse,
        PayloadType::Rakp1,
        PayloadType::Rakp3,
        PayloadType::Sol,
    ] {
        let mut datagram = Vec::new();
        session.seal(payload_type, true, true, &[0; 40], &mut datagram);
        assert_eq!(bench.dropped(&datagram), Dropped::UnexpectedPayload, "{payload_type:?}");
    }
}

#[test]
fn a_signed_packet_whose_contents_make_no_sense_is_dropped() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let mut datagram = Vec::new();
    session.seal(PayloadType::Ipmi, true, true, b"not a message", &mut datagram);
    assert_eq!(bench.dropped(&datagram), Dropped::Malformed(Malformed("IPMI request")));
}

#[test]
fn outbound_numbers_start_at_1_and_go_up_by_one() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    // Set Session Privilege Level had the first.
    for expected in 2u32..20 {
        let answer = bench.send(&get_device_id(&mut session)).unwrap();
        assert_eq!(answer[10..14], expected.to_le_bytes());
    }
}

#[test]
fn the_answer_echoes_sequence_lun_and_requester() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let mut payload = Vec::new();
    message::Request {
        responder: 0x20,
        netfn: APP,
        lun: 1,
        requester: 0x8f,
        requester_lun: 2,
        sequence: 41,
        command: GET_DEVICE_ID,
        data: &[],
    }
    .emit(&mut payload);
    let mut datagram = Vec::new();
    session.seal(PayloadType::Ipmi, true, true, &payload, &mut datagram);
    let mut answer = bench.send(&datagram).unwrap();
    let Incoming::Response { sequence, command, code, .. } = session.receive(&mut answer).unwrap() else {
        panic!("not a response");
    };
    // LUN 1 has no commands.
    assert_eq!((sequence, command, code.0), (41, GET_DEVICE_ID, 0xc2));
    // Decrypted in place: behind RMCP and session header and the initialization vector.
    assert_eq!(answer[32..38], [0x8f, 0x07 << 2 | 2, 0x53, 0x20, 41 << 2 | 1, GET_DEVICE_ID]);
}

#[test]
fn a_session_ends_after_sixty_seconds_of_silence_and_not_before() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    for _ in 0..3 {
        bench.wait(Duration::from_millis(59_900));
        assert!(bench.is_alive(&mut session));
    }
    bench.wait(Duration::from_millis(60_000));
    let datagram = get_device_id(&mut session);
    assert_eq!(bench.dropped(&datagram), Dropped::NoSuchSession);

    // Also where nobody called `tick` in time.
    let mut session = bench.login(admin());
    bench.now += Duration::from_secs(60);
    let datagram = get_device_id(&mut session);
    assert_eq!(bench.dropped(&datagram), Dropped::SessionEnded);
    assert_eq!(bench.dropped(&datagram), Dropped::NoSuchSession);
}

#[test]
fn dropped_packets_do_not_keep_a_session_alive() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let datagram = get_device_id(&mut session);
    bench.send(&datagram);
    for _ in 0..6 {
        bench.wait(Duration::from_secs(9));
        assert_eq!(bench.dropped(&datagram), Dropped::Sequence);
    }
    bench.wait(Duration::from_secs(6));
    assert!(!bench.is_alive(&mut session));
}

#[test]
fn the_timeout_is_never_too_late() {
    let mut bench = Bench::new();
    assert_eq!(bench.server.next_timeout(), None);
    let mut session = bench.login(admin());
    let mut last_heard = bench.now;
    for _ in 0..50 {
        let timeout = bench.server.next_timeout().unwrap();
        assert!(timeout <= last_heard + Duration::from_secs(60));
        bench.now = timeout.max(bench.now);
        bench.server.tick(bench.now, &mut bench.bmc);
        if bench.server.next_timeout().is_none() {
            break;
        }
        if bench.now < last_heard + Duration::from_secs(30) {
            assert!(bench.is_alive(&mut session));
            last_heard = bench.now;
        }
    }
    assert_eq!(bench.server.next_timeout(), None, "the session is over, and nothing is left to wait for");
    assert_eq!(bench.now, last_heard + Duration::from_secs(60));
}

#[test]
fn a_console_whose_address_changes_is_answered_where_it_is() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let datagram = get_device_id(&mut session);
    assert!(bench.send_from(elsewhere(9, 9), &datagram).is_some());
    let datagram = get_device_id(&mut session);
    assert!(bench.send_from(HOME, &datagram).is_some());
}
