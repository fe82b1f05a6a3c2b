//! Event filters (IPMI 2.0 §17.7, Table 17-2): which events make something happen, and what.

use serde::{Deserialize, Serialize};

use crate::{Direction, PlatformEvent, SENSOR_SPECIFIC, THRESHOLD};

/// In place of a value: all match.
pub(crate) const ANY: u8 = 0xff;

/// What a filter, or the action control, names: a set of actions (Table 17-2, byte 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Actions(
    /// The bits as the specification has them.
    pub u8,
);

impl Actions {
    /// Send the alerts of the filter's policy.
    pub const ALERT: Self = Self(1 << 0);
    /// Switch the machine off.
    pub const POWER_OFF: Self = Self(1 << 1);
    /// Reset it.
    pub const RESET: Self = Self(1 << 2);
    /// Switch it off and on.
    pub const POWER_CYCLE: Self = Self(1 << 3);
    /// Diagnostic interrupt.
    pub const DIAGNOSTIC_INTERRUPT: Self = Self(1 << 5);
    /// All that this controller carries out.
    pub const SUPPORTED: Self = Self(0x2f);

    /// Whether all of these are in it.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// What a byte of event data has to be (Table 17-2, bytes 12 to 20).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMatch {
    /// The bits that count.
    pub mask: u8,
    /// Of those, the bits that have to be as in `compare2`. Of the others, where `compare2` has some set, one
    /// of these has to be set.
    pub compare1: u8,
    /// What is compared with.
    pub compare2: u8,
}

impl DataMatch {
    fn matches(self, byte: u8) -> bool {
        let value = byte & self.mask;
        let exact = (value ^ self.compare2) & self.compare1 == 0;
        let wanted = self.compare2 & !self.compare1;
        exact && (wanted == 0 || value & wanted != 0)
    }
}

/// An event filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFilter {
    /// Whether it counts.
    pub enabled: bool,
    /// Who made it, 2 bits: 0 software, 2 the manufacturer.
    pub kind: u8,
    /// What it makes happen.
    pub actions: Actions,
    /// The set of alert policies, 4 bits.
    pub policy: u8,
    /// The group control selector, 3 bits: kept, for there are no groups.
    pub group: u8,
    /// How grave the event is, in the bits of a trap: 01h monitor to 20h non-recoverable; 0 unspecified.
    pub severity: u8,
    /// Whose event: both bytes of a generator id. FFh matches all, as in the next three.
    pub generator: [u8; 2],
    /// Sensor type.
    pub sensor_type: u8,
    /// Sensor number.
    pub sensor: u8,
    /// Direction (bit 7) and event/reading type.
    pub trigger: u8,
    /// The offsets that match: bit n is offset n.
    pub offsets: u16,
    /// The three bytes of event data.
    pub data: [DataMatch; 3],
}

impl Default for EventFilter {
    /// A filter that would match everything, and is not enabled.
    fn default() -> Self {
        Self {
            enabled: false,
            kind: 0,
            actions: Actions::default(),
            policy: 0,
            group: 0,
            severity: 0,
            generator: [ANY; 2],
            sensor_type: ANY,
            sensor: ANY,
            trigger: ANY,
            offsets: 0xffff,
            data: [DataMatch::default(); 3],
        }
    }
}

impl EventFilter {
    /// Whether this event makes happen what the filter says.
    pub fn matches(&self, event: &PlatformEvent) -> bool {
        let deasserted = match event.direction {
            Direction::Asserted => 0,
            Direction::Deasserted => 0x80,
        };
        let [first, ..] = event.data;
        let is = |wanted: u8, value: u8| wanted == ANY || wanted == value;
        let [generator, channel] = self.generator;
        self.enabled
            && is(generator, event.generator.0)
            && is(channel, event.generator.1)
            && is(self.sensor_type, event.sensor_type)
            && is(self.sensor, event.sensor)
            && is(self.trigger, event.event_type | deasserted)
            && self.offsets >> (first & 0x0f) & 1 != 0
            && self.data.iter().zip(event.data).all(|(wanted, byte)| wanted.matches(byte))
    }
}

const NON_CRITICAL: u8 = 0x08;
const CRITICAL: u8 = 0x10;

