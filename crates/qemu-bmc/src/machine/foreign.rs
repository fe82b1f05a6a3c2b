//! A machine that something else started: plain QEMU, libvirt. It is watched and, as far as there is a way,
//! commanded; it is never started but by the command that was configured for that, and never ended but by a power
//! request.
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
//! | cycle | stopped, the interval, reset, continued | off, the interval, the start command |
//! | on | where QEMU stayed after a shutdown (`-no-shutdown`): reset, continued; else the start command | the start command |
//! | boot device | `bootindex`, changed and put back ([`boot`]) | left to the guest's firmware |
//!
//! What there is no way for is refused (D5h). Without the monitor a guest's own reboot is not seen: the interface
//! does not tell.

mod boot;
mod power;
mod start;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bmc::{Abilities, Fact, Intent, PowerRequest, StopReason};
use ipmi::inband::{Action, Capabilities};
use qmp::{
    Event, EventRecord,
    qapi::{RunState, ShutdownCause},
};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tracing::{debug, info, warn};

use super::{
    agent::Agent,
    connection::{ANSWER_LIMIT, Heard, Monitor},
    driver::{End, Order, Stop},
    messages::Messages,
    monitor::{self, Meaning},
};
use crate::{chain, config::Times, console::Port, controller::Controller};
pub(crate) use start::StartCommand;

/// How long a machine that ran before this program did may take to connect. After that, one that connects is
/// another.
const ADOPTION: Duration = Duration::from_secs(10);

/// What the driver of such a machine works with.
pub(crate) struct Foreign {
    pub(crate) controller: Arc<Controller>,
    /// Where the machine's monitor is, if it may be used.
    pub(crate) qmp: Option<PathBuf>,
    /// What the machine's interface to the BMC can do, while it is connected.
    pub(crate) link: watch::Receiver<Option<Capabilities>>,
    /// What is to be done by it.
    pub(crate) actions: mpsc::UnboundedSender<Action>,
    /// Where its serial port is, if that is known.
    pub(crate) serial: Option<Port>,
    /// Whether its serial port is connected.
    pub(crate) line: watch::Receiver<bool>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// The guest's agent, if there is a way to it.
    pub(crate) agent: Option<Agent>,
    /// What starts it, if anything may.
    pub(crate) start: Option<StartCommand>,
    pub(crate) run_dir: PathBuf,
    pub(crate) times: Times,
    pub(crate) stop: watch::Receiver<Stop>,
    /// Whether the machine was on when this was last known.
    pub(crate) was_on: bool,
}

impl Foreign {
    /// Drives the machine until the program is told to stop, or the controller to restart. The machine is left
    /// as it is.
    pub(crate) async fn run(self) -> std::io::Result<End> {
        let adopt_until = self.was_on.then(|| Instant::now() + ADOPTION);
        let messages = match &self.start {
            Some(_) => Some(Messages::open(
                self.run_dir.join("bmc-start-messages"),
                "the start command",
                "".as_ref(),
            )?),
            None => None,
        };
        let mut machine = Machine {
            monitor: self.qmp.clone().map(Monitor::at),
            driver: self,
            messages,
            off: false,
            paused: false,
            link_spent: false,
            shown_on: false,
            ending: None,
            soft: None,
            agent_at: None,
            settling: None,
            order_stale: false,
            adopt_until,
        };
        Ok(machine.work().await)
    }
}

struct Machine {
    driver: Foreign,
    monitor: Option<Monitor>,
    messages: Option<Messages>,
    /// The monitor says that the guest is off, and QEMU stayed.
    off: bool,
    /// The monitor says that the guest is on and held still.
    paused: bool,
    /// The interface is still that of a QEMU which has said that it ends.
    link_spent: bool,
    /// What was reported last.
    shown_on: bool,
    /// Why the machine is about to be off, as far as is known.
    ending: Option<StopReason>,
    /// Until when the guest has to follow a soft shutdown.
    soft: Option<Instant>,
    /// Until when the guest has to heed its power button before its agent is asked too.
    agent_at: Option<Instant>,
    /// Until when resets belong to the one that was reported.
    settling: Option<Instant>,
    /// Whether the boot order has to follow the model's choice once no more resets are due.
    order_stale: bool,
    /// Until when a machine that is found on is the one that was on before.
    adopt_until: Option<Instant>,
}

