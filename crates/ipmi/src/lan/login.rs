//! The handshake as the server serves it: [`handshake`](super::handshake) says what a message leads to,
//! here it is found by its id, answered, counted and recorded.
//!
//! A message that comes again because its answer was lost gets the same answer again, at every step:
//! on a bad network the console's own repetition is all that it takes to log in.

use std::time::Instant;

use bmc::Bmc;

use super::{
    Dropped, Route, Server,
    handshake::{Challenged, Established, Opened, Refusal},
    pending::{LIFETIME, Stage},
    rmcpp::emit_sessionless,
    session::{IDLE_LIMIT, Link, LinkV20, Session},
};
use crate::wire::{
    open_session,
    rakp::{Outcome, Rakp1, Rakp3, Rakp4, Status},
    session::PayloadType,
};

impl Server {
    /// Answers RMCP+ Open Session Request.
    pub(super) fn open_session(
        &mut self,
        now: Instant,
        route: Route,
        payload: &[u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let request = open_session::Request::parse(payload)?;
        let result = self.admit(now, route, &request, bmc);
        emit_sessionless(PayloadType::OpenSessionResponse, out, |out| match result {
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
        if !bmc.lan.access.volatile.admits(bmc.host_power()) {
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

    /// Answers RAKP Message 1.
    pub(super) fn rakp1(
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
        emit_sessionless(PayloadType::Rakp2, out, |out| {
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

    /// Answers RAKP Message 3.
    pub(super) fn rakp3(
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
                let limit = bmc.users.user(challenged.user).access().session_limit;
                if !self.sessions.has_room_for(challenged.user, limit) {
                    return Err(Status::INSUFFICIENT_RESOURCES.into());
                }
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
                emit_sessionless(PayloadType::Rakp4, out, |out| {
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
            emit_sessionless(PayloadType::Rakp4, out, |out| message.emit(out));
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
            None => emit_sessionless(PayloadType::Rakp4, out, |out| {
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
}
