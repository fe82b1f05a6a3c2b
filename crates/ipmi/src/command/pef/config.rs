//! PEF configuration parameters (IPMI 2.0 §30.3 and §30.4, Table 30-6).
//!
//! Absent on purpose: group control (14 and 15), for there is no ICMB with chassis to control.

use bmc::{ALERT_STRING_MAX, Actions, FILTERS, POLICIES, PefConfig, STRINGS};

use super::{
    super::boot_options::next_progress,
    CompletionCode, Context, Reply, Result,
    entry::{emit_filter, emit_policy, filter_head, parse_filter, parse_policy, set_filter_head},
};

const REVISION: u8 = 0x11;
const UNSUPPORTED: CompletionCode = CompletionCode(0x80);
const READ_ONLY: CompletionCode = CompletionCode(0x82);

/// Parameter 1.
const ENABLED: u8 = 0x01;
const TELLS: u8 = 0x02;
const DELAYS_START: u8 = 0x04;
const DELAYS_ALERTS: u8 = 0x08;
/// The size of a block of an alert string.
const BLOCK: usize = 16;

/// The entry of a table that begins with number 1.
fn nth<T>(table: &[T], number: u8) -> Result<&T> {
    let index = usize::from(number & 0x7f).checked_sub(1).ok_or(CompletionCode::OUT_OF_RANGE)?;
    table.get(index).ok_or(CompletionCode::OUT_OF_RANGE)
}

fn nth_mut<T>(table: &mut [T], number: u8) -> Result<&mut T> {
    let index = usize::from(number & 0x7f).checked_sub(1).ok_or(CompletionCode::OUT_OF_RANGE)?;
    table.get_mut(index).ok_or(CompletionCode::OUT_OF_RANGE)
}

/// Where a block of a string begins; blocks are counted from 1.
fn block_start(block: u8) -> Result<usize> {
    let start = usize::from(block).checked_sub(1).ok_or(CompletionCode::OUT_OF_RANGE)? * BLOCK;
    if start < ALERT_STRING_MAX { Ok(start) } else { Err(CompletionCode::OUT_OF_RANGE) }
}

/// 12h.
pub(in super::super) fn set(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let (&parameter, data) = data.split_first().ok_or(CompletionCode::INVALID_LENGTH)?;
    let mut config = context.bmc.pef().config().clone();
    apply(&mut config, parameter & 0x7f, data)?;
    let by = context.requester();
    context.bmc.set_pef(parameter & 0x7f, config, by);
    Ok(())
}

