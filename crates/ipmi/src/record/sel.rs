//! SEL records (IPMI 2.0 §32): 16 bytes.
//!
//! ```text
//!  0..2 record id   2 record type   then, by type:
//!  02h      3..7 time stamp   7..9 generator   9 EvMRev   10 sensor type   11 sensor   12 direction and
//!           event type   13..16 event data
//!  C0h-DFh  3..7 time stamp   7..10 manufacturer   10..16 the manufacturer's
//!  E0h-FFh  3..16 the manufacturer's
//! ```

use bmc::{Direction, Generator, PlatformEvent, SelEntry, SelRecord};

use crate::wire::{Malformed, Reader};

/// The size of a record.
pub const SIZE: usize = 16;

const SYSTEM_EVENT: u8 = 0x02;
const OEM_TIMESTAMPED: std::ops::RangeInclusive<u8> = 0xc0..=0xdf;
const OEM: std::ops::RangeInclusive<u8> = 0xe0..=0xff;

/// Bit 7 of the event type's byte: the event's condition ended.
const DEASSERTION: u8 = 0x80;

/// Reads a record. One without a time stamp counts as made at 0.
///
/// # Errors
/// [`Malformed`], if its type is none of those above.
pub fn parse(bytes: &[u8; SIZE]) -> Result<SelEntry, Malformed> {
    let mut reader = Reader::new("SEL record", bytes);
    let id = reader.u16()?;
    let kind = reader.u8()?;
    let mut time = 0;
    let record = if kind == SYSTEM_EVENT {
        time = reader.u32()?;
        let [first, second] = reader.array()?;
        let revision = reader.u8()?;
        let event = parse_event(Generator(first, second), reader.array()?);
        SelRecord::Event { revision, event }
    } else if OEM_TIMESTAMPED.contains(&kind) {
        time = reader.u32()?;
        SelRecord::OemTimestamped { kind, manufacturer: reader.array()?, data: reader.array()? }
    } else if OEM.contains(&kind) {
        SelRecord::Oem { kind, data: reader.array()? }
    } else {
        return Err(reader.malformed());
    };
    Ok(SelEntry { id, time, record })
}

/// The bytes of an entry.
pub fn emit(entry: &SelEntry) -> [u8; SIZE] {
    let [id_low, id_high] = entry.id.to_le_bytes();
    let [t0, t1, t2, t3] = entry.time.to_le_bytes();
    match entry.record {
        SelRecord::Event { revision, event } => {
            let Generator(g0, g1) = event.generator;
            let [sensor_type, sensor, event_type, e1, e2, e3] = emit_event(&event);
            [
                id_low,
                id_high,
                SYSTEM_EVENT,
                t0,
                t1,
                t2,
                t3,
                g0,
                g1,
                revision,
                sensor_type,
                sensor,
                event_type,
                e1,
                e2,
                e3,
            ]
        }
        SelRecord::OemTimestamped { kind, manufacturer: [m0, m1, m2], data: [d0, d1, d2, d3, d4, d5] } => {
            [id_low, id_high, kind, t0, t1, t2, t3, m0, m1, m2, d0, d1, d2, d3, d4, d5]
        }
        SelRecord::Oem { kind, data } => {
            let mut bytes = [0; SIZE];
            let from = [id_low, id_high, kind].into_iter().chain(data);
            for (byte, from) in bytes.iter_mut().zip(from) {
                *byte = from;
            }
            bytes
        }
    }
}

/// Reads the part that event messages (§29.3) and event records share: sensor type to event data 3.
pub fn parse_event(generator: Generator, bytes: [u8; 6]) -> PlatformEvent {
    let [sensor_type, sensor, direction_and_type, data @ ..] = bytes;
    PlatformEvent {
        generator,
        sensor_type,
        sensor,
        event_type: direction_and_type & !DEASSERTION,
        direction: if direction_and_type & DEASSERTION == 0 {
            Direction::Asserted
        } else {
            Direction::Deasserted
        },
        data,
    }
}

/// The bytes of that part.
pub fn emit_event(event: &PlatformEvent) -> [u8; 6] {
    let direction = match event.direction {
        Direction::Asserted => 0,
        Direction::Deasserted => DEASSERTION,
    };
    let [e1, e2, e3] = event.data;
    [event.sensor_type, event.sensor, event.event_type & !DEASSERTION | direction, e1, e2, e3]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_event_has_its_bytes_in_the_order_of_the_specification() {
        let event = PlatformEvent {
            generator: Generator::BMC,
            sensor_type: 0x01,
            sensor: 0x30,
            event_type: 0x01,
            direction: Direction::Deasserted,
            data: [0x59, 0x4b, 0x46],
        };
        let entry = SelEntry { id: 0x1234, time: 0x6543_2100, record: SelRecord::event(event) };
        let bytes =
            [0x34, 0x12, 0x02, 0x00, 0x21, 0x43, 0x65, 0x20, 0x00, 0x04, 0x01, 0x30, 0x81, 0x59, 0x4b, 0x46];
        assert_eq!(emit(&entry), bytes);
        assert_eq!(parse(&bytes), Ok(entry));
    }

    #[test]
    fn types_that_nobody_defined_are_no_records() {
        for kind in [0x00, 0x01, 0x03, 0xbf] {
            let mut bytes = [0; SIZE];
            bytes[2] = kind;
            assert!(parse(&bytes).is_err(), "{kind:02x}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_back_as_it_was(mut bytes: [u8; SIZE], event: bool) {
            if event {
                bytes[2] = SYSTEM_EVENT;
            }
            let known = bytes[2] == SYSTEM_EVENT || bytes[2] >= 0xc0;
            let parsed = parse(&bytes);
            prop_assert_eq!(parsed.is_ok(), known);
            if let Ok(entry) = parsed {
                prop_assert_eq!(emit(&entry), bytes);
            }
        }
    }
}
