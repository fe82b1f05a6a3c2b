#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::disallowed_methods))]
//! What a baseboard management controller knows and decides.
//!
//! [`Bmc`] is a plain value: no socket, no clock, no randomness, no threads. Whoever holds it tells it
//! the time, and a test can construct one in a line. Protocols (IPMI, later Redfish) call its methods;
//! it answers at once and records what has to happen to the machine as an [`Intent`]. One task of the
//! program carries intents out and reports back what became of them as a [`Fact`]:
//!
//! ```text
//!   IPMI ──┐  method calls          ┌── take_intent ──▶ machine driver ──▶ QEMU
//!   local ─┼─────────────────▶ Bmc ─┤                        │
//!   later ─┘                        └◀──── on_fact ──────────┘
//! ```
//!
//! Everything that a caller may have to do after a call is polled, never called back:
//!
//! * [`Bmc::take_intent`]: what the machine is to do next;
//! * [`Bmc::take_events`]: what happened, for the log;
//! * [`Bmc::take_unsaved`]: whether there is something that must outlive a restart;
//! * [`Bmc::next_timeout`] and [`Bmc::tick`]: the only things that happen by themselves.

mod boot;
mod chassis;
mod clock;
mod configured;
mod dcmi;
mod event;
mod fact;
mod factory;
mod firewall;
mod fru;
mod hex;
mod identity;
mod journal;
mod lan;
mod messages;
mod nics;
mod pef;
mod platform_event;
mod power;
mod privilege;
mod saved;
mod secret;
mod sel;
pub mod sensors;
mod sol;
mod users;
mod watchdog;
mod words;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

pub use boot::{
    BootChoice, BootDevice, BootFlags, BootGeneration, BootOptions, InitiatorInfo, ValidClearing,
};
pub use chassis::{
    AcpiDeviceState, AcpiPower, AcpiSystemState, Capabilities, Chassis, IdentifyState, LastPowerEvent,
    RestartCause, RestorePolicy,
};
pub use clock::UtcOffset;
pub use configured::{Configured, SettingsSalt};
pub use dcmi::{CONTROLLER_ID_MAX, Dcmi, Discovery, LimitAction, PowerLimit, ThermalLimit};
pub use event::{Event, Severity};
pub use fact::{Fact, ResetBy, StopReason};
pub use firewall::{CommandId, Firewall};
pub use fru::{ASSET_TAG_MAX, AssetTagError, Encoding, FRU_SIZE, FormatError, Fru};
pub use identity::{Identity, Labels, PRODUCT_VERSION};
pub use journal::Start;
pub use lan::{
    Access, AccessMode, AddressSource, AddressingEnables, ChannelAccess, CommunityString, DESTINATIONS,
    DYNAMIC_ADDRESSES, Destination, DestinationAddress, DestinationKind, Destinations, Gateway, Ipv4Settings,
    Ipv6AddressStatus, Ipv6Fact, Ipv6Settings, Ipv6Source, KgKey, Lan, LanFacts, LanPart, LanStatistics,
    STATIC_ADDRESSES, SlotStatus, StaticAddress, StaticRouter, SuitePrivileges, VlanId,
};
pub use messages::{
    Attention, MessageFlags, MessageRefusal, OutgoingMessage, ReceivedMessage, SessionAddress, enables,
};
pub use nics::Nic;
pub use pef::{
    ALERT_STRING_MAX, Actions, Alert, AlertPolicy, AlertString, DataMatch, EventFilter, FILTERS,
    ImmediateError, Outcome, POLICIES, Pef, PefConfig, Processed, Report, Rule, STRINGS, SystemGuid,
};
pub use platform_event::{Direction, Generator, PlatformEvent, SENSOR_SPECIFIC, THRESHOLD};
pub use power::{Abilities, Accepted, HostPower, Power, PowerRequest, Refusal, Requester};
pub use privilege::Privilege;
pub use saved::Saved;
pub use secret::Secret;
pub use sel::{
    OutOfSpace, Partial, PartialError, SEL_SIZES, Sel, SelChange, SelEntry, SelFull, SelKey, SelRecord,
};
pub use sol::SolSettings;
pub use users::{
    ConfiguredUser, PASSWORD_MAX, Password, PasswordSize, User, UserAccess, UserChange, UserError, UserId,
    UserPart, UserVersion, Users,
};
pub use watchdog::{PreTimeoutInterrupt, TimeoutAction, TimerUse, Watchdog, WatchdogRefusal, WatchdogSetup};

