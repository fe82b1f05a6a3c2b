//! The watchdog timer (IPMI 2.0 §27.5 to §27.7). What it does is [`bmc::Watchdog`]'s.

use bmc::{PreTimeoutInterrupt, TimeoutAction, TimerUse, WatchdogRefusal, WatchdogSetup};

use super::Context;
use crate::{CompletionCode, Reply};

type Result = std::result::Result<(), CompletionCode>;

/// The timer was never set (§27.5).
const UNSET: CompletionCode = CompletionCode(0x80);

const DONT_LOG: u8 = 1 << 7;
/// In a request: don't stop.
const DONT_STOP: u8 = 1 << 6;
/// In an answer: it runs.
const RUNNING: u8 = 1 << 6;
/// The uses that have an expiration flag, by their numbers.
const USES: u8 = 0b0011_1110;

/// 22h.
pub(super) fn reset(context: &mut Context<'_>, _: &[u8], _: &mut Reply) -> Result {
    context.bmc.reset_watchdog(context.now).map_err(|refusal| match refusal {
        WatchdogRefusal::Unset => UNSET,
        WatchdogRefusal::Warned => CompletionCode::NOT_IN_PRESENT_STATE,
    })
}

/// 24h. A warning that would come before the start is refused.
pub(super) fn set(context: &mut Context<'_>, data: &[u8], _: &mut Reply) -> Result {
    let &[timer_use, actions, pre_timeout, clear, low, high] = data else {
        return Err(CompletionCode::INVALID_LENGTH);
    };
    let setup = WatchdogSetup {
        timer_use: TimerUse::from_number(timer_use & 0x07).ok_or(CompletionCode::INVALID_FIELD)?,
        dont_log: timer_use & DONT_LOG != 0,
        action: TimeoutAction::from_number(actions & 0x07).ok_or(CompletionCode::INVALID_FIELD)?,
        interrupt: PreTimeoutInterrupt::from_number(actions >> 4 & 0x07)
            .ok_or(CompletionCode::INVALID_FIELD)?,
        pre_timeout,
        countdown: u16::from_le_bytes([low, high]),
    };
    if setup.interrupt != PreTimeoutInterrupt::None && u16::from(pre_timeout) * 10 > setup.countdown {
        return Err(CompletionCode::INVALID_FIELD);
    }
    context.bmc.set_watchdog(context.now, setup, clear & USES, timer_use & DONT_STOP != 0);
    Ok(())
}

/// 25h. A timer that was never set is all zeros.
pub(super) fn get(context: &mut Context<'_>, _: &[u8], reply: &mut Reply) -> Result {
    let watchdog = context.bmc.watchdog();
    let running = if watchdog.is_running() { RUNNING } else { 0 };
    let (timer_use, actions, pre_timeout, countdown) = watchdog.setup().map_or((0, 0, 0, 0), |setup| {
        let dont_log = if setup.dont_log { DONT_LOG } else { 0 };
        let actions = (setup.interrupt as u8) << 4 | setup.action as u8;
        (dont_log | setup.timer_use as u8, actions, setup.pre_timeout, setup.countdown)
    });
    reply.put(&[running | timer_use, actions, pre_timeout, watchdog.expiration_flags()]);
    reply.put(&countdown.to_le_bytes());
    reply.put(&watchdog.present_countdown(context.now).to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bmc::{Intent, PowerRequest};

    use super::super::{table::APP, tests::Bench};

    /// For SMS/OS: reset after 60 s, an interrupt 10 s before.
    const SET: [u8; 6] = [0x04, 0x31, 0x0a, 0x10, 0x58, 0x02];

    #[test]
    fn what_was_set_counts_down_and_resets() {
        let mut bench = Bench::new();
        bench.power_on();
        bench.ok(APP, 0x24, &SET);
        assert_eq!(bench.ok(APP, 0x25, &[]), [0x04, 0x31, 0x0a, 0x00, 0x58, 0x02, 0x58, 0x02]);
        bench.ok(APP, 0x22, &[]);
        bench.now += Duration::from_millis(10_050);
        assert_eq!(bench.ok(APP, 0x25, &[]), [0x44, 0x31, 0x0a, 0x00, 0x58, 0x02, 0xf4, 0x01]);
        bench.now += Duration::from_secs(40);
        bench.bmc.tick(bench.now);
        assert_eq!(bench.code(APP, 0x22, &[]), 0xd5, "too late");
        bench.now += Duration::from_secs(10);
        bench.bmc.tick(bench.now);
        assert_eq!(bench.bmc.take_intent(), Some(Intent::Power(PowerRequest::Reset)));
        assert_eq!(bench.ok(APP, 0x25, &[]), [0x04, 0x31, 0x0a, 0x10, 0x58, 0x02, 0x00, 0x00]);
        bench.ok(APP, 0x24, &SET);
        assert_eq!(bench.ok(APP, 0x25, &[])[3], 0, "the flag was cleared");
    }

    #[test]
    fn a_timer_that_was_never_set_says_so() {
        let mut bench = Bench::new();
        assert_eq!(bench.ok(APP, 0x25, &[]), [0; 8]);
        assert_eq!(bench.code(APP, 0x22, &[]), 0x80);
    }

    #[test]
    fn a_running_timer_stops_when_it_is_set_or_runs_on_if_so_asked() {
        let mut bench = Bench::new();
        bench.ok(APP, 0x24, &SET);
        bench.ok(APP, 0x22, &[]);
        bench.ok(APP, 0x24, &[0xc5, 0x02, 0x00, 0x00, 0x0a, 0x00]);
        assert_eq!(bench.ok(APP, 0x25, &[]), [0xc5, 0x02, 0x00, 0x00, 0x0a, 0x00, 0x0a, 0x00]);
        bench.ok(APP, 0x24, &SET);
        assert_eq!(bench.ok(APP, 0x25, &[])[0], 0x04);
        bench.ok(APP, 0x24, &[0x44, 0x00, 0x00, 0x00, 0x0a, 0x00]);
        assert_eq!(bench.ok(APP, 0x25, &[])[0], 0x04, "it was stopped, and stays so");
    }

    #[test]
    fn values_that_mean_nothing_are_refused() {
        let mut bench = Bench::new();
        for (index, value) in [(0, 0x00), (0, 0x06), (0, 0x07), (1, 0x04), (1, 0x41), (2, 61)] {
            let mut set = SET;
            set[index] = value;
            assert_eq!(bench.code(APP, 0x24, &set), 0xcc, "byte {index}: {value:02x}");
        }
        let mut set = SET;
        (set[1], set[2]) = (0x01, 61);
        bench.ok(APP, 0x24, &set);
        assert_eq!(bench.ok(APP, 0x25, &[])[2], 61, "an interval of no interrupt means nothing");
    }
}
