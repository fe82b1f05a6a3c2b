//! What a BMC must withstand from the network: each test is named after what it refuses.
//!
//! Packets are made by hand or by the crate's own client, and then bent. Nothing here waits for silence: the
//! program answers in order, so a ping sent afterwards is the fence, and what has not come before its pong does
//! not come.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::support::{Machine, SOON, Setup};
use bmc::Password;
use ipmi::{
    client::{Client, Credentials, Incoming, Login, LoginError, Session, Step},
    wire::session::PayloadType,
};

const CHASSIS: u8 = 0x00;
const APP: u8 = 0x06;
const CHASSIS_CONTROL: u8 = 0x02;
const GET_DEVICE_ID: u8 = 0x01;
const POWER_UP: u8 = 0x01;
const PORT: u16 = 6230;
const SEED: [u8; 32] = [7; 32];

/// A peer of the machine's BMC.
struct Peer(UdpSocket);

impl Peer {
    fn new(machine: &Machine) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, machine)
    }

    fn at(address: Ipv4Addr, machine: &Machine) -> Self {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket.connect((machine.address(), PORT)).unwrap();
        Self::of(socket)
    }

    fn of(socket: UdpSocket) -> Self {
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self(socket)
    }

    fn send(&self, datagram: &[u8]) {
        self.0.send(datagram).unwrap();
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let size = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("no answer: {error}"));
        buffer[..size].to_vec()
    }

    fn ask(&self, datagram: &[u8]) -> Vec<u8> {
        self.send(datagram);
        self.receive()
    }

    /// All answers to what was sent since the last call.
    fn answers(&self) -> Vec<Vec<u8>> {
        static TAG: AtomicU32 = AtomicU32::new(0);
        let tag = TAG.fetch_add(1, Ordering::Relaxed).to_le_bytes()[0];
        self.send(&ping(tag));
        let mut answers = Vec::new();
        loop {
            let answer = self.receive();
            if answer.get(8..10) == Some(&[0x40, tag]) {
                return answers;
            }
            answers.push(answer);
        }
    }
}

/// ASF presence ping.
fn ping(tag: u8) -> [u8; 12] {
    [0x06, 0, 0xff, 0x06, 0, 0, 0x11, 0xbe, 0x80, tag, 0, 0]
}

/// An IPMI message to the BMC.
fn message(netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let checksum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_sub(*byte));
    let mut message = vec![0x20, netfn << 2];
    message.push(checksum(&message));
    let body = [&[0x81, 0x04, command], data].concat();
    message.extend(&body);
    message.push(checksum(&body));
    message
}

/// The two framings of a message: IPMI 1.5's wrapper without authentication, and RMCP+.
fn framings(session: u32, message: &[u8]) -> [Vec<u8>; 2] {
    let (session, sequence) = (session.to_le_bytes(), u32::from(session != 0).to_le_bytes());
    let length = u8::try_from(message.len()).unwrap();
    let rmcp = [0x06, 0, 0xff, 0x07];
    let old = [&rmcp[..], &[0], &sequence, &session, &[length], message].concat();
    let new = [&rmcp[..], &[0x06, 0], &session, &sequence, &[length, 0], message].concat();
    [old, new]
}

fn credentials(password: &str) -> Credentials {
    Credentials::new("admin", Password::new(password.as_bytes()).unwrap())
}

fn target(machine: &Machine) -> SocketAddr {
    (machine.address(), PORT).into()
}

fn login(machine: &Machine) -> Client {
    Client::login(target(machine), credentials("password"), SEED).unwrap()
}

/// Logs in from any of this host's addresses.
fn login_from(peer: &Peer, password: &str, seed: [u8; 32]) -> Result<Box<Session>, LoginError> {
    let mut out = Vec::new();
    let mut login = Login::begin(credentials(password), seed, &mut out)?;
    loop {
        match login.receive(&peer.ask(&out), &mut out)? {
            Step::Done(session) => return Ok(session),
            Step::Send | Step::Wait => {}
        }
    }
}

/// The session number that an Open Session Response gives out.
fn managed_session(response: &[u8]) -> u32 {
    u32::from_le_bytes(response[24..28].try_into().unwrap())
}

/// Numbers that look random and are the same every time (xorshift, Marsaglia 2003).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.next().to_le_bytes();
            chunk.copy_from_slice(&number[..chunk.len()]);
        }
    }
}

/// Resident memory of the program, in KiB.
fn resident(machine: &Machine) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", machine.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[track_caller]
fn assert_untouched(machine: &Machine) {
    assert!(machine.local(&["status"]).ok().contains("Power:           off\n"));
    assert!(!machine.log().contains("power on requested"), "{}", machine.log());
}

