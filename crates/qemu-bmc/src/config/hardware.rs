//! The guest's hardware as it was asked for, and the QEMU that is it.

use std::path::PathBuf;

/// QEMU, processors, memory.
#[derive(Clone, Debug)]
pub(crate) struct HardwarePlan {
    /// QEMU, as a path or as a name to look up in PATH.
    pub(crate) qemu_binary: PathBuf,
    /// The board.
    pub(crate) machine: MachineType,
    /// The processors' model; none for the best that there is.
    pub(crate) cpu: Option<CpuModel>,
    /// Memory in MiB, at least 1.
    pub(crate) memory_mib: u64,
    /// Virtual processors.
    pub(crate) cpus: Cpus,
    /// What belongs together, if anything is nearer than something else: all memory and every processor is in one
    /// of these nodes.
    pub(crate) numa: Vec<NumaNode>,
    /// Whether to try KVM.
    pub(crate) kvm: bool,
    /// Whether the guest is to take the machine for a physical one, as far as that goes.
    pub(crate) hide_hypervisor: bool,
    /// A file of device configuration for QEMU's `-readconfig`.
    pub(crate) qemu_config: Option<PathBuf>,
    /// Arguments to add to QEMU's command line, each as QEMU is to see it.
    pub(crate) extra_args: Vec<String>,
}

/// A kind of board. What each of them has is said in [`crate::machine::platform`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    /// A PC with PCI Express: Intel's Q35 chipset.
    Q35,
    /// A PC with PCI alone: Intel's 440FX.
    Pc,
    /// QEMU's own board for ARM processors of 64 bits.
    Virt,
}

/// A board as QEMU is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MachineType {
    /// Its kind.
    pub(crate) platform: Platform,
    /// QEMU's name, of a certain version perhaps: `q35`, `pc-q35-7.2`.
    pub(crate) name: String,
    /// QEMU's options for it: `hpet=off`, with commas between them.
    pub(crate) options: Vec<String>,
}

/// A model of processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CpuModel {
    /// QEMU's name: `host`, `max`, `Skylake-Server`.
    pub(crate) name: String,
    /// QEMU's flags for it: `+avx2`, `-hypervisor`, `pmu=off`.
    pub(crate) flags: Vec<String>,
}

/// Virtual processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// How many there are at power on.
    pub(crate) count: u32,
    /// How many there can be.
    pub(crate) max: u32,
    /// The value of QEMU's `-smp`: the count, or the long form that was given (`2,sockets=1`).
    pub(crate) smp: String,
}

/// Memory and processors that are near to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumaNode {
    /// In MiB.
    pub(crate) memory_mib: u64,
    /// Processors by their numbers, from the first to the last of each range.
    pub(crate) cpus: Vec<(u32, u32)>,
}
