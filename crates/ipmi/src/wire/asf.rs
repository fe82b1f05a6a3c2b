//! ASF presence ping and pong (IPMI 2.0 §13.2.3 and §13.2.4), by which clients find BMCs.
//!
//! ```text
//!   0-3   enterprise number of ASF, 4542, most significant byte first
//!   4     type: 80h ping, 40h pong
//!   5     message tag, of the ping and of its pong
//!   6     reserved
//!   7     length of the data: 0 in a ping, 16 in a pong:
//!     8-11  enterprise number of the OEM, or again 4542
//!     12-15 OEM data
//!     16    supported entities: bit 7 IPMI, bits 3:0 ASF version 1
//!     17    supported interactions
//!     18-23 reserved
//! ```

use super::{Malformed, Reader};

const ENTERPRISE: [u8; 4] = 4542_u32.to_be_bytes();
const PING: u8 = 0x80;
const PONG: u8 = 0x40;
const IPMI_AND_ASF_1: u8 = 0x81;

/// A presence ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Message tag, which the pong repeats.
    pub tag: u8,
}

impl Ping {
    /// Reads an ASF message.
    ///
    /// # Errors
    /// [`Malformed`]: truncated, or not a ping.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("ASF presence ping", message);
        let enterprise: [u8; 4] = reader.array()?;
        let [kind, tag, _, _] = reader.array()?;
        if (enterprise, kind) != (ENTERPRISE, PING) {
            return Err(reader.malformed());
        }
        Ok(Self { tag })
    }

    /// Appends the ping.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend(ENTERPRISE);
        out.extend([PING, self.tag, 0, 0]);
    }

    /// Appends the pong that answers it.
    pub fn emit_pong(&self, out: &mut Vec<u8>) {
        out.extend(ENTERPRISE);
        out.extend([PONG, self.tag, 0, 16]);
        out.extend(ENTERPRISE);
        out.extend([0; 4]);
        out.extend([IPMI_AND_ASF_1, 0]);
        out.extend([0; 6]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ping_and_its_pong() {
        let bytes = [0x00, 0x00, 0x11, 0xbe, 0x80, 0x2a, 0x00, 0x00];
        let ping = Ping::parse(&bytes).unwrap();
        assert_eq!(ping, Ping { tag: 0x2a });
        let mut out = Vec::new();
        ping.emit(&mut out);
        assert_eq!(out, bytes);
        out.clear();
        ping.emit_pong(&mut out);
        assert_eq!(
            out,
            [
                0x00, 0x00, 0x11, 0xbe, 0x40, 0x2a, 0x00, 0x10, // header
                0x00, 0x00, 0x11, 0xbe, 0x00, 0x00, 0x00, 0x00, // OEM
                0x81, 0x00, 0, 0, 0, 0, 0, 0,
            ]
        );
        assert_eq!(Ping::parse(&out), Err(Malformed("ASF presence ping")), "a pong is no ping");
    }
}
