//! The one task that starts, commands and ends QEMU.
//!
//! It takes intents from the model, one after the other, carries each out to its end, and reports facts. In
//! between it listens to QEMU. Nothing waits for it: the model has answered whoever asked long before.

mod ends;
mod interfaces;
mod media;
mod nics;
mod process;
mod room;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bmc::{Abilities, BootDevice, Fact, Intent, PowerRequest, Requester, ResetBy, StopReason};
use nics::Nics;
pub(crate) use nics::preview;
use qmp::{
    commands::{InjectNmi, SystemPowerdown, SystemReset},
    qapi::RunState,
};
use tokio::{
    sync::{mpsc, watch},
    time,
};
use tracing::{info, warn};

use super::{
    agent::{self, Agent},
    argv::{Accelerator, Sockets},
    boot,
    companion::{Companions, Loss, Shown},
    connection::ANSWER_LIMIT,
    disk::{self, Written},
    firmware::Reset as FirmwareReset,
    guest::{Guest, Happening, Record},
    load::{self, Capacity, Sampler},
    messages::Messages,
    monitor::{self, Meaning},
    setup,
};
use crate::{
    chain,
    config::{HardwarePlan, MachinePlan, Paths, SoftTimeoutAction, Times},
    console::{Connection, Console},
    controller::Controller,
    os::children::Ended,
    serve::{ipmi_inband::InBand, vnc::HostScreen},
};

/// How long after a reset the guest's own resets belong to it. SeaBIOS, which finds its memory used, resets
/// the machine once or twice more by every means it knows before it starts for good, in milliseconds; no
/// guest gets as far as to reboot in this time.
pub(super) const RESET_SETTLES: Duration = Duration::from_secs(1);

/// What others ask of the driver that is no matter of the model.
#[derive(Debug)]
pub(crate) enum Order {
    /// A break condition on the serial line.
    SerialBreak,
}

/// Whether, and how soon, to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Not at all.
    No,
    /// When the guest has shut down, or has had its time to.
    Gently,
    /// At once.
    Now,
}

impl Stop {
    /// Somebody who asks twice is in a hurry.
    pub(crate) fn after_signal(self) -> Self {
        match self {
            Self::No => Self::Gently,
            Self::Gently | Self::Now => Self::Now,
        }
    }
}

/// How the driver's work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The program was told to stop, and the machine is off.
    Stopped,
    /// The controller is to start anew, and the machine is as it was.
    Restart,
}

/// Everything that the driver works with.
pub(crate) struct Driver {
    pub(crate) controller: Arc<Controller>,
    pub(crate) plan: MachinePlan,
    pub(crate) paths: Paths,
    pub(crate) times: Times,
    pub(crate) console: Arc<Console>,
    /// Where connections to the serial port go.
    pub(crate) serial: mpsc::UnboundedSender<Connection>,
    /// Where connections to the guest's own interface go.
    pub(crate) ipmi: mpsc::UnboundedSender<InBand>,
    pub(crate) screen: watch::Sender<HostScreen>,
    /// What runs beside QEMU, for whoever asks.
    pub(crate) companions: watch::Sender<Vec<Shown>>,
    pub(crate) orders: mpsc::Receiver<Order>,
    /// The guest's agent, if the machine has a port for one.
    pub(crate) agent: Option<Agent>,
    /// Whether the program was told to stop.
    pub(crate) stop: watch::Receiver<Stop>,
    /// Whether the machine is to start with the program.
    pub(crate) power_on: bool,
    /// Whether the machine's next start is to find its firmware's variables as new.
    pub(crate) firmware_reset: FirmwareReset,
}

