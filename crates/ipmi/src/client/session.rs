//! An open session, from the remote console's side.

use super::{ipmi, request};
use crate::{
    CompletionCode,
    crypto::{
        Random, SessionKeys,
        packet::{is_genuine, seal},
    },
    wire::{
        Malformed,
        message::Response,
        rmcp,
        session::{Header, Packet, PayloadType},
        sol,
    },
};

/// A session.
pub struct Session {
    managed_session: u32,
    console_session: u32,
    keys: SessionKeys,
    random: Random,
    /// Session sequence numbers of the next packets, authenticated and not.
    signed: u32,
    unsigned: u32,
    /// rqSeq of the last request.
    request: u8,
    message: Vec<u8>,
}

/// What a datagram of the BMC brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The response to a request.
    Response {
        /// rqSeq of the request.
        sequence: u8,
        /// Command number.
        command: u8,
        /// How it went.
        code: CompletionCode,
        /// What follows the completion code.
        data: Vec<u8>,
    },
    /// A SOL payload.
    Sol(Vec<u8>),
}

impl Session {
    pub(super) fn new(managed_session: u32, console_session: u32, keys: SessionKeys, random: Random) -> Self {
        Self {
            managed_session,
            console_session,
            keys,
            random,
            signed: 1,
            unsigned: 1,
            request: 0,
            message: Vec::new(),
        }
    }

    /// The session's id, as the BMC knows it.
    pub fn id(&self) -> u32 {
        self.managed_session
    }

    /// The session sequence number of the next authenticated packet.
    pub fn sequence_mut(&mut self) -> &mut u32 {
        &mut self.signed
    }

    /// Writes a request under a new rqSeq, which it returns. `out` is cleared first, as by all methods here.
    pub fn request(&mut self, netfn: u8, command: u8, data: &[u8], out: &mut Vec<u8>) -> u8 {
        self.request = (self.request + 1) % 64;
        self.message.clear();
        request(self.request, netfn, command, data).emit(&mut self.message);
        self.repeat(out);
        self.request
    }

    /// Writes the last request again, under a new session sequence number.
    pub fn repeat(&mut self, out: &mut Vec<u8>) {
        let message = std::mem::take(&mut self.message);
        self.seal(PayloadType::Ipmi, true, true, &message, out);
        self.message = message;
    }

    /// Writes a SOL packet, encrypted and authenticated.
    pub fn sol(&mut self, packet: &sol::Packet<'_>, out: &mut Vec<u8>) {
        let mut payload = Vec::new();
        packet.emit(&mut payload);
        self.seal(PayloadType::Sol, true, true, &payload, out);
    }

    /// Writes a packet with any payload, which need not make sense.
    pub fn seal(
        &mut self,
        payload_type: PayloadType,
        encrypted: bool,
        authenticated: bool,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) {
        let count = if authenticated { &mut self.signed } else { &mut self.unsigned };
        let header = Header {
            payload_type,
            encrypted,
            authenticated,
            session: self.managed_session,
            sequence: *count,
        };
        *count = count.wrapping_add(1).max(1);
        out.clear();
        seal(&self.keys, &header, self.random.block(), out, |out| out.extend_from_slice(payload));
    }

    /// Reads a datagram of the BMC, decrypting it in place. It has to be of this session, signed, and
    /// encrypted if it is a response.
    ///
    /// # Errors
    /// [`Malformed`], which says what is wrong.
    pub fn receive(&self, datagram: &mut [u8]) -> Result<Incoming, Malformed> {
        let packet = Packet::parse(ipmi(datagram)?)?;
        let (header, range) = (packet.header, packet.payload_range());
        if header.session != self.console_session {
            return Err(Malformed("session id"));
        }
        if header.sequence == 0 {
            return Err(Malformed("session sequence number"));
        }
        if header.authenticated && !is_genuine(&self.keys, &packet) {
            return Err(Malformed("authentication code"));
        }
        let (_, body) = datagram.split_at_mut_checked(rmcp::HEADER_SIZE).ok_or(Malformed("datagram"))?;
        let payload = body.get_mut(range).unwrap_or_default();
        let payload = if header.encrypted {
            self.keys.decrypt(payload).ok_or(Malformed("ciphertext"))?
        } else {
            payload
        };
        match header.payload_type {
            PayloadType::Ipmi if header.encrypted && header.authenticated => {
                let Response { sequence, command, code, data, .. } = Response::parse(payload)?;
                Ok(Incoming::Response { sequence, command, code, data: data.to_vec() })
            }
            PayloadType::Sol => Ok(Incoming::Sol(payload.to_vec())),
            _ => Err(Malformed("payload type")),
        }
    }
}
