//! Sensors: what they are, what they read, and what of that makes events (IPMI 2.0 §35, §36, §43).
//!
//! A [`Definition`] says what a sensor is, and a record of the repository is made from it; [`standard`] has
//! those that are there unless a sensors file says otherwise. A [`Sensor`] is one as it is now.
//!
//! ```text
//!   Load, sampled while the machine is on ─▶ advance ─┐
//!   power state, ACPI state ──────────────────────────┼─▶ read ─▶ events ─▶ Bmc::platform_event
//!   Injection ────────────────────────────────────────┘
//! ```
//!
//! Values are functions of load and time alone. What strays, strays by a function of the count of samples.

mod definition;
pub mod number;
mod power_meter;
mod saved;
mod scale;
mod sensor;
mod standard;
pub mod states;
mod threshold;
mod unit;

use std::time::{Duration, Instant};

pub use definition::{
    Analog, Definition, Discrete, Entity, Kind, NAME_MAX, Normal, Quantity, Source, StateSource,
};
pub use power_meter::PowerReading;
pub(crate) use saved::SavedSensors;
use saved::{Stamp, fingerprint};
pub use scale::Scale;
pub use sensor::{Enables, Reading, Sensor};
pub use standard::standard;
pub use threshold::{Hysteresis, Threshold, Thresholds};
pub use unit::Unit;

use crate::{
    AcpiSystemState, Bmc, Event, Fact, Generator, HostPower, PlatformEvent,
    nics::{link_sensor, link_state},
};

/// What goes on in the guest: each a share between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Of the processors' time.
    pub cpu: f64,
    /// Of the memory.
    pub memory: f64,
    /// Of the time, in which a disk had something to do.
    pub disk: f64,
}

/// What somebody wants a sensor to read, in place of what it would.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Injection {
    /// A value in the sensor's unit.
    Value(f64),
    /// States, a bit each offset.
    States(u16),
    /// Nothing.
    Unavailable,
}

/// Why a sensor was not made to read something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// Nothing is called so.
    #[error("there is no sensor {0:?}")]
    Unknown(String),
    /// It is the controller's own.
    #[error("{0:?} shows the controller's own state, which can't be set")]
    Own(String),
    /// It reads something else.
    #[error("{0:?} takes {1}")]
    Kind(String, &'static str),
}

/// All sensors.
#[derive(Debug)]
pub struct Sensors {
    sensors: Vec<Sensor>,
    /// What there is beside the sensors of links.
    definitions: Vec<Definition>,
    /// The sensors of the NICs' links by name, and whether there is a link.
    links: Vec<(String, bool)>,
    /// Counts samples; what strays follows it.
    samples: u32,
    sampled: Option<Instant>,
    meter: power_meter::PowerMeter,
    /// Counts changes of which sensors there are.
    population: u32,
    /// What the records were made from when they last changed, and when that was.
    stamp: Stamp,
    /// What was saved, for sensors that a file may bring yet.
    saved: SavedSensors,
}

impl Default for Sensors {
    fn default() -> Self {
        Self::of(standard())
    }
}

impl Sensors {
    fn of(definitions: Vec<Definition>) -> Self {
        let mut sensors: Vec<_> = definitions.iter().cloned().map(Sensor::new).collect();
        sensors.sort_by_key(|sensor| sensor.definition().number);
        Self {
            sensors,
            definitions,
            links: Vec::new(),
            samples: 0,
            sampled: None,
            meter: power_meter::PowerMeter::default(),
            population: 0,
            stamp: Stamp::default(),
            saved: SavedSensors::default(),
        }
    }
}