/// The filters that a controller begins with: what an operator wants to be told of, each an alert by policy 1.
pub(crate) fn factory() -> impl Iterator<Item = EventFilter> {
    const TEMPERATURE: u8 = 0x01;
    const VOLTAGE: u8 = 0x02;
    const FAN: u8 = 0x04;
    // Going low below the lower thresholds, going high above the upper ones.
    const NON_CRITICAL_CROSSED: u16 = 1 << 0x0 | 1 << 0x7;
    const CRITICAL_CROSSED: u16 = 1 << 0x2 | 1 << 0x4 | 1 << 0x9 | 1 << 0xb;

    let thresholds = [TEMPERATURE, VOLTAGE, FAN].into_iter().flat_map(|sensor_type| {
        [
            (sensor_type, THRESHOLD, NON_CRITICAL_CROSSED, NON_CRITICAL),
            (sensor_type, THRESHOLD, CRITICAL_CROSSED, CRITICAL),
        ]
    });
    let states = [
        // Power supply: failed, about to fail, without input.
        (0x08, SENSOR_SPECIFIC, 1 << 1 | 1 << 2 | 1 << 3, CRITICAL),
        // Power unit: mains lost, soft power control failed, failed.
        (0x09, SENSOR_SPECIFIC, 1 << 4 | 1 << 5 | 1 << 6, CRITICAL),
        // Watchdog: expired, reset, power down, power cycle.
        (0x23, SENSOR_SPECIFIC, 0x000f, CRITICAL),
        // The operating system stopped, at its start or later.
        (0x20, SENSOR_SPECIFIC, 1 << 0 | 1 << 1, CRITICAL),
        // The event log is full, or nearly.
        (0x10, SENSOR_SPECIFIC, 1 << 4 | 1 << 5, NON_CRITICAL),
    ];
    thresholds.chain(states).map(|(sensor_type, trigger, offsets, severity)| EventFilter {
        enabled: true,
        actions: Actions::ALERT,
        policy: 1,
        severity,
        sensor_type,
        trigger,
        offsets,
        ..EventFilter::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generator;

    /// A temperature above its upper critical threshold: B0h is the reading, A0h the threshold.
    fn hot() -> PlatformEvent {
        PlatformEvent {
            generator: Generator::BMC,
            sensor_type: 0x01,
            sensor: 0x30,
            event_type: THRESHOLD,
            direction: Direction::Asserted,
            data: [0x59, 0xb0, 0xa0],
        }
    }

    fn any() -> EventFilter {
        EventFilter { enabled: true, ..EventFilter::default() }
    }

    #[test]
    fn each_field_lets_its_own_pass_and_nothing_else() {
        assert!(any().matches(&hot()));
        assert!(!EventFilter::default().matches(&hot()), "it is not enabled");
        let both = |change: fn(&mut EventFilter, u8), right: u8| {
            let with = |value| {
                let mut filter = any();
                change(&mut filter, value);
                filter.matches(&hot())
            };
            (with(right), with(right ^ 1))
        };
        assert_eq!(both(|filter, value| filter.generator[0] = value, 0x20), (true, false));
        assert_eq!(both(|filter, value| filter.generator[1] = value, 0x00), (true, false));
        assert_eq!(both(|filter, value| filter.sensor_type = value, 0x01), (true, false));
        assert_eq!(both(|filter, value| filter.sensor = value, 0x30), (true, false));
        assert_eq!(both(|filter, value| filter.trigger = value, 0x01), (true, false));
        assert!(EventFilter { offsets: 1 << 9, ..any() }.matches(&hot()));
        assert!(!EventFilter { offsets: !(1 << 9), ..any() }.matches(&hot()));
    }

    #[test]
    fn an_end_is_another_trigger_than_a_beginning() {
        let over = PlatformEvent { direction: Direction::Deasserted, ..hot() };
        assert!(!EventFilter { trigger: 0x01, ..any() }.matches(&over));
        assert!(EventFilter { trigger: 0x81, ..any() }.matches(&over));
        assert!(any().matches(&over));
    }

    #[test]
    fn bits_of_event_data_are_compared_exactly_or_one_is_enough() {
        let data = |mask, compare1, compare2| DataMatch { mask, compare1, compare2 };
        assert!(data(0x00, 0xff, 0x00).matches(0x5a), "no bit counts");
        assert!(data(0xf0, 0xff, 0x50).matches(0x5a));
        assert!(!data(0xf0, 0xff, 0x40).matches(0x5a));
        assert!(data(0xff, 0x00, 0x03).matches(0x02), "one of two");
        assert!(!data(0xff, 0x00, 0x03).matches(0x04), "none of two");
        assert!(data(0xff, 0x00, 0x00).matches(0x04), "none is wanted");
        assert!(data(0xff, 0xf0, 0x53).matches(0x51));
        assert!(!data(0xff, 0xf0, 0x53).matches(0x41));
    }

    #[test]
    fn a_new_controller_alerts_of_what_went_wrong() {
        let severity = |event| factory().find(|filter| filter.matches(&event)).map(|filter| filter.severity);
        assert_eq!(severity(hot()), Some(CRITICAL));
        assert_eq!(severity(PlatformEvent { data: [0x57, 0xb0, 0xa0], ..hot() }), Some(NON_CRITICAL));
        assert_eq!(severity(PlatformEvent { direction: Direction::Deasserted, ..hot() }), None);
        assert_eq!(severity(PlatformEvent::specific(0x20, 4, 1)), Some(CRITICAL), "a panic");
        assert_eq!(severity(PlatformEvent::specific(0x09, 2, 0)), None, "switched off");
    }
}
