use bmc::{Bmc, Identity, Lan, Requester, SelFull, SelKey, SelRecord, Users};
use proptest::prelude::*;

use super::*;

fn empty() -> Sel {
    Sel::new(64, SelFull::Wrap)
}

fn bmc(sel: Sel) -> Bmc {
    let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    bmc.set_sel(sel);
    bmc.observe_time(1_000_000);
    bmc
}

fn record(number: u8) -> SelRecord {
    SelRecord::Oem { kind: 0xe0, data: [number; 13] }
}

/// What a log is, to whoever reads it.
fn shown(sel: &Sel) -> Vec<SelChange> {
    sel.rewritten().collect()
}

/// A folder with a log, and what is done to it as the controller does it.
struct Kept {
    dir: tempfile::TempDir,
    file: SelFile,
    bmc: Bmc,
}

impl Kept {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (file, sel) = SelFile::open(dir.path(), empty());
        Self { dir, file, bmc: bmc(sel) }
    }

    fn path(&self) -> PathBuf {
        path(self.dir.path())
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn settle(&mut self) {
        let changes = self.bmc.take_log_changes();
        if !changes.is_empty() {
            self.file.append(&changes, self.bmc.sel());
        }
    }

    fn add(&mut self, number: u8) {
        self.bmc.add_to_log(record(number)).unwrap();
        self.settle();
    }

    /// The next life of the program.
    fn again(mut self) -> Self {
        let (file, sel) = SelFile::open(self.dir.path(), empty());
        (self.file, self.bmc) = (file, bmc(sel));
        self
    }
}

#[test]
fn what_was_appended_is_read_back() {
    let mut kept = Kept::new();
    for number in 0..10 {
        kept.add(number);
    }
    kept.bmc.delete_from_log(SelKey::Id(3));
    kept.settle();
    let before = shown(kept.bmc.sel());
    let kept = kept.again();
    assert_eq!(shown(kept.bmc.sel()), before);
    assert!(kept.text().contains("\ndelete 000f4240 0003 "), "{}", kept.text());
}

#[test]
fn an_entry_costs_a_line_and_the_file_does_not_grow_for_ever() {
    let mut kept = Kept::new();
    kept.add(0);
    let first = kept.text();
    kept.add(1);
    assert!(kept.text().starts_with(&first), "it is only appended to");
    let mut longest = 0;
    for _ in 0..3_000 {
        kept.add(2);
        longest = longest.max(kept.file.lines);
    }
    assert_eq!(longest, 2 * 64 + SLACK);
    let before = shown(kept.bmc.sel());
    assert_eq!(shown(kept.again().bmc.sel()), before);
}

