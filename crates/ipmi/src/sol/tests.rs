use proptest::prelude::*;

use super::*;

const ON: HostPower = HostPower::On;
const OFF: HostPower = HostPower::Off;
const ROOM: usize = 1024;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A machine with its time, so that a test reads as a dialogue.
struct Line {
    sol: Sol,
    now: Instant,
    host: HostPower,
    room: usize,
}

impl Line {
    /// Accumulate interval 20 ms, threshold 10, two retries after 100 ms each.
    fn new() -> Self {
        let settings = SolSettings {
            accumulate_interval: 4,
            send_threshold: 10,
            retry_count: 2,
            retry_interval: 10,
            ..SolSettings::default()
        };
        let now = Instant::now();
        Self { sol: Sol::new(now, settings, SolRequest::default()), now, host: ON, room: ROOM }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    fn poll(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.sol.poll(self.now, self.host, &mut out).then_some(out)
    }

    fn receive(&mut self, payload: &[u8]) -> Vec<SolInput> {
        let mut input = Vec::new();
        self.sol.on_packet(self.now, self.host, payload, self.room, &mut input);
        input
    }
}

fn bytes(text: &[u8]) -> SolInput {
    SolInput::Bytes(text.to_vec())
}

#[test]
fn the_first_output_of_a_quiet_line_leaves_at_once() {
    let mut line = Line::new();
    assert_eq!(line.sol.timeout(), None);
    line.sol.feed(b"a");
    assert!(line.sol.timeout().unwrap() <= line.now);
    assert_eq!(line.poll(), Some(vec![1, 0, 0, 0, b'a']));
    assert_eq!(line.poll(), None);
}

#[test]
fn output_without_a_pause_is_collected() {
    let mut line = Line::new();
    line.sol.feed(b"a");
    line.poll().unwrap();
    line.receive(&[0, 1, 1, 0]);
    line.sol.feed(b"b");
    assert_eq!(line.sol.timeout(), Some(line.now + ms(20)));
    assert_eq!(line.poll(), None);
    line.pass(ms(19));
    line.sol.feed(b"c");
    assert_eq!(line.poll(), None);
    line.pass(ms(1));
    assert_eq!(line.poll(), Some(vec![2, 0, 0, 0, b'b', b'c']));
}

#[test]
fn a_threshold_of_characters_is_not_held_back() {
    let mut line = Line::new();
    line.sol.feed(b"a");
    line.poll().unwrap();
    line.receive(&[0, 1, 1, 0]);
    line.sol.feed(b"123456789");
    assert_eq!(line.poll(), None);
    line.sol.feed(b"0");
    assert_eq!(line.poll(), Some([&[2, 0, 0, 0], &b"1234567890"[..]].concat()));
}

#[test]
fn an_echo_is_not_held_back() {
    let mut line = Line::new();
    for (sequence, key) in [(1, b'x'), (2, b'y'), (3, b'z')] {
        assert_eq!(line.receive(&[sequence, 0, 0, 0, key]), [bytes(&[key])]);
        assert_eq!(line.poll(), Some(vec![0, sequence, 1, 0]));
        line.pass(ms(1));
        line.sol.feed(&[key]);
        assert_eq!(line.poll(), Some(vec![sequence, 0, 0, 0, key]));
        line.receive(&[0, sequence, 1, 0]);
    }
}

#[test]
fn an_acknowledgement_rides_on_output_that_is_due() {
    let mut line = Line::new();
    line.sol.feed(b"out");
    line.receive(&[7, 0, 0, 0, b'i', b'n']);
    assert_eq!(line.poll(), Some(vec![1, 7, 2, 0, b'o', b'u', b't']));
}

#[test]
fn a_repetition_has_the_same_number_and_the_same_characters() {
    let mut line = Line::new();
    line.sol.feed(b"a");
    let first = line.poll();
    line.sol.feed(b"more");
    line.pass(ms(99));
    assert_eq!(line.poll(), None);
    line.pass(ms(1));
    assert_eq!(line.poll(), first);
    line.pass(ms(100));
    assert_eq!(line.poll(), first);
}

#[test]
fn a_console_that_is_gone_for_a_while_loses_nothing() {
    let mut line = Line::new();
    line.sol.feed(b"a");
    let first = line.poll();
    for pace in [100, 100, 1000, 1000] {
        line.pass(ms(pace - 1));
        assert_eq!(line.poll(), None, "{pace}");
        line.pass(ms(1));
        assert_eq!(line.poll(), first, "{pace}");
    }
    line.receive(&[0, 1, 1, 0]);
    line.sol.feed(b"b");
    assert_eq!(line.poll(), Some(vec![2, 0, 0, 0, b'b']));
}

#[test]
fn the_rest_of_a_packet_accepted_in_part_has_a_new_number() {
    let mut line = Line::new();
    line.sol.feed(b"abcdef");
    line.poll().unwrap();
    line.receive(&[0, 1, 4, 0]);
    assert_eq!(line.poll(), Some(vec![2, 0, 0, 0, b'e', b'f']));
    line.receive(&[0, 1, 4, 0]);
    line.receive(&[0, 1, 6, 0]);
    assert_eq!(line.poll(), None, "acknowledgements of the packet before change nothing");
    line.receive(&[0, 2, 200, 0]);
    line.pass(ms(5000));
    assert_eq!(line.poll(), None, "a count that is too high means all");
}

#[test]
fn a_refused_packet_is_tried_again_after_the_retry_interval() {
    for refusal in [[0, 1, 0, 0x40], [0, 1, 0, 0]] {
        let mut line = Line::new();
        line.sol.feed(b"ab");
        line.poll().unwrap();
        line.receive(&refusal);
        line.pass(ms(99));
        assert_eq!(line.poll(), None);
        line.pass(ms(1));
        assert_eq!(line.poll(), Some(vec![2, 0, 0, 0, b'a', b'b']));
    }
}

#[test]
fn numbers_go_from_1_to_15_and_never_to_0() {
    let mut line = Line::new();
    for packet in 0..40 {
        line.sol.feed(b"0123456789");
        let sequence = line.poll().unwrap()[0];
        assert_eq!(sequence, packet % 15 + 1);
        line.receive(&[0, sequence, 10, 0]);
    }
}

#[test]
fn a_packet_holds_at_most_255_characters() {
    let mut line = Line::new();
    line.sol.feed(&[b'x'; 300]);
    assert_eq!(line.poll().unwrap().len(), usize::from(OUTBOUND_SIZE));
}

#[test]
fn a_duplicate_is_acknowledged_again_and_not_delivered_again() {
    let mut line = Line::new();
    assert_eq!(line.receive(&[3, 0, 0, 0x10, b'a']), [bytes(b"a"), SolInput::Break]);
    assert_eq!(line.poll(), Some(vec![0, 3, 1, 0]));
    assert_eq!(line.receive(&[3, 0, 0, 0x10, b'a']), []);
    assert_eq!(line.poll(), Some(vec![0, 3, 1, 0]));
    assert_eq!(line.poll(), None);
}

#[test]
fn a_packet_that_the_network_kept_is_not_delivered_late() {
    let mut line = Line::new();
    line.receive(&[15, 0, 0, 0, b'a']);
    line.receive(&[1, 0, 0, 0, b'b']);
    line.poll().unwrap();
    assert_eq!(line.receive(&[15, 0, 0, 0, b'a']), []);
    assert_eq!(line.poll(), None);
    line.pass(REORDER_LIMIT);
    assert_eq!(line.receive(&[15, 0, 0, 0, b'c']), [bytes(b"c")], "by then it is a console of its own mind");
}

#[test]
fn a_packet_without_characters_is_acknowledged_too() {
    let mut line = Line::new();
    assert_eq!(line.receive(&[5, 0, 0, 0]), []);
    assert_eq!(line.poll(), Some(vec![0, 5, 0, 0]));
}

#[test]
fn an_acknowledgement_alone_is_not_answered() {
    let mut line = Line::new();
    assert_eq!(line.receive(&[0, 1, 1, 0]), []);
    assert_eq!(line.poll(), None);
}

#[test]
fn what_has_no_room_is_left_for_a_new_number() {
    let mut line = Line::new();
    line.room = 2;
    assert_eq!(line.receive(&[1, 0, 0, 0, b'a', b'b', b'c']), [bytes(b"ab")]);
    assert_eq!(line.poll(), Some(vec![0, 1, 2, 0]));
    line.room = ROOM;
    assert_eq!(line.receive(&[1, 0, 0, 0, b'a', b'b', b'c']), []);
    assert_eq!(line.poll(), Some(vec![0, 1, 2, 0]), "as before, whatever room there is now");
    assert_eq!(line.receive(&[2, 0, 0, 0, b'c']), [bytes(b"c")]);
}

#[test]
fn with_no_room_at_all_a_packet_is_left_to_its_repetition() {
    let mut line = Line::new();
    line.room = 0;
    assert_eq!(line.receive(&[1, 0, 0, 0x10, b'a']), []);
    assert_eq!(line.poll(), None);
    line.room = 1;
    assert_eq!(line.receive(&[1, 0, 0, 0x10, b'a']), [bytes(b"a"), SolInput::Break]);
    assert_eq!(line.poll(), Some(vec![0, 1, 1, 0]));
}

#[test]
fn while_the_machine_is_off_input_is_refused_and_not_too_often() {
    let mut line = Line::new();
    line.host = OFF;
    assert_eq!(line.poll(), Some(vec![0, 0, 0, 0x20]));
    assert_eq!(line.receive(&[1, 0, 0, 0, b'a']), []);
    assert_eq!(line.poll(), Some(vec![0, 1, 0, 0x60]));
    assert_eq!(line.receive(&[2, 0, 0, 0, b'a']), []);
    assert_eq!(line.sol.timeout(), Some(line.now + NACK_INTERVAL));
    assert_eq!(line.poll(), None, "a console that repeats itself at once is slowed down");
    line.pass(NACK_INTERVAL);
    assert_eq!(line.poll(), Some(vec![0, 2, 0, 0x60]));
    assert_eq!(line.receive(&[3, 0, 0, 0x10]), [], "nobody hears the break");
    assert_eq!(line.poll(), Some(vec![0, 3, 0, 0x20]));
}

#[test]
fn power_off_is_told_once_after_the_last_output_and_the_line_lives_on() {
    let mut line = Line::new();
    line.sol.feed(b"bye");
    line.host = OFF;
    assert_eq!(line.poll(), Some(vec![1, 0, 0, 0, b'b', b'y', b'e']));
    assert_eq!(line.poll(), None);
    line.receive(&[0, 1, 3, 0]);
    assert_eq!(line.poll(), Some(vec![0, 0, 0, 0x20]));
    assert_eq!(line.poll(), None);
    line.host = ON;
    assert_eq!(line.poll(), None);
    line.sol.feed(b"hi");
    line.pass(ms(20));
    assert_eq!(line.poll(), Some(vec![2, 0, 0, 0, b'h', b'i']));
    assert_eq!(line.receive(&[1, 2, 2, 0, b'x']), [bytes(b"x")]);
    line.host = OFF;
    assert_eq!(line.poll(), Some(vec![0, 1, 1, 0x20]), "and once for every time");
}

#[test]
fn flushing_drops_what_waits_and_keeps_what_is_in_flight() {
    let mut line = Line::new();
    line.sol.feed(b"ab");
    let first = line.poll();
    line.sol.feed(b"cdef");
    assert_eq!(
        line.receive(&[1, 0, 0, 0x03, b'x']),
        [SolInput::FlushOutbound, SolInput::FlushInbound, bytes(b"x")]
    );
    line.poll().unwrap();
    line.pass(ms(100));
    assert_eq!(line.poll(), first);
    line.receive(&[0, 1, 2, 0]);
    line.pass(ms(5000));
    assert_eq!(line.poll(), None);
}

#[test]
fn cts_stops_output_until_it_is_asserted_again() {
    let mut line = Line::new();
    line.receive(&[0, 0, 0, 0x08]);
    line.sol.feed(b"a");
    assert_eq!((line.sol.timeout(), line.poll()), (None, None));
    line.receive(&[0, 0, 0, 0]);
    assert_eq!(line.poll(), Some(vec![1, 0, 0, 0, b'a']));
}

#[test]
fn lost_output_is_owned_up_to() {
    let mut line = Line::new();
    line.sol.feed(&vec![b'x'; QUEUE]);
    assert_eq!(line.sol.feed_room(), 0);
    line.sol.feed(b"y");
    assert_eq!(line.poll().unwrap()[3], 0x08);
    line.receive(&[0, 1, 255, 0]);
    assert_eq!(line.sol.feed_room(), 255);
    assert_eq!(line.poll().unwrap()[3], 0);
}

#[test]
fn the_old_console_is_told_that_sol_is_not_its_any_more() {
    let mut out = Vec::new();
    Sol::emit_deactivated(&mut out);
    assert_eq!(out, [0, 0, 0, 0x10]);
}

proptest! {
    #[test]
    fn no_payload_panics(
        payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), any::<bool>(), 0..300usize), 0..40),
    ) {
        let mut line = Line::new();
        for (payload, on, room) in payloads {
            (line.host, line.room) = (if on { ON } else { OFF }, room);
            line.sol.feed(&payload);
            line.receive(&payload);
            line.pass(ms(7));
            line.poll();
        }
    }
}
