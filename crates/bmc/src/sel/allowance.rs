//! How many entries the guest may have the log make: enough for what a machine says, its last words included,
//! and not so many that it drives out what others have said, or that nobody's reservation lasts.

use std::time::{Duration, Instant};

use crate::Bmc;

/// How many can come at once. Linux's words when it panics take 94 entries at most.
const BURST: u32 = 128;
/// How long it takes until one more can.
const INTERVAL: Duration = Duration::from_secs(1);

/// What is left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    /// When all of [`BURST`] is there again; `None` or past: it is.
    whole: Option<Instant>,
}

impl Allowance {
    fn take(&mut self, now: Instant) -> bool {
        let whole = self.whole.map_or(now, |whole| whole.max(now)) + INTERVAL;
        let left = whole.duration_since(now) <= INTERVAL * BURST;
        if left {
            self.whole = Some(whole);
        }
        left
    }
}

impl Bmc {
    /// Takes one of the entries that the guest may have the log make. Whether one was left.
    pub fn take_guest_entry(&mut self, now: Instant) -> bool {
        self.sel.allowance.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_burst_one_comes_each_interval() {
        let now = Instant::now();
        let mut allowance = Allowance::default();
        let mut taken = |at: Instant| (0..1_000).take_while(|_| allowance.take(at)).count();
        assert_eq!(taken(now), 128);
        assert_eq!(taken(now + INTERVAL / 2), 0);
        assert_eq!(taken(now + INTERVAL), 1);
        assert_eq!(taken(now + INTERVAL * 4), 3);
        assert_eq!(taken(now + INTERVAL * 1_000), 128, "and no more than a burst");
    }
}
