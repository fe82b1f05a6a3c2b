//! A machine that something else started: plain QEMU, libvirt. It is watched and, as far as there is a way,
//! commanded; it is never started and never ended but by a power request.
//!
//! ```text
//!              its monitor answers, or its interface connects
//!        ┌──────────────────────────────────────────────────────▶┐
//!   ┌────┴──┐                                                 ┌──┴─┐
//!   │  off  │                                                 │ on │
//!   └───▲───┘                                                 └──┬─┘
//!        └◀──────────────────────────────────────────────────────┘
//!          it says that it shut down, or both are gone
//! ```
//!
//! | asked | with its monitor (QMP) | by its interface alone |
//! |---|---|---|
//! | off | `quit` | "power off", which ends QEMU |
//! | reset, soft, NMI | the commands | as the interface says that it can |
//! | cycle | stopped, the interval, reset, continued | refused |
//! | on | where QEMU stayed after a shutdown (`-no-shutdown`): reset, continued | refused |
//!
//! Without the monitor a guest's own reboot is not seen: the interface does not tell.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use bmc::{Abilities, Fact, Intent, PowerRequest, Requester, StopReason};
use ipmi::inband::{Action, Capabilities};
use qmp::{
    Client, Command as _, Event, Events, Session,
    commands::{Cont, InjectNmi, QueryStatus, Quit, Stop as StopGuest, SystemPowerdown, SystemReset},
    qapi::{RunState, ShutdownCause},
};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tracing::{debug, info, warn};

use super::{
    driver::{End, RESET_SETTLES, Stop},
    guest::ANSWER_LIMIT,
    monitor::{self, Meaning},
};
use crate::{
    chain,
    config::{SoftTimeoutAction, Times},
    controller::Controller,
};

/// How often a monitor that isn't there is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long a machine that ran before this program did may take to connect. After that, one that connects is
/// another.
const ADOPTION: Duration = Duration::from_secs(10);

/// How long a machine may take to be gone after it was powered off.
const OFF_LIMIT: Duration = Duration::from_secs(5);

/// What the driver of such a machine works with.
pub(crate) struct Foreign {
    pub(crate) controller: Arc<Controller>,
    /// Where the machine's monitor is, if it may be used.
    pub(crate) qmp: Option<PathBuf>,
    /// What the machine's interface to the BMC can do, while it is connected.
    pub(crate) link: watch::Receiver<Option<Capabilities>>,
    /// What is to be done by it.
    pub(crate) actions: mpsc::UnboundedSender<Action>,
    pub(crate) times: Times,
    pub(crate) stop: watch::Receiver<Stop>,
    /// Whether the machine was on when this was last known.
    pub(crate) was_on: bool,
}

impl Foreign {
    /// Drives the machine until the program is told to stop, or the controller to restart. The machine is left
    /// as it is.
    pub(crate) async fn run(self) -> End {
        let adopt_until = self.was_on.then(|| Instant::now() + ADOPTION);
        let mut machine = Machine {
            driver: self,
            monitor: None,
            look_at: Instant::now(),
            link_spent: false,
            shown_on: false,
            ending: None,
            soft: None,
            settled_at: Instant::now(),
            adopt_until,
        };
        machine.work().await
    }
}

struct Monitor {
    client: Client,
    events: Events,
    /// The guest is off, and QEMU stayed.
    off: bool,
    /// The guest is on and held still.
    paused: bool,
}

struct Machine {
    driver: Foreign,
    monitor: Option<Monitor>,
    /// When to look for the monitor again.
    look_at: Instant,
    /// The interface is still that of a QEMU which has said that it ends.
    link_spent: bool,
    /// What was reported last.
    shown_on: bool,
    /// Why the machine is about to be off, as far as is known.
    ending: Option<StopReason>,
    /// Until when the guest has to follow a soft shutdown.
    soft: Option<Instant>,
    /// Until when resets belong to the one that was reported.
    settled_at: Instant,
    /// Until when a machine that is found on is the one that was on before.
    adopt_until: Option<Instant>,
}

enum Next {
    Stop,
    Intent,
    Found(Session),
    NotFound(qmp::Error),
    Event(Event),
    MonitorLost,
    LinkChanged,
    SoftRanOut,
}

impl Machine {
    fn report(&self, fact: Fact) {
        self.driver.controller.with(|bmc| bmc.on_fact(Instant::now(), fact));
    }

    async fn work(&mut self) -> End {
        loop {
            self.settle();
            match self.next().await {
                Next::Stop => return End::Stopped,
                Next::Intent => {
                    if self.carry_out_all().await == Some(End::Restart) {
                        return End::Restart;
                    }
                }
                Next::SoftRanOut => self.soft_ran_out(),
                happening => self.happened(happening).await,
            }
        }
    }

