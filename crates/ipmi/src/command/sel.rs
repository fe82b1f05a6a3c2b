//! SEL device commands (IPMI 2.0 §31).
//!
//! Absent on purpose: Get and Set Auxiliary Log Status (5Ah, 5Bh), for there is no other log beside this one.

use bmc::{PartialError, Sel, SelKey, SelRecord, UtcOffset};

use super::{Context, SYSTEM_INTERFACE};
use crate::{
    CompletionCode, Reply,
    record::sel::{SIZE, emit, parse},
    wire::Reader,
};

type Result = std::result::Result<(), CompletionCode>;

/// Operation not supported for this record type.
const RECORD_TYPE: CompletionCode = CompletionCode(0x80);
/// No record id: there is no next entry.
const NO_RECORD: u16 = 0xffff;

/// 40h.
pub(super) fn get_info(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const VERSION: u8 = 0x51;
    /// Delete, partial add, reserve, allocation info.
    const OPERATIONS: u8 = 0x0f;
    const OVERFLOW: u8 = 0x80;
    /// "65535 or more" too.
    const MOST: u16 = u16::MAX;
    const NEVER: u32 = u32::MAX;

    let sel = context.bmc.sel();
    reply.put(&[VERSION]);
    reply.put(&count(sel.len()).to_le_bytes());
    reply.put(&u16::try_from(free(sel) * SIZE).unwrap_or(MOST).to_le_bytes());
    reply.put(&sel.last_added().unwrap_or(NEVER).to_le_bytes());
    reply.put(&sel.last_erased().unwrap_or(NEVER).to_le_bytes());
    reply.put(&[OPERATIONS | if sel.overflow() { OVERFLOW } else { 0 }]);
    Ok(())
}

fn free(sel: &Sel) -> usize {
    sel.capacity().saturating_sub(sel.len())
}

fn count(entries: usize) -> u16 {
    u16::try_from(entries).unwrap_or(u16::MAX)
}

/// 41h. An allocation unit is a record.
pub(super) fn get_allocation_info(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    const LARGEST_RECORD: u8 = 1;

    let sel = context.bmc.sel();
    let free = count(free(sel));
    for field in [count(sel.capacity()), count(SIZE), free, free] {
        reply.put(&field.to_le_bytes());
    }
    reply.put(&[LARGEST_RECORD]);
    Ok(())
}

/// 42h.
pub(super) fn reserve(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&context.bmc.reserve_log().to_le_bytes());
    Ok(())
}

/// 43h. A reservation counts only for a part that does not begin at the record's beginning.
pub(super) fn get_entry(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const WHOLE: u8 = 0xff;

    let &[r0, r1, i0, i1, offset, bytes] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    if offset != 0 {
        expect_reservation(context, [r0, r1])?;
    }
    let (entry, next) = context.bmc.sel().get(key([i0, i1])).ok_or(CompletionCode::NOT_PRESENT)?;
    let record = emit(entry);
    let from = record.get(usize::from(offset)..).ok_or(CompletionCode::OUT_OF_RANGE)?;
    let part = match bytes {
        WHOLE => from,
        bytes => from.get(..usize::from(bytes)).ok_or(CompletionCode::CANNOT_RETURN_BYTES)?,
    };
    reply.put(&next.unwrap_or(NO_RECORD).to_le_bytes());
    reply.put(part);
    Ok(())
}

fn key(id: [u8; 2]) -> SelKey {
    match u16::from_le_bytes(id) {
        0x0000 => SelKey::First,
        NO_RECORD => SelKey::Last,
        id => SelKey::Id(id),
    }
}

fn expect_reservation(context: &Context<'_>, id: [u8; 2]) -> Result {
    if context.bmc.holds_log(u16::from_le_bytes(id)) {
        Ok(())
    } else {
        Err(CompletionCode::RESERVATION_CANCELED)
    }
}

