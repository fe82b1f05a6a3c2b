//! Sensor data records (IPMI 2.0 §43): how definitions of sensors become bytes.
//!
//! A sensor of values has a full record (type 01h), one of states a compact record (02h), one that only
//! generates events an event-only record (03h). Beside them stand the locators of the controller (12h) and of
//! its FRU inventory (11h).

use bmc::sensors::{Analog, Definition, Discrete, Kind, Threshold, Thresholds};

/// The version of the format, which is still that of IPMI 1.5 (§43.1).
pub(crate) const VERSION: u8 = 0x51;

const FULL: u8 = 0x01;
const COMPACT: u8 = 0x02;
const EVENT_ONLY: u8 = 0x03;
const FRU_LOCATOR: u8 = 0x11;
const CONTROLLER_LOCATOR: u8 = 0x12;

/// The controller's address on the IPMB, where it owns its sensors.
const BMC_ADDRESS: u8 = 0x20;
/// System board, which the FRU inventory describes; system management module, which the controller is.
const SYSTEM_BOARD: [u8; 2] = [0x07, 1];
const MANAGEMENT_MODULE: [u8; 2] = [0x06, 1];

/// The record of a sensor.
pub(crate) fn sensor(id: u16, definition: &Definition) -> Vec<u8> {
    match &definition.kind {
        Kind::Threshold(analog) => record(id, FULL, &full(definition, analog), &definition.name),
        Kind::Discrete(discrete) => record(id, COMPACT, &compact(definition, discrete), &definition.name),
        Kind::EventOnly(_) => record(id, EVENT_ONLY, &event_only(definition), &definition.name),
    }
}

/// The record that says where the controller is. `capabilities` are those of Get Device ID (§43.9).
pub(crate) fn controller_locator(id: u16, capabilities: u8, name: &str) -> Vec<u8> {
    let [entity, instance] = MANAGEMENT_MODULE;
    let body = [BMC_ADDRESS, 0, 0, capabilities, 0, 0, 0, entity, instance, 0];
    record(id, CONTROLLER_LOCATOR, &body, name)
}

/// The record that says where the FRU inventory is (§43.8): behind the controller's own FRU commands.
pub(crate) fn fru_locator(id: u16, device: u8, name: &str) -> Vec<u8> {
    const LOGICAL: u8 = 0x80;
    /// A FRU inventory device behind a management controller, of IPMI's own format (Table 43-12).
    const DEVICE_TYPE: [u8; 2] = [0x10, 0x00];

    let ([kind, modifier], [entity, instance]) = (DEVICE_TYPE, SYSTEM_BOARD);
    let body = [BMC_ADDRESS, device, LOGICAL, 0, 0, kind, modifier, entity, instance, 0];
    record(id, FRU_LOCATOR, &body, name)
}

/// Puts the header before a body and the name after it.
fn record(id: u16, kind: u8, body: &[u8], name: &str) -> Vec<u8> {
    /// 8-bit ASCII and Latin 1 (§43.15).
    const LATIN_1: u8 = 0xc0;
    const NAME_MAX: usize = 30;

    let name = name.as_bytes().get(..NAME_MAX).unwrap_or(name.as_bytes());
    let length = |bytes: usize| u8::try_from(bytes).unwrap_or(u8::MAX);
    let [low, high] = id.to_le_bytes();
    let mut record = vec![low, high, VERSION, kind, length(body.len() + 1 + name.len())];
    record.extend(body);
    record.push(LATIN_1 | length(name.len()));
    record.extend(name);
    record
}

/// Owner, number and entity: how all records of sensors begin.
fn key(definition: &Definition) -> [u8; 5] {
    const OWNER_LUN: u8 = 0;
    let entity = definition.entity;
    [BMC_ADDRESS, OWNER_LUN, definition.number, entity.id, entity.instance]
}

/// Sensor initialization: scanning and events are enabled, at power-up too.
const INIT: u8 = 0x63;
/// Thresholds and hysteresis are initialized too.
const INIT_LIMITS: u8 = 0x18;
/// Set Sensor Reading And Event Status works.
const SETTABLE: u8 = 0x80;

/// Sensor capabilities: it re-arms by itself.
const AUTO_REARM: u8 = 0x40;
/// Thresholds and hysteresis can be read and set.
const LIMITS_SETTABLE: u8 = 0x28;
/// It generates no events.
const NO_EVENTS: u8 = 0x03;

