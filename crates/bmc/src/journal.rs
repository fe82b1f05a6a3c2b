//! What the machine's life writes into the event log: each event that the program's log has a sentence for,
//! and an operator would look for in a server's, becomes the state of one of the controller's own sensors
//! ([`number`]), in the words of Table 42-3.
//!
//! | what happened | sensor | states, event data |
//! |---|---|---|
//! | power came on | power unit, ACPI power state, restart | not off, S0, cause and channel |
//! | power went off | power unit, ACPI power state | off, S5; before it "power cycle" if it is one |
//! | the guest shut down | OS stop | graceful shutdown |
//! | a soft shutdown was ignored | OS stop | agent not responding |
//! | the guest panicked | OS stop | run-time critical stop |
//! | QEMU crashed | power unit | failure, until the next start |
//! | QEMU did not start | power unit | soft power control failure, until the next start |
//! | reset | restart | cause and channel |
//! | the boot device was changed | system event | reconfigured |
//! | a NIC lost its link, or has it again | its own, LAN | heartbeat lost, heartbeat |
//! | a login failed | platform security | out-of-band password violation; user and channel |
//! | a user was changed | version change | software change; the user's number |
//! | the controller started | microcontroller; power unit | running; input lost and back, if it was |
//! | the clock was set | system event | clock synchronised, twice: before and after |
//!
//! Logins are what strangers can cause: of their failures ten are written, and then one in ten minutes, so
//! that nobody can push everything else out of the log from afar. Session audit (sensor type 2Ah) has a state
//! for them as well, with user and channel in the standard's own places; but ipmitool shows it as nothing.

use std::fmt;

use crate::{
    Bmc, Direction, Event, Fact, PlatformEvent, PowerRequest, Requester, ResetBy, RestartCause, StopReason,
    UserId, sensors::number,
};

/// The channel numbers of event data 3.
const LAN_CHANNEL: u8 = 0x01;
const SYSTEM_INTERFACE: u8 = 0x0f;

/// What was before a start of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Nothing: it is new.
    First,
    /// The container, or the host, was away: to the machine that is a loss of mains power.
    PowerLoss,
    /// The controller alone restarted.
    Restart,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "for the first time",
            Self::PowerLoss => "power had been away",
            Self::Restart => "the machine was left as it was",
        })
    }
}

/// What has to be known beside an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// The host's time, in seconds since 1970.
    pub(crate) host_time: u64,
    /// Why the machine last started.
    pub(crate) cause: RestartCause,
    /// The power request that is being carried out.
    pub(crate) running: Option<(PowerRequest, Requester)>,
}

/// What was written and waits for its end.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// The power unit's fault that is asserted.
    fault: Option<u8>,
    failures: Budget,
}

impl Journal {
    /// What the event log is to say of an event.
    pub(crate) fn entries(
        &mut self,
        event: &Event,
        context: &Context,
        user: impl Fn(&str) -> Option<UserId>,
    ) -> Vec<PlatformEvent> {
        match event {
            Event::Machine(fact) => self.machine(fact, context),
            Event::BootFlagsSet { .. } => vec![system(RECONFIGURED)],
            Event::ControllerStarted(start) => started(*start),
            Event::UserChanged { user, .. } => vec![user_changed(*user)],
            Event::LoginFailed { user: name, .. } if self.failures.spend(context.host_time) => {
                vec![login_failed(user(name))]
            }
            _ => Vec::new(),
        }
    }

