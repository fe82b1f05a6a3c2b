//! The machine's power over time: what DCMI's power reading tells (DCMI 1.5 §6.6.1).

use std::time::{Duration, Instant};

/// Watts, since measuring began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PowerReading {
    /// Now.
    pub current: f64,
    /// The lowest.
    pub minimum: f64,
    /// The highest.
    pub maximum: f64,
    /// On average over [`PowerReading::period`].
    pub average: f64,
    /// Over how long: as long as it could be read.
    pub period: Duration,
}

/// Adds up. Between two notes the power is that of the earlier one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PowerMeter {
    state: Option<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    noted: Instant,
    /// What it is since then; none while nothing can be read.
    current: Option<f64>,
    minimum: f64,
    maximum: f64,
    /// Joules, up to when it was noted last.
    energy: f64,
    /// Over how long, which is the time in which it could be read.
    period: Duration,
}

impl State {
    /// Time passes with what it is.
    fn pass(&mut self, now: Instant) {
        if let Some(watts) = self.current {
            let passed = now.saturating_duration_since(self.noted);
            self.energy += watts * passed.as_secs_f64();
            self.period += passed;
        }
        self.noted = now;
    }
}

impl PowerMeter {
    /// Notes what it is now; nothing, if it can't be read.
    pub(super) fn note(&mut self, now: Instant, watts: Option<f64>) {
        if let Some(state) = &mut self.state {
            state.pass(now);
            state.current = watts;
        }
        let Some(watts) = watts else { return };
        let state = self.state.get_or_insert(State {
            noted: now,
            current: Some(watts),
            minimum: watts,
            maximum: watts,
            energy: 0.0,
            period: Duration::ZERO,
        });
        state.minimum = state.minimum.min(watts);
        state.maximum = state.maximum.max(watts);
    }

    /// None while nothing can be read.
    pub(super) fn reading(&self, now: Instant) -> Option<PowerReading> {
        let mut state = self.state?;
        state.pass(now);
        let State { current, minimum, maximum, energy, period, .. } = state;
        let current = current?;
        let average = if period.is_zero() { current } else { energy / period.as_secs_f64() };
        Some(PowerReading { current, minimum, maximum, average, period })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_counted() {
        let start = Instant::now();
        let mut meter = PowerMeter::default();
        meter.note(start, None);
        meter.note(start, Some(100.0));
        meter.note(start + Duration::from_secs(10), None);
        assert_eq!(meter.reading(start + Duration::from_secs(15)), None);
        meter.note(start + Duration::from_secs(1000), Some(200.0));
        let reading = meter.reading(start + Duration::from_secs(1010)).unwrap();
        assert_eq!((reading.current, reading.average), (200.0, 150.0));
        assert_eq!(reading.period, Duration::from_secs(20));
    }

    #[test]
    fn an_average_counts_how_long_each_lasted() {
        let start = Instant::now();
        let mut meter = PowerMeter::default();
        assert_eq!(meter.reading(start), None);
        meter.note(start, Some(100.0));
        meter.note(start + Duration::from_secs(30), Some(200.0));
        let reading = meter.reading(start + Duration::from_secs(40)).unwrap();
        assert_eq!((reading.current, reading.minimum, reading.maximum), (200.0, 100.0, 200.0));
        assert_eq!((reading.average, reading.period), (125.0, Duration::from_secs(40)));
    }
}
