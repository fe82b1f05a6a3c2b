//! `qemu-bmc run` with several machines: a process for each, watched over by this one.
//!
//! ```text
//!   qemu-bmc run ─┬─ qemu-bmc run --machine node1 ── QEMU
//!                 ├─ qemu-bmc run --machine node2 ── QEMU
//!                 └─ qemu-bmc run --machine node3
//! ```
//!
//! What fails in one process is that machine's alone. This one is what [`init`](crate::init) is in a container, by
//! the same code: it starts controllers again, hands signals on to all of them, and is the parent of a QEMU whose
//! controller died. If it dies itself, the controllers end with it, and leave their machines running: whoever
//! starts it again finds no port taken, and takes the machines over.

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};

use crate::{
    config::Plan,
    init::{self, Ward},
    logging,
};

/// Runs all these machines until told to stop.
pub(crate) fn watch_over(plans: &[Plan]) -> anyhow::Result<ExitCode> {
    logging::start(plans.iter().any(|plan| plan.debug), None);
    let own = getpid().as_raw_nonzero().to_string();
    let wards = plans.iter().filter_map(|plan| plan.name.clone()).map(|name| {
        let own = own.clone();
        let what = format!("the controller of {name}");
        Ward::new(what, Some(name.clone()), move || {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("qemu-bmc").args(["run", "--machine", name.as_str(), "--child-of", &own]);
            command
        })
    });
    let status = init::watch_over(wards.collect(), &|| crate::machines(None).map(Some))
        .context("watch over the machines' controllers")?;
    Ok(ExitCode::from(status))
}

/// Has this process end when its parent does, which has to be this one still.
pub(crate) fn end_with(parent: i32) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context("have this process end with its parent")?;
    if getppid().map(Pid::as_raw_nonzero).is_none_or(|pid| pid.get() != parent) {
        bail!("process {parent}, which watched over this one, has ended");
    }
    Ok(())
}
