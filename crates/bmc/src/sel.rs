//! The system event log, SEL (IPMI 2.0 §31): what happened to the machine, kept until somebody clears it.
//!
//! Entries stand in the order in which they came. An entry's record id is its name, and stays it: ids count
//! up from 1 to FFFEh and begin anew only there, so that a client that remembers the last one it has read
//! finds what is new, over deletions and clears too. The log stamps each entry with its own clock.
//!
//! ```text
//!            90 %: "almost full"       all but one: "full", which takes the last place
//!   filling ────────────────────▶ ... ─────────────────────▶ full ─┬─ wrap: the oldest entry goes
//!      ▲                                                       │   └─ stop: the new entry is refused
//!      └──────────────── cleared, or entries deleted ──────────┘      either way: the overflow flag
//! ```
//!
//! A reservation (§31.4) tells a client that nothing came in between: it ends when an entry is added, when the
//! log is cleared, and when somebody else reserves. Deleting an entry leaves the ids of all others as they
//! are, and the reservation too.
//!
//! What changes is told as [`SelChange`]s, which, applied to an empty log one after the other, make it again:
//! that is how it is kept on disk without being written whole each time.

mod allowance;
mod partial;
mod record;

use std::collections::BTreeMap;

pub use partial::{Partial, PartialError};
pub use record::{SelChange, SelEntry, SelRecord};

use crate::{Bmc, Direction, Event, Generator, PlatformEvent, Requester, sensors::number};

/// The highest record id: 0000h and FFFFh stand for the first and the last entry (§31.5).
const LAST_ID: u16 = 0xfffe;

/// How many entries there can be: fewer than ids, so that one is always free.
pub const SEL_SIZES: std::ops::RangeInclusive<u16> = 64..=60_000;

/// What happens to a new entry when there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelFull {
    /// The oldest entry makes way.
    #[default]
    Wrap,
    /// It is dropped.
    Stop,
}

/// There is no room, and old entries do not make way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log is full")]
pub struct OutOfSpace;

/// Which entry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelKey {
    /// The oldest.
    First,
    /// The newest.
    Last,
    /// The one with this record id.
    Id(u16),
}

/// How full the log has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Room,
    AlmostFull,
    Full,
}

/// The log.
#[derive(Debug)]
pub struct Sel {
    capacity: usize,
    when_full: SelFull,
    /// By age: the key counts up with each entry that is added.
    entries: BTreeMap<u64, SelEntry>,
    /// The key of each record id.
    ages: BTreeMap<u16, u64>,
    age: u64,
    last_id: u16,
    reservation: Option<u16>,
    last_reservation: u16,
    partial: Option<Partial>,
    allowance: allowance::Allowance,
    last_added: Option<u32>,
    last_erased: Option<u32>,
    overflow: bool,
    /// The level that the log's own entries have told of.
    told: Level,
    changes: Vec<SelChange>,
}

impl Default for Sel {
    fn default() -> Self {
        Self::new(10_000, SelFull::default())
    }
}

impl Sel {
    /// An empty log with room for so many entries: at least and at most as many as [`SEL_SIZES`] says.
    pub fn new(capacity: u16, when_full: SelFull) -> Self {
        Self {
            capacity: usize::from(capacity.clamp(*SEL_SIZES.start(), *SEL_SIZES.end())),
            when_full,
            entries: BTreeMap::new(),
            ages: BTreeMap::new(),
            age: 0,
            last_id: 0,
            reservation: None,
            last_reservation: 0,
            partial: None,
            allowance: allowance::Allowance::default(),
            last_added: None,
            last_erased: None,
            overflow: false,
            told: Level::Room,
            changes: Vec::new(),
        }
    }

