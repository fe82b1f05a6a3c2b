//! A connection to a QEMU's monitor that is lost and found again, whoever started the QEMU.
//!
//! ```text
//!   missing ──▶ looked for once a second ──▶ found ──▶ events ──▶ lost
//!      ▲                                                            │
//!      └────────────────────────────────────────────────────────────┘
//! ```
//!
//! It also keeps which boot flags were in force from which line of the stream on: a reset's own line then says
//! which of them the boot has seen that began with it.

use std::{
    collections::VecDeque,
    path::PathBuf,
    time::{Duration, Instant},
};

use bmc::BootGeneration;
use qmp::{Client, EventRecord, Events, Session, commands::QueryStatus, qapi::RunState};
use tokio::time;

/// How long QEMU may take to answer. It is busy for a moment at most, unless it hangs.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// How often a monitor that isn't there is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The monitor of one QEMU after the other that has its socket in this place.
#[derive(Debug)]
pub(crate) struct Monitor {
    socket: PathBuf,
    session: Option<(Client, Events)>,
    /// When to look for it again.
    look_at: Instant,
    /// Resets up to this line belong to the start.
    started_at: u64,
    /// Which boot flags were in force from which line on.
    armed: VecDeque<(u64, BootGeneration)>,
}

/// What is heard of a QEMU.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It says so.
    Event(EventRecord),
    /// The connection has ended.
    Lost,
    /// There is one again.
    Found,
    /// There is none yet.
    Missing(qmp::Error),
}

impl Monitor {
    /// One that is to be looked for.
    pub(crate) fn at(socket: PathBuf) -> Self {
        Self { socket, session: None, look_at: Instant::now(), started_at: 0, armed: VecDeque::new() }
    }

    /// One that is connected already.
    pub(crate) fn connected(socket: PathBuf, session: Session) -> Self {
        Self { session: Some((session.client, session.events)), ..Self::at(socket) }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.session.is_some()
    }

    pub(crate) fn client(&self) -> Option<&Client> {
        self.session.as_ref().map(|(client, _)| client)
    }

    /// Lets the connection go, if there is one.
    pub(crate) fn hang_up(&mut self) {
        self.session = None;
        self.look_at = Instant::now() + LOOK_AGAIN;
    }

    /// Connects, if there is no connection.
    pub(crate) async fn reconnect(&mut self) -> Result<(), qmp::Error> {
        if self.session.is_none() {
            let session = qmp::connect(&self.socket, ANSWER_LIMIT).await?;
            self.session = Some((session.client, session.events));
            // Lines are counted anew: what was armed on the old stream was armed before the new one.
            let last = self.armed.back().map(|(_, generation)| (0, *generation));
            self.armed = last.into_iter().collect();
            self.started_at = 0;
        }
        Ok(())
    }

    /// The next thing that is heard. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Heard {
        if let Some((_, events)) = &mut self.session {
            if let Some(event) = events.next().await {
                return Heard::Event(event);
            }
            self.hang_up();
            return Heard::Lost;
        }
        time::sleep_until(self.look_at.into()).await;
        match self.reconnect().await {
            Ok(()) => Heard::Found,
            Err(error) => {
                self.look_at = Instant::now() + LOOK_AGAIN;
                Heard::Missing(error)
            }
        }
    }

    /// What QEMU says that the machine is doing; none if it does not say.
    pub(crate) async fn state(&self) -> Option<RunState> {
        match self.client()?.call(&QueryStatus, ANSWER_LIMIT).await {
            Ok(status) => Some(status.value.status),
            Err(error) => {
                tracing::debug!("ask whether the machine runs: {}", crate::chain(&error));
                None
            }
        }
    }

    // ---- boots -----------------------------------------------------------------------------------

    /// The guest begins to run on line `seq`, and boots with the flags of `generation`.
    pub(crate) fn begins(&mut self, seq: u64, generation: BootGeneration) {
        self.started_at = seq;
        self.armed = VecDeque::from([(seq, generation)]);
    }

    /// From line `seq` on, the flags of `generation` are in force.
    pub(crate) fn armed(&mut self, seq: u64, generation: BootGeneration) {
        self.armed.push_back((seq, generation));
    }

    /// Another machine has no flags in force.
    pub(crate) fn disarmed(&mut self) {
        self.armed.clear();
    }

    /// Whether a reset on line `seq` was part of the start.
    pub(crate) fn is_of_start(&self, seq: u64) -> bool {
        seq < self.started_at
    }

    /// Which boot flags the boot saw that began with the reset on line `seq`; none if that reset was part of
    /// the start, or no flags are known to have been in force.
    pub(crate) fn boot_of_reset(&mut self, seq: u64) -> Option<BootGeneration> {
        if self.is_of_start(seq) {
            return None;
        }
        while self.armed.get(1).is_some_and(|(from, _)| *from < seq) {
            self.armed.pop_front();
        }
        self.armed.front().map(|(_, generation)| *generation)
    }
}