#[test]
fn commands_outside_a_session() {
    let machine = Setup::new().start();
    let peer = Peer::new(&machine);
    // What every client asks before it logs in is answered, in either framing …
    for (command, data) in [(0x38, &[0x8e, 0x04][..]), (0x54, &[0x0e, 0x00, 0x80]), (0x37, &[])] {
        for datagram in framings(0, &message(APP, command, data)) {
            peer.send(&datagram);
            assert_eq!(peer.answers().len(), 1, "06:{command:02x} of {datagram:02x?}");
        }
    }
    // … and all others are not run, whatever they say of themselves.
    for netfn in [0x00, 0x04, 0x06, 0x08, 0x0a, 0x0c, 0x2c, 0x2e, 0x30] {
        for command in 0..=0xff {
            if netfn == APP && matches!(command, 0x37 | 0x38 | 0x54) {
                continue;
            }
            for session in [0, 1, 0xffff_ffff] {
                for datagram in framings(session, &message(netfn, command, &[POWER_UP])) {
                    peer.send(&datagram);
                }
            }
        }
        for answer in peer.answers() {
            // If it says anything, then that it did not do it: the completion code is a message's seventh byte.
            let message = if answer[4] == 0x06 { 16 } else { 14 };
            assert_ne!(answer[message + 6], 0, "{answer:02x?}");
        }
    }
    assert_untouched(&machine);
}

#[test]
fn commands_on_a_session_that_is_half_open() {
    let machine = Setup::new().start();
    let peer = Peer::new(&machine);
    let power_up = message(CHASSIS, CHASSIS_CONTROL, &[POWER_UP]);
    let try_all = |session: u32| {
        for datagram in framings(session, &power_up) {
            peer.send(&datagram);
            // As if it were encrypted, authenticated, or both.
            for flags in [0x40, 0x80, 0xc0] {
                let mut bent = datagram.clone();
                bent[5] = flags;
                bent.extend([0xff, 0x01, 0x07]);
                bent.extend([0; 16]);
                peer.send(&bent);
            }
        }
        assert_eq!(peer.answers(), Vec::<Vec<u8>>::new());
    };
    let mut out = Vec::new();
    let mut login = Login::begin(credentials("password"), SEED, &mut out).unwrap();
    let opened = peer.ask(&out);
    let session = managed_session(&opened);
    try_all(session);
    login.receive(&opened, &mut out).unwrap();
    let challenged = peer.ask(&out);
    try_all(session);
    // It did the handshake no harm either.
    login.receive(&challenged, &mut out).unwrap();
    let accepted = peer.ask(&out);
    assert!(matches!(login.receive(&accepted, &mut out), Ok(Step::Done(_))));
    try_all(session);
    assert_untouched(&machine);
}

#[test]
fn truncated_unsigned_unencrypted_bent_replayed_and_foreign_packets() {
    let machine = Setup::new().start();
    let (mut session, socket) = login(&machine).into_parts();
    let peer = Peer::of(socket);
    let silent = |what: &str| assert_eq!(peer.answers(), Vec::<Vec<u8>>::new(), "{what}");
    let mut genuine = Vec::new();
    session.request(CHASSIS, CHASSIS_CONTROL, &[POWER_UP], &mut genuine);

    for size in 0..genuine.len() {
        peer.send(&genuine[..size]);
    }
    silent("truncated");
    // From the authentication type on, every bit is signed.
    for bit in 4 * 8..genuine.len() * 8 {
        let mut bent = genuine.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        peer.send(&bent);
    }
    silent("bent");
    let power_up = message(CHASSIS, CHASSIS_CONTROL, &[POWER_UP]);
    let mut out = Vec::new();
    for (encrypted, authenticated) in [(false, false), (true, false), (false, true)] {
        session.seal(PayloadType::Ipmi, encrypted, authenticated, &power_up, &mut out);
        peer.send(&out);
        silent("less than encrypted and signed");
    }
    for datagram in framings(session.id(), &power_up) {
        peer.send(&datagram);
    }
    silent("plain");

    let (mut other, _other_socket) =
        Client::login(target(&machine), credentials("password"), [8; 32]).unwrap().into_parts();
    other.request(CHASSIS, CHASSIS_CONTROL, &[POWER_UP], &mut out);
    out[6..10].copy_from_slice(&session.id().to_le_bytes());
    peer.send(&out);
    silent("signed with another session's key");

    let next = *session.sequence_mut();
    for outside in [next.wrapping_add(1000), 0, next.wrapping_sub(1000)] {
        *session.sequence_mut() = outside;
        session.request(CHASSIS, CHASSIS_CONTROL, &[POWER_UP], &mut out);
        peer.send(&out);
        silent("outside the window");
    }
    *session.sequence_mut() = next;
    assert_untouched(&machine);

    // A command that is in order is answered once, and its copies not at all.
    session.request(APP, GET_DEVICE_ID, &[], &mut out);
    let mut answer = peer.ask(&out);
    assert!(matches!(session.receive(&mut answer), Ok(Incoming::Response { command: GET_DEVICE_ID, .. })));
    for _ in 0..3 {
        peer.send(&out);
    }
    silent("replayed");
    // And what was bent above was worth bending.
    let mut answer = peer.ask(&genuine);
    assert!(matches!(session.receive(&mut answer), Ok(Incoming::Response { command: CHASSIS_CONTROL, .. })));
    machine.wait_power("on", SOON);
}

