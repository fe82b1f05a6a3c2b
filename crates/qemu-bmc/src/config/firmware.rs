//! The guest's firmware as it was asked for, and what it boots from.

use std::{path::PathBuf, time::Duration};

use super::hardware::Platform;

/// What starts the guest.
#[derive(Clone, Debug)]
pub(crate) struct FirmwarePlan {
    /// Which it is.
    pub(crate) kind: FirmwareKind,
    /// For which machine.
    pub(crate) platform: Platform,
    /// How long it shows its boot menu, if at all; below 65.536 s, QEMU's limit.
    pub(crate) menu_timeout: Option<Duration>,
    /// Whether it keeps a log of its work.
    pub(crate) log: bool,
    /// Whether the machine has a TPM.
    pub(crate) tpm: bool,
}

/// The firmware, with what is said of it.
#[derive(Clone, Debug)]
pub(crate) enum FirmwareKind {
    /// SeaBIOS.
    Bios,
    /// OVMF, or another that was given.
    Uefi(UefiPlan),
}

/// UEFI firmware as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct UefiPlan {
    /// Whether only what is signed is started, and by whose keys.
    pub(crate) secure_boot: Option<Keys>,
    /// Code to use instead of the distribution's; with it, there is a template.
    pub(crate) code: Option<PathBuf>,
    /// What the machine's variables begin as, instead of the distribution's.
    pub(crate) template: Option<PathBuf>,
    /// Whether variables begin afresh when the program does.
    pub(crate) reset: bool,
    /// Whether there is a shell to boot.
    pub(crate) shell: bool,
}

/// Whose keys say what may be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Those that are in the template: of the distribution's, they are Microsoft's.
    Preset,
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