    async fn next(&mut self) -> Next {
        let Self { driver, monitor, look_at, soft, .. } = self;
        let Foreign { controller, qmp, link, stop, .. } = driver;
        tokio::select! {
            // What has happened is looked at before anything new is done.
            biased;
            happening = happening(monitor, link, qmp.as_deref(), *look_at) => happening,
            _ = stop.wait_for(|stop| *stop != Stop::No) => Next::Stop,
            () = controller.intent() => Next::Intent,
            () = time::sleep_until(soft.unwrap_or_else(Instant::now).into()), if soft.is_some() => {
                Next::SoftRanOut
            }
        }
    }

    /// What the machine does next, whatever else is wanted meanwhile.
    async fn next_happening(&mut self) -> Next {
        let Self { driver, monitor, look_at, .. } = self;
        happening(monitor, &mut driver.link, driver.qmp.as_deref(), *look_at).await
    }

    // ---- what the machine does -------------------------------------------------------------------

    async fn happened(&mut self, happening: Next) {
        match happening {
            Next::Found(Session { client, events, .. }) => {
                info!("the machine's monitor answers");
                let (off, paused) = match client.call(&QueryStatus, ANSWER_LIMIT).await {
                    Ok(status) => {
                        let state = status.value.status;
                        (state == RunState::Shutdown, monitor::is_paused(&state))
                    }
                    Err(_) => (false, false),
                };
                self.link_spent = off;
                self.monitor = Some(Monitor { client, events, off, paused });
            }
            Next::NotFound(error) => {
                debug!("look for the machine's monitor: {}", chain(&error));
                self.look_at = Instant::now() + LOOK_AGAIN;
            }
            Next::MonitorLost => {
                self.monitor = None;
                self.look_at = Instant::now();
            }
            Next::Event(event) => self.said(event).await,
            Next::LinkChanged => self.link_spent &= self.driver.link.borrow().is_some(),
            Next::Stop | Next::Intent | Next::SoftRanOut => {}
        }
    }

    async fn said(&mut self, event: Event) {
        if event == Event::Resume
            && let Some(monitor) = &mut self.monitor
        {
            monitor.off = false;
            self.link_spent = false;
        }
        match monitor::meaning(event) {
            Meaning::Reset(_) if Instant::now() < self.settled_at => {}
            Meaning::Reset(by) => {
                self.was_reset();
                self.report(Fact::Reset { by });
            }
            Meaning::Ending(cause) => {
                self.ending.get_or_insert(reason(&cause));
                if let Some(monitor) = &mut self.monitor {
                    monitor.off = true;
                }
                self.link_spent = true;
            }
            Meaning::RunState => {
                let Some(monitor) = &mut self.monitor else { return };
                match monitor.client.call(&QueryStatus, ANSWER_LIMIT).await {
                    Ok(status) => monitor.paused = monitor::is_paused(&status.value.status),
                    Err(error) => debug!("ask whether the machine runs: {}", chain(&error)),
                }
            }
            Meaning::Fact(fact) => self.report(fact),
            Meaning::Remark(remark) => warn!("{remark}"),
            Meaning::Nothing => {}
        }
    }

    fn was_reset(&mut self) {
        (self.soft, self.ending) = (None, None);
        self.settled_at = Instant::now() + RESET_SETTLES;
    }

    /// What the machine's interface can do, if it is connected.
    fn link(&self) -> Option<Capabilities> {
        self.driver.link.borrow().filter(|_| !self.link_spent)
    }

    fn is_on(&self) -> bool {
        match &self.monitor {
            Some(monitor) => !monitor.off,
            None => self.link().is_some(),
        }
    }

    /// Reports whether the machine is on, if that has changed, and what can be done to it.
    fn settle(&mut self) {
        let on = self.is_on();
        let abilities = match (&self.monitor, self.link()) {
            (Some(monitor), _) if monitor.off => Abilities::NONE.with(PowerRequest::On),
            (Some(_), _) => WITH_MONITOR,
            (None, Some(capabilities)) => by_interface(capabilities),
            (None, None) => Abilities::NONE,
        };
        self.driver.controller.with(|bmc| bmc.set_abilities(abilities));
        if on != std::mem::replace(&mut self.shown_on, on) {
            self.report_power(on);
        }
        let paused = on && self.monitor.as_ref().is_some_and(|monitor| monitor.paused);
        self.driver.controller.with(|bmc| bmc.observe_paused(Instant::now(), paused));
    }

    fn report_power(&mut self, on: bool) {
        self.soft = None;
        let ending = self.ending.take();
        if on {
            let adopted = self.adopt_until.take().is_some_and(|until| Instant::now() < until);
            self.report(if adopted { Fact::Adopted } else { Fact::Started });
        } else {
            self.report(Fact::Stopped { why: ending.unwrap_or(StopReason::Disconnected) });
        }
    }

    // ---- what the model wants --------------------------------------------------------------------