enum Next {
    Stop,
    Intent,
    Order(Order),
    Heard(Heard),
    LinkChanged,
    SoftRanOut,
    ButtonIgnored,
    ResetSettled,
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
                Next::Order(Order::SerialBreak) => self.serial_break().await,
                Next::SoftRanOut => self.soft_ran_out(),
                Next::ButtonIgnored => self.ask_agent(),
                Next::ResetSettled => self.reset_settled().await,
                happening => self.happened(happening).await,
            }
        }
    }

    async fn next(&mut self) -> Next {
        let Self { driver, monitor, soft, agent_at, settling, .. } = self;
        let Foreign { controller, link, line, orders, stop, .. } = driver;
        let at = |time: &Option<Instant>| time::sleep_until(time.unwrap_or_else(Instant::now).into());
        tokio::select! {
            // What has happened is looked at before anything new is done.
            biased;
            happening = happening(monitor, link, line) => happening,
            _ = stop.wait_for(|stop| *stop != Stop::No) => Next::Stop,
            () = controller.intent() => Next::Intent,
            Some(order) = orders.recv() => Next::Order(order),
            () = at(soft), if soft.is_some() => Next::SoftRanOut,
            () = at(agent_at), if agent_at.is_some() => Next::ButtonIgnored,
            () = at(settling), if settling.is_some() => Next::ResetSettled,
        }
    }

    /// What the machine does next, whatever else is wanted meanwhile.
    async fn next_happening(&mut self) -> Next {
        let Self { driver, monitor, .. } = self;
        happening(monitor, &mut driver.link, &mut driver.line).await
    }

    // ---- what the machine does -------------------------------------------------------------------

    async fn happened(&mut self, happening: Next) {
        match happening {
            Next::Heard(Heard::Found) => {
                info!("the machine's monitor answers");
                self.look_whether_it_runs().await;
                self.link_spent = self.off;
                self.take_up_boot_order().await;
            }
            Next::Heard(Heard::Missing(error)) => debug!("look for the machine's monitor: {}", chain(&error)),
            Next::Heard(Heard::Lost) => {
                (self.off, self.paused) = (false, false);
                if let Some(monitor) = &mut self.monitor {
                    monitor.disarmed();
                }
            }
            Next::Heard(Heard::Event(record)) => self.said(record).await,
            Next::LinkChanged => self.link_spent &= self.driver.link.borrow().is_some(),
            Next::Stop
            | Next::Intent
            | Next::Order(_)
            | Next::SoftRanOut
            | Next::ButtonIgnored
            | Next::ResetSettled => {}
        }
    }

    async fn said(&mut self, EventRecord { seq, event, .. }: EventRecord) {
        if event == Event::Resume {
            (self.off, self.link_spent) = (false, false);
        }
        match monitor::meaning(event) {
            Meaning::Reset(_) if self.settling.is_some() => {}
            Meaning::Reset(by) => {
                self.was_reset();
                self.report(Fact::Reset { by });
                self.boot_began(seq);
            }
            Meaning::Ending(cause) => {
                self.ending.get_or_insert(reason(&cause));
                (self.off, self.link_spent) = (true, true);
            }
            Meaning::RunState => self.look_whether_it_runs().await,
            Meaning::Fact(fact) => self.report(fact),
            Meaning::Remark(remark) => warn!("{remark}"),
            Meaning::Tray | Meaning::Nothing => {}
        }
    }

    async fn look_whether_it_runs(&mut self) {
        let Some(monitor) = &self.monitor else { return };
        if let Some(state) = monitor.state().await {
            self.paused = monitor::is_paused(&state);
            self.off |= state == RunState::Shutdown;
        }
    }

    /// Whether its monitor is connected.
    fn has_monitor(&self) -> bool {
        self.monitor.as_ref().is_some_and(Monitor::is_connected)
    }

    /// What the machine's interface can do, if it is connected.
    fn link(&self) -> Option<Capabilities> {
        self.driver.link.borrow().filter(|_| !self.link_spent)
    }

    /// A serial port tells nothing of a machine that has something better to tell.
    fn has_line_alone(&self) -> bool {
        self.monitor.is_none() && self.driver.link.has_changed().is_err() && *self.driver.line.borrow()
    }

    fn is_on(&self) -> bool {
        if self.has_monitor() { !self.off } else { self.link().is_some() || self.has_line_alone() }
    }

    /// Reports whether the machine is on, if that has changed, and what can be done to it.
    fn settle(&mut self) {
        let on = self.is_on();
        let abilities = self.abilities();
        self.driver.controller.with(|bmc| bmc.set_abilities(abilities));
        if on != std::mem::replace(&mut self.shown_on, on) {
            self.report_power(on);
        }
        let paused = on && self.paused;
        self.driver.controller.with(|bmc| bmc.observe_paused(Instant::now(), paused));
    }

    fn abilities(&self) -> Abilities {
        let started = |abilities: Abilities, request| {
            if self.driver.start.is_some() { abilities.with(request) } else { abilities }
        };
        match (self.has_monitor(), self.link()) {
            (true, _) if self.off => Abilities::NONE.with(PowerRequest::On),
            (true, _) => started(WITH_MONITOR, PowerRequest::On),
            (false, Some(capabilities)) => {
                let able = started(by_interface(capabilities), PowerRequest::On);
                if able.has(PowerRequest::Off) { started(able, PowerRequest::Cycle) } else { able }
            }
            (false, None) => started(Abilities::NONE, PowerRequest::On),
        }
    }

    fn report_power(&mut self, on: bool) {
        (self.soft, self.agent_at) = (None, None);
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
                Intent::BootOrder => self.arm().await,
                // It has no drives that could be asked for.
                Intent::Medium(_) => {}
                Intent::RestartController => return Some(End::Restart),
            }
        }
        None
    }

    /// A break on the serial line, by the monitor: it is no byte that could be sent over the line itself.
    async fn serial_break(&self) {
        let client = self.monitor.as_ref().and_then(Monitor::client);
        let (Some(client), Some(port)) = (client, &self.driver.serial) else { return };
        let sent: Result<(), qmp::Error> = async {
            let answer = client.execute("query-chardev", serde_json::json!({}), ANSWER_LIMIT).await?;
            let name = port.qemu_name();
            let Some(label) = label_of(&answer.value, &name) else {
                warn!("send a break to the serial port: QEMU has none at {name}");
                return Ok(());
            };
            let arguments = serde_json::json!({ "id": label });
            client.execute("chardev-send-break", arguments, ANSWER_LIMIT).await.map(drop)
        }
        .await;
        if let Err(error) = sent {
            warn!("send a break to the serial port: {}", chain(&error));
        }
    }
}

