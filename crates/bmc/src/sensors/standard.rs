//! The sensors of a machine that nobody described: the controller's own, what is measured of the guest, and
//! those of a small server.
//!
//! The server's follow the guest's load as a real one's would: temperatures rise within a minute and fans with
//! them. None crosses a threshold whatever the guest does; that takes an injected fault.

use std::time::Duration;

use super::{
    Analog, Definition, Entity, Hysteresis, Kind, Normal, Quantity, Scale, Source, StateSource, Threshold,
    Thresholds, Unit, number,
};

const TEMPERATURE: u8 = 0x01;
const VOLTAGE: u8 = 0x02;
const FAN: u8 = 0x04;
const PLATFORM_SECURITY: u8 = 0x06;
const POWER_SUPPLY: u8 = 0x08;
const POWER_UNIT: u8 = 0x09;
const OTHER_UNITS: u8 = 0x0b;
const EVENT_LOGGING: u8 = 0x10;
const SYSTEM_EVENT: u8 = 0x12;
const MICROCONTROLLER: u8 = 0x16;
/// The event/reading type of its states (Table 42-2).
const AVAILABILITY: u8 = 0x0a;
const BOOT_INITIATED: u8 = 0x1d;
const OS_BOOT: u8 = 0x1f;
const OS_STOP: u8 = 0x20;
const ACPI_POWER: u8 = 0x22;
const WATCHDOG: u8 = 0x23;
const VERSION_CHANGE: u8 = 0x2b;

/// Entities of Table 43-13.
const PROCESSOR: Entity = Entity::new(0x03, 1);
const SYSTEM_BOARD: Entity = Entity::new(0x07, 1);
const MEMORY: Entity = Entity::new(0x08, 1);
const DISK: Entity = Entity::new(0x04, 1);
const PSU: Entity = Entity::new(0x0a, 1);
const BATTERY: Entity = Entity::new(0x28, 1);
const AIR_INLET: Entity = Entity::new(0x37, 1);

/// All of them, in the order of their numbers.
pub fn standard() -> Vec<Definition> {
    own().into_iter().chain(server()).collect()
}

/// The sensors that the controller itself speaks for. Their events are made where things happen.
fn own() -> Vec<Definition> {
    use StateSource as From;
    let own = Definition::own;
    let events = Kind::SPECIFIC_EVENTS;
    vec![
        own(number::POWER_STATE, "Power State", ACPI_POWER, Kind::specific(0x5fff, From::PowerState)),
        own(number::POWER_UNIT, "Power Unit", POWER_UNIT, Kind::specific(0x00ff, From::PowerUnit)),
        own(number::RESTART, "Restart", BOOT_INITIATED, events.clone()),
        own(number::OS_STOP, "OS Stop", OS_STOP, Kind::specific(0x003f, From::EventsOfThisBoot)),
        own(number::WATCHDOG, "Watchdog", WATCHDOG, Kind::specific(0x010f, From::EventsOfThisBoot)),
        own(number::EVENT_LOG, "SEL", EVENT_LOGGING, Kind::specific(0x0034, From::Events)),
        own(number::SESSIONS, "Sessions", PLATFORM_SECURITY, events.clone()),
        own(number::CONTROLLER, "BMC", MICROCONTROLLER, Kind::EventOnly(AVAILABILITY)),
        own(number::SYSTEM, "System", SYSTEM_EVENT, events.clone()),
        own(number::BOOT, "OS Boot", OS_BOOT, Kind::specific(0x01ff, From::EventsOfThisBoot)),
        own(number::CONFIGURATION, "Configuration", VERSION_CHANGE, events),
    ]
}

const CELSIUS: Scale = Scale::new(1, -128, 0);
const PER_CENT: Scale = Scale::new(1, 0, 0);

