//! The time of day, as the model was last told it: the clock of the event log (IPMI 2.0 §31.10 to §31.11a).
//!
//! Durations are never taken from it. It may be set, by the host's administrator or over IPMI, and steps then.

/// A clock that follows the host's at a distance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Seconds since 1970-01-01 00:00 UTC, as the host has it.
    host: u64,
    /// What is added to it, in seconds: 0 until somebody sets the clock.
    pub(crate) offset: i64,
}

impl Clock {
    /// Notes what the host's clock shows.
    pub(crate) fn observe(&mut self, host: u64) {
        self.host = host;
    }

    /// Seconds since 1970-01-01 00:00; what the event log's 32 bits can't hold is cut off at their ends.
    pub(crate) fn now(&self) -> u32 {
        let seconds = i64::try_from(self.host).unwrap_or(i64::MAX).saturating_add(self.offset);
        u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_keeps_its_distance_within_32_bits() {
        let mut clock = Clock::default();
        clock.observe(1_000);
        assert_eq!(clock.now(), 1_000);
        clock.offset = -400;
        assert_eq!(clock.now(), 600);
        clock.offset = -4_000;
        assert_eq!(clock.now(), 0);
        clock.offset = i64::MAX;
        assert_eq!(clock.now(), u32::MAX);
    }
}
