//! How busy a machine is, seen from outside: what its QEMU takes of processors and memory by `/proc`, and how
//! long its disks were at work by their own counts.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use bmc::sensors::Load;
use qmp::{Client, commands::QueryBlockstats};

/// How often the machine is looked at.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);

/// How long QEMU may take to tell its counts: nothing waits longer for what is not important.
const ANSWER_LIMIT: Duration = Duration::from_millis(300);

/// A QEMU that does not answer is not asked again for so long.
const RESPITE: Duration = Duration::from_secs(30);

/// What one process is measured against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Capacity {
    /// Processors of the guest.
    pub(super) cpus: u32,
    /// Memory of the guest.
    pub(super) memory_mib: u64,
}

/// Looks at one QEMU process again and again.
#[derive(Debug)]
pub(super) struct Sampler {
    pid: i32,
    capacity: Capacity,
    last: Option<Counters>,
    /// The disks' time so far, and until when it is not asked for.
    disk_time: Duration,
    mute_until: Option<Instant>,
}

/// What only ever grows.
#[derive(Clone, Copy, Debug)]
struct Counters {
    at: Instant,
    cpu_time: Duration,
    disk_time: Duration,
}

impl Sampler {
    pub(super) fn new(pid: i32, capacity: Capacity) -> Self {
        Self { pid, capacity, last: None, disk_time: Duration::ZERO, mute_until: None }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    /// The load since the last time; at first only how much memory is used.
    pub(super) async fn sample(&mut self, client: Option<&Client>) -> io::Result<Load> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid))?;
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let ticks = cpu_ticks(&stat).ok_or_else(malformed)?;
        let pages = resident_pages(&statm).ok_or_else(malformed)?;
        if let Some(client) = client {
            self.ask_disks(client).await;
        }

        let cpu_time = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
        let now = Counters { at: Instant::now(), cpu_time, disk_time: self.disk_time };
        let resident = pages as f64 * rustix::param::page_size() as f64;
        let memory = (resident / (self.capacity.memory_mib as f64 * f64::from(1u32 << 20))).min(1.0);
        let last = self.last.replace(now).unwrap_or(now);
        Ok(Load { memory, ..since(last, now, self.capacity.cpus) })
    }

    async fn ask_disks(&mut self, client: &Client) {
        if self.mute_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        match client.call(&QueryBlockstats, ANSWER_LIMIT).await {
            Ok(disks) => {
                let times = disks.value.iter().map(|disk| {
                    let stats = disk.stats;
                    let total = stats.rd_total_time_ns.saturating_add(stats.wr_total_time_ns);
                    Duration::from_nanos(total.saturating_add(stats.flush_total_time_ns))
                });
                self.disk_time = times.fold(Duration::ZERO, Duration::saturating_add);
                self.mute_until = None;
            }
            Err(error) => {
                tracing::debug!("ask QEMU for the disks' counts: {error}");
                self.mute_until = Some(Instant::now() + RESPITE);
            }
        }
    }
}

/// The shares of processors' and disks' time between two looks.
fn since(last: Counters, now: Counters, cpus: u32) -> Load {
    let passed = now.at.saturating_duration_since(last.at).as_secs_f64();
    if passed <= 0.0 {
        return Load::default();
    }
    let share =
        |from: Duration, to: Duration, of: f64| (to.saturating_sub(from).as_secs_f64() / of).clamp(0.0, 1.0);
    Load {
        cpu: share(last.cpu_time, now.cpu_time, passed * f64::from(cpus.max(1))),
        disk: share(last.disk_time, now.disk_time, passed),
        ..Load::default()
    }
}

/// Processor time in clock ticks, of the process and in its name by the kernel (proc_pid_stat(5), fields 14
/// and 15). Fields are counted from the end of the name, which may have anything in it.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(14 - 3);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

/// Resident memory in pages (proc_pid_statm(5), field 2).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_of_the_time_that_passed() {
        let at = Instant::now();
        let seconds = Duration::from_secs_f64;
        let last = Counters { at, cpu_time: seconds(10.0), disk_time: seconds(1.0) };
        let now = Counters { at: at + seconds(2.0), cpu_time: seconds(13.0), disk_time: seconds(1.5) };
        assert_eq!(since(last, now, 2), Load { cpu: 0.75, disk: 0.25, memory: 0.0 });
        assert_eq!(since(last, now, 1).cpu, 1.0, "QEMU's own threads are no processor of the guest");
        assert_eq!(since(last, last, 2), Load::default());
        assert_eq!(since(now, Counters { at: now.at + seconds(1.0), ..last }, 2), Load::default());
    }

    #[test]
    fn times_and_pages_are_read() {
        let stat = "7 (qemu (x) 1) S 1 7 7 0 -1 4 9 0 0 0 250 50 0 0 20 0 1 0 99 0 0\n";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(resident_pages("1000 321 5 6 0 7 0\n"), Some(321));
    }

    #[tokio::test]
    async fn this_process_uses_memory() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut sampler = Sampler::new(pid, Capacity { cpus: 1, memory_mib: 1 << 20 });
        let load = sampler.sample(None).await.unwrap();
        assert!(load.memory > 0.0 && load.memory < 1.0 && load.cpu == 0.0, "{load:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "(?s).{0,80}") {
            cpu_ticks(&text);
            resident_pages(&text);
        }
    }
}
