//! The power button and what happens when it is pressed twice.
//!
//! ```text
//!              take()                          done()
//!   waiting ───────────▶ running ─────────────────────▶ (nothing)
//!      ▲                    │ a fact says what became of it: host is On or Off
//!      └──── request() ─────┘
//! ```
//!
//! One request runs and at most one waits. A new request is judged by how the machine *will* be when
//! all that was accepted has been done, so a client that says "off" and then "on" gets both, in order,
//! and a client that repeats itself causes one action:
//!
//! | asked | will be off | will be on |
//! |---|---|---|
//! | On | queued | nothing to do |
//! | Off | nothing to do | queued; replaces what waits |
//! | Cycle | refused: the machine is off | merged into a cycle under way or a start that waits, else queued; replaces what waits |
//! | Reset | refused: the machine is off | merged into a start, cycle or reset under way, else queued |
//! | Soft, NMI | refused: the machine is off | merged into the same one under way; refused as busy while another is |
//!
//! A soft shutdown counts as "will be on", because the guest is free to ignore it.

use std::fmt;

use crate::chassis::RestartCause;

/// Whether the machine is powered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostPower {
    /// No QEMU process runs.
    #[default]
    Off,
    /// A QEMU process runs, whatever its guest does.
    On,
}

/// What can be asked of the machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerRequest {
    /// Power on.
    On,
    /// Power off at once, as if the plug were pulled.
    Off,
    /// Off, an interval, on.
    Cycle,
    /// Hard reset: the same power, a new boot.
    Reset,
    /// Diagnostic interrupt (NMI).
    Nmi,
    /// The ACPI power button: the guest is asked to shut down.
    Soft,
}

impl fmt::Display for PowerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "power on",
            Self::Off => "power off",
            Self::Cycle => "power cycle",
            Self::Reset => "reset",
            Self::Nmi => "diagnostic interrupt",
            Self::Soft => "soft shutdown",
        })
    }
}

/// Which requests can be carried out: all, unless somebody else started the machine and has it in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abilities(u8);

impl Abilities {
    /// None.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(u8::MAX);

    /// These, and one more.
    #[must_use]
    pub const fn with(self, request: PowerRequest) -> Self {
        Self(self.0 | 1 << request as u8)
    }

    /// These, without one.
    #[must_use]
    pub const fn without(self, request: PowerRequest) -> Self {
        Self(self.0 & !(1 << request as u8))
    }

    /// Whether a request is one of them.
    pub fn has(self, request: PowerRequest) -> bool {
        self.0 & 1 << request as u8 != 0
    }
}

impl Default for Abilities {
    fn default() -> Self {
        Self::ALL
    }
}

/// On whose behalf something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requester {
    /// A management client (IPMI), logged in as this user.
    User(crate::UserId),
    /// The guest itself, through the system interface.
    Guest,
    /// Somebody at the machine itself: the local command line stands for the front panel's buttons.
    Button,
    /// The power restore policy, when the controller starts.
    RestorePolicy,
    /// The time limit of a soft shutdown that the guest ignored.
    SoftTimeout,
    /// The watchdog timer, which nobody reset in time.
    Watchdog,
    /// The event filter with this number (§17).
    EventFilter(u8),
}

impl fmt::Display for Requester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user {id}"),
            Self::Guest => f.write_str("the guest"),
            Self::Button => f.write_str("the local command line"),
            Self::RestorePolicy => f.write_str("the power restore policy"),
            Self::SoftTimeout => f.write_str("the time limit of the soft shutdown"),
            Self::Watchdog => f.write_str("the watchdog timer"),
            Self::EventFilter(number) => write!(f, "event filter {number}"),
        }
    }
}

/// How a request was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It will be done.
    Queued,
    /// One that is under way or waiting already does what this one wants.
    Merged,
    /// The machine is in the wanted state.
    Already,
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The machine is off, or will be.
    #[error("the machine is powered off")]
    PoweredOff,
    /// Another power request is under way that this one can neither join nor replace.
    #[error("another power request is under way")]
    Busy,
    /// Nobody here can do that to the machine.
    #[error("the machine was started by something else, and this can't be done to it from here")]
    Unable,
}

/// The power state machine of one host.
#[derive(Clone, Debug, Default)]
pub struct Power {
    host: HostPower,
    /// Handed out by [`Power::take`], until [`Power::done`].
    running: Option<(PowerRequest, Requester)>,
    /// Accepted and not yet handed out.
    waiting: Option<(PowerRequest, Requester)>,
    abilities: Abilities,
}

