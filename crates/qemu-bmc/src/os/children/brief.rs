//! A program that is asked something, or does something, and ends.
//!
//! It may be given files that strangers made, and hang on a file system that does. So it has the environment and the
//! privileges of whatever else is started here, says no more than is read of it, and is killed when its time is
//! over, or when this program ends before it does. One that can't even be killed is left to a thread that waits
//! for nothing else.
#![allow(unsafe_code)]

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal},
    thread::CapabilitySet,
};

use super::launch::InChild;

/// How much of what it says is read.
const OUTPUT_MAX: u64 = 16 << 20;

/// How long one may take to be gone that was killed, and what it said to arrive when it has ended.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// A program that is about to run for a short time.
#[derive(Debug)]
pub(crate) struct Brief {
    program: OsString,
    arguments: Vec<OsString>,
    input: Vec<u8>,
    capabilities: CapabilitySet,
    limit: Duration,
}

/// What it said.
#[derive(Debug)]
pub(crate) struct Said {
    /// Whether it ended as one that did its work.
    pub(crate) success: bool,
    pub(crate) out: Vec<u8>,
    pub(crate) err: Vec<u8>,
}

/// Why it said nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BriefError {
    #[error(transparent)]
    Run(#[from] io::Error),
    #[error("it did not end within {0:?}")]
    Late(Duration),
}

impl Brief {
    /// A program by its path, or by its name in `PATH`, with the time that it has.
    pub(crate) fn new(program: impl AsRef<OsStr>, limit: Duration) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            input: Vec::new(),
            capabilities: CapabilitySet::empty(),
            limit,
        }
    }

    /// Adds arguments.
    pub(crate) fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// What it reads, which is no more than a pipe has room for.
    pub(crate) fn input(mut self, input: &str) -> Self {
        self.input = input.into();
        self
    }

    /// Leaves it these capabilities, of those that this program has; without this, none.
    pub(crate) fn keep(mut self, capabilities: CapabilitySet) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// Runs it to its end. Blocks for as long as that takes, which is no longer than its time and a moment.
    ///
    /// # Errors
    /// It can't be started, or its time is over. One that ends with a failure is none.
    pub(crate) fn run(self) -> Result<Said, BriefError> {
        let end = Instant::now() + self.limit;
        let in_child = InChild::confined(self.capabilities);
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // This program's environment may hold passwords.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let prepare = move || {
            in_child.prepare()?;
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        };
        // SAFETY: between fork and exec, `prepare` makes system calls and allocates nothing.
        unsafe { command.pre_exec(prepare) };
        let mut child = command.spawn()?;
        // One that ends without reading has more to say on its way out than this.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(&self.input));
        let (out, err) = (read(child.stdout.take()), read(child.stderr.take()));
        if !ends_by(&child, end)? {
            let _ = child.kill();
            if ends_by(&child, Instant::now() + LAST_MOMENTS)? {
                child.wait()?;
            } else {
                thread::spawn(move || child.wait());
            }
            return Err(BriefError::Late(self.limit));
        }
        let success = child.wait()?.success();
        let said = |pipe: mpsc::Receiver<Vec<u8>>| pipe.recv_timeout(LAST_MOMENTS).unwrap_or_default();
        Ok(Said { success, out: said(out), err: said(err) })
    }
}

/// Whether a child has ended by then.
fn ends_by(child: &Child, end: Instant) -> io::Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    loop {
        let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).ok();
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], left.as_ref()) {
            Err(Errno::INTR) => {}
            outcome => return Ok(outcome? > 0),
        }
    }
}

/// Reads a pipe to its end, elsewhere.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // What was read until then counts.
            let _ = pipe.take(OUTPUT_MAX).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str, limit: Duration) -> Result<Said, BriefError> {
        Brief::new("sh", limit).args(["-c", script]).input("a word\n").run()
    }

    #[test]
    fn one_that_ends_has_said_what_it_said_with_neither_environment_nor_privileges() {
        let said = sh("read x; echo $x; env >&2; grep CapEff /proc/self/status; exit 3", LONG).unwrap();
        assert!(!said.success);
        assert_eq!(String::from_utf8_lossy(&said.out), "a word\nCapEff:\t0000000000000000\n");
        let environment = String::from_utf8_lossy(&said.err);
        assert!(environment.contains("PATH=") && !environment.contains("CARGO"), "{environment}");
    }

    #[test]
    fn one_that_hangs_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let script = format!("echo $$ > {}; exec sleep 3600", pid.display());
        let error = sh(&script, Duration::from_secs(2)).unwrap_err();
        assert!(matches!(error, BriefError::Late(_)), "{error}");
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(!std::path::Path::new("/proc").join(pid.trim()).exists());
    }

    #[test]
    fn one_that_says_too_much_is_cut_off() {
        let said = sh("yes", LONG).unwrap();
        assert!(!said.success && said.out.len() as u64 == OUTPUT_MAX);
    }
}
