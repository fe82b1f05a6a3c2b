use proptest::prelude::*;

use super::*;
use crate::{Abilities, Event, Fact, Identity, Intent, Lan, ResetBy, RestartCause, StopReason, Users};

const SETUP: WatchdogSetup = WatchdogSetup {
    timer_use: TimerUse::SmsOs,
    dont_log: false,
    action: TimeoutAction::HardReset,
    interrupt: PreTimeoutInterrupt::None,
    pre_timeout: 0,
    countdown: 600,
};

const WARNING: WatchdogSetup =
    WatchdogSetup { interrupt: PreTimeoutInterrupt::Messaging, pre_timeout: 10, ..SETUP };

/// A machine that is on, and nothing to be done or told.
fn bmc(now: Instant) -> Bmc {
    let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    bmc.on_fact(now, Fact::Started);
    bmc.take_events().for_each(drop);
    bmc.take_unsaved();
    bmc
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The events of sensors since the last call: their data.
fn told(bmc: &mut Bmc) -> Vec<[u8; 3]> {
    bmc.take_events()
        .filter_map(|event| match event {
            Event::Platform { event, .. } => {
                assert_eq!((event.sensor_type, event.sensor), (0x23, number::WATCHDOG));
                Some(event.data)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_paused_machine_has_all_the_time_that_was_left() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, WARNING, 0, false);
    bmc.reset_watchdog(now).unwrap();
    bmc.observe_paused(now + seconds(40), true);
    bmc.observe_paused(now + seconds(41), true);
    assert_eq!(bmc.next_timeout(), None);
    let much_later = now + seconds(4000);
    bmc.tick(much_later);
    assert!(bmc.watchdog().is_running() && bmc.is_paused());
    assert_eq!(bmc.watchdog().present_countdown(much_later), 200);

    bmc.observe_paused(much_later, false);
    assert_eq!(bmc.next_timeout(), Some(much_later + seconds(10)), "the warning, 10 s before the end");
    bmc.tick(much_later + seconds(10));
    assert_eq!(told(&mut bmc), [[0xc8, 0x34, 0xff]]);
    bmc.observe_paused(much_later + seconds(15), true);
    bmc.observe_paused(much_later + seconds(100), false);
    bmc.tick(much_later + seconds(104));
    assert!(!bmc.has_intent());
    bmc.tick(much_later + seconds(105));
    assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::Reset)));
}

#[test]
fn a_timer_that_is_started_while_the_machine_is_paused_begins_when_it_goes_on() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.observe_paused(now, true);
    bmc.set_watchdog(now + seconds(5), SETUP, 0, false);
    bmc.reset_watchdog(now + seconds(6)).unwrap();
    assert_eq!(bmc.watchdog().present_countdown(now + seconds(50)), 600);
    bmc.observe_paused(now + seconds(100), false);
    assert_eq!(bmc.next_timeout(), Some(now + seconds(160)));
}

#[test]
fn a_machine_that_ends_while_it_is_paused_is_paused_no_more() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.observe_paused(now, true);
    bmc.on_fact(now, Fact::Reset { by: ResetBy::Command });
    assert!(bmc.is_paused(), "a reset does not let it run");
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
    assert!(!bmc.is_paused());
}

#[test]
fn who_is_not_heard_from_is_reset() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, SETUP, 0, false);
    assert!(!bmc.watchdog().is_running());
    assert_eq!(bmc.next_timeout(), None);
    bmc.reset_watchdog(now).unwrap();
    assert_eq!(bmc.next_timeout(), Some(now + seconds(60)));
    bmc.tick(now + seconds(59));
    assert!(!bmc.has_intent());
    bmc.tick(now + seconds(60));
    assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::Reset)));
    assert_eq!(told(&mut bmc), [[0xc1, 0x04, 0xff]]);
    assert_eq!(bmc.watchdog().expiration_flags(), 1 << 4);
    assert!(!bmc.watchdog().is_running());
    assert_eq!(bmc.watchdog().present_countdown(now), 0);
    bmc.on_fact(now, Fact::Reset { by: ResetBy::Command });
    assert_eq!(bmc.chassis().restart_cause(), RestartCause::Watchdog);
}

