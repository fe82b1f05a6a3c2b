//! The names that the file has for types and entities of the specification.

use bmc::sensors::{Entity, Unit};

/// A type of sensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    pub(super) name: &'static str,
    /// Its number in Table 42-3.
    pub(super) code: u8,
    /// The unit of its values, if it has values and nothing else is said.
    pub(super) unit: Option<Unit>,
    /// The entity that it belongs to if nothing else is said.
    entity: u8,
}

const fn values(name: &'static str, code: u8, unit: Unit, entity: u8) -> Type {
    Type { name, code, unit: Some(unit), entity }
}

const fn states(name: &'static str, code: u8, entity: u8) -> Type {
    Type { name, code, unit: None, entity }
}

const BOARD: u8 = 0x07;
const OTHER: u8 = 0x0b;

/// The types that have names.
pub(super) const TYPES: &[Type] = &[
    values("temperature", 0x01, Unit::CELSIUS, BOARD),
    values("voltage", 0x02, Unit::VOLTS, BOARD),
    values("current", 0x03, Unit::AMPS, BOARD),
    values("fan", 0x04, Unit::RPM, 0x1d),
    values("power", OTHER, Unit::WATTS, 0x0a),
    values("percentage", OTHER, Unit::PERCENT, BOARD),
    values("other", OTHER, Unit::UNSPECIFIED, BOARD),
    states("physical-security", 0x05, 0x17),
    states("processor", 0x07, 0x03),
    states("power-supply", 0x08, 0x0a),
    states("cooling", 0x0a, 0x1e),
    states("memory", 0x0c, 0x08),
    states("drive", 0x0d, 0x04),
    states("slot", 0x21, 0x0b),
    states("presence", 0x25, BOARD),
    states("lan", 0x27, 0x0b),
    states("battery", 0x29, 0x28),
];

/// The type of this name, or of this number.
pub(super) fn sensor_type(name: &str) -> Option<Type> {
    if let Some(known) = TYPES.iter().find(|known| known.name == name) {
        return Some(*known);
    }
    let code = name.parse().ok().filter(|code| (0x01..=0xff).contains(code))?;
    Some(Type { name: "other", code, unit: Some(Unit::UNSPECIFIED), entity: BOARD })
}

/// Entities of Table 43-13.
const ENTITIES: &[(&str, u8)] = &[
    ("processor", 0x03),
    ("disk", 0x04),
    ("management-module", 0x06),
    ("system-board", 0x07),
    ("memory", 0x08),
    ("power-supply", 0x0a),
    ("add-in-card", 0x0b),
    ("front-panel", 0x0c),
    ("chassis", 0x17),
    ("fan", 0x1d),
    ("cooling-unit", 0x1e),
    ("memory-device", 0x20),
    ("battery", 0x28),
    ("air-inlet", 0x37),
];

/// The names of entities, for messages.
pub(super) fn entities() -> String {
    ENTITIES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// An entity as it is written: its name or number and, after a dot, which of them it is.
pub(super) fn entity(text: &str) -> Option<Entity> {
    let (name, instance) = text.split_once('.').unwrap_or((text, "1"));
    let id = match ENTITIES.iter().find(|(known, _)| *known == name) {
        Some((_, id)) => *id,
        None => name.parse().ok()?,
    };
    let instance = instance.parse().ok().filter(|instance| (1..=0x5f).contains(instance))?;
    Some(Entity::new(id, instance))
}

impl Type {
    pub(super) fn usual_entity(&self) -> Entity {
        Entity::new(self.entity, 1)
    }
}
