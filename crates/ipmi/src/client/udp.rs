//! A session on a UDP socket.

#![allow(clippy::disallowed_methods, reason = "this one file of the crate has a socket")]

use std::{
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use super::{Answer, Credentials, Incoming, Login, LoginError, Session, Step};

/// How long an answer is waited for before the request is sent again.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How often a request is sent before the BMC counts as silent.
const TRIES: u32 = 4;
/// No answer of IPMI is larger.
const DATAGRAM_MAX: usize = 1024;

const APP: u8 = 0x06;
const SET_SESSION_PRIVILEGE_LEVEL: u8 = 0x3b;
const CLOSE_SESSION: u8 = 0x3c;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket failed.
    #[error("exchange datagrams with the BMC")]
    Socket(#[from] io::Error),
    /// The login failed.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// No answer came.
    #[error("wait for the BMC's answer: none came in {:?}", TRIES * TIMEOUT)]
    Silent,
    /// The level that was asked for at the login was refused afterwards.
    #[error("set session privilege level: completion code {0:#04x}")]
    Privilege(u8),
}

/// A client that waits for every answer.
pub struct Client {
    socket: UdpSocket,
    session: Box<Session>,
    /// What is sent, and what came.
    out: Vec<u8>,
    datagram: Vec<u8>,
}

impl Client {
    /// Logs in, and raises the session to the level that the credentials name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn login(bmc: SocketAddr, credentials: Credentials, seed: [u8; 32]) -> Result<Self, ClientError> {
        let any: SocketAddr = if bmc.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(bmc)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let level = credentials.privilege as u8;
        let (mut out, mut datagram) = (Vec::new(), vec![0; DATAGRAM_MAX]);
        let mut login = Login::begin(credentials, seed, &mut out)?;
        let session = loop {
            let answer = exchange(&socket, &out, &mut datagram)?;
            match login.receive(answer, &mut out)? {
                Step::Done(session) => break session,
                Step::Send | Step::Wait => {}
            }
        };
        let mut client = Self { socket, session, out, datagram };
        match client.command(APP, SET_SESSION_PRIVILEGE_LEVEL, &[level])? {
            (crate::CompletionCode::OK, _) => Ok(client),
            (code, _) => Err(ClientError::Privilege(code.0)),
        }
    }

    /// Runs a command. SOL packets that come meanwhile are lost.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn command(&mut self, netfn: u8, command: u8, data: &[u8]) -> Result<Answer, ClientError> {
        let wanted = self.session.request(netfn, command, data, &mut self.out);
        for _ in 0..TRIES {
            self.socket.send(&self.out)?;
            while let Some(size) = receive(&self.socket, &mut self.datagram)? {
                let datagram = self.datagram.get_mut(..size).unwrap_or_default();
                if let Ok(Incoming::Response { sequence, code, data, .. }) = self.session.receive(datagram)
                    && sequence == wanted
                {
                    return Ok((code, data));
                }
            }
            self.session.repeat(&mut self.out);
        }
        Err(ClientError::Silent)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn close(mut self) -> Result<(), ClientError> {
        let id = self.session.id().to_le_bytes();
        self.command(APP, CLOSE_SESSION, &id).map(|_| ())
    }

    /// The session and its socket, for who wants to do more than wait: SOL, or many requests at a time.
    pub fn into_parts(self) -> (Box<Session>, UdpSocket) {
        (self.session, self.socket)
    }
}

/// Sends until something comes back.
fn exchange<'a>(socket: &UdpSocket, out: &[u8], datagram: &'a mut [u8]) -> Result<&'a [u8], ClientError> {
    for _ in 0..TRIES {
        socket.send(out)?;
        if let Some(size) = receive(socket, datagram)? {
            return Ok(datagram.get(..size).unwrap_or_default());
        }
    }
    Err(ClientError::Silent)
}

/// The size of the next datagram, or `None` if none comes in time.
fn receive(socket: &UdpSocket, datagram: &mut [u8]) -> io::Result<Option<usize>> {
    match socket.recv(datagram) {
        Ok(size) => Ok(Some(size)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}