impl Sensors {
    /// All, in the order of their numbers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Sensor> {
        self.sensors.iter()
    }

    /// The sensor of this number.
    pub fn get(&self, number: u8) -> Option<&Sensor> {
        self.sensors.iter().find(|sensor| sensor.definition().number == number)
    }

    /// The sensor of this name.
    pub fn named(&self, name: &str) -> Option<&Sensor> {
        self.sensors.iter().find(|sensor| sensor.definition().name == name)
    }

    /// Temperature sensors of an entity, whichever of the ids is used for it: DCMI knows inlet, processor and
    /// board by two each (DCMI 1.5 §6.5.2).
    pub fn temperatures(&self, entities: &[u8]) -> impl Iterator<Item = &Sensor> {
        self.sensors.iter().filter(move |sensor| {
            let definition = sensor.definition();
            let celsius = definition.analog().is_some_and(|analog| analog.unit == Unit::CELSIUS);
            celsius && entities.contains(&definition.entity.id)
        })
    }

    /// Power over time; none before it was measured, and while it can't be.
    pub fn power(&self, now: Instant) -> Option<PowerReading> {
        self.meter.reading(now)
    }

    /// Counts changes of which sensors there are (§35.2).
    pub fn population(&self) -> u32 {
        self.population
    }

    /// When which sensors there are last changed, by the event log's clock; 0 is never.
    pub fn changed(&self) -> u32 {
        self.stamp.at
    }

    fn get_mut(&mut self, number: u8) -> Option<&mut Sensor> {
        self.sensors.iter_mut().find(|sensor| sensor.definition().number == number)
    }

    /// Puts these in the place of all but those of links. True if that makes other records than there were.
    fn replace(&mut self, definitions: Vec<Definition>, at: u32) -> bool {
        self.definitions = definitions;
        self.renew(at)
    }

    /// The NICs' links, by the names of their sensors. True if that makes other records than there were.
    pub(crate) fn set_links(&mut self, links: Vec<(String, bool)>, at: u32) -> bool {
        let names = |links: &[(String, bool)]| links.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let same = names(&links) == names(&self.links);
        self.links = links;
        !same && self.renew(at)
    }

    fn link_sensors(&self) -> Vec<Definition> {
        let taken = |number: u8| self.definitions.iter().any(|definition| definition.number == number);
        let numbers = (number::FIRST_LINK..u8::MAX).filter(|number| !taken(*number));
        let named = numbers.zip(0..).zip(&self.links);
        named.map(|((number, index), (name, _))| link_sensor(number, name.clone(), index)).collect()
    }

    fn renew(&mut self, at: u32) -> bool {
        let earlier = std::mem::take(&mut self.sensors);
        self.saved = SavedSensors::of(&earlier, &self.saved);
        let definitions = self.definitions.iter().cloned().chain(self.link_sensors());
        self.sensors = definitions.map(Sensor::new).collect();
        self.sensors.sort_by_key(|sensor| sensor.definition().number);
        let fingerprint = fingerprint(self.sensors.iter().map(Sensor::definition));
        let changed = self.stamp.fingerprint != fingerprint;
        if changed {
            self.stamp = Stamp { fingerprint, at };
            self.population = self.population.wrapping_add(1);
        }
        for sensor in &mut self.sensors {
            self.saved.apply(sensor);
            let name = &sensor.definition().name;
            if let Some(earlier) = earlier.iter().find(|earlier| earlier.definition().name == *name) {
                sensor.take_over(earlier);
            }
        }
        changed
    }

    /// Lets time pass with this load.
    fn advance(&mut self, now: Instant, load: Load) {
        let passed = self.sampled.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.sampled = Some(now);
        self.samples = self.samples.wrapping_add(1);
        for sensor in &mut self.sensors {
            let Some(analog) = sensor.definition().analog() else { continue };
            let target = match analog.source.follows {
                Quantity::Cpu => load.cpu,
                Quantity::Memory => load.memory,
                Quantity::Disk => load.disk,
            };
            sensor.advance(target, passed.as_secs_f64());
        }
    }

    /// Reads all. `acpi` is the power state that is known.
    fn read(&mut self, now: Instant, on: bool, acpi: AcpiSystemState) -> Vec<PlatformEvent> {
        let mut events = Vec::new();
        for sensor in &mut self.sensors {
            let noise = noise(sensor.definition().number, self.samples);
            let fresh = match &sensor.definition().kind {
                Kind::Discrete(discrete) => match discrete.source {
                    StateSource::PowerState => Reading::States(1 << acpi_offset(acpi)),
                    StateSource::Link if !on => Reading::Unavailable,
                    StateSource::Link => {
                        let name = &sensor.definition().name;
                        let link = self.links.iter().find(|(of, _)| of == name);
                        Reading::States(link_state(link.is_some_and(|(_, up)| *up)))
                    }
                    StateSource::PowerUnit => Reading::States(u16::from(!on)),
                    StateSource::Fixed(_) if !on && !sensor.definition().standby => Reading::Unavailable,
                    StateSource::Fixed(states) => Reading::States(states),
                    StateSource::EventsOfThisBoot | StateSource::Events => sensor.reading(),
                },
                Kind::Threshold(_) => sensor.simulated(on, self.sampled.is_some(), noise),
                Kind::EventOnly(_) => continue,
            };
            events.extend(sensor.read(fresh));
        }
        let watts = self.watts();
        self.meter.note(now, watts);
        events
    }

    /// What all power supplies draw.
    fn watts(&self) -> Option<f64> {
        const POWER_SUPPLY: u8 = 0x0a;

        let supplies = self.sensors.iter().filter(|sensor| {
            let definition = sensor.definition();
            let watts = definition.analog().is_some_and(|analog| analog.unit == Unit::WATTS);
            watts && definition.entity.id == POWER_SUPPLY
        });
        let mut readable = supplies.filter_map(Sensor::value).peekable();
        readable.peek()?;
        Some(readable.sum())
    }

    /// Notes what an event says of the sensor that it is about. False if that sensor is not to make it.
    pub(crate) fn hear(&mut self, event: &PlatformEvent) -> bool {
        if event.generator != Generator::BMC {
            return true;
        }
        let Some(sensor) = self.get_mut(event.sensor) else { return true };
        if sensor.definition().is_own() {
            sensor.heard(event);
        }
        sensor.permits(event)
    }

    pub(crate) fn to_saved(&self) -> SavedSensors {
        SavedSensors { stamp: self.stamp, ..SavedSensors::of(&self.sensors, &self.saved) }
    }

    pub(crate) fn restore(&mut self, saved: SavedSensors) {
        self.stamp = saved.stamp;
        self.saved = saved;
        for sensor in &mut self.sensors {
            self.saved.apply(sensor);
        }
    }
}

