//! Sensor data record commands: of the repository (IPMI 2.0 §33) and of the device (§35.2 to §35.4), which
//! hand out the same records.
//!
//! The records are made from the sensors, so nobody can add or delete one here. Absent on purpose: Add, Partial
//! Add, Delete, Clear, and entering and leaving update mode (24h to 27h, 2Ah, 2Bh), as the operations that
//! Get SDR Repository Info tells of say too.
//!
//! A reservation is about records staying as they are while they are read in parts. Here they change only with
//! the set of sensors, so the number of that set is the reservation: two who read at once do not disturb each
//! other.

use bmc::Bmc;

use super::{Context, device, lookup, table::STORAGE};
use crate::{CompletionCode, Reply, record::sdr};

type Result = std::result::Result<(), CompletionCode>;

/// Record numbers: a sensor's is its number; these are others'.
const CONTROLLER: u16 = 0x0100;
const FRU: u16 = 0x0101;
/// In a request the first record, in an answer none.
const FIRST: u16 = 0x0000;
const LAST: u16 = 0xffff;
/// A sensor's number can't be longer than a byte, nor a record than this.
const RECORD_MAX: u8 = 64;

/// All record numbers in the order in which they are handed out.
fn numbers(bmc: &Bmc) -> impl Iterator<Item = u16> {
    let fru = lookup(STORAGE, 0x11, &[]).is_some().then_some(FRU);
    let sensors = bmc.sensors().iter().map(|sensor| u16::from(sensor.definition().number));
    [Some(CONTROLLER), fru].into_iter().flatten().chain(sensors)
}

fn record(bmc: &Bmc, number: u16) -> Option<Vec<u8>> {
    match number {
        CONTROLLER => Some(sdr::controller_locator(CONTROLLER, device::support(), "QEMU BMC")),
        FRU => Some(sdr::fru_locator(FRU, 0, "System FRU")),
        number => {
            let sensor = bmc.sensors().get(u8::try_from(number).ok()?)?;
            Some(sdr::sensor(number, sensor.definition()))
        }
    }
}

fn count(bmc: &Bmc) -> u16 {
    u16::try_from(numbers(bmc).count()).unwrap_or(u16::MAX)
}

fn reservation(bmc: &Bmc) -> u16 {
    let [low, high, ..] = bmc.sensors().population().to_le_bytes();
    u16::from_le_bytes([low, high]).max(1)
}

/// NetFn 0Ah, 20h.
pub(super) fn get_info(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const NO_FREE_SPACE: u16 = 0;
    /// Allocation info and reservations; nothing that would change the repository.
    const OPERATIONS: u8 = 0x03;

    let changed = context.bmc.sensors().changed().to_le_bytes();
    reply.put(&[sdr::VERSION]);
    reply.put(&count(context.bmc).to_le_bytes());
    reply.put(&NO_FREE_SPACE.to_le_bytes());
    reply.put(&changed);
    reply.put(&changed);
    reply.put(&[OPERATIONS]);
    Ok(())
}

/// 21h. A unit is a record of the greatest length; none is free.
pub(super) fn get_allocation(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&count(context.bmc).to_le_bytes());
    reply.put(&u16::from(RECORD_MAX).to_le_bytes());
    reply.put(&[0, 0, 0, 0, 1]);
    Ok(())
}

/// 22h, and 22h of NetFn 04h.
pub(super) fn reserve(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&reservation(context.bmc).to_le_bytes());
    Ok(())
}

/// 23h, and 21h of NetFn 04h. A reservation is needed to go on in the middle; who gives one must have it.
pub(super) fn get(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const UNRESERVED: u16 = 0;

    let &[held_low, held_high, low, high, offset, count] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    let held = u16::from_le_bytes([held_low, held_high]);
    if (held != UNRESERVED || offset != 0) && held != reservation(context.bmc) {
        return Err(CompletionCode::RESERVATION_CANCELED);
    }
    let mut numbers = numbers(context.bmc);
    let number = match u16::from_le_bytes([low, high]) {
        FIRST => numbers.next(),
        LAST => numbers.by_ref().last(),
        number => numbers.by_ref().find(|other| *other == number),
    };
    let number = number.ok_or(CompletionCode::NOT_PRESENT)?;
    let next = numbers.next().unwrap_or(LAST);
    let record = record(context.bmc, number).ok_or(CompletionCode::NOT_PRESENT)?;
    let rest = record.get(usize::from(offset)..).filter(|rest| !rest.is_empty());
    let rest = rest.ok_or(CompletionCode::OUT_OF_RANGE)?;
    reply.put(&next.to_le_bytes());
    reply.put(rest.get(..usize::from(count)).unwrap_or(rest));
    Ok(())
}

/// 28h. Records and event log have one clock.
pub(super) fn get_time(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&context.bmc.log_time().to_le_bytes());
    Ok(())
}

/// 2Ch.
pub(super) fn run_initialization_agent(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const RUN: u8 = 1;
    const COMPLETED: u8 = 1;

    let &[operation] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    if operation & RUN != 0 {
        context.bmc.initialize_sensors(context.now);
    }
    reply.put(&[COMPLETED]);
    Ok(())
}