    fn machine(&mut self, fact: &Fact, context: &Context) -> Vec<PlatformEvent> {
        match fact {
            Fact::Started => {
                let mut said = self.fault_ends();
                said.extend([ended(power_unit(POWER_OFF)), acpi(S0), restart(context)]);
                said
            }
            Fact::StartFailed { .. } => self.fault(CONTROL_FAILURE),
            Fact::Stopped { why } => {
                let mut said = match why {
                    StopReason::Guest => vec![os_stop(GRACEFUL_SHUTDOWN)],
                    StopReason::Crashed(_) => self.fault(UNIT_FAILURE),
                    StopReason::Command | StopReason::Forced | StopReason::Disconnected => Vec::new(),
                };
                if matches!(context.running, Some((PowerRequest::Cycle, _))) {
                    said.push(power_unit(POWER_CYCLE));
                }
                said.extend([power_unit(POWER_OFF), acpi(S5)]);
                said
            }
            Fact::Reset { by: ResetBy::Command | ResetBy::Guest } => vec![restart(context)],
            Fact::Panicked { .. } => vec![os_stop(CRITICAL_STOP)],
            Fact::ShutdownIgnored { .. } => vec![os_stop(AGENT_NOT_RESPONDING)],
            // A NIC's own sensor says what became of its link.
            Fact::Adopted
            | Fact::Paused
            | Fact::Resumed
            | Fact::Unresponsive { .. }
            | Fact::CompanionLost { .. }
            | Fact::LinkChanged { .. }
            | Fact::MediumChanged { .. }
            | Fact::MediumNotChanged { .. }
            | Fact::TrayMoved { .. } => Vec::new(),
        }
    }

    fn fault(&mut self, offset: u8) -> Vec<PlatformEvent> {
        if self.fault == Some(offset) {
            return Vec::new();
        }
        let mut said = self.fault_ends();
        self.fault = Some(offset);
        said.push(power_unit(offset));
        said
    }

    fn fault_ends(&mut self) -> Vec<PlatformEvent> {
        self.fault.take().map(|offset| ended(power_unit(offset))).into_iter().collect()
    }
}

impl Bmc {
    /// What the journal has to know beside an event.
    pub(crate) fn journal_context(&self) -> Context {
        Context {
            host_time: self.clock.host(),
            cause: self.chassis().restart_cause(),
            running: self.power_state().running_for(),
        }
    }
}

// ---- the states of the sensors, by sensor type (Table 42-3) ---------------------------------------------

/// Sensor type 22h, System ACPI Power State.
fn acpi(state: u8) -> PlatformEvent {
    PlatformEvent::specific(0x22, number::POWER_STATE, state)
}
const S0: u8 = 0x00;
const S5: u8 = 0x05;

/// Sensor type 09h, Power Unit.
fn power_unit(state: u8) -> PlatformEvent {
    PlatformEvent::specific(0x09, number::POWER_UNIT, state)
}
const POWER_OFF: u8 = 0x00;
const POWER_CYCLE: u8 = 0x01;
const INPUT_LOST: u8 = 0x04;
const CONTROL_FAILURE: u8 = 0x05;
const UNIT_FAILURE: u8 = 0x06;

/// Sensor type 20h, OS Stop/Shutdown.
fn os_stop(state: u8) -> PlatformEvent {
    PlatformEvent::specific(0x20, number::OS_STOP, state)
}
const CRITICAL_STOP: u8 = 0x01;
const GRACEFUL_SHUTDOWN: u8 = 0x03;
const AGENT_NOT_RESPONDING: u8 = 0x05;

/// Sensor type 1Dh, System Boot/Restart Initiated: the restart cause (§28.11), and the channel by which the
/// command came that caused it.
fn restart(context: &Context) -> PlatformEvent {
    const SYSTEM_RESTART: u8 = 0x07;

    let event = PlatformEvent::specific(0x1d, number::RESTART, SYSTEM_RESTART);
    let cause = context.cause as u8;
    match context.running {
        Some((_, Requester::User(_))) => event.with_extension(cause, LAN_CHANNEL),
        Some((_, Requester::Guest)) => event.with_extension(cause, SYSTEM_INTERFACE),
        _ => with_second(event, cause),
    }
}

