//! The SOL payload (IPMI 2.0 §15.9, Tables 15-2 and 15-3).
//!
//! ```text
//!   0     packet sequence number, bits 3:0; 0: an acknowledgement alone, which is not acknowledged
//!   1     sequence number of the packet that is acknowledged, bits 3:0; 0: none is
//!   2     how many characters of that packet were accepted
//!   3     operation (from the remote console) or status (from the BMC)
//!   4 …   characters
//! ```

use bitflags::bitflags;

use super::{Malformed, Reader};

/// Bytes before the characters.
pub const HEADER_SIZE: usize = 4;
/// Most characters in a packet: their count is acknowledged in one byte.
pub const CHARACTERS_MAX: usize = 255;
/// Largest payload.
pub const PAYLOAD_MAX: usize = HEADER_SIZE + CHARACTERS_MAX;

bitflags! {
    /// What the remote console asks for (Table 15-2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Operation: u8 {
        /// The packet that is named was not accepted: send it again later.
        const NACK = 1 << 6;
        /// Assert the ring indicator.
        const RING = 1 << 5;
        /// Generate a break.
        const BREAK = 1 << 4;
        /// Deassert CTS: the BMC is to stop the guest's output.
        const CTS_PAUSE = 1 << 3;
        /// Deassert DCD and DSR.
        const DROP_DCD_DSR = 1 << 2;
        /// Drop characters that wait to go to the guest.
        const FLUSH_INBOUND = 1 << 1;
        /// Drop characters that wait to go to the remote console.
        const FLUSH_OUTBOUND = 1 << 0;
    }
}

bitflags! {
    /// What the BMC reports (Table 15-3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Status: u8 {
        /// The packet that is named was not accepted.
        const NACK = 1 << 6;
        /// Character transfer is unavailable: the machine is off, or its serial port is.
        const TRANSFER_UNAVAILABLE = 1 << 5;
        /// SOL is being deactivated, or has been.
        const DEACTIVATED = 1 << 4;
        /// Characters of the guest were lost.
        const TRANSMIT_OVERRUN = 1 << 3;
        /// The guest sent a break.
        const BREAK_DETECTED = 1 << 2;
    }
}

/// A payload whose operation byte is not yet told from a status byte: that depends on who sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its sequence number, 1 to 15; 0 if it carries nothing but an acknowledgement.
    pub sequence: u8,
    /// The packet that it acknowledges, 1 to 15; 0 if none.
    pub ack: u8,
    /// How many characters of that packet were accepted.
    pub accepted: u8,
    /// Bits of [`Operation`] or [`Status`].
    pub flags: u8,
    /// The characters.
    pub characters: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a payload. Reserved bits are ignored.
    ///
    /// # Errors
    /// [`Malformed`]: no whole header, or more characters than can be acknowledged.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("SOL payload", payload);
        let [sequence, ack, accepted, flags] = reader.array()?;
        let malformed = reader.malformed();
        let characters = reader.rest();
        if characters.len() > CHARACTERS_MAX {
            return Err(malformed);
        }
        Ok(Self { sequence: sequence & 0x0f, ack: ack & 0x0f, accepted, flags, characters })
    }

    /// The flags, of a packet from the remote console.
    pub fn operation(&self) -> Operation {
        Operation::from_bits_truncate(self.flags)
    }

    /// The flags, of a packet from the BMC.
    pub fn status(&self) -> Status {
        Status::from_bits_truncate(self.flags)
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.sequence & 0x0f, self.ack & 0x0f, self.accepted, self.flags]);
        out.extend_from_slice(self.characters);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_payload_with_two_characters() {
        let bytes = [0x03, 0x02, 0x10, 0x12, b'l', b's'];
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet, Packet { sequence: 3, ack: 2, accepted: 16, flags: 0x12, characters: b"ls" });
        assert_eq!(packet.operation(), Operation::BREAK | Operation::FLUSH_INBOUND);
        let mut out = Vec::new();
        packet.emit(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn a_count_that_no_byte_can_acknowledge_is_malformed() {
        assert!(Packet::parse(&[0; HEADER_SIZE + 255]).is_ok());
        assert_eq!(Packet::parse(&[0; HEADER_SIZE + 256]), Err(Malformed("SOL payload")));
        assert_eq!(Packet::parse(&[1, 0, 0]), Err(Malformed("SOL payload")));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                let mut out = Vec::new();
                packet.emit(&mut out);
                prop_assert_eq!(Packet::parse(&out), Ok(packet));
                prop_assert_eq!(out.len(), bytes.len());
            }
        }
    }
}
