//! The RMCP header (IPMI 2.0 §13.1.3; DMTF DSP0136 §3.2).
//!
//! ```text
//!   0     version, 06h
//!   1     reserved
//!   2     sequence number, FFh: no acknowledgement wanted
//!   3     bit 7: this is an acknowledgement; bits 4:0: class of message
//! ```

use super::{Malformed, Reader};

/// Size of the header.
pub const HEADER_SIZE: usize = 4;

const VERSION: u8 = 0x06;
const NO_ACK_WANTED: u8 = 0xff;

/// What follows the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// An ASF message.
    Asf = 0x06,
    /// An IPMI session packet.
    Ipmi = 0x07,
}

impl Class {
    /// The class of the message that a datagram holds. The sequence number is not looked at: IPMI wants
    /// no RMCP acknowledgement, and sends none.
    ///
    /// # Errors
    /// [`Malformed`]: truncated, another version, an acknowledgement, or another class.
    pub fn parse(datagram: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RMCP header", datagram);
        match reader.array()? {
            [VERSION, _, _, 0x06] => Ok(Self::Asf),
            [VERSION, _, _, 0x07] => Ok(Self::Ipmi),
            _ => Err(reader.malformed()),
        }
    }

    /// Appends a header.
    pub fn emit(self, out: &mut Vec<u8>) {
        out.extend([VERSION, 0, NO_ACK_WANTED, self as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        assert_eq!(Class::parse(&[0x06, 0x00, 0xff, 0x07, 0x06]), Ok(Class::Ipmi));
        assert_eq!(Class::parse(&[0x06, 0x00, 0xff, 0x06]), Ok(Class::Asf));
        let mut out = Vec::new();
        Class::Ipmi.emit(&mut out);
        assert_eq!(out, [0x06, 0x00, 0xff, 0x07]);
    }

    #[test]
    fn what_is_not_for_a_bmc() {
        for bytes in [
            &[0x06, 0x00, 0xff, 0x87][..],
            &[0x05, 0x00, 0xff, 0x07],
            &[0x06, 0x00, 0xff, 0x08],
            &[6, 0, 255],
        ] {
            assert_eq!(Class::parse(bytes), Err(Malformed("RMCP header")));
        }
    }
}
