//! What is wanted of the machine: each request carried out to its end before the next.

use std::time::Instant;

use bmc::{BootDevice, Fact, Intent, PowerRequest, Requester, ResetBy, StopReason};
use qmp::commands::{InjectNmi, SystemPowerdown, SystemReset};
use tokio::time;
use tracing::warn;

use super::{
    super::{
        agent,
        connection::ANSWER_LIMIT,
        disk::Written,
        guest::{Guest, Happening},
    },
    End, Machine, Order, Stop,
};
use crate::{chain, config::SoftTimeoutAction};

impl Machine {
    pub(super) async fn carry_out_all(&mut self) -> Option<End> {
        while let Some(intent) = self.controller().with(|bmc| bmc.take_intent()) {
            match intent {
                Intent::Power(request) => {
                    self.power(request).await;
                    self.controller().with(|bmc| bmc.power_done());
                }
                Intent::BootOrder => self.arm().await,
                Intent::Medium(change) => self.change_medium(change).await,
                Intent::RestartController => return Some(End::Restart),
            }
        }
        None
    }

    pub(super) async fn power(&mut self, request: PowerRequest) {
        match request {
            PowerRequest::On => self.power_on(Written::Forgotten).await,
            PowerRequest::Off => self.power_off().await,
            PowerRequest::Cycle => {
                self.power_off().await;
                let interval = self.controller().with(|bmc| bmc.cycle_interval());
                let stopped = self.driver.stop.wait_for(|stop| *stop != Stop::No);
                if time::timeout(interval, stopped).await.is_err() {
                    self.power_on(Written::Forgotten).await;
                }
            }
            PowerRequest::Reset => self.reset().await,
            PowerRequest::Nmi => self.tell("inject an NMI", InjectNmi).await,
            PowerRequest::Soft => {
                self.tell("press the power button", SystemPowerdown).await;
                let limit = self.driver.times.soft_shutdown;
                self.soft = limit.map(|limit| Instant::now() + limit);
                self.agent_at = Some(Instant::now() + agent::patience(limit));
            }
        }
    }

    pub(super) async fn power_on(&mut self, written: Written) {
        if self.guest.is_some() || !self.wait_for_interfaces().await {
            return;
        }
        match self.start(written).await {
            Ok(()) => self.report(Fact::Started),
            Err(error) => self.report(Fact::StartFailed { reason: chain(&*error) }),
        }
        self.boot_has_begun();
    }

    pub(super) async fn power_off(&mut self) {
        if let Some(why) = self.end_process().await {
            self.gone(why).await;
        }
    }

    pub(super) async fn reset(&mut self) {
        self.settle().await;
        let Some(guest) = &self.guest else { return };
        let wants_setup = self.controller().with(|bmc| bmc.boot().choice()).device == BootDevice::Setup;
        if guest.setup != wants_setup || self.companions.any_lost() {
            self.respawn(ResetBy::Command).await;
            return;
        }
        if !self.call("reset", SystemReset).await {
            // A reset button works whatever state the machine is in.
            warn!("QEMU does not take a reset: it is ended and started anew");
            self.respawn(ResetBy::Command).await;
            return;
        }
        // The event is the fact; it is on its way, and is awaited so that the request's origin is known.
        let limit = time::Instant::now() + ANSWER_LIMIT;
        while let Some(guest) = &mut self.guest {
            let Ok(happening) = time::timeout_at(limit, guest.next()).await else { return };
            let reset = matches!(
                &happening,
                Happening::Event(record) if matches!(record.event, qmp::Event::Reset { guest: false, .. })
            );
            self.happened(happening).await;
            if reset {
                return;
            }
        }
    }

    /// A reset that needs a new process: to everybody else it is a reset.
    pub(super) async fn respawn(&mut self, by: ResetBy) {
        if self.end_process().await.is_none() {
            return;
        }
        match self.start(Written::Kept).await {
            Ok(()) => {
                self.report(Fact::Reset { by });
                self.boot_has_begun();
            }
            Err(error) => {
                self.gone(StopReason::Command).await;
                self.report(Fact::StartFailed { reason: chain(&*error) });
            }
        }
    }

    pub(super) async fn tell<C: qmp::Command>(&mut self, doing: &'static str, command: C) {
        if !self.call(doing, command).await {
            self.report(Fact::Unresponsive { doing });
        }
    }

    /// Commands QEMU. False if it did not take the command.
    pub(super) async fn call<C: qmp::Command>(&mut self, doing: &'static str, command: C) -> bool {
        let Some(guest) = &mut self.guest else { return false };
        let result = match guest.reconnect().await {
            Err(error) => Err(error),
            Ok(()) => match guest.client() {
                Some(client) => client.call(&command, ANSWER_LIMIT).await.map(drop),
                None => return false,
            },
        };
        if let Err(error) = &result {
            warn!("{doing}: {}", chain(error));
        }
        result.is_ok()
    }

    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::SerialBreak => {
                let Some(client) = self.guest.as_ref().and_then(Guest::client).cloned() else { return };
                let arguments = serde_json::json!({ "id": "serial0" });
                if let Err(error) = client.execute("chardev-send-break", arguments, ANSWER_LIMIT).await {
                    warn!("send a break to the serial port: {}", chain(&error));
                }
            }
        }
    }

    /// The guest has not heeded its power button. Its agent, if one answers, is another way to ask.
    pub(super) fn ask_agent(&mut self) {
        self.agent_at = None;
        if let Some(agent) = self.driver.agent.as_ref().filter(|_| self.guest.is_some()) {
            agent.shut_down();
        }
    }

    pub(super) fn soft_ran_out(&mut self) {
        (self.soft, self.agent_at) = (None, None);
        let after = self.driver.times.soft_shutdown.unwrap_or_default().as_secs();
        self.report(Fact::ShutdownIgnored { after });
        if self.driver.times.soft_shutdown_action == SoftTimeoutAction::Off {
            // A refusal would mean that something else has been asked for meanwhile, which then counts.
            let _ = self
                .controller()
                .with(|bmc| bmc.power(Instant::now(), PowerRequest::Off, Requester::SoftTimeout));
        }
    }
}
