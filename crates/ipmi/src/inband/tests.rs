use bmc::{Identity, Lan, PowerRequest, Users};
use proptest::prelude::*;

use super::*;

/// A machine and its interface, which was connected and has said what it says first.
struct Bench {
    server: Server,
    bmc: Bmc,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self::unconnected(true);
        bench.server.connect(false, &bench.bmc);
        bench.sent();
        bench
    }

    fn unconnected(trusted: bool) -> Self {
        let bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        Self { server: Server::new(Config { trusted, sol_port: 623 }), bmc, now: Instant::now() }
    }

    /// Everything that is to be written, frame by frame.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.server.poll_transmit()).collect()
    }

    fn receive(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.server.receive(self.now, bytes, &mut self.bmc);
        self.sent()
    }
}

const GET_DEVICE_ID: [u8; 5] = [0x00, 0x18, 0x01, 0xe7, 0xa0];

#[test]
fn a_machine_introduces_itself_by_its_version_or_what_it_can_do() {
    assert!(Server::introduces(&[0xff, 0x01, 0xa1]));
    assert!(Server::introduces(&[0x08, 0x3f, 0xa1]));
    for said in [&[][..], &[0xff, 0x01], &[0x09, 0xa1], &GET_DEVICE_ID, b"GET / HTTP/1.1\r\n\r\n"] {
        assert!(!Server::introduces(said), "{said:02x?}");
    }
}

#[test]
fn a_connection_begins_with_the_version_and_the_whole_state() {
    let mut bench = Bench::unconnected(true);
    bench.server.connect(false, &bench.bmc);
    assert_eq!(bench.sent(), [&[0xff, 0x01, 0xa1][..], &[0x06, 0xa1], &[0x00, 0xa1]]);
    bench.bmc.global_enables = 0x0f;
    bench.server.connect(false, &bench.bmc);
    assert_eq!(bench.sent(), [&[0xff, 0x01, 0xa1][..], &[0x05, 0xa1], &[0x00, 0xa1]]);
}

#[test]
fn a_machine_that_had_a_connection_before_is_freed_of_what_that_has_left() {
    let mut bench = Bench::unconnected(true);
    bench.server.connect(true, &bench.bmc);
    let sent = bench.sent();
    assert_eq!(sent[0], [0xa0], "the end of half a frame");
    let answers: Vec<_> = sent.iter().filter(|frame| frame.contains(&0x1c)).collect();
    assert_eq!(answers.len(), 256);
    assert_eq!(*answers[0], [0xff, 0x1c, 0x01, 0xd2, 0x12, 0xa0]);
    // The highest first: a machine that takes one then waits for the next number, which has been.
    assert_eq!(*answers[255 - 0xa0], [0xaa, 0xb0, 0x1c, 0x01, 0xd2, 0x71, 0xa0]);
    assert_eq!(*answers[255], [0x00, 0x1c, 0x01, 0xd2, 0x11, 0xa0]);
}

#[test]
fn half_a_frame_of_an_earlier_connection_is_no_part_of_a_later_one() {
    let mut bench = Bench::new();
    assert!(bench.receive(&GET_DEVICE_ID[..3]).is_empty());
    bench.server.connect(false, &bench.bmc);
    bench.sent();
    assert_eq!(bench.receive(&GET_DEVICE_ID).len(), 1);
}

#[test]
fn requests_are_answered_however_they_are_cut() {
    let mut bench = Bench::new();
    let whole = bench.receive(&GET_DEVICE_ID);
    assert_eq!(whole[0][..5], [0x00, 0x1c, 0x01, 0x00, 0x20]);
    let mut pieces = Vec::new();
    for byte in GET_DEVICE_ID {
        pieces.extend(bench.receive(&[byte]));
    }
    assert_eq!(pieces, whole);
    // Two requests in one piece are two answers.
    assert_eq!(bench.receive(&[GET_DEVICE_ID; 2].concat()), [&whole[0][..], &whole[0]]);
}

