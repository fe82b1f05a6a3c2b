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
    /// Since when.
    pub period: Duration,
}

/// Adds up. Between two notes the power is that of the earlier one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PowerMeter {
    state: Option<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    began: Instant,
    noted: Instant,
    current: f64,
    minimum: f64,
    maximum: f64,
    /// Joules, up to when it was noted last.
    energy: f64,
}

impl PowerMeter {
    pub(super) fn note(&mut self, now: Instant, watts: f64) {
        let Some(state) = &mut self.state else {
            self.state = Some(State {
                began: now,
                noted: now,
                current: watts,
                minimum: watts,
                maximum: watts,
                energy: 0.0,
            });
            return;
        };
        state.energy += state.current * now.saturating_duration_since(state.noted).as_secs_f64();
        state.noted = now;
        state.current = watts;
        state.minimum = state.minimum.min(watts);
        state.maximum = state.maximum.max(watts);
    }

    pub(super) fn reading(&self, now: Instant) -> Option<PowerReading> {
        let State { began, noted, current, minimum, maximum, energy } = self.state?;
        let period = now.saturating_duration_since(began);
        let energy = energy + current * now.saturating_duration_since(noted).as_secs_f64();
        let average = if period.is_zero() { current } else { energy / period.as_secs_f64() };
        Some(PowerReading { current, minimum, maximum, average, period })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_average_counts_how_long_each_lasted() {
        let start = Instant::now();
        let mut meter = PowerMeter::default();
        assert_eq!(meter.reading(start), None);
        meter.note(start, 100.0);
        meter.note(start + Duration::from_secs(30), 200.0);
        let reading = meter.reading(start + Duration::from_secs(40)).unwrap();
        assert_eq!((reading.current, reading.minimum, reading.maximum), (200.0, 100.0, 200.0));
        assert_eq!((reading.average, reading.period), (125.0, Duration::from_secs(40)));
    }
}