fn initialization(definition: &Definition) -> u8 {
    if definition.is_own() { INIT } else { INIT | SETTABLE }
}

/// The body of a full record (Table 43-1).
fn full(definition: &Definition, analog: &Analog) -> Vec<u8> {
    let Analog { unit, scale, normal, thresholds, hysteresis, .. } = analog;
    let mut body = key(definition).to_vec();
    if thresholds.mask() == 0 {
        body.extend([initialization(definition), AUTO_REARM | NO_EVENTS]);
    } else {
        body.extend([initialization(definition) | INIT_LIMITS, AUTO_REARM | LIMITS_SETTABLE]);
    }
    body.extend([definition.sensor_type, definition.event_type()]);
    body.extend(threshold_masks(thresholds));
    // Unsigned readings, no rate, no modifier unit; linear.
    body.extend([u8::from(unit.percent), unit.code, 0, 0]);
    body.extend(factors(scale));
    match normal {
        Some(normal) => body.extend([0x07, normal.nominal, normal.max, normal.min]),
        None => body.extend([0; 4]),
    }
    body.extend(if unit.percent { [scale.raw(100.0), scale.raw(0.0)] } else { [0xff, 0x00] });
    use Threshold as T;
    let in_order = [
        T::UpperNonRecoverable,
        T::UpperCritical,
        T::UpperNonCritical,
        T::LowerNonRecoverable,
        T::LowerCritical,
        T::LowerNonCritical,
    ];
    body.extend(in_order.map(|which| thresholds.get(which).unwrap_or(0)));
    body.extend([hysteresis.positive, hysteresis.negative]);
    // Two reserved bytes, and one for the vendor.
    body.extend([0; 3]);
    body
}

/// The three masks of a sensor with thresholds: which events it asserts and which lower thresholds are
/// compared; which it deasserts and which upper ones are; which can be read and set.
fn threshold_masks(thresholds: &Thresholds) -> [u8; 6] {
    let events = thresholds.events();
    let (lower, upper) = (u16::from(thresholds.mask() & 0x07), u16::from(thresholds.mask() >> 3));
    let [assert_low, assert_high] = (events | lower << 12).to_le_bytes();
    let [deassert_low, deassert_high] = (events | upper << 12).to_le_bytes();
    [assert_low, assert_high, deassert_low, deassert_high, thresholds.mask(), thresholds.mask()]
}

/// M, B and their exponents with tolerance and accuracy, which are exact: bytes 25 to 30 of a full record,
/// and what Get Sensor Reading Factors answers.
pub(crate) fn factors(scale: &bmc::sensors::Scale) -> [u8; 6] {
    let [m_low, m_high] = scale.m().to_le_bytes();
    let [b_low, b_high] = scale.b().to_le_bytes();
    let nibble = |exponent: i8| exponent.to_le_bytes()[0] & 0x0f;
    let exponents = nibble(scale.r_exponent()) << 4 | nibble(scale.b_exponent());
    [m_low, m_high << 6, b_low, b_high << 6, 0, exponents]
}

/// The body of a compact record (Table 43-2).
fn compact(definition: &Definition, discrete: &Discrete) -> Vec<u8> {
    /// There is no analog reading.
    const UNITS: [u8; 3] = [0xc0, 0, 0];
    /// One sensor, one record.
    const SHARING: [u8; 2] = [0x01, 0x00];

    let (asserted, deasserted) = definition.events();
    let mut body = key(definition).to_vec();
    body.extend([initialization(definition), AUTO_REARM]);
    body.extend([definition.sensor_type, definition.event_type()]);
    body.extend([asserted, deasserted, discrete.possible].map(u16::to_le_bytes).concat());
    body.extend(UNITS);
    body.extend(SHARING);
    // No hysteresis, three reserved bytes, and one for the vendor.
    body.extend([0; 6]);
    body
}

/// The body of an event-only record (Table 43-3).
fn event_only(definition: &Definition) -> Vec<u8> {
    const SHARING: [u8; 2] = [0x01, 0x00];

    let mut body = key(definition).to_vec();
    body.extend([definition.sensor_type, definition.event_type()]);
    body.extend(SHARING);
    body.extend([0; 2]);
    body
}

#[cfg(test)]
mod tests {
    use bmc::sensors::{number, standard};

