//! RMCP+: the sessions of IPMI 2.0 (§13.28), and how they are opened.

use std::time::Instant;

use bmc::Bmc;

use super::{
    Dropped, Route, Server,
    handshake::{Challenged, Established, Opened, Refusal},
    pending::{LIFETIME, Stage},
    server::addressed,
    session::{IDLE_LIMIT, Link, LinkV20, Protection, Session},
};
use crate::{
    crypto::packet::is_genuine,
    wire::{
        open_session,
        rakp::{Outcome, Rakp1, Rakp3, Rakp4, Status},
        rmcp::Class,
        session::{Header, Packet, PayloadType},
    },
};

impl Server {
    /// Takes what follows the RMCP header.
    pub(super) fn receive_rmcpp(
        &mut self,
        now: Instant,
        route: Route,
        body: &mut [u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let packet = Packet::parse(body)?;
        if packet.header.session != 0 {
            return self.receive_in_session(now, route, body, bmc, out);
        }
        if packet.header.encrypted || packet.header.authenticated {
            return Err(Dropped::NoSuchSession);
        }
        match packet.header.payload_type {
            PayloadType::Ipmi => {
                let request = addressed(packet.payload)?;
                let reply = self.answer_outside(now, route, &request, bmc)?;
                emit(PayloadType::Ipmi, out, |out| request.emit_response(reply.code(), reply.data(), out));
                Ok(())
            }
            PayloadType::OpenSessionRequest => self.open_session(now, route, packet.payload, bmc, out),
            PayloadType::Rakp1 => self.rakp1(now, route, packet.payload, bmc, out),
            PayloadType::Rakp3 => self.rakp3(now, route, packet.payload, bmc, out),
            _ => Err(Dropped::UnexpectedPayload),
        }
    }

    // ---- handshake -------------------------------------------------------------------------------

    fn open_session(
        &mut self,
        now: Instant,
        route: Route,
        payload: &[u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let request = open_session::Request::parse(payload)?;
        let result = self.admit(now, route, &request, bmc);
        emit(PayloadType::OpenSessionResponse, out, |out| match result {
            Ok(opened) => opened.response(request.tag).emit(out),
            Err(status) => {
                Outcome { tag: request.tag, status, console_session: request.console_session }.emit(out);
            }
        });
        Ok(())
    }

    fn admit(
        &mut self,
        now: Instant,
        route: Route,
        request: &open_session::Request,
        bmc: &mut Bmc,
    ) -> Result<Opened, Status> {
        if request.console_session == 0 {
            return Err(Status::INVALID_SESSION_ID);
        }
        if self.throttle.refuses(now, route.peer.ip()) || self.sessions.active.is_full() {
            return Err(Status::INSUFFICIENT_RESOURCES);
        }
        if let Some(opened) = self.sessions.pending.opened_by(now, route.peer, request.console_session)
            && Opened::new(request, opened.managed_session, &bmc.lan).as_ref() == Ok(opened)
        {
            return Ok(*opened);
        }
        let id = self.sessions.fresh_id();
        let opened = Opened::new(request, id, &bmc.lan)?;
        let stage = Stage::Opened(opened);
        self.sessions.pending.admit(now, &mut self.sessions.random, id, route, stage);
        self.wake_by(now + LIFETIME);
        self.note_abandoned(now, bmc);
        Ok(opened)
    }

    fn rakp1(
        &mut self,
        now: Instant,
        route: Route,
        payload: &[u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let message = Rakp1::parse(payload)?;
        let id = message.managed_session;
        let mut console_session = 0;
        let result = match self.sessions.pending.find(now, id, route.peer).map(|entry| &entry.stage) {
            Some(Stage::Opened(opened)) => {
                console_session = opened.console_session;
                let opened = *opened;
                self.challenge(now, route, &opened, &message, bmc)
            }
            Some(Stage::Challenged(challenged)) if challenged.was_led_to_by(&message) => Ok(*challenged),
            Some(_) => return Err(Dropped::HalfOpen),
            None => Err(Status::INVALID_SESSION_ID.into()),
        };
        let mut rakp2 = Ok(());
        emit(PayloadType::Rakp2, out, |out| {
            rakp2 = result.and_then(|challenged| challenged.emit_rakp2(message.tag, bmc, out));
            if let Err(Refusal { status, .. }) = rakp2 {
                Outcome { tag: message.tag, status, console_session }.emit(out);
            }
        });
        if let Err(refusal) = rakp2 {
            self.refuse(now, route, id, message.name, refusal, bmc);
        }
        Ok(())
    }

    fn challenge(
        &mut self,
        now: Instant,
        route: Route,
        opened: &Opened,
        message: &Rakp1<'_>,
        bmc: &Bmc,
    ) -> Result<Challenged, Refusal> {
        if self.throttle.refuses(now, route.peer.ip()) {
            return Err(Status::INSUFFICIENT_RESOURCES.into());
        }
        let challenged = opened.challenge(message, self.sessions.random.block(), bmc)?;
        if let Some(entry) = self.sessions.pending.find(now, opened.managed_session, route.peer) {
            entry.stage = Stage::Challenged(challenged);
        }
        Ok(challenged)
    }

    fn rakp3(
        &mut self,
        now: Instant,
        route: Route,
        payload: &[u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let message = Rakp3::parse(payload)?;
        let id = message.managed_session;
        let challenged = match self.sessions.pending.find(now, id, route.peer).map(|entry| &entry.stage) {
            Some(Stage::Challenged(challenged)) => *challenged,
            Some(_) => return Err(Dropped::HalfOpen),
            None => return self.repeat_rakp4(route, &message, out),
        };
        let console_session = challenged.console_session();
        let name = challenged.name();
        if message.status != Status::OK {
            let refusal =
                Refusal { status: message.status, failed_login: Some("the remote console gave up") };
            self.refuse(now, route, id, name.as_bytes(), refusal, bmc);
            return Err(Dropped::HandshakeEnded);
        }
        let result = if self.throttle.refuses(now, route.peer.ip()) {
            Err(Status::INSUFFICIENT_RESOURCES.into())
        } else {
            challenged.establish(&message, bmc).and_then(|established| {
                let slot = self.activate(now, route, id, established)?;
                Ok((slot, challenged.user))
            })
        };
        match result {
            Ok((slot, user)) => {
                self.login_succeeded(bmc, user, route.peer.ip());
                self.emit_rakp4(slot, message.tag, out);
            }
            Err(refusal) => {
                emit(PayloadType::Rakp4, out, |out| {
                    Outcome { tag: message.tag, status: refusal.status, console_session }.emit(out);
                });
                self.refuse(now, route, id, name.as_bytes(), refusal, bmc);
            }
        }
        Ok(())
    }

    /// Makes a half-open session an active one, under the same id.
    fn activate(
        &mut self,
        now: Instant,
        route: Route,
        id: u32,
        established: Established,
    ) -> Result<usize, Refusal> {
        let (user, max) = ((established.user, established.version), established.max);
        let link = Link::V20(LinkV20::new(established));
        let session = Session::new(now, route, user, max, link);
        let slot = self.sessions.active.insert(id, session).map_err(|_| Status::INSUFFICIENT_RESOURCES)?;
        self.sessions.pending.remove(id, route.peer);
        self.wake_by(now + IDLE_LIMIT);
        Ok(slot)
    }

    fn emit_rakp4(&self, slot: usize, tag: u8, out: &mut Vec<u8>) {
        let Some(Link::V20(link)) = self.sessions.active.get(slot).map(|session| &session.link) else {
            return;
        };
        if let Some(confirmation) = &link.confirmation {
            let code = confirmation.check.as_bytes();
            let message = Rakp4 { tag, console_session: link.console_session(), code };
            emit(PayloadType::Rakp4, out, |out| message.emit(out));
        }
    }

    /// RAKP 3 that comes again, because RAKP 4 was lost, is answered again; any other is refused.
    fn repeat_rakp4(&mut self, route: Route, message: &Rakp3<'_>, out: &mut Vec<u8>) -> Result<(), Dropped> {
        let slot = self.sessions.active.find(message.managed_session).filter(|slot| {
            self.sessions.active.get(*slot).is_some_and(|session| match &session.link {
                Link::V20(LinkV20 { confirmation: Some(confirmation), .. }) => {
                    session.route.peer == route.peer && confirmation.proof.matches(message.code)
                }
                _ => false,
            })
        });
        match slot {
            Some(slot) => self.emit_rakp4(slot, message.tag, out),
            None => emit(PayloadType::Rakp4, out, |out| {
                Outcome { tag: message.tag, status: Status::INVALID_SESSION_ID, console_session: 0 }
                    .emit(out);
            }),
        }
        Ok(())
    }

    /// Ends a handshake.
    fn refuse(&mut self, now: Instant, route: Route, id: u32, name: &[u8], refusal: Refusal, bmc: &mut Bmc) {
        if self.sessions.pending.find(now, id, route.peer).is_some() {
            self.sessions.pending.remove(id, route.peer);
        }
        if let Some(reason) = refusal.failed_login {
            self.login_failed(now, bmc, name, route.peer.ip(), reason);
        }
    }

    // ---- in a session ----------------------------------------------------------------------------

    fn receive_in_session(
        &mut self,
        now: Instant,
        route: Route,
        body: &mut [u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let packet = Packet::parse(body)?;
        let (header, payload_range) = (packet.header, packet.payload_range());
        let slot = match self.sessions.active.find(header.session) {
            Some(slot) => slot,
            None if self.sessions.pending.contains(header.session) => return Err(Dropped::HalfOpen),
            None => return Err(Dropped::NoSuchSession),
        };
        let needed = match header.payload_type {
            PayloadType::Ipmi => Protection::FULL,
            PayloadType::Sol => {
                self.sessions.sol.protection_for(header.session).ok_or(Dropped::UnexpectedPayload)?
            }
            _ => return Err(Dropped::UnexpectedPayload),
        };
        if !needed.is_met_by(&header) {
            return Err(Dropped::Unprotected);
        }
        let session = self.sessions.active.get_mut(slot).ok_or(Dropped::NoSuchSession)?;
        let Link::V20(link) = &mut session.link else { return Err(Dropped::NoSuchSession) };
        if !link.admits(&header) {
            return Err(Dropped::Sequence);
        }
        if header.authenticated {
            if !is_genuine(&link.keys, &packet) {
                return Err(Dropped::BadCode);
            }
        } else if session.route.peer != route.peer {
            return Err(Dropped::Unprotected);
        }
        let payload = body.get_mut(payload_range).unwrap_or_default();
        let payload = if header.encrypted {
            link.keys.decrypt(payload).ok_or(Dropped::Undecipherable)?
        } else {
            payload
        };
        link.mark(&header);
        if !session.is_valid(now, bmc) {
            self.sessions.end(slot);
            return Err(Dropped::SessionEnded);
        }
        if header.authenticated {
            session.heard(now, route);
        }
        match header.payload_type {
            PayloadType::Sol => {
                self.end_sol_without_right(now, bmc);
                self.sessions.sol.receive(now, bmc.host_power(), payload);
            }
            _ => self.command(now, route, slot, payload, bmc, out)?,
        }
        Ok(())
    }

    fn command(
        &mut self,
        now: Instant,
        route: Route,
        slot: usize,
        payload: &[u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let request = addressed(payload)?;
        let answer = self.answer(now, route, slot, &request, bmc);
        let iv = self.sessions.random.block();
        if let Some(Session { link: Link::V20(link), .. }) = self.sessions.active.get_mut(slot) {
            link.seal(PayloadType::Ipmi, Protection::FULL, iv, out, |out| {
                request.emit_response(answer.reply.code(), answer.reply.data(), out);
            });
        }
        self.answered(now, slot, &answer, bmc);
        Ok(())
    }

    /// Writes the next SOL packet, if one is due.
    pub(super) fn send_sol(&mut self, now: Instant, bmc: &Bmc, out: &mut Vec<u8>) -> Option<Route> {
        self.end_sol_without_right(now, bmc);
        let outgoing = self.sessions.sol.poll(now, bmc.host_power())?;
        let slot = self.sessions.active.find(outgoing.session)?;
        let session = self.sessions.active.get_mut(slot)?;
        let Link::V20(link) = &mut session.link else { return None };
        let iv = self.sessions.random.block();
        link.seal(PayloadType::Sol, outgoing.protection, iv, out, |out| {
            out.extend_from_slice(outgoing.payload);
        });
        Some(session.route)
    }

    /// Takes SOL from a session whose user has lost the right to it since.
    fn end_sol_without_right(&mut self, now: Instant, bmc: &Bmc) {
        let Some(slot) = self.sessions.sol.owner().and_then(|id| self.sessions.active.find(id)) else {
            return;
        };
        let Some(session) = self.sessions.active.get(slot) else { return };
        if !session.is_valid(now, bmc) {
            self.sessions.end(slot);
        } else if !session.may_have_sol(bmc) {
            self.sessions.sol.deactivate(true);
        }
    }
}

/// Appends a datagram outside a session.
fn emit(payload_type: PayloadType, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    Class::Ipmi.emit(out);
    Header::sessionless(payload_type).emit(out, payload);
}
