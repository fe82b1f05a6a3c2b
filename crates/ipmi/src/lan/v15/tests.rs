use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bmc::{Event, Identity, Lan, Privilege, Users};

use super::*;
use crate::{CompletionCode, lan::ServerConfig, wire::message::Response};

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 40_000);
const FIRST_OUTBOUND: u32 = 0x1122_3344;

/// A server that speaks IPMI 1.5, and a console.
struct Bench {
    server: Server,
    bmc: Bmc,
    now: Instant,
    password: Password,
}

/// The header of an answer, and the response in it.
struct Answer {
    session: u32,
    sequence: u32,
    signed: bool,
    code: CompletionCode,
    data: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let mut users = Users::default();
        let password = Password::new(b"password").unwrap();
        users.add("admin", password.clone(), Privilege::Administrator).unwrap();
        users.add("long", Password::new(b"seventeen letters").unwrap(), Privilege::Administrator).unwrap();
        let lan = Lan { v15: true, ..Lan::default() };
        Self {
            server: Server::new(ServerConfig::default(), [7; 32]),
            bmc: Bmc::new(Identity::derive("node1"), users, lan),
            now: Instant::now(),
            password,
        }
    }

    fn send_as(
        &mut self,
        peer: SocketAddr,
        (session, sequence): (u32, u32),
        (netfn, command): (u8, u8),
        data: &[u8],
    ) -> Option<Answer> {
        let mut payload = Vec::new();
        message::Request {
            responder: 0x20,
            netfn,
            lun: 0,
            requester: 0x81,
            requester_lun: 0,
            sequence: u8::try_from(sequence & 0x3f).unwrap(),
            command,
            data,
        }
        .emit(&mut payload);
        let code = (session != 0).then(|| (MD5, md5::code(&self.password, session, sequence, &payload)));
        let (mut datagram, mut out) = (Vec::new(), Vec::new());
        Class::Ipmi.emit(&mut datagram);
        Packet { sequence, session, code, payload: &payload }.emit(&mut datagram);
        let route = Route { peer, tag: 0 };
        if !self.server.handle(self.now, route, &mut datagram, &mut self.bmc, &mut out) {
            return None;
        }
        let packet = Packet::parse(&out[4..]).unwrap();
        let response = Response::parse(packet.payload).unwrap();
        let signed = packet.code.is_some_and(|code| {
            assert_eq!(
                code,
                (MD5, md5::code(&self.password, packet.session, packet.sequence, packet.payload))
            );
            true
        });
        Some(Answer {
            session: packet.session,
            sequence: packet.sequence,
            signed,
            code: response.code,
            data: response.data.to_vec(),
        })
    }

    fn send(&mut self, header: (u32, u32), command: (u8, u8), data: &[u8]) -> Option<Answer> {
        self.send_as(PEER, header, command, data)
    }

    #[track_caller]
    fn dropped(&mut self, header: (u32, u32), command: (u8, u8), data: &[u8]) -> Dropped {
        assert!(self.send(header, command, data).is_none());
        self.server.last_drop().unwrap()
    }

    /// Temporary session id and challenge.
    fn challenge(&mut self, name: &[u8]) -> Result<(u32, [u8; 16]), CompletionCode> {
        let mut data = [0; 17];
        data[0] = MD5;
        data[1..=name.len()].copy_from_slice(name);
        let answer = self.send((0, 0), (0x06, 0x39), &data).unwrap();
        if answer.code != CompletionCode::OK {
            return Err(answer.code);
        }
        let (id, challenge) = answer.data.split_at(4);
        Ok((u32::from_le_bytes(id.try_into().unwrap()), challenge.try_into().unwrap()))
    }

    fn activate(&mut self, id: u32, challenge: [u8; 16], level: u8, first_outbound: u32) -> Option<Answer> {
        let data = [&[MD5, level][..], &challenge, &first_outbound.to_le_bytes()].concat();
        self.send((id, 0), ACTIVATE_SESSION, &data)
    }

    /// The session's id and the number of the first packet to it, at ADMINISTRATOR level.
    fn login(&mut self) -> (u32, u32) {
        let (id, challenge) = self.challenge(b"admin").unwrap();
        let answer = self.activate(id, challenge, 4, FIRST_OUTBOUND).unwrap();
        assert_eq!(answer.code, CompletionCode::OK);
        let session = u32::from_le_bytes(answer.data[1..5].try_into().unwrap());
        let first = u32::from_le_bytes(answer.data[5..9].try_into().unwrap());
        assert_eq!(self.send((session, first), (0x06, 0x3b), &[4]).unwrap().code, CompletionCode::OK);
        (session, first.wrapping_add(1))
    }
}

