//! Opening sessions: which suites, which users, and that every session ends up with its own keys.

use std::collections::HashSet;

use bmc::{Event, KgKey, Lan, Privilege, UserId};
use ipmi::{
    client::{Credentials, Login, LoginError, Step, sessionless_request, sessionless_response},
    lan::ServerConfig,
    wire::{
        open_session::{Algorithms, Request, Response},
        rakp::{Outcome, Rakp2, Status},
        rmcp::Class,
        session::{Header, Packet, PayloadType},
    },
};
use proptest::prelude::*;

use super::bench::{APP, Bench, GET_DEVICE_ID, HOME, admin, password, reader};

/// The status of the answer to an Open Session Request, and the algorithms if it is accepted.
fn open(
    bench: &mut Bench,
    authentication: u8,
    integrity: u8,
    confidentiality: u8,
) -> Result<Algorithms<u8>, u8> {
    let request = Request {
        tag: 9,
        privilege: 0,
        console_session: 0x1234,
        proposal: Ok(Algorithms {
            authentication: Some(authentication),
            integrity: Some(integrity),
            confidentiality: Some(confidentiality),
        }),
    };
    let mut datagram = Vec::new();
    Class::Ipmi.emit(&mut datagram);
    Header::sessionless(PayloadType::OpenSessionRequest).emit(&mut datagram, |out| request.emit(out));
    let answer = bench.send(&datagram).unwrap();
    let packet = Packet::parse(&answer[4..]).unwrap();
    assert_eq!(packet.header, Header::sessionless(PayloadType::OpenSessionResponse));
    let outcome = Outcome::parse(packet.payload).unwrap();
    assert_eq!((outcome.tag, outcome.console_session), (9, 0x1234));
    if outcome.status == Status::OK {
        let response = Response::parse(packet.payload).unwrap();
        assert_eq!(response.privilege, 4, "the highest that fits");
        assert_ne!(response.managed_session, 0);
        Ok(response.chosen)
    } else {
        assert_eq!(packet.payload.len(), 8);
        Err(outcome.status.0)
    }
}

#[test]
fn both_suites_both_look_ups_with_and_without_a_second_key() {
    for suite in [3, 17] {
        for name_only in [true, false] {
            for kg in [None, Some(KgKey::new(*b"a key of twenty byte"))] {
                let lan = Lan { kg: kg.clone(), ..Lan::default() };
                let mut bench = Bench::with(lan, ServerConfig::default());
                let mut session = bench.login(Credentials { suite, name_only, kg, ..admin() });
                let (code, data) = bench.command(&mut session, APP, GET_DEVICE_ID, &[]);
                assert_eq!((code.0, data[0]), (0, 0x20));
            }
        }
    }
}

#[test]
fn suites_other_than_3_and_17_are_refused() {
    let mut bench = Bench::new();
    for authentication in 0..4 {
        for integrity in 0..5 {
            for confidentiality in 0..4 {
                let triple = (authentication, integrity, confidentiality);
                let accepted = open(&mut bench, authentication, integrity, confidentiality);
                assert_eq!(accepted.is_ok(), triple == (1, 1, 1) || triple == (3, 4, 1), "{triple:?}");
            }
        }
    }
}

#[test]
fn cipher_suite_0_is_refused_even_if_it_is_enabled() {
    let lan = Lan { cipher_suites: vec![0, 1, 2, 3, 17], ..Lan::default() };
    let mut bench = Bench::with(lan, ServerConfig::default());
    assert_eq!(open(&mut bench, 0, 0, 0), Err(0x04));
    assert_eq!(open(&mut bench, 1, 0, 0), Err(0x05));
    assert_eq!(open(&mut bench, 1, 1, 0), Err(0x10));
}

#[test]
fn a_refused_algorithm_is_named() {
    let mut bench = Bench::new();
    assert_eq!(open(&mut bench, 2, 1, 1), Err(0x04));
    assert_eq!(open(&mut bench, 1, 2, 1), Err(0x05));
    assert_eq!(open(&mut bench, 1, 1, 3), Err(0x10));
    assert_eq!(open(&mut bench, 1, 4, 1), Err(0x11));
    bench.bmc.lan.cipher_suites = vec![17];
    assert_eq!(open(&mut bench, 1, 1, 1), Err(0x04));
    assert_eq!(bench.refused(Credentials { suite: 3, ..admin() }), Status::INVALID_AUTHENTICATION);
}

#[test]
fn a_wrong_password_user_or_key_is_refused() {
    let mut bench = Bench::new();
    let wrong = Credentials { password: password("passwore"), ..admin() };
    assert_eq!(bench.login_from(HOME, wrong).unwrap().err(), Some(LoginError::WrongPassword));
    let unknown = Credentials { user: "root".to_owned(), ..admin() };
    assert_eq!(bench.refused(unknown), Status::UNAUTHORIZED_NAME);
    bench.bmc.lan.kg = Some(KgKey::new([7; 20]));
    let no_key = bench.login_from(HOME, admin()).unwrap().err();
    assert_eq!(no_key, Some(LoginError::WrongPassword), "K_G is missing");
}

