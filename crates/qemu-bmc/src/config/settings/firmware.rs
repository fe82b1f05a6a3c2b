//! Firmware and boot order.

use std::{path::PathBuf, time::Duration};

use super::{FLAG, PATH_OR_NONE, Row, Setting};
use crate::config::{
    firmware::{BootOrder, Firmware},
    value,
};

settings! {
    VM_BOOT: BootOrder = Setting::new(
        "VM_BOOT", "machine.boot", "c", value::boot_order, "one or more of the letters c (disk), d (CD) and n (network)",
        "the order in which the firmware tries devices",
    );
    VM_BOOT_MODE: Firmware = Setting::new(
        "VM_BOOT_MODE", "machine.firmware", "bios", value::firmware, "bios or uefi",
        "the firmware: SeaBIOS or OVMF",
    );
    VM_BOOT_MENU_TIMEOUT: Option<Duration> = Setting::new(
        "VM_BOOT_MENU_TIMEOUT", "machine.boot_menu_timeout", "0", value::menu_timeout, "milliseconds, 0 to 65535",
        "how long the firmware shows its boot menu; 0 is not at all",
    );
    VM_SECURE_BOOT: bool = Setting::new(
        "VM_SECURE_BOOT", "machine.secure_boot", "false", value::flag, FLAG,
        "start only what is signed, by Microsoft's keys or those in VM_UEFI_VARS; takes VM_BOOT_MODE=uefi",
    );
    VM_UEFI_CODE: Option<PathBuf> = Setting::new(
        "VM_UEFI_CODE", "machine.uefi_code", "none", value::path_or_none, PATH_OR_NONE,
        "UEFI firmware to use instead of OVMF; takes VM_UEFI_VARS",
    );
    VM_UEFI_VARS: Option<PathBuf> = Setting::new(
        "VM_UEFI_VARS", "machine.uefi_vars", "none", value::path_or_none, PATH_OR_NONE,
        "the template that the node's own UEFI variables begin as",
    );
    VM_UEFI_RESET: bool = Setting::new(
        "VM_UEFI_RESET", "machine.uefi_reset", "false", value::flag, FLAG,
        "make the node's UEFI variables anew at each start of the container, not at each power on; those that were are kept beside them",
    );
    VM_UEFI_SHELL: bool = Setting::new(
        "VM_UEFI_SHELL", "machine.uefi_shell", "false", value::flag, FLAG,
        "have OVMF's shell in the boot menu, and started when nothing else can be; builds of before 2023 always have it",
    );
    VM_FIRMWARE_LOG: bool = Setting::new(
        "VM_FIRMWARE_LOG", "machine.firmware_log", "false", value::flag, FLAG,
        "keep what the firmware says of its work in firmware.log in STATE_DIR; SeaBIOS says much, release builds of OVMF nothing",
    );
    VM_TPM: bool = Setting::new(
        "VM_TPM", "machine.tpm", "false", value::flag, FLAG,
        "a TPM 2.0, which keeps its state in STATE_DIR; takes the package swtpm",
    );
}
