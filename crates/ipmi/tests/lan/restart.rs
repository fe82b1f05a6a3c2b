//! A controller that is about to restart (§20.2, §20.3): whoever asked for it may end the session in good order,
//! and nobody else is answered by one who will not be there for what comes next.

use bmc::Lan;
use ipmi::{
    CompletionCode,
    client::{Login, sessionless_request},
    lan::{Dropped, ServerConfig},
    wire::{asf::Ping, rmcp::Class},
};

use super::bench::{APP, Bench, admin, elsewhere, operator};

const WARM_RESET: u8 = 0x03;
const CLOSE_SESSION: u8 = 0x3c;

#[test]
fn only_the_session_that_asked_is_answered_until_the_restart() {
    let mut bench = Bench::new();
    let mut asker = bench.login(admin());
    let mut other = bench.login(operator());
    assert_eq!(bench.command(&mut asker, APP, WARM_RESET, &[]).0, CompletionCode::OK);
    assert!(bench.is_alive(&mut other), "it may yet take a while");

    bench.bmc.retire();
    assert!(!bench.is_alive(&mut other));
    assert_eq!(bench.server.last_drop(), Some(Dropped::Retired));
    assert!(bench.is_alive(&mut asker));
    let id = asker.id().to_le_bytes();
    assert_eq!(bench.command(&mut asker, APP, CLOSE_SESSION, &id).0, CompletionCode::OK);
    assert!(!bench.is_alive(&mut asker), "it is closed");
}

#[test]
fn nobody_new_is_answered_before_a_restart() {
    let lan = Lan { v15: true, ..Lan::default() };
    let mut bench = Bench::with(lan, ServerConfig::default());
    let mut capabilities = Vec::new();
    sessionless_request(APP, 0x38, &[0x8e, 0x04], &mut capabilities);
    let mut old = Vec::new();
    Class::Ipmi.emit(&mut old);
    old.extend_from_slice(&[
        0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0x20, 0x18, 0xc8, 0x81, 0x04, 0x38, 0x8e, 0x04, 0xb1,
    ]);
    let mut ping = Vec::new();
    Class::Asf.emit(&mut ping);
    Ping { tag: 1 }.emit(&mut ping);
    let mut open = Vec::new();
    Login::begin(admin(), [1; 32], &mut open).unwrap();

    let datagrams = [capabilities, old, ping, open];
    for datagram in &datagrams {
        assert!(bench.send_from(elsewhere(1, 1), datagram).is_some());
    }
    bench.bmc.retire();
    for datagram in &datagrams {
        assert_eq!(bench.dropped_from(elsewhere(1, 1), datagram), Dropped::Retired);
    }
}