impl Bmc {
    /// The sensors as they were last read.
    pub fn sensors(&self) -> &Sensors {
        &self.sensors
    }

    /// Reads all sensors. What crosses a threshold by that makes its event.
    pub fn read_sensors(&mut self, now: Instant) -> &Sensors {
        let on = self.host_power() == HostPower::On;
        let events = self.sensors.read(now, on, self.chassis.acpi().system);
        for event in events {
            let sensor = self.sensors.get(event.sensor).map(Sensor::definition);
            if sensor.is_some_and(|definition| definition.is_link()) {
                // The fact has been told already, and better.
                self.raise(event);
            } else {
                self.platform_event(event);
            }
        }
        &self.sensors
    }

    /// A sensor, to change its thresholds, hysteresis or enables. What that changes is kept, and judged at
    /// once.
    pub fn change_sensor<R>(
        &mut self,
        now: Instant,
        number: u8,
        change: impl FnOnce(&mut Sensor) -> R,
    ) -> Option<R> {
        let result = change(self.sensors.get_mut(number)?);
        self.unsaved = true;
        self.read_sensors(now);
        Some(result)
    }

    /// What goes on in the guest, sampled every few seconds while it runs.
    pub fn observe_load(&mut self, now: Instant, load: Load) {
        self.sensors.advance(now, load);
        self.read_sensors(now);
    }

    /// Begins with these sensors, before [`Bmc::restore`]: what was set of their limits is for them, and not for
    /// the standard ones. When they changed is for [`Bmc::set_sensors`] to say, afterwards.
    pub fn begin_with_sensors(&mut self, definitions: Vec<Definition>) {
        self.sensors = Sensors::of(definitions);
    }

    /// From now on these sensors are there. Those that stay what they were keep all that they are.
    pub fn set_sensors(&mut self, now: Instant, definitions: Vec<Definition>) {
        let at = self.log_time();
        self.unsaved |= self.sensors.replace(definitions, at);
        self.read_sensors(now);
    }

    /// Sets thresholds, hysteresis and enables of all sensors to what their records have (§33.21).
    pub fn initialize_sensors(&mut self, now: Instant) {
        self.sensors.sensors.iter_mut().for_each(Sensor::initialize);
        self.unsaved = true;
        self.read_sensors(now);
    }

