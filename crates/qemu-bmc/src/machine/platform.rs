//! What each kind of machine has, of what a BMC and its machine need: the one place where they differ.
//!
//! ```text
//!            firmware        serial    screen          keyboard   CD drive    panics       NICs sit on
//!   q35      SeaBIOS, OVMF   16550     VGA             PS/2       AHCI        ISA port     root ports of pcie.0
//!   pc       SeaBIOS, OVMF   16550     VGA             PS/2       IDE         ISA port     slots of pci.0
//!   virt     AAVMF           PL011     virtio-gpu      USB        virtio      PCI          root ports of pcie.0
//! ```
//!
//! An ARM machine has no ISA bus, so neither its registers for IPMI nor a keyboard controller; nor a pin for an
//! NMI. Its screen is virtio's because a frame buffer in PCI memory shows nothing under KVM: ARM's caches don't
//! follow the host's.

use super::argv::Accelerator;
use crate::config::{Platform, SystemInterface};

impl Platform {
    /// The name of its processors, as Rust and the kernel have it.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Q35 | Self::Pc => "x86_64",
            Self::Virt => "aarch64",
        }
    }

    /// Whether the processors of this host could be the guest's.
    pub(crate) fn is_native(self) -> bool {
        self.architecture() == std::env::consts::ARCH
    }

    /// The model of processor that the guest has unless somebody wants another.
    pub(crate) fn cpu(self, accelerator: Accelerator) -> &'static str {
        match (self, accelerator) {
            (_, Accelerator::Kvm) => "host",
            (Self::Q35 | Self::Pc, Accelerator::Tcg) => "max",
            // Signed pointers by a cipher of QEMU's own rather than ARM's, which would take half of all time.
            (Self::Virt, Accelerator::Tcg) => "max,pauth-impdef=on",
        }
    }

    /// The screen, without its id.
    pub(crate) fn screen(self) -> &'static str {
        match self {
            Self::Q35 | Self::Pc => "VGA",
            Self::Virt => "virtio-gpu-pci",
        }
    }

    /// Whether it has a keyboard without one being plugged in.
    pub(crate) fn has_keyboard(self) -> bool {
        self != Self::Virt
    }

    /// The device by which a guest says that it panicked, without its id.
    pub(crate) fn panic_notifier(self) -> &'static str {
        match self {
            Self::Q35 | Self::Pc => "pvpanic",
            Self::Virt => "pvpanic-pci",
        }
    }

    /// The TPM, without its back end.
    pub(crate) fn tpm(self) -> &'static str {
        match self {
            Self::Q35 | Self::Pc => "tpm-crb",
            Self::Virt => "tpm-tis-device",
        }
    }

    /// Whether it has IDE's kind of drives, on the buses `ide.0` to `ide.1` at least.
    pub(crate) fn has_ide(self) -> bool {
        self != Self::Virt
    }

    /// Whether NICs sit on root ports, where they can be plugged in; else in slots of the one bus that there is.
    pub(crate) fn has_root_ports(self) -> bool {
        self != Self::Pc
    }

    /// Whether an NMI can be injected.
    pub(crate) fn has_nmi(self) -> bool {
        self != Self::Virt
    }

    /// The Debian package that has a QEMU for it.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Q35 | Self::Pc => "qemu-system-x86",
            Self::Virt => "qemu-system-arm",
        }
    }
}

impl SystemInterface {
    /// QEMU's name of its registers.
    pub(crate) fn driver(self) -> &'static str {
        match self {
            Self::Kcs => "isa-ipmi-kcs",
            Self::Bt => "isa-ipmi-bt",
            Self::PciKcs => "pci-ipmi-kcs",
            Self::PciBt => "pci-ipmi-bt",
            Self::Ssif => "smbus-ipmi",
        }
    }
}
