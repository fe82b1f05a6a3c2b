//! What happened, in a sentence: for the program's log, and for the event log.

use std::{fmt, net::IpAddr};

use crate::{
    BootFlags, Fact, FormatError, LanPart, PlatformEvent, PowerRequest, Requester, Setting, Start,
    StopReason, UserId, UserPart,
    words::{self, Stranger, Words},
};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// For the record.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Something broke.
    Error,
}

/// Something that happened to the machine or its controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A change of power was asked for and accepted.
    PowerRequested {
        /// What was asked.
        request: PowerRequest,
        /// By whom.
        by: Requester,
        /// Whether it joined one that was under way.
        merged: bool,
    },
    /// Another medium in a CD drive, or none, was asked for.
    MediumRequested {
        /// The drive's name.
        drive: String,
        /// What is to be in it, if anything.
        medium: Option<String>,
        /// By whom.
        by: Requester,
    },
    /// Something happened to the machine.
    Machine(Fact),
    /// A sensor's event.
    Platform {
        /// The event.
        event: PlatformEvent,
        /// The sensor's name, if it is one of this controller's.
        sensor: Option<String>,
    },
    /// The boot flags were set.
    BootFlagsSet {
        /// To what.
        flags: BootFlags,
        /// By whom.
        by: Requester,
    },
    /// The boot flags lapsed unused (§28.13, parameter 3).
    BootFlagsExpired,
    /// Labels were changed, and what was written to the FRU device is no inventory that could take them.
    InventoryUnreadable {
        /// What is wrong with it.
        why: FormatError,
    },
    /// An alert was not sent, because too many were under way.
    AlertDropped,
    /// A power limit was activated, or deactivated.
    PowerLimit {
        /// The limit; none where it was deactivated.
        watts: Option<u16>,
        /// By whom.
        by: Requester,
    },
    /// The controller was told to restart itself.
    ControllerRestart {
        /// By whom.
        by: Requester,
    },
    /// The controller started.
    ControllerStarted(Start),
    /// The event log was cleared.
    LogCleared {
        /// How many entries it had.
        entries: usize,
        /// By whom.
        by: Requester,
    },
    /// The event log's clock was set (§31.11), in seconds since 1970-01-01 00:00.
    LogTimeSet {
        /// What it showed.
        from: u32,
        /// What it shows.
        to: u32,
        /// By whom.
        by: Requester,
    },
    /// The controller was told to forget all that was set.
    FactoryReset {
        /// By whom.
        by: Requester,
    },
    /// A user was changed.
    UserChanged {
        /// Which.
        user: UserId,
        /// Its name, or what it was.
        name: String,
        /// What was changed.
        part: UserPart,
        /// By whom.
        by: Requester,
    },
    /// A user of the settings found all slots taken.
    UserWithoutSlot {
        /// The user's name.
        name: String,
    },
    /// The LAN channel was given other settings.
    LanChanged {
        /// What was changed.
        what: LanPart,
        /// By whom.
        by: Requester,
    },
    /// A setting was changed.
    SettingChanged {
        /// Which.
        what: Setting,
        /// By whom.
        by: Requester,
    },
    /// A sensor was made to read something.
    SensorInjected {
        /// Its name.
        name: String,
        /// What it reads now.
        reading: String,
    },
    /// A sensor reads again what it would.
    SensorReleased {
        /// Its name.
        name: String,
    },
    /// A session was opened.
    LoggedIn {
        /// The user's name.
        user: String,
        /// From where.
        peer: IpAddr,
    },
    /// A login failed. The name is what the peer sent.
    LoginFailed {
        /// The user name that was tried.
        user: String,
        /// From where.
        peer: IpAddr,
        /// Why.
        reason: &'static str,
    },
    /// Logins of this peer are refused for a while, because too many failed.
    LoginThrottled {
        /// From where.
        peer: IpAddr,
    },
}

