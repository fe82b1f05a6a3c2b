//! The bytes between a virtual machine and its BMC: QEMU's `ipmi-bmc-extern`, OpenIPMI's "VM" protocol.
//!
//! A frame is everything up to its terminator, and there are two kinds:
//!
//! ```text
//!   message   seq │ netFn, LUN │ command │ (completion code) │ data … │ checksum │ A0
//!   control   operation │ parameter … │ A1
//! ```
//!
//! A byte that means something to the framing is escaped, in every place: AAh, and the byte with bit 4 set.
//! The checksum makes the sum of all unescaped bytes of a message zero. No specification has this protocol;
//! it is in OpenIPMI's README.vm, and in what QEMU does.

use crate::{Reply, Request};

const END_OF_MESSAGE: u8 = 0xa0;
const END_OF_CONTROL: u8 = 0xa1;
const ESCAPE: u8 = 0xaa;
const ESCAPED_BIT: u8 = 0x10;

/// The version of the protocol that there is.
const PROTOCOL_VERSION: u8 = 1;

/// Bytes that the framing has to escape.
pub(super) const ESCAPED: [u8; 3] = [END_OF_MESSAGE, END_OF_CONTROL, ESCAPE];

/// The longest frame: QEMU's own limit of a message, its sequence number and its checksum.
const FRAME_MAX: usize = 300 + 2;

/// What surrounds the data of a request: sequence number, netFn, command, checksum.
const OVERHEAD: usize = 4;

/// What the machine can be made to do by this protocol, and whether it takes interrupts: a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// The machine can be powered off.
    pub const POWER_OFF: Self = Self(0x01);
    /// It can be reset.
    pub const RESET: Self = Self(0x02);
    /// Its interface can interrupt.
    pub const INTERRUPT: Self = Self(0x04);
    /// It can be sent an NMI.
    pub const NMI: Self = Self(0x08);
    /// Its interface has an attention bit.
    pub const ATTENTION: Self = Self(0x10);
    /// It can be asked to shut down.
    pub const GRACEFUL_SHUTDOWN: Self = Self(0x20);

    /// Whether all of `others` are among them.
    pub fn has(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

/// What the machine says of itself, outside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// It speaks this version.
    Version(u8),
    /// It can do this.
    Capabilities(Capabilities),
    /// It was reset. Part of the protocol, but no QEMU up to 10 says it.
    Reset,
}

/// What the BMC tells the machine, outside messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Version,
    Attention(Attention),
    Interrupts(bool),
    PowerOff,
    Reset,
    Nmi,
    GracefulShutdown,
}

/// The attention bit of the interface (SMS_ATN, IPMI 2.0 §9.6 and §11.6.1): there is something to fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attention {
    /// There is nothing.
    #[default]
    Off,
    /// There is something.
    On,
    /// There is something, and the guest is to be interrupted for it.
    Interrupt,
}

/// A request that came whole, and the number that its answer must have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbered<'a> {
    pub(super) seq: u8,
    pub(super) request: Request<'a>,
}

/// A frame that means something.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    Request(Numbered<'a>),
    /// A request longer than any can be, of which the beginning is there: enough to refuse it.
    TooLong(Numbered<'a>),
    Notice(Notice),
}

/// Takes frames out of a stream of bytes. Whatever comes, it needs no more memory than one frame.
#[derive(Debug)]
pub(super) struct Decoder {
    buffer: [u8; FRAME_MAX],
    len: usize,
    escaping: bool,
    too_long: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { buffer: [0; FRAME_MAX], len: 0, escaping: false, too_long: false }
    }
}

impl Decoder {
    /// Takes one byte. What is no frame of this protocol is passed over.
    pub(super) fn push(&mut self, byte: u8) -> Option<Frame<'_>> {
        match byte {
            END_OF_MESSAGE | END_OF_CONTROL => {
                let (len, too_long) = (self.len, self.too_long);
                let cut = std::mem::take(&mut self.escaping);
                (self.len, self.too_long) = (0, false);
                if cut {
                    return None;
                }
                let bytes = self.buffer.get(..len)?;
                match byte {
                    END_OF_CONTROL => notice(bytes).filter(|_| !too_long).map(Frame::Notice),
                    _ if too_long => unfinished(bytes).map(Frame::TooLong),
                    _ => message(bytes).map(Frame::Request),
                }
            }
            ESCAPE => {
                self.escaping = true;
                None
            }
            _ => {
                let byte = if std::mem::take(&mut self.escaping) { byte & !ESCAPED_BIT } else { byte };
                match self.buffer.get_mut(self.len) {
                    Some(place) => {
                        *place = byte;
                        self.len += 1;
                    }
                    None => self.too_long = true,
                }
                None
            }
        }
    }
}

