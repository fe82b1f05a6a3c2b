//! The guest's hardware as it was asked for, and the QEMU that is it.

use std::path::PathBuf;

/// QEMU, processors, memory.
#[derive(Clone, Debug)]
pub(crate) struct HardwarePlan {
    /// QEMU, as a path or as a name to look up in PATH.
    pub(crate) qemu_binary: PathBuf,
    /// Memory in MiB, at least 1.
    pub(crate) memory_mib: u64,
    /// Virtual processors.
    pub(crate) cpus: Cpus,
    /// Whether to try KVM.
    pub(crate) kvm: bool,
    /// Arguments to add to QEMU's command line, each as QEMU is to see it.
    pub(crate) extra_args: Vec<String>,
}

/// Virtual processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// How many there are at power on.
    pub(crate) count: u32,
    /// The value of QEMU's `-smp`: the count, or the long form that was given (`2,sockets=1`).
    pub(crate) smp: String,
}