impl Power {
    pub(crate) fn host(&self) -> HostPower {
        self.host
    }

    pub(crate) fn set_host(&mut self, host: HostPower) {
        self.host = host;
    }

    /// What can be carried out as things are.
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    pub(crate) fn set_abilities(&mut self, abilities: Abilities) {
        self.abilities = abilities;
    }

    /// The request that is being carried out.
    pub fn running(&self) -> Option<PowerRequest> {
        self.running.map(|(request, _)| request)
    }

    /// The request that is being carried out, and on whose behalf.
    pub(crate) fn running_for(&self) -> Option<(PowerRequest, Requester)> {
        self.running
    }

    /// Whether the machine will be on once all that was accepted has been done; none if nothing is to be done.
    pub fn will_be_on(&self) -> Option<bool> {
        self.waiting.or(self.running).map(|(request, _)| request != PowerRequest::Off)
    }

    pub(crate) fn has_waiting(&self) -> bool {
        self.running.is_none() && self.waiting.is_some()
    }

    pub(crate) fn take(&mut self) -> Option<PowerRequest> {
        if self.running.is_some() {
            return None;
        }
        self.running = self.waiting.take();
        self.running()
    }

    pub(crate) fn done(&mut self) {
        self.running = None;
    }

    pub(crate) fn request(&mut self, request: PowerRequest, by: Requester) -> Result<Accepted, Refusal> {
        use PowerRequest as R;
        let pending = self.waiting.or(self.running).map(|(request, _)| request);
        let will_be_on = pending.map_or(self.host == HostPower::On, |pending| pending != R::Off);
        match (request, will_be_on) {
            (R::On, true) => return Ok(if pending.is_some() { Accepted::Merged } else { Accepted::Already }),
            (R::Off, false) => {
                return Ok(if pending.is_some() { Accepted::Merged } else { Accepted::Already });
            }
            (R::Cycle | R::Reset | R::Nmi | R::Soft, false) => return Err(Refusal::PoweredOff),
            (R::On, false) | (R::Off, true) => {}
            (R::Cycle, true) if pending == Some(R::Cycle) || self.waits_to_start() => {
                return Ok(Accepted::Merged);
            }
            (R::Cycle, true) => {}
            (R::Reset, true) => {
                if matches!(pending, Some(R::On | R::Cycle | R::Reset)) {
                    return Ok(Accepted::Merged);
                }
            }
            (R::Nmi | R::Soft, true) => match pending {
                None => {}
                Some(pending) if pending == request => return Ok(Accepted::Merged),
                Some(_) => return Err(Refusal::Busy),
            },
        }
        if !self.abilities.has(request) {
            return Err(Refusal::Unable);
        }
        self.waiting = Some((request, by));
        Ok(Accepted::Queued)
    }

    /// An accepted power on that has not begun: the machine is off, or will be by then, and a cycle in
    /// its place would be one of a machine that is off.
    fn waits_to_start(&self) -> bool {
        matches!(self.waiting, Some((PowerRequest::On, _)))
    }