impl Event {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Machine(
                Fact::StartFailed { .. }
                | Fact::Stopped { why: StopReason::Crashed(_) }
                | Fact::Panicked { .. }
                | Fact::CompanionLost { .. },
            ) => Severity::Error,
            Self::Machine(
                Fact::Paused
                | Fact::ShutdownIgnored { .. }
                | Fact::Unresponsive { .. }
                | Fact::LinkChanged { up: false, .. }
                | Fact::MediumNotChanged { .. }
                | Fact::Stopped { why: StopReason::Forced },
            )
            | Self::BootFlagsExpired
            | Self::InventoryUnreadable { .. }
            | Self::AlertDropped
            | Self::FactoryReset { .. }
            | Self::UserWithoutSlot { .. }
            | Self::LoginFailed { .. }
            | Self::LoginThrottled { .. } => Severity::Warning,
            Self::Platform { event, .. } if words::alarming(event) => Severity::Warning,
            _ => Severity::Info,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerRequested { request, by, merged: false } => write!(f, "{request} requested by {by}"),
            Self::PowerRequested { request, by, merged: true } => {
                write!(f, "{request} requested by {by}; it joins one that is under way")
            }
            Self::MediumRequested { drive, medium: Some(medium), by } => {
                write!(f, "{medium} in drive {drive} requested by {by}")
            }
            Self::MediumRequested { drive, medium: None, by } => {
                write!(f, "ejection of drive {drive} requested by {by}")
            }
            Self::Machine(fact) => fact.fmt(f),
            Self::Platform { event, sensor: Some(name) } => write!(f, "{name}: {}", Words(event)),
            Self::Platform { event, sensor: None } => write!(f, "{}: {}", Stranger(event), Words(event)),
            Self::BootFlagsSet { flags, by } => write!(f, "boot device set to {flags} by {by}"),
            Self::BootFlagsExpired => {
                f.write_str("the boot device override lapsed: no power command came within 60 s")
            }
            Self::InventoryUnreadable { why } => {
                write!(
                    f,
                    "what was written as inventory (FRU) stays as it is, without changed settings: {why}"
                )
            }
            Self::AlertDropped => f.write_str("an alert was dropped: too many are under way"),
            Self::PowerLimit { watts: Some(watts), by } => {
                write!(f, "power limit of {watts} W activated by {by}: it is reported, and throttles nothing")
            }
            Self::PowerLimit { watts: None, by } => write!(f, "power limit deactivated by {by}"),
            Self::ControllerRestart { by } => write!(f, "controller restart requested by {by}"),
            Self::ControllerStarted(start) => write!(f, "the controller started: {start}"),
            Self::LogCleared { entries, by } => {
                write!(f, "event log cleared by {by}: it had {entries} entries")
            }
            Self::LogTimeSet { from, to, by } => {
                write!(f, "clock of the event log set by {by}: {:+} s", i64::from(*to) - i64::from(*from))
            }
            Self::FactoryReset { by } => write!(f, "return to factory settings requested by {by}"),
            Self::UserChanged { user, name, part, by } => {
                write!(f, "user {user} ({name:?}) {part} by {by}")
            }
            Self::UserWithoutSlot { name } => {
                write!(f, "user {name:?} of the settings can't be: all 15 slots are taken")
            }
            Self::LanChanged { what, by } => write!(f, "{what} set by {by}"),
            Self::SettingChanged { what, by } => write!(f, "{what} by {by}"),
            Self::SensorInjected { name, reading } => write!(f, "sensor {name:?} was set to {reading}"),
            Self::SensorReleased { name } => write!(f, "sensor {name:?} reads by itself again"),
            Self::LoggedIn { user, peer } => write!(f, "user {user:?} logged in from {peer}"),
            Self::LoginFailed { user, peer, reason } => {
                write!(f, "login of user {user:?} from {peer} failed: {reason}")
            }
            Self::LoginThrottled { peer } => {
                write!(f, "too many failed logins from {peer}: refused for a while")
            }
        }
    }
}
