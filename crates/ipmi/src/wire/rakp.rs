//! The RAKP messages, by which console and BMC prove to each other that they know the user's password
//! (IPMI 2.0 §13.19 to §13.24).
//!
//! ```text
//!          RAKP 1, to the BMC        RAKP 2                RAKP 3, to the BMC    RAKP 4
//!   0      message tag               the same              message tag           the same
//!   1      reserved                  status                status                status
//!   2-3    reserved                  reserved              reserved              reserved
//!   4-7    the BMC's session id      the console's         the BMC's             the console's
//!                                    (a message with an error ends here)
//!   8-23   the console's random      the BMC's random
//!   24     role                      24-39 the BMC's GUID
//!   25-26  reserved
//!   27     length of the name
//!   28 …   name                      40 … code             8 … code              8 … integrity check value
//! ```

use super::{Malformed, Reader};

/// RMCP+ and RAKP status codes (Table 13-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status(
    /// The byte on the wire.
    pub u8,
);

impl Status {
    /// No errors.
    pub const OK: Self = Self(0x00);
    /// Insufficient resources to create a session.
    pub const INSUFFICIENT_RESOURCES: Self = Self(0x01);
    /// Invalid session id.
    pub const INVALID_SESSION_ID: Self = Self(0x02);
    /// Invalid authentication algorithm.
    pub const INVALID_AUTHENTICATION: Self = Self(0x04);
    /// Invalid integrity algorithm.
    pub const INVALID_INTEGRITY: Self = Self(0x05);
    /// Invalid role.
    pub const INVALID_ROLE: Self = Self(0x09);
    /// Unauthorized role or privilege level requested.
    pub const UNAUTHORIZED_ROLE: Self = Self(0x0a);
    /// Invalid name length.
    pub const INVALID_NAME_LENGTH: Self = Self(0x0c);
    /// Unauthorized name.
    pub const UNAUTHORIZED_NAME: Self = Self(0x0d);
    /// Invalid integrity check value.
    pub const INVALID_INTEGRITY_CHECK: Self = Self(0x0f);
    /// Invalid confidentiality algorithm.
    pub const INVALID_CONFIDENTIALITY: Self = Self(0x10);
    /// No cipher suite match with the proposed algorithms.
    pub const NO_SUITE_MATCH: Self = Self(0x11);
    /// Illegal or unrecognized parameter.
    pub const ILLEGAL_PARAMETER: Self = Self(0x12);
}

/// The role byte of RAKP 1, as it came: it enters every code in whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role(
    /// Bit 4: look the user up by name alone; bits 3:0: requested maximum privilege level.
    pub u8,
);

impl Role {
    /// The number of the privilege level that is asked for.
    pub fn privilege(self) -> u8 {
        self.0 & 0x0f
    }
}

/// RAKP Message 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp1<'a> {
    /// Message tag.
    pub tag: u8,
    /// The BMC's session id.
    pub managed_session: u32,
    /// R_M, the remote console's random number.
    pub console_random: [u8; 16],
    /// Role_M.
    pub role: Role,
    /// UName_M. May be longer than the 16 bytes that a name can have.
    pub name: &'a [u8],
}

/// RAKP Message 2 without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp2<'a> {
    /// Message tag of RAKP 1.
    pub tag: u8,
    /// The remote console's session id.
    pub console_session: u32,
    /// R_C, the BMC's random number.
    pub managed_random: [u8; 16],
    /// GUID_C.
    pub guid: [u8; 16],
    /// Key exchange authentication code.
    pub code: &'a [u8],
}

/// RAKP Message 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp3<'a> {
    /// Message tag.
    pub tag: u8,
    /// With anything but [`Status::OK`] the remote console ends the handshake.
    pub status: Status,
    /// The BMC's session id.
    pub managed_session: u32,
    /// Key exchange authentication code.
    pub code: &'a [u8],
}

/// RAKP Message 4 without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rakp4<'a> {
    /// Message tag of RAKP 3.
    pub tag: u8,
    /// The remote console's session id.
    pub console_session: u32,
    /// Integrity check value.
    pub code: &'a [u8],
}

/// The eight bytes by which an Open Session Response, RAKP 2 and RAKP 4 begin, and to which they are
/// cut when they report an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Message tag of what is answered.
    pub tag: u8,
    /// How it went.
    pub status: Status,
    /// The remote console's session id.
    pub console_session: u32,
}

impl Outcome {
    /// Reads the first eight bytes of a payload.
    ///
    /// # Errors
    /// [`Malformed`]: truncated.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RMCP+ status", payload);
        let [tag, status, _, _] = reader.array()?;
        Ok(Self { tag, status: Status(status), console_session: reader.u32()? })
    }

    /// Appends the eight bytes.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, self.status.0, 0, 0]);
        out.extend(self.console_session.to_le_bytes());
    }
}

