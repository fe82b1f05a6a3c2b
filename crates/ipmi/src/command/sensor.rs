//! Sensor device commands (IPMI 2.0 §35): readings, thresholds, hysteresis, events.
//!
//! A sensor that isn't there is CBh; a command that a sensor of its kind has no use for, CDh. Absent on
//! purpose: Set Sensor Type (2Eh), for a sensor's type is what its record says.

use bmc::sensors::{Analog, Enables, Hysteresis, Kind, Reading, Sensor, Sensors, Threshold};

use super::Context;
use crate::{CompletionCode, Reply, record::sdr};

type Result = std::result::Result<(), CompletionCode>;

fn find(sensors: &Sensors, number: u8) -> std::result::Result<&Sensor, CompletionCode> {
    sensors.get(number).ok_or(CompletionCode::NOT_PRESENT)
}

fn analog(sensor: &Sensor) -> std::result::Result<&Analog, CompletionCode> {
    sensor.definition().analog().ok_or(CompletionCode::ILLEGAL_FOR_SENSOR)
}

/// The sensor, if it has thresholds.
fn limited(sensors: &Sensors, number: u8) -> std::result::Result<&Sensor, CompletionCode> {
    let sensor = find(sensors, number)?;
    if sensor.thresholds().mask() == 0 {
        return Err(CompletionCode::ILLEGAL_FOR_SENSOR);
    }
    Ok(sensor)
}

/// 23h. Conversion is linear: the factors are the same for all readings.
pub(super) fn get_factors(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number, reading] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let sensor = find(context.bmc.sensors(), number)?;
    let factors = sdr::factors(&analog(sensor)?.scale);
    reply.put(&[reading]);
    reply.put(&factors);
    Ok(())
}

/// 24h. The second byte is a mask for later use, and ignored.
pub(super) fn set_hysteresis(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[number, _, positive, negative] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    limited(context.bmc.sensors(), number)?;
    let hysteresis = Hysteresis { positive, negative };
    context.bmc.change_sensor(context.now, number, |sensor| sensor.set_hysteresis(hysteresis));
    Ok(())
}

/// 25h.
pub(super) fn get_hysteresis(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let Hysteresis { positive, negative } = limited(context.bmc.sensors(), number)?.hysteresis();
    reply.put(&[positive, negative]);
    Ok(())
}

/// 26h. Which are set is a mask; all six bytes are always there. Their order is not judged: who moves several
/// thresholds one by one is out of order in between.
pub(super) fn set_thresholds(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[number, mask], values) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let sensor = limited(context.bmc.sensors(), number)?;
    let mut thresholds = sensor.thresholds();
    if mask & 0x3f & !thresholds.mask() != 0 {
        return Err(CompletionCode::INVALID_FIELD);
    }
    for (which, raw) in Threshold::ALL.into_iter().zip(values) {
        if mask & which.bit() != 0 {
            thresholds = thresholds.with(which, *raw);
        }
    }
    context.bmc.change_sensor(context.now, number, |sensor| sensor.set_thresholds(thresholds));
    Ok(())
}

/// 27h. A sensor of values without thresholds has an empty mask.
pub(super) fn get_thresholds(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let sensor = find(context.bmc.sensors(), number)?;
    analog(sensor)?;
    let thresholds = sensor.thresholds();
    reply.put(&[thresholds.mask()]);
    reply.put(&Threshold::ALL.map(|which| thresholds.get(which).unwrap_or(0)));
    Ok(())
}

const EVENTS: u8 = 0x80;
const SCANNING: u8 = 0x40;

/// The masks at the end of a request, each of which may be missing.
fn masks(data: &[u8]) -> (u16, u16) {
    let byte = |index| data.get(index).copied().unwrap_or(0);
    (u16::from_le_bytes([byte(0), byte(1)]), u16::from_le_bytes([byte(2), byte(3)]))
}

