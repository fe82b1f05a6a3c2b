//! Alerts on their way: which policy's turn it is, what was acknowledged, what is sent again
//! (IPMI 2.0 §17.11 and §17.14; the destination's type and its times are LAN parameter 18).
//!
//! ```text
//!            a policy's turn                 unacknowledged: it counts as arrived,
//!   waiting ─────────────────▶ sent ────────────────────────────▶ repeated as often as the destination says
//!      ▲                        │ ▲ │
//!      │                        │ └─┘ no acknowledgement within the interval: sent again, that often
//!      │  the next policy       ▼
//!      └──────────────── arrived, or given up
//! ```
//!
//! The alerts of one event go out one policy after the other, because a policy may depend on what became of the
//! one before. Alerts of different events don't wait for each other. All of it is bounded: a storm of events
//! loses alerts, and says so.

use std::{
    collections::VecDeque,
    net::IpAddr,
    time::{Duration, Instant},
};

use super::policy::Rule;
use crate::{PlatformEvent, UtcOffset};

/// The most alerts under way; more are dropped.
pub(super) const ALERTS_MAX: usize = 64;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was sent, or acknowledged where that was asked for.
    Arrived,
    /// Nobody acknowledged it.
    TimedOut,
}

/// What an alert says: all that a Platform Event Trap carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The event.
    pub event: PlatformEvent,
    /// How grave it is, by the filter: 01h monitor to 20h non-recoverable; 0 unspecified.
    pub severity: u8,
    /// What the sensor belongs to: entity id and instance; 0 unspecified.
    pub entity: [u8; 2],
    /// Who the machine is: the UUID in the order in which it is written.
    pub guid: [u8; 16],
    /// When, by the event log's clock: seconds since 1970.
    pub time: u32,
    /// What that clock is ahead of UTC, if it is known.
    pub utc_offset: Option<UtcOffset>,
    /// The alert string; empty if there is none.
    pub text: Vec<u8>,
}

/// An alert to send, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What it says.
    pub report: Report,
    /// The same for each time that it is sent, and for nothing else.
    pub sequence: u16,
    /// Where to.
    pub to: IpAddr,
    /// With which community string.
    pub community: Vec<u8>,
}

/// Where an alert goes and how often, as the policy's destination says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) rule: Rule,
    pub(super) channel: u8,
    pub(super) to: IpAddr,
    pub(super) community: Vec<u8>,
    pub(super) acknowledge: bool,
    pub(super) interval: Duration,
    pub(super) retries: u8,
    pub(super) text: Vec<u8>,
}

/// The alerts of one event.
#[derive(Clone, Debug)]
struct Run {
    report: Report,
    waiting: VecDeque<Route>,
    /// The one that was sent and not yet acknowledged.
    sent: Option<Sent>,
    /// What became of the one before, and its channel.
    before: Option<(Outcome, u8)>,
    /// Whether somebody asked for it with Alert Immediate, and wants to know what becomes of it.
    immediate: bool,
}

#[derive(Clone, Debug)]
struct Sent {
    alert: Alert,
    channel: u8,
    acknowledge: bool,
    interval: Duration,
    left: u8,
    due: Instant,
}

/// Whatever is under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts {
    runs: Vec<Run>,
    /// Alerts that count as arrived and are sent again all the same.
    repeats: Vec<Sent>,
    outgoing: Vec<Alert>,
    sequence: u16,
    /// What became of the last Alert Immediate.
    immediate: Option<Outcome>,
}

impl Alerts {
    /// Takes on the alerts of an event; false, if there are too many already.
    pub(super) fn begin(
        &mut self,
        report: Report,
        routes: Vec<Route>,
        immediate: bool,
        now: Instant,
    ) -> bool {
        if self.runs.len() + self.repeats.len() >= ALERTS_MAX {
            return false;
        }
        if immediate {
            self.immediate = None;
        }
        self.runs.push(Run { report, waiting: routes.into(), sent: None, before: None, immediate });
        self.advance(now);
        true
    }

    /// What there is to send, since the last call.
    pub(super) fn take(&mut self) -> Vec<Alert> {
        std::mem::take(&mut self.outgoing)
    }

    pub(super) fn has_outgoing(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// When something is due.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let waiting = self.runs.iter().filter_map(|run| run.sent.as_ref());
        waiting.chain(&self.repeats).map(|sent| sent.due).min()
    }

