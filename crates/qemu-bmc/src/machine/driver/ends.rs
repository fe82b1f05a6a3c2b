//! How the driver's work begins, with a machine that may be running already, and how it ends.

use std::time::Instant;

use bmc::{Fact, HostPower, PowerRequest, Requester};
use qmp::commands::SystemPowerdown;
use tokio::time;
use tracing::{info, warn};

use super::{
    super::agent,
    super::disk::Written,
    super::guest::{Adopted, Found, Guest, Record},
    Machine, Stop,
};
use crate::{
    console::Connection,
    serve::{ipmi_inband::InBand, vnc::HostScreen},
};

impl Machine {
    pub(super) fn begin(&self) {
        if self.driver.power_on && self.guest.is_none() {
            let by = Requester::RestorePolicy;
            // It is off and nothing else is under way, so it can't be refused.
            let _ = self.controller().with(|bmc| bmc.power(Instant::now(), PowerRequest::On, by));
        }
    }

    /// Takes over a machine that an earlier controller left running.
    pub(super) async fn take_over(&mut self) {
        let Some(Found { process, setup, nics }) = Record::find(&self.driver.paths.run_dir) else {
            self.companions.take_over();
            self.release().await;
            self.throw_away().await;
            return;
        };
        info!("a machine is running already (process {}): it is taken over", process.pid());
        let losses = self.companions.take_over();
        // It started with what it was to start with.
        self.driver.firmware_reset.done();
        // A QEMU whose sockets are not there, or whose guest has never run, was being started.
        let mut half_started = !self.sockets.qmp.exists();
        let Adopted { guest, serial, ipmi } = Guest::adopt(process, setup, &self.sockets).await;
        half_started |= guest.has_never_run().await;
        if half_started {
            info!("it was only being started: it is started anew");
            self.guest = Some(guest);
            self.end_process().await;
            Record::forget(&self.driver.paths.run_dir);
            // No guest has written anything since, and before a reset it has: that stays.
            self.power_on(Written::Kept).await;
            return;
        }
        if let Some(stream) = serial {
            let connection = Connection::with_copy(stream, self.sockets.serial_log.clone(), true);
            let _ = self.driver.serial.send(connection);
        }
        if let Some(stream) = ipmi {
            let _ = self.driver.ipmi.send(InBand { stream, resumed: true });
        }
        self.nics.adopt(nics, guest.client()).await;
        self.guest = Some(guest);
        self.driver.screen.send_replace(HostScreen::On(self.sockets.vnc.clone()));
        self.report(Fact::Adopted);
        self.show_companions();
        self.follow_firmware_log().await;
        losses.iter().for_each(|loss| self.lost_companion(loss));
        self.look_whether_it_runs().await;
        self.look_at_drives().await;
        self.show_nics();
        self.follow_interfaces().await;
        self.arm().await;
    }

    /// The program ends: the guest is asked to shut down, and switched off if it does not in time.
    pub(super) async fn shut_down(&mut self) {
        if self.guest.is_none() {
            return;
        }
        let limit = self.driver.times.stop;
        info!("stopping: the guest has {} s to shut down", limit.as_secs_f32());
        let mut hurry = self.driver.stop.clone();
        let end = time::Instant::now() + limit;
        self.tell("press the power button", SystemPowerdown).await;
        let mut agent_at = Some(time::Instant::now() + agent::patience(Some(limit)));
        while let Some(guest) = &mut self.guest {
            // Only the waiting is cut short, never what is being done.
            let happening = tokio::select! {
                happening = guest.next() => happening,
                () = time::sleep_until(agent_at.unwrap_or(end)), if agent_at.is_some() => {
                    agent_at = None;
                    self.ask_agent();
                    continue;
                }
                () = time::sleep_until(end) => break,
                _ = hurry.wait_for(|stop| *stop == Stop::Now) => break,
            };
            self.happened(happening).await;
        }
        if self.guest.is_some() {
            warn!("the guest has not shut down: it is switched off");
            self.power_off().await;
        }
        debug_assert_eq!(self.controller().with(|bmc| bmc.host_power()), HostPower::Off);
    }
}