/// 28h.
pub(super) fn set_event_enable(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&[number, flags], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (assertions, deassertions) = masks(rest);
    let old = find(context.bmc.sensors(), number)?.enables();
    let (assertions, deassertions) = match flags >> 4 & 0x03 {
        0 => (old.assertions, old.deassertions),
        1 => (old.assertions | assertions, old.deassertions | deassertions),
        2 => (old.assertions & !assertions, old.deassertions & !deassertions),
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    let (events, scanning) = (flags & EVENTS != 0, flags & SCANNING != 0);
    let enables = Enables { events, scanning, assertions, deassertions };
    context.bmc.change_sensor(context.now, number, |sensor| sensor.set_enables(enables));
    Ok(())
}

/// Whether a sensor generates events, is scanned, and can be read.
fn flags(sensor: &Sensor) -> u8 {
    const UNAVAILABLE: u8 = 0x20;

    let Enables { events, scanning, .. } = sensor.enables();
    let unavailable = sensor.reading() == Reading::Unavailable;
    let flag = |set, bit| if set { bit } else { 0 };
    flag(events, EVENTS) | flag(scanning, SCANNING) | flag(unavailable, UNAVAILABLE)
}

/// 29h.
pub(super) fn get_event_enable(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let sensor = find(context.bmc.sensors(), number)?;
    let Enables { assertions, deassertions, .. } = sensor.enables();
    reply.put(&[flags(sensor) & (EVENTS | SCANNING)]);
    reply.put(&assertions.to_le_bytes());
    reply.put(&deassertions.to_le_bytes());
    Ok(())
}

/// 2Ah. Without masks, or where the flag says so, all events.
pub(super) fn rearm(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const SELECTED: u8 = 0x80;

    let (&[number, flags], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    find(context.bmc.sensors(), number)?;
    let (assertions, deassertions) = if flags & SELECTED != 0 { masks(rest) } else { (u16::MAX, u16::MAX) };
    context.bmc.change_sensor(context.now, number, |sensor| sensor.rearm(assertions, deassertions));
    Ok(())
}

/// 2Bh.
pub(super) fn get_event_status(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let sensor = find(context.bmc.read_sensors(context.now), number)?;
    let (asserted, deasserted) = sensor.occurred();
    reply.put(&[flags(sensor)]);
    reply.put(&asserted.to_le_bytes());
    reply.put(&deasserted.to_le_bytes());
    Ok(())
}

/// 2Dh.
pub(super) fn get_reading(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    /// Reserved bits that are always set.
    const THRESHOLDS: u8 = 0xc0;
    const STATES: u16 = 0x8000;

    let &[number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let sensor = find(context.bmc.read_sensors(context.now), number)?;
    match &sensor.definition().kind {
        Kind::Threshold(_) => {
            let comparison = sensor.raw().map_or(0, |raw| sensor.thresholds().comparison(raw));
            reply.put(&[sensor.raw().unwrap_or(0), flags(sensor), THRESHOLDS | comparison]);
        }
        Kind::Discrete(_) => {
            reply.put(&[0, flags(sensor)]);
            reply.put(&(STATES | sensor.states().unwrap_or(0)).to_le_bytes());
        }
        Kind::EventOnly(_) => return Err(CompletionCode::ILLEGAL_FOR_SENSOR),
    }
    Ok(())
}

/// 2Fh.
pub(super) fn get_type(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[number] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let definition = find(context.bmc.sensors(), number)?.definition();
    reply.put(&[definition.sensor_type, definition.event_type()]);
    Ok(())
}

/// 30h. A reading is written to a sensor of values, assertion bits to one of states: those are its states. The
/// sensor then reads that, as if it had been injected by the local command. Nothing else can be written.
pub(super) fn set_reading(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    const NOT_SETTABLE: CompletionCode = CompletionCode(0x80);
    const NO_EVENT_DATA: CompletionCode = CompletionCode(0x81);

    let (&[number, operation], rest) = data.split_first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
    let (write_reading, deassertion, assertion, event_data) =
        (operation & 0x03, operation >> 2 & 0x03, operation >> 4 & 0x03, operation >> 6);
    let sensor = find(context.bmc.read_sensors(context.now), number)?;
    if write_reading > 1 {
        return Err(CompletionCode::INVALID_FIELD);
    }
    if event_data != 0 {
        return Err(NO_EVENT_DATA);
    }
    if sensor.definition().is_own() || deassertion != 0 {
        return Err(NOT_SETTABLE);
    }
    let given = rest.first().copied();
    let (bits, _) = masks(rest.get(1..).unwrap_or_default());
    let old = sensor.states().unwrap_or(0);
    if let Kind::Discrete(discrete) = &sensor.definition().kind
        && bits & !discrete.possible != 0
    {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let reading = match (&sensor.definition().kind, write_reading, assertion) {
        (_, 0, 0) => return Ok(()),
        (Kind::Threshold(_), 1, 0) => Reading::Raw(given.ok_or(CompletionCode::INVALID_LENGTH)?),
        (Kind::Discrete(_), 0, 1) => Reading::States(bits),
        (Kind::Discrete(_), 0, 2) => Reading::States(old | bits),
        (Kind::Discrete(_), 0, 3) => Reading::States(old & !bits),
        _ => return Err(NOT_SETTABLE),
    };
    context.bmc.write_sensor(context.now, number, reading);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::{
        Direction, Event,
        sensors::{Injection, number},
    };

    use super::super::{
        table::{APP, SENSOR_EVENT},
        tests::Bench,
    };

    const CPU: u8 = 0x11;
    const FAN: u8 = 0x18;
    const PSU: u8 = 0x29;
    const USAGE: u8 = 0x30;

    fn on() -> Bench {
        let mut bench = Bench::new();
        bench.power_on();
        bench
    }

    #[test]
    fn a_reading_has_its_state_and_whether_it_is_one() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[CPU]), [0, 0xe0, 0xc0], "the machine is off");
        bench.power_on();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[CPU]), [128 + 38, 0xc0, 0xc0]);
        bench.bmc.inject(bench.now, "CPU Temp", Injection::Value(92.0)).unwrap();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[CPU]), [128 + 92, 0xc0, 0xd8]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[PSU]), [0, 0xc0, 0x01, 0x80]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[number::POWER_STATE]), [0, 0xc0, 0x01, 0x80]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x2d, &[0xfe]), 0xcb);
        assert_eq!(bench.code(SENSOR_EVENT, 0x2d, &[number::RESTART]), 0xcd);
    }

    #[test]
    fn an_acpi_state_that_was_just_reported_is_read() {
        let mut bench = on();
        bench.ok(APP, 0x06, &[0x83, 0]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[number::POWER_STATE]), [0, 0xc0, 0x08, 0x80]);
    }

    #[test]
    fn factors_are_those_of_the_record() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x23, &[CPU, 7]), [7, 1, 0, 0x80, 0xc0, 0, 0]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x23, &[PSU, 7]), 0xcd);
    }

    #[test]
    fn thresholds_are_set_by_mask_and_make_events() {
        let mut bench = on();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x27, &[CPU]), [0x3b, 133, 128, 0, 213, 218, 228]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x27, &[USAGE]), [0, 0, 0, 0, 0, 0, 0]);
        bench.ok(SENSOR_EVENT, 0x26, &[CPU, 0x08, 1, 2, 3, 150, 5, 6]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x27, &[CPU]), [0x3b, 133, 128, 0, 150, 218, 228]);
        let crossed = bench.bmc.take_events().any(|event| match event {
            Event::Platform { event, .. } => {
                (event.data, event.direction) == ([0x57, 166, 150], Direction::Asserted)
            }
            _ => false,
        });
        assert!(crossed);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2b, &[CPU]), [0xc0, 0x80, 0, 0, 0]);
        assert_eq!(
            bench.code(SENSOR_EVENT, 0x26, &[CPU, 0x04, 0, 0, 0, 0, 0, 0]),
            0xcc,
            "it has no such threshold"
        );
        assert_eq!(bench.code(SENSOR_EVENT, 0x26, &[USAGE, 0, 0, 0, 0, 0, 0, 0]), 0xcd);
        assert_eq!(bench.code(SENSOR_EVENT, 0x27, &[PSU]), 0xcd);
    }

    #[test]
    fn states_that_a_sensor_cannot_have_are_refused() {
        let mut bench = on();
        assert_eq!(bench.code(SENSOR_EVENT, 0x30, &[PSU, 0x10, 0, 0x00, 0x40]), 0xcc);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[PSU]), [0, 0xc0, 0x01, 0x80]);
        bench.ok(SENSOR_EVENT, 0x30, &[PSU, 0x10, 0, 0x02, 0x00]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[PSU]), [0, 0xc0, 0x02, 0x80]);
    }

    #[test]
    fn hysteresis_comes_back_as_set() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x25, &[CPU, 0xff]), [1, 1]);
        bench.ok(SENSOR_EVENT, 0x24, &[CPU, 0xff, 3, 4]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x25, &[CPU, 0xff]), [3, 4]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x25, &[PSU, 0xff]), 0xcd);
    }

    #[test]
    fn events_are_enabled_and_disabled_one_by_one() {
        let mut bench = on();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x29, &[FAN]), [0xc0, 0x15, 0, 0x15, 0]);
        bench.ok(SENSOR_EVENT, 0x28, &[FAN, 0xe0, 0x01, 0, 0x14]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x29, &[FAN]), [0xc0, 0x14, 0, 0x01, 0]);
        bench.ok(SENSOR_EVENT, 0x28, &[FAN, 0xd0, 0xff, 0xff, 0, 0]);
        assert_eq!(
            bench.ok(SENSOR_EVENT, 0x29, &[FAN]),
            [0xc0, 0x15, 0, 0x01, 0],
            "what it can't generate stays off"
        );
        bench.ok(SENSOR_EVENT, 0x28, &[FAN, 0x40]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x29, &[FAN])[0], 0x40);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[FAN])[1], 0x40);
        assert_eq!(bench.code(SENSOR_EVENT, 0x28, &[FAN, 0xf0]), 0xcc);
    }

    #[test]
    fn a_rearmed_event_that_still_holds_occurs_again() {
        let mut bench = on();
        bench.bmc.inject(bench.now, "FAN1", Injection::Value(0.0)).unwrap();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2b, &[FAN]), [0xc0, 0x15, 0, 0, 0]);
        let mut events = |data: &[u8]| {
            bench.bmc.take_events().for_each(drop);
            bench.ok(SENSOR_EVENT, 0x2a, data);
            bench.bmc.take_events().count()
        };
        assert_eq!(events(&[FAN, 0x80, 0x01, 0, 0, 0]), 1);
        assert_eq!(events(&[FAN, 0x00]), 3);
    }

    #[test]
    fn a_type_is_that_of_the_record() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2f, &[FAN]), [0x04, 0x01]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2f, &[number::RESTART]), [0x1d, 0x6f]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x2e, &[FAN, 1, 1]), 0xc1);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bench = on();
        bench.ok(SENSOR_EVENT, 0x30, &[FAN, 0x01, 100]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[FAN])[0], 100);
        bench.ok(SENSOR_EVENT, 0x30, &[PSU, 0x20, 0, 0x02, 0, 0, 0]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[PSU])[2..], [0x03, 0x80]);
        bench.ok(SENSOR_EVENT, 0x30, &[PSU, 0x30, 0, 0x01]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[PSU])[2..], [0x02, 0x80]);
        bench.ok(SENSOR_EVENT, 0x30, &[PSU, 0x10, 0, 0x08, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x2d, &[PSU])[2..], [0x08, 0x80]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x30, &[number::WATCHDOG, 0x10, 0, 1, 0]), 0x80);
        assert_eq!(bench.code(SENSOR_EVENT, 0x30, &[FAN, 0x10, 0, 1, 0]), 0x80);
        assert_eq!(bench.code(SENSOR_EVENT, 0x30, &[FAN, 0x40, 0, 0, 0, 0, 0, 1, 2, 3]), 0x81);
        assert_eq!(bench.code(SENSOR_EVENT, 0x30, &[FAN, 0x01]), 0xc7);
    }
}
