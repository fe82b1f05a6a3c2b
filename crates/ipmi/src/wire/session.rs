//! The RMCP+ session wrapper (IPMI 2.0 §13.6, Table 13-8, right column).
//!
//! ```text
//!   0      authentication type, 06h: this format
//!   1      bit 7: payload is encrypted; bit 6: packet is authenticated; bits 5:0: payload type
//!   2-5    session id of the receiver; 0 outside a session
//!   6-9    session sequence number; 0 outside a session
//!   10-11  length of the payload
//!   12 …   payload; if encrypted: initialization vector, ciphertext
//!   then, if authenticated:
//!     …    integrity pad, FFh, so that bytes 0 through "next header" are a multiple of four
//!     +0   length of the pad
//!     +1   next header, 07h
//!     +2 … authentication code over everything before it
//! ```

use super::{Malformed, Reader};

/// The byte that tells this format from IPMI 1.5's.
pub const FORMAT: u8 = 0x06;
/// Size of the header.
pub const HEADER_SIZE: usize = 12;

const LAYOUT: &str = "RMCP+ packet";
const NEXT_HEADER: u8 = 0x07;
const ENCRYPTED: u8 = 0x80;
const AUTHENTICATED: u8 = 0x40;

/// What a packet carries (Table 13-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PayloadType {
    /// An IPMI message.
    Ipmi = 0x00,
    /// Serial over LAN.
    Sol = 0x01,
    /// RMCP+ Open Session Request.
    OpenSessionRequest = 0x10,
    /// RMCP+ Open Session Response.
    OpenSessionResponse = 0x11,
    /// RAKP Message 1.
    Rakp1 = 0x12,
    /// RAKP Message 2.
    Rakp2 = 0x13,
    /// RAKP Message 3.
    Rakp3 = 0x14,
    /// RAKP Message 4.
    Rakp4 = 0x15,
}

impl PayloadType {
    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0x00 => Self::Ipmi,
            0x01 => Self::Sol,
            0x10 => Self::OpenSessionRequest,
            0x11 => Self::OpenSessionResponse,
            0x12 => Self::Rakp1,
            0x13 => Self::Rakp2,
            0x14 => Self::Rakp3,
            0x15 => Self::Rakp4,
            _ => return None,
        })
    }
}

/// What stands before the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the packet carries.
    pub payload_type: PayloadType,
    /// Whether the payload is encrypted.
    pub encrypted: bool,
    /// Whether the packet ends with an authentication code.
    pub authenticated: bool,
    /// The receiver's id of the session; 0 outside a session.
    pub session: u32,
    /// Session sequence number; 0 outside a session.
    pub sequence: u32,
}

/// A packet, its payload and trailer as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: &'a [u8],
    /// What follows the payload: nothing, unless the packet is authenticated.
    trailer: &'a [u8],
    whole: &'a [u8],
}

impl Header {
    /// The header of a packet outside a session.
    pub fn sessionless(payload_type: PayloadType) -> Self {
        Self { payload_type, encrypted: false, authenticated: false, session: 0, sequence: 0 }
    }

