//! The processes that became init's when their parents died, of which QEMU is the one that matters.

use std::{collections::HashSet, fs, time::Duration};

use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, wait},
};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

/// How long processes have to end when they are told to: QEMU flushes its disks and is done.
const LIMIT: Duration = Duration::from_secs(3);

/// A child that ended, if there is one.
pub(super) fn reap() -> Option<(Pid, WaitStatus)> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(ended) => return ended,
            Err(Errno::INTR) => {}
            // ECHILD: no children at all.
            Err(_) => return None,
        }
    }
}

/// Reaps every child that ended and that nobody waits for.
pub(super) fn reap_all() {
    while let Some((pid, status)) = reap() {
        debug!(%pid, ?status, "reaped an orphan");
    }
}

/// Ends all children: first they are told to, and after a while made to.
pub(super) async fn end_all(child_ended: &mut tokio::signal::unix::Signal) {
    for signal in [Signal::TERM, Signal::KILL] {
        let limit = Instant::now() + LIMIT;
        let mut told = HashSet::new();
        loop {
            reap_all();
            let children = children();
            if children.is_empty() {
                return;
            }
            // The children of one that ended are ours now, and haven't been told.
            for pid in children.into_iter().filter(|pid| told.insert(*pid)) {
                warn!(%pid, "sending {} to a process that was left behind", super::signals::name(signal));
                let _ = kill_process(pid, signal);
            }
            if timeout_at(limit, child_ended.recv()).await.is_err() {
                break;
            }
        }
    }
}

/// The processes whose parent this is. Not one of them can vanish, and its number become a stranger's, before it
/// is reaped here.
fn children() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().and_then(Pid::from_raw))
        .filter(|pid| parent(*pid) == Some(getpid()))
        .collect()
}

/// The fourth field of /proc/PID/stat (proc(5)); the second is a name in parentheses that can hold anything.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.iter().rposition(|byte| *byte == b')').and_then(|end| stat.get(end + 1..))?;
    let fields = str::from_utf8(after_name).ok()?;
    fields.split_ascii_whitespace().nth(1)?.parse().ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_by_their_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let found = children().contains(&pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
        assert!(!children().contains(&pid));
        assert_eq!(parent(Pid::INIT), None);
    }
}