    /// Sends again what is due, and gives up what was sent often enough.
    pub(super) fn tick(&mut self, now: Instant) {
        let outgoing = &mut self.outgoing;
        self.repeats.retain_mut(|sent| {
            if sent.due <= now {
                sent.again(now, outgoing);
            }
            sent.left > 0
        });
        for run in &mut self.runs {
            let Some(sent) = run.sent.as_mut().filter(|sent| sent.due <= now) else { continue };
            if sent.left > 0 {
                sent.again(now, outgoing);
            } else {
                run.before = Some((Outcome::TimedOut, sent.channel));
                run.sent = None;
            }
        }
        self.advance(now);
    }

    /// Somebody has this alert. False if nobody waits for that.
    pub(super) fn acknowledge(&mut self, sequence: u16, now: Instant) -> bool {
        let Some(run) = self
            .runs
            .iter_mut()
            .find(|run| run.sent.as_ref().is_some_and(|sent| sent.alert.sequence == sequence))
        else {
            return false;
        };
        run.before = run.sent.take().map(|sent| (Outcome::Arrived, sent.channel));
        self.advance(now);
        true
    }

    /// What became of the last Alert Immediate: none if there was none, or its status was cleared.
    pub(super) fn immediate(&self) -> Option<Outcome> {
        self.immediate
    }

    pub(super) fn is_immediate_under_way(&self) -> bool {
        self.runs.iter().any(|run| run.immediate)
    }

    pub(super) fn clear_immediate(&mut self) {
        self.immediate = None;
    }

    /// Sends what has its turn now, and forgets the events whose alerts are all done.
    fn advance(&mut self, now: Instant) {
        let Self { runs, repeats, outgoing, sequence, immediate } = self;
        runs.retain_mut(|run| {
            while run.sent.is_none() {
                let Some(route) = run.next() else {
                    if run.immediate {
                        *immediate = run.before.map(|(outcome, _)| outcome);
                    }
                    return false;
                };
                // 0 stands for "unspecified" (PET 1.0).
                *sequence = sequence.checked_add(1).unwrap_or(1);
                let sent = route.send(*sequence, run.report.clone(), now);
                outgoing.push(sent.alert.clone());
                if sent.acknowledge {
                    run.sent = Some(sent);
                } else {
                    run.before = Some((Outcome::Arrived, sent.channel));
                    repeats.extend((sent.left > 0).then_some(sent));
                }
            }
            true
        });
    }
}

impl Run {
    /// The next policy that has its turn, by what became of the one before.
    fn next(&mut self) -> Option<Route> {
        while let Some(route) = self.waiting.pop_front() {
            let Some((Outcome::Arrived, channel)) = self.before else { return Some(route) };
            match route.rule {
                Rule::Always => return Some(route),
                Rule::IfFailed => {}
                Rule::IfFailedElseStop => self.waiting.clear(),
                // All destinations are of one type, and those of one channel have one channel.
                Rule::IfFailedElseNextChannel => self.waiting.retain(|other| other.channel != channel),
                Rule::IfFailedElseNextType => self.waiting.clear(),
            }
        }
        None
    }
}

impl Route {
    fn send(self, sequence: u16, mut report: Report, now: Instant) -> Sent {
        report.text = self.text;
        Sent {
            alert: Alert { report, sequence, to: self.to, community: self.community },
            channel: self.channel,
            acknowledge: self.acknowledge,
            interval: self.interval,
            left: self.retries,
            due: now + self.interval,
        }
    }
}

