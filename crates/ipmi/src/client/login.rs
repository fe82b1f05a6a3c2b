//! The handshake, from the remote console's side (IPMI 2.0 §13.15).
//!
//! ```text
//!   begin ─▶ Open Session Request
//!            Open Session Response ─▶ RAKP 1
//!                                     RAKP 2 ─▶ RAKP 3
//!                                               RAKP 4 ─▶ Session
//! ```

use bmc::{KgKey, Password, Privilege, Secret};

use super::{Session, ipmi};
use crate::{
    crypto::{
        Code, Random, SessionKeys, Suite,
        rakp::{Exchange, UserName},
    },
    wire::{
        Malformed,
        open_session::{Algorithms, Request, Response},
        rakp::{Outcome, Rakp1, Rakp2, Rakp3, Rakp4, Role, Status},
        rmcp::Class,
        session::{Header, Packet, PayloadType},
    },
};

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// K_G, where the BMC has one.
    pub kg: Option<KgKey>,
    /// Cipher suite: 3 or 17.
    pub suite: u8,
    /// The level that is asked for.
    pub privilege: Privilege,
    /// Whether the user is looked up by name alone, not by name and privilege.
    pub name_only: bool,
}

impl Credentials {
    /// Suite 17, Administrator, by name alone.
    pub fn new(user: &str, password: Password) -> Self {
        Self {
            user: user.to_owned(),
            password,
            kg: None,
            suite: 17,
            privilege: Privilege::Administrator,
            name_only: true,
        }
    }
}

/// Why a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// These credentials can't be used: a suite that is neither 3 nor 17, or a name of more than 16 bytes.
    #[error("use credentials: no such suite, or the name is too long")]
    Unusable,
    /// The BMC's fault.
    #[error("read answer to login")]
    Malformed(#[from] Malformed),
    /// The BMC refused.
    #[error("log in: refused with status {:#04x}", .0.0)]
    Refused(Status),
    /// The BMC's code is wrong: it has another password for the user.
    #[error("log in: the password is not the BMC's")]
    WrongPassword,
}

/// What to do after a datagram.
pub enum Step {
    /// Send the datagram that was written.
    Send,
    /// Nothing: it was not the one that is waited for.
    Wait,
    /// The session is open.
    Done(Box<Session>),
}

/// A handshake.
pub struct Login {
    credentials: Credentials,
    random: Random,
    tag: u8,
    console_session: u32,
    state: State,
}

enum State {
    Opening,
    /// RAKP 1 was sent, in which these random numbers stand.
    Asking(Exchange),
    /// RAKP 3 was sent.
    Proving {
        exchange: Exchange,
        check: Code,
        keys: Option<Box<SessionKeys>>,
    },
}

impl Login {
    /// Begins: writes an Open Session Request. `seed` has to be random where the session matters.
    ///
    /// # Errors
    /// [`LoginError::Unusable`].
    pub fn begin(credentials: Credentials, seed: [u8; 32], out: &mut Vec<u8>) -> Result<Self, LoginError> {
        let suite = Suite::from_id(credentials.suite).ok_or(LoginError::Unusable)?;
        UserName::new(credentials.user.as_bytes()).ok_or(LoginError::Unusable)?;
        let mut random = Random::new(seed);
        let console_session = random.nonzero();
        let Algorithms { authentication, integrity, confidentiality } = suite.algorithms();
        let request = Request {
            tag: 0,
            privilege: credentials.privilege as u8,
            console_session,
            proposal: Ok(Algorithms {
                authentication: Some(authentication),
                integrity: Some(integrity),
                confidentiality: Some(confidentiality),
            }),
        };
        emit(PayloadType::OpenSessionRequest, out, |out| request.emit(out));
        Ok(Self { credentials, random, tag: 0, console_session, state: State::Opening })
    }

    /// Takes a datagram of the BMC, and writes the next one to it.
    ///
    /// # Errors
    /// [`LoginError`]: the login has failed.
    pub fn receive(&mut self, datagram: &[u8], out: &mut Vec<u8>) -> Result<Step, LoginError> {
        let packet = Packet::parse(ipmi(datagram)?)?;
        let awaited = match self.state {
            State::Opening => PayloadType::OpenSessionResponse,
            State::Asking(_) => PayloadType::Rakp2,
            State::Proving { .. } => PayloadType::Rakp4,
        };
        if packet.header.payload_type != awaited {
            return Ok(Step::Wait);
        }
        let outcome = Outcome::parse(packet.payload)?;
        if outcome.tag != self.tag {
            return Ok(Step::Wait);
        }
        if outcome.status != Status::OK {
            return Err(LoginError::Refused(outcome.status));
        }
        if outcome.console_session != self.console_session {
            return Err(Malformed("session id of a login").into());
        }
        self.tag += 1;
        match &mut self.state {
            State::Opening => {
                let response = Response::parse(packet.payload)?;
                self.ask(&response, out)
            }
            State::Asking(exchange) => {
                let exchange = *exchange;
                self.prove(exchange, &Rakp2::parse(packet.payload)?, out)
            }
            State::Proving { exchange, check, keys } => {
                if !check.matches(Rakp4::parse(packet.payload)?.code) {
                    return Err(LoginError::WrongPassword);
                }
                let keys = keys.take().ok_or(Malformed("second RAKP message 4"))?;
                let id = exchange.managed_session;
                Ok(Step::Done(Box::new(Session::new(id, self.console_session, *keys, self.random.clone()))))
            }
        }
    }

    fn ask(&mut self, response: &Response, out: &mut Vec<u8>) -> Result<Step, LoginError> {
        let suite = Suite::from_id(self.credentials.suite).ok_or(LoginError::Unusable)?;
        if response.chosen != suite.algorithms() {
            return Err(Malformed("choice of algorithms").into());
        }
        let look_up = if self.credentials.name_only { 0x10 } else { 0 };
        let exchange = Exchange {
            suite,
            console_session: self.console_session,
            managed_session: response.managed_session,
            console_random: self.random.block(),
            managed_random: [0; 16],
            guid: [0; 16],
            role: Role(look_up | self.credentials.privilege as u8),
            name: UserName::new(self.credentials.user.as_bytes()).ok_or(LoginError::Unusable)?,
        };
        let message = Rakp1 {
            tag: self.tag,
            managed_session: exchange.managed_session,
            console_random: exchange.console_random,
            role: exchange.role,
            name: exchange.name.as_bytes(),
        };
        emit(PayloadType::Rakp1, out, |out| message.emit(out));
        self.state = State::Asking(exchange);
        Ok(Step::Send)
    }

    fn prove(
        &mut self,
        exchange: Exchange,
        message: &Rakp2<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Step, LoginError> {
        let exchange = Exchange { managed_random: message.managed_random, guid: message.guid, ..exchange };
        let user_key = self.credentials.password.key();
        if !exchange.rakp2_code(user_key).matches(message.code) {
            return Err(LoginError::WrongPassword);
        }
        let proof = exchange.rakp3_code(user_key);
        let managed_session = exchange.managed_session;
        let reply = Rakp3 { tag: self.tag, status: Status::OK, managed_session, code: proof.as_bytes() };
        emit(PayloadType::Rakp3, out, |out| reply.emit(out));
        let key = self.credentials.kg.as_ref().map_or(user_key, Secret::expose);
        let (check, keys) = exchange.establish(key);
        self.state = State::Proving { exchange, check, keys: Some(Box::new(keys)) };
        Ok(Step::Send)
    }
}

fn emit(payload_type: PayloadType, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    out.clear();
    Class::Ipmi.emit(out);
    Header::sessionless(payload_type).emit(out, payload);
}
