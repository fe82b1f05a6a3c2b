//! The firmware, and what it is told.

use std::path::Path;

use serde_json::json;

use super::{
    super::{firmware::FirmwareFiles, setup},
    Spec,
    line::{Line, Part},
};
use crate::config::Platform;

pub(super) fn firmware(line: &mut Line, spec: &Spec<'_>) {
    match &spec.parts.firmware {
        FirmwareFiles::Bios => line.pair(
            "-fw_cfg",
            &[Part::Text("name=etc/sercon-port,file="), Part::Path(&spec.sockets.sercon_port)],
        ),
        FirmwareFiles::Uefi { code, variables } => {
            line.blockdev(json!({
                "node-name": "firmware-code", "driver": "raw", "read-only": true,
                "file": { "driver": "file", "filename": code.to_string_lossy() },
            }));
            line.blockdev(json!({
                "node-name": "firmware-variables", "driver": "raw",
                "file": { "driver": "file", "filename": variables.to_string_lossy() },
            }));
        }
    }
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
