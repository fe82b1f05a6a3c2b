//! The one SOL instance of the channel: which session has it, how its packets are protected, and what
//! goes between it and the program. What is *in* the packets is [`crate::sol`]'s.

use std::{collections::VecDeque, time::Instant};

use bmc::HostPower;

use super::session::Protection;
use crate::sol::{Sol, SolInput};

/// More sessions than this are not told that they lost SOL while nobody polls.
const FAREWELLS: usize = 8;

/// SOL of this channel.
#[derive(Default)]
pub(super) struct SolChannel {
    active: Option<Activation>,
    /// Sessions that are to be told that they have no SOL any more.
    farewells: VecDeque<(u32, Protection)>,
    input: VecDeque<SolInput>,
    /// How many more characters the program takes.
    room: usize,
    activations: u64,
    received: Vec<SolInput>,
    payload: Vec<u8>,
}

/// SOL while a session has it.
struct Activation {
    session: u32,
    protection: Protection,
    sol: Sol,
}

/// A payload to be sent.
pub(super) struct Outgoing<'a> {
    pub(super) session: u32,
    pub(super) protection: Protection,
    pub(super) payload: &'a [u8],
}

impl SolChannel {
    /// The id of the session that has SOL.
    pub(super) fn owner(&self) -> Option<u32> {
        self.active.as_ref().map(|active| active.session)
    }

    /// Gives SOL to a session. If another has it, that one is told.
    pub(super) fn activate(&mut self, session: u32, protection: Protection, sol: Sol) {
        self.deactivate(self.owner() != Some(session));
        self.active = Some(Activation { session, protection, sol });
        self.activations += 1;
    }

    /// Takes SOL from the session that has it.
    pub(super) fn deactivate(&mut self, tell: bool) {
        if let Some(Activation { session, protection, .. }) = self.active.take()
            && tell
            && self.farewells.len() < FAREWELLS
        {
            self.farewells.push_back((session, protection));
        }
    }

    /// A session is no more.
    pub(super) fn session_ends(&mut self, session: u32) {
        if self.owner() == Some(session) {
            self.active = None;
        }
        self.farewells.retain(|(told, _)| *told != session);
    }

    /// Whether a packet of a session, protected so, may reach SOL.
    pub(super) fn protection_for(&self, session: u32) -> Option<Protection> {
        self.active.as_ref().filter(|active| active.session == session).map(|active| active.protection)
    }

    /// Takes a payload of the session that has SOL.
    pub(super) fn receive(&mut self, now: Instant, host: HostPower, payload: &[u8]) {
        let Some(active) = &mut self.active else { return };
        active.sol.on_packet(now, host, payload, self.room, &mut self.received);
        for input in self.received.drain(..) {
            if let SolInput::Bytes(bytes) = &input {
                self.room = self.room.saturating_sub(bytes.len());
            }
            self.input.push_back(input);
        }
    }

    /// The next payload to be sent: farewells first.
    pub(super) fn poll(&mut self, now: Instant, host: HostPower) -> Option<Outgoing<'_>> {
        self.payload.clear();
        let (session, protection) = match self.farewells.pop_front() {
            Some(farewell) => {
                Sol::emit_deactivated(&mut self.payload);
                farewell
            }
            None => {
                let active = self.active.as_mut()?;
                if !active.sol.poll(now, host, &mut self.payload) {
                    return None;
                }
                (active.session, active.protection)
            }
        };
        Some(Outgoing { session, protection, payload: &self.payload })
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.active.as_ref()?.sol.timeout()
    }

    pub(super) fn feed_room(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.sol.feed_room())
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if let Some(active) = &mut self.active {
            active.sol.feed(bytes);
        }
    }

    pub(super) fn set_room(&mut self, bytes: usize) {
        self.room = bytes;
    }

    pub(super) fn take_input(&mut self) -> Option<SolInput> {
        self.input.pop_front()
    }

    pub(super) fn activations(&self) -> u64 {
        self.activations
    }
}