    use super::*;

    fn of(name: &str, id: u16) -> Vec<u8> {
        sensor(id, standard().iter().find(|definition| definition.name == name).unwrap())
    }

    #[test]
    fn a_full_record() {
        let mut expected = vec![
            0x11, 0x00, 0x51, 0x01, 0x33, // header
            0x20, 0x00, 0x11, 0x03, 0x01, // owner, number, processor 1
            0xfb, 0x68, 0x01, 0x01, // initialization, capabilities, temperature, threshold
            // Asserted: lower going low, upper going high; lower ones compared. Deasserted: the same, upper
            // ones compared. Settable, readable.
            0x85, 0x3a, 0x85, 0x7a, 0x3b, 0x3b, //
            0x00, 0x01, 0x00, 0x00, // unsigned, degrees Celsius, linear
            0x01, 0x00, 0x80, 0xc0, 0x00, 0x00, // M = 1, B = -128
            0x07, 0xa6, 0xcb, 0xa5, // nominal, normal maximum and minimum
            0xff, 0x00, // sensor maximum and minimum
            0xe4, 0xda, 0xd5, 0x00, 0x80, 0x85, // thresholds
            0x01, 0x01, 0x00, 0x00, 0x00, // hysteresis, reserved, OEM
            0xc8,
        ];
        expected.extend(b"CPU Temp");
        assert_eq!(of("CPU Temp", 0x11), expected);
    }

    #[test]
    fn a_value_without_thresholds_generates_no_events() {
        let record = of("CPU Usage", 0x30);
        assert_eq!(record[10..12], [0xe3, 0x43]);
        assert_eq!(record[14..20], [0; 6]);
        assert_eq!(record[20..22], [0x01, 0x00], "per cent");
        assert_eq!(record[34..36], [100, 0], "it ends at 100");
    }

    #[test]
    fn a_fraction_has_a_negative_exponent() {
        let record = of("12V", 0x20);
        assert_eq!(record[24..30], [6, 0, 0, 0, 0, 0xe0]);
    }

    #[test]
    fn a_compact_record() {
        let mut expected = vec![
            0x29, 0x00, 0x51, 0x02, 0x26, // header
            0x20, 0x00, 0x29, 0x0a, 0x01, // owner, number, power supply 1
            0xe3, 0x40, 0x08, 0x6f, // initialization, capabilities, power supply, sensor-specific
            0x7f, 0x00, 0x7f, 0x00, 0x7f, 0x00, // masks
            0xc0, 0x00, 0x00, // no analog reading
            0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // sharing, hysteresis, reserved, OEM
            0xcb,
        ];
        expected.extend(b"PSU1 Status");
        assert_eq!(of("PSU1 Status", 0x29), expected);
    }

    #[test]
    fn an_event_only_record() {
        let mut expected = vec![
            0x03, 0x00, 0x51, 0x03, 0x13, // header
            0x20, 0x00, 0x03, 0x06, 0x01, // owner, number, management module 1
            0x1d, 0x6f, // boot initiated, sensor-specific
            0x01, 0x00, 0x00, 0x00, // sharing, reserved, OEM
            0xc7,
        ];
        expected.extend(b"Restart");
        assert_eq!(of("Restart", u16::from(number::RESTART)), expected);
    }

    #[test]
    fn locators() {
        let mut expected = vec![0x00, 0x01, 0x51, 0x12, 0x0e, 0x20, 0, 0, 0x8f, 0, 0, 0, 0x06, 0x01, 0, 0xc3];
        expected.extend(b"BMC");
        assert_eq!(controller_locator(0x0100, 0x8f, "BMC"), expected);
        let mut expected =
            vec![0x01, 0x01, 0x51, 0x11, 0x0e, 0x20, 0, 0x80, 0, 0, 0x10, 0, 0x07, 0x01, 0, 0xc3];
        expected.extend(b"FRU");
        assert_eq!(fru_locator(0x0101, 0, "FRU"), expected);
    }

    #[test]
    fn every_record_says_how_long_it_is_and_fits_into_one_answer() {
        for definition in standard() {
            let record = sensor(1, &definition);
            assert_eq!(usize::from(record[4]), record.len() - 5, "{}", definition.name);
            assert!(record.len() <= 64, "{}", definition.name);
        }
    }
}
