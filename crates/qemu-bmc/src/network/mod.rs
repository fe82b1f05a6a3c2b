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
    time::Duration,
};

use bmc::LanFacts;
use tokio::time::{self, MissedTickBehavior};

use self::steps::Step;
use crate::{
    chain,
    config::{LanConfig, LanPlan},
    controller::Controller,
};

/// How often the interface is looked at.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is looked at.
#[derive(Debug)]
pub(crate) struct Network {
    /// The addresses that IPMI is bound to, and its port.
    bound: Vec<SocketAddr>,
    /// The port that consoles are told.
    port: u16,
    config: LanConfig,
    /// What was said or tried last, so that nothing is said twice.
    last: Vec<Step>,
}

impl Network {
    pub(crate) fn new(bound: Vec<SocketAddr>, plan: &LanPlan) -> Self {
        let port = plan.advertised_port.or(bound.first().map(SocketAddr::port)).unwrap_or_default();
        Self { bound, port, config: plan.config, last: Vec::new() }
    }

    /// Looks at the interface once.
    pub(crate) fn look(&mut self, controller: &Controller) {
        let facts = LanFacts { port: self.port, ..facts::gather(self.address()) };
        let wanted = controller.with(|bmc| {
            if bmc.lan.facts != facts {
                bmc.lan.facts.clone_from(&facts);
            }
            // Whoever is in the middle of setting several is let finish.
            (bmc.lan.set_in_progress == 0).then(|| steps::steps(&bmc.lan))
        });
        if let Some(steps) = wanted {
            self.follow(steps, &facts.interface);
        }
    }

    /// The one address that IPMI is bound to, if it is one.
    fn address(&self) -> Option<IpAddr> {
        self.bound.iter().map(SocketAddr::ip).find(|ip| !ip.is_unspecified())
    }

    fn follow(&mut self, steps: Vec<Step>, interface: &str) {
        if steps == self.last {
            return;
        }
        for step in &steps {
            match self.config {
                LanConfig::Store => tracing::info!(
                    "network setting kept and reported, not applied: {step} on {interface} (LAN_CONFIG=apply would)"
                ),
                LanConfig::Apply => match apply::apply(step, interface) {
                    Ok(()) => tracing::info!("network setting applied: {step} on {interface}"),
                    Err(error) => tracing::warn!(
                        "apply network setting: {step} on {interface}: {}; it is kept and reported",
                        chain(&error)
                    ),
                },
            }
        }
        self.last = steps;
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