    /// Why the boot that is beginning begins (Get System Restart Cause, §28.11).
    pub(crate) fn restart_cause(&self) -> RestartCause {
        match self.running {
            Some((_, Requester::User(_) | Requester::Guest)) => RestartCause::ChassisControl,
            Some((PowerRequest::Reset, Requester::Button)) => RestartCause::ResetButton,
            Some((_, Requester::Button)) => RestartCause::PowerButton,
            Some((_, Requester::RestorePolicy)) => RestartCause::RestorePolicy,
            Some((_, Requester::Watchdog)) => RestartCause::Watchdog,
            Some((PowerRequest::Cycle, Requester::EventFilter(_))) => RestartCause::FilterCycle,
            Some((_, Requester::EventFilter(_))) => RestartCause::FilterReset,
            Some((_, Requester::SoftTimeout)) | None => RestartCause::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn power(host: HostPower) -> Power {
        Power { host, ..Power::default() }
    }

    #[test]
    fn off_then_on_does_both() {
        let mut p = power(HostPower::On);
        assert_eq!(p.request(PowerRequest::Off, Requester::Button), Ok(Accepted::Queued));
        assert_eq!(p.take(), Some(PowerRequest::Off));
        assert_eq!(p.request(PowerRequest::On, Requester::Button), Ok(Accepted::Queued));
        assert_eq!(p.take(), None, "one at a time");
        p.set_host(HostPower::Off);
        p.done();
        assert_eq!(p.take(), Some(PowerRequest::On));
    }

    #[test]
    fn a_repeated_cycle_is_one_cycle() {
        let mut p = power(HostPower::On);
        assert_eq!(p.request(PowerRequest::Cycle, Requester::Button), Ok(Accepted::Queued));
        assert_eq!(p.request(PowerRequest::Cycle, Requester::Button), Ok(Accepted::Merged));
        assert_eq!(p.take(), Some(PowerRequest::Cycle));
        assert_eq!(p.request(PowerRequest::Cycle, Requester::Button), Ok(Accepted::Merged));
        p.done();
        assert_eq!(p.take(), None);
    }

    #[test]
    fn a_cycle_does_not_take_the_place_of_a_start_that_waits() {
        let mut p = power(HostPower::On);
        p.request(PowerRequest::Off, Requester::Button).unwrap();
        p.take();
        p.request(PowerRequest::On, Requester::Button).unwrap();
        assert_eq!(p.request(PowerRequest::Cycle, Requester::Button), Ok(Accepted::Merged));
        p.set_host(HostPower::Off);
        p.done();
        assert_eq!(p.take(), Some(PowerRequest::On));
    }

    #[test]
    fn what_needs_a_running_machine_is_refused_when_it_is_off() {
        for request in [PowerRequest::Cycle, PowerRequest::Reset, PowerRequest::Nmi, PowerRequest::Soft] {
            assert_eq!(power(HostPower::Off).request(request, Requester::Button), Err(Refusal::PoweredOff));
        }
    }

    #[test]
    fn off_wins_over_what_waits() {
        let mut p = power(HostPower::On);
        p.request(PowerRequest::Reset, Requester::Button).unwrap();
        p.take();
        p.request(PowerRequest::Cycle, Requester::Button).unwrap();
        p.request(PowerRequest::Off, Requester::Button).unwrap();
        p.done();
        assert_eq!(p.take(), Some(PowerRequest::Off));
    }

    #[test]
    fn what_cannot_be_done_is_refused_and_what_is_so_already_is_not() {
        let mut p = power(HostPower::On);
        p.set_abilities(Abilities::NONE.with(PowerRequest::Off).with(PowerRequest::Reset));
        assert_eq!(p.request(PowerRequest::On, Requester::Button), Ok(Accepted::Already));
        for request in [PowerRequest::Cycle, PowerRequest::Nmi, PowerRequest::Soft] {
            assert_eq!(p.request(request, Requester::Button), Err(Refusal::Unable), "{request}");
        }
        assert_eq!(p.request(PowerRequest::Reset, Requester::Button), Ok(Accepted::Queued));
        assert_eq!(p.request(PowerRequest::Off, Requester::Button), Ok(Accepted::Queued));
        let mut p = power(HostPower::Off);
        p.set_abilities(Abilities::NONE);
        assert_eq!(p.request(PowerRequest::On, Requester::Button), Err(Refusal::Unable));
        assert_eq!(p.request(PowerRequest::Off, Requester::Button), Ok(Accepted::Already));
    }

    fn any_request() -> impl Strategy<Value = PowerRequest> {
        prop_oneof![
            Just(PowerRequest::On),
            Just(PowerRequest::Off),
            Just(PowerRequest::Cycle),
            Just(PowerRequest::Reset),
            Just(PowerRequest::Nmi),
            Just(PowerRequest::Soft),
        ]
    }

    proptest! {
        /// Whatever is asked in whatever order, the last On or Off that was accepted is what the
        /// machine ends as, and nothing that needs a running machine is handed out while it is off.
        #[test]
        fn the_last_word_counts(on: bool, steps in proptest::collection::vec((any_request(), any::<bool>()), 1..40)) {
            let mut p = power(if on { HostPower::On } else { HostPower::Off });
            let mut wanted = p.host();
            fn carry_out(p: &mut Power) {
                if let Some(request) = p.take() {
                    if matches!(request, PowerRequest::Cycle | PowerRequest::Reset | PowerRequest::Nmi | PowerRequest::Soft) {
                        assert_eq!(p.host(), HostPower::On);
                    }
                    p.set_host(if request == PowerRequest::Off { HostPower::Off } else { HostPower::On });
                }
            }
            for (request, finish) in steps {
                if p.request(request, Requester::Button).is_ok() {
                    wanted = if request == PowerRequest::Off { HostPower::Off } else { HostPower::On };
                }
                carry_out(&mut p);
                if finish { p.done(); }
            }
            for _ in 0..3 { p.done(); carry_out(&mut p); }
            prop_assert_eq!(p.host(), wanted);
        }
    }
}
