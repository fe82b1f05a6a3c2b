//! The watchdog timer (IPMI 2.0 §27): who is not heard from in time is reset, or switched off.
//!
//! ```text
//!            set             reset                        interval before the end
//!   unset ────────▶ stopped ────────▶ counting ───────────────────────────────▶ warned
//!                    ▲ ▲ ▲      reset: │ │ anew                                  │ │
//!                    │ │ └─────────────┘ │ set, without "don't stop"             │ │
//!                    │ │   a reset or the end of the machine                     │ │
//!                    │ └─────────────────────────────────────────────────────────┘ │
//!                    └── time is up: flag, event, action ◀─────────────────────────┘
//! ```
//!
//! Once warned, only "set" helps: the software that was to be warned is to know that it was late (§27.5).
//!
//! While the machine is paused, the timer's clock stands still: a guest that can't run can't report either.
//!
//! A controller that was killed and comes back finds the timer running and lets it run again *from its initial
//! value*: so the machine is guarded all the time, nobody is reset for a time that the controller was away, and
//! the state file is not written at each "reset" but only when the timer starts or stops. The Cold Reset command
//! stops the timer, as the specification wants it (§27.6).

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{
    Bmc, Direction, Generator, PlatformEvent, PowerRequest, Refusal, Requester, SENSOR_SPECIFIC,
    sensors::number,
};

/// The unit of the countdown.
const COUNT: Duration = Duration::from_millis(100);

/// Who uses the timer, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum TimerUse {
    /// The firmware, to find a processor that does not start (fault resilient booting, level 2).
    BiosFrb2 = 1,
    /// The firmware's power-on self test.
    BiosPost = 2,
    /// Whoever loads the operating system.
    OsLoad = 3,
    /// System management software or the operating system.
    SmsOs = 4,
    /// An OEM's.
    Oem = 5,
}

impl TimerUse {
    /// The use with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::BiosFrb2, Self::BiosPost, Self::OsLoad, Self::SmsOs, Self::Oem]
            .into_iter()
            .find(|timer_use| *timer_use as u8 == number)
    }
}

/// What is done when time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum TimeoutAction {
    /// Nothing but the flag and the event.
    None = 0,
    /// Hard reset.
    HardReset = 1,
    /// Power off.
    PowerDown = 2,
    /// Power cycle.
    PowerCycle = 3,
}

impl TimeoutAction {
    /// The action with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::HardReset, Self::PowerDown, Self::PowerCycle]
            .into_iter()
            .find(|action| *action as u8 == number)
    }

    fn request(self) -> Option<PowerRequest> {
        match self {
            Self::None => None,
            Self::HardReset => Some(PowerRequest::Reset),
            Self::PowerDown => Some(PowerRequest::Off),
            Self::PowerCycle => Some(PowerRequest::Cycle),
        }
    }
}

/// How the guest is warned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum PreTimeoutInterrupt {
    /// Not at all.
    None = 0,
    /// A system management interrupt. QEMU lets nobody raise one from outside: it arrives as
    /// [`PreTimeoutInterrupt::Messaging`].
    Smi = 1,
    /// A diagnostic interrupt.
    Nmi = 2,
    /// The interrupt of the system interface, with its message flag.
    Messaging = 3,
}

impl PreTimeoutInterrupt {
    /// The interrupt with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Smi, Self::Nmi, Self::Messaging]
            .into_iter()
            .find(|interrupt| *interrupt as u8 == number)
    }
}

/// What Set Watchdog Timer sets (Table 27-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchdogSetup {
    /// Whose timer it is.
    pub timer_use: TimerUse,
    /// The next expiry makes no event. It then counts as done.
    pub dont_log: bool,
    /// What is done when time is up.
    pub action: TimeoutAction,
    /// How the guest is warned before.
    pub interrupt: PreTimeoutInterrupt,
    /// How long before, in seconds; 0 is at the same moment.
    pub pre_timeout: u8,
    /// What it counts down from, in units of 100 ms.
    pub countdown: u16,
}

impl WatchdogSetup {
    fn whole(&self) -> Duration {
        COUNT * u32::from(self.countdown)
    }

    fn warning(&self) -> Duration {
        Duration::from_secs(self.pre_timeout.into())
    }
}

/// Why the timer can't be restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchdogRefusal {
    /// It was never set.
    #[error("the watchdog timer was never set")]
    Unset,
    /// The guest was warned already.
    #[error("the watchdog timer has passed its pre-timeout")]
    Warned,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Countdown {
    #[default]
    Stopped,
    /// Time was up, and nobody has set it since: it stands at zero.
    Expired,
    /// It was running in the controller's earlier life.
    Interrupted,
    Counting {
        ends: Instant,
    },
    Warned {
        ends: Instant,
    },
}

