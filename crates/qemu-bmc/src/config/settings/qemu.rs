//! QEMU itself.

use std::path::PathBuf;

use super::{FLAG, List, PATH, Row, Setting};
use crate::config::{hardware::CpuModel, value};

settings! {
    VM_MACHINE: value::BoardWanted = Setting::new(
        "VM_MACHINE", "machine.type", "", value::board,
        "q35, pc or virt, of a version such as pc-q35-7.2 or not, and QEMU's options after it, as in q35,hpet=off",
        "the kind of machine; unless set, q35, and virt where QEMU is one for ARM",
    ).list(List::Commas);
    VM_CPU: Option<CpuModel> = Setting::new(
        "VM_CPU", "machine.cpu", "", value::optional_cpu,
        "QEMU's name of a processor model, and flags after it, as in Skylake-Server,-avx512f",
        "the processors' model; unless set, the host's with KVM, and all that QEMU can do without",
    ).list(List::Commas);
    VM_CPU_TOPOLOGY: Option<value::Topology> = Setting::new(
        "VM_CPU_TOPOLOGY", "machine.cpu_topology", "", value::optional_topology,
        "numbers of sockets, dies, cores and threads, as in sockets=2,cores=4,threads=1",
        "how the processors are arranged, and so how many there are unless VM_CPUS says it",
    ).list(List::Commas);
    VM_NUMA: Option<value::Numa> = Setting::new(
        "VM_NUMA", "machine.numa", "", value::optional_numa,
        "a number of nodes, or each of them, as in memory=2G,cpus=0-1;memory=2G,cpus=2-3",
        "which memory is near to which processors",
    ).list(List::Semicolons);
    VM_HIDE_HYPERVISOR: bool = Setting::new(
        "VM_HIDE_HYPERVISOR", "machine.hide_hypervisor", "false", value::flag, FLAG,
        "whether processors, firmware and tables don't say that this is a virtual machine, for software that refuses to run in one",
    );
    VM_QEMU_CONFIG: Option<PathBuf> = Setting::new(
        "VM_QEMU_CONFIG", "machine.qemu_config", "", value::optional_path, PATH,
        "a file with a device configuration for QEMU's -readconfig",
    );
    ENABLE_KVM: bool = Setting::new(
        "ENABLE_KVM", "machine.kvm", "true", value::flag, FLAG,
        "use KVM where it works",
    );
    QEMU_BINARY: PathBuf = Setting::new(
        "QEMU_BINARY", "machine.qemu_binary", "qemu-system-x86_64", value::path, "a path, or a name to look up in PATH",
        "the QEMU to run",
    );
    QEMU_EXTRA_ARGS: Vec<String> = Setting::new(
        "QEMU_EXTRA_ARGS", "machine.qemu_extra_args", "", value::words, "arguments, quoted as for a shell",
        "arguments to add to QEMU's command line",
    ).list(List::Words);
}
