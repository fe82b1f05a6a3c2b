//! RMCP+: the packets of IPMI 2.0 sessions (§13.28), and the few that come outside one.

use std::time::Instant;

use bmc::Bmc;

use super::{
    Dropped, Route, Server,
    server::addressed,
    session::{Link, Protection, Session},
};
use crate::{
    crypto::packet::is_genuine,
    wire::{
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
                emit_sessionless(PayloadType::Ipmi, out, |out| {
                    request.emit_response(reply.code(), reply.data(), out);
                });
                Ok(())
            }
            PayloadType::OpenSessionRequest => self.open_session(now, route, packet.payload, bmc, out),
            PayloadType::Rakp1 => self.rakp1(now, route, packet.payload, bmc, out),
            PayloadType::Rakp3 => self.rakp3(now, route, packet.payload, bmc, out),
            _ => Err(Dropped::UnexpectedPayload),
        }
    }

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
        if answer.closing {
            self.sessions.end(slot);
        }
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
pub(super) fn emit_sessionless(
    payload_type: PayloadType,
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    Class::Ipmi.emit(out);
    Header::sessionless(payload_type).emit(out, payload);
}
