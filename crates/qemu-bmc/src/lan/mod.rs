//! The container's network interface by which IPMI is reached, as IPMI shows and sets it.
//!
//! ```text
//!   kernel ──▶ facts ──▶ Bmc.lan.facts ──▶ LAN configuration parameters
//!                                                │ set over IPMI
//!   kernel ◀── apply ◀── steps ◀─────────────────┘
//!              (LAN_CONFIG=apply alone)
//! ```
//!
//! The two are compared again and again, so that it makes no difference who changed what: an address that
//! somebody else gave to the interface is shown, and one that was set over IPMI is there after a restart of
//! the container too.

mod apply;
mod facts;
mod proc;
mod steps;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bmc::LanFacts;
use nix::net::if_::if_nametoindex;
use tokio::time::{self, MissedTickBehavior};

use self::steps::Step;
use crate::{
    chain,
    config::{LanConfig, LanPlan},
    controller::Controller,
};

/// How often the interface is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long after it failed a change is tried again, at first and at last.
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_LAST: Duration = Duration::from_secs(300);

/// What is looked at.
#[derive(Debug)]
pub(crate) struct LanPort {
    /// The addresses that IPMI is bound to, and its port.
    bound: Vec<SocketAddr>,
    /// The interface that it is bound to, if it is.
    interface: Option<String>,
    /// The port that consoles are told.
    port: u16,
    config: LanConfig,
    tried: Tried,
}

impl LanPort {
    pub(crate) fn new(bound: Vec<SocketAddr>, plan: &LanPlan) -> Self {
        let port = plan.advertised_port.or(bound.first().map(SocketAddr::port)).unwrap_or_default();
        Self { bound, interface: plan.interface.clone(), port, config: plan.config, tried: Tried::default() }
    }

    /// Looks at the interface once.
    pub(crate) fn look(&mut self, controller: &Controller) {
        let facts = LanFacts { port: self.port, ..facts::gather(self.address(), self.interface.as_deref()) };
        let bound = self.address();
        let wanted = controller.with(|bmc| {
            if bmc.lan.facts != facts {
                bmc.lan.facts.clone_from(&facts);
            }
            // Whoever is in the middle of setting several is let finish.
            (bmc.lan.set_in_progress == 0).then(|| steps::steps(&bmc.lan, bound))
        });
        // One that is still to come is seen to when it is there.
        let exists = self.interface.as_deref().is_none_or(|name| if_nametoindex(name).is_ok());
        if let Some(steps) = wanted.filter(|_| exists) {
            self.follow(steps, &facts.interface);
        }
    }

    /// The one address that IPMI is bound to, if it is one.
    fn address(&self) -> Option<IpAddr> {
        self.bound.iter().map(SocketAddr::ip).find(|ip| !ip.is_unspecified())
    }

    fn follow(&mut self, steps: Vec<Step>, interface: &str) {
        let now = Instant::now();
        if !self.tried.is_due(&steps, now) {
            return;
        }
        let mut failed = false;
        for step in &steps {
            match self.config {
                LanConfig::Store => tracing::info!(
                    "network setting kept and reported, not applied: {step} on {interface} (LAN_CONFIG=apply would)"
                ),
                LanConfig::Apply => match apply::apply(step, interface) {
                    Ok(()) => tracing::info!("network setting applied: {step} on {interface}"),
                    Err(error) => {
                        failed |= !matches!(step, Step::Outside(_));
                        tracing::warn!(
                            "apply network setting: {step} on {interface}: {}; it is kept and reported",
                            chain(&*error)
                        );
                    }
                },
            }
        }
        self.tried.note(steps, failed, now);
    }

    /// Looks at the interface, for ever.
    pub(crate) async fn keep_facts(mut self, controller: Arc<Controller>) -> Infallible {
        let mut turn = time::interval(INTERVAL);
        turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            turn.tick().await;
            self.look(&controller);
        }
    }
}

/// What was said or tried last, so that nothing is said twice, and what failed is tried again.
#[derive(Debug, Default)]
struct Tried {
    steps: Vec<Step>,
    /// When it is to be tried again if it failed, and how long that is after it was tried.
    again: Option<(Instant, Duration)>,
}

impl Tried {
    fn is_due(&self, steps: &[Step], now: Instant) -> bool {
        steps != self.steps || self.again.is_some_and(|(at, _)| at <= now)
    }

    /// Notes what was tried. Each failure of the same doubles the time until the next.
    fn note(&mut self, steps: Vec<Step>, failed: bool, now: Instant) {
        let before = self.again.filter(|_| steps == self.steps);
        let wait = before.map_or(RETRY_FIRST, |(_, wait)| (wait * 2).min(RETRY_LAST));
        self.again = failed.then(|| (now + wait, wait));
        self.steps = steps;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_less_and_less_often() {
        let steps = vec![Step::Route([192, 0, 2, 1].into())];
        let (mut tried, mut now) = (Tried::default(), Instant::now());
        for wait in [RETRY_FIRST, RETRY_FIRST * 2, RETRY_FIRST * 4] {
            assert!(tried.is_due(&steps, now));
            tried.note(steps.clone(), true, now);
            assert!(!tried.is_due(&steps, now + wait - INTERVAL));
            now += wait;
        }
        for _ in 0..20 {
            tried.note(steps.clone(), true, now);
        }
        assert!(tried.is_due(&steps, now + RETRY_LAST));
        tried.note(steps.clone(), false, now);
        assert!(!tried.is_due(&steps, now + RETRY_LAST), "it is done");
        assert!(tried.is_due(&[], now), "something else");
    }
}
