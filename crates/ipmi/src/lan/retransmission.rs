//! A request that comes again because its answer was lost must not run again, if it changes anything:
//! a second power cycle, a second event log entry. The remote console sends it under a new session
//! sequence number, so the window lets it pass; it is known by its rqSeq, command and data.
//!
//! rqSeq has 6 bits and goes round. So an answer is remembered for a few seconds and a few requests
//! only: a client that does 64 commands within that time has moved on, and its next "power reset" under
//! the same rqSeq is a new one.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::{Duration, Instant},
};

use crate::{Reply, wire::message};

/// Longer than the time in which clients retry, shorter than their patience.
const MEMORY: Duration = Duration::from_secs(5);
/// Half of the range of rqSeq.
const REQUESTS: u8 = 32;

/// What makes two requests the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(request: &message::Request<'_>) -> Self {
        let mut hasher = DefaultHasher::new();
        (request.netfn, request.lun, request.command).hash(&mut hasher);
        (request.requester, request.requester_lun, request.sequence, request.data).hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The last answer of a session to a request that changed something.
#[derive(Debug, Default)]
pub(super) struct LastAnswer {
    answer: Option<(Fingerprint, Instant, Reply)>,
    requests_since: u8,
}

impl LastAnswer {
    /// The answer, if this is that request again.
    pub(super) fn recall(&self, now: Instant, fingerprint: Fingerprint) -> Option<&Reply> {
        let (remembered, at, reply) = self.answer.as_ref()?;
        let fresh = now.saturating_duration_since(*at) < MEMORY && self.requests_since < REQUESTS;
        (fresh && *remembered == fingerprint).then_some(reply)
    }

    /// Remembers an answer to a request that changed something.
    pub(super) fn remember(&mut self, now: Instant, fingerprint: Fingerprint, reply: &Reply) {
        self.answer = Some((fingerprint, now, reply.clone()));
        self.requests_since = 0;
    }

    /// Counts a request that changed nothing.
    pub(super) fn passed(&mut self) {
        self.requests_since = self.requests_since.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: message::Request<'_> = message::Request {
        responder: 0x20,
        netfn: 0,
        lun: 0,
        requester: 0x81,
        requester_lun: 0,
        sequence: 9,
        command: 2,
        data: &[2],
    };

    #[test]
    fn the_same_request_gets_the_same_answer_for_five_seconds() {
        let now = Instant::now();
        let mut last = LastAnswer::default();
        let fingerprint = Fingerprint::of(&CYCLE);
        assert!(last.recall(now, fingerprint).is_none());
        let mut reply = Reply::default();
        reply.put(&[1, 2, 3]);
        last.remember(now, fingerprint, &reply);
        assert_eq!(last.recall(now, fingerprint).unwrap().data(), [1, 2, 3]);
        assert!(last.recall(now + MEMORY, fingerprint).is_none());
    }

    #[test]
    fn another_number_command_or_data_is_another_request() {
        let now = Instant::now();
        let mut last = LastAnswer::default();
        last.remember(now, Fingerprint::of(&CYCLE), &Reply::default());
        for other in [
            message::Request { sequence: 10, ..CYCLE },
            message::Request { command: 3, ..CYCLE },
            message::Request { netfn: 6, ..CYCLE },
            message::Request { data: &[3], ..CYCLE },
            message::Request { data: &[2, 0], ..CYCLE },
            message::Request { requester: 0x8f, ..CYCLE },
        ] {
            assert!(last.recall(now, Fingerprint::of(&other)).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_number_that_has_gone_round_is_a_new_request() {
        let now = Instant::now();
        let mut last = LastAnswer::default();
        last.remember(now, Fingerprint::of(&CYCLE), &Reply::default());
        for _ in 1..REQUESTS {
            last.passed();
        }
        assert!(last.recall(now, Fingerprint::of(&CYCLE)).is_some());
        last.passed();
        assert!(last.recall(now, Fingerprint::of(&CYCLE)).is_none());
    }
}