impl Driver {
    /// Drives the machine until the program is told to stop, and then shuts it down; or until the controller
    /// is to restart, and then leaves it alone.
    pub(crate) async fn run(mut self) -> std::io::Result<End> {
        self.power_on |= interfaces::takes_over_a_start(&self.paths.run_dir);
        let sockets = Sockets::new(&self.paths.run_dir, &self.paths.qmp_socket);
        let messages = Messages::open(
            self.paths.run_dir.join("bmc-qemu-messages"),
            "QEMU",
            &self.plan.hardware.qemu_binary,
        )?;
        let nics = Nics::new(&self.plan, &self.paths.run_dir);
        let companions = Companions::new(&self.paths.run_dir);
        if !self.plan.hardware.machine.platform.has_nmi() {
            self.controller.with(|bmc| bmc.set_abilities(Abilities::ALL.without(PowerRequest::Nmi)));
        }
        let mut machine = Machine {
            driver: self,
            sockets,
            messages,
            accelerator: None,
            nics,
            companions,
            guest: None,
            soft: None,
            agent_at: None,
            settling: None,
            order_stale: false,
            look_for_room: None,
            sampler: None,
            sample_at: Instant::now(),
        };
        machine.take_over().await;
        machine.begin();
        let end = machine.work().await;
        if end == End::Stopped {
            machine.shut_down().await;
        }
        Ok(end)
    }
}

enum Next {
    Happening(Happening),
    Intent,
    Order(Order),
    SoftRanOut,
    ButtonIgnored,
    Interfaces,
    CompanionLost(Loss),
    ResetSettled,
    Sample,
    Room,
    Stop,
}

struct Machine {
    driver: Driver,
    sockets: Sockets,
    messages: Messages,
    accelerator: Option<Accelerator>,
    nics: Nics,
    companions: Companions,
    guest: Option<Guest>,
    /// Until when the guest has to follow a soft shutdown.
    soft: Option<Instant>,
    /// Until when the guest has to heed its power button before its agent is asked too.
    agent_at: Option<Instant>,
    /// Until when resets belong to the one that was reported.
    settling: Option<Instant>,
    /// Whether the boot order has to follow the model's choice once no more resets are due.
    order_stale: bool,
    /// When it is looked next whether a machine that is paused for want of room can go on.
    look_for_room: Option<Instant>,
    sampler: Option<Sampler>,
    /// When the machine's load is looked at next.
    sample_at: Instant,
}

impl Machine {
    fn controller(&self) -> &Controller {
        &self.driver.controller
    }

    fn report(&self, fact: Fact) {
        self.controller().with(|bmc| bmc.on_fact(Instant::now(), fact));
    }

    async fn work(&mut self) -> End {
        loop {
            match self.next().await {
                Next::Happening(happening) => self.happened(happening).await,
                Next::Intent => {
                    // Nothing is begun any more that the next controller would find half done.
                    if self.carry_out_all().await == Some(End::Restart) {
                        return End::Restart;
                    }
                }
                Next::Order(order) => self.obey(order).await,
                Next::SoftRanOut => self.soft_ran_out(),
                Next::ButtonIgnored => self.ask_agent(),
                Next::Interfaces => self.follow_interfaces().await,
                Next::CompanionLost(loss) => self.lost_companion(&loss),
                Next::ResetSettled => self.settle().await,
                Next::Sample => self.sample().await,
                Next::Room => self.look_for_room().await,
                Next::Stop => return End::Stopped,
            }
        }
    }