#[test]
fn a_session_opens_and_runs_commands() {
    let mut bench = Bench::new();
    let (temporary, challenge) = bench.challenge(b"admin").unwrap();
    let answer = bench.activate(temporary, challenge, 4, FIRST_OUTBOUND).unwrap();
    assert_eq!((answer.code, answer.signed), (CompletionCode::OK, true));
    assert_eq!(answer.sequence, FIRST_OUTBOUND);
    assert_eq!(answer.data[0], MD5, "the rest of the session is signed, too");
    assert_eq!(answer.data[9], 4);
    let session = u32::from_le_bytes(answer.data[1..5].try_into().unwrap());
    let first = u32::from_le_bytes(answer.data[5..9].try_into().unwrap());
    assert_ne!(session, 0);

    let answer = bench.send((session, first), (0x06, 0x01), &[]).unwrap();
    assert_eq!((answer.session, answer.sequence), (session, FIRST_OUTBOUND + 1));
    assert!(answer.signed);
    assert_eq!(answer.data[0], 0x20);
    assert!(matches!(&bench.bmc.take_events().collect::<Vec<_>>()[..], [Event::LoggedIn { .. }]));
}

#[test]
fn a_wrong_password_is_dropped_and_recorded_and_uses_the_challenge_up() {
    let mut bench = Bench::new();
    let (id, challenge) = bench.challenge(b"admin").unwrap();
    let right = std::mem::replace(&mut bench.password, Password::new(b"passwore").unwrap());
    assert!(bench.activate(id, challenge, 4, 1).is_none());
    assert_eq!(bench.server.last_drop(), Some(Dropped::BadCode));
    assert!(matches!(&bench.bmc.take_events().collect::<Vec<_>>()[..], [Event::LoginFailed { .. }]));
    bench.password = right;
    assert!(bench.activate(id, challenge, 4, 1).is_none());
    assert_eq!(bench.server.last_drop(), Some(Dropped::NoSuchSession));
}

#[test]
fn guessing_is_throttled() {
    let mut bench = Bench::new();
    bench.password = Password::new(b"passwore").unwrap();
    for _ in 0..10 {
        let (id, challenge) = bench.challenge(b"admin").unwrap();
        assert!(bench.activate(id, challenge, 4, 1).is_none());
    }
    assert_eq!(bench.dropped((0, 0), (0x06, 0x39), &[MD5; 17]), Dropped::Throttled);
    bench.now += Duration::from_secs(10);
    assert!(bench.challenge(b"admin").is_ok());
}

#[test]
fn unknown_null_and_disabled_users_and_passwords_of_20_bytes_get_no_challenge() {
    let mut bench = Bench::new();
    for name in [&b"nobody"[..], b"", b"long", b"adm"] {
        assert_eq!(bench.challenge(name).err(), Some(CompletionCode(0x81)), "{name:?}");
    }
    let admin = bench.bmc.users.find_enabled(b"admin").unwrap();
    bench.bmc.users.set_enabled(admin, false).unwrap();
    assert_eq!(bench.challenge(b"admin").err(), Some(CompletionCode(0x81)));
}

#[test]
fn a_command_under_the_temporary_id_is_dropped() {
    let mut bench = Bench::new();
    let (id, challenge) = bench.challenge(b"admin").unwrap();
    assert_eq!(bench.dropped((id, 0), (0x00, 0x02), &[1]), Dropped::HalfOpen);
    assert_eq!(bench.bmc.take_intent(), None);
    assert!(bench.activate(id, challenge, 4, 1).is_some());
}