#[test]
fn datagrams_of_any_length_and_content() {
    let machine = Setup::new().start();
    let peer = Peer::new(&machine);
    let (mut session, socket) = login(&machine).into_parts();
    let before = resident(&machine);
    let prefixes: [&[u8]; 8] = [
        &[],
        &[0x06, 0, 0xff, 0x06],
        &[0x06, 0, 0xff, 0x06, 0, 0, 0x11, 0xbe],
        &[0x06, 0, 0xff, 0x07],
        &[0x06, 0, 0xff, 0x07, 0x00],
        &[0x06, 0, 0xff, 0x07, 0x06, 0x00, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x06, 0, 0xff, 0x07, 0x06, 0x10, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x06, 0, 0xff, 0x07, 0x06, 0x12, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut noise = vec![0; 65_507];
    // Every length that a packet can have, and a sample of those beyond.
    for length in (0..1200).chain((1200..=65_507).step_by(509)).chain([65_507]) {
        for prefix in prefixes {
            let datagram = &mut noise[..length];
            numbers.fill(datagram);
            let known = prefix.len().min(length);
            datagram[..known].copy_from_slice(&prefix[..known]);
            peer.send(datagram);
        }
        if length % 8 == 0 || length > 1200 {
            peer.answers();
        }
    }
    // And inside a session: signed nonsense of every length.
    let inside = Peer::of(socket);
    let mut out = Vec::new();
    for length in 0..300 {
        for payload_type in [PayloadType::Ipmi, PayloadType::Sol, PayloadType::Rakp1] {
            session.seal(payload_type, true, true, &noise[..length], &mut out);
            inside.send(&out);
        }
        inside.answers();
    }
    let grown = resident(&machine).saturating_sub(before);
    assert!(grown < 4096, "the program grew by {grown} KiB");
    machine.ipmitool(&["mc", "info"]).ok();
    assert_untouched(&machine);
}

#[test]
fn a_flood_of_open_session_requests() {
    const REQUESTS: usize = 100_000;
    const PORTS: usize = 500;
    const BURST: usize = 50;

    let machine = Setup::new().start();
    let mut active = login(&machine);
    let before = resident(&machine);
    let (over, commands, logins) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let mut request = Vec::new();
    Login::begin(credentials("password"), SEED, &mut request).unwrap();
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            let address = Ipv4Addr::new(127, 66, 66, 66);
            let flood: Vec<Peer> = (0..PORTS).map(|_| Peer::at(address, &machine)).collect();
            let mut numbers = Numbers(1);
            for burst in 0..REQUESTS / BURST {
                // Not faster than it is taken in, so that all of them are, and none is lost on the way.
                let peers = flood.iter().cycle().skip(burst * BURST % PORTS).take(BURST);
                for peer in peers.clone() {
                    numbers.fill(&mut request[20..24]);
                    peer.send(&request);
                }
                peers.for_each(|peer| drop(peer.receive()));
            }
            over.store(true, Ordering::Relaxed);
        });
        scope.spawn(|| {
            let peer = Peer::new(&machine);
            let mut seed = SEED;
            while !over.load(Ordering::Relaxed) {
                // A handshake may be pushed out, as a real client's may; it then begins another.
                let session = (0..20).find_map(|_| {
                    seed[0] = seed[0].wrapping_add(1);
                    login_from(&peer, "password", seed).ok()
                });
                let mut session = session.expect("a good user is not locked out");
                let mut out = Vec::new();
                session.request(APP, 0x3c, &session.id().to_le_bytes(), &mut out);
                peer.ask(&out);
                logins.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
            }
        });
        while !over.load(Ordering::Relaxed) {
            let (code, _) = active.command(APP, GET_DEVICE_ID, &[]).expect("the active session goes on");
            assert_eq!(code.0, 0);
            commands.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
        }
    });
    let took = began.elapsed();
    let (commands, logins) = (commands.into_inner(), logins.into_inner());
    let grown = resident(&machine).saturating_sub(before);
    println!("{REQUESTS} requests in {took:?}, {commands} commands, {logins} logins, {grown} KiB more");
    assert!(commands > 10 && logins > 5, "{commands} commands and {logins} logins");
    assert!(grown < 4096, "the program grew by {grown} KiB");
    machine.ipmitool(&["power", "status"]).ok();
}

