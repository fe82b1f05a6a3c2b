//! What DCMI reads of the sensors: power over time, and temperatures by where they are measured (DCMI 1.5
//! §6.6.1, §6.5.2, §6.5.3).
//!
//! DCMI has ids of its own for inlet, processor and board, beside those of IPMI: either names both.

use bmc::{
    Bmc,
    sensors::{PowerReading, Sensor},
};

use super::{CompletionCode, Context, Reply, Result};

const TEMPERATURE: u8 = 0x01;
/// The entity ids of the places where temperatures are measured.
const PLACES: [[u8; 2]; 3] = [[0x37, 0x40], [0x03, 0x41], [0x07, 0x42]];
/// The most sensors in one answer.
const PAGE: usize = 8;

/// 02h. Enhanced statistics, of a chosen period, are not offered.
pub(in super::super) fn get_power_reading(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    const SYSTEM_POWER: u8 = 0x01;
    const MEASURING: u8 = 0x40;

    let &[mode, _, _] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    if mode != SYSTEM_POWER {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let reading = context.bmc.sensors().power(context.now);
    let values = reading.map_or([0.0; 4], |PowerReading { current, minimum, maximum, average, .. }| {
        [current, minimum, maximum, average]
    });
    for watts in values {
        reply.put(&whole(watts).to_le_bytes());
    }
    let period = reading.map_or(0, |reading| reading.period.as_millis());
    reply.put(&context.bmc.log_time().to_le_bytes());
    reply.put(&u32::try_from(period).unwrap_or(u32::MAX).to_le_bytes());
    reply.put(&[if reading.is_some() { MEASURING } else { 0 }]);
    Ok(())
}

/// The nearest whole number that 16 bits can hold.
fn whole(value: f64) -> u16 {
    let value = value.round().clamp(0.0, f64::from(u16::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was clamped")]
    let value = value as u16;
    value
}

/// The sensors that a request is about: how many there are in all, and those that go into the answer.
fn page<'a>(bmc: &'a Bmc, data: &[u8]) -> Result<(u8, Vec<&'a Sensor>)> {
    let &[sensor_type, entity, instance, start] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let place = PLACES.iter().find(|place| place.contains(&entity)).ok_or(CompletionCode::INVALID_FIELD)?;
    if sensor_type != TEMPERATURE {
        return Err(CompletionCode::INVALID_FIELD);
    }
    let all: Vec<_> = bmc.sensors().temperatures(place).collect();
    let total = u8::try_from(all.len()).unwrap_or(u8::MAX);
    // Instance 0 is all of them, from `start` on, which counts from 1.
    let skipped = usize::from(start.saturating_sub(1));
    let wanted = all
        .into_iter()
        .skip(if instance == 0 { skipped } else { 0 })
        .filter(|sensor| instance == 0 || sensor.definition().entity.instance == instance);
    Ok((total, wanted.take(PAGE).collect()))
}

/// 07h. A sensor's record has the sensor's number.
pub(in super::super) fn get_sensor_info(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let (total, page) = page(context.bmc, data)?;
    reply.put(&[total, u8::try_from(page.len()).unwrap_or(u8::MAX)]);
    for sensor in page {
        reply.put(&u16::from(sensor.definition().number).to_le_bytes());
    }
    Ok(())
}

/// 10h. A sensor that reads nothing now is left out.
pub(in super::super) fn get_temperatures(
    context: &mut Context<'_>,
    data: &[u8],
    reply: &mut Reply,
) -> Result {
    let (total, page) = page(context.bmc, data)?;
    let readings: Vec<_> = page
        .into_iter()
        .filter_map(|sensor| Some([signed_magnitude(sensor.value()?), sensor.definition().entity.instance]))
        .collect();
    reply.put(&[total, u8::try_from(readings.len()).unwrap_or(u8::MAX)]);
    for reading in readings {
        reply.put(&reading);
    }
    Ok(())
}

/// Degrees up to 127, and a bit that says that they are below zero.
fn signed_magnitude(celsius: f64) -> u8 {
    let magnitude = u8::try_from(whole(celsius.abs())).unwrap_or(0x7f).min(0x7f);
    if celsius < 0.0 { 0x80 | magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bmc::sensors::{Injection, Load};

    use super::{
        super::super::{table::GROUP_EXTENSION, tests::Bench},
        *,
    };

    #[test]
    fn power_is_told_since_it_was_measured() {
        let mut bench = Bench::new();
        bench.bmc.observe_time(0x0102_0304);
        assert_eq!(
            bench.ok(GROUP_EXTENSION, 0x02, &[0xdc, 1, 0, 0]),
            [&[0xdc][..], &[0; 8], &[4, 3, 2, 1], &[0; 5]].concat(),
            "nothing is measured yet"
        );
        bench.power_on();
        bench.bmc.observe_load(bench.now, Load { cpu: 1.0, memory: 0.5, disk: 0.0 });
        bench.now += Duration::from_millis(0x1234);
        let reply = bench.ok(GROUP_EXTENSION, 0x02, &[0xdc, 1, 0, 0]);
        let reading = bench.bmc.sensors().power(bench.now).unwrap();
        assert_eq!(reply[1..3], whole(reading.current).to_le_bytes());
        assert!(whole(reading.current) > 0);
        assert_eq!(reply[9..], [4, 3, 2, 1, 0x34, 0x12, 0, 0, 0x40]);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x02, &[0xdc, 2, 0, 0]), 0xcc);
    }

    #[test]
    fn places_are_found_by_both_their_ids() {
        let mut bench = Bench::new();
        for (place, record) in PLACES.into_iter().zip([0x10, 0x11, 0x12]) {
            for entity in place {
                let info = bench.ok(GROUP_EXTENSION, 0x07, &[0xdc, 1, entity, 0, 0]);
                assert_eq!(info, [0xdc, 1, 1, record, 0]);
                assert_eq!(bench.ok(GROUP_EXTENSION, 0x07, &[0xdc, 1, entity, 1, 0]), info);
                assert_eq!(bench.ok(GROUP_EXTENSION, 0x07, &[0xdc, 1, entity, 2, 0]), [0xdc, 1, 0]);
                assert_eq!(bench.ok(GROUP_EXTENSION, 0x07, &[0xdc, 1, entity, 0, 2]), [0xdc, 1, 0]);
            }
        }
        assert_eq!(bench.code(GROUP_EXTENSION, 0x07, &[0xdc, 1, 0x0a, 0, 0]), 0xcc);
        assert_eq!(bench.code(GROUP_EXTENSION, 0x07, &[0xdc, 2, 0x40, 0, 0]), 0xcc);
    }

    #[test]
    fn temperatures_have_a_sign_and_dark_sensors_none() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x10, &[0xdc, 1, 0x41, 0, 0]), [0xdc, 1, 0], "it is off");
        bench.power_on();
        bench.bmc.inject(bench.now, "Inlet Temp", Injection::Value(-5.0)).unwrap();
        assert_eq!(bench.ok(GROUP_EXTENSION, 0x10, &[0xdc, 1, 0x40, 0, 0]), [0xdc, 1, 1, 0x85, 1]);
        assert_eq!((signed_magnitude(22.4), signed_magnitude(-300.0)), (22, 0xff));
    }
}
