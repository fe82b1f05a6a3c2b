//! Which firmware the machine starts, and where it keeps its variables.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::config::{Firmware, FirmwarePlan, Platform};

/// Firmware, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirmwareFiles {
    /// SeaBIOS, which QEMU brings along.
    Bios,
    /// OVMF, or AAVMF, which is the same for ARM: code that is shared and read-only, variables that are this machine's own.
    Uefi { code: PathBuf, variables: PathBuf },
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum FirmwareError {
    #[error("no UEFI firmware found (looked for {}); install the package {package}", looked.join(", "))]
    NotFound { looked: Vec<&'static str>, package: &'static str },
    #[error("{doing} {}: {source}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
}

/// Where distributions put OVMF: code, and the template for variables. All are without Secure Boot.
const OVMF: [(&str, &str); 6] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
];

/// Where they put the same for ARM, of the size that the board's flash memory has.
const AAVMF: [(&str, &str); 4] = [
    ("/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
    ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
    ("/usr/share/qemu/edk2-aarch64-code.fd", "/usr/share/qemu/edk2-arm-vars.fd"),
];

/// Finds the firmware.
pub(crate) fn locate(firmware: &FirmwarePlan, state_dir: &Path) -> Result<FirmwareFiles, FirmwareError> {
    match firmware.kind {
        Firmware::Bios => Ok(FirmwareFiles::Bios),
        Firmware::Uefi => {
            let (code, _) = uefi(firmware.platform)?;
            Ok(FirmwareFiles::Uefi { code: code.to_owned(), variables: state_dir.join("uefi-variables.fd") })
        }
    }
}

/// Finds the firmware, and makes the machine's own variables where there are none yet.
pub(crate) fn prepare(firmware: &FirmwarePlan, state_dir: &Path) -> Result<FirmwareFiles, FirmwareError> {
    let files = locate(firmware, state_dir)?;
    if let FirmwareFiles::Uefi { variables, .. } = &files {
        let (_, template) = uefi(firmware.platform)?;
        keep_variables(template, variables)?;
    }
    Ok(files)
}

fn uefi(platform: Platform) -> Result<(&'static Path, &'static Path), FirmwareError> {
    let (builds, package) = match platform {
        Platform::Q35 | Platform::Pc => (&OVMF[..], "ovmf"),
        Platform::Virt => (&AAVMF[..], "qemu-efi-aarch64"),
    };
    builds
        .iter()
        .map(|(code, template)| (Path::new(*code), Path::new(*template)))
        .find(|(code, template)| code.exists() && template.exists())
        .ok_or_else(|| FirmwareError::NotFound {
            looked: builds.iter().map(|(code, _)| *code).collect(),
            package,
        })
}

/// Variables of another size belong to another build of the firmware, which could not read them: they are
/// set aside, not lost.
fn keep_variables(template: &Path, variables: &Path) -> Result<(), FirmwareError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| FirmwareError::File { doing, path, source }
    };
    let wanted = fs::metadata(template).map_err(failed("look at", template))?.len();
    match fs::metadata(variables) {
        Ok(found) if found.len() == wanted => return Ok(()),
        Ok(found) => {
            let aside = variables.with_extension("fd.unusable");
            fs::rename(variables, &aside).map_err(failed("set aside", variables))?;
            tracing::warn!(
                "UEFI variables in {} have {} bytes and this firmware's have {wanted}: they are kept as {} and the machine starts with fresh ones",
                variables.display(),
                found.len(),
                aside.display(),
            );
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(failed("look at", variables)(source)),
    }
    let fresh = fs::read(template).map_err(failed("read", template))?;
    crate::os::atomic_file::write(variables, &fresh, 0o600).map_err(|error| FirmwareError::File {
        doing: "write",
        path: variables.to_owned(),
        source: io::Error::other(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (template, variables) = (dir.path().join("template"), dir.path().join("variables"));
        fs::write(&template, b"fresh").unwrap();
        keep_variables(&template, &variables).unwrap();
        assert_eq!(fs::read(&variables).unwrap(), b"fresh");
        fs::write(&variables, b"mine!").unwrap();
        keep_variables(&template, &variables).unwrap();
        assert_eq!(fs::read(&variables).unwrap(), b"mine!");
    }

    #[test]
    fn variables_of_another_size_are_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let (template, variables) = (dir.path().join("template"), dir.path().join("variables.fd"));
        fs::write(&template, b"fresh").unwrap();
        fs::write(&variables, b"too long").unwrap();
        keep_variables(&template, &variables).unwrap();
        assert_eq!(fs::read(&variables).unwrap(), b"fresh");
        assert_eq!(fs::read(dir.path().join("variables.fd.unusable")).unwrap(), b"too long");
    }
}
