//! The guest's firmware: what its settings mean.

use std::path::PathBuf;

use crate::config::{
    firmware::{Firmware, FirmwareKind, FirmwarePlan, Keys, UefiPlan},
    hardware::Platform,
    host::PathKind,
    reader::Reader,
    settings::{self, Row, Setting},
};

impl Reader<'_> {
    pub(super) fn firmware(&mut self, platform: Platform) -> Option<FirmwarePlan> {
        let kind = self.firmware_kind(platform);
        let menu_timeout = self.get(&settings::VM_BOOT_MENU_TIMEOUT);
        let uefi = self.uefi();
        let tpm = self.get(&settings::VM_TPM);
        let log = self.get(&settings::VM_FIRMWARE_LOG);
        let kind = match (kind?, uefi?) {
            (Firmware::Bios, uefi) => {
                self.check_bios(&uefi);
                FirmwareKind::Bios
            }
            (Firmware::Uefi, uefi) => FirmwareKind::Uefi(uefi),
        };
        self.check_platform(platform, &kind, log?);
        Some(FirmwarePlan { kind, platform, menu_timeout: menu_timeout?, log: log?, tpm: tpm? })
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

    fn uefi(&mut self) -> Option<UefiPlan> {
        let secure_boot = self.get(&settings::VM_SECURE_BOOT);
        let code = self.image(&settings::VM_UEFI_CODE);
        let template = self.image(&settings::VM_UEFI_VARS);
        let reset = self.get(&settings::VM_UEFI_RESET);
        let shell = self.get(&settings::VM_UEFI_SHELL);

        let (secure_boot, shell) = (secure_boot?, shell?);
        if secure_boot && shell {
            let secure_boot = self.texts.name(&settings::VM_SECURE_BOOT.row);
            let why =
                format!("a shell starts whatever it is told to, which Secure Boot ({secure_boot}) forbids");
            self.refuse(&settings::VM_UEFI_SHELL.row, &why);
        }
        // What was refused is a problem already; the rest is looked at all the same.
        let (code, template) = (code.flatten(), template.flatten());
        if code.is_some() && template.is_none() {
            let template = self.texts.name(&settings::VM_UEFI_VARS.row);
            let why = format!("its variables need a template that was made for it ({template})");
            self.refuse(&settings::VM_UEFI_CODE.row, &why);
        }
        Some(UefiPlan {
            secure_boot: secure_boot.then_some(Keys::Preset),
            code,
            template,
            reset: reset?,
            shell,
        })
    }

    /// An image of firmware, which is to be there.
    fn image(&mut self, setting: &'static Setting<Option<PathBuf>>) -> Option<Option<PathBuf>> {
        let Some(path) = self.get(setting)? else { return Some(None) };
        let why = match self.host.kind(&path) {
            Some(PathKind::File) => return Some(Some(path)),
            Some(PathKind::Folder) => "this is a folder",
            None => "there is no such file",
        };
        self.refuse(&setting.row, why);
        None
    }

    /// What only a PC can do, or only one of the newer kind.
    fn check_platform(&mut self, platform: Platform, kind: &FirmwareKind, log: bool) {
        let secure = matches!(kind, FirmwareKind::Uefi(uefi) if uefi.secure_boot.is_some());
        if secure && platform != Platform::Q35 {
            let row = &settings::VM_SECURE_BOOT.row;
            self.refuse(row, "this takes the machine q35: no other keeps the keys out of its guest's reach");
        }
        if log && platform == Platform::Virt {
            self.refuse(&settings::VM_FIRMWARE_LOG.row, "only a PC has the port that firmware writes it to");
        }
    }

    /// What is said of UEFI has no meaning for a machine without it.
    fn check_bios(&mut self, uefi: &UefiPlan) {
        let mode = self.texts.name(&settings::VM_BOOT_MODE.row);
        let needs = format!("this takes UEFI: set {mode} to uefi");
        let said: [(bool, &'static Row); 5] = [
            (uefi.secure_boot.is_some(), &settings::VM_SECURE_BOOT.row),
            (uefi.code.is_some(), &settings::VM_UEFI_CODE.row),
            (uefi.template.is_some(), &settings::VM_UEFI_VARS.row),
            (uefi.reset, &settings::VM_UEFI_RESET.row),
            (uefi.shell, &settings::VM_UEFI_SHELL.row),
        ];
        for (_, row) in said.into_iter().filter(|(said, _)| *said) {
            self.refuse(row, &needs);
        }
    }
}