/// The form in which the timer outlives a restart of the controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedWatchdog {
    setup: Option<WatchdogSetup>,
    expired: u8,
    running: bool,
}

/// What happens by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Warning(WatchdogSetup),
    Expiry(WatchdogSetup),
}

/// The timer.
#[derive(Clone, Debug, Default)]
pub struct Watchdog {
    setup: Option<WatchdogSetup>,
    /// A bit for each use whose timer ran out, by its number; cleared by command alone.
    expired: u8,
    countdown: Countdown,
    /// Since when the machine, and with it this timer's clock, stands still.
    held: Option<Instant>,
}

impl Watchdog {
    /// What was set; none if nothing ever was.
    pub fn setup(&self) -> Option<WatchdogSetup> {
        self.setup
    }

    /// The timer use expiration flags: a bit for each use, by its number.
    pub fn expiration_flags(&self) -> u8 {
        self.expired
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        match self.countdown {
            Countdown::Stopped | Countdown::Expired => false,
            Countdown::Interrupted | Countdown::Counting { .. } | Countdown::Warned { .. } => true,
        }
    }

    /// What is left, in units of 100 ms.
    pub fn present_countdown(&self, now: Instant) -> u16 {
        match self.countdown {
            Countdown::Stopped | Countdown::Interrupted => self.setup.map_or(0, |setup| setup.countdown),
            Countdown::Expired => 0,
            Countdown::Counting { ends } | Countdown::Warned { ends } => {
                let counts =
                    ends.saturating_duration_since(self.clock(now)).as_millis().div_ceil(COUNT.as_millis());
                u16::try_from(counts).unwrap_or(u16::MAX)
            }
        }
    }

    /// The timer's own time.
    fn clock(&self, now: Instant) -> Instant {
        self.held.unwrap_or(now)
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The machine stands still.
    pub(crate) fn hold(&mut self, now: Instant) {
        self.held.get_or_insert(now);
    }

    /// The machine goes on, and what is left of the countdown with it.
    pub(crate) fn release(&mut self, now: Instant) {
        let Some(since) = self.held.take() else { return };
        if let Countdown::Counting { ends } | Countdown::Warned { ends } = &mut self.countdown {
            *ends += now.saturating_duration_since(since);
        }
    }

    fn set(&mut self, now: Instant, setup: WatchdogSetup, clear: u8, dont_stop: bool) {
        self.expired &= !clear;
        self.countdown = if dont_stop && self.is_running() {
            Countdown::Counting { ends: self.clock(now) + setup.whole() }
        } else {
            Countdown::Stopped
        };
        self.setup = Some(setup);
    }

    fn reset(&mut self, now: Instant) -> Result<(), WatchdogRefusal> {
        let setup = self.setup.ok_or(WatchdogRefusal::Unset)?;
        if matches!(self.countdown, Countdown::Warned { .. }) {
            return Err(WatchdogRefusal::Warned);
        }
        self.countdown = Countdown::Counting { ends: self.clock(now) + setup.whole() };
        Ok(())
    }

    /// Stops it. Whether it ran.
    fn stop(&mut self) -> bool {
        let ran = self.is_running();
        self.countdown = Countdown::Stopped;
        ran
    }

    /// The machine is found to have run on while the controller was away.
    fn resume(&mut self, now: Instant) {
        if let (Countdown::Interrupted, Some(setup)) = (self.countdown, self.setup) {
            self.countdown = Countdown::Counting { ends: self.clock(now) + setup.whole() };
        }
    }

    fn timeout(&self) -> Option<Instant> {
        let setup = self.setup.filter(|_| !self.is_held())?;
        match self.countdown {
            Countdown::Counting { ends } if setup.interrupt != PreTimeoutInterrupt::None => {
                // An instant before which there is none is in the past.
                Some(ends.checked_sub(setup.warning()).unwrap_or(ends))
            }
            Countdown::Counting { ends } | Countdown::Warned { ends } => Some(ends),
            Countdown::Stopped | Countdown::Expired | Countdown::Interrupted => None,
        }
    }

    /// Lets the next thing happen that is due. Asked again until there is none.
    fn take_due(&mut self, now: Instant) -> Option<Due> {
        let setup = self.setup?;
        if self.timeout().is_none_or(|due| now < due) {
            return None;
        }
        match self.countdown {
            Countdown::Counting { ends } if setup.interrupt != PreTimeoutInterrupt::None => {
                self.countdown = Countdown::Warned { ends };
                Some(Due::Warning(setup))
            }
            _ => {
                self.countdown = Countdown::Expired;
                self.expired |= 1 << setup.timer_use as u8;
                self.setup = Some(WatchdogSetup { dont_log: false, ..setup });
                Some(Due::Expiry(setup))
            }
        }
    }

    pub(crate) fn to_saved(&self) -> SavedWatchdog {
        SavedWatchdog { setup: self.setup, expired: self.expired, running: self.is_running() }
    }

    pub(crate) fn from_saved(saved: SavedWatchdog) -> Self {
        let SavedWatchdog { setup, expired, running } = saved;
        let countdown = if running { Countdown::Interrupted } else { Countdown::Stopped };
        Self { setup, expired, countdown, held: None }
    }
}

impl Bmc {
    /// The watchdog timer, to read.
    pub fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// Sets the timer, and clears the expiration flags that `clear` names. It stops, unless it runs and
    /// `dont_stop` lets it run on from the new value.
    pub fn set_watchdog(&mut self, now: Instant, setup: WatchdogSetup, clear: u8, dont_stop: bool) {
        let before = self.watchdog.to_saved();
        self.watchdog.set(now, setup, clear, dont_stop);
        self.messages.clear_pre_timeout();
        if self.watchdog.to_saved() != before {
            self.touch();
        }
    }

