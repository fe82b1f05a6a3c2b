//! The guest's firmware as it was asked for, and what it boots from.

use std::time::Duration;

use super::hardware::Platform;

/// What starts the guest.
#[derive(Clone, Debug)]
pub(crate) struct FirmwarePlan {
    /// Which it is.
    pub(crate) kind: Firmware,
    /// For which machine.
    pub(crate) platform: Platform,
    /// How long it shows its boot menu, if at all; below 65.536 s, QEMU's limit.
    pub(crate) menu_timeout: Option<Duration>,
    /// Whether the machine has a TPM.
    pub(crate) tpm: bool,
}

/// Which firmware the guest has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// A kind of device that firmware can boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootSource {
    /// `c`, the disk.
    Disk,
    /// `d`, the CD drive.
    Cdrom,
    /// `n`, the network.
    Network,
}

/// The order in which firmware tries devices: one to three different ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BootOrder(pub(in crate::config) Vec<BootSource>);

impl BootOrder {
    /// The devices that were named, first choice first. Devices that weren't come after them, in any order.
    pub(crate) fn sources(&self) -> &[BootSource] {
        &self.0
    }
}