fn message(bytes: &[u8]) -> Option<Numbered<'_>> {
    let sum = bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    let (_, unsummed) = bytes.split_last()?;
    if sum == 0 && bytes.len() >= OVERHEAD { unfinished(unsummed) } else { None }
}

fn unfinished(bytes: &[u8]) -> Option<Numbered<'_>> {
    let [seq, netfn, command, data @ ..] = bytes else { return None };
    let request = Request { netfn: netfn >> 2, lun: netfn & 0x03, command: *command, data };
    Some(Numbered { seq: *seq, request })
}

/// Operations that are not known are those of a later version, and no reason to give up.
fn notice(bytes: &[u8]) -> Option<Notice> {
    match bytes {
        [0xff, version, ..] => Some(Notice::Version(*version)),
        [0x08, bits, ..] => Some(Notice::Capabilities(Capabilities(*bits))),
        [0x04, ..] => Some(Notice::Reset),
        _ => None,
    }
}

/// What ends a frame that an earlier connection may have left half sent, and means nothing otherwise.
pub(super) fn end_of_nothing() -> Vec<u8> {
    vec![END_OF_MESSAGE]
}

/// The answer to a request.
pub(super) fn answer(to: &Numbered<'_>, reply: &Reply) -> Vec<u8> {
    let Numbered { seq, request } = to;
    // A request's NetFn is even; what is not would be answered as if it were.
    let netfn = (request.netfn | 1) << 2 | request.lun;
    let head = [*seq, netfn, request.command, reply.code().0];
    let mut frame = Vec::with_capacity(2 * (head.len() + reply.data().len() + 1) + 1);
    let mut sum = 0u8;
    for byte in head.iter().chain(reply.data()) {
        sum = sum.wrapping_add(*byte);
        push_escaped(&mut frame, *byte);
    }
    push_escaped(&mut frame, sum.wrapping_neg());
    frame.push(END_OF_MESSAGE);
    frame
}

/// An order as it is sent.
pub(super) fn order(order: Order) -> Vec<u8> {
    let bytes: &[u8] = match order {
        Order::Version => &[0xff, PROTOCOL_VERSION],
        Order::Attention(Attention::Off) => &[0x00],
        Order::Attention(Attention::On) => &[0x01],
        Order::Attention(Attention::Interrupt) => &[0x02],
        Order::PowerOff => &[0x03],
        Order::Reset => &[0x04],
        Order::Interrupts(true) => &[0x05],
        Order::Interrupts(false) => &[0x06],
        Order::Nmi => &[0x07],
        Order::GracefulShutdown => &[0x09],
    };
    let mut frame = Vec::with_capacity(bytes.len() + 1);
    for byte in bytes {
        push_escaped(&mut frame, *byte);
    }
    frame.push(END_OF_CONTROL);
    frame
}