    async fn next(&mut self) -> Next {
        let runs = self.guest.is_some();
        let happening = async {
            match &mut self.guest {
                Some(guest) => guest.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // What has happened is looked at before anything new is done.
            biased;
            happening = happening => Next::Happening(happening),
            _ = self.driver.stop.wait_for(|stop| *stop != Stop::No) => Next::Stop,
            () = self.driver.controller.intent() => Next::Intent,
            Some(order) = self.driver.orders.recv() => Next::Order(order),
            () = time::sleep_until(self.soft.unwrap_or_else(Instant::now).into()), if self.soft.is_some() => {
                Next::SoftRanOut
            }
            () = time::sleep_until(self.agent_at.unwrap_or_else(Instant::now).into()), if self.agent_at.is_some() => {
                Next::ButtonIgnored
            }
            () = time::sleep_until(self.settling.unwrap_or_else(Instant::now).into()),
                if self.settling.is_some() => Next::ResetSettled,
            () = self.nics.changed(), if runs => Next::Interfaces,
            loss = self.companions.lost(), if runs => Next::CompanionLost(loss),
            () = time::sleep_until(self.look_for_room.unwrap_or_else(Instant::now).into()),
                if runs && self.look_for_room.is_some() => Next::Room,
            () = time::sleep_until(self.sample_at.into()), if runs => Next::Sample,
        }
    }

    // ---- what QEMU does --------------------------------------------------------------------------

    async fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::Event(record) => {
                tracing::debug!(seq = record.seq, "QEMU: {:?}", record.event);
                match monitor::meaning(record.event) {
                    Meaning::Reset(by) => self.was_reset(record.seq, by).await,
                    Meaning::Ending(cause) => {
                        if let Some(guest) = &mut self.guest {
                            guest.announced = Some(cause);
                        }
                    }
                    Meaning::RunState => self.look_whether_it_runs().await,
                    Meaning::Tray => self.look_at_drives().await,
                    Meaning::Fact(fact) => self.report(fact),
                    Meaning::Remark(remark) => warn!("{remark}"),
                    Meaning::Nothing => {}
                }
            }
            Happening::MonitorLost => tracing::debug!("no connection to QEMU's monitor"),
            Happening::MonitorBack => {
                info!("QEMU's monitor answers again");
                self.look_whether_it_runs().await;
                self.look_at_drives().await;
                self.nics.doubt();
                self.follow_interfaces().await;
                self.arm().await;
            }
            Happening::Ended(ended) => self.ended_by_itself(ended).await,
        }
    }

    async fn look_whether_it_runs(&mut self) {
        let Some(guest) = &self.guest else { return };
        if let Some(state) = guest.state().await {
            self.observe_full(state == RunState::IoError);
            let paused = monitor::is_paused(&state);
            self.controller().with(|bmc| bmc.observe_paused(Instant::now(), paused));
        }
    }

    async fn was_reset(&mut self, seq: u64, by: ResetBy) {
        let Some(guest) = &mut self.guest else { return };
        let Some(generation) = guest.boot_of_reset(seq) else { return };
        if by == ResetBy::Guest && self.settling.is_some_and(|end| Instant::now() < end) {
            return;
        }
        let was_setup = guest.setup;
        (self.soft, self.agent_at) = (None, None);
        let wants_setup = self.controller().with(|bmc| bmc.boot().choice()).device == BootDevice::Setup;
        if (was_setup != wants_setup || self.companions.any_lost()) && *self.driver.stop.borrow() == Stop::No
        {
            // The firmware's prompt is part of the command line, and companions come with it: this boot needs
            // another process.
            self.respawn(by).await;
            return;
        }
        self.settling = Some(Instant::now() + RESET_SETTLES);
        self.report(Fact::Reset { by });
        self.controller().with(|bmc| bmc.boot_began(generation));
        if wants_setup {
            self.press_setup_key();
        }
    }

    /// The firmware has the boot order that it will use: from now on it can be that of the next boot.
    async fn settle(&mut self) {
        self.settling = None;
        if std::mem::take(&mut self.order_stale) {
            self.arm().await;
        }
    }

    async fn ended_by_itself(&mut self, ended: Ended) {
        let Some(guest) = self.guest.take() else { return };
        self.release().await;
        let why = monitor::stop_reason(guest.announced.as_ref(), ended, &self.messages.last_words());
        self.gone(why).await;
    }

    /// QEMU has ended, and everybody is to know.
    async fn gone(&mut self, why: StopReason) {
        self.guest = None;
        (self.soft, self.agent_at, self.look_for_room) = (None, None, None);
        Record::forget(&self.driver.paths.run_dir);
        self.throw_away().await;
        self.driver.screen.send_replace(HostScreen::Off);
        self.report(Fact::Stopped { why });
    }

    /// What the guest has written on disks that forget. A big file takes a file system long to remove.
    async fn throw_away(&self) {
        let run_dir = self.driver.paths.run_dir.clone();
        let _ = tokio::task::spawn_blocking(move || disk::throw_away(&run_dir)).await;
    }

    /// What there was for this QEMU alone.
    async fn release(&mut self) {
        self.nics.release().await;
        self.companions.end().await;
        self.show_companions();
    }

    fn lost_companion(&self, loss: &Loss) {
        // A QEMU that ends parts from them first, and may write its caches afterwards.
        if self.guest.as_ref().is_some_and(|guest| guest.announced.is_some()) {
            return;
        }
        self.show_companions();
        let Loss { role, ended } = loss;
        self.report(Fact::CompanionLost {
            name: role.to_string(),
            ended: ended.to_string(),
            meaning: loss.meaning(),
        });
    }

    fn show_companions(&self) {
        self.driver.companions.send_replace(self.companions.shown());
    }

    /// How busy the machine is, for the sensors.
    async fn sample(&mut self) {
        self.sample_at = Instant::now() + load::INTERVAL;
        let Some(guest) = &self.guest else { return };
        let pid = guest.process.pid();
        let HardwarePlan { memory_mib, ref cpus, .. } = self.driver.plan.hardware;
        let sampler = match &mut self.sampler {
            Some(sampler) if sampler.pid() == pid => sampler,
            other => other.insert(Sampler::new(pid, Capacity { cpus: cpus.count, memory_mib })),
        };
        match sampler.sample(guest.client()).await {
            Ok(load) => self.controller().with(|bmc| bmc.observe_load(Instant::now(), load)),
            // It has ended, which is about to be reported.
            Err(error) => tracing::debug!("look at process {pid}: {error}"),
        }
    }

    // ---- what the model wants --------------------------------------------------------------------

    async fn carry_out_all(&mut self) -> Option<End> {
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

    async fn power(&mut self, request: PowerRequest) {
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

    async fn power_on(&mut self, written: Written) {
        if self.guest.is_some() || !self.wait_for_interfaces().await {
            return;
        }
        match self.start(written).await {
            Ok(()) => self.report(Fact::Started),
            Err(error) => self.report(Fact::StartFailed { reason: chain(&*error) }),
        }
        self.boot_has_begun();
    }

    async fn power_off(&mut self) {
        if let Some(why) = self.end_process().await {
            self.gone(why).await;
        }
    }

    async fn reset(&mut self) {
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
    async fn respawn(&mut self, by: ResetBy) {
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

    async fn tell<C: qmp::Command>(&mut self, doing: &'static str, command: C) {
        if !self.call(doing, command).await {
            self.report(Fact::Unresponsive { doing });
        }
    }

    /// Commands QEMU. False if it did not take the command.
    async fn call<C: qmp::Command>(&mut self, doing: &'static str, command: C) -> bool {
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

    async fn obey(&mut self, order: Order) {
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
    fn ask_agent(&mut self) {
        self.agent_at = None;
        if let Some(agent) = self.driver.agent.as_ref().filter(|_| self.guest.is_some()) {
            agent.shut_down();
        }
    }

    fn soft_ran_out(&mut self) {
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

    // ---- boot order ------------------------------------------------------------------------------

    /// Lets the firmware boot in the model's order from the next reset on.
    async fn arm(&mut self) {
        // The boot that has just begun is to find the order that was meant for it.
        if self.settling.is_some() {
            self.order_stale = true;
            return;
        }
        let choice = self.controller().with(|bmc| bmc.boot().choice());
        let order = boot::order(&self.driver.plan.boot, choice.device);
        let Some(guest) = &mut self.guest else { return };
        if let Err(error) = guest.arm(&order, &self.nics.boot_order(), choice.generation).await {
            warn!("change the boot order: {}; it counts from the next power on", chain(&error));
        }
        self.remark_on(choice.device);
    }

    fn remark_on(&self, device: BootDevice) {
        let reason = match device {
            BootDevice::Pxe if self.guest.as_ref().is_some_and(|guest| !guest.has_network()) => {
                "it has no NIC"
            }
            BootDevice::Disk if self.driver.plan.storage.disks.is_empty() => "it has no disk",
            BootDevice::Cdrom if self.media().iter().all(Option::is_none) => "its CD drive is empty",
            BootDevice::Floppy => "it has no floppy drive",
            BootDevice::Diagnostic => "it has no diagnostic partition",
            _ => return,
        };
        warn!("the machine is to boot from {device}, but {reason}: it will go on with the usual order");
    }

    /// The flags that were in force are used up, if they were for one boot; the model then asks for the
    /// usual order, which the firmware sees at the next reset.
    fn boot_has_begun(&mut self) {
        if let Some(generation) = self.guest.as_mut().and_then(|guest| guest.boot_of_reset(u64::MAX)) {
            self.controller().with(|bmc| bmc.boot_began(generation));
        }
    }

    fn press_setup_key(&self) {
        if let Some(client) = self.guest.as_ref().and_then(Guest::client) {
            tokio::spawn(setup::press_key(client.clone(), self.driver.console.reader(0, false)));
        }
    }
}
