//! Requests to the kernel about its network (rtnetlink(7)): each is answered before the call returns.
//!
//! Requests are made of `netlink-packet-route`'s types. Answers stay bytes, of which [`attributes`] takes out what
//! matters: a kernel that says more than that crate knows must not keep a machine from its network.

use std::{fmt, io, sync::Mutex};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;

// linux/netlink.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
const HEADER_SIZE: usize = 16;

/// A connection to the kernel, and to the network namespace in which it was made.
pub(crate) struct Netlink(Mutex<Connection>);

struct Connection {
    socket: Socket,
    sequence: u32,
}

/// The kernel's "no".
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) errno: Errno,
    /// What the kernel adds to it, in words.
    pub(crate) words: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = io::Error::from(self.errno);
        match &self.words {
            Some(words) => write!(f, "{} ({error})", words.trim_end_matches('.')),
            None => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self { errno, words: None }
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match Errno::from_io_error(&error) {
            Some(errno) => errno.into(),
            None => Self { errno: Errno::IO, words: Some(error.to_string()) },
        }
    }
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Both are of kernels since 4.12, and only make errors clearer.
        let _ = socket.set_ext_ack(true).and_then(|()| socket.set_cap_ack(true));
        Ok(Self(Mutex::new(Connection { socket, sequence: 0 })))
    }

    /// Has something changed. The flags say what is to happen if it is there already.
    pub(crate) fn change(&self, request: RouteNetlinkMessage, flags: u16) -> Result<(), Refusal> {
        self.transact(encode(request, flags | NLM_F_ACK)).map(drop)
    }

    /// Has something changed by a message whose body is that of an answer.
    pub(crate) fn replay(&self, kind: u16, body: &[u8], flags: u16) -> Result<(), Refusal> {
        let mut message = vec![0; HEADER_SIZE];
        message.extend(body);
        let mut buffer = NetlinkBuffer::new(&mut message);
        buffer.set_length(u32::try_from(HEADER_SIZE + body.len()).unwrap_or(u32::MAX));
        buffer.set_message_type(kind);
        buffer.set_flags(NLM_F_REQUEST | NLM_F_ACK | flags);
        self.transact(message).map(drop)
    }

    /// The one thing that is asked for: its message's body.
    pub(crate) fn get(&self, request: RouteNetlinkMessage) -> Result<Vec<u8>, Refusal> {
        let found = self.transact(encode(request, NLM_F_ACK))?;
        found.into_iter().next().ok_or_else(|| Errno::BADMSG.into())
    }

    /// All things of a kind: their messages' bodies.
    pub(crate) fn list(&self, request: &RouteNetlinkMessage) -> Result<Vec<Vec<u8>>, Refusal> {
        loop {
            match self.transact(encode(request.clone(), NLM_F_DUMP)) {
                // It changed under the kernel's hands.
                Err(Refusal { errno: Errno::INTR, .. }) => {}
                outcome => return outcome,
            }
        }
    }

    fn transact(&self, mut request: Vec<u8>) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut connection = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connection.sequence = connection.sequence.wrapping_add(1);
        let sequence = connection.sequence;
        NetlinkBuffer::new(&mut request).set_sequence_number(sequence);
        connection.socket.send(&request, 0)?;
        let mut answers = Answers::default();
        loop {
            let (datagram, _) = connection.socket.recv_from_full()?;
            if answers.read(&datagram, sequence)? {
                return Ok(answers.found);
            }
        }
    }
}

fn encode(request: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[derive(Default)]
struct Answers {
    found: Vec<Vec<u8>>,
    is_interrupted: bool,
}

impl Answers {
    /// Takes a datagram of the kernel's, and says whether it was the last for this request.
    fn read(&mut self, mut datagram: &[u8], sequence: u32) -> Result<bool, Refusal> {
        while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
            let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
            let body = datagram.get(HEADER_SIZE..length).unwrap_or_default();
            let (kind, flags) = (message.message_type(), message.flags());
            if message.sequence_number() == sequence {
                self.is_interrupted |= flags & NLM_F_DUMP_INTR != 0;
                match kind {
                    NLMSG_ERROR | NLMSG_DONE => return self.end(kind, flags, body),
                    _ => self.found.push(body.to_vec()),
                }
            }
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }

    /// An acknowledgement is an error of number 0; the end of a list may be one too.
    fn end(&self, kind: u16, flags: u16, body: &[u8]) -> Result<bool, Refusal> {
        let number = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
        if number != 0 {
            let words = (kind == NLMSG_ERROR && flags & NLM_F_ACK_TLVS != 0).then(|| words(body)).flatten();
            return Err(Refusal { errno: Errno::from_raw_os_error(number.saturating_neg()), words });
        }
        if self.is_interrupted { Err(Errno::INTR.into()) } else { Ok(true) }
    }
}

/// What the kernel says about a request, after the number and the request's header.
fn words(error: &[u8]) -> Option<String> {
    let (_, text) = attributes(error, 4 + HEADER_SIZE).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG)?;
    Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
}

/// The attributes after a message's own header of so many bytes, or, with none, those inside another.
pub(crate) fn attributes(body: &[u8], header: usize) -> impl Iterator<Item = (u16, &[u8])> {
    const KIND: u16 = 0x3FFF;

    let mut rest = body.get(header..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&[length_0, length_1, kind_0, kind_1], _) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_ne_bytes([length_0, length_1]));
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([kind_0, kind_1]) & KIND, value))
    })
}

/// A number of 32 bits in the host's order.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_ne_bytes)
}
