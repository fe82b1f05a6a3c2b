//! RMCP+ Open Session Request and Response (IPMI 2.0 §13.17 and §13.18).
//!
//! ```text
//!          request                                  response
//!   0      message tag                              the same
//!   1      requested maximum privilege, bits 3:0    status
//!   2      reserved                                 maximum privilege, bits 3:0
//!   3      reserved                                 reserved
//!   4-7    the remote console's session id          the same
//!          (a response with an error ends here)
//!   8-11                                            the BMC's session id
//!   then three times, for authentication (00h), integrity (01h) and confidentiality (02h):
//!     +0   which of the three
//!     +1-2 reserved
//!     +3   length of this block, 8; in a request also 0: the BMC is to choose
//!     +4   algorithm, bits 5:0
//!     +5-7 reserved
//! ```

use super::{Malformed, Reader, rakp::Status};

const BLOCK_SIZE: u8 = 8;

/// An algorithm of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithms<T> {
    /// By which the session is opened.
    pub authentication: T,
    /// By which packets are signed.
    pub integrity: T,
    /// By which payloads are encrypted.
    pub confidentiality: T,
}

/// What a remote console proposes; `None` leaves the choice to the BMC.
pub type Proposal = Algorithms<Option<u8>>;

/// RMCP+ Open Session Request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Message tag, which the response repeats.
    pub tag: u8,
    /// The number of a privilege level; 0: the highest that fits.
    pub privilege: u8,
    /// The session id that the remote console wants in packets to itself.
    pub console_session: u32,
    /// The proposed algorithms, or the status to refuse them with.
    pub proposal: Result<Proposal, Status>,
}

/// RMCP+ Open Session Response of a session that can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Message tag of the request.
    pub tag: u8,
    /// The number of the highest privilege level that the session can have.
    pub privilege: u8,
    /// The remote console's session id.
    pub console_session: u32,
    /// The BMC's session id.
    pub managed_session: u32,
    /// What was chosen.
    pub chosen: Algorithms<u8>,
}

impl Request {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`Malformed`]: truncated. What is whole but makes no sense is an `Err` in [`Request::proposal`].
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RMCP+ Open Session Request", payload);
        let [tag, privilege, _, _] = reader.array()?;
        let console_session = reader.u32()?;
        let blocks: [[u8; BLOCK_SIZE as usize]; 3] = [reader.array()?, reader.array()?, reader.array()?];
        let [authentication, integrity, confidentiality] = blocks;
        let proposal = (|| {
            Ok(Algorithms {
                authentication: proposed(0, authentication)?,
                integrity: proposed(1, integrity)?,
                confidentiality: proposed(2, confidentiality)?,
            })
        })();
        Ok(Self { tag, privilege: privilege & 0x0f, console_session, proposal })
    }

    /// Appends the payload. A proposal that is an error is not sent: it leaves all choices open.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, self.privilege & 0x0f, 0, 0]);
        out.extend(self.console_session.to_le_bytes());
        let open = Algorithms { authentication: None, integrity: None, confidentiality: None };
        let proposal = self.proposal.unwrap_or(open);
        for (kind, algorithm) in
            (0..).zip([proposal.authentication, proposal.integrity, proposal.confidentiality])
        {
            let length = if algorithm.is_some() { BLOCK_SIZE } else { 0 };
            out.extend([kind, 0, 0, length, algorithm.unwrap_or(0), 0, 0, 0]);
        }
    }
}

