//! States by the names that people give them: for the sensors file and for what is injected.

use super::Definition;
use crate::SENSOR_SPECIFIC;

/// A row: event/reading type, sensor type (of no matter for generic ones), and names with what they stand for.
type Row = (u8, Option<u8>, &'static [(&'static str, u16)]);

/// What has failed is present: one name can stand for several states.
const NAMES: &[Row] = &[
    (0x03, None, &[("ok", 0b1), ("asserted", 0b10)]),
    (0x04, None, &[("ok", 0b1), ("predictive-failure", 0b10)]),
    (0x05, None, &[("ok", 0b1), ("limit-exceeded", 0b10)]),
    (0x06, None, &[("ok", 0b1), ("degraded", 0b10)]),
    (0x07, None, &[("ok", 0b1), ("non-critical", 0b10), ("critical", 0b100), ("failed", 0b1000)]),
    (0x08, None, &[("absent", 0b1), ("present", 0b10)]),
    (0x09, None, &[("disabled", 0b1), ("enabled", 0b10)]),
    (0x0a, None, &[("running", 0b1), ("power-off", 0b100), ("on-line", 0b1000), ("failed", 0x100)]),
    (0x0b, None, &[("fully-redundant", 0b1), ("redundancy-lost", 0b10), ("redundancy-degraded", 0b100)]),
    (SENSOR_SPECIFIC, Some(0x05), &[("ok", 0), ("chassis-intrusion", 0b1), ("lan-unplugged", 0b1_0000)]),
    (
        SENSOR_SPECIFIC,
        Some(0x07),
        &[("present", 0x80), ("absent", 0), ("ierr", 0x81), ("thermal-trip", 0x82), ("throttled", 0x480)],
    ),
    (
        SENSOR_SPECIFIC,
        Some(0x08),
        &[
            ("present", 0b1),
            ("absent", 0),
            ("failed", 0b11),
            ("predictive-failure", 0b101),
            ("input-lost", 0b1001),
            ("configuration-error", 0b100_0001),
        ],
    ),
    (
        SENSOR_SPECIFIC,
        Some(0x0c),
        &[("ok", 0), ("correctable-error", 0b1), ("uncorrectable-error", 0b10), ("present", 0x40)],
    ),
    (
        SENSOR_SPECIFIC,
        Some(0x0d),
        &[
            ("present", 0b1),
            ("absent", 0),
            ("failed", 0b11),
            ("predictive-failure", 0b101),
            ("rebuilding", 0x81),
        ],
    ),
    (SENSOR_SPECIFIC, Some(0x09), &[("on", 0), ("off", 0b1), ("failed", 0x40)]),
    (SENSOR_SPECIFIC, Some(0x10), &[("ok", 0), ("cleared", 0b100), ("full", 0x10), ("almost-full", 0x20)]),
    (SENSOR_SPECIFIC, Some(0x1f), &[("unknown", 0)]),
    (SENSOR_SPECIFIC, Some(0x20), &[("ok", 0), ("panic", 0b10), ("shut-down", 0b1000)]),
    (SENSOR_SPECIFIC, Some(0x21), &[("fault", 0b1), ("present", 0b100), ("absent", 0)]),
    (SENSOR_SPECIFIC, Some(0x22), &[("working", 0b1), ("soft-off", 0x20)]),
    (SENSOR_SPECIFIC, Some(0x23), &[("ok", 0), ("expired", 0b1), ("reset", 0b10), ("power-off", 0b100)]),
    (SENSOR_SPECIFIC, Some(0x25), &[("present", 0b1), ("absent", 0b10), ("disabled", 0b100)]),
    (SENSOR_SPECIFIC, Some(0x27), &[("link-down", 0b1), ("link-up", 0b10)]),
    (SENSOR_SPECIFIC, Some(0x29), &[("ok", 0), ("low", 0b1), ("failed", 0b10), ("present", 0b100)]),
];

/// The states that are called so by sensors of this kind. Every kind knows "none", and offsets by number.
pub fn states_named(event_type: u8, sensor_type: u8, name: &str) -> Option<u16> {
    if let Ok(offset) = name.parse::<u8>() {
        return (offset < 15).then(|| 1 << offset);
    }
    if name == "none" {
        return Some(0);
    }
    names(event_type, sensor_type).iter().find(|(known, _)| *known == name).map(|(_, states)| *states)
}

/// The names that states of this kind have.
pub fn names(event_type: u8, sensor_type: u8) -> &'static [(&'static str, u16)] {
    NAMES
        .iter()
        .find(|(of, kind, _)| *of == event_type && kind.is_none_or(|kind| kind == sensor_type))
        .map_or(&[], |(.., names)| *names)
}

/// The states in words, for people.
pub(super) fn describe(definition: &Definition, states: u16) -> String {
    let named = names(definition.event_type(), definition.sensor_type);
    if let Some((name, _)) = named.iter().find(|(_, of)| *of == states) {
        return (*name).to_owned();
    }
    let offsets: Vec<_> = (0..15).filter(|offset| states & 1 << offset != 0).map(|o| o.to_string()).collect();
    if offsets.is_empty() { "none".into() } else { offsets.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_power_supply_is_present() {
        assert_eq!(states_named(SENSOR_SPECIFIC, 0x08, "failed"), Some(0b11));
        assert_eq!(states_named(SENSOR_SPECIFIC, 0x08, "absent"), Some(0));
        assert_eq!(states_named(0x08, 0x04, "absent"), Some(1), "generic device presence");
    }

    #[test]
    fn offsets_and_none_are_known_everywhere() {
        assert_eq!(states_named(0x70, 0xc0, "14"), Some(1 << 14));
        assert_eq!(states_named(0x70, 0xc0, "15"), None);
        assert_eq!(states_named(0x70, 0xc0, "none"), Some(0));
        assert_eq!(states_named(0x70, 0xc0, "failed"), None);
    }
}
