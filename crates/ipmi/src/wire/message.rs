//! The IPMI LAN message (IPMI 2.0 §13.8, Figure 13-4): what a command looks like between session header
//! and session trailer.
//!
//! ```text
//!          request                              response
//!   0      responder's address                  requester's address
//!   1      NetFn, bits 7:2; responder's LUN     NetFn + 1, bits 7:2; requester's LUN
//!   2      checksum of bytes 0 and 1            the same
//!   3      requester's address                  responder's address
//!   4      sequence number, bits 7:2; requester's LUN     ; responder's LUN
//!   5      command                              command
//!   6 …    data                                 completion code, data
//!   last   checksum of bytes 3 and up           the same
//! ```

use super::{Malformed, Reader};
use crate::CompletionCode;

/// Slave address of the BMC.
pub const BMC_ADDRESS: u8 = 0x20;
/// Software id by which remote consoles address themselves.
pub const REMOTE_CONSOLE: u8 = 0x81;

/// Bytes of a message without data.
const OVERHEAD: usize = 7;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Responder's address; [`BMC_ADDRESS`] if the BMC itself is meant.
    pub responder: u8,
    /// Network function, even, 6 bits.
    pub netfn: u8,
    /// Responder's LUN, 2 bits.
    pub lun: u8,
    /// Requester's address.
    pub requester: u8,
    /// Requester's LUN, 2 bits.
    pub requester_lun: u8,
    /// Requester's sequence number, 6 bits.
    pub sequence: u8,
    /// Command number.
    pub command: u8,
    /// What follows the command.
    pub data: &'a [u8],
}

/// A response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// Network function, odd, 6 bits.
    pub netfn: u8,
    /// Sequence number of the request.
    pub sequence: u8,
    /// Command number.
    pub command: u8,
    /// How it went.
    pub code: CompletionCode,
    /// What follows the completion code.
    pub data: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`]: truncated, a wrong checksum, or a response.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let (head, data) = split("IPMI request", message)?;
        let [responder, netfn, _, requester, sequence, command] = head;
        if netfn & 0x04 != 0 {
            return Err(Malformed("IPMI request"));
        }
        Ok(Self {
            responder,
            netfn: netfn >> 2,
            lun: netfn & 0x03,
            requester,
            requester_lun: sequence & 0x03,
            sequence: sequence >> 2,
            command,
            data,
        })
    }

    /// Appends the message.
    pub fn emit(&self, out: &mut Vec<u8>) {
        let head = [self.responder, self.netfn << 2 | self.lun & 0x03];
        out.extend(head);
        out.push(checksum(&head));
        let start = out.len();
        out.extend([self.requester, self.sequence << 2 | self.requester_lun & 0x03, self.command]);
        out.extend_from_slice(self.data);
        out.push(checksum(out.get(start..).unwrap_or_default()));
    }

    /// Appends the response to this request: addresses, LUNs and sequence number are the requester's own.
    pub fn emit_response(&self, code: CompletionCode, data: &[u8], out: &mut Vec<u8>) {
        let head = [self.requester, (self.netfn | 1) << 2 | self.requester_lun];
        out.extend(head);
        out.push(checksum(&head));
        let start = out.len();
        out.extend([self.responder, self.sequence << 2 | self.lun, self.command, code.0]);
        out.extend_from_slice(data);
        out.push(checksum(out.get(start..).unwrap_or_default()));
    }
}

impl<'a> Response<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Malformed`]: truncated, a wrong checksum, or a request.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let (head, data) = split("IPMI response", message)?;
        let [_, netfn, _, _, sequence, command] = head;
        let (code, data) = data.split_first().ok_or(Malformed("IPMI response"))?;
        if netfn & 0x04 == 0 {
            return Err(Malformed("IPMI response"));
        }
        Ok(Self { netfn: netfn >> 2, sequence: sequence >> 2, command, code: CompletionCode(*code), data })
    }
}

/// The six bytes before the data, and the data, if both checksums are right.
fn split<'a>(layout: &'static str, message: &'a [u8]) -> Result<([u8; 6], &'a [u8]), Malformed> {
    let mut reader = Reader::new(layout, message);
    let head: [u8; 6] = reader.array()?;
    let data = reader.bytes(message.len().saturating_sub(OVERHEAD))?;
    let (first, second) = message.split_at_checked(3).ok_or(Malformed(layout))?;
    // A checksum makes the sum of what it covers, itself included, zero.
    if message.len() < OVERHEAD || sum(first) != 0 || sum(second) != 0 {
        return Err(Malformed(layout));
    }
    Ok((head, data))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn checksum(bytes: &[u8]) -> u8 {
    sum(bytes).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Get Channel Authentication Capabilities as ipmitool sends it.
    const REQUEST: [u8; 9] = [0x20, 0x18, 0xc8, 0x81, 0x04, 0x38, 0x0e, 0x04, 0x31];

    #[test]
    fn a_request_and_its_response() {
        let request = Request::parse(&REQUEST).unwrap();
        assert_eq!(
            request,
            Request {
                responder: 0x20,
                netfn: 6,
                lun: 0,
                requester: 0x81,
                requester_lun: 0,
                sequence: 1,
                command: 0x38,
                data: &[0x0e, 0x04],
            }
        );
        let mut out = Vec::new();
        request.emit(&mut out);
        assert_eq!(out, REQUEST);

        out.clear();
        request.emit_response(CompletionCode::OK, &[0x01], &mut out);
        assert_eq!(out, [0x81, 0x1c, 0x63, 0x20, 0x04, 0x38, 0x00, 0x01, 0xa3]);
        let response = Response::parse(&out).unwrap();
        assert_eq!((response.netfn, response.sequence, response.command), (7, 1, 0x38));
        assert_eq!((response.code, response.data), (CompletionCode::OK, &[0x01][..]));
        assert_eq!(Request::parse(&out), Err(Malformed("IPMI request")), "a response is no request");
    }

    #[test]
    fn the_response_goes_to_the_address_and_luns_of_the_request() {
        let request = Request {
            responder: 0x20,
            netfn: 0,
            lun: 2,
            requester: 0x8f,
            requester_lun: 3,
            sequence: 63,
            command: 1,
            data: &[],
        };
        let mut out = Vec::new();
        request.emit_response(CompletionCode::INVALID_FOR_LUN, &[], &mut out);
        assert_eq!(out, [0x8f, 0x07, 0x6a, 0x20, 0xfe, 0x01, 0xc2, 0x1f]);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_malformed() {
        for index in 0..REQUEST.len() {
            for bit in 0..8 {
                let mut bytes = REQUEST;
                bytes[index] ^= 1 << bit;
                assert_eq!(Request::parse(&bytes), Err(Malformed("IPMI request")), "byte {index} bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn requests_survive_the_wire(
            responder: u8, netfn in 0u8..32, lun in 0u8..4, requester: u8, requester_lun in 0u8..4,
            sequence in 0u8..64, command: u8, data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let request = Request {
                responder, netfn: netfn * 2, lun, requester, requester_lun, sequence, command, data: &data,
            };
            let mut out = Vec::new();
            request.emit(&mut out);
            prop_assert_eq!(Request::parse(&out), Ok(request));
        }

        #[test]
        fn any_bytes_give_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(request) = Request::parse(&bytes) {
                let mut out = Vec::new();
                request.emit(&mut out);
                prop_assert_eq!(out, bytes.clone());
            }
            let _ = Response::parse(&bytes);
        }
    }
}
