use bmc::{Direction, OutgoingMessage, PlatformEvent, SessionAddress, enables};
use proptest::prelude::*;

use super::{super::tests::Bench, *};

/// Get Device ID, as `responder` is asked it.
fn get_device_id(responder: u8, requester: u8) -> Vec<u8> {
    let request = message::Request {
        responder,
        netfn: APP,
        lun: 0,
        requester,
        requester_lun: 2,
        sequence: 9,
        command: 0x01,
        data: &[],
    };
    let mut bytes = Vec::new();
    request.emit(&mut bytes);
    bytes
}

fn with(head: &[u8], message: &[u8]) -> Vec<u8> {
    [head, message].concat()
}

/// A machine that is on and has one session.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.power_on();
    bench.bmc.observe_sessions([SessionAddress { handle: 1, id: 0xa000_0001 }].into_iter());
    bench
}

/// What the guest asks; a session's requests are the bench's own.
fn in_band(bench: &mut Bench, command: u8, data: &[u8]) -> (u8, Vec<u8>) {
    let own = bench.sessions.own.take();
    bench.channel = SYSTEM_INTERFACE;
    let reply = bench.run(&Request { netfn: APP, lun: 0, command, data });
    bench.sessions.own = own;
    bench.channel = LAN_CHANNEL;
    (reply.code().0, reply.data().to_vec())
}

#[test]
fn a_remote_console_asks_the_guest_and_the_guest_answers() {
    let mut bench = bench();
    // 81h is system management software, C1h is the console's own id.
    let question = get_device_id(0x81, 0xc1);
    assert_eq!(question, [0x81, 0x18, 0x67, 0xc1, 0x26, 0x01, 0x18]);
    bench.ok(APP, 0x34, &with(&[0x4f], &question));
    assert_eq!(in_band(&mut bench, 0x31, &[]), (0, vec![0x01]));
    // Administrator, channel 1; session handle 1.
    assert_eq!(in_band(&mut bench, 0x33, &[]), (0, with(&[0x41, 0x01], &question)));
    assert_eq!(in_band(&mut bench, 0x33, &[]), (0x80, vec![]));
    assert_eq!(in_band(&mut bench, 0x31, &[]), (0, vec![0x00]));

    let mut answer = Vec::new();
    message::Request::parse(&question).unwrap().emit_response(CompletionCode::OK, &[0x20], &mut answer);
    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x01, 0x01], &answer)), (0, vec![]));
    let to = SessionAddress { handle: 1, id: 0xa000_0001 };
    assert_eq!(bench.bmc.take_outgoing_message(), Some(OutgoingMessage { to, bytes: answer }));
}

#[test]
fn a_guest_does_not_speak_in_the_controllers_name() {
    let mut bench = bench();
    let question = get_device_id(0x20, 0xc1);
    let mut answer = Vec::new();
    message::Request::parse(&question).unwrap().emit_response(CompletionCode::OK, &[], &mut answer);
    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x01, 0x01], &answer)).0, 0xcc);
    bench.trusted = false;
    let honest = get_device_id(0xc1, 0x81);
    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x01, 0x01], &honest)).0, 0xd4);
    bench.trusted = true;
    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x01, 0x01], &honest)).0, 0x00);
}

#[test]
fn a_session_that_is_not_there_has_its_code() {
    let mut bench = bench();
    let question = get_device_id(0xc1, 0x81);
    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x01, 0x02], &question)).0, 0x80);
}

#[test]
fn the_ipmb_has_this_controller_and_no_other() {
    let mut bench = bench();
    assert_eq!(bench.code(APP, 0x34, &with(&[0x40], &get_device_id(0x82, 0x20))), 0x83);
    bench.ok(APP, 0x34, &with(&[0x40], &get_device_id(0x20, 0x81)));
    let sent = bench.bmc.take_outgoing_message().unwrap();
    assert_eq!(sent.to.handle, 1);
    let answer = message::Response::parse(&sent.bytes).unwrap();
    assert_eq!((answer.sequence, answer.command, answer.code), (9, 0x01, CompletionCode::OK));
    assert_eq!(answer.data, bench.ok(APP, 0x01, &[]));

    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x00], &get_device_id(0x82, 0x20))).0, 0x83);
    assert_eq!(in_band(&mut bench, 0x34, &with(&[0x00], &get_device_id(0x20, 0x20))), (0, vec![]));
    let (code, fetched) = in_band(&mut bench, 0x33, &[]);
    // Channel 0; NetFn 7, LUN 2, checksum; responder, sequence and LUN, command, completion code.
    assert_eq!((code, &fetched[..7]), (0, &[0x00, 0x1e, 0xc2, 0x20, 0x24, 0x01, 0x00][..]));
}

#[test]
fn a_message_gives_no_right_that_its_session_has_not() {
    let mut bench = bench();
    bench.own().privilege = bmc::Privilege::User;
    let reset = message::Request {
        responder: 0x20,
        netfn: APP,
        lun: 0,
        requester: 0x81,
        requester_lun: 0,
        sequence: 1,
        command: 0x02,
        data: &[],
    };
    let mut bytes = Vec::new();
    reset.emit(&mut bytes);
    bench.ok(APP, 0x34, &with(&[0x40], &bytes));
    let sent = bench.bmc.take_outgoing_message().unwrap();
    assert_eq!(message::Response::parse(&sent.bytes).unwrap().code.0, 0xd4);
    assert_eq!(bench.bmc.take_intent(), None);

    let nested = with(&[0x40], &bytes);
    let outer = message::Request { command: 0x34, data: &nested, ..reset };
    bytes.clear();
    outer.emit(&mut bytes);
    bench.ok(APP, 0x34, &with(&[0x40], &bytes));
    let sent = bench.bmc.take_outgoing_message().unwrap();
    assert_eq!(message::Response::parse(&sent.bytes).unwrap().code.0, 0xc1, "no message in a message");
}

