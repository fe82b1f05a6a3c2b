//! The IPMI 1.5 session wrapper (IPMI 2.0 §13.6, Table 13-8, left column).
//!
//! ```text
//!   0      authentication type: 0 none, 2 MD5 …
//!   1-4    session sequence number; 0 outside a session
//!   5-8    session id; 0 outside a session
//!   9-24   authentication code, unless the type is "none"
//!   +0     length of the payload
//!   +1 …   payload, an IPMI message
//!   last   perhaps a legacy pad byte, not counted in the length
//! ```

use super::{Malformed, Reader};

/// Authentication type "none".
pub const NONE: u8 = 0;
/// Authentication type MD5.
pub const MD5: u8 = 2;

const LAYOUT: &str = "IPMI 1.5 packet";

/// A packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Session sequence number; 0 outside a session.
    pub sequence: u32,
    /// Session id; 0 outside a session.
    pub session: u32,
    /// Authentication type and code; absent for type "none".
    pub code: Option<(u8, [u8; 16])>,
    /// The IPMI message.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads what follows the RMCP header.
    ///
    /// # Errors
    /// [`Malformed`]: truncated, or more than a pad byte behind the payload.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(LAYOUT, body);
        let auth_type = reader.u8()?;
        let sequence = reader.u32()?;
        let session = reader.u32()?;
        let code = if auth_type == NONE { None } else { Some((auth_type, reader.array()?)) };
        let length = reader.u8()?;
        let payload = reader.bytes(usize::from(length))?;
        match reader.rest() {
            [] | [_] => Ok(Self { sequence, session, code, payload }),
            _ => Err(Malformed(LAYOUT)),
        }
    }

    /// Appends the packet. A payload of more than 255 bytes is cut: no reply of this program is that long.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let (auth_type, code) = self.code.map_or((NONE, None), |(auth_type, code)| (auth_type, Some(code)));
        out.push(auth_type);
        out.extend(self.sequence.to_le_bytes());
        out.extend(self.session.to_le_bytes());
        out.extend(code.iter().flatten());
        let length = u8::try_from(self.payload.len()).unwrap_or(u8::MAX);
        out.push(length);
        out.extend_from_slice(self.payload.get(..usize::from(length)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_packet_without_and_with_a_code() {
        let bare = [0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0xaa, 0xbb];
        let packet = Packet { sequence: 0, session: 0, code: None, payload: &[0xaa, 0xbb] };
        assert_eq!(Packet::parse(&bare), Ok(packet));

        let mut signed = vec![0x02, 1, 0, 0, 0, 4, 3, 2, 1];
        signed.extend([0xcc; 16]);
        signed.extend([0x01, 0xaa]);
        let packet =
            Packet { sequence: 1, session: 0x0102_0304, code: Some((MD5, [0xcc; 16])), payload: &[0xaa] };
        assert_eq!(Packet::parse(&signed), Ok(packet));
        let mut out = Vec::new();
        packet.emit(&mut out);
        assert_eq!(out, signed);
    }

    #[test]
    fn one_pad_byte_is_no_more_than_a_pad_byte() {
        let bytes = [0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xaa, 0x00, 0x00];
        assert!(Packet::parse(&bytes[..11]).is_ok() && Packet::parse(&bytes[..12]).is_ok());
        assert_eq!(Packet::parse(&bytes), Err(Malformed("IPMI 1.5 packet")));
        assert_eq!(Packet::parse(&bytes[..10]), Err(Malformed("IPMI 1.5 packet")));
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_emitted_again(
            kind in 0u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut body = vec![kind];
            body.extend(bytes);
            if let Ok(packet) = Packet::parse(&body) {
                let mut out = Vec::new();
                packet.emit(&mut out);
                prop_assert_eq!(Packet::parse(&out), Ok(packet));
            }
        }
    }
}
