//! When the controller is started again, and when its end is the end. No process, no clock: time is an argument.

use std::time::Duration;

use crate::config::ConfigErrors;

/// EX_TEMPFAIL of sysexits(3): the controller asks to be started again.
pub(crate) const RESTART_ME: u8 = 75;
/// SIGHUP, which is passed on to end a controller that is to begin anew.
const HANGUP: u8 = 1;
/// A controller that ran for so long was healthy: what happened before is forgotten.
const HEALTHY: Duration = Duration::from_secs(30);
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(5);
/// A configuration is mended by people, which takes longer.
const FIRST_DELAY_OF_PEOPLE: Duration = Duration::from_secs(1);
const LONGEST_DELAY_OF_PEOPLE: Duration = Duration::from_secs(60);
/// The request to stop after which the controller is not asked any more.
const PATIENCE: u32 = 3;

/// How the controller process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
    /// It could not even be started.
    NotStarted,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another controller process, after this long.
    Restart(Duration),
    /// The end of init, with this status.
    Exit(u8),
}

/// What a request to stop becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The controller is asked; how long it takes is its own business.
    Ask,
    /// It doesn't listen.
    Kill,
}

/// What init remembers.
#[derive(Debug, Default)]
pub(super) struct Policy {
    requests: u32,
    failures: u32,
    /// How often in a row the configuration was refused.
    refusals: u32,
    /// Whether a controller was ever more than its configuration's reader, so that there may be a guest.
    has_run: bool,
}

impl Policy {
    /// Somebody wants all this to stop. From now on nothing is started.
    pub(super) fn stop(&mut self) -> Stop {
        self.requests += 1;
        if self.requests < PATIENCE { Stop::Ask } else { Stop::Kill }
    }

    /// Whether somebody wants all this to stop.
    pub(super) fn stopping(&self) -> bool {
        self.requests > 0
    }

    /// The controller ended after it had run for so long.
    ///
    /// One that can't use its configuration is the end only if there never was another: the guest of one that ran
    /// must not end because somebody edits a file.
    pub(super) fn ended(&mut self, how: Ended, ran: Duration) -> Next {
        if !matches!(how, Ended::Exited(ConfigErrors::EXIT_CODE) | Ended::NotStarted) {
            self.has_run = true;
            self.refusals = 0;
        }
        match how {
            Ended::Exited(RESTART_ME) if self.stopping() => Next::Exit(0),
            Ended::Exited(RESTART_ME) => Next::Restart(Duration::ZERO),
            Ended::Killed(HANGUP) if !self.stopping() => Next::Restart(Duration::ZERO),
            Ended::Exited(0) => Next::Exit(0),
            Ended::Exited(status) if self.stopping() => Next::Exit(status),
            Ended::Exited(ConfigErrors::EXIT_CODE) if self.has_run => Next::Restart(self.delay_of_people()),
            Ended::Exited(status @ ConfigErrors::EXIT_CODE) => Next::Exit(status),
            // As shells report it.
            Ended::Killed(signal) if self.stopping() => Next::Exit(128 + signal),
            Ended::NotStarted if self.stopping() => Next::Exit(0),
            _ => Next::Restart(self.delay(ran)),
        }
    }

    /// Nothing, a quarter of a second, twice that, …: the first failure is put right at once, and a controller
    /// that can't run doesn't cost the machine its processor.
    fn delay(&mut self, ran: Duration) -> Duration {
        if ran >= HEALTHY {
            self.failures = 0;
        }
        let delay = match self.failures.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => doubled(FIRST_DELAY, doublings, LONGEST_DELAY),
        };
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// One second, two, four, …
    fn delay_of_people(&mut self) -> Duration {
        let delay = doubled(FIRST_DELAY_OF_PEOPLE, self.refusals, LONGEST_DELAY_OF_PEOPLE);
        self.refusals = self.refusals.saturating_add(1);
        delay
    }
}

