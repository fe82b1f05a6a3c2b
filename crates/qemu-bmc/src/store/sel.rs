//! The event log on disk: what changed in it, one change a line, the newest last.
//!
//! ```text
//! qemu-bmc event log 1
//! add 65432100 01000200214365200004013081594b46 5d0c7a31    when, the record as IPMI has it, check
//! delete 65432107 0001 86a0b7e9                             when, record id
//! clear 65432109 e1f09c42
//! overflow 0a4e5c11
//! state 0003 65432109 none no 7e01c3aa                      last id, last added, last erased, overflow
//! ```
//!
//! A line is appended before the answer that acknowledges the change leaves, so an entry costs one small
//! write, however long the log is. Once the file has far more lines than the log has entries, it is replaced
//! by a short one. What a kill leaves of a line at the end is dropped; a file that is damaged further up is
//! set aside, and what can be read of it is kept.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bmc::{Sel, SelChange};
use ipmi::record::sel as record;
use sha2::{Digest as _, Sha256};
use tracing::{error, info, warn};

use crate::{chain, os::atomic_file};

const NAME: &str = "sel.log";
const HEADER: &str = "qemu-bmc event log 1\n";

/// So many lines more than twice the entries, and the file is written anew.
const SLACK: usize = 1_000;

/// The file of the event log.
#[derive(Debug)]
pub(crate) struct SelFile {
    path: PathBuf,
    /// Open for appending; none if the file is not what the log is, and has to be written whole.
    file: Option<File>,
    lines: usize,
    /// Whether it can't be written, which was said, and has to be tried again.
    failing: bool,
}

impl SelFile {
    /// Reads the log that is kept in this folder into an empty one.
    pub(crate) fn open(dir: &Path, mut sel: Sel) -> (Self, Sel) {
        let mut log = Self { path: path(dir), file: None, lines: 0, failing: false };
        let text = match fs::read(&log.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return (log, sel),
            Err(error) => {
                error!("read {}: {error}: it is set aside and the event log is empty", log.path.display());
                super::keep_aside(&log.path);
                return (log, sel);
            }
        };
        let Contents { changes, state } = Contents::read(&text);
        log.lines = changes.len();
        changes.into_iter().for_each(|change| sel.apply(change));
        sel.settle();
        match state {
            State::Whole => match OpenOptions::new().append(true).open(&log.path) {
                Ok(file) => log.file = Some(file),
                Err(error) => warn!("open {} to append: {error}", log.path.display()),
            },
            State::Torn => warn!(
                "{} ends within a line, which was being written when this program last ended: it is dropped",
                log.path.display()
            ),
            State::Damaged => {
                warn!(
                    "{} is damaged: it is set aside, and the {} entries that can be read are kept",
                    log.path.display(),
                    sel.len()
                );
                super::keep_aside(&log.path);
            }
        }
        (log, sel)
    }

    /// Adds what changed; the log is given as it is after that.
    ///
    /// While the file can't be written this does nothing: everybody would wait for a log that is written whole,
    /// with each entry. [`SelFile::retry`] does that now and then.
    pub(crate) fn append(&mut self, changes: &[SelChange], sel: &Sel) {
        if self.failing {
            return;
        }
        self.lines += changes.len();
        let appended = match &mut self.file {
            Some(file) if self.lines <= 2 * sel.len() + SLACK => {
                file.write_all(lines(changes.iter().copied()).as_bytes()).is_ok()
            }
            _ => false,
        };
        // What could not be appended may have left half a line.
        if !appended && let Err(error) = self.rewrite(sel) {
            error!("{error}; until it can be, the event log is kept in memory only");
            self.failing = true;
        }
    }