/// NetFn 04h, 20h.
pub(super) fn get_device_info(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const COUNT_RECORDS: u8 = 1;
    /// Sensors can come and go; LUN 0 has some.
    const FLAGS: u8 = 0x81;

    let sensors = context.bmc.sensors();
    let count = match data.first() {
        Some(operation) if operation & COUNT_RECORDS != 0 => usize::from(count(context.bmc)),
        _ => sensors.iter().len(),
    };
    reply.put(&[u8::try_from(count).unwrap_or(u8::MAX), FLAGS]);
    reply.put(&sensors.population().to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::sensors::standard;

    use super::{
        super::{table::SENSOR_EVENT, tests::Bench},
        *,
    };

    fn records() -> usize {
        standard().len() + numbers(&Bench::new().bmc).filter(|number| *number >= CONTROLLER).count()
    }

    #[test]
    fn the_repository_says_that_it_can_not_be_changed() {
        let mut bench = Bench::new();
        bench.bmc.observe_time(0x1234_5678);
        bench.bmc.set_sensors(bench.now, standard());
        let count = u8::try_from(records()).unwrap();
        let time = [0x78, 0x56, 0x34, 0x12];
        let mut expected = vec![0x51, count, 0, 0, 0];
        expected.extend([time, time].concat());
        expected.push(0x03);
        assert_eq!(bench.ok(STORAGE, 0x20, &[]), expected);
        assert_eq!(bench.ok(STORAGE, 0x21, &[]), [count, 0, 64, 0, 0, 0, 0, 0, 1]);
        assert_eq!(bench.ok(STORAGE, 0x28, &[]), time);
        for command in [0x24, 0x25, 0x26, 0x27, 0x2a, 0x2b] {
            assert_eq!(bench.code(STORAGE, command, &[0; 6]), 0xc1);
        }
    }

    #[test]
    fn all_records_are_found_one_after_the_other() {
        for (netfn, command) in [(STORAGE, 0x23), (SENSOR_EVENT, 0x21)] {
            let mut bench = Bench::new();
            let mut next = [0, 0];
            let mut found = Vec::new();
            while next != [0xff, 0xff] {
                let [low, high] = next;
                let answer = bench.ok(netfn, command, &[0, 0, low, high, 0, 0xff]);
                assert!(found.is_empty() || answer[2..4] == next);
                next = [answer[0], answer[1]];
                found.push(answer[5]);
            }
            assert_eq!(found.len(), records());
            assert_eq!(found[0], 0x12, "the controller comes first");
            let last = bench.ok(netfn, command, &[0, 0, 0xff, 0xff, 0, 5]);
            assert_eq!(last[..4], [0xff, 0xff, 0x32, 0x00]);
        }
    }

    #[test]
    fn parts_need_a_reservation_that_holds() {
        let mut bench = Bench::new();
        let held = bench.ok(STORAGE, 0x22, &[]);
        let read = |offset, count| [held[0], held[1], 0x10, 0, offset, count];
        let whole = bench.ok(STORAGE, 0x23, &[0, 0, 0x10, 0, 0, 0xff]);
        assert_eq!(bench.ok(STORAGE, 0x23, &read(0, 5)), whole[..7]);
        assert_eq!(bench.ok(STORAGE, 0x23, &read(5, 16))[2..], whole[7..23]);
        assert_eq!(bench.ok(STORAGE, 0x23, &read(50, 0xff))[2..], whole[52..], "what there is");
        assert_eq!(bench.code(STORAGE, 0x23, &read(200, 1)), 0xc9);
        assert_eq!(bench.code(STORAGE, 0x23, &[0, 0, 0x10, 0, 5, 16]), 0xc5, "none is held");
        assert_eq!(bench.code(STORAGE, 0x23, &[0x99, 0x99, 0x10, 0, 0, 5]), 0xc5, "not that one");
        assert_eq!(bench.code(STORAGE, 0x23, &[0, 0, 0xfe, 0, 0, 5]), 0xcb);

        let definitions = standard().into_iter().filter(|sensor| sensor.name != "FAN4").collect();
        bench.bmc.set_sensors(bench.now, standard());
        bench.bmc.set_sensors(bench.now, definitions);
        assert_eq!(bench.code(STORAGE, 0x23, &read(5, 16)), 0xc5, "other records");
    }

    #[test]
    fn two_readers_do_not_disturb_each_other() {
        let mut bench = Bench::new();
        let one = bench.ok(STORAGE, 0x22, &[]);
        let other = bench.ok(SENSOR_EVENT, 0x22, &[]);
        assert_eq!(one, other);
    }

    #[test]
    fn the_device_counts_sensors_or_records() {
        let mut bench = Bench::new();
        let sensors = u8::try_from(standard().len()).unwrap();
        assert_eq!(bench.ok(SENSOR_EVENT, 0x20, &[]), [sensors, 0x81, 0, 0, 0, 0]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x20, &[0])[0], sensors);
        assert_eq!(usize::from(bench.ok(SENSOR_EVENT, 0x20, &[1])[0]), records());
    }

    #[test]
    fn the_initialization_agent_runs_when_told_to() {
        let mut bench = Bench::new();
        bench.ok(SENSOR_EVENT, 0x24, &[0x10, 0xff, 7, 7]);
        assert_eq!(bench.ok(STORAGE, 0x2c, &[0]), [1]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x25, &[0x10, 0xff]), [7, 7]);
        assert_eq!(bench.ok(STORAGE, 0x2c, &[1]), [1]);
        assert_eq!(bench.ok(SENSOR_EVENT, 0x25, &[0x10, 0xff]), [1, 1]);
    }
}
