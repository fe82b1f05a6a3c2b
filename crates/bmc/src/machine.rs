//! The machine as everybody sees it: what is asked of its power, and what became of it.
//!
//! ```text
//!   power ──▶ judged by Power ──▶ an Intent, for the machine's driver
//!                                                │
//!   on_fact ◀── what happened ───────────────────┘
//!      └──▶ power state, chassis, watchdog, messages, sensors, filters, and an Event
//! ```

use std::time::{Duration, Instant};

use crate::{
    Abilities, Accepted, Bmc, Event, Fact, HostPower, Power, PowerRequest, Refusal, Requester, ResetBy,
    RestartCause, RestorePolicy, enables,
};

impl Bmc {
    /// Whether the machine runs, as every protocol reports it.
    pub fn host_power(&self) -> HostPower {
        self.power.host()
    }

    /// The power state machine, for its details.
    pub fn power_state(&self) -> &Power {
        &self.power
    }

    /// Asks for a change of power. Answers at once; the rules for requests that meet are [`Power`]'s.
    ///
    /// # Errors
    /// [`Refusal`], when the request makes no sense now: nothing was changed.
    pub fn power(&mut self, now: Instant, request: PowerRequest, by: Requester) -> Result<Accepted, Refusal> {
        if self.restarting {
            return Err(Refusal::Busy);
        }
        let answer = self.power.request(request, by)?;
        self.boot.restart_expiry(now);
        self.record(Event::PowerRequested { request, by, merged: answer == Accepted::Merged });
        Ok(answer)
    }

    /// Says what can be done to the machine's power.
    pub fn set_abilities(&mut self, abilities: Abilities) {
        self.power.set_abilities(abilities);
    }

    /// The end of the power request that [`Bmc::take_intent`] handed out, however it ended.
    pub fn power_done(&mut self) {
        self.power.done();
    }

    /// What happened to the machine.
    pub fn on_fact(&mut self, now: Instant, fact: Fact) {
        let cause = self.power.restart_cause();
        let requester = self.power.running_for().map(|(_, by)| by);
        match &fact {
            Fact::Paused => self.watchdog.hold(now),
            Fact::Resumed | Fact::Started | Fact::Stopped { .. } => self.watchdog.release(now),
            _ => {}
        }
        if matches!(fact, Fact::Started | Fact::Stopped { .. } | Fact::Reset { .. }) {
            self.host_reset();
            self.close_trays();
            self.forget_booted_system();
        }
        match &fact {
            Fact::Started | Fact::Reset { .. } => self.pef.machine_started(now),
            Fact::Stopped { .. } => self.pef.power_changed(),
            _ => {}
        }
        match &fact {
            Fact::Started => {
                self.power.set_host(HostPower::On);
                self.last_on = true;
                self.chassis.started(now, cause, requester);
            }
            Fact::Adopted => {
                self.power.set_host(HostPower::On);
                self.last_on = true;
                self.chassis.adopted(now);
                self.resume_watchdog(now);
            }
            Fact::StartFailed { .. } => self.chassis.start_failed(),
            Fact::Stopped { why } => {
                self.power.set_host(HostPower::Off);
                self.last_on = false;
                self.chassis.stopped(now, why);
            }
            Fact::Reset { by: ResetBy::Command } => self.chassis.reset(cause, requester),
            Fact::Reset { by: ResetBy::Guest } => self.chassis.reset(RestartCause::SoftReset, None),
            Fact::LinkChanged { nic, up } => self.set_link(nic, *up),
            Fact::Paused
            | Fact::Resumed
            | Fact::MediumChanged { .. }
            | Fact::MediumNotChanged { .. }
            | Fact::TrayMoved { .. }
            | Fact::Panicked { .. }
            | Fact::ShutdownIgnored { .. }
            | Fact::CompanionLost { .. }
            | Fact::Unresponsive { .. } => {}
        }
        self.unsaved = true;
        self.sensors_on_fact(now, &fact);
        self.record(Event::Machine(fact));
    }

    /// Whether the machine is on and held still.
    pub fn is_paused(&self) -> bool {
        self.watchdog.is_held()
    }

    /// Says whether the machine was found held still.
    pub fn observe_paused(&mut self, now: Instant, paused: bool) {
        if paused != self.is_paused() {
            self.on_fact(now, if paused { Fact::Paused } else { Fact::Resumed });
        }
    }

    /// Whatever concerned the boot that has ended is over: the watchdog, what waits for the guest, and the
    /// interrupts that its driver took.
    fn host_reset(&mut self) {
        self.stop_watchdog();
        self.messages.host_reset();
        self.guest = None;
        self.global_enables &= enables::EVENT_LOGGING;
    }

    /// Whether the machine is on, was when it last could be, or is about to be: what the restore policy
    /// "previous" brings back after the controller was stopped.
    pub fn counts_as_on(&self) -> bool {
        self.power.will_be_on().unwrap_or(self.last_on)
    }

    /// Whether the restore policy wants the machine on, given that mains power just came back.
    ///
    /// `was_on` is the state when it was lost.
    pub fn wants_power_after_loss(&self, was_on: bool) -> bool {
        match self.chassis.restore_policy() {
            RestorePolicy::AlwaysOn => true,
            RestorePolicy::AlwaysOff => false,
            RestorePolicy::Previous => was_on,
        }
    }

    /// How long the machine stays off in a power cycle.
    pub fn cycle_interval(&self) -> Duration {
        self.chassis.cycle_interval()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Intent, Lan, Users};

    fn bmc() -> Bmc {
        Bmc::new(Identity::derive("node1"), Users::default(), Lan::default())
    }

    #[test]
    fn a_request_becomes_an_intent_and_its_fact_the_state() {
        let now = Instant::now();
        let mut bmc = bmc();
        assert_eq!(bmc.power(now, PowerRequest::On, Requester::Button), Ok(Accepted::Queued));
        assert_eq!(bmc.host_power(), HostPower::Off, "nothing has happened yet");
        assert_eq!(bmc.take_intent(), Some(Intent::Power(PowerRequest::On)));
        bmc.on_fact(now, Fact::Started);
        bmc.power_done();
        assert_eq!(bmc.host_power(), HostPower::On);
        assert_eq!(bmc.chassis().restart_cause(), RestartCause::PowerButton);
        assert!(bmc.take_unsaved());
    }

    #[test]
    fn a_start_that_fails_does_not_make_the_machine_one_that_was_off() {
        let now = Instant::now();
        let mut bmc = bmc();
        bmc.on_fact(now, Fact::Started);
        let mut again = self::bmc();
        again.restore(bmc.to_saved(now));
        again.on_fact(now, Fact::StartFailed { reason: "the disk is away".into() });
        assert!(again.to_saved(now).was_on);
    }

    #[test]
    fn a_machine_that_is_being_started_counts_as_on() {
        let mut bmc = bmc();
        assert!(!bmc.counts_as_on());
        bmc.power(Instant::now(), PowerRequest::On, Requester::Button).unwrap();
        assert!(bmc.counts_as_on());
        bmc.take_intent();
        assert!(bmc.counts_as_on());
        bmc.power(Instant::now(), PowerRequest::Off, Requester::Button).unwrap();
        assert!(!bmc.counts_as_on());
    }

    #[test]
    fn nothing_is_accepted_that_a_restart_would_forget() {
        let mut bmc = bmc();
        bmc.restart_controller(Requester::Button);
        assert_eq!(bmc.power(Instant::now(), PowerRequest::On, Requester::Button), Err(Refusal::Busy));
    }
}