#[test]
fn each_action_has_its_request_and_its_event() {
    use PowerRequest as R;
    for (action, request, offset) in [
        (TimeoutAction::None, None, 0),
        (TimeoutAction::HardReset, Some(R::Reset), 1),
        (TimeoutAction::PowerDown, Some(R::Off), 2),
        (TimeoutAction::PowerCycle, Some(R::Cycle), 3),
    ] {
        let now = Instant::now();
        let mut bmc = bmc(now);
        bmc.set_watchdog(now, WatchdogSetup { action, timer_use: TimerUse::OsLoad, ..SETUP }, 0, false);
        bmc.reset_watchdog(now).unwrap();
        bmc.tick(now + seconds(61));
        assert_eq!(bmc.take_intent(), request.map(Intent::Power));
        assert_eq!(told(&mut bmc), [[0xc0 | offset, 0x03, 0xff]]);
    }
}

#[test]
fn a_machine_that_cannot_be_cycled_is_reset() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_abilities(Abilities::NONE.with(PowerRequest::Reset));
    bmc.set_watchdog(now, WatchdogSetup { action: TimeoutAction::PowerCycle, ..SETUP }, 0, false);
    bmc.reset_watchdog(now).unwrap();
    bmc.tick(now + seconds(60));
    assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::Reset)));
}

#[test]
fn who_is_heard_from_runs_on() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, SETUP, 0, false);
    for minute in 0..10 {
        let heard = now + seconds(minute * 59);
        bmc.tick(heard);
        bmc.reset_watchdog(heard).unwrap();
    }
    assert!(!bmc.has_intent());
    assert_eq!(bmc.watchdog().present_countdown(now + seconds(9 * 59 + 1)), 590);
}

#[test]
fn a_timer_that_was_never_set_does_not_start() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    assert_eq!(bmc.reset_watchdog(now), Err(WatchdogRefusal::Unset));
    assert_eq!(bmc.watchdog().present_countdown(now), 0);
}

#[test]
fn a_warning_comes_first_and_then_only_setting_helps() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, WARNING, 0, false);
    bmc.reset_watchdog(now).unwrap();
    assert_eq!(bmc.next_timeout(), Some(now + seconds(50)));
    bmc.tick(now + seconds(50));
    assert_eq!(told(&mut bmc), [[0xc8, 0x34, 0xff]]);
    assert!(bmc.message_flags().pre_timeout);
    assert_eq!(bmc.next_timeout(), Some(now + seconds(60)));
    assert_eq!(bmc.reset_watchdog(now + seconds(51)), Err(WatchdogRefusal::Warned));
    bmc.set_watchdog(now + seconds(51), WARNING, 0, true);
    assert!(!bmc.message_flags().pre_timeout);
    assert_eq!(bmc.next_timeout(), Some(now + seconds(101)));
    bmc.tick(now + seconds(111));
    assert_eq!(told(&mut bmc), [[0xc8, 0x34, 0xff], [0xc1, 0x34, 0xff]], "late, but in order");
}

#[test]
fn an_nmi_is_one() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, WatchdogSetup { interrupt: PreTimeoutInterrupt::Nmi, ..WARNING }, 0, false);
    bmc.reset_watchdog(now).unwrap();
    bmc.tick(now + seconds(50));
    assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::Nmi)));
    bmc.power_done();
    bmc.tick(now + seconds(60));
    assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::Reset)));
}

#[test]
fn a_timer_that_does_not_log_is_quiet_once() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, WatchdogSetup { dont_log: true, ..WARNING }, 0, false);
    bmc.reset_watchdog(now).unwrap();
    bmc.tick(now + seconds(60));
    assert_eq!(told(&mut bmc), [[0; 3]; 0]);
    assert_eq!(bmc.watchdog().expiration_flags(), 1 << 4, "the flag is no log");
    assert!(!bmc.watchdog().setup().unwrap().dont_log);
}

#[test]
fn expiration_flags_go_by_command_alone() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    for timer_use in [TimerUse::OsLoad, TimerUse::SmsOs] {
        let setup = WatchdogSetup { timer_use, action: TimeoutAction::None, ..SETUP };
        bmc.set_watchdog(now, setup, 0, false);
        bmc.reset_watchdog(now).unwrap();
        bmc.tick(now + seconds(60));
    }
    bmc.on_fact(now, Fact::Stopped { why: StopReason::Guest });
    assert_eq!(bmc.watchdog().expiration_flags(), 0x18);
    bmc.set_watchdog(now, SETUP, 0x08, false);
    assert_eq!(bmc.watchdog().expiration_flags(), 0x10);
}