impl Sent {
    fn again(&mut self, now: Instant, outgoing: &mut Vec<Alert>) {
        self.left = self.left.saturating_sub(1);
        self.due = now + self.interval;
        outgoing.push(self.alert.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(3);

    fn report() -> Report {
        Report {
            event: PlatformEvent::specific(0x20, 4, 1),
            severity: 0x10,
            entity: [0; 2],
            guid: [0; 16],
            time: 0,
            utc_offset: None,
            text: Vec::new(),
        }
    }

    /// The way to the host with this number.
    fn route(host: u8, rule: Rule) -> Route {
        Route {
            rule,
            channel: 1,
            to: Ipv4Addr::new(192, 0, 2, host).into(),
            community: b"public".to_vec(),
            acknowledge: false,
            interval: INTERVAL,
            retries: 0,
            text: Vec::new(),
        }
    }

    fn acknowledged(host: u8, rule: Rule) -> Route {
        Route { acknowledge: true, retries: 2, ..route(host, rule) }
    }

    /// The hosts that something was sent to, with its sequence number.
    fn sent(alerts: &mut Alerts) -> Vec<(u8, u16)> {
        let host = |to| if let IpAddr::V4(to) = to { to.octets()[3] } else { 0 };
        alerts.take().into_iter().map(|alert| (host(alert.to), alert.sequence)).collect()
    }

    #[test]
    fn an_alert_that_nobody_acknowledges_is_repeated_and_counts_as_arrived() {
        let now = Instant::now();
        let mut alerts = Alerts::default();
        let routes = vec![Route { retries: 2, ..route(1, Rule::Always) }, route(2, Rule::IfFailed)];
        assert!(alerts.begin(report(), routes, false, now));
        assert_eq!(sent(&mut alerts), [(1, 1)]);
        for _ in 0..2 {
            let due = alerts.next_timeout().unwrap();
            alerts.tick(due - Duration::from_millis(1));
            assert_eq!(sent(&mut alerts), []);
            alerts.tick(due);
            assert_eq!(sent(&mut alerts), [(1, 1)]);
        }
        assert_eq!(alerts.next_timeout(), None);
    }

    #[test]
    fn an_acknowledgement_ends_the_repetition() {
        let now = Instant::now();
        let mut alerts = Alerts::default();
        alerts.begin(report(), vec![acknowledged(1, Rule::Always)], true, now);
        assert_eq!(sent(&mut alerts), [(1, 1)]);
        assert!(alerts.is_immediate_under_way());
        alerts.tick(now + INTERVAL);
        assert_eq!(sent(&mut alerts), [(1, 1)]);
        assert!(!alerts.acknowledge(2, now), "that is another alert's number");
        assert!(alerts.acknowledge(1, now));
        assert!(!alerts.acknowledge(1, now), "once is enough");
        assert_eq!((alerts.immediate(), alerts.next_timeout()), (Some(Outcome::Arrived), None));
    }

    #[test]
    fn a_policy_has_its_turn_when_the_one_before_failed() {
        let mut now = Instant::now();
        let mut alerts = Alerts::default();
        let routes = vec![
            acknowledged(1, Rule::Always),
            acknowledged(2, Rule::IfFailed),
            route(3, Rule::IfFailed),
            route(4, Rule::Always),
        ];
        alerts.begin(report(), routes, false, now);
        for _ in 0..3 {
            assert_eq!(sent(&mut alerts), [(1, 1)]);
            now += INTERVAL;
            alerts.tick(now);
        }
        assert_eq!(sent(&mut alerts), [(2, 2)]);
        alerts.acknowledge(2, now);
        assert_eq!(sent(&mut alerts), [(4, 3)], "the third is for when the second fails");
        assert_eq!(alerts.next_timeout(), None);
    }

    #[test]
    fn an_alert_that_arrived_can_end_the_set() {
        for rule in [Rule::IfFailedElseStop, Rule::IfFailedElseNextChannel, Rule::IfFailedElseNextType] {
            let mut alerts = Alerts::default();
            let routes = vec![route(1, Rule::Always), route(2, rule), route(3, Rule::Always)];
            alerts.begin(report(), routes, false, Instant::now());
            assert_eq!(sent(&mut alerts), [(1, 1)], "{rule:?}");
        }
    }

    #[test]
    fn what_was_given_up_is_told() {
        let now = Instant::now();
        let mut alerts = Alerts::default();
        alerts.begin(report(), vec![Route { retries: 0, ..acknowledged(1, Rule::Always) }], true, now);
        alerts.tick(now + INTERVAL);
        assert_eq!(alerts.immediate(), Some(Outcome::TimedOut));
        alerts.clear_immediate();
        assert_eq!(alerts.immediate(), None);
    }

    #[test]
    fn a_storm_has_a_bound() {
        let now = Instant::now();
        let mut alerts = Alerts::default();
        let begun =
            (0..1000).filter(|_| alerts.begin(report(), vec![acknowledged(1, Rule::Always)], false, now));
        assert_eq!(begun.count(), ALERTS_MAX);
    }
}
