//! Outside a session (security.md's first line, §13.14 and Appendix G): three queries and the ping are
//! answered, in either wrapper.

use bmc::{Lan, PowerRequest};
use ipmi::{
    client::sessionless_request,
    lan::{Dropped, ServerConfig},
    wire::{message, rmcp::Class, session_v15},
};

use super::bench::{Bench, CHASSIS};

/// What is answered, and with how many bytes behind the completion code at most.
const QUERIES: [(u8, u8, &[u8], usize); 4] = [
    (0x06, 0x38, &[0x8e, 0x04], 8),
    (0x06, 0x54, &[0x0e, 0x00, 0x80], 17),
    (0x06, 0x37, &[], 16),
    // An acknowledgement of a trap, by whoever got it.
    (0x04, 0x17, &[1, 0, 0, 0, 0, 0, 0x20, 0x20, 4, 1, 0xff, 0xff], 0),
];

fn v15(auth_type: u8, session: u32, netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let (mut out, mut payload) = (Vec::new(), Vec::new());
    message::Request {
        responder: 0x20,
        netfn,
        lun: 0,
        requester: 0x81,
        requester_lun: 0,
        sequence: 1,
        command,
        data,
    }
    .emit(&mut payload);
    Class::Ipmi.emit(&mut out);
    let code = (auth_type != session_v15::NONE).then_some((auth_type, [0; 16]));
    session_v15::Packet { sequence: 0, session, code, payload: &payload }.emit(&mut out);
    out
}

fn rmcpp(netfn: u8, command: u8, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    sessionless_request(netfn, command, data, &mut out);
    out
}

#[test]
fn four_queries_are_answered_in_both_wrappers() {
    let mut bench = Bench::new();
    for (netfn, command, data, size) in QUERIES {
        let answer = bench.send(&v15(0, 0, netfn, command, data)).unwrap();
        let packet = session_v15::Packet::parse(&answer[4..]).unwrap();
        assert_eq!((packet.session, packet.sequence, packet.code), (0, 0, None));
        let old = message::Response::parse(packet.payload).unwrap();
        let answer = bench.send(&rmcpp(netfn, command, data)).unwrap();
        let (code, new) = ipmi::client::sessionless_response(&answer).unwrap();
        assert_eq!((old.code, code.0), (code, 0), "{command:02x}");
        assert_eq!(old.data, new, "{command:02x}");
        assert!(new.len() <= size, "{command:02x}: {} bytes", new.len());
    }
}

#[test]
fn every_other_command_outside_a_session_is_dropped_in_both_wrappers() {
    let mut bench = Bench::new();
    for netfn in (0..=0x3e).step_by(2) {
        for command in 0..=0xff {
            if QUERIES.iter().any(|query| (query.0, query.1) == (netfn, command)) {
                continue;
            }
            for data in [&[][..], &[1], &[0; 17]] {
                assert_eq!(bench.dropped(&v15(0, 0, netfn, command, data)), Dropped::SessionRequired);
                assert_eq!(bench.dropped(&rmcpp(netfn, command, data)), Dropped::SessionRequired);
            }
        }
    }
    assert_eq!(bench.bmc.take_intent(), None);
}

#[test]
fn power_without_a_login_is_dropped() {
    let mut bench = Bench::new();
    for command in [v15(0, 0, CHASSIS, 2, &[1]), rmcpp(CHASSIS, 2, &[1])] {
        assert_eq!(bench.dropped(&command), Dropped::SessionRequired);
    }
    assert_eq!(bench.bmc.power_state().running(), None);
    assert_eq!(bench.bmc.take_intent(), None);
    // The same command in a session does something: the test above can fail.
    let mut session = bench.login(super::bench::admin());
    bench.command(&mut session, CHASSIS, 2, &[1]);
    assert_eq!(bench.bmc.take_intent(), Some(bmc::Intent::Power(PowerRequest::On)));
}

#[test]
fn ipmi_1_5_authentication_none_password_md2_and_md5_are_refused_by_default() {
    let mut bench = Bench::new();
    for auth_type in [0, 1, 2, 4, 5, 0x0f] {
        for session in [1, 0xffff_ffff] {
            let datagram = v15(auth_type, session, CHASSIS, 2, &[1]);
            assert_eq!(bench.dropped(&datagram), Dropped::AuthenticationType, "type {auth_type}");
        }
    }
    for auth_type in [1, 2, 4, 5] {
        let datagram = v15(auth_type, 0, 0x06, 0x38, &[0x0e, 0x04]);
        assert_eq!(bench.dropped(&datagram), Dropped::AuthenticationType, "type {auth_type}, no session");
    }
    assert_eq!(bench.dropped(&v15(0, 0, 0x06, 0x39, &[0x02; 17])), Dropped::SessionRequired);
}

#[test]
fn with_ipmi_1_5_on_all_but_md5_stay_refused() {
    let mut bench = Bench::with(Lan { v15: true, ..Lan::default() }, ServerConfig::default());
    for auth_type in [0, 1, 4, 5] {
        let datagram = v15(auth_type, 7, CHASSIS, 2, &[1]);
        assert_eq!(bench.dropped(&datagram), Dropped::AuthenticationType, "type {auth_type}");
    }
    assert_eq!(bench.dropped(&v15(2, 7, CHASSIS, 2, &[1])), Dropped::NoSuchSession);
    assert!(bench.send(&v15(0, 0, 0x06, 0x39, &[0x02; 17])).is_some(), "Get Session Challenge");
}

#[test]
fn a_message_to_another_controller_is_dropped() {
    let mut bench = Bench::new();
    let mut datagram = rmcpp(0x06, 0x37, &[]);
    // Responder's address and the checksum that follows it.
    datagram[16] = 0x2c;
    datagram[18] = datagram[18].wrapping_sub(0x0c);
    assert_eq!(bench.dropped(&datagram), Dropped::NotAddressed);
}

#[test]
fn presence_ping_is_answered_with_a_pong_of_its_tag() {
    let mut bench = Bench::new();
    let pong = bench.send(&[0x06, 0, 0xff, 0x06, 0, 0, 0x11, 0xbe, 0x80, 0x77, 0, 0]).unwrap();
    assert_eq!(pong[..12], [0x06, 0, 0xff, 0x06, 0, 0, 0x11, 0xbe, 0x40, 0x77, 0, 16]);
    assert_eq!(pong[20], 0x81);
}

#[test]
fn answers_outside_a_session_amplify_next_to_nothing() {
    let mut bench = Bench::new();
    let mut questions: Vec<Vec<u8>> = vec![vec![0x06, 0, 0xff, 0x06, 0, 0, 0x11, 0xbe, 0x80, 0x77, 0, 0]];
    for (netfn, command, data, _) in QUERIES {
        questions.extend([v15(0, 0, netfn, command, data), rmcpp(netfn, command, data)]);
    }
    // Counted with the headers of UDP and IPv4, which are 28 bytes.
    for question in questions {
        let answer = bench.send(&question).unwrap();
        assert!(10 * (answer.len() + 28) <= 16 * (question.len() + 28), "{question:02x?}");
    }
}
