//! IPMI 1.5 sessions (IPMI 2.0 §13.25, §22.16, §22.17). They are off unless asked for: MD5 over password
//! and packet is weak by now, and nothing is encrypted. With them on, MD5 is the only authentication
//! type, and every packet of a session carries its code.
//!
//! ```text
//!   Get Session Challenge          Activate Session, signed
//!   ─────────────────────▶ pending ────────────────────────▶ active
//!   (outside a session)            (under the temporary id)
//! ```
//!
//! Outside a session the wrapper is served always: clients ask in it which version the BMC speaks.

use std::time::Instant;

use bmc::{Bmc, Password, PasswordSize, UserId, UserVersion};

use super::{
    Dropped, Route, Server,
    pending::Stage,
    port::Origin,
    server::{ACTIVATE_SESSION, addressed},
    session::{IDLE_LIMIT, Link, Session},
    window::{Outbound, Window},
};
use crate::{
    Reply,
    crypto::md5,
    wire::{
        message,
        rmcp::Class,
        session_v15::{MD5, Packet},
    },
};

/// The state of an IPMI 1.5 session.
pub(super) struct LinkV15 {
    inbound: Window,
    outbound: Outbound,
}

impl LinkV15 {
    pub(super) fn new(first_inbound: u32, first_outbound: u32) -> Self {
        Self { inbound: Window::expecting(first_inbound), outbound: Outbound::starting(first_outbound) }
    }
}

