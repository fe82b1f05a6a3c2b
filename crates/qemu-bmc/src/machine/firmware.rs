//! Which firmware the machine starts, and with which variables.
//!
//! UEFI firmware is two images: code, which is shared and read-only, and variables, which are the machine's own and
//! are made of a template that belongs to the code. Secure Boot is both: a build of the code that keeps its variables
//! out of the guest's reach in system management mode, and a template in which the keys are enrolled that say what
//! may be started.

pub(crate) mod log;
mod reset;
mod variables;

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

pub(crate) use reset::Reset;
use sha2::{Digest as _, Sha256};

use crate::config::{FirmwareKind, FirmwarePlan, Keys, Platform, UefiPlan};

/// Firmware, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirmwareFiles {
    /// SeaBIOS, which QEMU brings along.
    Bios,
    /// OVMF, or AAVMF, which is the same for ARM, or another with the same interfaces.
    Uefi(Uefi),
}

/// UEFI firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uefi {
    /// Shared and read-only.
    pub(crate) code: PathBuf,
    /// This machine's own.
    pub(crate) variables: PathBuf,
    /// Whether it starts only what is signed, which takes system management mode.
    pub(crate) secure_boot: bool,
    /// What variables begin as.
    template: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FirmwareError {
    #[error("{} is no template of UEFI variables (VM_UEFI_VARS): {why}", path.display())]
    NoTemplate { path: PathBuf, why: &'static str },
    #[error("no UEFI firmware{what} found (looked for {}); install the package {package}, or set VM_UEFI_CODE and VM_UEFI_VARS", looked.join(", "))]
    NotFound { what: &'static str, looked: Vec<&'static str>, package: &'static str },
    #[error("{doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
}

/// Where a distribution puts a build of OVMF: code, and the template of its variables.
struct Build {
    code: &'static str,
    template: &'static str,
}

const fn build(code: &'static str, template: &'static str) -> Build {
    Build { code, template }
}

/// Without Secure Boot.
const OVMF: [Build; 6] = [
    build("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    build("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    build("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    build("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    build("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    build("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
];

/// The same for ARM, of the size that the board's flash memory has.
const AAVMF: [Build; 4] = [
    build("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    build("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    build("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
    build("/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"),
];

/// With Secure Boot, and with Microsoft's keys, which Linux distributions have their boot loaders signed with too.
const OVMF_SECURE: [Build; 4] = [
    build("/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"),
    build("/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"),
    build("/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"),
    build("/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin"),
];

impl FirmwareFiles {
    /// Finds the firmware. Changes nothing.
    pub(crate) fn find(plan: &FirmwarePlan, state_dir: &Path) -> Result<Self, FirmwareError> {
        match &plan.kind {
            FirmwareKind::Bios => Ok(Self::Bios),
            FirmwareKind::Uefi(uefi) => Uefi::find(uefi, plan.platform, state_dir).map(Self::Uefi),
        }
    }

    /// Makes the machine's own variables where there are none yet; with `afresh`, even where there are.
    pub(crate) fn make(&self, afresh: bool) -> Result<(), FirmwareError> {
        match self {
            Self::Bios => Ok(()),
            Self::Uefi(Uefi { template, variables, .. }) => variables::make(template, variables, afresh),
        }
    }
}

impl Uefi {
    fn find(plan: &UefiPlan, platform: Platform, state_dir: &Path) -> Result<Self, FirmwareError> {
        let secure_boot = plan.secure_boot.is_some();
        let (code, template) = match (&plan.code, &plan.template) {
            (Some(code), Some(template)) => (code.clone(), template.clone()),
            (_, own_template) => {
                let Build { code, template } = installed(platform, secure_boot)?;
                (code.into(), own_template.clone().unwrap_or_else(|| template.into()))
            }
        };
        if let Some(own) = &plan.template {
            variables::check(own)?;
        }
        Ok(Self { code, variables: state_dir.join(variables_name(plan)), secure_boot, template })
    }
}

/// Variables belong to the keys and to the code that they were made for: a machine whose settings change has other
/// ones, and has the old ones again when the settings are as they were.
fn variables_name(plan: &UefiPlan) -> String {
    let mut name = String::from("uefi-variables");
    match plan.secure_boot {
        Some(Keys::Preset) => name.push_str(".secure-boot"),
        None => {}
    }
    let own = [&plan.code, &plan.template];
    if own.iter().any(|path| path.is_some()) {
        let mut digest = Sha256::new();
        for path in own {
            digest.update(path.as_deref().unwrap_or(Path::new("")).as_os_str().as_encoded_bytes());
            digest.update([0]);
        }
        name.push('.');
        for byte in digest.finalize().iter().take(4) {
            // Writing to a String cannot fail.
            let _ = write!(name, "{byte:02x}");
        }
    }
    name + ".fd"
}

fn installed(platform: Platform, secure_boot: bool) -> Result<&'static Build, FirmwareError> {
    let (builds, what, package): (&[Build], _, _) = match (platform, secure_boot) {
        (Platform::Virt, _) => (&AAVMF, "", "qemu-efi-aarch64"),
        (_, false) => (&OVMF, "", "ovmf"),
        (_, true) => (&OVMF_SECURE, " with Secure Boot and enrolled keys", "ovmf"),
    };
    let exists = |path| fs::exists(path).unwrap_or_default();
    let found = builds.iter().find(|build| exists(build.code) && exists(build.template));
    found.ok_or_else(|| {
        let looked = builds.iter().map(|build| build.code).collect();
        FirmwareError::NotFound { what, looked, package }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_other_keys_and_other_code_are_others() {
        let plain = UefiPlan { secure_boot: None, code: None, template: None, reset: false, shell: false };
        let secure = UefiPlan { secure_boot: Some(Keys::Preset), ..plain.clone() };
        let own = |code: &str, template: &str| UefiPlan {
            code: Some(code.into()),
            template: Some(template.into()),
            ..secure.clone()
        };
        assert_eq!(variables_name(&plain), "uefi-variables.fd", "as they have always been called");
        let names = [
            variables_name(&plain),
            variables_name(&secure),
            variables_name(&own("/a", "/b")),
            variables_name(&own("/a", "/c")),
            variables_name(&own("/a/b", "")),
        ];
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{names:?}");
        }
        assert_eq!(variables_name(&own("/a", "/b")), names[2]);
    }
}