    /// Makes a sensor read something else than it would, until [`Bmc::clear_injected`] or the controller's
    /// restart.
    ///
    /// # Errors
    /// [`InjectError`], if it can't.
    pub fn inject(&mut self, now: Instant, name: &str, injection: Injection) -> Result<(), InjectError> {
        let sensor = self.sensors.sensors.iter_mut().find(|sensor| sensor.definition().name == name);
        let sensor = sensor.ok_or_else(|| InjectError::Unknown(name.into()))?;
        let definition = sensor.definition();
        if definition.is_own() {
            return Err(InjectError::Own(name.into()));
        }
        let reading = match (&definition.kind, injection) {
            (_, Injection::Unavailable) => Reading::Unavailable,
            (Kind::Threshold(analog), Injection::Value(value)) => Reading::Raw(analog.scale.raw(value)),
            (Kind::Discrete(discrete), Injection::States(states)) => {
                if states & !discrete.possible != 0 {
                    return Err(InjectError::Kind(name.into(), "states that it can be in"));
                }
                Reading::States(states)
            }
            (Kind::Threshold(_), _) => return Err(InjectError::Kind(name.into(), "a value")),
            (Kind::Discrete(_) | Kind::EventOnly(_), _) => {
                return Err(InjectError::Kind(name.into(), "states"));
            }
        };
        let number = definition.number;
        self.write_sensor(now, number, reading);
        Ok(())
    }

    /// Makes a sensor read this, as [`Bmc::inject`] does, in raw form.
    pub fn write_sensor(&mut self, now: Instant, number: u8, reading: Reading) {
        let Some(sensor) = self.sensors.get_mut(number).filter(|sensor| !sensor.definition().is_own()) else {
            return;
        };
        sensor.inject(Some(reading));
        let (name, reading) = (sensor.definition().name.clone(), sensor.describe(reading));
        self.record(Event::SensorInjected { name, reading });
        self.read_sensors(now);
    }

    /// Lets a sensor, or all, read what they would.
    ///
    /// # Errors
    /// [`InjectError::Unknown`], if nothing is called so.
    pub fn clear_injected(&mut self, now: Instant, name: Option<&str>) -> Result<(), InjectError> {
        if let Some(name) = name
            && self.sensors.named(name).is_none()
        {
            return Err(InjectError::Unknown(name.into()));
        }
        let mut released = Vec::new();
        for sensor in &mut self.sensors.sensors {
            let name_of = &sensor.definition().name;
            if sensor.is_injected() && name.is_none_or(|name| name_of == name) {
                released.push(name_of.clone());
                sensor.inject(None);
            }
        }
        for name in released {
            self.record(Event::SensorReleased { name });
        }
        self.read_sensors(now);
        Ok(())
    }

    /// What a fact means for the sensors.
    pub(crate) fn sensors_on_fact(&mut self, now: Instant, fact: &Fact) {
        if matches!(fact, Fact::Started | Fact::Reset { .. }) {
            for sensor in &mut self.sensors.sensors {
                let of_this_boot = matches!(
                    &sensor.definition().kind,
                    Kind::Discrete(Discrete { source: StateSource::EventsOfThisBoot, .. })
                );
                if of_this_boot {
                    sensor.set_states(0);
                }
            }
        }
        if matches!(fact, Fact::Started | Fact::Stopped { .. }) {
            self.sensors.sampled = None;
            self.sensors.sensors.iter_mut().for_each(Sensor::settle);
        }
        self.read_sensors(now);
    }
}

/// The offset of sensor type 22h that says the same.
fn acpi_offset(state: AcpiSystemState) -> u8 {
    use AcpiSystemState as S;
    match state {
        S::LegacyOn => 0x0b,
        S::LegacyOff => 0x0c,
        S::Unknown => 0x0e,
        state => state as u8,
    }
}

/// A number between -1 and 1 that looks like chance (SplitMix's finalizer over both).
fn noise(sensor: u8, sample: u32) -> f64 {
    let mut bits = (u64::from(sensor) << 32 | u64::from(sample)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^= bits >> 31;
    let [high, low, ..] = bits.to_be_bytes();
    f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX) * 2.0 - 1.0
}

#[cfg(test)]
mod tests;
