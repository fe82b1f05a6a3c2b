//! What a machine is put together from that is on the host: images, firmware.
//!
//! [`Parts::look`] says what there is and what would be made, [`Parts::make`] makes it too. Both block for the time
//! that a disk takes.

use super::{
    argv::Sockets,
    companion::Companion,
    disk::{self, Image},
    firmware::{self, FirmwareFiles},
    tpm::Tpm,
};
use crate::config::{MachinePlan, Paths};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a machine is put together from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) disk: Option<Image>,
    pub(crate) cdrom: Option<Image>,
    pub(crate) firmware: FirmwareFiles,
    pub(crate) tpm: Option<Tpm>,
}

impl Parts {
    /// What `qemu-bmc check` shows. Changes nothing.
    pub(crate) fn look(plan: &MachinePlan, paths: &Paths) -> Result<Self, Error> {
        Self::with(plan, firmware::locate(&plan.firmware, &paths.state_dir)?, paths)
    }

    /// What a machine starts with.
    pub(crate) fn make(plan: &MachinePlan, paths: &Paths) -> Result<Self, Error> {
        let parts = Self::with(plan, firmware::prepare(&plan.firmware, &paths.state_dir)?, paths)?;
        parts.tpm.as_ref().map(Tpm::make_folder).transpose()?;
        Ok(parts)
    }

    fn with(plan: &MachinePlan, firmware: FirmwareFiles, paths: &Paths) -> Result<Self, Error> {
        let disk = plan.storage.disk.as_deref().map(disk::inspect).transpose()?;
        let cdrom = plan.storage.cdrom.as_deref().map(disk::inspect).transpose()?;
        let tpm = plan.firmware.tpm.then(|| Tpm::find(&paths.state_dir)).transpose()?;
        Ok(Self { disk, cdrom, firmware, tpm })
    }

    /// What is to run beside QEMU.
    pub(crate) fn companions(&self, sockets: &Sockets) -> Vec<Companion> {
        self.tpm.iter().map(|tpm| tpm.companion(&sockets.tpm)).collect()
    }
}