#[test]
fn nobody_else_can_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut kept = Kept::new();
    kept.add(0);
    assert_eq!(fs::metadata(kept.path()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_cannot_be_appended_to_is_written_anew() {
    let mut kept = Kept::new();
    kept.add(0);
    // A file that is open for reading stands for a disk that takes no more.
    kept.file.file = Some(File::open(kept.path()).unwrap());
    kept.add(1);
    kept.add(2);
    let before = shown(kept.bmc.sel());
    assert_eq!(shown(kept.again().bmc.sel()), before);
}

#[test]
fn a_file_that_cannot_be_written_at_all_is_left_alone_until_it_is_tried_again() {
    let mut kept = Kept::new();
    kept.add(0);
    // Nothing replaces a folder, so it stands for a disk that takes nothing.
    fs::remove_file(kept.path()).unwrap();
    fs::create_dir(kept.path()).unwrap();
    kept.file.file = None;
    kept.add(1);
    assert!(kept.file.is_failing());
    fs::remove_dir(kept.path()).unwrap();
    kept.add(2);
    assert!(!kept.path().exists(), "an entry makes nobody wait");
    kept.file.retry(kept.bmc.sel());
    assert!(!kept.file.is_failing());
    kept.add(3);
    let before = shown(kept.bmc.sel());
    assert_eq!(shown(kept.again().bmc.sel()), before);
}

#[test]
fn a_damaged_file_is_set_aside_and_what_is_good_of_it_kept() {
    let mut kept = Kept::new();
    for number in 0..4 {
        kept.add(number);
    }
    let damaged = kept.text().replacen("add 000f4240 0200", "add 000f4240 0300", 1);
    fs::write(kept.path(), &damaged).unwrap();
    let mut kept = kept.again();
    let ids: Vec<u16> = kept.bmc.sel().entries().map(|entry| entry.id).collect();
    assert_eq!(ids, [1, 3, 4]);
    assert_eq!(fs::read_to_string(kept.dir.path().join("sel.log.unusable")).unwrap(), damaged);
    kept.add(9);
    assert_eq!(shown(kept.bmc.sel()), shown(Kept::again(kept).bmc.sel()));
}

#[test]
fn a_file_of_something_else_is_no_log() {
    let kept = Kept::new();
    fs::write(kept.path(), "qemu-bmc event log 2\nadd\n").unwrap();
    let kept = kept.again();
    assert!(kept.bmc.sel().is_empty() && kept.dir.path().join("sel.log.unusable").exists());
}

fn any_change() -> impl Strategy<Value = SelChange> {
    let time = any::<u32>();
    let added = (1..0xffff_u16, time, any::<[u8; 13]>(), any::<bool>()).prop_map(|(id, time, data, oem)| {
        let mut bytes = [0; record::SIZE];
        bytes[3..].copy_from_slice(&data);
        bytes[2] = if oem { 0xe7 } else { 0x02 };
        let mut entry = record::parse(&bytes).unwrap();
        (entry.id, entry.time) = (id, time);
        SelChange::Added(entry)
    });
    let state = (any::<u16>(), any::<Option<u32>>(), any::<Option<u32>>(), any::<bool>()).prop_map(
        |(last_id, last_added, last_erased, overflow)| SelChange::State {
            last_id,
            last_added,
            last_erased,
            overflow,
        },
    );
    prop_oneof![
        added,
        state,
        (any::<u16>(), time).prop_map(|(id, time)| SelChange::Deleted { id, time }),
        time.prop_map(|time| SelChange::Cleared { time }),
        Just(SelChange::Overflowed),
    ]
}

proptest! {
    #[test]
    fn every_change_is_read_as_it_was_written(changes in proptest::collection::vec(any_change(), 0..20)) {
        let text = [HEADER, &lines(changes.iter().copied())].concat();
        let contents = Contents::read(text.as_bytes());
        prop_assert_eq!(contents.state, State::Whole);
        prop_assert_eq!(contents.changes, changes);
    }

    /// Wherever a kill cuts the file off, the whole lines before it are what is there, and the log goes on.
    #[test]
    fn a_file_that_ends_anywhere_is_a_log_that_ended_earlier(changes in proptest::collection::vec(any_change(), 1..6)) {
        let text = [HEADER, &lines(changes.iter().copied())].concat();
        for end in 0..text.len() {
            let text = &text.as_bytes()[..end];
            let whole = text.iter().filter(|byte| **byte == b'\n').count();
            let contents = Contents::read(text);
            prop_assert_eq!(&contents.changes[..], &changes[..whole.saturating_sub(1)]);
            let expected = if whole > 0 && text.ends_with(b"\n") { State::Whole } else { State::Torn };
            prop_assert_eq!(contents.state, expected);
        }
    }

    #[test]
    fn bytes_that_are_no_log_are_read_without_harm(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        header: bool,
    ) {
        let text = if header { [HEADER.as_bytes(), &bytes].concat() } else { bytes };
        prop_assert!(Contents::read(&text).changes.is_empty());
    }

    /// A bit that flips costs one line, or the header all of them, and never goes unnoticed.
    #[test]
    fn a_flipped_bit_is_noticed(
        changes in proptest::collection::vec(any_change(), 1..6),
        place: proptest::sample::Index,
        bit in 0..8_u8,
    ) {
        let mut text = [HEADER, &lines(changes.iter().copied())].concat().into_bytes();
        let place = place.index(text.len());
        text[place] ^= 1 << bit;
        let contents = Contents::read(&text);
        prop_assert_ne!(contents.state, State::Whole);
        prop_assert!(contents.changes.iter().all(|change| changes.contains(change)));
    }
}

#[test]
fn the_log_goes_on_after_a_torn_line() {
    let mut kept = Kept::new();
    for number in 0..3 {
        kept.add(number);
    }
    let text = kept.text();
    fs::write(kept.path(), &text[..text.len() - 7]).unwrap();
    let mut kept = kept.again();
    assert_eq!(kept.bmc.sel().len(), 2);
    kept.bmc.clear_log(Requester::Button);
    kept.settle();
    kept.add(7);
    let before = shown(kept.bmc.sel());
    assert_eq!(shown(kept.again().bmc.sel()), before);
}