    async fn carry_out_all(&mut self) -> Option<End> {
        let controller = Arc::clone(&self.driver.controller);
        while let Some(intent) = controller.with(|bmc| bmc.take_intent()) {
            match intent {
                Intent::Power(request) => {
                    self.power(request).await;
                    // Before the request counts as done: it is the reason of what came of it.
                    self.settle();
                    controller.with(|bmc| bmc.power_done());
                }
                Intent::BootOrder => {
                    let device = controller.with(|bmc| bmc.boot().choice()).device;
                    info!("boot device {device}: it is for the guest's firmware to ask for");
                }
                Intent::RestartController => return Some(End::Restart),
            }
        }
        None
    }

    async fn power(&mut self, request: PowerRequest) {
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

    /// Lets a machine begin anew whose QEMU holds it.
    async fn power_on(&mut self) -> Option<()> {
        self.was_reset();
        self.call(&SystemReset).await?;
        self.call(&Cont).await?;
        self.monitor.as_mut()?.off = false;
        self.link_spent = false;
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
        self.call(&StopGuest).await?;
        self.ending = Some(StopReason::Command);
        self.monitor.as_mut()?.off = true;
        self.settle();
        let interval = self.driver.controller.with(|bmc| bmc.cycle_interval());
        let stopped = self.driver.stop.wait_for(|stop| *stop != Stop::No);
        // Whether or not the program is told to stop: the machine is not left half way.
        let _ = time::timeout(interval, stopped).await;
        self.power_on().await
    }

    async fn reset(&mut self) -> Option<()> {
        self.was_reset();
        self.order(&SystemReset, Action::Reset).await?;
        self.report(Fact::Reset { by: bmc::ResetBy::Command });
        Some(())
    }

    async fn ask_to_shut_down(&mut self) -> Option<()> {
        self.order(&SystemPowerdown, Action::GracefulShutdown).await?;
        // A monitor will tell how the machine ends. Without one, its end is what was asked for.
        self.ending = self.monitor.is_none().then_some(StopReason::Guest);
        self.soft = self.driver.times.soft_shutdown.map(|limit| Instant::now() + limit);
        Some(())
    }

    fn soft_ran_out(&mut self) {
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
        match (&self.monitor, self.link()) {
            (Some(_), _) => self.call(command).await,
            (None, Some(_)) => self.driver.actions.send(action).ok(),
            (None, None) => None,
        }
    }

    async fn call<C: qmp::Command>(&mut self, command: &C) -> Option<()> {
        let client = &self.monitor.as_ref()?.client;
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

/// The next thing that the machine does. Cancelling loses nothing.
async fn happening(
    monitor: &mut Option<Monitor>,
    link: &mut watch::Receiver<Option<Capabilities>>,
    qmp: Option<&Path>,
    look_at: Instant,
) -> Next {
    let monitor = async {
        match (monitor, qmp) {
            (Some(monitor), _) => {
                monitor.events.next().await.map_or(Next::MonitorLost, |record| Next::Event(record.event))
            }
            (None, Some(path)) => {
                time::sleep_until(look_at.into()).await;
                qmp::connect(path, ANSWER_LIMIT).await.map_or_else(Next::NotFound, Next::Found)
            }
            (None, None) => std::future::pending().await,
        }
    };
    let linked = async {
        if link.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        happening = monitor => happening,
        () = linked => Next::LinkChanged,
    }
}

/// What can be done to a machine that is on and whose monitor answers.
const WITH_MONITOR: Abilities = Abilities::NONE
    .with(PowerRequest::Off)
    .with(PowerRequest::Cycle)
    .with(PowerRequest::Reset)
    .with(PowerRequest::Nmi)
    .with(PowerRequest::Soft);

fn by_interface(capabilities: Capabilities) -> Abilities {
    [
        (Capabilities::POWER_OFF, PowerRequest::Off),
        (Capabilities::RESET, PowerRequest::Reset),
        (Capabilities::NMI, PowerRequest::Nmi),
        (Capabilities::GRACEFUL_SHUTDOWN, PowerRequest::Soft),
    ]
    .into_iter()
    .filter(|(needed, _)| capabilities.has(*needed))
    .fold(Abilities::NONE, |abilities, (_, request)| abilities.with(request))
}

/// Why a machine ends that says so itself.
fn reason(cause: &ShutdownCause) -> StopReason {
    match cause {
        ShutdownCause::GuestShutdown => StopReason::Guest,
        ShutdownCause::HostQmpQuit | ShutdownCause::HostSignal | ShutdownCause::HostUi => StopReason::Command,
        cause => StopReason::Crashed(format!("its reason is \"{cause}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_can_do_what_it_says() {
        let can = by_interface(Capabilities::RESET);
        assert!(can.has(PowerRequest::Reset));
        for request in [PowerRequest::On, PowerRequest::Off, PowerRequest::Cycle, PowerRequest::Soft] {
            assert!(!can.has(request), "{request}");
        }
    }

    #[test]
    fn the_ends_of_a_machine_are_told_apart() {
        assert_eq!(reason(&ShutdownCause::GuestShutdown), StopReason::Guest);
        assert_eq!(reason(&ShutdownCause::HostSignal), StopReason::Command);
        assert!(matches!(reason(&ShutdownCause::HostError), StopReason::Crashed(_)));
    }
}
