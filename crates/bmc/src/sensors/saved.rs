//! What is kept of sensors over a restart: the thresholds that somebody set, and when the records changed.

use serde::{Deserialize, Serialize};

use super::{Definition, Hysteresis, Sensor, Thresholds};

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedSensors {
    pub(super) stamp: Stamp,
    /// The limits of all sensors that are not as their definitions have them.
    pub(super) limits: Vec<SavedLimits>,
}

/// When the records last changed, and from what they were made. Clients keep the records of a repository
/// whose time stamps stay, so these must change with the records and not with every start of the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stamp {
    pub(super) fingerprint: u64,
    pub(super) at: u32,
}

/// A number that is another one when records made from these definitions would be (FNV-1a).
pub(super) fn fingerprint<'a>(definitions: impl Iterator<Item = &'a Definition>) -> u64 {
    let text = definitions
        .fold(env!("CARGO_PKG_VERSION").to_owned(), |text, definition| format!("{text}\n{definition:?}"));
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// They hold as long as the definition has the limits that they replaced: who changes those means it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedLimits {
    name: String,
    replaced: Limits,
    limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Limits {
    thresholds: Thresholds,
    hysteresis: Hysteresis,
}

impl SavedSensors {
    /// What these sensors have that their definitions do not, and what is still kept for others.
    pub(super) fn of(sensors: &[Sensor], earlier: &Self) -> Self {
        let absent =
            |saved: &&SavedLimits| sensors.iter().all(|sensor| sensor.definition().name != saved.name);
        let absent = earlier.limits.iter().filter(absent).cloned();
        let present = sensors.iter().filter_map(|sensor| {
            let replaced = defined(sensor)?;
            let limits = Limits { thresholds: sensor.thresholds(), hysteresis: sensor.hysteresis() };
            let name = sensor.definition().name.clone();
            (limits != replaced).then_some(SavedLimits { name, replaced, limits })
        });
        Self { limits: present.chain(absent).collect(), ..Self::default() }
    }

    pub(super) fn apply(&self, sensor: &mut Sensor) {
        let name = &sensor.definition().name;
        let Some(saved) = self.limits.iter().find(|saved| saved.name == *name) else { return };
        let Limits { thresholds, hysteresis } = saved.limits;
        if defined(sensor) == Some(saved.replaced) && thresholds.mask() == sensor.thresholds().mask() {
            sensor.set_thresholds(thresholds);
            sensor.set_hysteresis(hysteresis);
        }
    }
}

fn defined(sensor: &Sensor) -> Option<Limits> {
    let analog = sensor.definition().analog()?;
    Some(Limits { thresholds: analog.thresholds, hysteresis: analog.hysteresis })
}