/// Sensor type 12h, System Event.
fn system(state: u8) -> PlatformEvent {
    PlatformEvent::specific(0x12, number::SYSTEM, state)
}
const RECONFIGURED: u8 = 0x00;
const CLOCK_SYNCHRONIZED: u8 = 0x05;

/// The two entries around a change of the log's clock.
pub(crate) fn clock_set() -> [PlatformEvent; 2] {
    const FIRST_OF_PAIR: u8 = 0x00;
    const SECOND_OF_PAIR: u8 = 0x80;

    [FIRST_OF_PAIR, SECOND_OF_PAIR].map(|which| with_second(system(CLOCK_SYNCHRONIZED), which))
}

/// Sensor type 06h, Platform Security Violation Attempt. Event data 2 and 3 are this controller's own, and
/// marked as such: user, 0 if it is nobody that is known, and channel.
fn login_failed(user: Option<UserId>) -> PlatformEvent {
    const OUT_OF_BAND_PASSWORD_VIOLATION: u8 = 0x05;

    let event = PlatformEvent::specific(0x06, number::SESSIONS, OUT_OF_BAND_PASSWORD_VIOLATION);
    let first = OUT_OF_BAND_PASSWORD_VIOLATION | OEM_SECOND | OEM_THIRD;
    PlatformEvent { data: [first, user.map_or(0, UserId::number), LAN_CHANNEL], ..event }
}

/// Sensor type 2Bh, Version Change: of the controller's configuration. The user's number in event data 3 is
/// this controller's own.
fn user_changed(user: UserId) -> PlatformEvent {
    const SOFTWARE_CHANGE: u8 = 0x01;
    const UNSPECIFIED: u8 = 0x00;

    let event = PlatformEvent::specific(0x2b, number::CONFIGURATION, SOFTWARE_CHANGE);
    PlatformEvent {
        data: [SOFTWARE_CHANGE | SPECIFIC_SECOND | OEM_THIRD, UNSPECIFIED, user.number()],
        ..event
    }
}

/// Sensor type 16h, Microcontroller, whose states are those of availability (Table 42-2, 0Ah).
fn started(start: Start) -> Vec<PlatformEvent> {
    const AVAILABILITY: u8 = 0x0a;
    const RUNNING: u8 = 0x00;

    let running = PlatformEvent {
        event_type: AVAILABILITY,
        ..PlatformEvent::specific(0x16, number::CONTROLLER, RUNNING)
    };
    match start {
        Start::First | Start::Restart => vec![running],
        Start::PowerLoss => vec![power_unit(INPUT_LOST), ended(power_unit(INPUT_LOST)), running],
    }
}

/// The end of what an event says.
fn ended(event: PlatformEvent) -> PlatformEvent {
    PlatformEvent { direction: Direction::Deasserted, ..event }
}

/// What event data 1 says of event data 2 and 3 (Table 29-6): that they are the sensor type's or ours.
const SPECIFIC_SECOND: u8 = 0xc0;
const OEM_SECOND: u8 = 0x80;
const OEM_THIRD: u8 = 0x20;

/// An event with the sensor type's own event data 2, and nothing in event data 3.
fn with_second(event: PlatformEvent, second: u8) -> PlatformEvent {
    let [offset, ..] = event.data;
    PlatformEvent { data: [offset | SPECIFIC_SECOND, second, 0xff], ..event }
}

/// How many entries strangers may cause.
#[derive(Debug)]
struct Budget {
    left: u64,
    since: u64,
}

impl Budget {
    const MOST: u64 = 10;
    /// One more every ten minutes.
    const INTERVAL: u64 = 600;

    fn spend(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.since) / Self::INTERVAL;
        self.left = self.left.saturating_add(earned).min(Self::MOST);
        // A clock that was set back must not stop the entries until it is where it was.
        self.since = if self.left == Self::MOST || now < self.since {
            now
        } else {
            self.since + earned * Self::INTERVAL
        };
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Self::MOST, since: 0 }
    }
}

#[cfg(test)]
mod tests;