/// An event from the guest is its software's: not this controller's, nor another's (§5.5). Records of
/// manufacturers name nobody.
fn may_add(channel: u8, record: &SelRecord) -> bool {
    match record {
        SelRecord::Event { event, .. } => channel != SYSTEM_INTERFACE || event.generator.is_software(),
        SelRecord::OemTimestamped { .. } | SelRecord::Oem { .. } => true,
    }
}

/// 44h. The record's id and time are the log's to give.
pub(super) fn add_entry(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let bytes = data.try_into().map_err(|_| CompletionCode::INVALID_LENGTH)?;
    let record = parse(bytes).map_err(|_| RECORD_TYPE)?.record;
    if !may_add(context.channel, &record) {
        return Err(CompletionCode::INVALID_FIELD);
    }
    context.expect_allowance()?;
    let id = context.bmc.add_to_log(record).map_err(|_| CompletionCode::OUT_OF_SPACE)?;
    reply.put(&id.to_le_bytes());
    Ok(())
}

/// 45h.
pub(super) fn partial_add_entry(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const IN_PROGRESS: u8 = 0;
    const LAST: u8 = 1;

    let &[r0, r1, i0, i1, offset, progress, ref bytes @ ..] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    let last = match progress & 0x0f {
        IN_PROGRESS => false,
        LAST => true,
        _ => return Err(CompletionCode::INVALID_FIELD),
    };
    expect_reservation(context, [r0, r1])?;
    let id = u16::from_le_bytes([i0, i1]);
    if last {
        context.expect_allowance()?;
    }
    let (channel, mut another) = (context.channel, false);
    let finish = |bytes: &[u8; SIZE]| {
        let record = parse(bytes).ok()?.record;
        another = !may_add(channel, &record);
        (!another).then_some(record)
    };
    let added = context.bmc.add_partially(id, offset, bytes, last, finish);
    let id = added.map_err(|error| match error {
        PartialError::RecordType if another => CompletionCode::INVALID_FIELD,
        PartialError::Offset => CompletionCode::INVALID_FIELD,
        PartialError::Length => CompletionCode::INVALID_LENGTH,
        PartialError::RecordType => RECORD_TYPE,
        PartialError::OutOfSpace(_) => CompletionCode::OUT_OF_SPACE,
    })?;
    reply.put(&id.to_le_bytes());
    Ok(())
}

/// 46h.
pub(super) fn delete_entry(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    let &[r0, r1, i0, i1] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    expect_reservation(context, [r0, r1])?;
    let id = context.bmc.delete_from_log(key([i0, i1])).ok_or(CompletionCode::NOT_PRESENT)?;
    reply.put(&id.to_le_bytes());
    Ok(())
}

/// 47h. The log is erased at once, which ends the reservation: how far it is can be asked without one.
pub(super) fn clear(context: &mut Context<'_>, data: &[u8], reply: &mut Reply) -> Result {
    const INITIATE: u8 = 0xaa;
    const GET_STATUS: u8 = 0x00;
    const COMPLETED: u8 = 0x01;

    let &[r0, r1, b'C', b'L', b'R', action] = data else { return Err(CompletionCode::INVALID_FIELD) };
    match action {
        INITIATE => {
            expect_reservation(context, [r0, r1])?;
            let by = context.requester();
            context.bmc.clear_log(by);
        }
        GET_STATUS => {}
        _ => return Err(CompletionCode::INVALID_FIELD),
    }
    reply.put(&[COMPLETED]);
    Ok(())
}

/// 48h.
pub(super) fn get_time(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    reply.put(&context.bmc.log_time().to_le_bytes());
    Ok(())
}

/// 49h.
pub(super) fn set_time(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let time = Reader::new("SEL time", data).u32().map_err(|_| CompletionCode::INVALID_LENGTH)?;
    let by = context.requester();
    context.bmc.set_log_time(time, by);
    Ok(())
}

/// Stands for an offset that is not known.
const UNSPECIFIED: i16 = 0x07ff;

/// 5Ch.
pub(super) fn get_utc_offset(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let minutes = context.bmc.log_utc_offset().map_or(UNSPECIFIED, UtcOffset::minutes);
    reply.put(&minutes.to_le_bytes());
    Ok(())
}

