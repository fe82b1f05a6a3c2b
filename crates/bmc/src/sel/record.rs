//! Entries of the event log, and what can happen to the log (IPMI 2.0 §31, §32).

use crate::PlatformEvent;

/// What an entry says, by its record type (§32.1 to §32.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelRecord {
    /// 02h: an event.
    Event {
        /// The event message's format: 04h, or 03h from a device of IPMI 1.0.
        revision: u8,
        /// The event.
        event: PlatformEvent,
    },
    /// C0h to DFh: a manufacturer's own, with a time stamp.
    OemTimestamped {
        /// The record type.
        kind: u8,
        /// The manufacturer's number, least significant byte first.
        manufacturer: [u8; 3],
        /// What it says.
        data: [u8; 6],
    },
    /// E0h to FFh: a manufacturer's own, in which no time is shown.
    Oem {
        /// The record type.
        kind: u8,
        /// What it says.
        data: [u8; 13],
    },
}

impl SelRecord {
    /// The format of event messages since IPMI 1.5.
    pub const REVISION: u8 = 0x04;

    /// The record of an event.
    pub fn event(event: PlatformEvent) -> Self {
        Self::Event { revision: Self::REVISION, event }
    }
}

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SelEntry {
    /// Its record id, 1 to FFFEh.
    pub id: u16,
    /// When it was added, by the log's clock.
    pub time: u32,
    /// What it says.
    pub record: SelRecord,
}

/// What can happen to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelChange {
    /// An entry came. Where there is no room, the oldest goes.
    Added(SelEntry),
    /// An entry was deleted.
    Deleted {
        /// Which.
        id: u16,
        /// When.
        time: u32,
    },
    /// All entries were deleted.
    Cleared {
        /// When.
        time: u32,
    },
    /// An entry was refused for lack of room.
    Overflowed,
    /// What entries alone do not tell, after they were written anew.
    State {
        /// The record id that was given last.
        last_id: u16,
        /// When an entry was last added.
        last_added: Option<u32>,
        /// When entries were last deleted.
        last_erased: Option<u32>,
        /// Whether entries were lost.
        overflow: bool,
    },
}
