//! What the firmware is to boot from.

use bmc::BootDevice;
use tracing::warn;

use super::{
    super::{boot, guest::Guest, setup},
    Machine,
};
use crate::chain;

impl Machine {
    /// Lets the firmware boot in the model's order from the next reset on.
    pub(super) async fn arm(&mut self) {
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

    pub(super) fn remark_on(&self, device: BootDevice) {
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
    pub(super) fn boot_has_begun(&mut self) {
        if let Some(generation) = self.guest.as_mut().and_then(|guest| guest.boot_of_reset(u64::MAX)) {
            self.controller().with(|bmc| bmc.boot_began(generation));
        }
    }

    pub(super) fn press_setup_key(&self) {
        if let Some(client) = self.guest.as_ref().and_then(Guest::client) {
            tokio::spawn(setup::press_key(client.clone(), self.driver.console.reader(0, false)));
        }
    }
}
