//! What is kept of sensors over a restart: the thresholds that somebody set.

use serde::{Deserialize, Serialize};

use super::{Hysteresis, Sensor, Thresholds};

/// The limits of all sensors that are not as their definitions have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SavedSensors(Vec<SavedLimits>);

/// They hold as long as the definition has the limits that they replaced: who changes those means it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedLimits {
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
        let absent = earlier.0.iter().filter(absent).cloned();
        let present = sensors.iter().filter_map(|sensor| {
            let replaced = defined(sensor)?;
            let limits = Limits { thresholds: sensor.thresholds(), hysteresis: sensor.hysteresis() };
            let name = sensor.definition().name.clone();
            (limits != replaced).then_some(SavedLimits { name, replaced, limits })
        });
        Self(present.chain(absent).collect())
    }

    pub(super) fn apply(&self, sensor: &mut Sensor) {
        let name = &sensor.definition().name;
        let Some(saved) = self.0.iter().find(|saved| saved.name == *name) else { return };
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
