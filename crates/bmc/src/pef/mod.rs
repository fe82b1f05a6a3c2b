//! Platform event filtering (IPMI 2.0 §17): what an event makes happen.
//!
//! ```text
//!   PlatformEvent ──▶ pending ──▶ filters ──┬─▶ the gravest action of all that match: Bmc::power
//!                        ▲                  └─▶ policies ──▶ Alerts ──▶ Bmc::take_alerts
//!                        │ held back by the startup delay and by the postpone timer
//! ```
//!
//! Events wait until [`Bmc::settle`], which whoever used the model calls afterwards: what an event makes happen
//! needs the time. The postpone timer (§17.4.1) is for software in the guest that would rather act itself; what
//! it has dealt with by then, it says with the record's id.

mod alert;
mod config;
mod filter;
mod policy;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use self::alert::{Alerts, Route};
pub use self::{
    alert::{Alert, Outcome, Report},
    config::{FILTERS, POLICIES, PefConfig, STRINGS, SystemGuid},
    filter::{Actions, DataMatch, EventFilter},
    policy::{ALERT_STRING_MAX, AlertPolicy, AlertString, Rule},
};
use crate::{
    Bmc, DestinationAddress, DestinationKind, Event, Generator, PlatformEvent, PowerRequest, Requester,
    Setting, sensors::number,
};

/// The channel whose destinations there are.
const LAN_CHANNEL: u8 = 1;
/// How many events can be held back.
const PENDING_MAX: usize = 256;

/// The postpone timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Postpone {
    /// Filters run at once.
    #[default]
    No,
    /// They run from then on.
    Until(Instant),
    /// They don't run until the machine is switched on or off.
    WhileOn,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    event: PlatformEvent,
    record: Option<u16>,
}

/// An alert that waits for the end of the alerts' own startup delay.
type Delayed = (Report, Vec<Route>);

/// Event filtering.
#[derive(Clone, Debug, Default)]
pub struct Pef {
    config: PefConfig,
    processed: Processed,
    pending: VecDeque<Pending>,
    postpone: Postpone,
    /// Until when a start of the machine holds filters back.
    quiet: Option<Instant>,
    /// Until when it holds alerts back.
    quiet_alerts: Option<Instant>,
    delayed: Vec<Delayed>,
    alerts: Alerts,
}

/// The last events that were dealt with, by record id (§30.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Processed {
    /// By software in the guest.
    pub by_software: u16,
    /// By this controller; 0 is one that was not logged.
    pub by_bmc: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct SavedPef {
    config: PefConfig,
    processed: Processed,
}

/// Why an alert was not sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImmediateError {
    /// One is under way.
    UnderWay,
    /// As many alerts as there can be wait for their acknowledgement.
    Full,
    /// The destination isn't there, or has no address.
    NoDestination,
}

impl Pef {
    /// The settings.
    pub fn config(&self) -> &PefConfig {
        &self.config
    }

    /// What was dealt with last.
    pub fn processed(&self) -> Processed {
        self.processed
    }

    fn is_held(&self, now: Instant) -> bool {
        let postponed = match self.postpone {
            Postpone::No => false,
            Postpone::Until(end) => now < end,
            Postpone::WhileOn => true,
        };
        postponed || self.quiet.is_some_and(|end| now < end)
    }

    /// The seconds that the postpone timer has left, as the commands say them: FEh stands for "while on".
    pub fn postponed(&self, now: Instant) -> u8 {
        match self.postpone {
            Postpone::No => 0,
            Postpone::WhileOn => 0xfe,
            Postpone::Until(end) => {
                let left = end.saturating_duration_since(now);
                u8::try_from(left.as_millis().div_ceil(1000)).unwrap_or(u8::MAX)
            }
        }
    }

    /// The machine started, or was reset: the delays begin.
    pub(crate) fn machine_started(&mut self, now: Instant) {
        let delay = |enabled: bool, seconds: u8| enabled.then(|| now + Duration::from_secs(seconds.into()));
        self.quiet = delay(self.config.delays_start, self.config.startup_delay);
        self.quiet_alerts = delay(self.config.delays_alerts, self.config.alert_startup_delay);
        self.power_changed();
    }

    /// The machine was switched on or off: what held while it was on holds no more.
    pub(crate) fn power_changed(&mut self) {
        if self.postpone == Postpone::WhileOn {
            self.postpone = Postpone::No;
        }
    }

    /// An event, for the filters; `record` is its entry in the log.
    pub(crate) fn note(&mut self, event: PlatformEvent, record: Option<u16>) {
        if !self.config.enabled {
            return;
        }
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { event, record });
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let postpone = match self.postpone {
            Postpone::Until(end) => Some(end),
            Postpone::No | Postpone::WhileOn => None,
        };
        [postpone, self.quiet, self.quiet_alerts, self.alerts.next_timeout()].into_iter().flatten().min()
    }

    pub(crate) fn to_saved(&self) -> SavedPef {
        SavedPef { config: self.config.clone(), processed: self.processed }
    }

    pub(crate) fn restore(&mut self, saved: SavedPef) {
        self.config = saved.config.in_full();
        self.processed = saved.processed;
    }
}

