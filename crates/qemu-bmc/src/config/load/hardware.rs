//! The guest's hardware: what its settings mean.

use crate::config::{hardware::HardwarePlan, reader::Reader, settings};

impl Reader<'_> {
    pub(super) fn hardware(&mut self) -> Option<HardwarePlan> {
        let memory_mib = self.get(&settings::VM_MEMORY);
        let cpus = self.get(&settings::VM_CPUS);
        let kvm = self.get(&settings::ENABLE_KVM);
        let qemu_binary = self.get(&settings::QEMU_BINARY);
        let extra_args = self.get(&settings::QEMU_EXTRA_ARGS);
        Some(HardwarePlan {
            qemu_binary: qemu_binary?,
            memory_mib: memory_mib?,
            cpus: cpus?,
            kvm: kvm?,
            extra_args: extra_args?,
        })
    }
}
