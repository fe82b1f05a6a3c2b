//! A sensor in the making: what the file says of it over what the standard one has, in the unit of its values.

use std::time::Duration;

use bmc::{
    SENSOR_SPECIFIC, THRESHOLD,
    sensors::{
        Analog, Definition, Discrete, Entity, Hysteresis, Kind, Normal, Quantity, Scale, Source, StateSource,
        Threshold, Thresholds, Unit, states,
    },
};

use super::{
    entry::Entry,
    names::{self, TYPES, Type},
};

/// What follows it takes longer than a day to come near.
const INERTIA_MAX: f64 = 86_400.0;

/// What is said of values, and of nothing else.
const OF_VALUES: [&str; 8] = ["unit", "value", "range", "follows", "inertia", "noise", "scale", "hysteresis"];

/// A sensor in the making.
pub(super) struct Draft {
    sensor_type: u8,
    entity: Entity,
    standby: bool,
    kind: Drafted,
}

enum Drafted {
    Values(Box<Values>),
    States(Discrete),
}

struct Values {
    unit: Unit,
    source: Source,
    thresholds: Vec<(Threshold, f64)>,
    /// In the unit of values, or in steps of the scale that is kept.
    hysteresis: Option<f64>,
    /// Of the standard sensor, if it has values.
    base: Option<Analog>,
}

impl Draft {
    /// Reads what is said. None if that is a problem, which was noted.
    pub(super) fn read(entry: &mut Entry<'_>, base: Option<&Definition>) -> Option<Self> {
        let kind = match (entry.word("type"), base) {
            (Some(name), _) => match names::sensor_type(&name) {
                Some(known) => Some(known),
                None => {
                    let known: Vec<_> = TYPES.iter().map(|known| known.name).collect();
                    entry.problem_at("type", format!("got {name:?}; takes {}", known.join(", ")));
                    return None;
                }
            },
            (None, Some(_)) => None,
            (None, None) => {
                entry.problem("there is no sensor of this name yet, so it needs a type");
                return None;
            }
        };
        let entity = read_entity(entry);
        let standby = entry.flag("standby");
        let usual = kind.map(|kind| kind.usual_entity());
        let of_values = match (entry.has("states"), entry.has("value") || entry.has("range")) {
            (true, true) => {
                entry.problem("it has both a value and states");
                return None;
            }
            (true, false) => false,
            (false, true) => true,
            (false, false) => match base.map(|base| &base.kind) {
                Some(base) => matches!(base, Kind::Threshold(_)),
                None => {
                    entry.problem("it needs a value, a range or states");
                    return None;
                }
            },
        };
        let sensor_type = kind.map(|kind| kind.code).or(base.map(|base| base.sensor_type))?;
        let kind = if of_values {
            Drafted::Values(Box::new(Values::read(entry, kind, base.and_then(Definition::analog))?))
        } else {
            Drafted::States(read_states(entry, sensor_type, base)?)
        };
        Some(Self {
            sensor_type,
            entity: entity?
                .or(usual.filter(|_| base.is_none()))
                .or(base.map(|base| base.entity))
                .or(usual)?,
            standby: standby.unwrap_or_else(|| base.is_some_and(|base| base.standby)),
            kind,
        })
    }

    /// Makes a definition of it. None if it can't be one, which was noted.
    pub(super) fn build(self, entry: &mut Entry<'_>, number: u8, name: String) -> Option<Definition> {
        let kind = match self.kind {
            Drafted::Values(values) => Kind::Threshold(values.build(entry)?),
            Drafted::States(discrete) => Kind::Discrete(discrete),
        };
        let Self { sensor_type, entity, standby, .. } = self;
        Some(Definition { number, name, sensor_type, entity, standby, kind })
    }
}

/// The entity: none if it is not said, a problem if it is no entity.
fn read_entity(entry: &mut Entry<'_>) -> Option<Option<Entity>> {
    let Some(text) = entry.word("entity") else { return Some(None) };
    let entity = names::entity(&text);
    if entity.is_none() {
        let takes = names::entities();
        entry.problem_at("entity", format!("got {text:?}; takes a number or one of {takes}, and .1 to .95"));
    }
    entity.map(Some)
}

impl Values {
    fn read(entry: &mut Entry<'_>, kind: Option<Type>, base: Option<&Analog>) -> Option<Self> {
        let unit = match entry.text("unit") {
            None => {
                kind.and_then(|kind| kind.unit).or(base.map(|base| base.unit)).unwrap_or(Unit::UNSPECIFIED)
            }
            Some(name) => match Unit::from_name(&name) {
                Some(unit) => unit,
                None => {
                    let known: Vec<_> = Unit::ALL.iter().map(|unit| unit.name).collect();
                    entry.problem_at("unit", format!("got {name:?}; takes {}", known.join(", ")));
                    return None;
                }
            },
        };
        let source = read_source(entry, base)?;
        let thresholds = Threshold::ALL.into_iter().filter_map(|which| {
            let of_base = base.and_then(|base| Some(base.scale.value(base.thresholds.get(which)?)));
            let said = entry.number(&which.name().replace('-', "_"));
            Some((which, said.or(of_base)?))
        });
        let thresholds = thresholds.collect();
        let hysteresis = entry.size("hysteresis");
        Some(Self { unit, source, thresholds, hysteresis, base: base.cloned() })
    }