/// What the BMC wants done, by the task that owns the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A power request. Report its end with [`Bmc::power_done`]; no other is handed out before.
    Power(PowerRequest),
    /// The boot device of the next boot changed: let the firmware's order follow.
    BootOrder,
    /// Restart the controller, and leave the guest alone (Cold Reset and Warm Reset, §20.2 and §20.3).
    RestartController,
}

/// How many events wait to be taken before the oldest is dropped: a reader that hangs must not cost memory.
const EVENT_BACKLOG: usize = 256;

/// The controller of one machine.
#[derive(Debug)]
pub struct Bmc {
    /// Who this machine is: GUID, serial number, node name.
    pub identity: Identity,
    /// The user table. Changes take effect on open sessions at once.
    pub users: Users,
    /// What the LAN channel accepts.
    pub lan: Lan,
    /// BMC Global Enables (§22.1): event logging and what the guest's driver wants of the system interface.
    pub global_enables: u8,
    /// Whether the guest's serial port is connected here, so that there is something for SOL to carry.
    pub has_console: bool,
    power: Power,
    boot: BootOptions,
    chassis: Chassis,
    sol: SolSettings,
    pub(crate) fru: Fru,
    pub(crate) clock: clock::Clock,
    pub(crate) sel: Sel,
    journal: journal::Journal,
    /// Whether this controller's own sensors generate events (Set Event Receiver, §29.1). Volatile.
    pub generates_events: bool,
    pub(crate) dcmi: Dcmi,
    pub(crate) pef: Pef,
    pub(crate) firewall: Firewall,
    sensors: sensors::Sensors,
    nics: Vec<Nic>,
    pub(crate) watchdog: Watchdog,
    pub(crate) messages: messages::Messages,
    /// Set once all settings are to be forgotten, with the restart that comes.
    pub(crate) factory_reset: bool,
    /// What of the program's settings was last applied.
    pub(crate) applied: configured::Applied,
    events: VecDeque<Event>,
    boot_order_stale: bool,
    restart_controller: bool,
    /// Set once a restart was asked for: what is accepted from then on would be forgotten.
    pub(crate) restarting: bool,
    /// Set once another controller is about to take this one's place.
    retired: bool,
    /// Whether the machine was on when it was last known; a start that failed does not change it.
    last_on: bool,
    pub(crate) unsaved: bool,
}

impl Bmc {
    /// A controller with factory settings whose machine is off.
    pub fn new(identity: Identity, users: Users, lan: Lan) -> Self {
        let fru = Fru::of(&identity);
        Self {
            identity,
            users,
            lan,
            global_enables: enables::EVENT_LOGGING,
            has_console: true,
            power: Power::default(),
            boot: BootOptions::default(),
            chassis: Chassis::default(),
            sol: SolSettings::default(),
            fru,
            dcmi: Dcmi::default(),
            pef: Pef::default(),
            firewall: Firewall::default(),
            watchdog: Watchdog::default(),
            messages: messages::Messages::default(),
            factory_reset: false,
            applied: configured::Applied::default(),
            clock: clock::Clock::default(),
            sel: Sel::default(),
            journal: journal::Journal::default(),
            generates_events: true,
            sensors: sensors::Sensors::default(),
            nics: Vec::new(),
            events: VecDeque::new(),
            boot_order_stale: false,
            restart_controller: false,
            restarting: false,
            retired: false,
            last_on: false,
            unsaved: false,
        }
    }

