//! What the guest printed while this program was away.
//!
//! QEMU keeps a copy of the serial output in a file. A program that was killed and started again finds there
//! what neither its log nor its history has. Where its own log ends in that copy is found by its last bytes.
//!
//! QEMU writes a byte into the copy whenever it tries to send it, and tries again when the socket was full. So
//! the copy can have a byte several times in a row that was sent once.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{HISTORY, log::LogFile};

/// How much of the log's end is looked for in QEMU's copy.
const NEEDLE: usize = 4 << 10;

/// How much must agree where the copy, having been emptied meanwhile, begins within the log's end.
const AGREEMENT_MIN: usize = 32;

/// QEMU's copy, and where what we had not seen begins in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Missed {
    all: Vec<u8>,
    seen: usize,
}

impl Missed {
    fn new_since(all: Vec<u8>, log_end: &[u8]) -> Self {
        let seen = if log_end.is_empty() {
            0
        } else {
            let matches = |end: &usize| continues(all.get(..*end).unwrap_or_default(), log_end);
            // Where a byte is there several times at that very place, the others are likely to be news.
            let mut ends = (1..=all.len()).rev();
            let latest = ends.find(matches);
            // Not found: the log is of something else, or older than the copy. Better too much than too little.
            latest.map_or(0, |latest| ends.take_while(matches).last().unwrap_or(latest))
        };
        Self { all, seen }
    }

    /// Everything that is in the copy.
    pub(super) fn all(&self) -> &[u8] {
        &self.all
    }

    /// What the log does not have.
    pub(super) fn unseen(&self) -> &[u8] {
        self.all.get(self.seen..).unwrap_or_default()
    }

    /// How much of the socket's first bytes is in the copy already: QEMU writes to both, one after the other,
    /// and the copy was read after the socket was connected.
    pub(super) fn overlap(&self, first: &[u8]) -> usize {
        (0..=first.len())
            .rev()
            .find(|count| self.all.ends_with(first.get(..*count).unwrap_or_default()))
            .unwrap_or(0)
    }
}

/// Whether both end with the same output, as far back as both go.
fn continues(copy: &[u8], log_end: &[u8]) -> bool {
    let mut copy = copy.iter().rev().peekable();
    let mut later = None;
    for (agreed, byte) in log_end.iter().rev().enumerate() {
        if later != Some(byte) {
            // What was tried again is there again.
            while later.is_some() && copy.next_if(|again| Some(*again) == later).is_some() {}
        }
        match copy.next() {
            Some(same) if same == byte => later = Some(byte),
            Some(_) => return false,
            None => return agreed >= AGREEMENT_MIN,
        }
    }
    !log_end.is_empty()
}

pub(super) fn missed(copy: &Path, log: Option<&LogFile>) -> Missed {
    let all = tail(copy, HISTORY + NEEDLE).unwrap_or_default();
    let log_end = log.and_then(|log| tail(log.path(), NEEDLE).ok()).unwrap_or_default();
    Missed::new_since(all, &log_end)
}

/// Empties QEMU's copy. QEMU appends, so it goes on at the beginning.
pub(super) fn truncate(copy: &Path) {
    if let Err(error) = fs::File::options().write(true).truncate(true).open(copy) {
        tracing::warn!("empty {}: {error}", copy.display());
    }
}

fn tail(path: &Path, count: usize) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(count as u64)))?;
    let mut bytes = Vec::new();
    file.take(count as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_gap_is_what_follows_the_logs_end() {
        let missed = Missed::new_since(b"one two three".to_vec(), b"two");
        assert_eq!(missed.unseen(), b" three");
        assert_eq!(Missed::new_since(b"one two".to_vec(), b"").unseen(), b"one two");
        assert_eq!(Missed::new_since(b"one two".to_vec(), b"two").unseen(), b"");
    }

    #[test]
    fn bytes_that_were_sent_again_hide_nothing() {
        let missed = Missed::new_since(b"oone  two thhree".to_vec(), b"one two");
        assert_eq!(missed.unseen(), b" thhree");
        assert_eq!(Missed::new_since(b"aaab".to_vec(), b"aab").unseen(), b"");
        assert_eq!(Missed::new_since(b"a====".to_vec(), b"a==").unseen(), b"==");
        // Only the copy repeats.
        assert_eq!(Missed::new_since(b"one two".to_vec(), b"onne").unseen(), b"one two");
    }

    #[test]
    fn a_copy_that_was_emptied_begins_within_the_logs_end() {
        let printed = b"one line of the guest's output, and another one, and what follows";
        let copy = printed.get(10..).unwrap().to_vec();
        assert_eq!(Missed::new_since(copy, printed.get(..48).unwrap()).unseen(), b" and what follows");
        let short = Missed::new_since(b"follows".to_vec(), b"what f");
        assert_eq!(short.unseen(), b"follows", "so little can be chance");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_doubled_however_often_bytes_were_sent_again(
            printed in Just((0..=255).collect::<Vec<u8>>()).prop_shuffle(),
            again in vec(0_usize..3, 256),
            emptied in 0_usize..100,
            seen in 140_usize..=256,
        ) {
            let mut copy = Vec::new();
            for (at, byte) in printed.iter().enumerate().skip(emptied) {
                // From the last byte that was seen on, nothing tells a byte that was sent again from two.
                let times = if at + 1 < seen { 1 + again[at] } else { 1 };
                copy.extend(std::iter::repeat_n(*byte, times));
            }
            let missed = Missed::new_since(copy, &printed[..seen]);
            prop_assert_eq!(missed.unseen(), &printed[seen..]);
        }
    }

    #[test]
    fn what_is_in_both_is_counted_once() {
        let missed = Missed::new_since(b"booting, login: ".to_vec(), b"");
        assert_eq!(missed.overlap(b"login: "), 7);
        assert_eq!(missed.overlap(b": root"), 2, "the rest is news");
        assert_eq!(missed.overlap(b"root"), 0);
        assert_eq!(missed.overlap(b"x"), 0);
    }
}
