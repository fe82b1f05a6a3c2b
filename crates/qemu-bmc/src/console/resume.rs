//! What the guest printed while this program was away.
//!
//! QEMU keeps a copy of the serial output in a file. A program that was killed and started again finds there
//! what neither its log nor its history has. Where its own log ends in that copy is found by its last bytes.

use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
};

use super::{HISTORY, LogFile};

/// How much of the log's end is looked for in QEMU's copy.
const NEEDLE: usize = 4 << 10;

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
            let at = all.windows(log_end.len()).rposition(|window| window == log_end);
            // Not found: the log is of something else, or older than the copy. Better too much than too little.
            at.map_or(0, |at| at + log_end.len())
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
    use super::*;

    #[test]
    fn the_gap_is_what_follows_the_logs_end() {
        let missed = Missed::new_since(b"one two three".to_vec(), b"two");
        assert_eq!(missed.unseen(), b" three");
        assert_eq!(Missed::new_since(b"one two".to_vec(), b"").unseen(), b"one two");
        assert_eq!(Missed::new_since(b"one two".to_vec(), b"two").unseen(), b"");
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