    /// Starts the timer, or has it begin anew.
    ///
    /// # Errors
    /// [`WatchdogRefusal`]: nothing was changed.
    pub fn reset_watchdog(&mut self, now: Instant) -> Result<(), WatchdogRefusal> {
        let ran = self.watchdog.is_running();
        self.watchdog.reset(now)?;
        if !ran {
            self.touch();
        }
        Ok(())
    }

    /// Stops the timer: the machine begins anew, or the controller does.
    pub fn stop_watchdog(&mut self) {
        self.messages.clear_pre_timeout();
        if self.watchdog.stop() {
            self.touch();
        }
    }

    pub(crate) fn resume_watchdog(&mut self, now: Instant) {
        self.watchdog.resume(now);
    }

    /// A controller that restarts could not act on it. The next one lets the timer run anew.
    pub(crate) fn watchdog_timeout(&self) -> Option<Instant> {
        if self.restarting { None } else { self.watchdog.timeout() }
    }

    pub(crate) fn tick_watchdog(&mut self, now: Instant) {
        if self.restarting {
            return;
        }
        while let Some(due) = self.watchdog.take_due(now) {
            match due {
                Due::Warning(setup) => self.watchdog_warns(now, setup),
                Due::Expiry(setup) => self.watchdog_expires(now, setup),
            }
        }
    }

    fn watchdog_warns(&mut self, now: Instant, setup: WatchdogSetup) {
        const TIMER_INTERRUPT: u8 = 8;

        if !setup.dont_log {
            self.platform_event(event(setup, TIMER_INTERRUPT));
        }
        self.messages.set_pre_timeout();
        if setup.interrupt == PreTimeoutInterrupt::Nmi {
            // Refused only where another change of power is under way, which the guest will notice as well.
            let _ = self.power(now, PowerRequest::Nmi, Requester::Watchdog);
        }
    }

    fn watchdog_expires(&mut self, now: Instant, setup: WatchdogSetup) {
        if !setup.dont_log {
            self.platform_event(event(setup, setup.action as u8));
        }
        self.touch();
        if let Some(request) = setup.action.request() {
            let taken = self.power(now, request, Requester::Watchdog);
            if taken == Err(Refusal::Unable) && request == PowerRequest::Cycle {
                // The machine is somebody else's. A reset is what comes next to it.
                let _ = self.power(now, PowerRequest::Reset, Requester::Watchdog);
            }
        }
    }
}

/// An event of the sensor type "Watchdog 2" (Table 42-3, 23h): the offset of an expiry is the number of its
/// action.
fn event(setup: WatchdogSetup, offset: u8) -> PlatformEvent {
    const WATCHDOG_2: u8 = 0x23;
    const DATA_2_IS_SENSOR_SPECIFIC: u8 = 0xc0;
    const UNSPECIFIED: u8 = 0xff;

    let details = (setup.interrupt as u8) << 4 | setup.timer_use as u8;
    PlatformEvent {
        generator: Generator::BMC,
        sensor_type: WATCHDOG_2,
        sensor: number::WATCHDOG,
        event_type: SENSOR_SPECIFIC,
        direction: Direction::Asserted,
        data: [DATA_2_IS_SENSOR_SPECIFIC | offset, details, UNSPECIFIED],
    }
}

#[cfg(test)]
mod tests;