/// The label of the character device that is described as being at `place`.
fn label_of<'a>(devices: &'a serde_json::Value, place: &str) -> Option<&'a str> {
    let is_there = |device: &&serde_json::Value| {
        device.get("filename").and_then(|name| name.as_str()).is_some_and(|name| name.contains(place))
    };
    devices.as_array()?.iter().find(is_there)?.get("label")?.as_str()
}

/// The next thing that the machine does. Cancelling loses nothing.
async fn happening(
    monitor: &mut Option<Monitor>,
    link: &mut watch::Receiver<Option<Capabilities>>,
    line: &mut watch::Receiver<bool>,
) -> Next {
    let monitor = async {
        match monitor {
            Some(monitor) => monitor.next().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        heard = monitor => Next::Heard(heard),
        () = changed(link) => Next::LinkChanged,
        () = changed(line) => Next::LinkChanged,
    }
}

/// Waits for a change of what may have nobody that changes it.
async fn changed<T>(value: &mut watch::Receiver<T>) {
    if value.changed().await.is_err() {
        std::future::pending::<()>().await;
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

    #[test]
    fn a_serial_port_is_known_by_its_place() {
        let devices = serde_json::json!([
            { "label": "compat_monitor0", "filename": "stdio", "frontend-open": true },
            { "label": "serial0", "filename": "disconnected:unix:/run/vm1.serial,server=on" },
        ]);
        assert_eq!(label_of(&devices, "/run/vm1.serial"), Some("serial0"));
        assert_eq!(label_of(&devices, "/dev/pts/3"), None);
    }
}
