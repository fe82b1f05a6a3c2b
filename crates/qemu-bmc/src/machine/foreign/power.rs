//! What is done to the power of a machine that something else started.

use std::time::{Duration, Instant};

use bmc::{Fact, PowerRequest, Requester, StopReason};
use ipmi::inband::Action;
use qmp::{
    Command as _,
    commands::{Cont, InjectNmi, Quit, Stop as StopGuest, SystemPowerdown, SystemReset},
};
use tokio::time;
use tracing::warn;

use super::{
    super::{
        agent,
        connection::{ANSWER_LIMIT, Monitor},
        driver::{RESET_SETTLES, Stop},
    },
    Machine,
};
use crate::{chain, config::SoftTimeoutAction};

/// How long a machine may take to be gone after it was powered off.
const OFF_LIMIT: Duration = Duration::from_secs(5);

impl Machine {
    pub(super) async fn power(&mut self, request: PowerRequest) {
        let done = match request {
            PowerRequest::On => self.power_on().await,
            PowerRequest::Off => self.power_off().await,
            PowerRequest::Cycle => self.cycle().await,
            PowerRequest::Reset => self.reset().await,
            PowerRequest::Nmi => self.order(&InjectNmi, Action::Nmi).await,
            PowerRequest::Soft => self.ask_to_shut_down().await,
        };
        if done.is_none() {
            let doing = match request {
                PowerRequest::On => "power on",
                PowerRequest::Off => "power off",
                PowerRequest::Cycle => "power cycle",
                PowerRequest::Reset => "reset",
                PowerRequest::Nmi => "inject an NMI",
                PowerRequest::Soft => "press the power button",
            };
            self.report(Fact::Unresponsive { doing });
        }
    }

    pub(super) fn was_reset(&mut self) {
        (self.soft, self.agent_at, self.ending) = (None, None, None);
        self.settling = Some(Instant::now() + RESET_SETTLES);
    }

    async fn power_on(&mut self) -> Option<()> {
        // One whose QEMU stayed may be about to go all the same, as libvirt's does.
        if self.has_monitor() && self.off && self.begin_anew().await.is_some() {
            return Some(());
        }
        self.driver.start.as_ref()?;
        match self.start().await {
            Ok(()) => self.begin_with_boot_device().await,
            Err(reason) => self.report(Fact::StartFailed { reason }),
        }
        Some(())
    }

    /// Lets a machine begin anew whose QEMU holds it.
    async fn begin_anew(&mut self) -> Option<()> {
        self.was_reset();
        self.call(&SystemReset).await?;
        self.call(&Cont).await?;
        (self.off, self.link_spent) = (false, false);
        self.settle();
        self.boot_began(u64::MAX);
        Some(())
    }

    async fn power_off(&mut self) -> Option<()> {
        self.ending = Some(StopReason::Command);
        self.order(&Quit, Action::PowerOff).await?;
        let gone = async {
            while self.is_on() {
                let happening = self.next_happening().await;
                self.happened(happening).await;
            }
        };
        let gone = time::timeout(OFF_LIMIT, gone).await.ok();
        if gone.is_none() {
            self.ending = None;
        }
        gone
    }

    async fn cycle(&mut self) -> Option<()> {
        let stays = self.has_monitor();
        if stays {
            self.call(&StopGuest).await?;
            self.ending = Some(StopReason::Command);
            self.off = true;
        } else {
            self.power_off().await?;
        }
        self.settle();
        let interval = self.driver.controller.with(|bmc| bmc.cycle_interval());
        let stopped = self.driver.stop.wait_for(|stop| *stop != Stop::No);
        // Whether or not the program is told to stop: the machine is not left half way.
        let _ = time::timeout(interval, stopped).await;
        if stays { self.begin_anew().await } else { self.power_on().await }
    }

    async fn reset(&mut self) -> Option<()> {
        self.reset_settled().await;
        self.was_reset();
        self.order(&SystemReset, Action::Reset).await?;
        self.report(Fact::Reset { by: bmc::ResetBy::Command });
        self.boot_began(u64::MAX);
        Some(())
    }

    async fn ask_to_shut_down(&mut self) -> Option<()> {
        self.order(&SystemPowerdown, Action::GracefulShutdown).await?;
        // A monitor will tell how the machine ends. Without one, its end is what was asked for.
        self.ending = (!self.has_monitor()).then_some(StopReason::Guest);
        let limit = self.driver.times.soft_shutdown;
        self.soft = limit.map(|limit| Instant::now() + limit);
        self.agent_at = Some(Instant::now() + agent::patience(limit));
        Some(())
    }

    /// The guest has not heeded its power button. Its agent, if one answers, is another way to ask.
    pub(super) fn ask_agent(&mut self) {
        self.agent_at = None;
        if let Some(agent) = self.driver.agent.as_ref().filter(|_| self.shown_on) {
            agent.shut_down();
        }
    }

    pub(super) fn soft_ran_out(&mut self) {
        (self.soft, self.ending) = (None, None);
        let after = self.driver.times.soft_shutdown.unwrap_or_default().as_secs();
        self.report(Fact::ShutdownIgnored { after });
        if self.driver.times.soft_shutdown_action == SoftTimeoutAction::Off {
            // A refusal would mean that something else has been asked for meanwhile, which then counts.
            let _ = self
                .driver
                .controller
                .with(|bmc| bmc.power(Instant::now(), PowerRequest::Off, Requester::SoftTimeout));
        }
    }

    /// Has something done by the monitor if there is one, else by the interface.
    async fn order<C: qmp::Command>(&mut self, command: &C, action: Action) -> Option<()> {
        if self.has_monitor() {
            return self.call(command).await;
        }
        self.link()?;
        self.driver.actions.send(action).ok()
    }

    pub(super) async fn call<C: qmp::Command>(&mut self, command: &C) -> Option<()> {
        let client = self.monitor.as_ref().and_then(Monitor::client)?;
        match client.call(command, ANSWER_LIMIT).await {
            Ok(_) => Some(()),
            // Its end can be faster than its answer.
            Err(qmp::Error::Disconnected { .. }) if C::NAME == Quit::NAME => Some(()),
            Err(error) => {
                warn!("{}", chain(&error));
                None
            }
        }
    }
}
