//! The remote console's side of a session, for tests and for generating load: what ipmitool does
//! between `-I lanplus` and `close`, without retries that hide a fault.
//!
//! * [`Login`] and [`Session`] are state machines without I/O, as the server is: a test joins the two
//!   with no socket between them, and loses, repeats or bends what it likes.
//! * [`Client`] puts them on a UDP socket and waits.

mod login;
mod session;
mod udp;

pub use login::{Credentials, Login, LoginError, Step};
pub use session::{Incoming, Session};
pub use udp::{Client, ClientError};

use crate::{
    CompletionCode,
    wire::{
        Malformed,
        message::{BMC_ADDRESS, REMOTE_CONSOLE, Request, Response},
        rmcp::{self, Class},
        session::{Header, Packet, PayloadType},
    },
};

/// A completion code and the data behind it.
pub type Answer = (CompletionCode, Vec<u8>);

/// Writes a command outside a session, in the RMCP+ wrapper; `out` is cleared first.
pub fn sessionless_request(netfn: u8, command: u8, data: &[u8], out: &mut Vec<u8>) {
    out.clear();
    Class::Ipmi.emit(out);
    Header::sessionless(PayloadType::Ipmi).emit(out, |out| request(0, netfn, command, data).emit(out));
}

/// Reads the response to a command outside a session.
///
/// # Errors
/// [`Malformed`], if it is none.
pub fn sessionless_response(datagram: &[u8]) -> Result<Answer, Malformed> {
    let packet = Packet::parse(ipmi(datagram)?)?;
    let response = Response::parse(packet.payload)?;
    Ok((response.code, response.data.to_vec()))
}

fn request(sequence: u8, netfn: u8, command: u8, data: &[u8]) -> Request<'_> {
    Request {
        responder: BMC_ADDRESS,
        netfn,
        lun: 0,
        requester: REMOTE_CONSOLE,
        requester_lun: 0,
        sequence,
        command,
        data,
    }
}

/// What follows the RMCP header of an IPMI datagram.
fn ipmi(datagram: &[u8]) -> Result<&[u8], Malformed> {
    match Class::parse(datagram)? {
        Class::Ipmi => Ok(datagram.get(rmcp::HEADER_SIZE..).unwrap_or_default()),
        Class::Asf => Err(Malformed("IPMI datagram")),
    }
}
