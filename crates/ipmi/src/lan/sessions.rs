//! All sessions of the LAN channel, and the end of each: by Close Session, by silence, or because its
//! user is not what it was.

use std::time::Instant;

use bmc::{Bmc, Privilege, UserId};

use super::{pending::Pending, session::Session, slots::Slots, sol::SolChannel};
use crate::crypto::Random;

/// The sessions.
pub(super) struct Sessions {
    pub(super) active: Slots<Session>,
    pub(super) pending: Pending,
    pub(super) sol: SolChannel,
    pub(super) random: Random,
}

impl Sessions {
    pub(super) fn new(slots: usize, seed: [u8; 32]) -> Self {
        let mut random = Random::new(seed);
        Self {
            active: Slots::new(slots),
            pending: Pending::new(&mut random),
            sol: SolChannel::default(),
            random,
        }
    }

    /// An id that no session has, active or half open.
    pub(super) fn fresh_id(&mut self) -> u32 {
        loop {
            let id = self.random.nonzero();
            if self.active.find(id).is_none() && !self.pending.contains(id) {
                return id;
            }
        }
    }

    /// Ends a session, and its SOL.
    pub(super) fn end(&mut self, slot: usize) {
        self.sol.session_ends(self.active.id(slot));
        self.active.remove(slot);
    }

    /// Whether a user can have one more session, of so many at a time; 0 is no limit.
    pub(super) fn has_room_for(&self, user: UserId, limit: u8) -> bool {
        let open = self.active.iter().filter(|(_, session)| session.user == user).count();
        limit == 0 || open < usize::from(limit)
    }

    /// Ends all sessions that may not go on.
    pub(super) fn end_invalid(&mut self, now: Instant, bmc: &Bmc) {
        for slot in 0..self.active.capacity() {
            if self.active.get(slot).is_some_and(|session| !session.is_valid(now, bmc)) {
                self.end(slot);
            }
        }
    }

    /// When the next session, active or half open, ends by itself.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let active = self.active.iter().map(|(_, session)| session.expires()).min();
        [active, self.pending.next_expiry()].into_iter().flatten().min()
    }
}

/// The limits of a moment, for the time of one command: while it runs, the model is its own.
#[derive(Clone, Copy)]
pub(super) struct Limits {
    users: [Option<Privilege>; 16],
    sessions: [u8; 16],
    channel: Privilege,
}

impl Limits {
    pub(super) fn of(bmc: &Bmc) -> Self {
        let (mut users, mut sessions) = ([None; 16], [0; 16]);
        for ((limit, count), id) in users.iter_mut().zip(&mut sessions).zip(UserId::all()) {
            *limit = bmc.users.user(id).limit();
            *count = bmc.users.user(id).access().session_limit;
        }
        Self { users, sessions, channel: bmc.lan.max_privilege() }
    }

    /// The highest level that a session of this user can have now; `None` is no access.
    pub(super) fn of_user(&self, user: UserId) -> Option<Privilege> {
        let limit = self.users.get(usize::from(user.number()) - 1).copied().flatten()?;
        Some(limit.min(self.channel))
    }

    /// How many sessions this user can have at a time; 0 is no limit.
    pub(super) fn sessions_of(&self, user: UserId) -> u8 {
        self.sessions.get(usize::from(user.number()) - 1).copied().unwrap_or_default()
    }
}
