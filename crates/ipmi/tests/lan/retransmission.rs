//! A request whose answer was lost comes again, and does not run again (ipmi-lan.md, "Inside a session").

use std::time::Duration;

use bmc::{Fact, Intent, PowerRequest};
use ipmi::client::{Incoming, Session};

use super::bench::{APP, Bench, CHASSIS, GET_DEVICE_ID, admin};

fn running() -> (Bench, Session) {
    let mut bench = Bench::new();
    bench.bmc.on_fact(bench.now, Fact::Started);
    let session = bench.login(admin());
    (bench, session)
}

/// Sends a request, and takes the intent that it left.
fn send(bench: &mut Bench, session: &Session, datagram: &[u8]) -> (Incoming, Option<Intent>) {
    let mut answer = bench.send(datagram).unwrap();
    let intent = bench.bmc.take_intent();
    bench.bmc.power_done();
    (session.receive(&mut answer).unwrap(), intent)
}

#[test]
fn a_repeated_power_cycle_is_answered_again_and_runs_once() {
    let (mut bench, mut session) = running();
    let mut datagram = Vec::new();
    session.request(CHASSIS, 2, &[2], &mut datagram);
    let (first, intent) = send(&mut bench, &session, &datagram);
    assert_eq!(intent, Some(Intent::Power(PowerRequest::Cycle)));
    for _ in 0..3 {
        bench.wait(Duration::from_secs(1));
        session.repeat(&mut datagram);
        assert_eq!(send(&mut bench, &session, &datagram), (first.clone(), None));
    }
}

#[test]
fn a_second_power_cycle_runs() {
    let (mut bench, mut session) = running();
    for _ in 0..3 {
        let mut datagram = Vec::new();
        session.request(CHASSIS, 2, &[2], &mut datagram);
        let (_, intent) = send(&mut bench, &session, &datagram);
        assert_eq!(intent, Some(Intent::Power(PowerRequest::Cycle)));
    }
}

#[test]
fn the_same_number_after_a_full_round_is_a_new_request() {
    let (mut bench, mut session) = running();
    let mut datagram = Vec::new();
    session.request(CHASSIS, 2, &[3], &mut datagram);
    send(&mut bench, &session, &datagram);
    for _ in 0..63 {
        assert_eq!(bench.command(&mut session, APP, GET_DEVICE_ID, &[]).0.0, 0);
    }
    session.request(CHASSIS, 2, &[3], &mut datagram);
    let (_, intent) = send(&mut bench, &session, &datagram);
    assert_eq!(intent, Some(Intent::Power(PowerRequest::Reset)));
}

#[test]
fn a_repetition_after_five_seconds_is_a_new_request() {
    let (mut bench, mut session) = running();
    let mut datagram = Vec::new();
    session.request(CHASSIS, 2, &[2], &mut datagram);
    send(&mut bench, &session, &datagram);
    bench.wait(Duration::from_secs(5));
    session.repeat(&mut datagram);
    let (_, intent) = send(&mut bench, &session, &datagram);
    assert_eq!(intent, Some(Intent::Power(PowerRequest::Cycle)));
}

#[test]
fn two_sessions_do_not_share_their_answers() {
    let (mut bench, mut one) = running();
    let mut other = bench.login(admin());
    for session in [&mut one, &mut other] {
        let mut datagram = Vec::new();
        session.request(CHASSIS, 2, &[2], &mut datagram);
        let (_, intent) = send(&mut bench, session, &datagram);
        assert_eq!(intent, Some(Intent::Power(PowerRequest::Cycle)));
    }
}
