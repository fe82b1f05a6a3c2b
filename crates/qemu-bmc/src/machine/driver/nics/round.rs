//! How long a look at the NICs may talk to QEMU, and when it is tried again.
//!
//! A QEMU that is stopped, or busy, answers nothing, and the driver carries nothing else out meanwhile: not even a
//! power off. So a round of questions has one time limit for all of them, the first one without an answer is its
//! last, and what was left is doubtful until the next round.

use std::time::Duration;

use qmp::{Client, Command, Error, Reply};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{super::super::connection::ANSWER_LIMIT, Nics};
use crate::chain;

/// How soon QEMU is asked again.
pub(super) const AGAIN: Duration = Duration::from_secs(3);

/// Commands that have one time limit together.
pub(super) struct Round<'a> {
    pub(super) client: &'a Client,
    end: Instant,
}

impl<'a> Round<'a> {
    pub(super) fn new(client: &'a Client) -> Self {
        Self { client, end: Instant::now() + ANSWER_LIMIT }
    }

    pub(super) async fn call<C: Command>(&self, command: &C) -> Result<Reply<C::Answer>, Error> {
        self.client.call(command, self.left()).await
    }

    /// How much time there is left.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }
}

/// Whether it is not known what QEMU has made of a command, or will.
pub(super) fn is_silence(error: &Error) -> bool {
    matches!(error, Error::Timeout { .. } | Error::Disconnected { .. })
}

impl Nics {
    /// QEMU gave no answer: nothing more is said to it until later.
    pub(super) fn was_silent(&mut self, doing: &str, error: &Error) {
        let error = chain(error);
        if std::mem::replace(&mut self.silent, true) {
            debug!("{doing}: {error}");
        } else {
            warn!("{doing}: {error}; it is tried again until QEMU answers");
        }
        self.go_on_after(AGAIN);
    }

    /// There is more to do, after the driver has seen to what else there is.
    pub(super) fn go_on_after(&mut self, pause: Duration) {
        let at = Instant::now() + pause;
        self.again = Some(self.again.map_or(at, |other| other.min(at)));
    }
}