fn doubled(delay: Duration, times: u32, limit: Duration) -> Duration {
    delay.saturating_mul(1 << times.min(8)).min(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(10);
    const KILLED: Ended = Ended::Killed(9);

    fn delays(policy: &mut Policy, count: usize, ran: Duration) -> Vec<u128> {
        let delay = |_| match policy.ended(KILLED, ran) {
            Next::Restart(delay) => delay.as_millis(),
            Next::Exit(status) => panic!("exit {status}"),
        };
        (0..count).map(delay).collect()
    }

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_longer_and_longer() {
        let mut policy = Policy::default();
        assert_eq!(delays(&mut policy, 8, SHORT), [0, 250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(delays(&mut policy, 100, SHORT), [5000; 100]);
    }

    #[test]
    fn health_is_forgiveness() {
        let mut policy = Policy::default();
        assert_eq!(delays(&mut policy, 3, SHORT), [0, 250, 500]);
        assert_eq!(delays(&mut policy, 1, HEALTHY), [0]);
        assert_eq!(delays(&mut policy, 2, SHORT), [250, 500]);
    }

    #[test]
    fn a_status_says_whether_to_go_on() {
        for (how, next) in [
            (Ended::Exited(0), Next::Exit(0)),
            (Ended::Exited(2), Next::Exit(2)),
            (Ended::Exited(RESTART_ME), Next::Restart(Duration::ZERO)),
            (Ended::Exited(1), Next::Restart(Duration::ZERO)),
            (Ended::Exited(101), Next::Restart(Duration::ZERO)),
            (KILLED, Next::Restart(Duration::ZERO)),
            (Ended::NotStarted, Next::Restart(Duration::ZERO)),
        ] {
            assert_eq!(Policy::default().ended(how, SHORT), next, "{how:?}");
        }
    }

    #[test]
    fn a_wrong_configuration_is_the_end_only_of_what_never_ran() {
        let refused = |policy: &mut Policy| policy.ended(Ended::Exited(2), SHORT);
        for before in [KILLED, Ended::Killed(HANGUP), Ended::Exited(RESTART_ME), Ended::Exited(1)] {
            let mut policy = Policy::default();
            policy.ended(before, SHORT);
            let delays = [1, 2, 4, 8, 16, 32, 60, 60].map(|s| Next::Restart(Duration::from_secs(s)));
            assert_eq!(delays.map(|_| refused(&mut policy)), delays, "{before:?}");
            policy.ended(before, HEALTHY);
            assert_eq!(refused(&mut policy), delays[0]);
            policy.stop();
            assert_eq!(refused(&mut policy), Next::Exit(2));
        }
        let mut policy = Policy::default();
        policy.ended(Ended::NotStarted, SHORT);
        assert_eq!([refused(&mut policy), refused(&mut policy)], [Next::Exit(2); 2]);
    }

    #[test]
    fn a_controller_whose_restart_is_wished_for_has_not_failed() {
        let mut policy = Policy::default();
        for how in [Ended::Exited(RESTART_ME), Ended::Killed(HANGUP)].repeat(3) {
            assert_eq!(policy.ended(how, SHORT), Next::Restart(Duration::ZERO));
        }
        assert_eq!(delays(&mut policy, 2, SHORT), [0, 250]);
    }

    #[test]
    fn who_stops_starts_nothing() {
        for (how, status) in [
            (Ended::Exited(0), 0),
            (Ended::Exited(1), 1),
            (Ended::Exited(RESTART_ME), 0),
            (Ended::Killed(15), 143),
            (Ended::NotStarted, 0),
        ] {
            let mut policy = Policy::default();
            policy.stop();
            assert_eq!(policy.ended(how, SHORT), Next::Exit(status), "{how:?}");
        }
    }

    #[test]
    fn patience_ends_at_the_third_request() {
        let mut policy = Policy::default();
        assert_eq!([policy.stop(), policy.stop(), policy.stop()], [Stop::Ask, Stop::Ask, Stop::Kill]);
    }
}
