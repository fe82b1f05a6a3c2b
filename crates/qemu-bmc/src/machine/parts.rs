//! What a machine is put together from that is on the host: images, firmware.
//!
//! [`Parts::look`] says what there is and what would be made, [`Parts::make`] makes it too. Both block for the time
//! that a disk takes.

use super::{
    disk::{self, Image},
    firmware::{self, FirmwareFiles},
};
use crate::config::{MachinePlan, Paths};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a machine is put together from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) disk: Option<Image>,
    pub(crate) cdrom: Option<Image>,
    pub(crate) firmware: FirmwareFiles,
}

impl Parts {
    /// What `qemu-bmc check` shows. Changes nothing.
    pub(crate) fn look(plan: &MachinePlan, paths: &Paths) -> Result<Self, Error> {
        Self::with(plan, firmware::locate(plan.firmware.kind, &paths.state_dir)?)
    }

    /// What a machine starts with.
    pub(crate) fn make(plan: &MachinePlan, paths: &Paths) -> Result<Self, Error> {
        Self::with(plan, firmware::prepare(plan.firmware.kind, &paths.state_dir)?)
    }

    fn with(plan: &MachinePlan, firmware: FirmwareFiles) -> Result<Self, Error> {
        let disk = plan.storage.disk.as_deref().map(disk::inspect).transpose()?;
        let cdrom = plan.storage.cdrom.as_deref().map(disk::inspect).transpose()?;
        Ok(Self { disk, cdrom, firmware })
    }
}
