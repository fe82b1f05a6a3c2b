//! The chassis: identify lamp, restore policy, restart cause, power-on hours (IPMI 2.0 §28), and the
//! ACPI power state (§20.6).

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Requester, StopReason};

/// What happens when mains power comes back: here, when the controller starts (§28.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestorePolicy {
    /// Stay off.
    AlwaysOff,
    /// As it was.
    Previous,
    /// Power on.
    #[default]
    AlwaysOn,
}

/// Why the machine last started or restarted (§28.11). The numbers are the specification's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum RestartCause {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Chassis Control command.
    ChassisControl = 1,
    /// Reset button.
    ResetButton = 2,
    /// Power button.
    PowerButton = 3,
    /// Watchdog expiration.
    Watchdog = 4,
    /// Restore policy "always on".
    RestorePolicy = 6,
    /// Restore policy "previous".
    RestorePrevious = 7,
    /// Reset by an event filter.
    FilterReset = 8,
    /// Power cycle by an event filter.
    FilterCycle = 9,
    /// The guest's own reboot.
    SoftReset = 0x0a,
}

/// The lamp that tells one machine from its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdentifyState {
    /// Dark.
    #[default]
    Off,
    /// On until then.
    Until(Instant),
    /// On until told otherwise.
    Indefinite,
}

/// The last power event, as Get Chassis Status has it (Table 28-3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastPowerEvent {
    /// Power came on by a command of a management client.
    pub on_by_command: bool,
    /// Power went off by a fault: QEMU crashed, or could not be started.
    pub fault: bool,
}

/// ACPI system power states that can be reported (§20.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AcpiSystemState {
    /// Working.
    S0 = 0x00,
    /// Sleeping, processor context kept.
    S1 = 0x01,
    /// Sleeping, processor context lost.
    S2 = 0x02,
    /// Suspend to memory.
    S3 = 0x03,
    /// Suspend to disk.
    S4 = 0x04,
    /// Soft off.
    S5 = 0x05,
    /// S4 or S5, it can't be told which.
    S4S5 = 0x06,
    /// Mechanical off.
    G3 = 0x07,
    /// Sleeping, S1 to S3, it can't be told which.
    Sleeping = 0x08,
    /// G1 sleeping, it can't be told which.
    G1Sleeping = 0x09,
    /// S5 entered by override.
    Override = 0x0a,
    /// Legacy on.
    LegacyOn = 0x20,
    /// Legacy soft off.
    LegacyOff = 0x21,
    /// Unknown.
    #[default]
    Unknown = 0x2a,
}

impl AcpiSystemState {
    /// The state with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [AcpiSystemState; 14] = {
            use AcpiSystemState as S;
            [
                S::S0,
                S::S1,
                S::S2,
                S::S3,
                S::S4,
                S::S5,
                S::S4S5,
                S::G3,
                S::Sleeping,
                S::G1Sleeping,
                S::Override,
                S::LegacyOn,
                S::LegacyOff,
                S::Unknown,
            ]
        };
        ALL.into_iter().find(|state| *state as u8 == number)
    }
}

/// ACPI device power states that can be reported (§20.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum AcpiDeviceState {
    /// D0.
    D0 = 0,
    /// D1.
    D1 = 1,
    /// D2.
    D2 = 2,
    /// D3.
    D3 = 3,
    /// Unknown.
    #[default]
    Unknown = 0x2a,
}

impl AcpiDeviceState {
    /// The state with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::D0, Self::D1, Self::D2, Self::D3, Self::Unknown]
            .into_iter()
            .find(|state| *state as u8 == number)
    }
}

/// The ACPI power state that system software reported, or that follows from the machine's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcpiPower {
    /// System state.
    pub system: AcpiSystemState,
    /// Device state.
    pub device: AcpiDeviceState,
}

const OFF: AcpiPower = AcpiPower { system: AcpiSystemState::S5, device: AcpiDeviceState::D3 };
const ON: AcpiPower = AcpiPower { system: AcpiSystemState::S0, device: AcpiDeviceState::D0 };