    // ---- power -----------------------------------------------------------------------------------

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
        match &fact {
            Fact::Paused => self.watchdog.hold(now),
            Fact::Resumed | Fact::Started | Fact::Stopped { .. } => self.watchdog.release(now),
            _ => {}
        }
        if matches!(fact, Fact::Started | Fact::Stopped { .. } | Fact::Reset { .. }) {
            self.host_reset();
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
                self.chassis.started(now, cause, self.power.started_by_command());
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
            Fact::Reset { by } => self.chassis.reset(match by {
                ResetBy::Command => cause,
                ResetBy::Guest => RestartCause::SoftReset,
            }),
            Fact::LinkChanged { nic, up } => self.set_link(nic, *up),
            Fact::Paused
            | Fact::Resumed
            | Fact::Panicked { .. }
            | Fact::ShutdownIgnored { .. }
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
        self.global_enables &= enables::EVENT_LOGGING;
    }

    // ---- boot ------------------------------------------------------------------------------------

    /// The boot options, to read.
    pub fn boot(&self) -> &BootOptions {
        &self.boot
    }

    /// Changes the boot flags (which device the next boot comes from).
    pub fn set_boot_flags(&mut self, now: Instant, flags: BootFlags, by: Requester) {
        self.boot.set_flags(now, flags);
        self.boot_order_stale = true;
        self.unsaved = true;
        self.record(Event::BootFlagsSet { flags, by });
    }

    /// Changes what does not decide about the next boot: acknowledge, initiator, clearing rules.
    pub fn boot_mut(&mut self) -> &mut BootOptions {
        self.unsaved = true;
        &mut self.boot
    }

    /// Marks a boot option (parameters 0 to 7) invalid, or valid again. What is marked is kept, and does
    /// not count.
    pub fn mark_boot_parameter(&mut self, parameter: u8, invalid: bool) {
        self.boot_order_stale |= self.boot.mark_invalid(parameter, invalid);
    }

    /// A boot began with the choice of `generation` in force: a one-time override is used up by it.
    pub fn boot_began(&mut self, generation: BootGeneration) {
        if self.boot.began(generation) {
            self.boot_order_stale = true;
            self.unsaved = true;
        }
    }

    // ---- chassis, controller, console ------------------------------------------------------------

    /// Chassis state: identify, restore policy, restart cause, power-on hours.
    pub fn chassis(&self) -> &Chassis {
        &self.chassis
    }

    /// Chassis settings, to change.
    pub fn chassis_mut(&mut self) -> &mut Chassis {
        self.unsaved = true;
        &mut self.chassis
    }

    /// Serial-over-LAN settings, to read.
    pub fn sol(&self) -> &SolSettings {
        &self.sol
    }

    /// Serial-over-LAN settings, to change.
    pub fn sol_mut(&mut self) -> &mut SolSettings {
        self.unsaved = true;
        &mut self.sol
    }

    /// Restarts the controller; the guest runs on.
    pub fn restart_controller(&mut self, by: Requester) {
        self.restart_controller = true;
        self.restarting = true;
        self.record(Event::ControllerRestart { by });
    }

    /// Another controller is about to take this one's place. Who is answered by this one still, and then finds
    /// a stranger, waits for nothing until all its repetitions are used up; so new peers are left to the next.
    pub fn retire(&mut self) {
        self.restarting = true;
        self.retired = true;
    }

    /// Whether another controller is about to take this one's place.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Whether a restart of this controller was asked for.
    pub fn is_restarting(&self) -> bool {
        self.restarting
    }

    // ---- what a caller polls ---------------------------------------------------------------------

    /// The next thing to be done to the machine, if anything is.
    pub fn take_intent(&mut self) -> Option<Intent> {
        if std::mem::take(&mut self.boot_order_stale) {
            return Some(Intent::BootOrder);
        }
        if let Some(request) = self.power.take() {
            return Some(Intent::Power(request));
        }
        std::mem::take(&mut self.restart_controller).then_some(Intent::RestartController)
    }