fn push_escaped(frame: &mut Vec<u8>, byte: u8) {
    if ESCAPED.contains(&byte) {
        frame.extend([ESCAPE, byte | ESCAPED_BIT]);
    } else {
        frame.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::CompletionCode;

    /// What a machine sends: the mirror image of [`answer`].
    fn request(seq: u8, netfn_lun: u8, command: u8, data: &[u8]) -> Vec<u8> {
        let bytes = [&[seq, netfn_lun, command], data].concat();
        let sum = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let mut frame = Vec::new();
        for byte in bytes.into_iter().chain([sum.wrapping_neg()]) {
            push_escaped(&mut frame, byte);
        }
        frame.push(END_OF_MESSAGE);
        frame
    }

    /// Every frame in `bytes`, in words.
    fn decoded(decoder: &mut Decoder, bytes: &[u8]) -> Vec<String> {
        let mut frames = Vec::new();
        for byte in bytes {
            frames.extend(decoder.push(*byte).map(|frame| match frame {
                Frame::Request(Numbered { seq, request: Request { netfn, lun, command, data } }) => {
                    format!("{seq:02x}: {netfn:02x}.{lun} {command:02x} {data:02x?}")
                }
                Frame::TooLong(Numbered { seq, request }) => {
                    format!("{seq:02x}: {:02x} too long", request.netfn)
                }
                Frame::Notice(notice) => format!("{notice:?}"),
            }));
        }
        frames
    }

    #[test]
    fn what_qemu_says_first_is_understood() {
        let greeting = [0xff, 0x01, 0xa1, 0x08, 0x3f, 0xa1];
        assert_eq!(
            decoded(&mut Decoder::default(), &greeting),
            ["Version(1)", "Capabilities(Capabilities(63))"]
        );
        assert!(Capabilities(0x3f).has(Capabilities::GRACEFUL_SHUTDOWN));
        assert!(!Capabilities(0x1f).has(Capabilities::GRACEFUL_SHUTDOWN));
    }

    #[test]
    fn a_request_of_qemus_is_understood() {
        assert_eq!(decoded(&mut Decoder::default(), &[0x00, 0x18, 0x01, 0xe7, 0xa0]), ["00: 06.0 01 []"]);
    }

    #[test]
    fn escaped_bytes_are_themselves_again() {
        let frame = [0xaa, 0xb0, 0x18, 0xaa, 0xb1, 0xaa, 0xba, 0xfd, 0xa0];
        assert_eq!(decoded(&mut Decoder::default(), &frame), ["a0: 06.0 a1 [aa]"]);
    }

    #[test]
    fn an_answer_has_its_number_its_odd_netfn_and_its_sum() {
        let request = Request { netfn: 0x06, lun: 0, command: 0x01, data: &[] };
        let mut reply = Reply::default();
        reply.put(&[0x20, 0xa0]);
        let frame = answer(&Numbered { seq: 0xa1, request }, &reply);
        assert_eq!(frame, [0xaa, 0xb1, 0x1c, 0x01, 0x00, 0x20, 0xaa, 0xb0, 0x82, 0xa0]);
        reply.fail(CompletionCode::INVALID_COMMAND);
        let frame = answer(&Numbered { seq: 3, request }, &reply);
        assert_eq!(frame, [0x03, 0x1c, 0x01, 0xc1, 0x1f, 0xa0]);
    }

    #[test]
    fn what_is_damaged_is_passed_over_and_the_next_frame_is_not() {
        let good = request(7, 0x18, 0x01, &[]);
        for damaged in [
            &[0x00, 0x18, 0x01, 0xe8, 0xa0][..],   // a wrong sum
            &[0x18, 0xe8, 0xa0],                   // too short to be a message
            &[0xa0],                               // nothing
            &[0xa1],                               // nothing
            &[0x55, 0x01, 0xa1],                   // an operation of a later version
            &[0x08, 0xa1],                         // capabilities without them
            &[0x00, 0x18, 0x01, 0xe7, 0xaa, 0xa0], // escaped, but what
            &[0x08, 0xaa, 0xa1],                   // escaped, but what
        ] {
            let stream = [damaged, &good].concat();
            assert_eq!(decoded(&mut Decoder::default(), &stream), ["07: 06.0 01 []"], "{damaged:02x?}");
        }
    }

    #[test]
    fn a_request_that_is_too_long_can_still_be_refused() {
        let long = request(9, 0x18, 0x01, &[0; FRAME_MAX]);
        let mut decoder = Decoder::default();
        assert_eq!(decoded(&mut decoder, &long), ["09: 06 too long"]);
        assert_eq!(decoded(&mut decoder, &request(1, 0x00, 0x01, &[])), ["01: 00.0 01 []"]);
        let fits = request(9, 0x18, 0x01, &[0; FRAME_MAX - OVERHEAD]);
        assert!(decoded(&mut decoder, &fits)[0].starts_with("09: 06.0 01 ["));
        // Not even a control frame of that length means anything.
        assert!(decoded(&mut decoder, &[&[0x04; FRAME_MAX + 1][..], &[0xa1]].concat()).is_empty());
    }

    proptest! {
        #[test]
        fn what_was_sent_arrives(seq: u8, netfn in 0..32u8, lun in 0..4u8, command: u8,
            data in proptest::collection::vec(any::<u8>(), 0..=FRAME_MAX - OVERHEAD),
            before in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let netfn = netfn << 1;
            let mut decoder = Decoder::default();
            // Whatever was there before, the end of nothing ends it.
            decoded(&mut decoder, &before);
            decoded(&mut decoder, &end_of_nothing());
            let frame = request(seq, netfn << 2 | lun, command, &data);
            let terminators = |byte: &&u8| [END_OF_MESSAGE, END_OF_CONTROL].contains(byte);
            prop_assert_eq!(frame.iter().filter(terminators).count(), 1);
            let expected = format!("{seq:02x}: {netfn:02x}.{lun} {command:02x} {data:02x?}");
            prop_assert_eq!(decoded(&mut decoder, &frame), [expected]);
        }

        #[test]
        fn nothing_that_is_received_panics(bytes in proptest::collection::vec(
            prop_oneof![4 => any::<u8>(), 1 => Just(ESCAPE), 1 => Just(END_OF_MESSAGE), 1 => Just(END_OF_CONTROL)],
            0..2000,
        )) {
            decoded(&mut Decoder::default(), &bytes);
        }
    }
}
