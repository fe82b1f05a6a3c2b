//! The processes of the machine: QEMU and its helpers, ours or found again.
//!
//! QEMU must outlive the BMC process, so that `kill -9` of the BMC leaves the guest alone. A QEMU that this
//! process started is its child, with an exit status to collect. One that an earlier BMC process started has
//! become init's child: it can be watched and signalled, but how it ends is init's to know. [`Process`] is
//! either of them.
//!
//! ```text
//!  Spawn::start ──▶ Process (child)   ── wait ──▶ Exited / Killed
//!                      │ token, kept on disk
//!                      ▼   the BMC process dies and starts again
//!  Process::adopt ─▶ Process (adopted) ── wait ──▶ Unknown
//!             └────▶ none: it has ended meanwhile
//! ```
//!
//! All goes through a pidfd (pidfd_open(2), Linux 5.4), which refers to one process for ever. A signal sent by
//! number can hit a stranger, once the number is given out again; and `waitpid(-1)`, as tokio's process type
//! and init use it in their ways, takes other people's exit statuses. So here nothing is known by number but
//! to find a process again, and then its start time must be right as well ([`Token`]).

mod brief;
mod launch;
mod token;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Mutex;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};
use tokio::io::unix::AsyncFd;

pub(crate) use brief::{Brief, BriefError, Said};
pub(crate) use launch::Spawn;
#[cfg(test)]
pub(crate) use launch::User;
pub(crate) use token::Token;

use super::readiness;

/// What failed, with which process.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The program could not be started.
    #[error("start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A descriptor cannot be handed down under the number that was asked for.
    #[error("hand descriptor {number} down to {}", program.display())]
    Inherit {
        /// The program.
        program: PathBuf,
        /// The number that the descriptor was to have.
        number: i32,
        /// Why.
        source: io::Error,
    },
    /// The process cannot be watched.
    #[error("watch process {pid}")]
    Watch {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// The process cannot be identified.
    #[error("read the start time of process {pid}")]
    Identify {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
    /// The process did not take the signal.
    #[error("send signal {signal} to process {pid}")]
    Signal {
        /// The process.
        pid: i32,
        /// The signal's number.
        signal: i32,
        /// Why.
        source: io::Error,
    },
    /// The end of the process cannot be waited for.
    #[error("wait for process {pid}")]
    Wait {
        /// The process.
        pid: i32,
        /// Why.
        source: io::Error,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, with this status.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was not our child, so nobody told us.
    Unknown,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exit status {status}"),
            Self::Killed(signal) => write!(f, "signal {signal}"),
            Self::Unknown => f.write_str("unknown status"),
        }
    }
}

impl From<WaitIdStatus> for Ended {
    fn from(status: WaitIdStatus) -> Self {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Self::Exited(code),
            (None, Some(signal)) => Self::Killed(signal),
            (None, None) => Self::Unknown,
        }
    }
}

/// A process that is watched. Dropping it leaves the process alone; a child that nobody waits for any more
/// stays a zombie until this process ends.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    pidfd: AsyncFd<OwnedFd>,
    child: bool,
    /// Known at the start, because later the number may be another process's.
    token: Option<Token>,
    /// Set by whoever sees the end first, for everybody who asks afterwards: a status can be collected once.
    ended: Mutex<Option<Ended>>,
}

impl Process {
    /// Finds a process again that `token` was taken of; none if it has ended.
    ///
    /// Must be called within a tokio runtime.
    pub(crate) fn adopt(token: &Token) -> Result<Option<Self>, Error> {
        let Some(pid) = token.pid() else { return Ok(None) };
        let mut process = match Self::watch(pid, false) {
            Err(Error::Watch { source, .. }) if Errno::from_io_error(&source) == Some(Errno::SRCH) => {
                return Ok(None);
            }
            result => result?,
        };
        // The descriptor was opened first: if the process that has the number now is the right one, it had
        // the number then, and the descriptor is of it.
        if process.token.as_ref() != Some(token) {
            return Ok(None);
        }
        // A program that executed itself anew still has the children of its earlier self.
        let id = WaitId::PidFd(process.pidfd.get_ref().as_fd());
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        process.child = rustix::process::waitid(id, options).is_ok();
        // One that has ended keeps its number until its parent asks for its status.
        Ok(process.try_wait()?.is_none().then_some(process))
    }

    fn watch(pid: Pid, child: bool) -> Result<Self, Error> {
        let failed = |source| Error::Watch { pid: pid.as_raw_pid(), source };
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            .map_err(io::Error::from)
            .and_then(readiness::readable)
            .map_err(failed)?;
        let token = Token::of(pid).ok();
        Ok(Self { pid, pidfd, child, token, ended: Mutex::new(None) })
    }

    /// The process's number, for people and for files.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// By what the process can be found again; none where `/proc` does not show it.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Sends a signal. A process that has ended takes any signal and does nothing.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        match rustix::process::pidfd_send_signal(self.pidfd.get_ref(), signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => {
                Err(Error::Signal { pid: self.pid(), signal: signal.as_raw(), source: error.into() })
            }
        }
    }

    /// Ends the process at once (SIGKILL); [`wait`](Self::wait) tells when that is done.
    pub(crate) fn kill(&self) -> Result<(), Error> {
        self.signal(Signal::KILL)
    }

    /// Waits until the process has ended. It may be called again, and from several places; cancelling it
    /// loses nothing.
    pub(crate) async fn wait(&self) -> Result<Ended, Error> {
        loop {
            if let Some(ended) = self.try_wait()? {
                return Ok(ended);
            }
            let failed = |source| Error::Wait { pid: self.pid(), source };
            let mut readiness = self.pidfd.readable().await.map_err(failed)?;
            if let Some(ended) = self.try_wait()? {
                return Ok(ended);
            }
            readiness.clear_ready();
        }
    }

    /// How the process ended; none while it lives.
    pub(crate) fn try_wait(&self) -> Result<Option<Ended>, Error> {
        let mut ended = self.ended.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if ended.is_none() {
            let seen = if self.child { self.collect() } else { self.look() };
            *ended = seen.map_err(|error| Error::Wait { pid: self.pid(), source: error.into() })?;
        }
        Ok(*ended)
    }

    fn collect(&self) -> Result<Option<Ended>, Errno> {
        let id = WaitId::PidFd(self.pidfd.get_ref().as_fd());
        match rustix::process::waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(status) => Ok(status.map(Ended::from)),
            // Somebody else collected it, or the system was told to discard it.
            Err(Errno::CHILD) => Ok(Some(Ended::Unknown)),
            Err(error) => Err(error),
        }
    }

    fn look(&self) -> Result<Option<Ended>, Errno> {
        let mut fds = [PollFd::new(self.pidfd.get_ref(), PollFlags::IN)];
        let ready = rustix::event::poll(&mut fds, Some(&Timespec::default()))?;
        Ok((ready > 0).then_some(Ended::Unknown))
    }
}

#[cfg(test)]
mod tests;