/// What the filters make of an event.
struct Verdict {
    actions: Actions,
    /// The filter that asked for the power action.
    by: u8,
    /// The policy sets, with the filter and its severity.
    alerts: Vec<(u8, u8, u8)>,
}

impl Bmc {
    /// Event filtering, to read.
    pub fn pef(&self) -> &Pef {
        &self.pef
    }

    /// Changes the settings of event filtering, which the configuration parameter with this number is about.
    pub fn set_pef(&mut self, parameter: u8, config: PefConfig, by: Requester) {
        let before = std::mem::replace(&mut self.pef.config, config);
        // Locks against others who set, which are not a setting.
        let config = PefConfig { set_in_progress: before.set_in_progress, ..self.pef.config.clone() };
        if config != before {
            self.unsaved = true;
            self.record(Event::SettingChanged { what: Setting::PefParameter(parameter), by });
        }
    }

    /// Holds filters back for so many seconds; 0 is not at all, and FEh until the machine is switched on or
    /// off (§30.2).
    pub fn postpone_filters(&mut self, now: Instant, seconds: u8) {
        self.pef.postpone = match seconds {
            0 => Postpone::No,
            0xfe => Postpone::WhileOn,
            seconds => Postpone::Until(now + Duration::from_secs(seconds.into())),
        };
    }

    /// Notes what software in the guest, or this controller as software sees it, dealt with last. What software
    /// dealt with is no business of the filters any more.
    pub fn set_processed(&mut self, processed: Processed) {
        let pending = &mut self.pef.pending;
        if let Some(done) = pending.iter().position(|pending| pending.record == Some(processed.by_software)) {
            pending.drain(..=done);
        }
        self.pef.processed = processed;
        self.unsaved = true;
    }

    /// Lets happen what the last use of the model makes happen. Whoever used it calls this afterwards.
    pub fn settle(&mut self, now: Instant) {
        while !self.pef.is_held(now)
            && let Some(Pending { event, record }) = self.pef.pending.pop_front()
        {
            self.pef.processed.by_bmc = record.unwrap_or_default();
            self.unsaved = true;
            if self.pef.config.enabled {
                let verdict = self.judge(&event);
                self.act(now, &event, verdict);
            }
        }
    }

    fn judge(&self, event: &PlatformEvent) -> Verdict {
        let config = &self.pef.config;
        let mut verdict = Verdict { actions: Actions::default(), by: 0, alerts: Vec::new() };
        for (number, filter) in (1..).zip(&config.filters).filter(|(_, filter)| filter.matches(event)) {
            let actions = filter.actions.and(config.actions).and(Actions::SUPPORTED);
            if weight(actions) > weight(verdict.actions) {
                verdict.by = number;
            }
            verdict.actions.0 |= actions.0;
            if !actions.contains(Actions::ALERT) {
                continue;
            }
            // One alert for a set of policies, however many filters name it: the gravest.
            match verdict.alerts.iter_mut().find(|(policy, ..)| *policy == filter.policy) {
                Some(known) if known.2 >= filter.severity => {}
                Some(known) => *known = (filter.policy, number, filter.severity),
                None => verdict.alerts.push((filter.policy, number, filter.severity)),
            }
        }
        verdict
    }

    fn act(&mut self, now: Instant, event: &PlatformEvent, verdict: Verdict) {
        const SYSTEM_EVENT: u8 = 0x12;
        const PEF_ACTION: u8 = 0x04;

        if verdict.actions == Actions::default() {
            return;
        }
        if self.pef.config.tells {
            // Not past the filters again, which would never end.
            let told = PlatformEvent::specific(SYSTEM_EVENT, number::SYSTEM, PEF_ACTION);
            self.log_event(told.with_extension(verdict.actions.0, 0xff));
        }
        for (policy, filter, severity) in verdict.alerts {
            let routes = self.routes(policy, filter);
            if !routes.is_empty() {
                self.alert(now, self.report(*event, severity), routes);
            }
        }
        if let Some(request) = gravest(verdict.actions) {
            // Who is off already needs no switching off.
            let _ = self.power(now, request, Requester::EventFilter(verdict.by));
        }
    }

    fn report(&self, event: PlatformEvent, severity: u8) -> Report {
        let guid = &self.pef.config.guid;
        let sensor = self.sensors().get(event.sensor).filter(|_| event.generator == Generator::BMC);
        let entity = sensor.map_or([0; 2], |sensor| {
            let entity = sensor.definition().entity;
            [entity.id, entity.instance]
        });
        Report {
            event,
            severity,
            entity,
            guid: if guid.used { guid.guid } else { self.identity.uuid },
            time: self.log_time(),
            utc_offset: self.log_utc_offset(),
            text: Vec::new(),
        }
    }

    /// The ways that a set of policies has, for an alert of this filter.
    fn routes(&self, set: u8, filter: u8) -> Vec<Route> {
        let config = &self.pef.config;
        let policies = config.policies.iter().filter(|policy| policy.enabled && policy.number == set);
        policies
            .filter_map(|policy| {
                let text = config.text_of(policy, filter).to_vec();
                let route = self.route(policy.channel, policy.destination)?;
                Some(Route { rule: policy.rule, text, ..route })
            })
            .collect()
    }