/// What is measured of the guest, and a plausible server around it.
fn server() -> Vec<Definition> {
    use Threshold as T;
    let seconds = Duration::from_secs;
    let load = |idle, full, inertia, jitter| Source {
        idle,
        full,
        inertia: seconds(inertia),
        jitter,
        ..Source::steady(0.0)
    };
    let measured =
        |follows| Source { idle: 0.0, full: 100.0, follows, measured: true, ..Source::steady(0.0) };
    let fan = |index: u8| {
        let name = format!("FAN{}", index + 1);
        let source = load(4200.0 + 80.0 * f64::from(index), 9600.0, 12, 60.0);
        let limits =
            [(T::LowerNonCritical, 1200.0), (T::LowerCritical, 800.0), (T::LowerNonRecoverable, 480.0)];
        analog(0x18 + index, &name, FAN, Entity::new(0x1d, index + 1), Unit::RPM, Scale::new(8, 0, 1), source)
            .hysteresis(2)
            .thresholds(&limits)
            .build()
    };
    let volts = |number, name, entity, scale: Scale, nominal: f64, sag: f64| {
        let step = scale.value(1);
        let source = load(nominal + step * 0.4, nominal + step * 0.4 - sag, 0, step * 0.3);
        let limits = [
            (T::LowerNonCritical, nominal * 0.93),
            (T::LowerCritical, nominal * 0.90),
            (T::UpperNonCritical, nominal * 1.07),
            (T::UpperCritical, nominal * 1.10),
        ];
        analog(number, name, VOLTAGE, entity, Unit::VOLTS, scale, source)
            .hysteresis(1)
            .thresholds(&limits)
            .build()
    };
    let heat = |number, name, entity, source| {
        analog(number, name, TEMPERATURE, entity, Unit::CELSIUS, CELSIUS, source)
    };
    let share = |number, name, entity, follows| {
        analog(number, name, OTHER_UNITS, entity, Unit::PERCENT, PER_CENT, measured(follows)).build()
    };
    let inlet = Source { off: 22.0, ..load(22.0, 24.0, 300, 0.3) };
    let psu = Source { off: 12.0, ..load(68.0, 236.0, 1, 1.5) };
    vec![
        heat(0x10, "Inlet Temp", AIR_INLET, inlet)
            .standby()
            .thresholds(&[
                (T::LowerNonCritical, 3.0),
                (T::LowerCritical, -7.0),
                (T::UpperNonCritical, 42.0),
                (T::UpperCritical, 47.0),
            ])
            .build(),
        heat(0x11, "CPU Temp", PROCESSOR, load(38.0, 74.0, 20, 0.4))
            .thresholds(&[
                (T::LowerNonCritical, 5.0),
                (T::LowerCritical, 0.0),
                (T::UpperNonCritical, 85.0),
                (T::UpperCritical, 90.0),
                (T::UpperNonRecoverable, 100.0),
            ])
            .build(),
        heat(0x12, "System Temp", SYSTEM_BOARD, load(29.0, 40.0, 90, 0.3))
            .thresholds(&[
                (T::LowerNonCritical, 5.0),
                (T::LowerCritical, 0.0),
                (T::UpperNonCritical, 65.0),
                (T::UpperCritical, 75.0),
            ])
            .build(),
        fan(0),
        fan(1),
        fan(2),
        fan(3),
        volts(0x20, "12V", SYSTEM_BOARD, Scale::new(6, 0, -2), 12.0, 0.12),
        volts(0x21, "5V", SYSTEM_BOARD, Scale::new(3, 0, -2), 5.01, 0.03),
        volts(0x22, "3.3V", SYSTEM_BOARD, Scale::new(2, 0, -2), 3.3, 0.02),
        volts(0x23, "VCORE", PROCESSOR, Scale::new(1, 0, -2), 1.2, 0.03),
        analog(0x24, "VBAT", VOLTAGE, BATTERY, Unit::VOLTS, Scale::new(2, 0, -2), Source::steady(3.06))
            .standby()
            .hysteresis(1)
            .thresholds(&[(T::LowerNonCritical, 2.6), (T::LowerCritical, 2.4)])
            .build(),
        analog(0x28, "PSU1 Power", OTHER_UNITS, PSU, Unit::WATTS, Scale::new(2, 0, 0), psu)
            .standby()
            .hysteresis(2)
            .thresholds(&[(T::UpperNonCritical, 400.0), (T::UpperCritical, 450.0)])
            .build(),
        Definition {
            number: 0x29,
            name: "PSU1 Status".into(),
            sensor_type: POWER_SUPPLY,
            entity: PSU,
            standby: true,
            kind: Kind::specific(0x007f, StateSource::Fixed(0b1)),
        },
        share(0x30, "CPU Usage", PROCESSOR, Quantity::Cpu),
        share(0x31, "Memory Usage", MEMORY, Quantity::Memory),
        share(0x32, "Disk Busy", DISK, Quantity::Disk),
    ]
}

/// A sensor of values in the making.
struct Maker {
    definition: Definition,
    analog: Analog,
}

fn analog(
    number: u8,
    name: &str,
    sensor_type: u8,
    entity: Entity,
    unit: Unit,
    scale: Scale,
    source: Source,
) -> Maker {
    let (low, high) = (source.idle.min(source.full), source.idle.max(source.full));
    let normal = Normal {
        nominal: scale.raw(source.idle),
        max: scale.raw(high).saturating_add(1),
        min: scale.raw(low).saturating_sub(1),
    };
    let analog = Analog {
        unit,
        scale,
        normal: Some(normal),
        thresholds: Thresholds::default(),
        hysteresis: Hysteresis::default(),
        source,
    };
    let definition = Definition {
        number,
        name: name.into(),
        sensor_type,
        entity,
        standby: false,
        kind: Kind::SPECIFIC_EVENTS,
    };
    Maker { definition, analog }.hysteresis(1)
}

impl Maker {
    fn standby(mut self) -> Self {
        self.definition.standby = true;
        self
    }

    fn hysteresis(mut self, steps: u8) -> Self {
        self.analog.hysteresis = Hysteresis { positive: steps, negative: steps };
        self
    }

    fn thresholds(mut self, limits: &[(Threshold, f64)]) -> Self {
        for (which, value) in limits {
            self.analog.thresholds = self.analog.thresholds.with(*which, self.analog.scale.raw(*value));
        }
        self
    }

    fn build(self) -> Definition {
        Definition { kind: Kind::Threshold(self.analog), ..self.definition }
    }
}