#[test]
fn what_cannot_be_delivered_is_refused() {
    let mut bench = bench();
    let question = get_device_id(0x81, 0xc1);
    let mut garbled = question.clone();
    garbled[2] ^= 1;
    assert_eq!(bench.code(APP, 0x34, &with(&[0x4f], &garbled)), 0xcc);
    assert_eq!(bench.code(APP, 0x34, &with(&[0x8f], &question)), 0xcc, "raw");
    for channel in [0x41, 0x4e, 0x42, 0x47] {
        assert_eq!(bench.code(APP, 0x34, &with(&[channel], &question)), 0xcc, "{channel:02x}");
    }
    for _ in 0..16 {
        bench.ok(APP, 0x34, &with(&[0x4f], &question));
    }
    assert_eq!(bench.code(APP, 0x34, &with(&[0x4f], &question)), 0xc0, "full");
    let mut off = Bench::new();
    assert_eq!(off.code(APP, 0x34, &with(&[0x4f], &question)), 0xd5);
}

#[test]
fn a_guest_can_refuse_a_channels_messages() {
    let mut bench = bench();
    assert_eq!(in_band(&mut bench, 0x32, &[1, 2]), (0, vec![1, 1]));
    assert_eq!(in_band(&mut bench, 0x32, &[1, 0]), (0, vec![1, 0]));
    assert_eq!(bench.code(APP, 0x34, &with(&[0x4f], &get_device_id(0x81, 0xc1))), 0xd5);
    assert_eq!(in_band(&mut bench, 0x32, &[1, 1]), (0, vec![1, 1]));
    assert_eq!(in_band(&mut bench, 0x32, &[2, 2]).0, 0xcc);
    assert_eq!(in_band(&mut bench, 0x32, &[1, 3]).0, 0xcc);
}

#[test]
fn an_event_is_read_once_as_a_record() {
    let mut bench = bench();
    assert_eq!(in_band(&mut bench, 0x35, &[]).0, 0x80);
    bench.bmc.global_enables |= enables::EVENT_BUFFER;
    bench.bmc.observe_time(0x1122_3344);
    let event = PlatformEvent::specific(0x23, 0x05, 1);
    bench.bmc.platform_event(PlatformEvent { direction: Direction::Deasserted, ..event });
    assert_eq!(in_band(&mut bench, 0x31, &[]), (0, vec![0x02]));
    let record =
        [0xff, 0xff, 0x02, 0x44, 0x33, 0x22, 0x11, 0x20, 0x00, 0x04, 0x23, 0x05, 0xef, 0x01, 0xff, 0xff];
    assert_eq!(in_band(&mut bench, 0x35, &[]), (0, record.to_vec()));
    assert_eq!(in_band(&mut bench, 0x35, &[]).0, 0x80);
}

#[test]
fn flags_are_cleared_with_what_they_stand_for() {
    let mut bench = bench();
    bench.ok(APP, 0x34, &with(&[0x4f], &get_device_id(0x81, 0xc1)));
    assert_eq!(in_band(&mut bench, 0x30, &[0x0a]), (0, vec![]));
    assert_eq!(in_band(&mut bench, 0x31, &[]), (0, vec![0x01]));
    assert_eq!(in_band(&mut bench, 0x30, &[0x01]), (0, vec![]));
    assert_eq!(in_band(&mut bench, 0x33, &[]).0, 0x80);
}

#[test]
fn buses_and_bt_are_told_as_they_are() {
    let mut bench = bench();
    assert_eq!(bench.ok(APP, 0x36, &[]), [1, 0xff, 0xff, 5, 0]);
    assert_eq!(bench.code(APP, 0x52, &[0x00, 0xa0, 1]), 0x83);
    assert_eq!(bench.code(APP, 0x52, &[0x01, 0xa0, 1]), 0xcc);
    assert_eq!(bench.code(APP, 0x52, &[0x10, 0xa0, 1]), 0xcc);
}

proptest! {
    #[test]
    fn whatever_is_sent_is_delivered_whole_or_refused(
        lan: bool,
        how: u8,
        message in proptest::collection::vec(any::<u8>(), 6..240),
        fix: bool,
    ) {
        let mut bench = bench();
        let mut message = message;
        if fix {
            // Right checksums, so that more than a few get past them.
            let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
            message[2] = sum(&message[..2]);
            let last = sum(&message[3..]);
            message.push(last);
        }
        let data = with(&[how], &message);
        let code = if lan { bench.code(APP, 0x34, &data) } else { in_band(&mut bench, 0x34, &data).0 };
        if code == 0 && how & 0x0f == 0x0f && lan {
            let fetched = in_band(&mut bench, 0x33, &[]).1;
            prop_assert_eq!(&fetched[2..], &message[..]);
        }
    }
}
