use proptest::prelude::*;

use super::*;
use crate::{Identity, Lan, Users};

const SMALLEST: u16 = *SEL_SIZES.start();

fn bmc(when_full: SelFull) -> Bmc {
    let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    bmc.set_sel(Sel::new(SMALLEST, when_full));
    bmc.observe_time(1_000);
    bmc
}

fn record(number: u8) -> SelRecord {
    SelRecord::Oem { kind: 0xe0, data: [number; 13] }
}

fn fill(bmc: &mut Bmc, entries: usize) {
    for _ in 0..entries {
        let _ = bmc.add_to_log(record(0));
    }
}

/// The offsets of the log's own events, oldest first, with event data 3.
fn own_events(bmc: &Bmc) -> Vec<(u8, u8)> {
    bmc.sel()
        .entries()
        .filter_map(|entry| match entry.record {
            SelRecord::Event { event, .. } if event.sensor == number::EVENT_LOG => {
                Some((event.data[0] & 0x0f, event.data[2]))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn entries_are_found_by_id_and_in_order() {
    let mut bmc = bmc(SelFull::Wrap);
    for number in 1..=3 {
        bmc.add_to_log(record(number)).unwrap();
    }
    let found = |key| bmc.sel().get(key).map(|(entry, next)| (entry.id, next));
    assert_eq!(found(SelKey::First), Some((1, Some(2))));
    assert_eq!(found(SelKey::Id(2)), Some((2, Some(3))));
    assert_eq!(found(SelKey::Last), Some((3, None)));
    assert_eq!(found(SelKey::Id(4)), None);
}

#[test]
fn a_log_that_fills_up_says_so_twice_and_then_forgets_the_oldest() {
    let mut bmc = bmc(SelFull::Wrap);
    fill(&mut bmc, 57);
    assert_eq!(own_events(&bmc), []);
    fill(&mut bmc, 5);
    assert_eq!(own_events(&bmc), [(5, 90), (4, 0xff)]);
    assert_eq!((bmc.sel().len(), bmc.sel().overflow()), (64, false), "its last place tells that it is full");
    fill(&mut bmc, 1);
    assert_eq!((bmc.sel().len(), bmc.sel().overflow()), (64, true));
    assert_eq!(bmc.sel().get(SelKey::First).unwrap().0.id, 2);
    fill(&mut bmc, 3 * 64);
    assert_eq!((bmc.sel().len(), own_events(&bmc)), (64, vec![]), "it is said once");
}

#[test]
fn a_log_that_stops_keeps_what_was_first() {
    let mut bmc = bmc(SelFull::Stop);
    fill(&mut bmc, 200);
    let sel = bmc.sel();
    assert_eq!((sel.len(), sel.overflow(), own_events(&bmc).len()), (64, true, 2));
    assert_eq!(sel.get(SelKey::First).unwrap().0.id, 1);
    assert_eq!(sel.get(SelKey::Last).unwrap().0.id, 64);
    assert_eq!(bmc.add_to_log(record(0)), Err(OutOfSpace));
    bmc.delete_from_log(SelKey::First);
    assert_eq!(bmc.add_to_log(record(0)), Ok(65));
}

#[test]
fn a_log_that_was_emptied_tells_again_that_it_fills_up() {
    let mut bmc = bmc(SelFull::Wrap);
    fill(&mut bmc, 100);
    bmc.clear_log(Requester::Button);
    assert_eq!((bmc.sel().overflow(), own_events(&bmc)), (false, vec![(2, 0xff)]));
    fill(&mut bmc, 61);
    assert_eq!(own_events(&bmc), [(2, 0xff), (5, 90), (4, 0xff)]);
}

#[test]
fn the_logs_sensor_shows_how_full_it_is_now() {
    let mut bmc = bmc(SelFull::Stop);
    let now = std::time::Instant::now();
    fill(&mut bmc, 100);
    let states = |bmc: &mut Bmc| bmc.read_sensors(now).get(number::EVENT_LOG).unwrap().states();
    assert_eq!(states(&mut bmc), Some(1 << FULL | 1 << ALMOST_FULL));
    bmc.delete_from_log(SelKey::First);
    bmc.delete_from_log(SelKey::First);
    assert_eq!(states(&mut bmc), Some(1 << ALMOST_FULL));
    bmc.clear_log(Requester::Button);
    assert_eq!(states(&mut bmc), Some(1 << CLEARED));
}

#[test]
fn ids_begin_anew_after_the_last_and_pass_over_those_that_are_taken() {
    let mut bmc = bmc(SelFull::Wrap);
    fill(&mut bmc, 1);
    for _ in 0..LAST_ID {
        fill(&mut bmc, 1);
        let (newest, _) = bmc.sel().get(SelKey::Last).unwrap();
        if newest.id == LAST_ID {
            break;
        }
        bmc.delete_from_log(SelKey::Last).unwrap();
    }
    assert_eq!(bmc.add_to_log(record(0)), Ok(2), "1 is still there");
    let order: Vec<u16> = bmc.sel().entries().map(|entry| entry.id).collect();
    assert_eq!(order, [1, LAST_ID, 2]);
}

#[test]
fn what_was_told_is_not_told_again_after_a_restart() {
    let mut before = bmc(SelFull::Wrap);
    fill(&mut before, 59);
    let mut sel = Sel::new(SMALLEST, SelFull::Wrap);
    before.take_log_changes().into_iter().for_each(|change| sel.apply(change));
    sel.settle();
    let mut after = bmc(SelFull::Wrap);
    after.set_sel(sel);
    fill(&mut after, 1);
    assert_eq!(own_events(&after), [(5, 90)]);
}

#[test]
fn a_log_that_was_made_smaller_keeps_the_newest() {
    let mut before = Sel::new(100, SelFull::Stop);
    for number in 0..100 {
        before.add(7, record(number)).unwrap();
    }
    let mut after = Sel::new(SMALLEST, SelFull::Stop);
    before.rewritten().for_each(|change| after.apply(change));
    assert_eq!((after.len(), after.get(SelKey::First).unwrap().0.id), (64, 37));
}

/// What a log is, to whoever reads it.
fn shown(sel: &Sel) -> (Vec<SelEntry>, u16, [Option<u32>; 2], bool) {
    (sel.entries().copied().collect(), sel.free_id(), [sel.last_added, sel.last_erased], sel.overflow)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(u8),
    Delete(u16),
    DeleteFirst,
    Clear,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => any::<u8>().prop_map(Step::Add),
        5 => (1..200_u16).prop_map(Step::Delete),
        3 => Just(Step::DeleteFirst),
        1 => Just(Step::Clear),
    ]
}

proptest! {
    /// However a log came to be what it is, its changes and its short form both make it again.
    #[test]
    fn a_log_is_the_sum_of_its_changes(
        stop: bool,
        steps in proptest::collection::vec(any_step(), 1..300),
    ) {
        let when_full = if stop { SelFull::Stop } else { SelFull::Wrap };
        let mut bmc = bmc(when_full);
        for (step, time) in steps.into_iter().zip(2_000..) {
            bmc.observe_time(time);
            match step {
                Step::Add(number) => {
                    let _ = bmc.add_to_log(record(number));
                }
                Step::Delete(id) => {
                    bmc.delete_from_log(SelKey::Id(id));
                }
                Step::DeleteFirst => {
                    bmc.delete_from_log(SelKey::First);
                }
                Step::Clear => bmc.clear_log(Requester::Guest),
            }
            prop_assert!(bmc.sel().len() <= bmc.sel().capacity());
        }
        let mut replayed = Sel::new(SMALLEST, when_full);
        bmc.take_log_changes().into_iter().for_each(|change| replayed.apply(change));
        prop_assert_eq!(shown(&replayed), shown(bmc.sel()));
        let mut rewritten = Sel::new(SMALLEST, when_full);
        bmc.sel().rewritten().for_each(|change| rewritten.apply(change));
        prop_assert_eq!(shown(&rewritten), shown(bmc.sel()));
        let ids: std::collections::HashSet<u16> = bmc.sel().entries().map(|entry| entry.id).collect();
        prop_assert_eq!(ids.len(), bmc.sel().len());
    }
}
