//! Thresholds, and when a reading has crossed one (IPMI 2.0 §35.1 to §35.4, §41.3.3).
//!
//! ```text
//!   upper:  clear ── reading ≥ threshold ──▶ asserted ── reading < threshold − hysteresis ──▶ clear
//!   lower:  clear ── reading ≤ threshold ──▶ asserted ── reading > threshold + hysteresis ──▶ clear
//! ```
//!
//! Everything here is in raw readings. Upper thresholds are watched going high, lower ones going low.

use serde::{Deserialize, Serialize};

/// One of the six, in the order of their bits (§35.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// Lower non-critical.
    LowerNonCritical,
    /// Lower critical.
    LowerCritical,
    /// Lower non-recoverable.
    LowerNonRecoverable,
    /// Upper non-critical.
    UpperNonCritical,
    /// Upper critical.
    UpperCritical,
    /// Upper non-recoverable.
    UpperNonRecoverable,
}

impl Threshold {
    /// All, in the order of their bits.
    pub const ALL: [Self; 6] = [
        Self::LowerNonCritical,
        Self::LowerCritical,
        Self::LowerNonRecoverable,
        Self::UpperNonCritical,
        Self::UpperCritical,
        Self::UpperNonRecoverable,
    ];

    /// Its bit in masks of thresholds.
    pub fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Whether it is crossed by going high.
    pub fn is_upper(self) -> bool {
        self as u8 >= Self::UpperNonCritical as u8
    }

    /// The offset of its event (Table 42-2): going low for a lower one, going high for an upper one.
    pub fn offset(self) -> u8 {
        self as u8 * 2 + u8::from(self.is_upper())
    }

    /// Its name as settings and people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LowerNonCritical => "lower-non-critical",
            Self::LowerCritical => "lower-critical",
            Self::LowerNonRecoverable => "lower-non-recoverable",
            Self::UpperNonCritical => "upper-non-critical",
            Self::UpperCritical => "upper-critical",
            Self::UpperNonRecoverable => "upper-non-recoverable",
        }
    }
}

/// By how much a reading must come back before a threshold is re-armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hysteresis {
    /// Of upper thresholds.
    pub positive: u8,
    /// Of lower thresholds.
    pub negative: u8,
}

/// The thresholds of a sensor, as raw readings. Those that a sensor does not have are none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds([Option<u8>; 6]);

impl Thresholds {
    /// One of them.
    pub fn get(&self, which: Threshold) -> Option<u8> {
        self.0.get(which as usize).copied().flatten()
    }

    /// The same with one of them changed.
    #[must_use]
    pub fn with(mut self, which: Threshold, raw: u8) -> Self {
        if let Some(slot) = self.0.get_mut(which as usize) {
            *slot = Some(raw);
        }
        self
    }

    /// Which there are, a bit each.
    pub fn mask(&self) -> u8 {
        self.present().fold(0, |mask, (which, _)| mask | which.bit())
    }

    /// The events that they can cause, a bit each offset.
    pub fn events(&self) -> u16 {
        self.present().fold(0, |mask, (which, _)| mask | 1 << which.offset())
    }

    fn present(&self) -> impl Iterator<Item = (Threshold, u8)> + '_ {
        Threshold::ALL.into_iter().filter_map(|which| Some((which, self.get(which)?)))
    }

    /// Whether they follow one another, from lower non-recoverable up to upper non-recoverable.
    pub fn are_in_order(&self) -> bool {
        use Threshold as T;
        let upwards = [
            T::LowerNonRecoverable,
            T::LowerCritical,
            T::LowerNonCritical,
            T::UpperNonCritical,
            T::UpperCritical,
            T::UpperNonRecoverable,
        ];
        let present: Vec<u8> = upwards.into_iter().filter_map(|which| self.get(which)).collect();
        present.is_sorted()
    }

    /// Which are reached by a reading, a bit each (§35.14).
    pub fn comparison(&self, raw: u8) -> u8 {
        self.present()
            .filter(|(which, limit)| reached(*which, raw, *limit))
            .fold(0, |mask, (which, _)| mask | which.bit())
    }

    /// Which events' conditions hold, a bit each offset, given those that held before.
    pub(crate) fn conditions(&self, raw: u8, before: u16, hysteresis: Hysteresis) -> u16 {
        self.present().fold(0, |conditions, (which, limit)| {
            let bit = 1 << which.offset();
            let back = if which.is_upper() {
                limit.saturating_sub(hysteresis.positive)
            } else {
                limit.saturating_add(hysteresis.negative)
            };
            let holds = reached(which, raw, if before & bit == 0 { limit } else { back });
            conditions | if holds { bit } else { 0 }
        })
    }

    /// The threshold whose event has this offset.
    pub(crate) fn of_offset(&self, offset: u8) -> Option<u8> {
        self.present().find(|(which, _)| which.offset() == offset).map(|(_, limit)| limit)
    }
}

fn reached(which: Threshold, raw: u8, limit: u8) -> bool {
    if which.is_upper() { raw >= limit } else { raw <= limit }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thresholds() -> Thresholds {
        Thresholds::default()
            .with(Threshold::LowerCritical, 20)
            .with(Threshold::UpperNonCritical, 80)
            .with(Threshold::UpperCritical, 90)
    }

    #[test]
    fn offsets_are_those_of_the_table() {
        assert_eq!(Threshold::ALL.map(Threshold::offset), [0, 2, 4, 7, 9, 11]);
        assert_eq!(thresholds().mask(), 0b01_1010);
        assert_eq!(thresholds().events(), 1 << 2 | 1 << 7 | 1 << 9);
    }

    #[test]
    fn a_comparison_knows_no_hysteresis() {
        let compare = |raw| thresholds().comparison(raw);
        assert_eq!([21, 20, 79, 80, 90].map(compare), [0, 0b10, 0, 0b1000, 0b1_1000]);
    }

    #[test]
    fn a_condition_ends_beyond_the_hysteresis() {
        let hysteresis = Hysteresis { positive: 2, negative: 3 };
        let step = |before, raw| thresholds().conditions(raw, before, hysteresis);
        let upper = 1 << 7;
        assert_eq!(step(0, 79), 0);
        assert_eq!(step(0, 80), upper);
        assert_eq!(step(upper, 78), upper);
        assert_eq!(step(upper, 77), 0);
        let lower = 1 << 2;
        assert_eq!(step(0, 20), lower);
        assert_eq!(step(lower, 23), lower);
        assert_eq!(step(lower, 24), 0);
    }

    #[test]
    fn order_is_judged_among_those_that_are_there() {
        assert!(thresholds().are_in_order());
        assert!(!thresholds().with(Threshold::LowerNonCritical, 10).are_in_order());
        assert!(!thresholds().with(Threshold::UpperNonRecoverable, 89).are_in_order());
    }

    proptest! {
        #[test]
        fn a_steady_reading_settles_at_once(raw: u8, before: u16, positive: u8, negative: u8) {
            let hysteresis = Hysteresis { positive, negative };
            let first = thresholds().conditions(raw, before, hysteresis);
            prop_assert_eq!(thresholds().conditions(raw, first, hysteresis), first);
            let reached = Threshold::ALL.into_iter().filter(|t| thresholds().comparison(raw) & t.bit() != 0);
            for threshold in reached {
                prop_assert!(first & 1 << threshold.offset() != 0, "what is reached holds");
            }
        }
    }
}
