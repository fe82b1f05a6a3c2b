//! Enumerations of QEMU's schema (QAPI) that arrive as strings.
//!
//! QEMU adds values to its enumerations in any release, so each type here ends in `Other`, which keeps the
//! string. Converting from a string never fails, and [`Display`](std::fmt::Display) gives it back unchanged.

use std::fmt;

use serde::Deserialize;

/// Declares an open enumeration: one line a value, under the name that QEMU gives it.
macro_rules! open_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
        #[serde(from = "String")]
        pub enum $name {
            $($(#[$value_doc])* $value,)+
            /// A value that this crate has no name for; empty where QEMU gave none.
            Other(String),
        }

        impl $name {
            /// QEMU's own name of the value.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$value => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$value,)+
                    _ => Self::Other(text),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

open_enum! {
    /// Why the guest was reset or shut down (`ShutdownCause`).
    ShutdownCause {
        /// Nothing asked for it.
        None = "none",
        /// QEMU met an error that it could not go on after.
        HostError = "host-error",
        /// The command `quit`.
        HostQmpQuit = "host-qmp-quit",
        /// The command `system_reset`.
        HostQmpSystemReset = "host-qmp-system-reset",
        /// A signal to the QEMU process, such as SIGTERM.
        HostSignal = "host-signal",
        /// Somebody closed QEMU's window.
        HostUi = "host-ui",
        /// The guest powered itself off, through ACPI for one.
        GuestShutdown = "guest-shutdown",
        /// The guest reset itself: a reboot.
        GuestReset = "guest-reset",
        /// The guest panicked, and QEMU was told to end then.
        GuestPanic = "guest-panic",
        /// One part of the machine was reset, not all of it.
        SubsystemReset = "subsystem-reset",
        /// A snapshot was loaded.
        SnapshotLoad = "snapshot-load",
    }
}

open_enum! {
    /// What QEMU does after the guest panicked (`GuestPanicAction`).
    PanicAction {
        /// The guest is paused.
        Pause = "pause",
        /// QEMU ends (the name until QEMU 6).
        Poweroff = "poweroff",
        /// QEMU ends.
        Shutdown = "shutdown",
        /// The guest goes on.
        Run = "run",
    }
}

open_enum! {
    /// What QEMU does after an emulated watchdog ran out (`WatchdogAction`).
    WatchdogAction {
        /// The guest is reset.
        Reset = "reset",
        /// The guest is asked to shut down.
        Shutdown = "shutdown",
        /// QEMU ends.
        Poweroff = "poweroff",
        /// The guest is paused.
        Pause = "pause",
        /// QEMU prints a message.
        Debug = "debug",
        /// Nothing.
        None = "none",
        /// The guest receives a non-maskable interrupt.
        InjectNmi = "inject-nmi",
    }
}

open_enum! {
    /// What the guest did to a disk (`IoOperationType`).
    IoOperation {
        /// It read.
        Read = "read",
        /// It wrote.
        Write = "write",
    }
}

open_enum! {
    /// What QEMU does about a disk error (`BlockErrorAction`).
    IoErrorAction {
        /// The guest never learns of it.
        Ignore = "ignore",
        /// The guest sees the error.
        Report = "report",
        /// The guest is paused until `cont`, then the access is tried again.
        Stop = "stop",
    }
}

open_enum! {
    /// What the machine is doing (`RunState`).
    RunState {
        /// A debugger holds it.
        Debug = "debug",
        /// An incoming migration is being received.
        Inmigrate = "inmigrate",
        /// QEMU met an internal error; only a reset helps.
        InternalError = "internal-error",
        /// A disk error paused it.
        IoError = "io-error",
        /// The command `stop` paused it.
        Paused = "paused",
        /// A migration to another host is complete.
        Postmigrate = "postmigrate",
        /// Started with `-S`, and `cont` has not been given yet.
        Prelaunch = "prelaunch",
        /// A migration is being finished.
        FinishMigrate = "finish-migrate",
        /// A snapshot is being loaded.
        RestoreVm = "restore-vm",
        /// The guest runs.
        Running = "running",
        /// A snapshot is being saved.
        SaveVm = "save-vm",
        /// The guest is off, and QEMU was told to stay (`-no-shutdown`).
        Shutdown = "shutdown",
        /// The guest sleeps (ACPI S3).
        Suspended = "suspended",
        /// An emulated watchdog paused it.
        Watchdog = "watchdog",
        /// The guest panicked and is paused.
        GuestPanicked = "guest-panicked",
        /// The secondary of a fault-tolerant pair.
        Colo = "colo",
    }
}

open_enum! {
    /// The kind of a refusal (`QapiErrorClass`).
    ErrorClass {
        /// Most errors; the description is for people.
        GenericError = "GenericError",
        /// QEMU has no such command, or not in this state.
        CommandNotFound = "CommandNotFound",
        /// The device is not in use.
        DeviceNotActive = "DeviceNotActive",
        /// There is no such device.
        DeviceNotFound = "DeviceNotFound",
        /// KVM on this host lacks what the command needs.
        KvmMissingCap = "KVMMissingCap",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values_have_their_names() {
        assert_eq!(ShutdownCause::from("guest-reset".to_owned()), ShutdownCause::GuestReset);
        assert_eq!(RunState::from("prelaunch".to_owned()), RunState::Prelaunch);
        assert_eq!(ErrorClass::from("KVMMissingCap".to_owned()), ErrorClass::KvmMissingCap);
        assert_eq!(WatchdogAction::InjectNmi.to_string(), "inject-nmi");
    }

    #[test]
    fn a_new_value_is_kept() {
        let state: RunState = serde_json::from_str("\"hibernating\"").unwrap();
        assert_eq!(state, RunState::Other("hibernating".to_owned()));
    }

    proptest! {
        #[test]
        fn any_string_survives(text in "(?s).*") {
            let cause = ShutdownCause::from(text.clone());
            prop_assert_eq!(cause.as_str(), text.as_str());
        }
    }
}
