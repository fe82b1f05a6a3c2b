//! Firmware and boot order.

use std::time::Duration;

use super::{FLAG, Row, Setting};
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
    VM_TPM: bool = Setting::new(
        "VM_TPM", "machine.tpm", "false", value::flag, FLAG,
        "a TPM 2.0, which keeps its state in STATE_DIR; takes the package swtpm",
    );
}
