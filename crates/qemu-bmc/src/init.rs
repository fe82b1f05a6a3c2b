//! PID 1 of the container: starts the controller, starts it again when it dies, and is the parent of whoever
//! has none.
//!
//! The controller process may crash, be killed or restart itself; the guest must not notice. So QEMU's next
//! parent has to be somebody simpler, who then does nothing but wait: this. It has no configuration and no
//! open port, and everything that it decides is in [`policy`].
//!
//! ```text
//!            ┌─ a while, longer each time ─┐
//!            ▼                             │
//!   start the controller ──▶ running ──▶ ended ──▶ end what is left ──▶ exit
//!                               │          ▲  status 0 or 2, or somebody wants an end
//!                               └──────────┘
//!                 SIGTERM, SIGINT, SIGQUIT: passed on, and nothing is started any more
//!                 SIGHUP: passed on, which ends the controller, and it begins anew at once
//! ```
//!
//! Where it isn't PID 1, the kernel is told that orphans are to come here all the same (`PR_SET_CHILD_SUBREAPER`).
//! Nothing else in this process may wait for a child: `waitpid(-1)` here takes them all.

mod orphans;
mod policy;

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
    time::Duration,
};

use rustix::process::{Pid, Signal, WaitStatus, getpid, kill_process, set_child_subreaper};
use tokio::{
    signal::unix::{self, SignalKind, signal},
    time::{Instant, sleep_until},
};
use tracing::{info, warn};

use self::policy::{Ended, Next, Policy, Stop};
use crate::{logging, os::life::Life};

/// Be PID 1 of a container: start the controller, restart it, reap orphans, forward signals
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to start and watch over in place of `qemu-bmc run`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    fn command(&self, life: &Life) -> Command {
        let mut command = match self.command.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => {
                let mut command = Command::new("/proc/self/exe");
                command.arg0("qemu-bmc").arg("run");
                command
            }
        };
        life.pass_on(&mut command);
        // Its own group: a terminal's Ctrl-C comes here, and from here, and not twice.
        command.process_group(0);
        command
    }
}

/// `qemu-bmc init`.
pub(crate) fn main(arguments: Arguments) -> ExitCode {
    logging::start(false);
    let supervised = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(supervise(&arguments)));
    match supervised {
        Ok(status) => status.into(),
        Err(error) => {
            logging::complain(&format!("cannot watch over the controller: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Keeps a controller running until it or somebody else wants an end. Returns the status to exit with.
async fn supervise(arguments: &Arguments) -> io::Result<u8> {
    if !getpid().is_init() {
        set_child_subreaper(Some(getpid()))?;
    }
    // Before the first child: PID 1 has no default actions, and no signal may be missed.
    let mut signals = Signals::listen()?;
    let mut policy = Policy::default();
    let life = Life::begin();
    let status = loop {
        let started = Instant::now();
        let how = match arguments.command(&life).spawn() {
            // The child is reaped with all others, so what the standard library knows of it is of no use.
            Ok(child) => signals.until_ended(Pid::from_child(&child), &mut policy).await,
            Err(error) => {
                warn!("cannot start the controller: {error}");
                Ended::NotStarted
            }
        };
        match policy.ended(how, started.elapsed()) {
            Next::Exit(status) => break status,
            Next::Restart(delay) => {
                match delay {
                    Duration::ZERO => warn!("the controller {} and is started again", describe(how)),
                    _ => warn!("the controller {} and is started again in {delay:?}", describe(how)),
                }
                if signals.stopped_within(delay, &mut policy).await {
                    break 0;
                }
            }
        }
    };
    orphans::end_all(&mut signals.child).await;
    Ok(status)
}

fn describe(how: Ended) -> String {
    match how {
        Ended::Exited(policy::RESTART_ME) => "restarts itself".into(),
        Ended::Exited(status) => format!("exited with status {status}"),
        Ended::Killed(signal) => format!("was killed by signal {signal}"),
        Ended::NotStarted => "did not start".into(),
    }
}

/// A signal that is sent from here, as people know it.
fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::TERM => "SIGTERM",
        Signal::INT => "SIGINT",
        Signal::HUP => "SIGHUP",
        Signal::KILL => "SIGKILL",
        _ => "a signal",
    }
}

/// What wakes init up.
struct Signals {
    child: unix::Signal,
    terminate: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    hangup: unix::Signal,
}

/// A signal that was sent to init.
#[derive(Clone, Copy, Debug)]
enum Received {
    /// A child ended.
    Child,
    /// All this is to stop. The controller gets this signal.
    Stop(Signal),
    /// SIGHUP: by custom "read your configuration again". The controller does by dying and starting anew.
    HangUp,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            child: signal(SignalKind::child())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Received {
        tokio::select! {
            // What has happened goes before what is wanted: nothing is asked of a controller that is gone.
            biased;
            _ = self.child.recv() => Received::Child,
            _ = self.terminate.recv() => Received::Stop(Signal::TERM),
            _ = self.interrupt.recv() => Received::Stop(Signal::INT),
            // The controller knows no SIGQUIT, and a core of it helps nobody.
            _ = self.quit.recv() => Received::Stop(Signal::TERM),
            _ = self.hangup.recv() => Received::HangUp,
        }
    }

    /// Passes signals on to the controller until it ends.
    async fn until_ended(&mut self, controller: Pid, policy: &mut Policy) -> Ended {
        loop {
            let pass_on = match self.next().await {
                Received::Child => match reap(controller) {
                    Some(status) => return ended(status),
                    None => continue,
                },
                Received::HangUp => Signal::HUP,
                Received::Stop(signal) => match policy.stop() {
                    Stop::Ask => signal,
                    Stop::Kill => Signal::KILL,
                },
            };
            info!("passing {} on to the controller", name(pass_on));
            // The controller wasn't reaped yet, so nobody else has its number.
            let _ = kill_process(controller, pass_on);
        }
    }

    /// Waits while there is no controller. Returns early, and true, if somebody wants an end.
    async fn stopped_within(&mut self, delay: Duration, policy: &mut Policy) -> bool {
        let end = Instant::now() + delay;
        loop {
            tokio::select! {
                biased;
                received = self.next() => match received {
                    Received::Child => orphans::reap_all(),
                    Received::HangUp => {}
                    Received::Stop(_) => {
                        policy.stop();
                        return true;
                    }
                },
                () = sleep_until(end) => return false,
            }
        }
    }
}

/// Reaps everybody, and returns how the controller ended if it is among them.
fn reap(controller: Pid) -> Option<WaitStatus> {
    let mut found = None;
    while let Some((pid, status)) = orphans::reap() {
        if pid == controller {
            found = Some(status);
        }
    }
    found
}

fn ended(status: WaitStatus) -> Ended {
    let byte = |number: i32| u8::try_from(number).unwrap_or(u8::MAX);
    match status.terminating_signal() {
        Some(signal) => Ended::Killed(byte(signal)),
        None => Ended::Exited(status.exit_status().map_or(u8::MAX, byte)),
    }
}
