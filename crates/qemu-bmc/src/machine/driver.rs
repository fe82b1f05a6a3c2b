//! The one task that starts, commands and ends QEMU.
//!
//! It takes intents from the model, one after the other, carries each out to its end, and reports facts. In
//! between it listens to QEMU. Nothing waits for it: the model has answered whoever asked long before.
//!
//! What is wanted is in [`requests`], what QEMU does in [`happenings`], how a process is started and ended in [`process`],
//! how the driver's own work begins and ends in [`ends`].

mod boot_order;
mod ends;
mod happenings;
mod interfaces;
mod media;
mod nics;
mod process;
mod requests;
mod room;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bmc::{Abilities, Fact, PowerRequest};
use media::Trays;
use nics::Nics;
pub(crate) use nics::preview;
use tokio::{
    sync::{mpsc, watch},
    time,
};

use super::{
    agent::Agent,
    argv::{Accelerator, Sockets},
    companion::{Companions, Loss, Shown},
    firmware::Reset as FirmwareReset,
    guest::{Guest, Happening},
    load::Sampler,
    messages::Messages,
};
use crate::{
    config::{MachinePlan, Paths, Times},
    console::{Connection, Console},
    controller::Controller,
    serve::ipmi_inband::InBand,
    serve::vnc::HostScreen,
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
            trays: Trays::default(),
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
    Trays,
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
    trays: Trays,
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
                Next::Trays => self.look_at_drives().await,
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
            () = self.trays.due(), if runs => Next::Trays,
            () = time::sleep_until(self.sample_at.into()), if runs => Next::Sample,
        }
    }
}
