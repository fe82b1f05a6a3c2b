//! What QEMU does, and what becomes of it.

use std::time::Instant;

use bmc::{BootDevice, Fact, ResetBy, StopReason};
use qmp::qapi::RunState;
use tracing::{info, warn};

use super::{
    super::{
        companion::Loss,
        disk,
        guest::{Happening, Record},
        load::{self, Capacity, Sampler},
        monitor::{self, Meaning},
    },
    Machine, RESET_SETTLES, Stop,
};
use crate::{config::HardwarePlan, os::children::Ended, serve::vnc::HostScreen};

impl Machine {
    pub(super) async fn happened(&mut self, happening: Happening) {
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
                    Meaning::Tray => self.trays.moved(),
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

    pub(super) async fn look_whether_it_runs(&mut self) {
        let Some(guest) = &self.guest else { return };
        if let Some(state) = guest.state().await {
            self.observe_full(state == RunState::IoError);
            let paused = monitor::is_paused(&state);
            self.controller().with(|bmc| bmc.observe_paused(Instant::now(), paused));
        }
    }

    pub(super) async fn was_reset(&mut self, seq: u64, by: ResetBy) {
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
    pub(super) async fn settle(&mut self) {
        self.settling = None;
        if std::mem::take(&mut self.order_stale) {
            self.arm().await;
        }
    }

    pub(super) async fn ended_by_itself(&mut self, ended: Ended) {
        let Some(guest) = self.guest.take() else { return };
        self.release().await;
        let why = monitor::stop_reason(guest.announced.as_ref(), ended, &self.messages.last_words());
        self.gone(why).await;
    }

    /// QEMU has ended, and everybody is to know.
    pub(super) async fn gone(&mut self, why: StopReason) {
        self.guest = None;
        (self.soft, self.agent_at, self.look_for_room) = (None, None, None);
        Record::forget(&self.driver.paths.run_dir);
        self.throw_away().await;
        self.driver.screen.send_replace(HostScreen::Off);
        self.report(Fact::Stopped { why });
    }

    /// What the guest has written on disks that forget. A big file takes a file system long to remove.
    pub(super) async fn throw_away(&self) {
        let run_dir = self.driver.paths.run_dir.clone();
        let _ = tokio::task::spawn_blocking(move || disk::throw_away(&run_dir)).await;
    }

    /// What there was for this QEMU alone.
    pub(super) async fn release(&mut self) {
        self.nics.release().await;
        self.companions.end().await;
        self.show_companions();
    }

    pub(super) fn lost_companion(&self, loss: &Loss) {
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

    pub(super) fn show_companions(&self) {
        self.driver.companions.send_replace(self.companions.shown());
    }

    /// How busy the machine is, for the sensors.
    pub(super) async fn sample(&mut self) {
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
}
