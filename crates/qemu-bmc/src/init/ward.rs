//! One controller that is kept running: how far it is, and what signals do to it.

use std::{os::unix::process::CommandExt as _, process::Command, time::Duration};

use rustix::process::{Pid, Signal, WaitStatus, kill_process};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    policy::{self, Ended, Next, Policy, Stop},
    signals::name,
};
use crate::{
    config::{ConfigErrors, MachineName, Machines},
    os::life::Life,
};

/// A controller that is kept running.
pub(crate) struct Ward {
    /// What to call it in the log.
    what: String,
    /// Its machine, if it is one of several.
    machine: Option<MachineName>,
    command: Box<dyn Fn() -> Command>,
    policy: Policy,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It is to be started at this time.
    Due(Instant),
    Running {
        pid: Pid,
        since: Instant,
    },
    /// For good, with this status.
    Over(u8),
}

impl Ward {
    /// One that is to be started at once, by this command.
    pub(crate) fn new(
        what: String,
        machine: Option<MachineName>,
        command: impl Fn() -> Command + 'static,
    ) -> Self {
        let state = State::Due(Instant::now());
        Self { what, machine, command: Box::new(command), policy: Policy::default(), state }
    }

    /// When it is to be started, if it is.
    pub(super) fn due(&self) -> Option<Instant> {
        if let State::Due(at) = self.state { Some(at) } else { None }
    }

    /// Its status, if it has ended for good.
    pub(super) fn status(&self) -> Option<u8> {
        if let State::Over(status) = self.state { Some(status) } else { None }
    }

    /// Whether this is its process.
    pub(super) fn is(&self, process: Pid) -> bool {
        matches!(self.state, State::Running { pid, .. } if pid == process)
    }

    pub(super) fn start_if_due(&mut self, life: &Life) {
        while self.due().is_some_and(|due| due <= Instant::now()) {
            let mut command = (self.command)();
            life.pass_on(&mut command);
            // Its own group: a terminal's Ctrl-C comes here, and from here, and not twice.
            command.process_group(0);
            let since = Instant::now();
            match command.spawn() {
                // The child is reaped with all others, so what the standard library knows of it is of no use.
                Ok(child) => self.state = State::Running { pid: Pid::from_child(&child), since },
                Err(error) => {
                    warn!("cannot start {}: {error}", self.what);
                    self.follow(Ended::NotStarted, Duration::ZERO);
                }
            }
        }
    }

    /// Its process has ended.
    pub(super) fn ended(&mut self, status: WaitStatus) {
        if let State::Running { since, .. } = self.state {
            self.follow(how(status), since.elapsed());
        }
    }

    fn follow(&mut self, how: Ended, ran: Duration) {
        let what = &self.what;
        self.state = match self.policy.ended(how, ran) {
            Next::Exit(status) => {
                info!("{what} {}", describe(how));
                State::Over(status)
            }
            Next::Restart(delay) => {
                match delay {
                    _ if how == Ended::Exited(ConfigErrors::EXIT_CODE) => warn!(
                        "{what} cannot use its configuration: whatever it left running is left alone, and it is tried again in {delay:?}, or at SIGHUP"
                    ),
                    Duration::ZERO => warn!("{what} {} and is started again", describe(how)),
                    _ => warn!("{what} {} and is started again in {delay:?}", describe(how)),
                }
                State::Due(Instant::now() + delay)
            }
        };
    }

    /// Somebody wants an end.
    pub(super) fn stop(&mut self, signal: Signal) {
        let wish = self.policy.stop();
        match self.state {
            State::Due(_) => self.state = State::Over(0),
            State::Running { .. } => self.pass_on(if wish == Stop::Ask { signal } else { Signal::KILL }),
            State::Over(_) => {}
        }
    }

    /// The configuration, which is right, is to be read again. One that had no use for the old one may have for the
    /// new.
    pub(super) fn hang_up(&mut self, machines: Option<&Machines>) {
        if !self.is_among(machines) {
            warn!("{} goes on as it is: its machine is not in the configuration any more", self.what);
            return;
        }
        match self.state {
            State::Running { .. } => self.pass_on(Signal::HUP),
            State::Due(_) | State::Over(_) if !self.policy.stopping() => {
                self.state = State::Due(Instant::now());
            }
            State::Due(_) | State::Over(_) => {}
        }
    }

    /// Whether these have its machine, or nobody knows.
    fn is_among(&self, machines: Option<&Machines>) -> bool {
        match (machines, &self.machine) {
            (Some(Machines::Several(plans)), Some(own)) => {
                plans.iter().any(|plan| plan.name.as_ref() == Some(own))
            }
            (Some(Machines::One(_)), Some(_)) => false,
            _ => true,
        }
    }

    fn pass_on(&self, signal: Signal) {
        if let State::Running { pid, .. } = self.state {
            info!("passing {} on to {}", name(signal), self.what);
            // The controller wasn't reaped yet, so nobody else has its number.
            let _ = kill_process(pid, signal);
        }
    }
}

fn describe(how: Ended) -> String {
    match how {
        Ended::Exited(policy::RESTART_ME) => "restarts itself".into(),
        Ended::Exited(0) => "has ended".into(),
        Ended::Exited(status) => format!("exited with status {status}"),
        Ended::Killed(signal) => format!("was killed by signal {signal}"),
        Ended::NotStarted => "did not start".into(),
    }
}

fn how(status: WaitStatus) -> Ended {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match status.terminating_signal() {
        Some(signal) => Ended::Killed(byte(signal)),
        None => Ended::Exited(status.exit_status().map_or(u8::MAX, byte)),
    }
}
