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
    for (what, goal, field) in [
        ("memory but QEMU's, shared pages counted in each process (RSS)", "< 10 MiB", "Rss:"),
        ("memory but QEMU's, shared pages divided among their users (PSS)", "", "Pss:"),
    ] {
        table.push(Row {
            what,
            goal,
            unit: Unit::Mebibytes,
            ours: sum(&ours, field)?,
            theirs: sum(&theirs, field)?,
            floor: Vec::new(),
        });
    }
    Ok(())
}

/// One number, or none if there is no process.
fn sum(processes: &[u32], field: &str) -> anyhow::Result<Vec<f64>> {
    let mut kib = 0.0;
    for process in processes {
        let path = format!("/proc/{process}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        kib += value(&text, field).with_context(|| format!("find {field} in {path}"))?;
    }
    Ok(if processes.is_empty() { Vec::new() } else { vec![kib / 1024.0] })
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
