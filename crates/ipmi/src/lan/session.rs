//! One active session: who, how far it may go, and what its packets are numbered and signed with.

use std::time::{Duration, Instant};

use bmc::{Bmc, Privilege, UserId, UserVersion};

use super::{
    Route,
    handshake::Established,
    retransmission::LastAnswer,
    v15::LinkV15,
    window::{Outbound, Window},
};
use crate::{
    crypto::{Code, SessionKeys, packet},
    wire::session::{Header, PayloadType},
};

/// A session ends after this long without a packet of the remote console (§6.12.15: 60 s ± 3).
pub(super) const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// An active session.
pub(super) struct Session {
    /// Where its packets go: where the last genuine one came from.
    pub(super) route: Route,
    pub(super) user: UserId,
    version: UserVersion,
    /// The highest level that was agreed on.
    pub(super) max: Privilege,
    /// The level that Set Session Privilege Level set. What counts is never more than the user's and
    /// the channel's limit of the moment.
    pub(super) level: Privilege,
    last_heard: Instant,
    pub(super) last_answer: LastAnswer,
    pub(super) link: Link,
}

/// How its packets are wrapped.
#[expect(clippy::large_enum_variant, reason = "a slot of the table has room for either")]
pub(super) enum Link {
    V20(LinkV20),
    V15(LinkV15),
}

/// The state of an RMCP+ session.
pub(super) struct LinkV20 {
    console_session: u32,
    pub(super) keys: SessionKeys,
    signed: Counts,
    unsigned: Counts,
    /// What answers RAKP 3 if it comes again; dropped with the first genuine packet, which proves that
    /// RAKP 4 arrived.
    pub(super) confirmation: Option<Confirmation>,
}

/// Authenticated and unauthenticated packets are counted apart (§6.12.10).
#[derive(Clone, Copy)]
struct Counts {
    inbound: Window,
    outbound: Outbound,
}

impl Counts {
    fn new() -> Self {
        Self { inbound: Window::expecting(1), outbound: Outbound::starting(1) }
    }
}

/// The end of a handshake.
pub(super) struct Confirmation {
    /// The code of RAKP 3.
    pub(super) proof: Code,
    /// The integrity check value of RAKP 4.
    pub(super) check: Code,
}

impl Session {
    /// A session that begins: at USER level, or below if no more was agreed on (§22.18).
    pub(super) fn new(
        now: Instant,
        route: Route,
        (user, version): (UserId, UserVersion),
        max: Privilege,
        link: Link,
    ) -> Self {
        Self {
            route,
            user,
            version,
            max,
            level: max.min(Privilege::User),
            last_heard: now,
            last_answer: LastAnswer::default(),
            link,
        }
    }

    /// When it ends if nothing is heard.
    pub(super) fn expires(&self) -> Instant {
        self.last_heard + IDLE_LIMIT
    }

    /// Whether it may go on: its user is still the one who logged in, and still has access.
    pub(super) fn is_valid(&self, now: Instant, bmc: &Bmc) -> bool {
        let user = bmc.users.user(self.user);
        now < self.expires()
            && user.enabled()
            && user.limit().is_some()
            && bmc.users.version(self.user) == self.version
    }

    /// Whether its user may have SOL at the limits of this moment.
    pub(super) fn may_have_sol(&self, bmc: &Bmc) -> bool {
        let user = bmc.users.user(self.user);
        let limit = user.limit().map(|limit| limit.min(bmc.lan.max_privilege()));
        user.sol_access() && limit.is_some_and(|limit| limit as u8 >= bmc.sol().privilege)
    }

    /// A genuine packet came.
    pub(super) fn heard(&mut self, now: Instant, route: Route) {
        self.last_heard = now;
        self.route = route;
        if let Link::V20(link) = &mut self.link {
            link.confirmation = None;
        }
    }
}

impl LinkV20 {
    pub(super) fn new(established: Established) -> Self {
        Self {
            console_session: established.console_session,
            keys: established.keys,
            signed: Counts::new(),
            unsigned: Counts::new(),
            confirmation: Some(Confirmation { proof: established.proof, check: established.check }),
        }
    }

    pub(super) fn console_session(&self) -> u32 {
        self.console_session
    }

    /// Whether a packet's number is new.
    pub(super) fn admits(&self, header: &Header) -> bool {
        let counts = if header.authenticated { &self.signed } else { &self.unsigned };
        counts.inbound.admits(header.sequence)
    }

    /// Marks the number of a packet that was admitted and is genuine.
    pub(super) fn mark(&mut self, header: &Header) {
        let counts = if header.authenticated { &mut self.signed } else { &mut self.unsigned };
        counts.inbound.mark(header.sequence);
    }

    /// Appends a datagram to the remote console.
    pub(super) fn seal(
        &mut self,
        payload_type: PayloadType,
        protection: Protection,
        iv: [u8; 16],
        out: &mut Vec<u8>,
        payload: impl FnOnce(&mut Vec<u8>),
    ) {
        let counts = if protection.authenticated { &mut self.signed } else { &mut self.unsigned };
        let header = Header {
            payload_type,
            encrypted: protection.encrypted,
            authenticated: protection.authenticated,
            session: self.console_session,
            sequence: counts.outbound.take(),
        };
        packet::seal(&self.keys, &header, iv, out, payload);
    }
}

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protection {
    pub(super) encrypted: bool,
    pub(super) authenticated: bool,
}

impl Protection {
    /// How commands always are.
    pub(super) const FULL: Self = Self { encrypted: true, authenticated: true };

    /// Whether a packet is protected at least so.
    pub(super) fn is_met_by(self, header: &Header) -> bool {
        (header.encrypted || !self.encrypted) && (header.authenticated || !self.authenticated)
    }
}