    /// Appends the header and the payload that `payload` appends.
    pub fn emit(&self, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
        let flags =
            if self.encrypted { ENCRYPTED } else { 0 } | if self.authenticated { AUTHENTICATED } else { 0 };
        out.extend([FORMAT, flags | self.payload_type as u8]);
        out.extend(self.session.to_le_bytes());
        out.extend(self.sequence.to_le_bytes());
        let length_at = out.len();
        out.extend([0; 2]);
        let start = out.len();
        payload(out);
        let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
        if let Some(field) = out.get_mut(length_at..start) {
            field.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// Appends the integrity pad and next header to a packet that began at `start`. What is to be signed is
/// then everything from there; the code goes behind it.
pub fn emit_trailer(out: &mut Vec<u8>, start: usize) {
    let pad = (out.len() - start + 2).wrapping_neg() % 4;
    out.extend([0xff; 3].get(..pad).unwrap_or_default());
    #[expect(clippy::cast_possible_truncation, reason = "at most 3")]
    out.extend([pad as u8, NEXT_HEADER]);
}

impl<'a> Packet<'a> {
    /// Reads what follows the RMCP header.
    ///
    /// # Errors
    /// [`Malformed`]: truncated, a payload type that this implementation doesn't know, or something
    /// behind the payload of a packet that is not authenticated.
    pub fn parse(whole: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(LAYOUT, whole);
        let [format, kind] = reader.array()?;
        let payload_type =
            PayloadType::from_number(kind & 0x3f).filter(|_| format == FORMAT).ok_or(Malformed(LAYOUT))?;
        let header = Header {
            payload_type,
            encrypted: kind & ENCRYPTED != 0,
            authenticated: kind & AUTHENTICATED != 0,
            session: reader.u32()?,
            sequence: reader.u32()?,
        };
        let length = reader.u16()?;
        let payload = reader.bytes(usize::from(length))?;
        let trailer = reader.rest();
        if header.authenticated == trailer.is_empty() {
            return Err(Malformed(LAYOUT));
        }
        Ok(Self { header, payload, trailer, whole })
    }

    /// What an authentication code of `size` bytes covers, and the code.
    ///
    /// # Errors
    /// [`Malformed`]: the trailer is not a pad, its length, the next header and such a code.
    pub fn signed(&self, size: usize) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let code_at = self.whole.len().checked_sub(size).ok_or(Malformed(LAYOUT))?;
        let pad = self.trailer.len().checked_sub(size).ok_or(Malformed(LAYOUT))?;
        match self.trailer.get(..pad) {
            Some([pad @ .., length, NEXT_HEADER]) if usize::from(*length) == pad.len() => {}
            _ => return Err(Malformed(LAYOUT)),
        }
        self.whole.split_at_checked(code_at).ok_or(Malformed(LAYOUT))
    }

    /// Where in the packet the payload is, for decryption in place.
    pub fn payload_range(&self) -> std::ops::Range<usize> {
        HEADER_SIZE..HEADER_SIZE + self.payload.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_header() -> impl Strategy<Value = Header> {
        const KINDS: [u8; 8] = [0x00, 0x01, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15];
        (proptest::sample::select(&KINDS[..]), any::<(bool, bool, u32, u32)>()).prop_map(
            |(kind, (encrypted, authenticated, session, sequence))| Header {
                payload_type: PayloadType::from_number(kind).unwrap(),
                encrypted,
                authenticated,
                session,
                sequence,
            },
        )
    }

    #[test]
    fn a_packet_outside_a_session() {
        let mut out = Vec::new();
        Header::sessionless(PayloadType::Rakp1).emit(&mut out, |out| out.extend([1, 2, 3]));
        let bytes = [0x06, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, 0x00, 1, 2, 3];
        assert_eq!(out, bytes);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.header, Header::sessionless(PayloadType::Rakp1));
        assert_eq!(packet.payload, [1, 2, 3]);
    }

    #[test]
    fn the_integrity_pad_fills_up_to_a_multiple_of_four() {
        let header = Header {
            payload_type: PayloadType::Ipmi,
            encrypted: true,
            authenticated: true,
            session: 0x0403_0201,
            sequence: 5,
        };
        let mut out = Vec::new();
        header.emit(&mut out, |out| out.extend([0xaa; 3]));
        emit_trailer(&mut out, 0);
        out.extend([0xcc; 12]);
        assert_eq!(
            out[..20],
            [6, 0xc0, 1, 2, 3, 4, 5, 0, 0, 0, 3, 0, 0xaa, 0xaa, 0xaa, 0xff, 0xff, 0xff, 3, 7]
        );
        let packet = Packet::parse(&out).unwrap();
        assert_eq!(packet.header, header);
        assert_eq!(packet.signed(12), Ok((&out[..20], &[0xcc; 12][..])));
        assert_eq!(packet.signed(16), Err(Malformed("RMCP+ packet")), "another suite's code");
        assert_eq!(&out[packet.payload_range()], packet.payload);
        for (index, byte) in [(18, 2), (18, 4), (19, 6)] {
            let mut bent = out.clone();
            bent[index] = byte;
            let packet = Packet::parse(&bent).unwrap();
            assert_eq!(packet.signed(12), Err(Malformed("RMCP+ packet")), "byte {index} is {byte}");
        }
    }

    #[test]
    fn what_follows_an_unauthenticated_payload_is_malformed() {
        let bytes = [0x06, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x00, 1, 0xff];
        assert_eq!(Packet::parse(&bytes), Err(Malformed("RMCP+ packet")));
        assert!(Packet::parse(&bytes[..13]).is_ok());
    }

    proptest! {
        #[test]
        fn packets_survive_the_wire(
            header in any_header(),
            payload in proptest::collection::vec(any::<u8>(), 0..600),
            code in proptest::collection::vec(any::<u8>(), 1..20),
        ) {
            let mut out = Vec::new();
            header.emit(&mut out, |out| out.extend(&payload));
            if header.authenticated {
                emit_trailer(&mut out, 0);
                prop_assert_eq!(out.len() % 4, 0);
                out.extend(&code);
            }
            let packet = Packet::parse(&out).unwrap();
            prop_assert_eq!(packet.header, header);
            prop_assert_eq!(packet.payload, &payload[..]);
            if header.authenticated {
                prop_assert_eq!(packet.signed(code.len()).unwrap().1, &code[..]);
            }
        }

        #[test]
        fn any_bytes_give_a_packet_or_an_error(
            kind: u8, bytes in proptest::collection::vec(any::<u8>(), 0..64), size in 0usize..40,
        ) {
            let mut whole = vec![FORMAT, kind];
            whole.extend(bytes);
            if let Ok(packet) = Packet::parse(&whole) {
                prop_assert_eq!(&whole[packet.payload_range()], packet.payload);
                let _ = packet.signed(size);
            }
        }
    }
}