/// 5Dh.
pub(super) fn set_utc_offset(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[low, high] = data else { return Err(CompletionCode::INVALID_LENGTH) };
    let offset = match i16::from_le_bytes([low, high]) {
        UNSPECIFIED => None,
        minutes => Some(UtcOffset::new(minutes).ok_or(CompletionCode::OUT_OF_RANGE)?),
    };
    context.bmc.set_log_utc_offset(offset);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bmc::{SEL_SIZES, SelFull};

    use super::{super::tests::Bench, *};

    const STORAGE: u8 = 0x0a;
    const NOW: u32 = 0x6543_2100;

    /// An event, with a record id and a time of the client's, which do not count.
    const EVENT: [u8; SIZE] =
        [0x99, 0x99, 0x02, 0x11, 0x22, 0x33, 0x44, 0x41, 0x00, 0x04, 0x0f, 0x20, 0x6f, 0xc2, 0x13, 0xff];

    fn bench() -> Bench {
        let mut bench = Bench::new();
        bench.bmc.observe_time(NOW.into());
        bench
    }

    /// The event as the log has it.
    fn logged(id: u8) -> [u8; SIZE] {
        let mut record = EVENT;
        [record[0], record[1]] = [id, 0];
        record[3..7].copy_from_slice(&NOW.to_le_bytes());
        record
    }

    fn reservation(bench: &mut Bench) -> [u8; 2] {
        bench.ok(STORAGE, 0x42, &[]).try_into().unwrap()
    }

    fn clear_log(bench: &mut Bench) {
        let [r0, r1] = reservation(bench);
        assert_eq!(bench.ok(STORAGE, 0x47, &[r0, r1, b'C', b'L', b'R', 0xaa]), [0x01]);
    }

    #[test]
    fn an_empty_log_says_that_nothing_was_ever_in_it() {
        let mut bench = bench();
        bench.bmc.set_sel(Sel::new(256, SelFull::Wrap));
        let never = [0xff; 8];
        let info = [&[0x51, 0, 0, 0x00, 0x10][..], &never, &[0x0f]].concat();
        assert_eq!(bench.ok(STORAGE, 0x40, &[]), info);
        assert_eq!(bench.ok(STORAGE, 0x41, &[]), [0x00, 0x01, 0x10, 0, 0x00, 0x01, 0x00, 0x01, 1]);
        for id in [[0, 0], [0xff, 0xff], [1, 0]] {
            assert_eq!(bench.code(STORAGE, 0x43, &[0, 0, id[0], id[1], 0, 0xff]), 0xcb);
        }
    }

    #[test]
    fn room_for_more_than_64_kib_is_said_as_the_most_that_can_be() {
        assert_eq!(bench().ok(STORAGE, 0x40, &[])[3..5], [0xff, 0xff]);
        assert_eq!(bench().ok(STORAGE, 0x41, &[])[..2], 10_000_u16.to_le_bytes());
    }

    #[test]
    fn what_is_added_is_read_first_last_and_by_its_id() {
        let mut bench = bench();
        for id in 1..=3 {
            assert_eq!(bench.ok(STORAGE, 0x44, &EVENT), [id, 0]);
        }
        let first = [&[2, 0][..], &logged(1)].concat();
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 0, 0, 0, 0xff]), first);
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 1, 0, 0, 0xff]), first);
        let last = [&[0xff, 0xff][..], &logged(3)].concat();
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 0xff, 0xff, 0, 0xff]), last);
        let info = bench.ok(STORAGE, 0x40, &[]);
        assert_eq!((&info[1..3], &info[5..9]), (&[3, 0][..], &NOW.to_le_bytes()[..]));
    }

    #[test]
    fn manufacturers_records_are_taken_and_others_are_not() {
        let mut bench = bench();
        let mut record = EVENT;
        record[2] = 0xc5;
        bench.ok(STORAGE, 0x44, &record);
        record[2] = 0xe5;
        bench.ok(STORAGE, 0x44, &record);
        let mut expected = logged(1);
        expected[2] = 0xc5;
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 1, 0, 0, 0xff])[2..], expected);
        record[..2].copy_from_slice(&[2, 0]);
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 2, 0, 0, 0xff])[2..], record, "no time is in it");
        record[2] = 0x03;
        assert_eq!(bench.code(STORAGE, 0x44, &record), 0x80);
        assert_eq!(bench.code(STORAGE, 0x44, &record[1..]), 0xc7);
    }

    #[test]
    fn a_part_from_the_middle_takes_a_reservation() {
        let mut bench = bench();
        bench.ok(STORAGE, 0x44, &EVENT);
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 1, 0, 0, 3]), [0xff, 0xff, 1, 0, 2]);
        assert_eq!(bench.code(STORAGE, 0x43, &[0, 0, 1, 0, 3, 4]), 0xc5);
        let [r0, r1] = reservation(&mut bench);
        let part = [&[0xff, 0xff][..], &NOW.to_le_bytes()].concat();
        assert_eq!(bench.ok(STORAGE, 0x43, &[r0, r1, 1, 0, 3, 4]), part);
        assert_eq!(bench.ok(STORAGE, 0x43, &[r0, r1, 1, 0, 14, 0xff]), [0xff, 0xff, 0x13, 0xff]);
        assert_eq!(bench.code(STORAGE, 0x43, &[r0, r1, 1, 0, 17, 1]), 0xc9);
        assert_eq!(bench.code(STORAGE, 0x43, &[r0, r1, 1, 0, 14, 3]), 0xca);
    }

    #[test]
    fn a_reservation_ends_when_an_entry_comes_or_somebody_else_reserves() {
        let mut bench = bench();
        bench.ok(STORAGE, 0x44, &EVENT);
        let first = reservation(&mut bench);
        let [r0, r1] = reservation(&mut bench);
        assert_ne!(first, [r0, r1]);
        assert_eq!(bench.code(STORAGE, 0x46, &[first[0], first[1], 1, 0]), 0xc5);
        bench.ok(STORAGE, 0x44, &EVENT);
        assert_eq!(bench.code(STORAGE, 0x46, &[r0, r1, 1, 0]), 0xc5);
        assert_eq!(bench.code(STORAGE, 0x47, &[r0, r1, b'C', b'L', b'R', 0xaa]), 0xc5);
        assert_eq!(bench.code(STORAGE, 0x46, &[0, 0, 1, 0]), 0xc5, "0 is nobody's");
        assert_eq!(bench.bmc.sel().len(), 2);
    }

    #[test]
    fn one_reservation_deletes_many_entries() {
        let mut bench = bench();
        for _ in 0..4 {
            bench.ok(STORAGE, 0x44, &EVENT);
        }
        let [r0, r1] = reservation(&mut bench);
        assert_eq!(bench.ok(STORAGE, 0x46, &[r0, r1, 2, 0]), [2, 0]);
        assert_eq!(bench.ok(STORAGE, 0x46, &[r0, r1, 0, 0]), [1, 0]);
        assert_eq!(bench.ok(STORAGE, 0x46, &[r0, r1, 0xff, 0xff]), [4, 0]);
        assert_eq!(bench.code(STORAGE, 0x46, &[r0, r1, 2, 0]), 0xcb);
        assert_eq!(bench.ok(STORAGE, 0x44, &EVENT), [5, 0], "no id comes again");
        let info = bench.ok(STORAGE, 0x40, &[]);
        assert_eq!((&info[1..3], &info[9..13]), (&[2, 0][..], &NOW.to_le_bytes()[..]));
    }

    #[test]
    fn a_cleared_log_has_one_entry_that_says_so() {
        let mut bench = bench();
        bench.ok(STORAGE, 0x44, &EVENT);
        clear_log(&mut bench);
        let [low, high, ..] = NOW.to_le_bytes();
        let cleared = [
            0xff, 0xff, 2, 0, 0x02, low, high, 0x43, 0x65, 0x20, 0, 0x04, 0x10, 0x06, 0x6f, 0x02, 0xff, 0xff,
        ];
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 0, 0, 0, 0xff]), cleared);
        assert_eq!(bench.ok(STORAGE, 0x47, &[0, 0, b'C', b'L', b'R', 0x00]), [0x01]);
        assert_eq!(bench.code(STORAGE, 0x47, &[0, 0, b'C', b'L', b'R', 0xaa]), 0xc5);
        assert_eq!(bench.code(STORAGE, 0x47, &[0, 0, b'C', b'L', b'X', 0xaa]), 0xcc);
        assert_eq!(bench.code(STORAGE, 0x47, &[0, 0, b'C', b'L', b'R', 0x01]), 0xcc);
    }

    #[test]
    fn an_entry_can_come_in_pieces_that_follow_each_other() {
        let mut bench = bench();
        let [r0, r1] = reservation(&mut bench);
        let piece = |id: u8, offset: u8, progress: u8, bytes: &[u8]| {
            [&[r0, r1, id, 0, offset, progress][..], bytes].concat()
        };
        assert_eq!(bench.ok(STORAGE, 0x45, &piece(0, 0, 0, &EVENT[..7])), [1, 0]);
        assert!(bench.bmc.sel().is_empty(), "it is not whole yet");
        assert_eq!(bench.ok(STORAGE, 0x45, &piece(1, 7, 1, &EVENT[7..])), [1, 0]);
        assert_eq!(bench.ok(STORAGE, 0x43, &[0, 0, 1, 0, 0, 0xff])[2..], logged(1));
        assert_eq!(bench.code(STORAGE, 0x45, &piece(0, 0, 0, &EVENT)), 0xc5, "the entry ended it");
    }

    fn guests() -> Bench {
        let mut bench = bench();
        bench.channel = SYSTEM_INTERFACE;
        bench.sessions.own = None;
        bench
    }

    #[test]
    fn a_guest_adds_no_event_of_a_controllers() {
        let mut bench = guests();
        for address in [0x20, 0x2c] {
            let mut record = EVENT;
            record[7] = address;
            assert_eq!(bench.code(STORAGE, 0x44, &record), 0xcc);
            let [r0, r1] = reservation(&mut bench);
            let whole = [&[r0, r1, 0, 0, 0, 1][..], &record].concat();
            assert_eq!(bench.code(STORAGE, 0x45, &whole), 0xcc, "nor in pieces");
        }
        assert!(bench.bmc.sel().is_empty());
        for software in [0x01, 0x21, 0x41] {
            let mut record = EVENT;
            record[7] = software;
            bench.ok(STORAGE, 0x44, &record);
        }
        // Linux's words when it panics: the BMC's address is in it, and says to whom they were sent.
        let mut panic = *b"\0\0\xf0\x20\0Kernel pani";
        bench.ok(STORAGE, 0x44, &panic);
        panic[4] = 1;
        bench.ok(STORAGE, 0x44, &panic);
    }

    #[test]
    fn a_guest_that_adds_without_end_is_told_to_wait() {
        let mut bench = guests();
        let added = (0..1_000).take_while(|_| bench.code(STORAGE, 0x44, &EVENT) == 0x00).count();
        assert!((94..1_000).contains(&added), "Linux's longest words when it panics: {added}");
        assert_eq!(bench.code(STORAGE, 0x44, &EVENT), 0xc0);
        assert_eq!(bench.code(0x04, 0x02, &[0x41, 0x04, 0x0f, 0x20, 0x6f, 0x02, 0xff, 0xff]), 0xc0);
        let [r0, r1] = reservation(&mut bench);
        let whole = [&[r0, r1, 0, 0, 0, 1][..], &EVENT].concat();
        assert_eq!(bench.code(STORAGE, 0x45, &whole), 0xc0);
        bench.channel = super::super::LAN_CHANNEL;
        bench.sessions.own = Bench::new().sessions.own;
        bench.ok(STORAGE, 0x47, &[r0, r1, b'C', b'L', b'R', 0xaa]);
        bench.ok(STORAGE, 0x44, &EVENT);
    }

    #[test]
    fn pieces_with_gaps_or_too_many_bytes_are_refused() {
        let mut bench = bench();
        let [r0, r1] = reservation(&mut bench);
        let mut add = |id: u8, offset: u8, progress: u8, bytes: &[u8]| {
            bench.code(STORAGE, 0x45, &[&[r0, r1, id, 0, offset, progress][..], bytes].concat())
        };
        assert_eq!(add(0, 3, 0, &EVENT[3..]), 0xcc, "nothing was before it");
        assert_eq!(add(0, 0, 0, &EVENT[..8]), 0x00);
        assert_eq!(add(1, 9, 0, &EVENT[9..]), 0xcc);
        assert_eq!(add(0, 0, 0, &EVENT[..8]), 0x00);
        assert_eq!(add(2, 8, 1, &EVENT[8..]), 0xcc, "that is another record");
        assert_eq!(add(0, 0, 1, &EVENT[..8]), 0xc7, "half a record");
        assert_eq!(add(0, 0, 0, &EVENT[..8]), 0x00);
        assert_eq!(add(1, 8, 1, &EVENT[..9]), 0xcc, "a byte too many");
        assert_eq!(add(0, 0, 2, &EVENT), 0xcc);
        assert_eq!(add(0, 0, 1, &[0; SIZE]), 0x80);
        assert!(bench.bmc.sel().is_empty());
    }

    #[test]
    fn a_full_log_refuses_where_old_entries_stay() {
        let mut bench = bench();
        bench.bmc.set_sel(Sel::new(*SEL_SIZES.start(), SelFull::Stop));
        while bench.code(STORAGE, 0x44, &EVENT) == 0 {}
        assert_eq!(bench.code(STORAGE, 0x44, &EVENT), 0xc4);
        let info = bench.ok(STORAGE, 0x40, &[]);
        assert_eq!((&info[1..5], info[13]), (&[64, 0, 0, 0][..], 0x8f));
        clear_log(&mut bench);
        assert_eq!(bench.ok(STORAGE, 0x40, &[])[13], 0x0f);
    }

    #[test]
    fn the_clock_is_set_and_its_old_and_new_time_logged() {
        let mut bench = bench();
        assert_eq!(bench.ok(STORAGE, 0x48, &[]), NOW.to_le_bytes());
        bench.ok(STORAGE, 0x49, &NOW.to_le_bytes());
        assert!(bench.bmc.sel().is_empty(), "nothing changed");
        let later = NOW + 3600;
        bench.ok(STORAGE, 0x49, &later.to_le_bytes());
        bench.bmc.observe_time(u64::from(NOW) + 10);
        assert_eq!(bench.ok(STORAGE, 0x48, &[]), (later + 10).to_le_bytes());
        let entries: Vec<_> =
            bench.bmc.sel().entries().map(|entry| (entry.time, emit(entry)[13..].to_vec())).collect();
        assert_eq!(entries, [(NOW, vec![0xc5, 0x00, 0xff]), (later, vec![0xc5, 0x80, 0xff])]);
    }

    #[test]
    fn the_offset_from_utc_is_noted_within_a_day() {
        let mut bench = bench();
        assert_eq!(bench.ok(STORAGE, 0x5c, &[]), [0, 0]);
        bench.ok(STORAGE, 0x5d, &(-90_i16).to_le_bytes());
        assert_eq!(bench.ok(STORAGE, 0x5c, &[]), (-90_i16).to_le_bytes());
        bench.ok(STORAGE, 0x5d, &[0xff, 0x07]);
        assert_eq!(bench.ok(STORAGE, 0x5c, &[]), [0xff, 0x07]);
        assert_eq!(bench.code(STORAGE, 0x5d, &1441_i16.to_le_bytes()), 0xc9);
        assert_eq!(bench.ok(STORAGE, 0x48, &[]), NOW.to_le_bytes(), "the clock stays as it is");
    }
}
