//! One sensor as it is now: what it reads, what of that makes events, and which have been made.
//!
//! ```text
//!   simulation ─┐
//!               ├─▶ reading ─▶ conditions ─▶ enabled? ─▶ event, once each way
//!   injection ──┘   (or none)  (hysteresis)
//! ```
//!
//! A reading that was injected outranks the simulation until it is taken back. Re-arming (IPMI 2.0 §35.12) is
//! automatic: a condition that ended can begin again. While a sensor can't be read nothing begins and nothing
//! ends; what ended meanwhile makes its event when the sensor is read again, and what still holds makes none.

use super::{Analog, Definition, Hysteresis, Kind, StateSource, Thresholds, states};
use crate::{Direction, Generator, PlatformEvent, THRESHOLD, nics::link_state};

/// What a sensor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Nothing that could be told.
    Unavailable,
    /// A raw value.
    Raw(u8),
    /// States, a bit each offset.
    States(u16),
}

/// Which events a sensor generates (§35.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enables {
    /// Any at all.
    pub events: bool,
    /// Whether the sensor is read. If it is not, it stays as it is.
    pub scanning: bool,
    /// When a condition begins, a bit each offset.
    pub assertions: u16,
    /// When it ends.
    pub deassertions: u16,
}

/// A sensor as it is now.
#[derive(Clone, Debug)]
pub struct Sensor {
    definition: Definition,
    thresholds: Thresholds,
    hysteresis: Hysteresis,
    enables: Enables,
    reading: Reading,
    injected: Option<Reading>,
    /// Between 0 and 1: where what it follows has got it, with its inertia.
    level: f64,
    /// The conditions that hold, a bit each offset.
    conditions: u16,
    /// The events that have occurred: asserted, deasserted.
    occurred: (u16, u16),
}

impl Sensor {
    pub(super) fn new(definition: Definition) -> Self {
        let mut sensor = Self {
            definition,
            thresholds: Thresholds::default(),
            hysteresis: Hysteresis::default(),
            enables: Enables { events: true, scanning: true, assertions: 0, deassertions: 0 },
            reading: Reading::Unavailable,
            injected: None,
            level: 0.0,
            conditions: 0,
            occurred: (0, 0),
        };
        sensor.initialize();
        if let Kind::Discrete(discrete) = &sensor.definition.kind {
            sensor.reading = match discrete.source {
                StateSource::Fixed(states) => Reading::States(states),
                StateSource::Link => Reading::States(link_state(true)),
                _ => Reading::States(0),
            };
            // What it begins with is no news.
            sensor.conditions = sensor.states().unwrap_or(0);
        }
        sensor
    }

    /// What it is.
    pub fn definition(&self) -> &Definition {
        &self.definition
    }

    /// What it reads.
    pub fn reading(&self) -> Reading {
        self.reading
    }

    /// Its raw reading, of a sensor of values that can be read.
    pub fn raw(&self) -> Option<u8> {
        match self.reading {
            Reading::Raw(raw) => Some(raw),
            Reading::States(_) | Reading::Unavailable => None,
        }
    }

    /// Its value in its unit.
    pub fn value(&self) -> Option<f64> {
        Some(self.definition.analog()?.scale.value(self.raw()?))
    }

    /// Its states, of a sensor of states that can be read.
    pub fn states(&self) -> Option<u16> {
        match self.reading {
            Reading::States(states) => Some(states),
            Reading::Raw(_) | Reading::Unavailable => None,
        }
    }

    /// A reading of this sensor, for people.
    pub fn describe(&self, reading: Reading) -> String {
        match (reading, self.definition.analog()) {
            (Reading::Raw(raw), Some(Analog { scale, unit, .. })) => {
                let text = format!("{:.*} {}", scale.decimals(), scale.value(raw), unit.symbol);
                text.trim_end().to_owned()
            }
            (Reading::States(states), _) => states::describe(&self.definition, states),
            _ => "unavailable".into(),
        }
    }

    /// Whether somebody has said what it reads.
    pub fn is_injected(&self) -> bool {
        self.injected.is_some()
    }

    /// Its thresholds.
    pub fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Its hysteresis.
    pub fn hysteresis(&self) -> Hysteresis {
        self.hysteresis
    }

    /// Which events it generates.
    pub fn enables(&self) -> Enables {
        self.enables
    }

    /// Which events have occurred, a bit each offset: asserted, deasserted.
    pub fn occurred(&self) -> (u16, u16) {
        self.occurred
    }