/// Chassis Capabilities (§28.1): flags and the addresses of the chassis' devices, as they can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Bits 3:0 as the specification has them.
    pub flags: u8,
    /// FRU information device address.
    pub fru: u8,
    /// Sensor data record device address.
    pub sdr: u8,
    /// System event log device address.
    pub sel: u8,
    /// System management device address.
    pub sm: u8,
    /// Bridge device address.
    pub bridge: u8,
}

impl Default for Capabilities {
    fn default() -> Self {
        // 20h is the BMC itself.
        Self { flags: 0, fru: 0x20, sdr: 0x20, sel: 0x20, sm: 0x20, bridge: 0x20 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedChassis {
    policy: Option<RestorePolicy>,
    on_seconds: u64,
    restart_cause: RestartCause,
    restarted_by_guest: bool,
    capabilities: Capabilities,
    cycle_interval: Option<u8>,
}

impl SavedChassis {
    /// The same without what anybody has set.
    pub(crate) fn factory(self) -> Self {
        Self {
            on_seconds: self.on_seconds,
            restart_cause: self.restart_cause,
            restarted_by_guest: self.restarted_by_guest,
            ..Self::default()
        }
    }
}

/// Chassis state and settings.
#[derive(Clone, Debug)]
pub struct Chassis {
    /// What a management client set; the default is the configuration's.
    policy: Option<RestorePolicy>,
    default_policy: RestorePolicy,
    identify: IdentifyState,
    restart_cause: RestartCause,
    /// Whether it was the guest that asked for the last restart, by a command.
    restarted_by_guest: bool,
    last_event: LastPowerEvent,
    on_before: Duration,
    on_since: Option<Instant>,
    acpi: AcpiPower,
    cycle_interval: Option<u8>,
    /// Where the chassis' devices are.
    pub capabilities: Capabilities,
}

impl Default for Chassis {
    fn default() -> Self {
        Self {
            policy: None,
            default_policy: RestorePolicy::default(),
            identify: IdentifyState::Off,
            restart_cause: RestartCause::Unknown,
            restarted_by_guest: false,
            last_event: LastPowerEvent::default(),
            on_before: Duration::ZERO,
            on_since: None,
            acpi: OFF,
            cycle_interval: None,
            capabilities: Capabilities::default(),
        }
    }
}

impl Chassis {
    /// The restore policy in force.
    pub fn restore_policy(&self) -> RestorePolicy {
        self.policy.unwrap_or(self.default_policy)
    }

    /// Sets the restore policy, for good.
    pub fn set_restore_policy(&mut self, policy: RestorePolicy) {
        self.policy = Some(policy);
    }

    /// The policy that holds until a client sets one.
    pub fn set_default_restore_policy(&mut self, policy: RestorePolicy) {
        self.default_policy = policy;
    }

    /// Why the machine last started.
    pub fn restart_cause(&self) -> RestartCause {
        self.restart_cause
    }

    /// Whether the last restart was asked for by a command of the guest's own.
    pub fn restarted_by_guest(&self) -> bool {
        self.restarted_by_guest
    }

    /// The last power event.
    pub fn last_power_event(&self) -> LastPowerEvent {
        self.last_event
    }

    /// The identify lamp.
    pub fn identify(&self) -> IdentifyState {
        self.identify
    }

    /// Turns the identify lamp on or off.
    pub fn set_identify(&mut self, state: IdentifyState) {
        self.identify = state;
    }

    pub(crate) fn identify_ends(&self) -> Option<Instant> {
        match self.identify {
            IdentifyState::Until(end) => Some(end),
            IdentifyState::Off | IdentifyState::Indefinite => None,
        }
    }

    pub(crate) fn tick(&mut self, now: Instant) {
        if self.identify_ends().is_some_and(|end| now >= end) {
            self.identify = IdentifyState::Off;
        }
    }

    /// For how long the machine has been on, over all its lives (§28.14, Get POH Counter).
    pub fn power_on_time(&self, now: Instant) -> Duration {
        self.on_before + self.on_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// The ACPI power state.
    pub fn acpi(&self) -> AcpiPower {
        self.acpi
    }

    /// Takes the ACPI power state that system software reports.
    pub fn set_acpi(&mut self, acpi: AcpiPower) {
        self.acpi = acpi;
    }

    /// How long a power cycle stays off (§28.9): at least a second unless set to zero.
    pub fn cycle_interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.cycle_interval.unwrap_or(1)))
    }

    /// Sets the interval of a power cycle, in seconds; 0 is none.
    pub fn set_cycle_interval(&mut self, seconds: u8) {
        self.cycle_interval = Some(seconds);
    }

    pub(crate) fn started(&mut self, now: Instant, cause: RestartCause, by: Option<Requester>) {
        self.restarted_by_guest = by == Some(Requester::Guest);
        self.restart_cause = match (cause, self.restore_policy()) {
            (RestartCause::RestorePolicy, RestorePolicy::Previous) => RestartCause::RestorePrevious,
            (cause, _) => cause,
        };
        let by_command = matches!(by, Some(Requester::User(_) | Requester::Guest));
        self.last_event = LastPowerEvent { on_by_command: by_command, fault: false };
        self.adopted(now);
    }

    pub(crate) fn adopted(&mut self, now: Instant) {
        self.on_since = Some(now);
        self.acpi = ON;
    }

    pub(crate) fn start_failed(&mut self) {
        self.last_event.fault = true;
    }

    pub(crate) fn stopped(&mut self, now: Instant, why: &StopReason) {
        self.on_before = self.power_on_time(now);
        self.on_since = None;
        self.acpi = OFF;
        self.last_event.fault = matches!(why, StopReason::Crashed(_));
    }

    pub(crate) fn reset(&mut self, cause: RestartCause, by: Option<Requester>) {
        self.restarted_by_guest = by == Some(Requester::Guest);
        self.restart_cause = cause;
        self.acpi = ON;
    }

    pub(crate) fn to_saved(&self, now: Instant) -> SavedChassis {
        SavedChassis {
            policy: self.policy,
            on_seconds: self.power_on_time(now).as_secs(),
            restart_cause: self.restart_cause,
            restarted_by_guest: self.restarted_by_guest,
            capabilities: self.capabilities,
            cycle_interval: self.cycle_interval,
        }
    }

    pub(crate) fn restore(&mut self, saved: SavedChassis) {
        self.policy = saved.policy;
        self.on_before = Duration::from_secs(saved.on_seconds);
        self.restart_cause = saved.restart_cause;
        self.restarted_by_guest = saved.restarted_by_guest;
        self.capabilities = saved.capabilities;
        self.cycle_interval = saved.cycle_interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_count_only_while_the_machine_is_on() {
        let start = Instant::now();
        let hour = Duration::from_secs(3600);
        let mut chassis = Chassis::default();
        chassis.started(start, RestartCause::ChassisControl, Some(Requester::Guest));
        chassis.stopped(start + hour, &StopReason::Guest);
        assert_eq!(chassis.power_on_time(start + 5 * hour), hour);
        let mut again = Chassis::default();
        again.restore(chassis.to_saved(start + 5 * hour));
        again.adopted(start + 6 * hour);
        assert_eq!(again.power_on_time(start + 7 * hour), 2 * hour);
    }

    #[test]
    fn a_crash_is_a_power_fault_until_the_next_start() {
        let now = Instant::now();
        let mut chassis = Chassis::default();
        chassis.started(now, RestartCause::ChassisControl, Some(Requester::Guest));
        chassis.stopped(now, &StopReason::Crashed("signal 9".into()));
        assert!(chassis.last_power_event().fault);
        chassis.started(now, RestartCause::PowerButton, Some(Requester::Button));
        assert_eq!(chassis.last_power_event(), LastPowerEvent::default());
    }

    #[test]
    fn a_policy_that_was_set_outranks_the_configuration() {
        let mut chassis = Chassis::default();
        chassis.set_default_restore_policy(RestorePolicy::AlwaysOff);
        assert_eq!(chassis.restore_policy(), RestorePolicy::AlwaysOff);
        chassis.set_restore_policy(RestorePolicy::Previous);
        chassis.set_default_restore_policy(RestorePolicy::AlwaysOn);
        assert_eq!(chassis.restore_policy(), RestorePolicy::Previous);
    }
}
