//! The sessions as commands see them: [`SessionPort`] over the session table, for the time of one command.

use std::time::Instant;

use bmc::{Privilege, SolSettings, UserId, UserVersion};

use super::{
    Route,
    pending::{ChallengeV15, Stage},
    session::{Link, Protection, Session},
    sessions::{Limits, Sessions},
    v15::LinkV15,
};
use crate::{
    CompletionCode,
    command::{SessionFacts, SessionPort, SessionRef, SolActivation, SolRequest},
    sol::{self, Sol},
};

/// No slot for one more session (§22.17).
const NO_SESSION_SLOT: CompletionCode = CompletionCode(0x81);
/// The user has as many sessions as the user may have (§22.17).
const NO_USER_SLOT: CompletionCode = CompletionCode(0x82);
/// Invalid user name (§22.16).
const INVALID_USER_NAME: CompletionCode = CompletionCode(0x81);
/// The initial outbound sequence number is not one (§22.17).
const SEQUENCE_OUT_OF_RANGE: CompletionCode = CompletionCode(0x84);
/// There is no such challenge (§22.17).
const INVALID_SESSION_ID: CompletionCode = CompletionCode(0x85);
/// The requested level exceeds the user's or the channel's limit (§22.17).
const LEVEL_EXCEEDS_LIMIT: CompletionCode = CompletionCode(0x86);

/// Where a command came from.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// Outside a session. If it is Get Session Challenge, whom it names.
    Outside { challenged: Option<(UserId, UserVersion)> },
    /// The answer to a challenge, under its temporary session id.
    Activation { id: u32 },
    /// A session, by its slot.
    Session(usize),
}

/// The view.
pub(super) struct View<'a> {
    pub(super) sessions: &'a mut Sessions,
    pub(super) now: Instant,
    pub(super) route: Route,
    pub(super) origin: Origin,
    pub(super) limits: Limits,
    pub(super) sol_settings: SolSettings,
    pub(super) sol_port: u16,
    /// Set by a command that ends its own session: it ends after the reply.
    pub(super) closing: bool,
    /// Set by Activate Session: the slot of the session that signs the reply.
    pub(super) activated: Option<usize>,
}

impl View<'_> {
    fn own(&self) -> Option<usize> {
        match self.origin {
            Origin::Session(slot) => Some(slot),
            Origin::Outside { .. } | Origin::Activation { .. } => None,
        }
    }

    fn slot(&self, which: SessionRef) -> Option<usize> {
        let active = &self.sessions.active;
        match which {
            SessionRef::Own => self.own(),
            SessionRef::Handle(handle) => {
                let slot = usize::from(handle).checked_sub(1)?;
                active.get(slot).map(|_| slot)
            }
            SessionRef::Id(id) => active.find(id),
            SessionRef::Nth(n) => active.iter().nth(usize::from(n).checked_sub(1)?).map(|(slot, _)| slot),
        }
    }

    fn facts(&self, slot: usize) -> Option<SessionFacts> {
        let session = self.sessions.active.get(slot)?;
        let v20 = matches!(session.link, Link::V20(_));
        Some(SessionFacts {
            handle: u8::try_from(slot + 1).ok()?,
            id: self.sessions.active.id(slot),
            user: session.user,
            // Without access the session is about to end; until then it may do next to nothing.
            privilege: session.level.min(self.limits.of_user(session.user).unwrap_or(Privilege::Callback)),
            max: session.max,
            v20,
            peer: session.route.peer,
            encrypted: v20,
            authenticated: true,
        })
    }
}

impl SessionPort for View<'_> {
    fn current(&self) -> Option<SessionFacts> {
        self.facts(self.own()?)
    }

    fn find(&self, which: SessionRef) -> Option<SessionFacts> {
        self.facts(self.slot(which)?)
    }

    fn capacity(&self) -> u8 {
        u8::try_from(self.sessions.active.capacity()).unwrap_or(u8::MAX)
    }

    fn active(&self) -> u8 {
        u8::try_from(self.sessions.active.len()).unwrap_or(u8::MAX)
    }

    fn set_privilege(&mut self, level: Privilege) {
        if let Some(session) = self.own().and_then(|slot| self.sessions.active.get_mut(slot)) {
            session.level = level;
        }
    }

    fn close(&mut self, which: SessionRef) -> bool {
        let Some(slot) = self.slot(which) else { return false };
        if self.own() == Some(slot) {
            self.closing = true;
        } else {
            self.sessions.end(slot);
        }
        true
    }

    fn sol_owner(&self) -> Option<SessionFacts> {
        self.facts(self.slot(SessionRef::Id(self.sessions.sol.owner()?))?)
    }

    fn sol_port(&self) -> u16 {
        self.sol_port
    }

    fn sol_activate(&mut self, request: SolRequest) -> SolActivation {
        if let Some(slot) = self.own() {
            let protection = Protection { encrypted: request.encrypt, authenticated: request.authenticate };
            let sol = Sol::new(self.now, self.sol_settings, request);
            self.sessions.sol.activate(self.sessions.active.id(slot), protection, sol);
        }
        SolActivation {
            inbound_size: sol::INBOUND_SIZE,
            outbound_size: sol::OUTBOUND_SIZE,
            port: self.sol_port,
        }
    }

    fn sol_deactivate(&mut self, by_other: bool) {
        self.sessions.sol.deactivate(by_other);
    }

    fn challenge_v15(&mut self, _name: &[u8; 16]) -> Result<(u32, [u8; 16]), CompletionCode> {
        let Origin::Outside { challenged: Some((user, version)) } = self.origin else {
            return Err(INVALID_USER_NAME);
        };
        let id = self.sessions.fresh_id();
        let challenge = self.sessions.random.block();
        let stage = Stage::ChallengedV15(ChallengeV15 { user, version, challenge });
        self.sessions.pending.admit(self.now, &mut self.sessions.random, id, self.route, stage);
        Ok((id, challenge))
    }

    fn activate_v15(
        &mut self,
        max: Privilege,
        challenge: &[u8; 16],
        initial_outbound_seq: u32,
    ) -> Result<(u32, u32, Privilege), CompletionCode> {
        let Origin::Activation { id } = self.origin else { return Err(INVALID_SESSION_ID) };
        let pending = self.sessions.pending.find(self.now, id, self.route.peer).ok_or(INVALID_SESSION_ID)?;
        let Stage::ChallengedV15(given) = pending.stage else { return Err(INVALID_SESSION_ID) };
        if given.challenge != *challenge {
            return Err(INVALID_SESSION_ID);
        }
        if initial_outbound_seq == 0 {
            return Err(SEQUENCE_OUT_OF_RANGE);
        }
        if self.limits.of_user(given.user).is_none_or(|limit| max > limit) {
            return Err(LEVEL_EXCEEDS_LIMIT);
        }
        if !self.sessions.has_room_for(given.user, self.limits.sessions_of(given.user)) {
            return Err(NO_USER_SLOT);
        }
        let first_inbound = self.sessions.random.nonzero();
        let link = Link::V15(LinkV15::new(first_inbound, initial_outbound_seq));
        let session = Session::new(self.now, self.route, (given.user, given.version), max, link);
        let session_id = self.sessions.fresh_id();
        let slot = self.sessions.active.insert(session_id, session).map_err(|_| NO_SESSION_SLOT)?;
        self.sessions.pending.remove(id, self.route.peer);
        self.activated = Some(slot);
        Ok((session_id, first_inbound, max))
    }
}
