//! What happened to the machine, as its driver reports it.

use std::fmt;

/// Something that became true of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A new QEMU process runs its guest.
    Started,
    /// A machine was found running when the controller started.
    Adopted,
    /// QEMU did not start, or ended before its guest ran.
    StartFailed {
        /// What QEMU or the operating system said.
        reason: String,
    },
    /// The QEMU process ended.
    Stopped {
        /// Why.
        why: StopReason,
    },
    /// The machine was reset and boots again, in the same process.
    Reset {
        /// By whom.
        by: ResetBy,
    },
    /// Somebody or something else than the controller holds the guest still: no instruction of it is executed.
    Paused,
    /// The guest goes on where it was held.
    Resumed,
    /// The guest reported a panic.
    Panicked {
        /// Whether its memory is being dumped, or what else QEMU was told to do.
        action: String,
    },
    /// A soft shutdown was asked for, and the guest still runs after the time it had.
    ShutdownIgnored {
        /// How long it had, in seconds.
        after: u64,
    },
    /// A NIC has its link again, or has lost it.
    LinkChanged {
        /// The NIC's name.
        nic: String,
        /// It has a link.
        up: bool,
    },
    /// A process that the machine needs beside QEMU has ended, and the machine runs on without it.
    CompanionLost {
        /// Which.
        name: String,
        /// How it ended.
        ended: String,
        /// What that is to the guest, and what helps.
        meaning: String,
    },
    /// Another medium is in a CD drive.
    MediumChanged {
        /// The drive's name.
        drive: String,
        /// What is in it, if anything.
        medium: Option<String>,
    },
    /// A CD drive could not be changed as it was to be.
    MediumNotChanged {
        /// The drive's name.
        drive: String,
        /// Why.
        why: String,
    },
    /// The guest opened a CD drive's tray, or closed it.
    TrayMoved {
        /// The drive's name.
        drive: String,
        /// It is open.
        open: bool,
    },
    /// QEMU does not answer its control socket.
    Unresponsive {
        /// What was tried.
        doing: &'static str,
    },
}

/// Why a QEMU process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The guest shut itself down.
    Guest,
    /// A power request ended it.
    Command,
    /// It had to be killed, because it did not end when told to.
    Forced,
    /// Nobody here knows: it was started by something else, and hung up.
    Disconnected,
    /// It ended by itself and should not have: what the operating system says of it.
    Crashed(String),
}

/// What reset the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetBy {
    /// A request through the controller.
    Command,
    /// The guest.
    Guest,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest => f.write_str("the guest shut down"),
            Self::Command => f.write_str("powered off by command"),
            Self::Forced => f.write_str("QEMU did not end when told to and was killed"),
            Self::Disconnected => f.write_str("its QEMU hung up"),
            Self::Crashed(how) => write!(f, "QEMU ended by itself: {how}"),
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("the machine is on"),
            Self::MediumChanged { drive, medium: Some(medium) } => write!(f, "{medium} is in drive {drive}"),
            Self::MediumChanged { drive, medium: None } => write!(f, "drive {drive} is empty"),
            Self::MediumNotChanged { drive, why } => write!(f, "drive {drive} could not be changed: {why}"),
            Self::TrayMoved { drive, open: true } => write!(f, "the guest opened the tray of drive {drive}"),
            Self::TrayMoved { drive, open: false } => write!(f, "the tray of drive {drive} is shut again"),
            Self::Adopted => f.write_str("the machine was running already and is under control again"),
            Self::StartFailed { reason } => write!(f, "the machine did not start: {reason}"),
            Self::Stopped { why } => write!(f, "the machine is off: {why}"),
            Self::Reset { by: ResetBy::Command } => f.write_str("the machine was reset by command"),
            Self::Reset { by: ResetBy::Guest } => f.write_str("the guest rebooted"),
            Self::Paused => f.write_str("the machine is paused: its watchdog waits"),
            Self::Resumed => f.write_str("the machine goes on"),
            Self::Panicked { action } => write!(f, "the guest panicked (action: {action})"),
            Self::ShutdownIgnored { after } => write!(f, "the guest ignored a soft shutdown for {after} s"),
            Self::LinkChanged { nic, up: true } => write!(f, "{nic} has a link again"),
            Self::LinkChanged { nic, up: false } => write!(f, "{nic} has lost its link"),
            Self::CompanionLost { name, ended, meaning } => write!(f, "{name} ended with {ended}: {meaning}"),
            Self::Unresponsive { doing } => write!(f, "QEMU does not answer ({doing})"),
        }
    }
}
