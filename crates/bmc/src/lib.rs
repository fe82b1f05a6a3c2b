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
mod guest;
mod hex;
mod identity;
mod journal;
mod lan;
mod machine;
mod media;
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
mod setting;
mod sol;
mod system_info;
mod users;
mod watchdog;
mod words;

use std::{collections::VecDeque, time::Instant};

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
pub use guest::GuestInfo;
pub use identity::{Identity, Labels, PRODUCT_VERSION};
pub use journal::Start;
pub use lan::{
    Access, AccessMode, AddressSource, AddressingEnables, ChannelAccess, CommunityString, DESTINATIONS,
    DYNAMIC_ADDRESSES, Destination, DestinationAddress, DestinationKind, Destinations, Gateway, Ipv4Settings,
    Ipv6AddressStatus, Ipv6Fact, Ipv6Settings, Ipv6Source, KgKey, Lan, LanFacts, LanPart, LanStatistics,
    STATIC_ADDRESSES, SlotStatus, StaticAddress, StaticRouter, SuitePrivileges, VlanId,
};
pub use media::{Drive, MediumChange, MediumRefusal};
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
pub use setting::Setting;
pub use sol::SolSettings;
pub use system_info::{SystemInfo, SystemName, SystemText};
pub use users::{
    ConfiguredUser, PASSWORD_MAX, Password, PasswordSize, User, UserAccess, UserChange, UserError, UserId,
    UserPart, UserVersion, Users,
};
pub use watchdog::{PreTimeoutInterrupt, TimeoutAction, TimerUse, Watchdog, WatchdogRefusal, WatchdogSetup};

/// What the BMC wants done, by the task that owns the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// A power request. Report its end with [`Bmc::power_done`]; no other is handed out before.
    Power(PowerRequest),
    /// The boot device of the next boot changed: let the firmware's order follow.
    BootOrder,
    /// Another medium is to be in a CD drive. Report its end with [`Bmc::medium_done`].
    Medium(MediumChange),
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
    /// Whether the firmware's setup can be shown, so that there is something to boot into.
    pub has_setup: bool,
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
    guest: Option<GuestInfo>,
    pub(crate) system_info: SystemInfo,
    pub(crate) media: media::Media,
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
            has_setup: true,
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
            guest: None,
            system_info: SystemInfo::default(),
            media: media::Media::default(),
            events: VecDeque::new(),
            boot_order_stale: false,
            restart_controller: false,
            restarting: false,
            retired: false,
            last_on: false,
            unsaved: false,
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
        if let Some(change) = self.media.take() {
            return Some(Intent::Medium(change));
        }
        std::mem::take(&mut self.restart_controller).then_some(Intent::RestartController)
    }

    /// Whether [`Bmc::take_intent`] would return something.
    pub fn has_intent(&self) -> bool {
        self.boot_order_stale
            || self.restart_controller
            || self.power.has_waiting()
            || self.media.has_waiting()
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bmc() -> Bmc {
        Bmc::new(Identity::derive("node1"), Users::default(), Lan::default())
    }

    #[test]
    fn events_that_nobody_takes_do_not_pile_up() {
        let mut bmc = bmc();
        for _ in 0..10 * EVENT_BACKLOG {
            bmc.record(Event::BootFlagsExpired);
        }
        assert_eq!(bmc.take_events().count(), EVENT_BACKLOG);
    }
}