#[test]
fn being_an_amplifier() {
    let machine = Setup::new().start();
    let peer = Peer::new(&machine);
    let mut queries = vec![ping(1).to_vec()];
    for (command, data) in [(0x38, &[0x8e, 0x04][..]), (0x54, &[0x0e, 0x00, 0x80]), (0x37, &[])] {
        queries.extend(framings(0, &message(APP, command, data)));
    }
    let mut out = Vec::new();
    let mut login = Login::begin(credentials("password"), SEED, &mut out).unwrap();
    queries.push(out.clone());
    for query in queries {
        let answer = peer.ask(&query);
        // Headers of IP and UDP are part of what travels.
        let (asked, answered) = (query.len() + 28, answer.len() + 28);
        assert!(answered < 2 * asked, "{asked} bytes are answered with {answered}: {query:02x?}");
        login.receive(&answer, &mut out).ok();
    }
    let answer = peer.ask(&out);
    assert!(answer.len() + 28 < 2 * (out.len() + 28), "RAKP 1 of {} bytes: {}", out.len(), answer.len());
    // One request, one answer: RAKP 2 is not repeated to a peer that falls silent.
    assert_eq!(peer.answers(), Vec::<Vec<u8>>::new());
}

#[test]
fn guessing_passwords_online() {
    let machine = Setup::new().start();
    let guesser = Peer::at(Ipv4Addr::new(127, 66, 66, 67), &machine);
    let good = Peer::new(&machine);
    let guess = |number: u8| {
        // A guesser tries RAKP 3 with what it has. The client checks RAKP 2 first, so it is made to go on:
        // a wrong answer to the challenge is what the controller counts.
        let mut out = Vec::new();
        let mut login = Login::begin(credentials("password"), [number; 32], &mut out).unwrap();
        let opened = guesser.ask(&out);
        login.receive(&opened, &mut out)?;
        let challenged = guesser.ask(&out);
        login.receive(&challenged, &mut out)?;
        // The digest is the datagram's end.
        let last = out.len() - 1;
        out[last] ^= 1;
        let answer = guesser.ask(&out);
        login.receive(&answer, &mut out).map(drop)
    };
    for number in 0..10 {
        assert!(matches!(guess(number), Err(LoginError::Refused(_))), "guess {number}");
    }
    // Now even the right password waits, from there; elsewhere nobody notices.
    assert!(matches!(login_from(&guesser, "password", SEED), Err(LoginError::Refused(_))));
    login_from(&good, "password", SEED).unwrap();
    assert!(machine.log().matches("login of user \"admin\" from 127.66.66.67 failed").count() >= 10);
}

#[test]
fn session_ids_that_can_be_foretold() {
    let machine = Setup::new().start();
    let peer = Peer::new(&machine);
    let mut out = Vec::new();
    let mut ask = |peer: &Peer, number: u8| {
        Login::begin(credentials("password"), [number; 32], &mut out).unwrap();
        managed_session(&peer.ask(&out))
    };
    let ids: Vec<u32> = (0..64).map(|number| ask(&peer, number)).collect();
    let mut distinct = ids.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), ids.len(), "{ids:08x?}");
    assert!(ids.iter().all(|id| *id != 0));
    // Not a counter, not the clock: over 64 numbers, every bit is 0 in some and 1 in others.
    assert_eq!(ids.iter().fold(0, |set, id| set | id), u32::MAX);
    assert_eq!(ids.iter().fold(u32::MAX, |set, id| set & id), 0);
    // And another life of the program begins with others.
    let other = Setup::new().start();
    let peer = Peer::new(&other);
    assert!(!ids.contains(&ask(&peer, 0)));
}

#[test]
fn sessions_beyond_their_end() {
    let machine = Setup::new().start();
    let (mut session, socket) = login(&machine).into_parts();
    let peer = Peer::of(socket);
    let mut out = Vec::new();
    session.request(APP, 0x3c, &session.id().to_le_bytes(), &mut out);
    let mut answer = peer.ask(&out);
    assert!(matches!(session.receive(&mut answer), Ok(Incoming::Response { command: 0x3c, .. })));
    session.request(CHASSIS, CHASSIS_CONTROL, &[POWER_UP], &mut out);
    peer.send(&out);
    assert_eq!(peer.answers(), Vec::<Vec<u8>>::new());
    assert_untouched(&machine);
}