#[test]
fn the_timer_ends_with_the_boot_that_it_guards() {
    for fact in [
        Fact::Reset { by: ResetBy::Guest },
        Fact::Reset { by: ResetBy::Command },
        Fact::Stopped { why: StopReason::Guest },
        Fact::Started,
    ] {
        let now = Instant::now();
        let mut bmc = bmc(now);
        bmc.set_watchdog(now, WARNING, 0, false);
        bmc.reset_watchdog(now).unwrap();
        bmc.tick(now + seconds(50));
        bmc.on_fact(now, fact);
        assert!(!bmc.watchdog().is_running() && !bmc.message_flags().pre_timeout);
        assert_eq!(bmc.next_timeout(), None);
        assert_eq!(bmc.watchdog().present_countdown(now), 600, "ready for the next");
    }
}

#[test]
fn a_controller_that_comes_back_guards_the_machine_that_ran_on() {
    let now = Instant::now();
    let mut first = bmc(now);
    first.set_watchdog(now, SETUP, 0, false);
    assert!(first.take_unsaved());
    first.reset_watchdog(now).unwrap();
    assert!(first.take_unsaved(), "that it runs is remembered");
    first.reset_watchdog(now + seconds(30)).unwrap();
    assert!(!first.take_unsaved(), "how far it is, is not");

    let saved = first.to_saved(now);
    let mut second = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    second.restore(saved.clone());
    assert_eq!(second.next_timeout(), None, "the machine counts as off");
    second.on_fact(now + seconds(300), Fact::Adopted);
    assert!(second.watchdog().is_running());
    assert_eq!(second.next_timeout(), Some(now + seconds(360)));

    let mut third = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    third.restore(saved);
    third.on_fact(now, Fact::Started);
    assert!(!third.watchdog().is_running(), "another machine's timer");
}

fn any_setup() -> impl Strategy<Value = WatchdogSetup> {
    (1..6u8, any::<bool>(), 0..4u8, 0..4u8, 0..5u8, 0..200u16).prop_map(
        |(timer_use, dont_log, action, interrupt, pre_timeout, countdown)| WatchdogSetup {
            timer_use: TimerUse::from_number(timer_use).unwrap(),
            dont_log,
            action: TimeoutAction::from_number(action).unwrap(),
            interrupt: PreTimeoutInterrupt::from_number(interrupt).unwrap(),
            pre_timeout,
            countdown,
        },
    )
}

proptest! {
    /// Whatever is set and however time passes: a timer that runs ends once, not before its time, with a
    /// warning before it if one was asked for.
    #[test]
    fn a_timer_ends_once_and_in_time(setup in any_setup(), steps in proptest::collection::vec(0..5_000u64, 1..20)) {
        let start = Instant::now();
        let mut watchdog = Watchdog::default();
        watchdog.set(start, setup, 0, false);
        watchdog.reset(start).unwrap();
        let (mut now, mut warnings, mut expiries) = (start, 0, 0);
        for step in steps {
            now += Duration::from_millis(step);
            while let Some(due) = watchdog.take_due(now) {
                match due {
                    Due::Warning(_) => {
                        prop_assert_eq!(expiries, 0);
                        prop_assert!(now + setup.warning() >= start + setup.whole());
                        warnings += 1;
                    }
                    Due::Expiry(_) => {
                        prop_assert!(now >= start + setup.whole());
                        expiries += 1;
                    }
                }
            }
            prop_assert_eq!(watchdog.is_running(), now < start + setup.whole());
            prop_assert!(watchdog.timeout().is_none_or(|due| due > now));
        }
        prop_assert_eq!(expiries, u32::from(!watchdog.is_running()));
        if setup.interrupt == PreTimeoutInterrupt::None {
            prop_assert_eq!(warnings, 0);
        } else {
            prop_assert!(warnings >= expiries && warnings <= 1);
        }
    }
}

#[test]
fn a_timer_that_is_set_as_it_was_is_not_saved_again() {
    let now = Instant::now();
    let mut bmc = bmc(now);
    bmc.set_watchdog(now, SETUP, 0, false);
    bmc.reset_watchdog(now).unwrap();
    assert!(bmc.take_unsaved());
    let later = now + seconds(30);
    bmc.set_watchdog(later, SETUP, 0, true);
    assert!(!bmc.take_unsaved());
    assert_eq!(bmc.next_timeout(), Some(later + seconds(60)), "it runs anew all the same");
    bmc.set_watchdog(later, SETUP, 0, false);
    assert!(bmc.take_unsaved(), "it stopped");
}
