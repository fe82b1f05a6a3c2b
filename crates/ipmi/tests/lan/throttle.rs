//! Guessing is slowed down per peer, and written to the event log (security.md, line 8).

use std::time::Duration;

use bmc::Event;
use ipmi::{
    client::{Credentials, Login, LoginError, Step},
    lan::Dropped,
    wire::{rakp::Status, session::Packet},
};

use super::bench::{Bench, HOME, admin, elsewhere, password};

/// A console that goes on to RAKP 3 with a wrong password, as somebody who guesses has to.
fn guess(bench: &mut Bench) -> Status {
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    for _ in 0..2 {
        let answer = bench.send(&datagram).unwrap();
        match login.receive(&answer, &mut datagram) {
            Ok(step) => assert!(matches!(step, Step::Send)),
            Err(LoginError::Refused(status)) => return status,
            Err(error) => panic!("{error}"),
        }
    }
    *datagram.last_mut().unwrap() ^= 1;
    let answer = bench.send(&datagram).unwrap();
    Status(Packet::parse(&answer[4..]).unwrap().payload[1])
}

#[test]
fn the_eleventh_guess_within_a_minute_is_refused_and_the_right_password_with_it() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        assert_eq!(guess(&mut bench), Status::INVALID_INTEGRITY_CHECK);
    }
    assert_eq!(guess(&mut bench), Status::INSUFFICIENT_RESOURCES);
    assert_eq!(bench.refused(admin()), Status::INSUFFICIENT_RESOURCES);
    bench.wait(Duration::from_secs(10));
    bench.login(admin());
}

#[test]
fn a_few_typing_errors_lock_nobody_out() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        for _ in 0..5 {
            assert_eq!(guess(&mut bench), Status::INVALID_INTEGRITY_CHECK);
        }
        bench.login(admin());
    }
}

#[test]
fn other_peers_log_in_meanwhile_and_open_sessions_go_on() {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    for _ in 0..11 {
        guess(&mut bench);
    }
    assert!(bench.login_from(elsewhere(1, 1), admin()).unwrap().is_ok());
    assert!(bench.is_alive(&mut session));
}

#[test]
fn guesses_are_events_and_a_flood_of_them_is_not_a_flood_of_events() {
    let mut bench = Bench::new();
    for _ in 0..1000 {
        guess(&mut bench);
    }
    let events = bench.events();
    let failed = |event: &&Event| {
        matches!(event, Event::LoginFailed { user, peer, reason: "wrong password" }
            if user == "admin" && *peer == HOME.ip())
    };
    assert_eq!(events.iter().filter(failed).count(), 10);
    assert_eq!(events.last(), Some(&Event::LoginThrottled { peer: HOME.ip() }));
    assert_eq!(events.len(), 11);
}

#[test]
fn a_challenge_that_is_not_answered_is_a_failed_login() {
    let mut bench = Bench::new();
    let wrong = Credentials { password: password("wrong"), ..admin() };
    // Most consoles see by RAKP 2 that the password is wrong, and say no more.
    assert_eq!(bench.login_from(HOME, wrong).unwrap().err(), Some(LoginError::WrongPassword));
    assert_eq!(bench.events(), []);
    bench.wait(Duration::from_secs(10));
    let events = bench.events();
    assert!(matches!(&events[..], [Event::LoginFailed { user, .. }] if user == "admin"), "{events:?}");
}

#[test]
fn collecting_codes_to_guess_at_home_is_slowed_down() {
    let mut bench = Bench::new();
    for _ in 0..40 {
        let collect = Credentials { password: password("guess"), ..admin() };
        let _ = bench.login_from(HOME, collect).unwrap();
    }
    let collect = Credentials { password: password("guess"), ..admin() };
    assert_eq!(bench.refused(collect), Status::INSUFFICIENT_RESOURCES);
}

#[test]
fn a_console_that_gives_up_with_an_error_is_a_failed_login_at_once() {
    let mut bench = Bench::new();
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    for _ in 0..2 {
        let answer = bench.send(&datagram).unwrap();
        assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Send)));
    }
    datagram[17] = Status::INVALID_INTEGRITY_CHECK.0;
    assert_eq!(bench.dropped(&datagram), Dropped::HandshakeEnded);
    assert!(matches!(bench.events()[..], [Event::LoginFailed { .. }]));
}

#[test]
fn names_that_do_not_exist_count_as_guesses() {
    let mut bench = Bench::new();
    for name in 0..10 {
        let unknown = Credentials { user: format!("user{name}"), ..admin() };
        assert_eq!(bench.refused(unknown), Status::UNAUTHORIZED_NAME);
    }
    assert_eq!(bench.refused(admin()), Status::INSUFFICIENT_RESOURCES);
}