    /// Whether [`Bmc::take_intent`] would return something.
    pub fn has_intent(&self) -> bool {
        self.boot_order_stale || self.restart_controller || self.power.has_waiting()
    }

    /// Records an event: for the program's log, and what the event log has words for, there.
    pub fn record(&mut self, event: Event) {
        let context = self.journal_context();
        let user = |name: &str| self.users.find_enabled(name.as_bytes());
        for said in self.journal.entries(&event, &context, user) {
            self.raise(said);
        }
        if self.events.len() == EVENT_BACKLOG {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Something happened that a sensor speaks for: it goes into the event log, to whoever waits for events,
    /// and past the event filters.
    pub fn platform_event(&mut self, event: PlatformEvent) {
        let sensor = self.sensor_name(&event);
        self.record(Event::Platform { event, sensor });
        self.raise(event);
    }

    /// As [`Bmc::platform_event`], of what the program's log has a better sentence for.
    pub(crate) fn raise(&mut self, event: PlatformEvent) {
        let wanted = self.sensors.hear(&event);
        if event.generator == Generator::BMC && !(wanted && self.generates_events) {
            return;
        }
        let record = self.log_event(event);
        self.buffer_event(event);
        self.pef.note(event, record);
    }

    fn logs_events(&self) -> bool {
        self.global_enables & enables::EVENT_LOGGING != 0
    }

    /// What happened since the last call, oldest first.
    pub fn take_events(&mut self) -> impl Iterator<Item = Event> + use<> {
        std::mem::take(&mut self.events).into_iter()
    }

    /// Has the state saved again.
    pub fn touch(&mut self) {
        self.unsaved = true;
    }

    /// Whether something changed that must outlive a restart, since the last call.
    pub fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    /// When [`Bmc::tick`] has to be called next.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.boot.expires(), self.chassis.identify_ends(), self.watchdog_timeout(), self.pef.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets what is due happen: boot flags that nobody used, an identify lamp that has shone long enough,
    /// a watchdog that nobody reset, an alert that nobody acknowledged.
    pub fn tick(&mut self, now: Instant) {
        if self.boot.expire(now) {
            self.boot_order_stale = true;
            self.unsaved = true;
            self.record(Event::BootFlagsExpired);
        }
        self.chassis.tick(now);
        self.tick_watchdog(now);
        self.tick_filters(now);
    }

    /// The form in which this controller outlives a restart.
    pub fn to_saved(&self, now: Instant) -> Saved {
        let saved = Saved {
            version: Saved::VERSION,
            boot: self.boot.to_saved(),
            chassis: self.chassis.to_saved(now),
            sol: self.sol,
            fru: self.fru.to_saved(),
            clock: self.clock.to_saved(),
            dcmi: self.dcmi.clone(),
            pef: self.pef.to_saved(),
            firewall: self.firewall.clone(),
            sensors: self.sensors.to_saved(),
            nics: self.nics.clone(),
            watchdog: self.watchdog.to_saved(),
            driver_enables: self.global_enables & enables::DRIVERS,
            users: self.users.to_saved(),
            lan: self.lan.to_saved(),
            applied: self.applied.clone(),
            was_on: self.last_on,
        };
        if self.factory_reset { saved.factory() } else { saved }
    }

    /// Takes up what an earlier life of this controller saved. The machine counts as off until a
    /// [`Fact`] says otherwise.
    pub fn restore(&mut self, saved: Saved) {
        self.boot = BootOptions::from_saved(saved.boot);
        self.chassis.restore(saved.chassis);
        self.sol = saved.sol;
        self.dcmi = saved.dcmi;
        self.pef.restore(saved.pef);
        self.firewall = saved.firewall;
        self.users.restore(saved.users);
        self.lan.restore(saved.lan);
        self.applied = saved.applied;
        if let Err(why) = self.fru.restore(&saved.fru) {
            self.record(Event::InventoryUnreadable { why });
        }
        self.clock.restore(saved.clock);
        self.nics = saved.nics;
        self.sensors.restore(saved.sensors);
        self.describe_nics();
        self.watchdog = Watchdog::from_saved(saved.watchdog);
        self.global_enables |= saved.driver_enables & enables::DRIVERS;
        self.last_on = saved.was_on;
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
    fn a_one_time_override_serves_exactly_one_boot() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        assert_eq!(bmc.take_intent(), Some(Intent::BootOrder));
        let choice = bmc.boot().choice();
        assert_eq!(choice.device, BootDevice::Pxe);
        bmc.boot_began(choice.generation);
        assert_eq!(bmc.boot().choice().device, BootDevice::None);
        assert_eq!(bmc.take_intent(), Some(Intent::BootOrder), "the firmware's order goes back");
    }

    #[test]
    fn an_override_set_after_the_boot_began_is_for_the_next_one() {
        let now = Instant::now();
        let mut bmc = bmc();
        let before = bmc.boot().choice();
        let flags = BootFlags { valid: true, device: BootDevice::Cdrom, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.boot_began(before.generation);
        assert_eq!(bmc.boot().choice().device, BootDevice::Cdrom);
    }

    #[test]
    fn flags_that_are_marked_invalid_wait_until_they_are_valid_again() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.take_intent();
        bmc.mark_boot_parameter(5, true);
        assert_eq!(bmc.take_intent(), Some(Intent::BootOrder));
        let choice = bmc.boot().choice();
        assert_eq!(choice.device, BootDevice::None);
        bmc.boot_began(choice.generation);
        bmc.mark_boot_parameter(5, false);
        assert_eq!(bmc.boot().choice().device, BootDevice::Pxe, "the boot in between did not use it up");
        bmc.mark_boot_parameter(200, true);
        assert!(!bmc.boot().marked_invalid(200));
    }

    #[test]
    fn boot_flags_lapse_after_a_minute_without_a_power_command() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        assert_eq!(bmc.next_timeout(), Some(now + Duration::from_secs(60)));
        bmc.tick(now + Duration::from_secs(59));
        assert!(bmc.boot().flags().valid);
        bmc.tick(now + Duration::from_secs(60));
        assert!(!bmc.boot().flags().valid);
    }

    #[test]
    fn a_power_command_restarts_the_minute() {
        let now = Instant::now();
        let mut bmc = bmc();
        let flags = BootFlags { valid: true, device: BootDevice::Pxe, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.power(now + Duration::from_secs(50), PowerRequest::On, Requester::Button).unwrap();
        bmc.tick(now + Duration::from_secs(61));
        assert!(bmc.boot().flags().valid);
    }

    #[test]
    fn events_that_nobody_takes_do_not_pile_up() {
        let mut bmc = bmc();
        for _ in 0..10 * EVENT_BACKLOG {
            bmc.record(Event::BootFlagsExpired);
        }
        assert_eq!(bmc.take_events().count(), EVENT_BACKLOG);
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

    #[test]
    fn what_is_saved_comes_back() {
        let now = Instant::now();
        let mut bmc = bmc();
        bmc.chassis_mut().set_restore_policy(RestorePolicy::Previous);
        let flags =
            BootFlags { valid: true, persistent: true, device: BootDevice::Disk, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.sol_mut().retry_count = 3;
        let json = serde_json::to_vec(&bmc.to_saved(now)).unwrap();

        let mut again = self::bmc();
        again.restore(serde_json::from_slice(&json).unwrap());
        assert_eq!(again.boot().flags(), flags);
        assert_eq!(again.sol().retry_count, 3);
        assert!(again.wants_power_after_loss(true) && !again.wants_power_after_loss(false));
    }
}