    /// The way to a destination, if there is such a one and it takes traps.
    fn route(&self, channel: u8, destination: u8) -> Option<Route> {
        if channel != LAN_CHANNEL || self.lan.access.volatile.alerting_disabled {
            return None;
        }
        let destination = self.lan.destinations.get(destination)?;
        let to = match destination.address {
            DestinationAddress::V4 { ip, .. } => ip.into(),
            DestinationAddress::V6(ip) => std::net::IpAddr::V6(ip),
        };
        if to.is_unspecified() || destination.kind != DestinationKind::Trap {
            return None;
        }
        Some(Route {
            rule: Rule::Always,
            channel,
            to,
            community: self.lan.community.as_bytes().to_vec(),
            acknowledge: destination.acknowledge,
            // A datagram that is repeated without any pause is of no use to anybody.
            interval: Duration::from_secs(u64::from(destination.interval) + 1),
            retries: destination.retries,
            text: Vec::new(),
        })
    }

    fn alert(&mut self, now: Instant, report: Report, routes: Vec<Route>) {
        if self.pef.quiet_alerts.is_some_and(|end| now < end) {
            if self.pef.delayed.len() < alert::ALERTS_MAX {
                self.pef.delayed.push((report, routes));
            } else {
                self.record(Event::AlertDropped);
            }
        } else if !self.pef.alerts.begin(report, routes, false, now) {
            self.record(Event::AlertDropped);
        }
    }

    /// Sends an alert to a LAN destination at once (§30.7).
    ///
    /// # Errors
    /// [`ImmediateError`]: nothing was sent.
    pub fn alert_immediately(
        &mut self,
        now: Instant,
        destination: u8,
        event: PlatformEvent,
        text: Vec<u8>,
    ) -> Result<(), ImmediateError> {
        if self.pef.alerts.is_immediate_under_way() {
            return Err(ImmediateError::UnderWay);
        }
        let route = self.route(LAN_CHANNEL, destination).ok_or(ImmediateError::NoDestination)?;
        let report = self.report(event, 0);
        if self.pef.alerts.begin(report, vec![Route { text, ..route }], true, now) {
            Ok(())
        } else {
            Err(ImmediateError::Full)
        }
    }

    /// What became of the last alert that was sent at once; none if there was none. `Err` while it is under way.
    pub fn immediate_alert(&self) -> Result<Option<Outcome>, ImmediateError> {
        if self.pef.alerts.is_immediate_under_way() {
            return Err(ImmediateError::UnderWay);
        }
        Ok(self.pef.alerts.immediate())
    }

    /// Forgets what became of it.
    pub fn clear_immediate_alert(&mut self) {
        self.pef.alerts.clear_immediate();
    }

    /// Somebody acknowledges the alert with this sequence number (§30.8). False if nobody waits for that.
    pub fn acknowledge_alert(&mut self, now: Instant, sequence: u16) -> bool {
        self.pef.alerts.acknowledge(sequence, now)
    }

    /// The alerts that are to be sent now, since the last call.
    pub fn take_alerts(&mut self) -> Vec<Alert> {
        self.pef.alerts.take()
    }

    /// Whether [`Bmc::take_alerts`] would return something.
    pub fn has_alerts(&self) -> bool {
        self.pef.alerts.has_outgoing()
    }

    /// Lets end what held filters and alerts back, and repeats what nobody acknowledged.
    pub(crate) fn tick_filters(&mut self, now: Instant) {
        let ended = |end: &mut Option<Instant>| {
            if end.is_some_and(|end| end <= now) {
                *end = None;
            }
        };
        ended(&mut self.pef.quiet);
        ended(&mut self.pef.quiet_alerts);
        if matches!(self.pef.postpone, Postpone::Until(end) if end <= now) {
            self.pef.postpone = Postpone::No;
        }
        if self.pef.quiet_alerts.is_none() {
            for (report, routes) in std::mem::take(&mut self.pef.delayed) {
                self.alert(now, report, routes);
            }
        }
        self.settle(now);
        self.pef.alerts.tick(now);
    }
}

/// The power actions, the gravest first: it is the only one to be carried out (Table 17-1).
const GRAVEST_FIRST: [(Actions, PowerRequest); 4] = [
    (Actions::POWER_OFF, PowerRequest::Off),
    (Actions::POWER_CYCLE, PowerRequest::Cycle),
    (Actions::RESET, PowerRequest::Reset),
    (Actions::DIAGNOSTIC_INTERRUPT, PowerRequest::Nmi),
];

fn gravest(actions: Actions) -> Option<PowerRequest> {
    GRAVEST_FIRST.into_iter().find_map(|(action, request)| actions.contains(action).then_some(request))
}

fn weight(actions: Actions) -> usize {
    let place = GRAVEST_FIRST.iter().position(|(action, _)| actions.contains(*action));
    place.map_or(0, |place| GRAVEST_FIRST.len() - place)
}

#[cfg(test)]
mod tests;
