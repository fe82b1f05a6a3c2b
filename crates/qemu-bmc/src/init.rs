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
//!                               │          ▲  status 0, or somebody wants an end
//!                               └──────────┘  status 2 of the first
//!                 SIGTERM, SIGINT, SIGQUIT: passed on, and nothing is started any more
//!                 SIGHUP: passed on, which ends the controller, and it begins anew at once;
//!                         but not while the configuration is wrong
//! ```
//!
//! A mistake in the configuration (status 2) ends what has not begun. Once a controller has run there may be a
//! guest, which is left alone until the configuration is right again.
//!
//! The same is done for the controllers of several machines, each by itself ([`several`](crate::several)).
//!
//! Where it isn't PID 1, the kernel is told that orphans are to come here all the same (`PR_SET_CHILD_SUBREAPER`).
//! Nothing else in this process may wait for a child: `waitpid(-1)` here takes them all.

mod orphans;
mod policy;
mod signals;
mod ward;

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use rustix::process::{getpid, set_child_subreaper};
use tokio::time::{Instant, sleep_until};

use self::signals::{Received, Signals};
pub(crate) use self::{policy::RESTART_ME, ward::Ward};
use crate::{
    config::{ConfigErrors, Machines},
    logging,
    os::life::Life,
};

/// Reads the configuration that controllers would begin anew with, where it is known what they read.
pub(crate) type Check = dyn Fn() -> Result<Option<Machines>, ConfigErrors>;

/// Be PID 1 of a container: start the controller, restart it, reap orphans, forward signals
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to start and watch over in place of `qemu-bmc run`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Arguments {
    fn command(&self, machine: Option<&str>) -> Command {
        match self.command.split_first() {
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            None => {
                let mut command = Command::new("/proc/self/exe");
                command.arg0("qemu-bmc").arg("run");
                command.args(machine.iter().flat_map(|name| ["--machine", name]));
                command
            }
        }
    }
}

/// `qemu-bmc init`.
pub(crate) fn main(arguments: Arguments, machine: Option<&str>) -> ExitCode {
    logging::start(false, None);
    let machine = machine.map(str::to_owned);
    let (of_command, is_own) = (machine.clone(), arguments.command.is_empty());
    let ward = Ward::new("the controller".into(), None, move || arguments.command(of_command.as_deref()));
    let check = move || if is_own { crate::machines(machine.as_deref()).map(Some) } else { Ok(None) };
    match watch_over(vec![ward], &check) {
        Ok(status) => status.into(),
        Err(error) => {
            logging::complain(&format!("cannot watch over the controller: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Keeps controllers running until they or somebody else want an end. Returns the status to exit with: that of
/// the first that did not end well.
pub(crate) fn watch_over(wards: Vec<Ward>, check: &Check) -> io::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(wards, check))
}

async fn supervise(mut wards: Vec<Ward>, check: &Check) -> io::Result<u8> {
    if !getpid().is_init() {
        set_child_subreaper(Some(getpid()))?;
    }
    // Before the first child: PID 1 has no default actions, and no signal may be missed.
    let mut signals = Signals::listen()?;
    let life = Life::begin();
    loop {
        for ward in &mut wards {
            ward.start_if_due(&life);
        }
        if wards.iter().all(|ward| ward.status().is_some()) {
            break;
        }
        let due = wards.iter().filter_map(Ward::due).min();
        tokio::select! {
            biased;
            received = signals.next() => match received {
                Received::Child => while let Some((pid, status)) = orphans::reap() {
                    match wards.iter_mut().find(|ward| ward.is(pid)) {
                        Some(ward) => ward.ended(status),
                        None => tracing::debug!(%pid, ?status, "reaped an orphan"),
                    }
                },
                Received::HangUp => hang_up(&mut wards, check),
                Received::Stop(signal) => wards.iter_mut().for_each(|ward| ward.stop(signal)),
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
        }
    }
    orphans::end_all(signals.child()).await;
    Ok(wards.iter().filter_map(Ward::status).find(|status| *status != 0).unwrap_or_default())
}

/// Has controllers begin anew with a configuration that is right. With one that isn't, everything stays as it is.
fn hang_up(wards: &mut [Ward], check: &Check) {
    match check() {
        Ok(machines) => wards.iter_mut().for_each(|ward| ward.hang_up(machines.as_ref())),
        Err(errors) => {
            for problem in errors.problems() {
                tracing::error!("SIGHUP changes nothing, for the configuration is wrong: {problem}");
            }
        }
    }
}