    /// Whether old entries make way when there is no room.
    pub fn wraps(&self) -> bool {
        self.when_full == SelFull::Wrap
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many there can be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// When an entry was last added.
    pub fn last_added(&self) -> Option<u32> {
        self.last_added
    }

    /// When entries were last deleted, or all were cleared.
    pub fn last_erased(&self) -> Option<u32> {
        self.last_erased
    }

    /// Whether entries were lost for lack of room since the log was last cleared.
    pub fn overflow(&self) -> bool {
        self.overflow
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &SelEntry> {
        self.entries.values()
    }

    /// An entry, and the record id of the one after it.
    pub fn get(&self, key: SelKey) -> Option<(&SelEntry, Option<u16>)> {
        let age = self.age_of(key)?;
        let mut from = self.entries.range(age..).map(|(_, entry)| entry);
        Some((from.next()?, from.next().map(|entry| entry.id)))
    }

    fn age_of(&self, key: SelKey) -> Option<u64> {
        match key {
            SelKey::First => self.entries.first_key_value().map(|(age, _)| *age),
            SelKey::Last => self.entries.last_key_value().map(|(age, _)| *age),
            SelKey::Id(id) => self.ages.get(&id).copied(),
        }
    }

    /// The id that the next entry gets: the one after the last that is not taken.
    fn free_id(&self) -> u16 {
        let after = |id: u16| if id >= LAST_ID { 1 } else { id + 1 };
        let mut id = after(self.last_id);
        while self.ages.contains_key(&id) {
            id = after(id);
        }
        id
    }

    fn add(&mut self, time: u32, record: SelRecord) -> Result<u16, OutOfSpace> {
        if self.len() >= self.capacity && self.when_full == SelFull::Stop {
            if !self.overflow {
                self.change(SelChange::Overflowed);
            }
            return Err(OutOfSpace);
        }
        let id = self.free_id();
        self.change(SelChange::Added(SelEntry { id, time, record }));
        Ok(id)
    }

    fn delete(&mut self, time: u32, key: SelKey) -> Option<u16> {
        let id = self.entries.get(&self.age_of(key)?)?.id;
        self.change(SelChange::Deleted { id, time });
        Some(id)
    }

    fn change(&mut self, change: SelChange) {
        self.apply(change);
        self.changes.push(change);
    }

    /// Makes a change that was made before: from what [`Bmc::take_log_changes`] told, or [`Sel::rewritten`].
    pub fn apply(&mut self, change: SelChange) {
        match change {
            SelChange::Added(entry) => {
                while self.len() >= self.capacity {
                    self.overflow = true;
                    if let Some((_, oldest)) = self.entries.pop_first() {
                        self.ages.remove(&oldest.id);
                    }
                }
                self.age += 1;
                if let Some(same_id) = self.ages.insert(entry.id, self.age) {
                    self.entries.remove(&same_id);
                }
                self.entries.insert(self.age, entry);
                self.last_id = entry.id;
                self.last_added = Some(entry.time);
                self.reservation = None;
            }
            SelChange::Deleted { id, time } => {
                if let Some(age) = self.ages.remove(&id) {
                    self.entries.remove(&age);
                }
                self.last_erased = Some(time);
            }
            SelChange::Cleared { time } => {
                self.entries.clear();
                self.ages.clear();
                self.overflow = false;
                self.last_erased = Some(time);
                self.reservation = None;
            }
            SelChange::Overflowed => self.overflow = true,
            SelChange::State { last_id, last_added, last_erased, overflow } => {
                self.last_id = last_id;
                self.last_added = last_added;
                self.last_erased = last_erased;
                self.overflow = overflow;
            }
        }
        self.told = self.told.min(self.level());
    }

    /// The fewest changes that make this log out of an empty one.
    pub fn rewritten(&self) -> impl Iterator<Item = SelChange> {
        let entries = self.entries().copied().map(SelChange::Added);
        entries.chain([SelChange::State {
            last_id: self.last_id,
            last_added: self.last_added,
            last_erased: self.last_erased,
            overflow: self.overflow,
        }])
    }

    /// Counts what is there as told of, after it was read back.
    pub fn settle(&mut self) {
        self.told = self.level();
    }

    fn level(&self) -> Level {
        if self.len() + 1 >= self.capacity {
            Level::Full
        } else if self.percent() >= 90 {
            Level::AlmostFull
        } else {
            Level::Room
        }
    }

    fn percent(&self) -> usize {
        self.len() * 100 / self.capacity
    }

    /// The log's own event, once it has become so full that it should be told.
    fn news(&mut self) -> Option<PlatformEvent> {
        let level = self.level();
        if level <= self.told {
            return None;
        }
        self.told = level;
        Some(match level {
            Level::Full => own_event(FULL),
            Level::AlmostFull | Level::Room => {
                let percent = u8::try_from(self.percent()).unwrap_or(100);
                PlatformEvent { data: [ALMOST_FULL | THIRD, 0xff, percent], ..own_event(ALMOST_FULL) }
            }
        })
    }

    fn reserve(&mut self, seed: u32) -> u16 {
        if self.last_reservation == 0 {
            let [low, high, ..] = seed.to_le_bytes();
            self.last_reservation = u16::from_le_bytes([low, high]);
        }
        self.last_reservation = self.last_reservation.checked_add(1).unwrap_or(1);
        self.reservation = Some(self.last_reservation);
        self.partial = None;
        self.last_reservation
    }
}

/// A state of sensor type 10h, Event Logging Disabled (Table 42-3).
fn own_event(state: u8) -> PlatformEvent {
    PlatformEvent::specific(0x10, number::EVENT_LOG, state)
}
const CLEARED: u8 = 0x02;
const FULL: u8 = 0x04;
const ALMOST_FULL: u8 = 0x05;
/// Event data 3 has the percentage; event data 2 says nothing.
const THIRD: u8 = 0x30;

impl Bmc {
    /// The event log, to read.
    pub fn sel(&self) -> &Sel {
        &self.sel
    }

    /// The event log as it was kept, or an empty one of another size.
    pub fn set_sel(&mut self, sel: Sel) {
        self.sel = sel;
    }

    /// Reserves the log (§31.4): the returned id counts until the reservation ends. Never 0.
    pub fn reserve_log(&mut self) -> u16 {
        // From the clock, so that an id from before a restart does not come up again at once.
        let seed = self.log_time();
        self.sel.reserve(seed)
    }

    /// Whether this is the reservation that counts.
    pub fn holds_log(&self, reservation: u16) -> bool {
        self.sel.reservation == Some(reservation)
    }

    /// Adds an entry, stamped with the log's time.
    ///
    /// # Errors
    /// [`OutOfSpace`], where old entries do not make way.
    pub fn add_to_log(&mut self, record: SelRecord) -> Result<u16, OutOfSpace> {
        let added = self.sel.add(self.log_time(), record);
        while let Some(event) = self.sel.news() {
            self.platform_event(event);
        }
        added
    }

    /// Deletes an entry; returns its record id.
    pub fn delete_from_log(&mut self, key: SelKey) -> Option<u16> {
        let deleted = self.sel.delete(self.log_time(), key);
        self.note_room();
        deleted
    }

    /// The states of the log's own sensor that are over now end without an entry, which would only take room.
    fn note_room(&mut self) {
        let level = self.sel.level();
        for (state, of) in [(FULL, Level::Full), (ALMOST_FULL, Level::AlmostFull)] {
            if level < of {
                self.sensors.hear(&PlatformEvent { direction: Direction::Deasserted, ..own_event(state) });
            }
        }
    }

    /// Deletes all entries. The next one tells so.
    pub fn clear_log(&mut self, by: Requester) {
        let time = self.log_time();
        self.record(Event::LogCleared { entries: self.sel.len(), by });
        self.sel.change(SelChange::Cleared { time });
        self.note_room();
        self.raise(own_event(CLEARED));
    }

    /// Takes the next piece of an entry that comes in pieces (§31.7); after the first, `id` is what the first
    /// returned. Returns the entry's record id, and adds the entry once it is whole: `finish` makes a record
    /// of its bytes.
    ///
    /// # Errors
    /// [`PartialError`]; what was collected is then dropped.
    pub fn add_partially(
        &mut self,
        id: u16,
        offset: u8,
        bytes: &[u8],
        last: bool,
        finish: impl FnOnce(&[u8; Partial::SIZE]) -> Option<SelRecord>,
    ) -> Result<u16, PartialError> {
        let collected = self.sel.partial.take().filter(|_| offset != 0).unwrap_or_default();
        let free = self.sel.free_id();
        if offset != 0 && id != free {
            return Err(PartialError::Offset);
        }
        let collected = collected.join(offset, bytes)?;
        if !last {
            self.sel.partial = Some(collected);
            return Ok(free);
        }
        let record = finish(collected.whole()?).ok_or(PartialError::RecordType)?;
        Ok(self.add_to_log(record)?)
    }

    /// What an entry says, in words: whose, what, and nothing of its time.
    pub fn describe_entry(&self, record: &SelRecord) -> String {
        match record {
            SelRecord::Event { event, .. } => {
                Event::Platform { event: *event, sensor: self.sensor_name(event) }.to_string()
            }
            SelRecord::OemTimestamped { kind, manufacturer: [a, b, c], data } => {
                let number = u32::from_le_bytes([*a, *b, *c, 0]);
                format!("record {kind:02x}h of manufacturer {number}: {data:02x?}")
            }
            SelRecord::Oem { kind, data } => format!("record {kind:02x}h: {data:02x?}"),
        }
    }

    /// The name of the sensor that an event is of, if it is one of this controller's.
    pub(crate) fn sensor_name(&self, event: &PlatformEvent) -> Option<String> {
        let own = event.generator == Generator::BMC;
        own.then(|| self.sensors.get(event.sensor)).flatten().map(|sensor| sensor.definition().name.clone())
    }

    /// What changed in the log since the last call, in order.
    pub fn take_log_changes(&mut self) -> Vec<SelChange> {
        std::mem::take(&mut self.sel.changes)
    }

    /// Puts an event into the log, if events are logged; returns its record id.
    pub(crate) fn log_event(&mut self, event: PlatformEvent) -> Option<u16> {
        if self.logs_events() || event.generator.is_system_software() {
            // A log that is full has said so in its overflow flag.
            self.add_to_log(SelRecord::event(event)).ok()
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