impl<'a> Rakp1<'a> {
    /// Reads a payload. What follows the name is ignored: some remote consoles pad it to 16 bytes.
    ///
    /// # Errors
    /// [`Malformed`]: truncated.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RAKP message 1", payload);
        let [tag, _, _, _] = reader.array()?;
        let managed_session = reader.u32()?;
        let console_random = reader.array()?;
        let [role, _, _, length] = reader.array()?;
        let name = reader.bytes(usize::from(length))?;
        Ok(Self { tag, managed_session, console_random, role: Role(role), name })
    }

    /// Appends the payload. A name of more than 255 bytes is cut.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, 0, 0, 0]);
        out.extend(self.managed_session.to_le_bytes());
        out.extend(self.console_random);
        let length = u8::try_from(self.name.len()).unwrap_or(u8::MAX);
        out.extend([self.role.0, 0, 0, length]);
        out.extend_from_slice(self.name.get(..usize::from(length)).unwrap_or_default());
    }
}

impl<'a> Rakp2<'a> {
    /// Reads a payload without an error.
    ///
    /// # Errors
    /// [`Malformed`]: truncated.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RAKP message 2", payload);
        let [tag, _, _, _] = reader.array()?;
        Ok(Self {
            tag,
            console_session: reader.u32()?,
            managed_random: reader.array()?,
            guid: reader.array()?,
            code: reader.rest(),
        })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Outcome { tag: self.tag, status: Status::OK, console_session: self.console_session }.emit(out);
        out.extend(self.managed_random);
        out.extend(self.guid);
        out.extend_from_slice(self.code);
    }
}

impl<'a> Rakp3<'a> {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`Malformed`]: truncated.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RAKP message 3", payload);
        let [tag, status, _, _] = reader.array()?;
        Ok(Self { tag, status: Status(status), managed_session: reader.u32()?, code: reader.rest() })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, self.status.0, 0, 0]);
        out.extend(self.managed_session.to_le_bytes());
        out.extend_from_slice(self.code);
    }
}

impl<'a> Rakp4<'a> {
    /// Reads a payload without an error.
    ///
    /// # Errors
    /// [`Malformed`]: truncated.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RAKP message 4", payload);
        let [tag, _, _, _] = reader.array()?;
        Ok(Self { tag, console_session: reader.u32()?, code: reader.rest() })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        Outcome { tag: self.tag, status: Status::OK, console_session: self.console_session }.emit(out);
        out.extend_from_slice(self.code);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn message_1() {
        let mut bytes = vec![0x07, 0, 0, 0, 0x04, 0x03, 0x02, 0x01];
        bytes.extend([0xaa; 16]);
        bytes.extend([0x14, 0, 0, 5]);
        bytes.extend(b"admin");
        let message = Rakp1 {
            tag: 7,
            managed_session: 0x0102_0304,
            console_random: [0xaa; 16],
            role: Role(0x14),
            name: b"admin",
        };
        assert_eq!(Rakp1::parse(&bytes), Ok(message));
        assert_eq!(message.role.privilege(), 4);
        let mut out = Vec::new();
        message.emit(&mut out);
        assert_eq!(out, bytes);

        assert_eq!(Rakp1::parse(&bytes[..32]), Err(Malformed("RAKP message 1")), "a name cut short");
        bytes.extend([0; 11]);
        assert_eq!(Rakp1::parse(&bytes), Ok(message), "a padded name");
    }

    #[test]
    fn message_2() {
        let message = Rakp2 {
            tag: 7,
            console_session: 0xa0a2_a3a4,
            managed_random: [0xbb; 16],
            guid: [0xcc; 16],
            code: &[0xdd; 20],
        };
        let mut out = Vec::new();
        message.emit(&mut out);
        assert_eq!(out[..8], [7, 0, 0, 0, 0xa4, 0xa3, 0xa2, 0xa0]);
        assert_eq!(out[8..], [&[0xbb; 16][..], &[0xcc; 16], &[0xdd; 20]].concat());
        assert_eq!(Rakp2::parse(&out), Ok(message));
    }

    #[test]
    fn messages_3_and_4() {
        let bytes = [7, 0, 0, 0, 4, 3, 2, 1, 0xee, 0xee];
        let message = Rakp3 { tag: 7, status: Status::OK, managed_session: 0x0102_0304, code: &[0xee, 0xee] };
        assert_eq!(Rakp3::parse(&bytes), Ok(message));
        let mut out = Vec::new();
        message.emit(&mut out);
        assert_eq!(out, bytes);

        let message = Rakp4 { tag: 7, console_session: 0x0102_0304, code: &[0xee, 0xee] };
        assert_eq!(Rakp4::parse(&bytes), Ok(message));
        out.clear();
        message.emit(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn an_error_is_eight_bytes() {
        let outcome = Outcome { tag: 7, status: Status::UNAUTHORIZED_NAME, console_session: 0xa0a2_a3a4 };
        let mut out = Vec::new();
        outcome.emit(&mut out);
        assert_eq!(out, [7, 0x0d, 0, 0, 0xa4, 0xa3, 0xa2, 0xa0]);
        assert_eq!(Outcome::parse(&out), Ok(outcome));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..96)) {
            let mut out = Vec::new();
            if let Ok(message) = Rakp1::parse(&bytes) {
                message.emit(&mut out);
                prop_assert_eq!(Rakp1::parse(&out), Ok(message));
            }
            out.clear();
            if let Ok(message) = Rakp3::parse(&bytes) {
                message.emit(&mut out);
                prop_assert_eq!(Rakp3::parse(&out), Ok(message));
            }
            let _ = (Rakp2::parse(&bytes), Rakp4::parse(&bytes), Outcome::parse(&bytes));
        }
    }
}
