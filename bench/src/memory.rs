//! Resident memory of everything that isn't QEMU.

use std::fs;

use anyhow::Context as _;

use crate::{
    peers::{IpmiSim, QemuBmc},
    table::{Row, Table, Unit},
};

/// Measures both after all the work that they had before.
pub(crate) fn measure(ours: &QemuBmc, theirs: Option<&IpmiSim>, table: &mut Table) -> anyhow::Result<()> {
    let ours = ours.processes()?;
    let theirs: Vec<u32> = theirs.iter().map(|sim| sim.process()).collect();
    let goal = "< 10 MiB";
    for (what, count) in [
        ("memory but QEMU's, RSS of all processes added", rss as fn(&[u32]) -> anyhow::Result<Vec<f64>>),
        ("memory but QEMU's, shared pages counted once", resident),
    ] {
        let (ours, theirs) = (count(&ours)?, count(&theirs)?);
        table.push(Row { what, goal, unit: Unit::Mebibytes, cells: vec![ours, theirs, Vec::new()] });
    }
    Ok(())
}

fn rss(processes: &[u32]) -> anyhow::Result<Vec<f64>> {
    let mut kib = 0.0;
    for process in processes {
        kib += Rollup::read(*process)?.field("Rss:")?;
    }
    Ok(mebibytes(processes, kib))
}

/// What each process has alone, and what the one that shares most shares: processes of one program share
/// the same pages.
fn resident(processes: &[u32]) -> anyhow::Result<Vec<f64>> {
    let (mut alone, mut shared) = (0.0, 0.0_f64);
    for process in processes {
        let rollup = Rollup::read(*process)?;
        alone += rollup.field("Private_Clean:")? + rollup.field("Private_Dirty:")?;
        shared = shared.max(rollup.field("Shared_Clean:")? + rollup.field("Shared_Dirty:")?);
    }
    Ok(mebibytes(processes, alone + shared))
}

/// One number, or none if there is no process.
fn mebibytes(processes: &[u32], kib: f64) -> Vec<f64> {
    if processes.is_empty() { Vec::new() } else { vec![kib / 1024.0] }
}

/// The kernel's sums over all of a process's mappings.
struct Rollup {
    path: String,
    text: String,
}

impl Rollup {
    fn read(process: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(Self { path, text })
    }

    fn field(&self, name: &str) -> anyhow::Result<f64> {
        value(&self.text, name).with_context(|| format!("find {name} in {}", self.path))
    }
}

/// The number of KiB in the line that starts with `field`.
fn value(text: &str, field: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text =
            "55d0-7fff ---p 0 00:00 0 [rollup]\nRss:    3284 kB\nPss:    1200 kB\nPss_Dirty:  800 kB\n";
        assert_eq!(value(text, "Rss:"), Some(3284.0));
        assert_eq!(value(text, "Pss:"), Some(1200.0));
        assert_eq!(value(text, "Swap:"), None);
    }
}