impl Response {
    /// Reads the payload of a response without an error.
    ///
    /// # Errors
    /// [`Malformed`]: truncated.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("RMCP+ Open Session Response", payload);
        let [tag, _, privilege, _] = reader.array()?;
        let console_session = reader.u32()?;
        let managed_session = reader.u32()?;
        let mut algorithm = || reader.array().map(|[_, _, _, _, algorithm, ..]: [u8; 8]| algorithm & 0x3f);
        let chosen = Algorithms {
            authentication: algorithm()?,
            integrity: algorithm()?,
            confidentiality: algorithm()?,
        };
        Ok(Self { tag, privilege: privilege & 0x0f, console_session, managed_session, chosen })
    }

    /// Appends the payload.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.extend([self.tag, Status::OK.0, self.privilege, 0]);
        out.extend(self.console_session.to_le_bytes());
        out.extend(self.managed_session.to_le_bytes());
        let Algorithms { authentication, integrity, confidentiality } = self.chosen;
        for (kind, algorithm) in (0..).zip([authentication, integrity, confidentiality]) {
            out.extend([kind, 0, 0, BLOCK_SIZE, algorithm, 0, 0, 0]);
        }
    }
}

fn proposed(expected: u8, block: [u8; 8]) -> Result<Option<u8>, Status> {
    match block {
        [kind, _, _, BLOCK_SIZE, algorithm, ..] if kind == expected => Ok(Some(algorithm & 0x3f)),
        [kind, _, _, 0, ..] if kind == expected => Ok(None),
        _ => Err(Status::ILLEGAL_PARAMETER),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Suite 17, highest privilege.
    const REQUEST: [u8; 32] = [
        0x05, 0x00, 0x00, 0x00, 0xa4, 0xa3, 0xa2, 0xa0, // tag, privilege, console session
        0x00, 0x00, 0x00, 0x08, 0x03, 0x00, 0x00, 0x00, // RAKP-HMAC-SHA256
        0x01, 0x00, 0x00, 0x08, 0x04, 0x00, 0x00, 0x00, // HMAC-SHA256-128
        0x02, 0x00, 0x00, 0x08, 0x01, 0x00, 0x00, 0x00, // AES-CBC-128
    ];

    #[test]
    fn a_request() {
        let request = Request::parse(&REQUEST).unwrap();
        let proposal = Algorithms { authentication: Some(3), integrity: Some(4), confidentiality: Some(1) };
        assert_eq!(
            request,
            Request { tag: 5, privilege: 0, console_session: 0xa0a2_a3a4, proposal: Ok(proposal) }
        );
        let mut out = Vec::new();
        request.emit(&mut out);
        assert_eq!(out, REQUEST);
        assert_eq!(Request::parse(&REQUEST[..31]), Err(Malformed("RMCP+ Open Session Request")));
    }

    #[test]
    fn a_block_of_length_zero_leaves_the_choice_and_another_kind_or_length_is_illegal() {
        let mut bytes = REQUEST;
        bytes[19] = 0;
        assert_eq!(Request::parse(&bytes).unwrap().proposal.unwrap().integrity, None);
        bytes[19] = 7;
        assert_eq!(Request::parse(&bytes).unwrap().proposal, Err(Status::ILLEGAL_PARAMETER));
        bytes = REQUEST;
        bytes[24] = 1;
        assert_eq!(Request::parse(&bytes).unwrap().proposal, Err(Status::ILLEGAL_PARAMETER));
    }

    #[test]
    fn a_response() {
        let response = Response {
            tag: 5,
            privilege: 4,
            console_session: 0xa0a2_a3a4,
            managed_session: 0x0403_0201,
            chosen: Algorithms { authentication: 3, integrity: 4, confidentiality: 1 },
        };
        let mut out = Vec::new();
        response.emit(&mut out);
        assert_eq!(out[..12], [0x05, 0x00, 0x04, 0x00, 0xa4, 0xa3, 0xa2, 0xa0, 0x01, 0x02, 0x03, 0x04]);
        assert_eq!(out[12..], REQUEST[8..]);
        assert_eq!(Response::parse(&out), Ok(response));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_request_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..48)) {
            if let Ok(request) = Request::parse(&bytes) {
                let mut out = Vec::new();
                request.emit(&mut out);
                if request.proposal.is_ok() {
                    prop_assert_eq!(Request::parse(&out), Ok(request));
                }
            }
            let _ = Response::parse(&bytes);
        }
    }
}
