//! How the driver brings together what interfaces do, the machine, and what the model knows of both.

use std::time::Instant;

use bmc::Fact;
use uuid::Uuid;

use super::{Machine, Stop, nics::LinkChange};

impl Machine {
    /// Gives the lab its time to add interfaces. False if the machine is not wanted on any more.
    pub(super) async fn wait_for_interfaces(&mut self) -> bool {
        tokio::select! {
            () = self.nics.wait() => true,
            () = self.driver.controller.unwanted() => false,
            _ = self.driver.stop.wait_for(|stop| *stop != Stop::No) => false,
        }
    }

    /// Some interface is another than it was, or may be.
    pub(super) async fn follow_interfaces(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        let changes = self.nics.follow(guest).await;
        let node = Uuid::from_bytes(self.driver.controller.with(|bmc| bmc.identity.uuid));
        if self.nics.plug_in(node, guest).await {
            guest.forget_devices();
            self.show_nics();
            self.arm().await;
        }
        for LinkChange { nic, up } in changes {
            self.report(Fact::LinkChanged { nic, up });
        }
    }

    /// Lets the model know which NICs the machine has.
    pub(super) fn show_nics(&self) {
        let nics = self.nics.shown();
        self.controller().with(|bmc| bmc.set_nics(Instant::now(), nics));
    }
}
