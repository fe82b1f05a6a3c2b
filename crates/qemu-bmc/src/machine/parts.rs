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
    share::Shares,
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
    pub(crate) shares: Shares,
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
        let seed = seed::make(plan, paths, node)?;
        let parts = Self::with(plan, disk::make(&plan.storage, paths, written)?, firmware, seed, paths)?;
        parts.tpm.as_ref().map(Tpm::make_folder).transpose()?;
        // Last: a machine that lacks anything else has lost nothing.
        parts.firmware.make(afresh)?;
        Ok(parts)
    }

    fn with(
        plan: &MachinePlan,
        Disks { disks, mut remarks }: Disks,
        firmware: FirmwareFiles,
        seed: Option<SeedDisk>,
        paths: &Paths,
    ) -> Result<Self, Error> {
        let tpm = plan.firmware.tpm.then(|| Tpm::find(&paths.state_dir)).transpose()?;
        let shares = Shares::find(&plan.shares)?;
        let ipmi = system_interface(plan);
        let inband = plan.ipmi.filter(|_| ipmi.is_none()).map(|wanted| {
            format!("this QEMU has no {}: the guest itself does not reach its BMC (VM_IPMI)", wanted.driver())
        });
        remarks.extend(inband.into_iter().chain(shares.warning()));
        Ok(Self { disks, firmware, tpm, shares, seed, ipmi, remarks })
    }

    /// What is to run beside QEMU.
    pub(crate) fn companions(&self, sockets: &Sockets) -> Vec<Companion> {
        let tpm = self.tpm.iter().map(|tpm| tpm.companion(&sockets.tpm));
        tpm.chain(self.shares.companions(&sockets.folder)).collect()
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