impl Server {
    /// Takes what follows the RMCP header.
    pub(super) fn receive_v15(
        &mut self,
        now: Instant,
        route: Route,
        body: &[u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let packet = Packet::parse(body)?;
        if packet.session == 0 {
            if packet.code.is_some() {
                return Err(Dropped::AuthenticationType);
            }
            let request = addressed(packet.payload)?;
            let reply = self.answer_outside(now, route, &request, bmc)?;
            self.emit_v15(&request, &reply, (0, 0, None), out);
            return Ok(());
        }
        let Some((MD5, code)) = packet.code.filter(|_| bmc.lan.v15) else {
            return Err(Dropped::AuthenticationType);
        };
        match self.sessions.active.find(packet.session) {
            Some(slot) => self.receive_in_session_v15(now, route, slot, &packet, &code, bmc, out),
            None => self.activate_v15(now, route, &packet, &code, bmc, out),
        }
    }

    fn activate_v15(
        &mut self,
        now: Instant,
        route: Route,
        packet: &Packet<'_>,
        code: &[u8; 16],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let id = packet.session;
        let entry = self.sessions.pending.find(now, id, route.peer).ok_or(Dropped::NoSuchSession)?;
        let Stage::ChallengedV15(challenge) = entry.stage else { return Err(Dropped::HalfOpen) };
        if self.throttle.refuses(now, route.peer.ip()) {
            return Err(Dropped::Throttled);
        }
        let user = challenge.user;
        if bmc.users.version(user) != challenge.version {
            return Err(Dropped::SessionEnded);
        }
        if !is_genuine(bmc, user, packet, code) {
            self.sessions.pending.remove(id, route.peer);
            let name = bmc.users.user(user).name().to_owned();
            self.login_failed(now, bmc, name.as_bytes(), route.peer.ip(), "wrong password");
            return Err(Dropped::BadCode);
        }
        let request = addressed(packet.payload)?;
        if (request.netfn, request.command) != ACTIVATE_SESSION {
            return Err(Dropped::HalfOpen);
        }
        let (reply, activated) =
            self.run(now, route, Origin::Activation { id }, &request, bmc, |view| view.activated);
        match activated {
            Some(slot) => {
                self.wake_by(now + IDLE_LIMIT);
                self.login_succeeded(bmc, user, route.peer.ip());
                // The answer still has the temporary id; FreeIPMI would drop another.
                self.emit_in_session_v15((slot, id), &request, &reply, bmc, out);
            }
            None => {
                self.emit_v15(&request, &reply, (id, packet.sequence, password(bmc, user)), out);
            }
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "a datagram, taken apart")]
    fn receive_in_session_v15(
        &mut self,
        now: Instant,
        route: Route,
        slot: usize,
        packet: &Packet<'_>,
        code: &[u8; 16],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let session = self.sessions.active.get_mut(slot).ok_or(Dropped::NoSuchSession)?;
        let Link::V15(link) = &mut session.link else { return Err(Dropped::Unprotected) };
        if !link.inbound.admits(packet.sequence) {
            return Err(Dropped::Sequence);
        }
        if !is_genuine(bmc, session.user, packet, code) {
            return Err(Dropped::BadCode);
        }
        link.inbound.mark(packet.sequence);
        if !session.is_valid(now, bmc) {
            self.sessions.end(slot);
            return Err(Dropped::SessionEnded);
        }
        session.heard(now, route);
        let request = addressed(packet.payload)?;
        let answer = self.answer(now, route, slot, &request, bmc);
        self.emit_in_session_v15((slot, packet.session), &request, &answer.reply, bmc, out);
        if answer.closing {
            self.sessions.end(slot);
        }
        Ok(())
    }

    fn emit_in_session_v15(
        &mut self,
        session: (usize, u32),
        request: &message::Request<'_>,
        reply: &Reply,
        bmc: &Bmc,
        out: &mut Vec<u8>,
    ) {
        let mut message = std::mem::take(&mut self.scratch);
        message.clear();
        request.emit_response(reply.code(), reply.data(), &mut message);
        self.seal_v15(session, &message, bmc, out);
        self.scratch = message;
    }

    /// Appends a datagram with a message of a session, in whose name it is signed.
    pub(super) fn seal_v15(
        &mut self,
        (slot, id): (usize, u32),
        message: &[u8],
        bmc: &Bmc,
        out: &mut Vec<u8>,
    ) {
        if let Some(Session { link: Link::V15(link), user, .. }) = self.sessions.active.get_mut(slot) {
            let (sequence, password) = (link.outbound.take(), password(bmc, *user));
            emit_v15(message, (id, sequence, password), out);
        }
    }

    /// Appends a reply under a session id and sequence number, signed if there is a password.
    fn emit_v15(
        &mut self,
        request: &message::Request<'_>,
        reply: &Reply,
        wrapper: (u32, u32, Option<&Password>),
        out: &mut Vec<u8>,
    ) {
        self.scratch.clear();
        request.emit_response(reply.code(), reply.data(), &mut self.scratch);
        emit_v15(&self.scratch, wrapper, out);
    }
}

/// Appends a message under a session id and sequence number, signed if there is a password.
fn emit_v15(message: &[u8], (session, sequence, password): (u32, u32, Option<&Password>), out: &mut Vec<u8>) {
    let code = password.map(|password| (MD5, md5::code(password, session, sequence, message)));
    Class::Ipmi.emit(out);
    Packet { sequence, session, code, payload: message }.emit(out);
}

/// The user whom a Get Session Challenge names, if that user may log in so: a password of 20 bytes
/// can't be used (§22.30).
pub(super) fn challenged_user(data: &[u8], bmc: &Bmc) -> Option<(UserId, UserVersion)> {
    let (_type, name) = data.split_first()?;
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    let user = bmc.users.find_enabled(name.get(..end)?)?;
    bmc.users.user(user).limit()?;
    password(bmc, user).map(|_| (user, bmc.users.version(user)))
}

fn password(bmc: &Bmc, user: UserId) -> Option<&Password> {
    bmc.users.user(user).password().filter(|password| password.size() == PasswordSize::Sixteen)
}

fn is_genuine(bmc: &Bmc, user: UserId, packet: &Packet<'_>, code: &[u8; 16]) -> bool {
    password(bmc, user).is_some_and(|password| {
        md5::matches(&md5::code(password, packet.session, packet.sequence, packet.payload), code)
    })
}

#[cfg(test)]
mod tests;
