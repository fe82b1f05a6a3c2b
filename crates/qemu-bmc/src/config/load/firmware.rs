//! The guest's firmware: what its settings mean.

use crate::config::{
    firmware::{Firmware, FirmwarePlan},
    hardware::Platform,
    reader::Reader,
    settings,
};

impl Reader<'_> {
    pub(super) fn firmware(&mut self, platform: Platform) -> Option<FirmwarePlan> {
        let kind = self.firmware_kind(platform);
        let menu_timeout = self.get(&settings::VM_BOOT_MENU_TIMEOUT);
        let tpm = self.get(&settings::VM_TPM);
        Some(FirmwarePlan { kind: kind?, platform, menu_timeout: menu_timeout?, tpm: tpm? })
    }

    /// An ARM machine has UEFI without being asked.
    fn firmware_kind(&mut self, platform: Platform) -> Option<Firmware> {
        let kind = self.get(&settings::VM_BOOT_MODE)?;
        let row = &settings::VM_BOOT_MODE.row;
        if platform != Platform::Virt || kind == Firmware::Uefi {
            return Some(kind);
        }
        if self.is_said(row) {
            self.refuse(row, "there is no BIOS for an ARM machine: it has UEFI");
        }
        self.show(row, "uefi");
        Some(Firmware::Uefi)
    }
}
