//! How the driver starts a QEMU process and ends it.

use bmc::{BootDevice, StopReason};
use qmp::commands::Quit;
use rustix::thread::CapabilitySet;
use tokio::time;
use tracing::warn;

use super::{
    super::{
        argv::{self, Accelerator},
        boot,
        disk::Written,
        firmware,
        guest::{Guest, Launch, Record, StartError, Started},
        kvm,
        parts::Parts,
    },
    Machine, Stop,
    nics::Prepared,
};
use crate::{
    chain,
    config::MachinePlan,
    console::Connection,
    serve::{ipmi_inband::InBand, vnc::HostScreen},
};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What QEMU needs of root's privileges: to open images that belong to others, and to listen on a port that is
/// forwarded and below the first one that everybody may have.
fn capabilities(plan: &MachinePlan) -> CapabilitySet {
    const FIRST_UNPRIVILEGED: u16 = 1024;

    let mut needed = CapabilitySet::DAC_OVERRIDE;
    if plan.nics.forwards.iter().any(|forward| forward.port < FIRST_UNPRIVILEGED) {
        needed |= CapabilitySet::NET_BIND_SERVICE;
    }
    needed
}

impl Machine {
    /// Starts QEMU, whose guest finds what it has `written` on disks that forget, or doesn't.
    pub(super) async fn start(&mut self, written: Written) -> Result<(), Error> {
        let outcome = self.launch(written).await;
        if outcome.is_err() {
            self.release().await;
        }
        outcome
    }

    async fn launch(&mut self, written: Written) -> Result<(), Error> {
        (self.settling, self.order_stale) = (None, false);
        let media = self.readable_media().await?;
        let choice = self.controller().with(|bmc| bmc.boot().choice());
        let setup = choice.device == BootDevice::Setup;
        let order = boot::order(&self.driver.plan.boot, choice.device);
        let accelerator = self.accelerator().await;
        let identity = self.controller().with(|bmc| bmc.shown_identity());
        let node = uuid::Uuid::from_bytes(identity.uuid);
        let prepared = self.nics.prepare(node).await;
        let parts = self.parts(node, written).await?;
        self.companions.start(parts.companions(&self.sockets)).await?;
        self.show_companions();
        let arguments = argv::arguments(&argv::Spec {
            plan: &self.driver.plan,
            identity: &identity,
            accelerator,
            parts: &parts,
            sockets: &self.sockets,
            media: &media,
            nics: &prepared.set,
            order: &order,
            setup,
        });
        let program = self.driver.plan.hardware.qemu_binary.clone();
        tracing::debug!("{}", argv::shell(&program, &arguments));

        let run_dir = self.driver.paths.run_dir.clone();
        let capabilities = capabilities(&self.driver.plan);
        let Prepared { placed, inherited, .. } = prepared;
        let launch = Launch {
            program: &program,
            arguments: &arguments,
            inherited,
            capabilities,
            setup,
            nics: &placed,
        };
        let Started { mut guest, serial, ipmi } =
            Guest::start(launch, &run_dir, &self.sockets, &self.messages).await?;
        // The hub takes it once it has read the last machine's output to the end.
        let connection = Connection::with_copy(serial, self.sockets.serial_log.clone(), false);
        let _ = self.driver.serial.send(connection);
        if let Some(stream) = ipmi {
            let _ = self.driver.ipmi.send(InBand { stream, resumed: false });
        }
        self.follow_firmware_log().await;
        let running = async {
            self.nics.follow(&guest).await;
            guest.prepare_boot(&order, &self.nics.boot_order()).await?;
            guest.go(choice.generation).await
        };
        if let Err(error) = running.await {
            guest.process.kill()?;
            guest.process.wait().await?;
            Record::forget(&run_dir);
            return Err(StartError::from(error).into());
        }
        self.controller().with(|bmc| bmc.drives_are_filled());
        self.driver.screen.send_replace(HostScreen::On(self.sockets.vnc.clone()));
        self.guest = Some(guest);
        self.show_nics();
        self.remark_on(choice.device);
        if setup {
            self.press_setup_key();
        }
        Ok(())
    }

    /// From the first byte of a machine that is about to run, or from now on.
    pub(super) async fn follow_firmware_log(&self) {
        if !self.driver.plan.firmware.log {
            return;
        }
        let state_dir = &self.driver.paths.state_dir;
        if let Err(error) = firmware::log::follow(&self.sockets.firmware_log, state_dir).await {
            warn!("keep the firmware's log {}: {error}", firmware::log::path(state_dir).display());
        }
    }

    async fn parts(&mut self, node: uuid::Uuid, written: Written) -> Result<Parts, Error> {
        let (plan, paths) = (self.driver.plan.clone(), self.driver.paths.clone());
        let afresh = self.driver.firmware_reset.is_due();
        // A slow disk must not keep the doors from answering.
        let making = tokio::task::spawn_blocking(move || Parts::make(&plan, &paths, node, written, afresh));
        let mut stop = self.driver.stop.clone();
        let parts = tokio::select! {
            parts = making => parts??,
            // Nor must a file system that hangs keep the program from ending.
            Ok(_) = stop.wait_for(|stop| *stop != Stop::No) => {
                return Err("the program is to stop, and the disks are not ready".into());
            }
        };
        self.driver.firmware_reset.done();
        for remark in &parts.remarks {
            warn!("{remark}");
        }
        Ok(parts)
    }

    /// KVM where it really works. Found out once.
    async fn accelerator(&mut self) -> Accelerator {
        if let Some(known) = self.accelerator {
            return known;
        }
        let accelerator = if !self.driver.plan.hardware.kvm {
            Accelerator::Tcg
        } else {
            match kvm::probe(&self.driver.plan.hardware, &self.driver.paths.run_dir).await {
                Ok(()) => Accelerator::Kvm,
                Err(reason) => {
                    warn!("{reason}; the guest runs in software (TCG), which is slow");
                    Accelerator::Tcg
                }
            }
        };
        self.accelerator = Some(accelerator);
        accelerator
    }

    /// Ends QEMU, whatever it takes. None if it was not running.
    pub(super) async fn end_process(&mut self) -> Option<StopReason> {
        let guest = self.guest.as_mut()?;
        (self.soft, self.agent_at) = (None, None);
        let limit = self.driver.times.quit;
        let quit = async {
            match guest.client() {
                // The answer may be lost in QEMU's end, and a QEMU that does not answer will not end.
                Some(client) => drop(client.call(&Quit, limit).await),
                None => drop(guest.process.signal(rustix::process::Signal::TERM)),
            }
            guest.process.wait().await
        };
        let why = match time::timeout(limit, quit).await {
            Ok(Ok(_)) => StopReason::Command,
            Ok(Err(_)) | Err(_) => {
                if let Err(error) = guest.process.kill() {
                    warn!("{}", chain(&error));
                }
                let _ = guest.process.wait().await;
                StopReason::Forced
            }
        };
        self.guest = None;
        self.release().await;
        Some(why)
    }
}
