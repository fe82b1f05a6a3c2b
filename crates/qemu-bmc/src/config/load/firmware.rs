//! The guest's firmware: what its settings mean.

use crate::config::{firmware::FirmwarePlan, reader::Reader, settings};

impl Reader<'_> {
    pub(super) fn firmware(&mut self) -> Option<FirmwarePlan> {
        let kind = self.get(&settings::VM_BOOT_MODE);
        let menu_timeout = self.get(&settings::VM_BOOT_MENU_TIMEOUT);
        let tpm = self.get(&settings::VM_TPM);
        Some(FirmwarePlan { kind: kind?, menu_timeout: menu_timeout?, tpm: tpm? })
    }
}