#[test]
fn anonymous_null_and_disabled_users_are_refused() {
    let mut bench = Bench::new();
    bench.bmc.users.set_enabled(UserId::NULL, true).unwrap_err();
    let reader_id = bench.user("reader");
    bench.bmc.users.set_enabled(reader_id, false).unwrap();
    for credentials in [
        Credentials { user: String::new(), ..admin() },
        Credentials { user: "\0".to_owned(), ..admin() },
        reader(),
    ] {
        assert_eq!(bench.refused(credentials), Status::UNAUTHORIZED_NAME);
    }
}

#[test]
fn a_level_above_the_user_s_or_the_channel_s_limit_is_refused() {
    let mut bench = Bench::new();
    let above = Credentials { privilege: Privilege::Operator, ..reader() };
    assert_eq!(bench.refused(above), Status::UNAUTHORIZED_ROLE);
    bench.bmc.lan.access.volatile.limit = Privilege::Operator;
    assert_eq!(bench.refused(admin()), Status::UNAUTHORIZED_ROLE);
    bench.login(Credentials { privilege: Privilege::Operator, ..admin() });
}

#[test]
fn session_ids_are_unique_and_never_0() {
    let mut bench = Bench::new();
    let ids: HashSet<u32> = (0..60).map(|_| bench.login(admin()).id()).collect();
    assert_eq!(ids.len(), 60);
    assert!(!ids.contains(&0));
    // Every bit is drawn: over sixty ids, none is the same in all.
    assert_eq!(ids.iter().fold(0, |seen, id| seen | id), u32::MAX);
    assert_eq!(ids.iter().fold(u32::MAX, |seen, id| seen & id), 0);
}

#[test]
fn when_all_slots_are_taken_a_login_is_refused_and_none_is_dropped() {
    let mut bench = Bench::with(Lan::default(), ServerConfig { slots: 2, ..ServerConfig::default() });
    let mut sessions = [bench.login(admin()), bench.login(admin())];
    assert_eq!(open(&mut bench, 3, 4, 1), Err(Status::INSUFFICIENT_RESOURCES.0), "at the first message");
    assert!(sessions.iter_mut().all(|session| bench.is_alive(session)));
    let id = sessions[0].id().to_le_bytes();
    assert_eq!(bench.command(&mut sessions[0], APP, 0x3c, &id).0.0, 0);
    bench.login(admin());
}

#[test]
fn logins_and_failed_logins_are_events() {
    let mut bench = Bench::new();
    bench.login(admin());
    let unknown = Credentials { user: "ro\u{7f}t".to_owned(), ..admin() };
    bench.refused(unknown);
    let events = bench.events();
    assert_eq!(events[0], Event::LoggedIn { user: "admin".to_owned(), peer: HOME.ip() });
    assert!(
        matches!(&events[1], Event::LoginFailed { user, peer, .. } if user == "ro\u{7f}t" && *peer == HOME.ip()),
        "{:?}",
        events[1]
    );
    assert!(!events[1].to_string().contains('\u{7f}'), "control characters stay out of the log");
    assert_eq!(events.len(), 2);
}

#[test]
fn the_guid_of_rakp_2_is_the_one_of_get_system_guid() {
    let mut bench = Bench::new();
    let mut datagram = Vec::new();
    let seed = bench.seed();
    let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
    let answer = bench.send(&datagram).unwrap();
    assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Send)));
    let answer = bench.send(&datagram).unwrap();
    let rakp2 = Rakp2::parse(Packet::parse(&answer[4..]).unwrap().payload).unwrap();
    sessionless_request(APP, 0x37, &[], &mut datagram);
    let answer = bench.send(&datagram).unwrap();
    assert_eq!(sessionless_response(&answer).unwrap().1, rakp2.guid);
}

/// What the network does to a request and its answer.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Delivered,
    RequestLost,
    AnswerLost,
    RequestTwice,
    AnswerTwice,
}

proptest! {
    /// A console that repeats what is not answered gets in, once, whatever is lost or comes twice.
    #[test]
    fn a_login_survives_loss_and_duplication(fates in proptest::collection::vec(
        proptest::sample::select(&[
            Fate::Delivered, Fate::RequestLost, Fate::AnswerLost, Fate::RequestTwice, Fate::AnswerTwice,
        ][..]), 0..20))
    {
        let mut bench = Bench::new();
        let mut datagram = Vec::new();
        let seed = bench.seed();
        let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
        let mut fates = fates.into_iter().chain(std::iter::repeat(Fate::Delivered));
        let mut session = loop {
            let fate = fates.next().unwrap();
            if matches!(fate, Fate::RequestLost) {
                continue;
            }
            let sent = datagram.clone();
            let answer = bench.send(&sent).unwrap();
            if matches!(fate, Fate::RequestTwice) {
                let again = bench.send(&sent);
                prop_assert_eq!(again.as_ref(), Some(&answer));
            }
            if matches!(fate, Fate::AnswerLost) {
                continue;
            }
            let step = login.receive(&answer, &mut datagram).unwrap();
            if let Step::Done(session) = step {
                break session;
            }
            if matches!(fate, Fate::AnswerTwice) {
                prop_assert!(matches!(login.receive(&answer, &mut datagram), Ok(Step::Wait)));
            }
        };
        prop_assert!(bench.is_alive(&mut session));
        prop_assert_eq!(bench.events().len(), 1, "one login");
        prop_assert_eq!(bench.server.active_sessions(), 1);
    }
}
