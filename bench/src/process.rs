//! Processes that end when the measurement does.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A process that is told to end when this value is dropped, and killed if it doesn't.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command with nothing to read and nowhere to write, unless it has its own.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().display().to_string();
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("start {program}"))?;
        Ok(Self(child))
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its output, once.
    pub(crate) fn take_output(&mut self) -> anyhow::Result<std::process::ChildStdout> {
        self.0.stdout.take().context("take a process's output")
    }

    /// Tells it to end, and waits until it has.
    pub(crate) fn stop(&mut self, limit: Duration) -> anyhow::Result<()> {
        if self.0.try_wait()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.0), Signal::TERM).context("end a process")?;
        wait_for("a process to end", limit, || Ok(self.0.try_wait()?))?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.stop(Duration::from_secs(10)).is_err() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The processor time that a process has used so far.
pub(crate) fn processor_time(process: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{process}/task");
    let mut nanoseconds = 0;
    for thread in fs::read_dir(&path).with_context(|| format!("read {path}"))? {
        let path = thread?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let run = text.split_ascii_whitespace().next().unwrap_or_default();
        nanoseconds += run.parse::<u64>().with_context(|| format!("read {}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Asks until there is an answer.
pub(crate) fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() > end {
            bail!("wait for {what}: not within {limit:?}");
        }
        thread::sleep(Duration::from_micros(500));
    }
}
