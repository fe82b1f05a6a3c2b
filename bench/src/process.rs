//! Processes that end when the measurement does.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, Signal, kill_process},
};

/// A process that is told to end when this value is dropped, and killed if it doesn't.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a command with nothing to read and nowhere to write, unless it has its own.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().display().to_string();
        let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("start {program}"))?;
        Ok(Self(child))
    }

    /// Starts a command that has ended when it has nothing more to read, as it has not once this process is gone.
    pub(crate) fn hold(command: &mut Command) -> anyhow::Result<Self> {
        let program = command.get_program().display().to_string();
        let child = command.stdin(Stdio::piped()).spawn().with_context(|| format!("start {program}"))?;
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

/// The processor time that this process, all that it has started, and the kernel's network threads have used so far.
///
/// What else the machine does is not in it, as it would be in `/proc/stat`.
pub(crate) fn all_time() -> anyhow::Result<Duration> {
    let mut processes = vec![std::process::id()];
    let mut at = 0;
    while let Some(process) = processes.get(at) {
        processes.extend(children(*process));
        at += 1;
    }
    processes.extend(kernel_threads());
    // Whoever ends meanwhile is among those that were waited for.
    let running: Duration = processes.into_iter().filter_map(|process| processor_time(process).ok()).sum();
    Ok(running + time_of_the_ended()?)
}

/// Started by any of the process's threads.
fn children(process: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| numbers(&list)).collect()
}

/// Those that take over from interrupts, if they are to be seen from here.
fn kernel_threads() -> impl Iterator<Item = u32> {
    const KTHREADD: u32 = 2;
    children(KTHREADD).into_iter().filter(|thread| {
        fs::read_to_string(format!("/proc/{thread}/comm")).is_ok_and(|name| name.starts_with("ksoftirqd/"))
    })
}

fn numbers(list: &str) -> Vec<u32> {
    list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// What the children used that have been waited for.
fn time_of_the_ended() -> anyhow::Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat").context("read /proc/self/stat")?;
    let ticks = ticks_of_the_ended(&text).context("find the children's time in /proc/self/stat")?;
    Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// The sum of `cutime` and `cstime`. Fields are counted from behind the name, which may have blanks in it.
fn ticks_of_the_ended(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace().skip(13);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 5 6 7 8 10 20 300 4000 20 0 1 0 99";
        assert_eq!(ticks_of_the_ended(stat), Some(4300));
        assert_eq!(ticks_of_the_ended("7 (sh) S 1"), None);
    }

    #[test]
    fn work_of_a_child_counts_while_it_runs_and_afterwards() {
        let before = all_time().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "i=0; while [ $i -lt 3000000 ]; do i=$((i+1)); done; exec cat"]);
        let mut child = Running::hold(&mut shell).unwrap();
        let work = Duration::from_millis(200);
        let worked = || Ok((all_time()? >= before + work).then_some(()));
        wait_for("work to be seen", Duration::from_secs(60), worked).unwrap();
        child.stop(Duration::from_secs(10)).unwrap();
        // Of those that have ended, the kernel tells no more than whole ticks.
        assert!(all_time().unwrap() >= before + work / 2);
    }
}
