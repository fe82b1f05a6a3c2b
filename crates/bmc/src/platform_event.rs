//! Platform events: what sensors say when something changes, in the terms in which the event log, the event
//! message buffer and the event filters take it (IPMI 2.0 §29.7, §41, §42).

use serde::{Deserialize, Serialize};

/// Whether an event's condition began or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// It began.
    Asserted,
    /// It ended.
    Deasserted,
}

/// Who generated an event: the two bytes of an event record (§32.1), in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generator(pub u8, pub u8);

impl Generator {
    /// This controller itself.
    pub const BMC: Self = Self(0x20, 0x00);
    /// System software in the guest: its first software id (§5.5).
    pub const SYSTEM_SOFTWARE: Self = Self(0x41, 0x00);
    /// The guest's firmware.
    pub const BIOS: Self = Self(0x01, 0x00);
    /// Software of a remote console.
    pub const REMOTE_CONSOLE: Self = Self(0x81, 0x00);

    /// Whether it is software, and not a controller, whose address is even.
    pub fn is_software(self) -> bool {
        self.0 & 0x01 != 0
    }

    /// Whether it is software in the guest, firmware included: software ids 00h to 3Fh (Table 5-4).
    pub fn is_system_software(self) -> bool {
        self.0 & 0x81 == 0x01
    }
}

/// The event/reading type of sensors whose states are their sensor type's own (Table 42-1).
pub const SENSOR_SPECIFIC: u8 = 0x6f;
/// The event/reading type of thresholds.
pub const THRESHOLD: u8 = 0x01;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformEvent {
    /// Whose sensor it is.
    pub generator: Generator,
    /// Sensor type (Table 42-3).
    pub sensor_type: u8,
    /// Sensor number.
    pub sensor: u8,
    /// Event/reading type, 7 bits (Table 42-1).
    pub event_type: u8,
    /// Began or ended.
    pub direction: Direction,
    /// Event data 1 to 3 (Table 29-6): the offset and what else there is. A byte that says nothing is FFh.
    pub data: [u8; 3],
}

impl PlatformEvent {
    /// An event of one of this controller's discrete sensors whose states are sensor-specific, with nothing
    /// but the offset said.
    pub fn specific(sensor_type: u8, sensor: u8, offset: u8) -> Self {
        Self {
            generator: Generator::BMC,
            sensor_type,
            sensor,
            event_type: SENSOR_SPECIFIC,
            direction: Direction::Asserted,
            data: [offset & 0x0f, 0xff, 0xff],
        }
    }

    /// The same with event data 2 and 3, which are the sensor type's own (Table 42-3).
    #[must_use]
    pub fn with_extension(mut self, second: u8, third: u8) -> Self {
        let [first, ..] = self.data;
        self.data = [first & 0x0f | 0xf0, second, third];
        self
    }
}