    /// Whether the file could not be written, and has to be tried again.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing
    }

    /// Tries again to write the file, if it could not be written.
    pub(crate) fn retry(&mut self, sel: &Sel) {
        if self.failing && self.rewrite(sel).is_ok() {
            self.failing = false;
            info!("{} can be written again, and has the whole event log", self.path.display());
        }
    }

    fn rewrite(&mut self, sel: &Sel) -> Result<(), String> {
        self.file = None;
        let text = [HEADER, &lines(sel.rewritten())].concat();
        atomic_file::replace(&self.path, text.as_bytes(), 0o600).map_err(|error| chain(&error))?;
        let file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .map_err(|error| format!("open {} to append: {error}", self.path.display()))?;
        self.lines = sel.len() + 1;
        self.file = Some(file);
        Ok(())
    }
}

/// Where the log of this folder is.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join(NAME)
}

/// What a file tells.
struct Contents {
    changes: Vec<SelChange>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// Its end is missing.
    Torn,
    /// Something else is not what was written.
    Damaged,
}

impl Contents {
    fn read(text: &[u8]) -> Self {
        let Some(text) = text.strip_prefix(HEADER.as_bytes()) else {
            let torn = HEADER.as_bytes().starts_with(text);
            return Self { changes: Vec::new(), state: if torn { State::Torn } else { State::Damaged } };
        };
        let mut changes = Vec::new();
        let mut state = State::Whole;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match (parse(line), state) {
                (Some(change), State::Whole | State::Damaged) => changes.push(change),
                (Some(change), State::Torn) => {
                    // What was missing was not the end.
                    changes.push(change);
                    state = State::Damaged;
                }
                (None, State::Whole) => state = State::Torn,
                (None, State::Torn | State::Damaged) => {}
            }
        }
        Self { changes, state }
    }
}

fn lines(changes: impl Iterator<Item = SelChange>) -> String {
    let mut text = String::new();
    for change in changes {
        let start = text.len();
        // Writing into a string can't fail.
        let _ = match change {
            SelChange::Added(entry) => {
                let _ = write!(text, "add {:08x} ", entry.time);
                record::emit(&entry).iter().try_for_each(|byte| write!(text, "{byte:02x}"))
            }
            SelChange::Deleted { id, time } => write!(text, "delete {time:08x} {id:04x}"),
            SelChange::Cleared { time } => write!(text, "clear {time:08x}"),
            SelChange::Overflowed => write!(text, "overflow"),
            SelChange::State { last_id, last_added, last_erased, overflow } => {
                let time = |time: Option<u32>| time.map_or("none".into(), |time| format!("{time:08x}"));
                let overflow = if overflow { "yes" } else { "no" };
                write!(text, "state {last_id:04x} {} {} {overflow}", time(last_added), time(last_erased))
            }
        };
        let check = check(text.get(start..).unwrap_or_default());
        let _ = writeln!(text, " {check:08x}");
    }
    text
}

fn parse(line: &[u8]) -> Option<SelChange> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (said, checked) = line.rsplit_once(' ')?;
    if checked != format!("{:08x}", check(said)) {
        return None;
    }
    let words: Vec<&str> = said.split(' ').collect();
    Some(match words[..] {
        ["add", time, bytes] => {
            let mut entry = record::parse(&hex(bytes)?).ok()?;
            entry.time = number(time)?;
            SelChange::Added(entry)
        }
        ["delete", time, id] => SelChange::Deleted { id: id_of(id)?, time: number(time)? },
        ["clear", time] => SelChange::Cleared { time: number(time)? },
        ["overflow"] => SelChange::Overflowed,
        ["state", last_id, last_added, last_erased, overflow] => SelChange::State {
            last_id: id_of(last_id)?,
            last_added: time_or_none(last_added)?,
            last_erased: time_or_none(last_erased)?,
            overflow: overflow == "yes",
        },
        _ => return None,
    })
}

fn check(text: &str) -> u32 {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(text).into();
    u32::from_be_bytes([a, b, c, d])
}

fn number(text: &str) -> Option<u32> {
    hex(text).map(u32::from_be_bytes)
}

fn id_of(text: &str) -> Option<u16> {
    hex(text).map(u16::from_be_bytes)
}

fn time_or_none(text: &str) -> Option<Option<u32>> {
    if text == "none" { Some(None) } else { number(text).map(Some) }
}

fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