#[test]
fn the_guest_is_on_the_channel_of_the_system_interface_and_outside_any_session() {
    let mut bench = Bench::new();
    // Get Session Challenge belongs to the LAN.
    assert_eq!(bench.receive(&[0x01, 0x18, 0x39, 0xae, 0xa0]), [[0x01, 0x1c, 0x39, 0xc1, 0xe9, 0xa0]]);
    // Chassis Control, power cycle: what an operator's session may.
    bench.bmc.on_fact(bench.now, Fact::Started);
    assert_eq!(bench.receive(&[0x02, 0x00, 0x02, 0x02, 0xfa, 0xa0]), [[0x02, 0x04, 0x02, 0x00, 0xf8, 0xa0]]);
    assert_eq!(bench.bmc.take_intent(), Some(bmc::Intent::Power(PowerRequest::Cycle)));
}

#[test]
fn a_guest_that_is_not_trusted_is_refused_what_is_guarded() {
    // Set SOL Configuration Parameters: enable.
    let set_sol = [0x03, 0x30, 0x21, 0x01, 0x01, 0x00, 0xaa, 0xba, 0xa0];
    let mut bench = Bench::unconnected(false);
    assert_eq!(bench.receive(&set_sol).last().unwrap()[3], 0xd4);
    let mut bench = Bench::new();
    assert_ne!(bench.receive(&set_sol).last().unwrap()[3], 0xd4);
}

#[test]
fn a_request_that_is_too_long_is_answered() {
    let mut bench = Bench::new();
    let long = [&[0x05, 0x18, 0x01][..], &[0; 400], &[0xa0]].concat();
    assert_eq!(bench.receive(&long), [[0x05, 0x1c, 0x01, 0xc6, 0x18, 0xa0]]);
}

#[test]
fn the_guest_is_interrupted_once_it_asks_to_be() {
    let mut bench = Bench::new();
    // Set BMC Global Enables 0Fh: interrupts are on by the time that the answer comes.
    let set = bench.receive(&[0x07, 0x18, 0x2e, 0x0f, 0xa4, 0xa0]);
    assert_eq!(set, [&[0x05, 0xa1][..], &[0x07, 0x1c, 0x2e, 0x00, 0xaf, 0xa0]]);
    let again = bench.receive(&[0x08, 0x18, 0x2e, 0x0f, 0xa3, 0xa0]);
    assert_eq!(again.len(), 1, "nothing changed");
    bench.bmc.global_enables = 0x08;
    bench.server.refresh(&bench.bmc);
    assert_eq!(bench.sent(), [[0x06, 0xa1]]);
}

#[test]
fn a_reset_that_the_machine_tells_of_is_one() {
    let mut bench = Bench::new();
    bench.bmc.on_fact(bench.now, Fact::Started);
    bench.receive(&[0x04, 0xa1]);
    assert_eq!(bench.bmc.chassis().restart_cause(), bmc::RestartCause::SoftReset);
}

#[test]
fn the_machine_is_told_to_do_what_it_can() {
    let mut bench = Bench::new();
    assert!(!bench.server.act(Action::PowerOff), "it has not said that it can");
    bench.receive(&[0x08, 0x29, 0xa1]);
    assert!(bench.server.capabilities().has(Capabilities::NMI));
    for (action, frame) in [
        (Action::PowerOff, Some([0x03, 0xa1])),
        (Action::Reset, None),
        (Action::Nmi, Some([0x07, 0xa1])),
        (Action::GracefulShutdown, Some([0x09, 0xa1])),
    ] {
        assert_eq!(bench.server.act(action), frame.is_some());
        assert_eq!(bench.sent().first().map(Vec::as_slice), frame.as_ref().map(|frame| &frame[..]));
    }
}

proptest! {
    #[test]
    fn nothing_that_is_received_panics_and_every_request_has_one_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        netfn in 0..64u8, command: u8,
        data in proptest::collection::vec(0..0x80u8, 0..40),
    ) {
        let mut bench = Bench::new();
        bench.receive(&bytes);
        bench.server.connect(false, &bench.bmc);
        bench.sent();
        let mut request = [&[0x01, netfn << 2, command & 0x7f][..], &data].concat();
        let sum = request.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        prop_assume!(!wire::ESCAPED.contains(&sum) && !request.iter().any(|byte| *byte >= 0xa0));
        request.extend([sum, 0xa0]);
        let sent = bench.receive(&request);
        let answers: Vec<_> = sent.iter().filter(|frame| frame.last() == Some(&0xa0)).collect();
        prop_assert_eq!(answers.len(), 1);
        prop_assert_eq!(answers[0][..3].to_vec(), vec![0x01, (netfn | 1) << 2, command & 0x7f]);
    }
}
