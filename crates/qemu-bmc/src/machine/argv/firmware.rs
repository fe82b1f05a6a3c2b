//! The firmware, and what it is told.

use std::path::Path;

use serde_json::json;

use super::{
    super::{
        firmware::{FirmwareFiles, Uefi},
        setup,
    },
    Spec,
    line::{Line, Part},
};
use crate::config::{FirmwareKind, Platform, UefiPlan};

pub(super) fn firmware(line: &mut Line, spec: &Spec<'_>) {
    match &spec.parts.firmware {
        FirmwareFiles::Bios => line.pair(
            "-fw_cfg",
            &[Part::Text("name=etc/sercon-port,file="), Part::Path(&spec.sockets.sercon_port)],
        ),
        FirmwareFiles::Uefi(Uefi { code, variables, secure_boot, .. }) => {
            line.blockdev(json!({
                "node-name": "firmware-code", "driver": "raw", "read-only": true,
                "file": { "driver": "file", "filename": code.to_string_lossy() },
            }));
            line.blockdev(json!({
                "node-name": "firmware-variables", "driver": "raw",
                "file": { "driver": "file", "filename": variables.to_string_lossy() },
            }));
            if *secure_boot {
                // The guest reaches variables only through system management mode, which a sleep of ACPI's kind S3
                // would open to it.
                line.words(&["-global", "driver=cfi.pflash01,property=secure,value=on"]);
                line.words(&["-global", "ICH9-LPC.disable_s3=1"]);
            }
            if let FirmwareKind::Uefi(UefiPlan { shell: false, .. }) = spec.plan.firmware.kind {
                line.words(&["-fw_cfg", "name=opt/org.tianocore/EFIShellSupport,string=no"]);
            }
        }
    }
}

/// The port that SeaBIOS and OVMF write what they do to.
pub(super) fn log(line: &mut Line, socket: &Path) {
    line.pair(
        "-chardev",
        &[Part::Text("socket,id=firmware-log,server=on,wait=off,path="), Part::Path(socket)],
    );
    line.words(&["-device", "isa-debugcon,iobase=0x402,chardev=firmware-log"]);
}

/// The newer of a PC's two interfaces to a TPM, which is also the one that Linux, Windows, SeaBIOS and OVMF all have.
pub(super) fn tpm(line: &mut Line, platform: Platform, socket: &Path) {
    line.pair("-chardev", &[Part::Text("socket,id=tpm0,path="), Part::Path(socket)]);
    line.words(&["-tpmdev", "emulator,id=tpm0,chardev=tpm0"]);
    line.words(&["-device", &format!("{},tpmdev=tpm0", platform.tpm())]);
}

pub(super) fn boot_menu(line: &mut Line, spec: &Spec<'_>) {
    let menu_ms = if spec.setup {
        Some(setup::PROMPT_MS.into())
    } else {
        spec.plan.firmware.menu_timeout.map(|timeout| timeout.as_millis())
    };
    if let Some(ms) = menu_ms {
        line.words(&["-boot", &format!("menu=on,splash-time={ms}")]);
    }
    if spec.setup && spec.parts.firmware == FirmwareFiles::Bios {
        line.words(&["-fw_cfg", &format!("name=etc/boot-menu-key,string={}", setup::SEABIOS_KEY)]);
    }
}
