//! 100,000 Open Session Requests neither exhaust memory nor lock a good user out, and drop no active
//! session (security.md, line 6).

use std::net::SocketAddr;

use ipmi::wire::{
    open_session::{Algorithms, Request},
    rmcp::Class,
    session::{Header, PayloadType},
};

use super::bench::{Bench, HOME, admin, elsewhere};

const FLOOD: u32 = 100_000;
/// For the variants, whose point is not the number.
const LESS: u32 = 20_000;
/// How many packets of the flood come between two of a good user. At 100 µs a round trip on a local
/// network, that is a flood of 100,000 packets a second.
const BETWEEN: u32 = 10;

/// The n-th request of a flood.
fn open_session(n: u32) -> Vec<u8> {
    let proposal = Algorithms { authentication: Some(3), integrity: Some(4), confidentiality: Some(1) };
    let request = Request { tag: 0, privilege: 0, console_session: n + 1, proposal: Ok(proposal) };
    let mut datagram = Vec::new();
    Class::Ipmi.emit(&mut datagram);
    Header::sessionless(PayloadType::OpenSessionRequest).emit(&mut datagram, |out| request.emit(out));
    datagram
}

/// Floods from `source(n)`, while a good user keeps a session and others log in.
fn flood(size: u32, source: impl Fn(u32) -> SocketAddr) {
    let mut bench = Bench::new();
    let mut session = bench.login(admin());
    let mut n = 0;
    let (mut logins, mut failures) = (0, 0);
    let mut packets = |bench: &mut Bench, count: u32| {
        for _ in 0..count {
            bench.send_from(source(n), &open_session(n));
            n += 1;
        }
        n < size
    };
    loop {
        use ipmi::client::{Login, Step};
        let mut datagram = Vec::new();
        let seed = bench.seed();
        let mut login = Login::begin(admin(), seed, &mut datagram).unwrap();
        let outcome = loop {
            packets(&mut bench, BETWEEN);
            let Some(answer) = bench.send(&datagram) else { break None };
            match login.receive(&answer, &mut datagram) {
                Ok(Step::Done(session)) => break Some(session),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        match outcome {
            Some(mut session) => {
                logins += 1;
                let id = session.id().to_le_bytes();
                bench.command(&mut session, 0x06, 0x3c, &id);
            }
            None => failures += 1,
        }
        assert!(bench.is_alive(&mut session), "the active session was dropped");
        if !packets(&mut bench, size / 50) {
            break;
        }
    }
    assert!(logins >= 40, "{logins} logins, {failures} failed");
    // Whoever tries again once or twice gets in.
    assert!(failures * 4 <= logins, "{logins} logins, {failures} failed");
}

#[test]
fn a_flood_from_many_ports_of_one_address_is_survived() {
    flood(FLOOD, |n| elsewhere(1, 1024 + u16::try_from(n % 60_000).unwrap()));
}

#[test]
fn a_flood_from_many_addresses_is_survived() {
    flood(LESS, |n| elsewhere(n, 623));
}

#[test]
fn a_flood_from_the_good_user_s_own_address_is_survived() {
    flood(LESS, |n| SocketAddr::new(HOME.ip(), 1024 + u16::try_from(n % 30_000).unwrap()));
}
