//! What a machine is put together from that is on the host: images, firmware, the seed.
//!
//! [`Parts::look`] says what there is and what would be made, [`Parts::make`] makes it too. Both block for the time
//! that a disk takes.

use uuid::Uuid;

use super::{
    argv::Sockets,
    companion::Companion,
    disk::{self, Disk, Disks, Written},
    emulator::Emulator,
    firmware::FirmwareFiles,
    seed::{self, SeedDisk},
    tpm::Tpm,
};
use crate::config::{MachinePlan, Paths, Platform, SystemInterface};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What a machine is put together from.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) disks: Vec<Disk>,
    pub(crate) firmware: FirmwareFiles,
    pub(crate) tpm: Option<Tpm>,
    /// The guest's interface to its BMC.
    pub(crate) ipmi: Option<SystemInterface>,
    pub(crate) seed: Option<SeedDisk>,
    /// What is odd about them, one sentence each.
    pub(crate) remarks: Vec<String>,
}

impl Parts {
    /// What `qemu-bmc check` shows. Changes nothing.
    pub(crate) fn look(plan: &MachinePlan, paths: &Paths) -> Result<Self, Error> {
        let firmware = FirmwareFiles::find(&plan.firmware, &paths.state_dir)?;
        Self::with(plan, disk::look(&plan.storage, paths)?, firmware, seed::look(plan, paths)?, paths)
    }

    /// What the machine of this GUID starts with. What its guest has `written` on disks that forget is kept over a
    /// reset; firmware that starts `afresh` has forgotten everything.
    pub(crate) fn make(
        plan: &MachinePlan,
        paths: &Paths,
        node: Uuid,
        written: Written,
        afresh: bool,
    ) -> Result<Self, Error> {
        let firmware = FirmwareFiles::find(&plan.firmware, &paths.state_dir)?;
        firmware.make(afresh)?;
        let seed = seed::make(plan, paths, node)?;
        let parts = Self::with(plan, disk::make(&plan.storage, paths, written)?, firmware, seed, paths)?;
        parts.tpm.as_ref().map(Tpm::make_folder).transpose()?;
        Ok(parts)
    }

    fn with(
        plan: &MachinePlan,
        Disks { disks, remarks }: Disks,
        firmware: FirmwareFiles,
        seed: Option<SeedDisk>,
        paths: &Paths,
    ) -> Result<Self, Error> {
        let tpm = plan.firmware.tpm.then(|| Tpm::find(&paths.state_dir)).transpose()?;
        Ok(Self { disks, firmware, tpm, seed, ipmi: system_interface(plan), remarks })
    }

    /// What is to run beside QEMU.
    pub(crate) fn companions(&self, sockets: &Sockets) -> Vec<Companion> {
        self.tpm.iter().map(|tpm| tpm.companion(&sockets.tpm)).collect()
    }
}

/// The interface that was asked for, where QEMU has it. Builds for ARM often have not, and are not to be refused for
/// that; every one for a PC has.
fn system_interface(plan: &MachinePlan) -> Option<SystemInterface> {
    let interface = plan.ipmi?;
    let has_it = plan.hardware.machine.platform != Platform::Virt
        // One that can't be asked says more when it is started.
        || Emulator::ask(&plan.hardware).map_or(true, |qemu| qemu.has_device(interface.driver()));
    has_it.then_some(interface)
}

/// What people are told where that is none.
pub(crate) fn no_system_interface(plan: &MachinePlan, parts: &Parts) -> Option<String> {
    let wanted = plan.ipmi.filter(|_| parts.ipmi.is_none())?;
    Some(format!("this QEMU has no {}: the guest itself does not reach its BMC (VM_IPMI)", wanted.driver()))
}