    fn build(self, entry: &mut Entry<'_>) -> Option<Analog> {
        let scale = self.scale(entry)?;
        let (low, high) = (scale.value(0), scale.value(u8::MAX));
        let mut thresholds = Thresholds::default();
        for (which, value) in &self.thresholds {
            if !(low..=high).contains(value) {
                let key = which.name().replace('-', "_");
                entry.problem_at(&key, format!("{value} is not within {low} to {high}, which is its scale"));
                return None;
            }
            thresholds = thresholds.with(*which, scale.raw(*value));
        }
        if !thresholds.are_in_order() {
            entry.problem(
                "its thresholds are not in order, from lower non-recoverable to upper non-recoverable",
            );
            return None;
        }
        let hysteresis = match (self.hysteresis, &self.base) {
            (Some(value), _) => {
                let steps = scale.raw(low + value);
                Hysteresis { positive: steps, negative: steps }
            }
            (None, Some(base)) if base.scale == scale => base.hysteresis,
            (None, _) => Hysteresis { positive: 1, negative: 1 },
        };
        let Source { idle, full, .. } = self.source;
        let normal = Normal {
            nominal: scale.raw(idle),
            max: scale.raw(idle.max(full)).saturating_add(1),
            min: scale.raw(idle.min(full)).saturating_sub(1),
        };
        let normal = Some(normal);
        Some(Analog { unit: self.unit, scale, normal, thresholds, hysteresis, source: self.source })
    }

    /// The scale that is said, else that of the standard sensor if everything fits, else one with some room.
    fn scale(&self, entry: &mut Entry<'_>) -> Option<Scale> {
        const ROOM: f64 = 0.25;

        let Source { idle, full, off, .. } = self.source;
        if let Some((low, high)) = entry.pair("scale") {
            let scale = Scale::covering(low, high);
            if scale.is_none() {
                entry.problem_at("scale", "takes the lowest and the highest value, in this order");
            }
            return scale;
        }
        let values = || self.thresholds.iter().map(|(_, value)| *value).chain([idle, full, off]);
        let (low, high) =
            values().fold((0.0f64, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
        let of_base = self.base.as_ref().map(|base| base.scale);
        let fits = |scale: &Scale| scale.value(0) <= low && high <= scale.value(u8::MAX);
        if let Some(scale) = of_base.filter(fits) {
            return Some(scale);
        }
        let room = (high - low) * ROOM;
        let high = if room > 0.0 { high + room } else { high + 1.0 };
        let scale = Scale::covering(if low < 0.0 { low - room } else { low }, high);
        if scale.is_none() {
            entry.problem("its values are too far apart for a reading of one byte");
        }
        scale
    }
}

fn read_source(entry: &mut Entry<'_>, base: Option<&Analog>) -> Option<Source> {
    let mut source = base.map_or(Source::steady(0.0), |base| base.source);
    match (entry.has("value"), entry.has("range")) {
        (true, true) => {
            entry.problem("it has both a value and a range");
            return None;
        }
        (true, false) => source = Source { jitter: source.jitter, ..Source::steady(entry.number("value")?) },
        (false, true) => {
            (source.idle, source.full) = entry.pair("range")?;
            source.off = source.idle;
        }
        (false, false) => {}
    }
    source.jitter = entry.size("noise").unwrap_or(source.jitter);
    source.off = entry.number("off").unwrap_or(source.off);
    if let Some(seconds) = entry.size("inertia") {
        source.inertia = Duration::from_secs_f64(seconds.min(INERTIA_MAX));
    }
    if let Some(name) = entry.text("follows") {
        source.follows = match name.as_str() {
            "load" => Quantity::Cpu,
            "memory" => Quantity::Memory,
            "disk" => Quantity::Disk,
            _ => {
                entry.problem_at("follows", format!("got {name:?}; takes load, memory or disk"));
                return None;
            }
        };
    }
    Some(source)
}

fn read_states(entry: &mut Entry<'_>, sensor_type: u8, base: Option<&Definition>) -> Option<Discrete> {
    let thresholds = Threshold::ALL.map(|which| which.name().replace('-', "_"));
    let keys = OF_VALUES.into_iter().chain(thresholds.iter().map(String::as_str));
    if let Some(key) = keys.into_iter().find(|key| entry.has(key)) {
        entry.problem_at(key, "a sensor of states has none");
        return None;
    }
    let base = base.and_then(|base| match &base.kind {
        Kind::Discrete(discrete) => Some(discrete),
        Kind::Threshold(_) | Kind::EventOnly(_) => None,
    });
    let event_type = match entry.number("event_type") {
        None => base.map_or(SENSOR_SPECIFIC, |base| base.event_type),
        Some(number) => {
            let known = (THRESHOLD + 1..=0x0c).chain([SENSOR_SPECIFIC]);
            let Some(known) = known.into_iter().find(|known| f64::from(*known) == number) else {
                entry.problem_at("event_type", "takes 0x02 to 0x0c, or 0x6f");
                return None;
            };
            known
        }
    };
    let Some(words) = entry.words("states") else {
        // Without them there was a base, or a problem that was noted.
        return base.map(|base| Discrete { event_type, ..base.clone() });
    };
    let names = states::names(event_type, sensor_type);
    let mut initial = 0;
    for word in words {
        let Some(states) = states::states_named(event_type, sensor_type, &word) else {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            let known = if known.is_empty() { String::new() } else { format!(", {}", known.join(", ")) };
            entry.problem_at("states", format!("got {word:?}; takes 0 to 14, none{known}"));
            return None;
        };
        initial |= states;
    }
    let named = names.iter().fold(0, |all, (_, states)| all | states);
    let possible = if names.is_empty() { 0x7fff } else { named } | initial;
    Some(Discrete { event_type, possible, source: StateSource::Fixed(initial) })
}