    /// Sets its thresholds. Which there are does not change.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        debug_assert_eq!(thresholds.mask(), self.thresholds.mask());
        self.thresholds = thresholds;
    }

    /// Sets its hysteresis.
    pub fn set_hysteresis(&mut self, hysteresis: Hysteresis) {
        self.hysteresis = hysteresis;
    }

    /// Sets which events it generates. Those that it can't stay off.
    pub fn set_enables(&mut self, enables: Enables) {
        let (assertions, deassertions) = self.definition.events();
        self.enables = Enables {
            assertions: enables.assertions & assertions,
            deassertions: enables.deassertions & deassertions,
            ..enables
        };
    }

    /// Forgets that events occurred, so that a condition that still holds makes one anew (§35.12).
    pub fn rearm(&mut self, assertions: u16, deassertions: u16) {
        self.occurred.0 &= !assertions;
        self.occurred.1 &= !deassertions;
        self.conditions &= !assertions;
    }

    /// Everything that its record has is as the record has it (§33.21).
    pub fn initialize(&mut self) {
        if let Kind::Threshold(analog) = &self.definition.kind {
            (self.thresholds, self.hysteresis) = (analog.thresholds, analog.hysteresis);
        }
        let (assertions, deassertions) = self.definition.events();
        self.enables = Enables { events: true, scanning: true, assertions, deassertions };
    }

    pub(super) fn inject(&mut self, reading: Option<Reading>) {
        self.injected = reading;
    }

    /// Takes over from an earlier self what still fits: a definition that did not change keeps everything.
    pub(super) fn take_over(&mut self, earlier: &Self) {
        if self.definition == earlier.definition {
            self.clone_from(earlier);
        } else {
            self.level = earlier.level;
        }
    }

    /// Lets time pass while what it follows is at `target`.
    pub(super) fn advance(&mut self, target: f64, seconds: f64) {
        let Some(analog) = self.definition.analog() else { return };
        let inertia = analog.source.inertia.as_secs_f64();
        let share = if inertia > 0.0 { 1.0 - (-seconds / inertia).exp() } else { 1.0 };
        self.level += (target.clamp(0.0, 1.0) - self.level) * share;
    }

    /// Back to how it is when nothing has gone on for long.
    pub(super) fn settle(&mut self) {
        self.level = 0.0;
    }

    /// What the simulation has it read. `noise` is between -1 and 1, `sampled` whether the load is known.
    pub(super) fn simulated(&self, on: bool, sampled: bool, noise: f64) -> Reading {
        let Some(analog) = self.definition.analog() else { return self.reading };
        let source = &analog.source;
        match (on, self.definition.standby) {
            (true, _) if source.measured && !sampled => Reading::Unavailable,
            (true, _) => {
                let value = source.idle + (source.full - source.idle) * self.level;
                Reading::Raw(analog.scale.raw(value + source.jitter * noise))
            }
            (false, true) => Reading::Raw(analog.scale.raw(source.off + source.jitter * noise)),
            (false, false) => Reading::Unavailable,
        }
    }

    /// Reads it: `fresh`, unless somebody said what it reads. Returns the events that this makes.
    pub(super) fn read(&mut self, fresh: Reading) -> Vec<PlatformEvent> {
        if !self.enables.scanning {
            return Vec::new();
        }
        self.reading = self.injected.unwrap_or(fresh);
        let before = self.conditions;
        self.conditions = match (&self.definition.kind, self.reading) {
            (Kind::Threshold(_), Reading::Raw(raw)) => {
                self.thresholds.conditions(raw, before, self.hysteresis)
            }
            (Kind::Discrete(_), Reading::States(states)) => states,
            (_, Reading::Unavailable) => return Vec::new(),
            _ => 0,
        };
        self.events_between(before, self.conditions)
    }

    fn events_between(&mut self, before: u16, now: u16) -> Vec<PlatformEvent> {
        let Enables { events, assertions, deassertions, .. } = self.enables;
        let (begun, ended) = (now & !before & assertions, before & !now & deassertions);
        self.occurred.0 = self.occurred.0 & !(before & !now) | begun;
        self.occurred.1 = self.occurred.1 & !(now & !before) | ended;
        let own = self.definition.is_own();
        (0..15u8)
            .flat_map(|offset| {
                let bit = 1u16 << offset;
                let begun = (begun & bit != 0).then_some((offset, Direction::Asserted));
                let ended = (ended & bit != 0).then_some((offset, Direction::Deasserted));
                begun.into_iter().chain(ended)
            })
            .filter(|_| events && !own)
            .map(|(offset, direction)| self.event(offset, direction))
            .collect()
    }

    fn event(&self, offset: u8, direction: Direction) -> PlatformEvent {
        /// Event data 2 is the reading, 3 the threshold (Table 29-6).
        const READING_AND_THRESHOLD: u8 = 0x50;

        let data = match (self.reading, self.thresholds.of_offset(offset)) {
            (Reading::Raw(raw), Some(threshold)) => [READING_AND_THRESHOLD | offset, raw, threshold],
            _ => [offset, 0xff, 0xff],
        };
        PlatformEvent {
            generator: Generator::BMC,
            sensor_type: self.definition.sensor_type,
            sensor: self.definition.number,
            event_type: self.definition.event_type(),
            direction,
            data,
        }
    }

    /// Whether an event that was made elsewhere is one that this sensor generates now.
    pub(super) fn permits(&self, event: &PlatformEvent) -> bool {
        let bit = 1 << (event.data.first().copied().unwrap_or(0) & 0x0f);
        let (enabled, possible) = match event.direction {
            Direction::Asserted => (self.enables.assertions, self.definition.events().0),
            Direction::Deasserted => (self.enables.deassertions, self.definition.events().1),
        };
        self.enables.events && (possible & bit == 0 || enabled & bit != 0)
    }

    /// Notes what an event that was made elsewhere says of its states.
    pub(super) fn heard(&mut self, event: &PlatformEvent) {
        let Kind::Discrete(discrete) = &self.definition.kind else { return };
        if event.event_type == THRESHOLD
            || !matches!(discrete.source, StateSource::Events | StateSource::EventsOfThisBoot)
        {
            return;
        }
        let bit = 1 << (event.data.first().copied().unwrap_or(0) & 0x0f) & discrete.possible;
        let states = self.states().unwrap_or(0);
        let states = match event.direction {
            Direction::Asserted => states | bit,
            Direction::Deasserted => states & !bit,
        };
        self.set_states(states);
    }

    /// Sets the states of a sensor whose events are made elsewhere.
    pub(super) fn set_states(&mut self, states: u16) {
        let before = std::mem::replace(&mut self.conditions, states);
        self.occurred.0 = self.occurred.0 & states | states & !before;
        self.occurred.1 = self.occurred.1 & !states | before & !states;
        self.reading = Reading::States(states);
    }
}