#[test]
fn a_user_who_is_disabled_after_the_challenge_gets_no_session() {
    let mut bench = Bench::new();
    let (id, challenge) = bench.challenge(b"admin").unwrap();
    let admin = bench.bmc.users.find_enabled(b"admin").unwrap();
    bench.bmc.users.set_enabled(admin, false).unwrap();
    assert!(bench.activate(id, challenge, 4, 1).is_none());
    assert_eq!(bench.server.last_drop(), Some(Dropped::SessionEnded));
    assert_eq!(bench.server.active_sessions(), 0);
}

#[test]
fn another_challenge_a_level_above_the_limit_and_a_zero_sequence_are_refused() {
    let mut bench = Bench::new();
    let (id, challenge) = bench.challenge(b"admin").unwrap();
    assert_eq!(bench.activate(id, [0; 16], 4, 1).unwrap().code.0, 0x85);
    assert_eq!(bench.activate(id, challenge, 4, 0).unwrap().code.0, 0x84);
    bench.bmc.lan.access.volatile.limit = Privilege::Operator;
    assert_eq!(bench.activate(id, challenge, 4, 1).unwrap().code.0, 0x86);
    assert_eq!(bench.activate(id, challenge, 3, 1).unwrap().code, CompletionCode::OK);
}

#[test]
fn another_peer_can_t_answer_a_challenge() {
    let mut bench = Bench::new();
    let (id, challenge) = bench.challenge(b"admin").unwrap();
    let data = [&[MD5, 4][..], &challenge, &1u32.to_le_bytes()].concat();
    let elsewhere = SocketAddr::new(PEER.ip(), 1);
    assert!(bench.send_as(elsewhere, (id, 0), ACTIVATE_SESSION, &data).is_none());
    assert_eq!(bench.server.last_drop(), Some(Dropped::NoSuchSession));
}

#[test]
fn replayed_out_of_window_and_wrongly_signed_packets_are_dropped() {
    let mut bench = Bench::new();
    let (session, next) = bench.login();
    assert!(bench.send((session, next), (0x06, 0x01), &[]).is_some());
    assert_eq!(bench.dropped((session, next), (0x06, 0x01), &[]), Dropped::Sequence);
    assert_eq!(bench.dropped((session, next.wrapping_add(16)), (0x06, 0x01), &[]), Dropped::Sequence);
    let right = std::mem::replace(&mut bench.password, Password::new(b"other").unwrap());
    assert_eq!(bench.dropped((session, next.wrapping_add(1)), (0x06, 0x01), &[]), Dropped::BadCode);
    bench.password = right;
    assert!(bench.send((session, next.wrapping_add(1)), (0x06, 0x01), &[]).is_some());
}

#[test]
fn a_session_ends_with_silence_with_its_user_and_when_closed() {
    let end: [fn(&mut Bench, u32, u32); 3] = [
        |bench, _, _| bench.now += Duration::from_secs(60),
        |bench, _, _| {
            let admin = bench.bmc.users.find_enabled(b"admin").unwrap();
            bench.bmc.users.set_password(admin, bench.password.clone()).unwrap();
        },
        |bench, session, next| {
            let answer = bench.send((session, next), (0x06, 0x3c), &session.to_le_bytes()).unwrap();
            assert_eq!(answer.code, CompletionCode::OK);
        },
    ];
    for (n, end) in end.into_iter().enumerate() {
        let mut bench = Bench::new();
        let (session, next) = bench.login();
        end(&mut bench, session, next);
        let reason = bench.dropped((session, next.wrapping_add(1)), (0x06, 0x01), &[]);
        assert!(matches!(reason, Dropped::SessionEnded | Dropped::NoSuchSession), "{n}: {reason}");
    }
}

#[test]
fn turning_ipmi_1_5_off_silences_its_sessions() {
    let mut bench = Bench::new();
    let (session, next) = bench.login();
    bench.bmc.lan.v15 = false;
    assert_eq!(bench.dropped((session, next), (0x06, 0x01), &[]), Dropped::AuthenticationType);
}

#[test]
fn a_session_of_ipmi_1_5_has_no_sol() {
    let mut bench = Bench::new();
    let (session, next) = bench.login();
    let answer = bench.send((session, next), (0x06, 0x48), &[1, 1, 0xc0, 0, 0, 0]).unwrap();
    assert_ne!(answer.code, CompletionCode::OK);
    assert!(!bench.server.sol_active());
}
