//! Messages between a remote console and the guest, as packets of a session (IPMI 2.0 §6.13).

use bmc::{Fact, MessageRefusal, Privilege};
use ipmi::{
    CompletionCode,
    client::{Incoming, Session},
    wire::message::Request,
};

use super::bench::{APP, Bench, GET_DEVICE_ID, HOME, admin, elsewhere, reader};

const SEND_MESSAGE: u8 = 0x34;

/// A request to software in the guest.
const QUESTION: Request<'_> = Request {
    responder: 0x81,
    netfn: 0x30,
    lun: 0,
    requester: 0xc1,
    requester_lun: 0,
    sequence: 5,
    command: 0x77,
    data: &[1, 2, 3],
};

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.bmc.on_fact(bench.now, Fact::Started);
    bench
}

/// Send Message to a channel.
fn send(bench: &mut Bench, session: &mut Session, channel: u8, message: &Request<'_>) -> CompletionCode {
    let mut data = vec![channel];
    message.emit(&mut data);
    bench.command(session, APP, SEND_MESSAGE, &data).0
}

fn transmitted(bench: &mut Bench) -> Option<(std::net::SocketAddr, Vec<u8>)> {
    let mut out = Vec::new();
    let route = bench.server.poll_transmit(bench.now, &mut bench.bmc, &mut out)?;
    Some((route.peer, out))
}

#[test]
fn the_guests_answer_reaches_the_console_that_asked() {
    let mut bench = bench();
    let peer = elsewhere(7, 1000);
    bench.login(reader());
    let mut session = bench.login_from(peer, admin()).unwrap().unwrap();
    let mut data = vec![0x4f];
    QUESTION.emit(&mut data);
    let mut datagram = Vec::new();
    session.request(APP, SEND_MESSAGE, &data, &mut datagram);
    bench.send_from(peer, &datagram).unwrap();

    let received = bench.bmc.take_message().unwrap();
    assert_eq!((received.channel, received.privilege), (1, Some(Privilege::User)), "as the session is now");
    let (handle, question) = received.bytes.split_first().unwrap();
    assert_eq!(Request::parse(question).unwrap(), QUESTION);
    let mut answer = Vec::new();
    QUESTION.emit_response(CompletionCode::OK, &[9, 8], &mut answer);
    bench.bmc.send_to_session(*handle, answer).unwrap();

    let (to, mut datagram) = transmitted(&mut bench).unwrap();
    assert_eq!(to, peer);
    let incoming = session.receive(&mut datagram).unwrap();
    let expected =
        Incoming::Response { sequence: 5, command: 0x77, code: CompletionCode::OK, data: vec![9, 8] };
    assert_eq!(incoming, expected);
    assert_eq!(transmitted(&mut bench), None);
}

#[test]
fn the_controllers_own_bus_answers_in_a_packet_after_the_reply() {
    let mut bench = bench();
    let mut session = bench.login(reader());
    let request = Request { responder: 0x20, netfn: APP, command: GET_DEVICE_ID, data: &[], ..QUESTION };
    assert_eq!(send(&mut bench, &mut session, 0x40, &request), CompletionCode::OK);
    let (to, mut datagram) = transmitted(&mut bench).unwrap();
    assert_eq!(to, HOME);
    let Ok(Incoming::Response { sequence: 5, command: GET_DEVICE_ID, code, data }) =
        session.receive(&mut datagram)
    else {
        panic!("no answer to the message");
    };
    assert_eq!((code, data.len()), (CompletionCode::OK, 15));
}

#[test]
fn a_session_that_has_ended_gets_no_message_and_neither_does_its_successor() {
    let mut bench = bench();
    let session = bench.login(admin());
    bench.bmc.send_to_session(1, vec![1, 2, 3]).unwrap();
    let user = bench.user("admin");
    bench.bmc.users.set_enabled(user, false).unwrap();
    bench.wait(std::time::Duration::ZERO);
    drop(session);
    assert_eq!(bench.bmc.send_to_session(1, vec![1]), Err(MessageRefusal::NoSession));
    bench.login(reader());
    assert_eq!(transmitted(&mut bench), None);
}
