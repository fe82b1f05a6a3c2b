//! The time of day, as the model was last told it: the clock of the event log (IPMI 2.0 §31.10 to §31.11a).
//!
//! It follows the host's clock, at a distance once somebody has set it. Durations are never taken from it: it
//! may be set, by the host's administrator or over IPMI, and steps then.

use serde::{Deserialize, Serialize};

use crate::{Bmc, Event, Requester};

/// How far the log's clock is ahead of UTC, in minutes: less than a day or a day, either way (§31.11a).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// An offset of so many minutes, -1440 to 1440.
    pub fn new(minutes: i16) -> Option<Self> {
        (-1440..=1440).contains(&minutes).then_some(Self(minutes))
    }

    /// The minutes.
    pub fn minutes(self) -> i16 {
        self.0
    }
}

/// A clock that follows the host's at a distance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Seconds since 1970-01-01 00:00 UTC, as the host has it.
    host: u64,
    /// What is added to it, in seconds: 0 until somebody sets the clock.
    offset: i64,
    /// `None` if somebody said that it is not known.
    utc_offset: Option<UtcOffset>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { host: 0, offset: 0, utc_offset: Some(UtcOffset(0)) }
    }
}

/// A clock's distance, as it outlives a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedClock {
    offset: i64,
    utc_offset: Option<UtcOffset>,
}

impl Default for SavedClock {
    fn default() -> Self {
        Clock::default().to_saved()
    }
}

impl Clock {
    /// Notes what the host's clock shows.
    pub(crate) fn observe(&mut self, host: u64) {
        self.host = host;
    }

    /// What the host's clock shows, whatever was set here.
    pub(crate) fn host(&self) -> u64 {
        self.host
    }

    /// Seconds since 1970-01-01 00:00; what the event log's 32 bits can't hold is cut off at their ends.
    pub(crate) fn now(&self) -> u32 {
        let seconds = i64::try_from(self.host).unwrap_or(i64::MAX).saturating_add(self.offset);
        u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
    }

    fn set(&mut self, to: u32) {
        self.offset = i64::from(to).saturating_sub(i64::try_from(self.host).unwrap_or(i64::MAX));
    }

    pub(crate) fn to_saved(self) -> SavedClock {
        SavedClock { offset: self.offset, utc_offset: self.utc_offset }
    }

    pub(crate) fn restore(&mut self, saved: SavedClock) {
        self.offset = saved.offset;
        self.utc_offset = saved.utc_offset.and_then(|UtcOffset(minutes)| UtcOffset::new(minutes));
    }
}

impl Bmc {
    /// Tells the time of day, in seconds since 1970-01-01 00:00 UTC, before anything else is asked.
    pub fn observe_time(&mut self, unix: u64) {
        self.clock.observe(unix);
    }

    /// What the event log's clock shows, in seconds since 1970-01-01 00:00 (§31.10).
    pub fn log_time(&self) -> u32 {
        self.clock.now()
    }

    /// Sets the event log's clock (§31.11). If that changes anything, the log has an entry with the time
    /// before, and one with the time after.
    pub fn set_log_time(&mut self, to: u32, by: Requester) {
        let from = self.log_time();
        if to == from {
            return;
        }
        let [before, after] = crate::journal::clock_set();
        self.raise(before);
        self.clock.set(to);
        self.raise(after);
        self.record(Event::LogTimeSet { from, to, by });
        self.touch();
    }

    /// How far the event log's clock is ahead of UTC, where that is known.
    pub fn log_utc_offset(&self) -> Option<UtcOffset> {
        self.clock.utc_offset
    }

    /// Notes how far it is. The clock stays as it is.
    pub fn set_log_utc_offset(&mut self, offset: Option<UtcOffset>) {
        if self.clock.utc_offset != offset {
            self.clock.utc_offset = offset;
            self.touch();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Lan, Users};

    #[test]
    fn the_clock_keeps_its_distance_within_32_bits() {
        let mut clock = Clock::default();
        clock.observe(1_000);
        assert_eq!(clock.now(), 1_000);
        clock.set(600);
        assert_eq!((clock.offset, clock.now()), (-400, 600));
        clock.observe(1_010);
        assert_eq!(clock.now(), 610);
        clock.offset = -4_000;
        assert_eq!(clock.now(), 0);
        clock.offset = i64::MAX;
        assert_eq!(clock.now(), u32::MAX);
        clock.observe(u64::MAX);
        clock.set(7);
        assert_eq!(clock.now(), 7);
    }

    #[test]
    fn an_offset_that_is_noted_again_is_not_saved_again() {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.set_log_utc_offset(UtcOffset::new(60));
        assert!(bmc.take_unsaved());
        bmc.set_log_utc_offset(UtcOffset::new(60));
        assert!(!bmc.take_unsaved());
    }

    #[test]
    fn an_offset_is_a_day_at_most() {
        assert_eq!(UtcOffset::new(-1440).map(UtcOffset::minutes), Some(-1440));
        assert_eq!(UtcOffset::new(1441), None);
        let mut clock = Clock::default();
        clock.restore(SavedClock { offset: 0, utc_offset: Some(UtcOffset(9_999)) });
        assert_eq!(clock.utc_offset, None, "a file can say anything");
    }
}
