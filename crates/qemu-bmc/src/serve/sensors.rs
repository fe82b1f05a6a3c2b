//! `qemu-bmc sensor`, at the end that answers: what sensors read, and what they are made to read.

use std::time::Instant;

use bmc::{
    Bmc,
    sensors::{Definition, Injection, Kind, Sensor, Threshold, states},
};
use serde::{Deserialize, Serialize};

/// A sensor as people are shown it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SensorLine {
    /// Its number.
    pub(crate) number: u8,
    /// Its name.
    pub(crate) name: String,
    /// What it reads, with the unit.
    pub(crate) reading: String,
    /// The worst threshold that is crossed, if one is.
    pub(crate) crossed: Option<String>,
    /// Whether it was set.
    pub(crate) set: bool,
}

/// All sensors that can be read.
pub(crate) fn list(bmc: &mut Bmc) -> Vec<SensorLine> {
    let sensors = bmc.read_sensors(Instant::now()).iter();
    let readable = sensors.filter(|sensor| !matches!(sensor.definition().kind, Kind::EventOnly(_)));
    readable
        .map(|sensor| {
            let Definition { number, name, .. } = sensor.definition();
            SensorLine {
                number: *number,
                name: name.clone(),
                reading: sensor.describe(sensor.reading()),
                crossed: worst(sensor).map(|threshold| threshold.name().to_owned()),
                set: sensor.is_injected(),
            }
        })
        .collect()
}

/// The worst threshold that the reading has reached.
fn worst(sensor: &Sensor) -> Option<Threshold> {
    let comparison = sensor.thresholds().comparison(sensor.raw()?);
    let reached = Threshold::ALL.into_iter().filter(|which| comparison & which.bit() != 0);
    // Within the lower ones and within the upper ones, the order is that of severity.
    reached.max_by_key(|which| *which as u8 % 3)
}

/// Makes a sensor read what is said. Returns what it reads now.
///
/// # Errors
/// Why it can't, in a sentence.
pub(crate) fn set(bmc: &mut Bmc, name: &str, text: &str) -> Result<String, String> {
    let sensor = bmc.sensors().named(name).ok_or_else(|| format!("there is no sensor {name:?}"))?;
    let injection = injection(sensor.definition(), text)?;
    bmc.inject(Instant::now(), name, injection).map_err(|error| error.to_string())?;
    let sensor = bmc.sensors().named(name).ok_or("it is gone")?;
    Ok(format!("{name}: {}", sensor.describe(sensor.reading())))
}

/// What a text means for a sensor of this kind.
fn injection(definition: &Definition, text: &str) -> Result<Injection, String> {
    let name = &definition.name;
    if text == "unavailable" {
        return Ok(Injection::Unavailable);
    }
    if definition.analog().is_some() {
        let value = text.parse().ok().filter(|value: &f64| value.is_finite());
        let value = value.ok_or_else(|| format!("{name} takes a number, or unavailable; got {text:?}"))?;
        return Ok(Injection::Value(value));
    }
    let (event_type, sensor_type) = (definition.event_type(), definition.sensor_type);
    text.split(',')
        .try_fold(0, |all, word| {
            states::states_named(event_type, sensor_type, word.trim()).map(|states| all | states)
        })
        .map(Injection::States)
        .ok_or_else(|| {
            let known = states::names(event_type, sensor_type).iter().map(|(known, _)| format!("{known}, "));
            let known: String = known.collect();
            format!(
                "{name} takes {known}none, unavailable, or offsets from 0 to 14 with commas; got {text:?}"
            )
        })
}

/// Lets one sensor, or all, read what they would.
///
/// # Errors
/// Why it can't, in a sentence.
pub(crate) fn clear(bmc: &mut Bmc, name: Option<&str>) -> Result<String, String> {
    let before = bmc.sensors().iter().filter(|sensor| sensor.is_injected()).count();
    bmc.clear_injected(Instant::now(), name).map_err(|error| error.to_string())?;
    let after = bmc.sensors().iter().filter(|sensor| sensor.is_injected()).count();
    Ok(match before - after {
        0 => "nothing was set".to_owned(),
        1 => "one sensor reads by itself again".to_owned(),
        count => format!("{count} sensors read by themselves again"),
    })
}

#[cfg(test)]
mod tests {
    use bmc::{Fact, Identity, Lan, Users};

    use super::*;

    fn bmc() -> Bmc {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.on_fact(Instant::now(), Fact::Started);
        bmc
    }

    #[test]
    fn numbers_and_states_are_set_and_taken_back() {
        let mut bmc = bmc();
        assert_eq!(set(&mut bmc, "FAN1", "0").unwrap(), "FAN1: 0 RPM");
        assert_eq!(set(&mut bmc, "PSU1 Status", "failed").unwrap(), "PSU1 Status: failed");
        assert_eq!(set(&mut bmc, "PSU1 Status", "0, 3").unwrap(), "PSU1 Status: input-lost");
        assert_eq!(set(&mut bmc, "CPU Temp", "unavailable").unwrap(), "CPU Temp: unavailable");
        let lines = list(&mut bmc);
        assert!(lines.iter().any(|line| (&*line.name, &*line.reading) == ("Power State", "working")));
        let fan = lines.iter().find(|line| line.name == "FAN1").unwrap();
        assert_eq!((fan.crossed.as_deref(), fan.set), (Some("lower-non-recoverable"), true));
        assert_eq!(clear(&mut bmc, Some("FAN1")).unwrap(), "one sensor reads by itself again");
        assert_eq!(clear(&mut bmc, None).unwrap(), "2 sensors read by themselves again");
        assert_eq!(clear(&mut bmc, None).unwrap(), "nothing was set");
    }

    #[test]
    fn what_can_not_be_set_says_what_can() {
        let mut bmc = bmc();
        let mut refused = |name, text| set(&mut bmc, name, text).unwrap_err();
        assert_eq!(refused("FAN9", "0"), "there is no sensor \"FAN9\"");
        assert_eq!(refused("FAN1", "failed"), "FAN1 takes a number, or unavailable; got \"failed\"");
        assert!(refused("PSU1 Status", "12V").starts_with("PSU1 Status takes present, absent, failed, "));
        assert!(refused("Power State", "0").contains("own state"));
        assert_eq!(clear(&mut bmc, Some("FAN9")).unwrap_err(), "there is no sensor \"FAN9\"");
    }
}
