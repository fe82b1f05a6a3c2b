//! What a sensor is, apart from what it reads: the model's side of a sensor data record (IPMI 2.0 §43).

use std::time::Duration;

use super::{Hysteresis, Scale, Thresholds, Unit};
use crate::{SENSOR_SPECIFIC, THRESHOLD};

/// The longest name that every client shows whole (§43.15).
pub const NAME_MAX: usize = 16;

/// What a sensor belongs to: entity id (Table 43-13) and instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entity {
    /// Entity id.
    pub id: u8,
    /// Instance.
    pub instance: u8,
}

impl Entity {
    /// Of this id and instance.
    pub const fn new(id: u8, instance: u8) -> Self {
        Self { id, instance }
    }
}

/// A sensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// Its number, 1 to FEh.
    pub number: u8,
    /// Its name: 1 to [`NAME_MAX`] printable ASCII characters.
    pub name: String,
    /// Sensor type (Table 42-3).
    pub sensor_type: u8,
    /// What it belongs to.
    pub entity: Entity,
    /// Whether it lives on standby power and so can be read when the machine is off.
    pub standby: bool,
    /// What it reads.
    pub kind: Kind,
}

/// What a sensor reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A value, with thresholds.
    Threshold(Analog),
    /// States.
    Discrete(Discrete),
    /// Nothing: it only generates events. Its event/reading type.
    EventOnly(u8),
}

/// A sensor of a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Analog {
    /// The unit of values.
    pub unit: Unit,
    /// How a byte stands for a value.
    pub scale: Scale,
    /// What is usual: a value, and the range around it.
    pub normal: Option<Normal>,
    /// Its thresholds, until somebody sets others.
    pub thresholds: Thresholds,
    /// Its hysteresis, until somebody sets another.
    pub hysteresis: Hysteresis,
    /// Where its value comes from.
    pub source: Source,
}

/// What is usual, as raw readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Normal {
    /// Nominal reading.
    pub nominal: u8,
    /// Highest.
    pub max: u8,
    /// Lowest.
    pub min: u8,
}

/// What of the guest's doings a value follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Processor time, of all that there is.
    Cpu,
    /// Memory in use, of what there is.
    Memory,
    /// The time in which the disks have something to do.
    Disk,
}

/// Where a value comes from: it lies between two ends, as what it follows lies between nothing and all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// The value when nothing goes on.
    pub idle: f64,
    /// The value at full load.
    pub full: f64,
    /// What it follows.
    pub follows: Quantity,
    /// How long it takes to come near (63 %) to a new value. Zero is at once.
    pub inertia: Duration,
    /// How far it strays from that.
    pub jitter: f64,
    /// The value while the machine is off, of a sensor on standby power.
    pub off: f64,
    /// Whether the value is what it follows, and can be read only where that is known.
    pub measured: bool,
}

impl Source {
    /// Always the same.
    pub const fn steady(value: f64) -> Self {
        Self {
            idle: value,
            full: value,
            follows: Quantity::Cpu,
            inertia: Duration::ZERO,
            jitter: 0.0,
            off: value,
            measured: false,
        }
    }
}

/// A sensor of states.
#[derive(Clone, Debug, PartialEq)]
pub struct Discrete {
    /// Event/reading type (Table 42-1).
    pub event_type: u8,
    /// The states that it can be in, a bit each offset.
    pub possible: u16,
    /// Where its states come from.
    pub source: StateSource,
}

/// Where states come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateSource {
    /// They are these until somebody says otherwise, and a change makes an event.
    Fixed(u16),
    /// Whether a NIC has a link. Its events say which of the two has come about.
    Link,
    /// The ACPI power state. Its events are made where power changes.
    PowerState,
    /// Whether there is power. Its events are made where power changes.
    PowerUnit,
    /// What events of this sensor have said since the machine last started.
    EventsOfThisBoot,
    /// What events of this sensor have said.
    Events,
}

impl Definition {
    /// Event/reading type (Table 42-1).
    pub fn event_type(&self) -> u8 {
        match &self.kind {
            Kind::Threshold(_) => THRESHOLD,
            Kind::Discrete(discrete) => discrete.event_type,
            Kind::EventOnly(event_type) => *event_type,
        }
    }

    /// Whether it is one of the controller's own, which nobody else can write or take away.
    pub fn is_own(&self) -> bool {
        self.number < super::number::FIRST_FREE
    }

    /// Whether it is the sensor of a NIC's link.
    pub(crate) fn is_link(&self) -> bool {
        matches!(&self.kind, Kind::Discrete(discrete) if discrete.source == StateSource::Link)
    }

    /// The events that it can generate, a bit each offset: asserted and deasserted.
    pub fn events(&self) -> (u16, u16) {
        match &self.kind {
            Kind::Threshold(analog) => (analog.thresholds.events(), analog.thresholds.events()),
            Kind::Discrete(discrete) if matches!(discrete.source, StateSource::Fixed(_)) => {
                (discrete.possible, discrete.possible)
            }
            Kind::Discrete(discrete) => (discrete.possible, 0),
            Kind::EventOnly(_) => (0, 0),
        }
    }

    /// What a sensor of values is.
    pub fn analog(&self) -> Option<&Analog> {
        match &self.kind {
            Kind::Threshold(analog) => Some(analog),
            Kind::Discrete(_) | Kind::EventOnly(_) => None,
        }
    }

    pub(crate) fn own(number: u8, name: &str, sensor_type: u8, kind: Kind) -> Self {
        /// System management module: where a controller sits.
        const CONTROLLER: Entity = Entity::new(0x06, 1);
        Self { number, name: name.into(), sensor_type, entity: CONTROLLER, standby: true, kind }
    }
}

impl Kind {
    pub(crate) const SPECIFIC_EVENTS: Self = Self::EventOnly(SENSOR_SPECIFIC);

    pub(crate) fn specific(possible: u16, source: StateSource) -> Self {
        Self::Discrete(Discrete { event_type: SENSOR_SPECIFIC, possible, source })
    }
}
