//! What QEMU's events mean for the machine.

use bmc::{Fact, ResetBy, StopReason};
use qmp::{
    Event,
    qapi::{RunState, ShutdownCause},
};

use crate::os::children::Ended;

/// What an event says, if it concerns the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The machine was reset, and boots.
    Reset(ResetBy),
    /// QEMU is about to end, for this reason.
    Ending(ShutdownCause),
    /// Its processors stopped or run again. Why, its status says, with [`is_paused`].
    RunState,
    /// A CD drive's tray was opened or closed, by whomever.
    Tray,
    /// Something to report that changes nothing else.
    Fact(Fact),
    /// Something for the log.
    Remark(String),
    /// Nothing.
    Nothing,
}

pub(crate) fn meaning(event: Event) -> Meaning {
    match event {
        // A part of the machine was reset, not the machine.
        Event::Reset { reason: ShutdownCause::SubsystemReset | ShutdownCause::SnapshotLoad, .. } => {
            Meaning::Nothing
        }
        Event::Reset { guest: true, .. } => Meaning::Reset(ResetBy::Guest),
        Event::Reset { guest: false, .. } => Meaning::Reset(ResetBy::Command),
        Event::Stop | Event::Resume => Meaning::RunState,
        Event::DeviceTrayMoved { .. } => Meaning::Tray,
        Event::Shutdown { reason, .. } => Meaning::Ending(reason),
        Event::GuestPanicked { action, .. } => Meaning::Fact(Fact::Panicked { action: action.to_string() }),
        Event::BlockIoError { operation, nospace, reason, node, .. } => {
            let full = if nospace { " (the host's file system is full)" } else { "" };
            Meaning::Remark(format!("a {operation} of {node} failed: {reason}{full}"))
        }
        Event::Watchdog { action } => {
            Meaning::Remark(format!("an emulated watchdog ran out (action: {action})"))
        }
        _ => Meaning::Nothing,
    }
}

/// Whether a machine in this state stands still for another reason than that its guest is done with. One that
/// panicked, or is off, is left to its watchdog.
pub(crate) fn is_paused(state: &RunState) -> bool {
    match state {
        RunState::Debug
        | RunState::Inmigrate
        | RunState::IoError
        | RunState::Paused
        | RunState::Postmigrate
        | RunState::Prelaunch
        | RunState::FinishMigrate
        | RunState::RestoreVm
        | RunState::SaveVm
        | RunState::Colo => true,
        RunState::InternalError
        | RunState::Running
        | RunState::Shutdown
        | RunState::Suspended
        | RunState::Watchdog
        | RunState::GuestPanicked
        | RunState::Other(_) => false,
    }
}

/// Why a QEMU ended that nobody here told to: what it said last, else what the operating system says.
pub(crate) fn stop_reason(announced: Option<&ShutdownCause>, ended: Ended, last_words: &str) -> StopReason {
    let crashed = |what: String| {
        StopReason::Crashed(if last_words.is_empty() {
            what
        } else {
            format!("{what}; it said: {last_words}")
        })
    };
    match (announced, ended) {
        (_, Ended::Killed(signal)) => crashed(format!("signal {signal}")),
        (Some(ShutdownCause::GuestShutdown), _) => StopReason::Guest,
        (Some(ShutdownCause::HostQmpQuit), _) => StopReason::Command,
        (Some(ShutdownCause::HostSignal), _) => crashed("a signal from outside told it to end".into()),
        (Some(cause), _) => crashed(format!("its reason is \"{cause}\"")),
        (None, ended) => crashed(ended.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_a_machine_are_told_apart() {
        let clean = Ended::Exited(0);
        assert_eq!(stop_reason(Some(&ShutdownCause::GuestShutdown), clean, ""), StopReason::Guest);
        assert_eq!(stop_reason(Some(&ShutdownCause::HostQmpQuit), clean, ""), StopReason::Command);
        assert_eq!(stop_reason(None, Ended::Killed(9), ""), StopReason::Crashed("signal 9".into()));
        // Killed in the middle of a shutdown is killed.
        let killed = stop_reason(Some(&ShutdownCause::GuestShutdown), Ended::Killed(9), "");
        assert_eq!(killed, StopReason::Crashed("signal 9".into()));
        assert_eq!(
            stop_reason(None, Ended::Exited(1), "no such disk"),
            StopReason::Crashed("exit status 1; it said: no such disk".into())
        );
    }

    #[test]
    fn a_machine_that_was_stopped_is_paused_and_one_that_panicked_is_not() {
        assert_eq!(meaning(Event::Stop), Meaning::RunState);
        for paused in [RunState::Paused, RunState::IoError] {
            assert!(is_paused(&paused), "{paused}");
        }
        for not in [RunState::Running, RunState::GuestPanicked, RunState::Shutdown] {
            assert!(!is_paused(&not), "{not}");
        }
    }

    #[test]
    fn a_reboot_is_told_from_a_reset_button() {
        let reset = |guest, reason| meaning(Event::Reset { guest, reason });
        assert_eq!(reset(true, ShutdownCause::GuestReset), Meaning::Reset(ResetBy::Guest));
        assert_eq!(reset(false, ShutdownCause::HostQmpSystemReset), Meaning::Reset(ResetBy::Command));
        assert_eq!(reset(true, ShutdownCause::SubsystemReset), Meaning::Nothing);
        assert_eq!(reset(true, ShutdownCause::Other("of QEMU 12".into())), Meaning::Reset(ResetBy::Guest));
    }
}