fn apply(config: &mut PefConfig, parameter: u8, data: &[u8]) -> Result {
    match (parameter, data) {
        (0, &[state]) => config.set_in_progress = next_progress(config.set_in_progress, state)?,
        (1, &[control]) => {
            config.enabled = control & ENABLED != 0;
            config.tells = control & TELLS != 0;
            config.delays_start = control & DELAYS_START != 0;
            config.delays_alerts = control & DELAYS_ALERTS != 0;
        }
        (2, &[actions]) => config.actions = Actions(actions).and(Actions::SUPPORTED),
        (3, &[seconds]) => config.startup_delay = seconds,
        (4, &[seconds]) => config.alert_startup_delay = seconds,
        (5 | 8 | 11, _) => return Err(READ_ONLY),
        (6, [number, filter @ ..]) if filter.len() == 20 => {
            let filter = filter.first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
            *nth_mut(&mut config.filters, *number)? = parse_filter(filter);
        }
        (7, &[number, head]) => set_filter_head(nth_mut(&mut config.filters, number)?, head),
        (9, &[number, a, b, c]) => *nth_mut(&mut config.policies, number)? = parse_policy([a, b, c])?,
        (10, [used, guid @ ..]) if guid.len() == 16 => {
            config.guid.used = used & 0x01 != 0;
            config.guid.guid = *guid.first_chunk().ok_or(CompletionCode::INVALID_LENGTH)?;
        }
        (12, &[selector, filter, set]) => {
            let string = config.strings.get_mut(usize::from(selector & 0x7f));
            let string = string.ok_or(CompletionCode::OUT_OF_RANGE)?;
            (string.filter, string.set) = (filter & 0x7f, set & 0x7f);
        }
        (13, [selector, block, part @ ..]) if (1..=BLOCK).contains(&part.len()) => {
            let string = config.strings.get_mut(usize::from(selector & 0x7f));
            let text = &mut string.ok_or(CompletionCode::OUT_OF_RANGE)?.text;
            let start = block_start(*block)?;
            text.resize(ALERT_STRING_MAX, 0);
            for (place, byte) in text.iter_mut().skip(start).zip(part) {
                *place = *byte;
            }
            // Blocks come in any order: what ends the string is for whoever uses it.
            text.truncate(text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        }
        (0..=13, _) => return Err(CompletionCode::INVALID_LENGTH),
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

/// 13h. With bit 7 of the parameter the revision alone is asked for.
pub(in super::super) fn get(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const REVISION_ONLY: u8 = 0x80;

    let &[parameter, set, block] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let config = context.bmc.pef().config();
    let count = |entries: usize| u8::try_from(entries).unwrap_or(u8::MAX);
    reply.put(&[REVISION]);
    if parameter & REVISION_ONLY != 0 {
        return Ok(());
    }
    match parameter {
        0 => reply.put(&[config.set_in_progress]),
        1 => {
            let flags = [
                (config.enabled, ENABLED),
                (config.tells, TELLS),
                (config.delays_start, DELAYS_START),
                (config.delays_alerts, DELAYS_ALERTS),
            ];
            reply.put(&[flags.into_iter().filter(|(set, _)| *set).fold(0, |bits, (_, bit)| bits | bit)]);
        }
        2 => reply.put(&[config.actions.0]),
        3 => reply.put(&[config.startup_delay]),
        4 => reply.put(&[config.alert_startup_delay]),
        5 => reply.put(&[count(FILTERS)]),
        6 => {
            let filter = nth(&config.filters, set)?;
            reply.put(&[set & 0x7f]);
            reply.put(&emit_filter(filter));
        }
        7 => reply.put(&[set & 0x7f, filter_head(nth(&config.filters, set)?)]),
        8 => reply.put(&[count(POLICIES)]),
        9 => {
            let policy = nth(&config.policies, set)?;
            reply.put(&[set & 0x7f]);
            reply.put(&emit_policy(policy));
        }
        10 => {
            reply.put(&[u8::from(config.guid.used)]);
            reply.put(&config.guid.guid);
        }
        11 => reply.put(&[count(STRINGS)]),
        12 | 13 => {
            let string = config.strings.get(usize::from(set & 0x7f)).ok_or(CompletionCode::OUT_OF_RANGE)?;
            reply.put(&[set & 0x7f]);
            if parameter == 12 {
                reply.put(&[string.filter, string.set]);
                return Ok(());
            }
            let mut part = [0; BLOCK];
            for (place, byte) in part.iter_mut().zip(string.text.iter().skip(block_start(block)?)) {
                *place = *byte;
            }
            reply.put(&[block]);
            reply.put(&part);
        }
        _ => return Err(UNSUPPORTED),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::super::{table::SENSOR_EVENT, tests::Bench};

    impl Bench {
        fn pef(&mut self, parameter: u8, set: u8, block: u8) -> Vec<u8> {
            let reply = self.ok(SENSOR_EVENT, 0x13, &[parameter, set, block]);
            assert_eq!(reply[0], 0x11);
            reply[1..].to_vec()
        }

        fn set_pef(&mut self, data: &[u8]) {
            assert_eq!(self.ok(SENSOR_EVENT, 0x12, data), []);
        }
    }

    #[test]
    fn parameters_have_their_start_values() {
        let mut bench = Bench::new();
        let expected: [(u8, &[u8]); 8] = [
            (0, &[0]),
            (1, &[0x01]),
            (2, &[0x2f]),
            (3, &[60]),
            (4, &[60]),
            (5, &[20]),
            (8, &[20]),
            (11, &[8]),
        ];
        for (parameter, expected) in expected {
            assert_eq!(bench.pef(parameter, 0, 0), expected, "parameter {parameter}");
        }
        // Temperature, non-critical, either way: an alert by policy 1.
        let first = bench.pef(6, 1, 0);
        assert_eq!(
            first,
            [1, 0x80, 0x01, 0x01, 0x08, 0xff, 0xff, 0x01, 0xff, 0x01, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(bench.pef(7, 1, 0), [1, 0x80]);
        assert_eq!(bench.pef(9, 1, 0), [1, 0x18, 0x11, 0x00]);
        assert_eq!(bench.pef(10, 0, 0), [0; 17]);
        assert_eq!(bench.pef(12, 8, 0), [8, 0, 0]);
        assert_eq!(bench.pef(13, 0, 1), [&[0, 1][..], &[0; 16]].concat());
        assert_eq!(bench.ok(SENSOR_EVENT, 0x13, &[0x86, 1, 0]), [0x11]);
    }

    #[test]
    fn parameters_come_back_as_set() {
        let mut bench = Bench::new();
        let filter: Vec<u8> = [20, 0xc0, 0x7f, 0x7f].into_iter().chain(4..21).collect();
        let guid: Vec<u8> = [1].into_iter().chain(0x10..0x20).collect();
        let sets: [(u8, u8, &[u8]); 8] = [
            (0, 0, &[1]),
            (1, 0, &[0x0e]),
            (2, 0, &[0x21]),
            (3, 0, &[5]),
            (4, 0, &[6]),
            (6, 20, &filter),
            (9, 20, &[20, 0xfc, 0x13, 0x85]),
            (10, 0, &guid),
        ];
        for (parameter, set, data) in sets {
            bench.set_pef(&[&[parameter], data].concat());
            assert_eq!(bench.pef(parameter, set, 0), data, "parameter {parameter}");
        }
        bench.set_pef(&[7, 20, 0x00]);
        assert_eq!(bench.pef(6, 20, 0)[1], 0x00);
        assert!(bench.bmc.take_unsaved());
    }

    #[test]
    fn an_alert_string_is_set_in_blocks() {
        let mut bench = Bench::new();
        bench.set_pef(&[12, 8, 3, 1]);
        assert_eq!(bench.pef(12, 8, 0), [8, 3, 1]);
        bench.set_pef(&[&[13, 8, 1][..], b"0123456789abcdef"].concat());
        bench.set_pef(&[&[13, 8, 2][..], b"ghi\0"].concat());
        assert_eq!(bench.pef(13, 8, 1), [&[8, 1][..], b"0123456789abcdef"].concat());
        assert_eq!(bench.pef(13, 8, 2), [&[8, 2][..], b"ghi", &[0; 13]].concat());
        bench.set_pef(&[13, 8, 1, b'x', 0]);
        assert_eq!(bench.bmc.pef().config().strings[8].as_sent(), b"x");
    }

    #[test]
    fn blocks_of_an_alert_string_come_in_any_order() {
        let mut bench = Bench::new();
        bench.set_pef(&[&[13, 8, 2][..], b"ghi\0"].concat());
        bench.set_pef(&[&[13, 8, 1][..], b"0123456789abcdef"].concat());
        assert_eq!(bench.pef(13, 8, 2), [&[8, 2][..], b"ghi", &[0; 13]].concat());
        assert_eq!(bench.bmc.pef().config().strings[8].as_sent(), b"0123456789abcdefghi");
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut bench = Bench::new();
        let before = bench.bmc.pef().config().clone();
        let refusals: [(&[u8], u8); 15] = [
            (&[0, 3], 0xcc),
            (&[1], 0xc7),
            (&[5, 1], 0x82),
            (&[8, 1], 0x82),
            (&[11, 1], 0x82),
            (&[6, 1, 0x80], 0xc7),
            (&[7, 0, 0x80], 0xc9),
            (&[7, 21, 0x80], 0xc9),
            (&[9, 1, 0x1d, 0x11, 0], 0xcc),
            (&[9, 21, 0x18, 0x11, 0], 0xc9),
            (&[12, 9, 0, 0], 0xc9),
            (&[13, 1, 0, b'x'], 0xc9),
            (&[13, 1, 5, b'x'], 0xc9),
            (&[13, 1, 1], 0xc7),
            (&[14, 0], 0x80),
        ];
        for (request, code) in refusals {
            assert_eq!(bench.code(SENSOR_EVENT, 0x12, request), code, "{request:02x?}");
        }
        assert_eq!(*bench.bmc.pef().config(), before);
        for (request, code) in [
            ([6, 0, 0], 0xc9),
            ([9, 21, 0], 0xc9),
            ([13, 0, 5], 0xc9),
            ([12, 9, 0], 0xc9),
            ([15, 0, 0], 0x80),
        ] {
            assert_eq!(bench.code(SENSOR_EVENT, 0x13, &request), code, "{request:02x?}");
        }
    }

    #[test]
    fn one_party_sets_at_a_time() {
        let mut bench = Bench::new();
        bench.set_pef(&[0, 1]);
        assert_eq!(bench.code(SENSOR_EVENT, 0x12, &[0, 1]), 0x81);
        bench.set_pef(&[0, 0]);
    }
}
