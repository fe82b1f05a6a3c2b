//! The board, its processors and its memory.

use super::{Accelerator, Spec, line::Line};
use crate::{
    config::{CpuModel, Platform},
    machine::firmware::FirmwareFiles,
};

/// The id of the memory of a node, or of all memory.
fn memory_id(node: usize) -> String {
    format!("ram{node}")
}

pub(super) fn board(line: &mut Line, spec: &Spec<'_>) {
    let hardware = &spec.plan.hardware;
    let mut machine = hardware.machine.name.clone();
    let mut option = |text: &str| {
        machine.push(',');
        machine.push_str(text);
    };
    if let FirmwareFiles::Uefi(uefi) = &spec.parts.firmware {
        option("pflash0=firmware-code,pflash1=firmware-variables");
        if uefi.secure_boot {
            option("smm=on");
        }
    }
    if hardware.hide_hypervisor {
        hide_in_tables(&mut option, hardware.machine.platform, &spec.identity.labels.manufacturer);
    }
    hardware.machine.options.iter().for_each(|text| option(text));
    // Another process can have this kind of memory too.
    let is_shared = spec.plan.shares.need_shared_memory();
    let kind = if is_shared { "memory-backend-memfd,share=on" } else { "memory-backend-ram" };
    if is_shared && hardware.numa.is_empty() {
        option(&format!("memory-backend={}", memory_id(0)));
    }
    line.words(&["-machine", &machine]);
    line.words(&["-accel", if spec.accelerator == Accelerator::Kvm { "kvm" } else { "tcg" }]);
    line.words(&["-cpu", &cpu(spec)]);
    line.words(&["-smp", &hardware.cpus.smp, "-m", &format!("{}M", hardware.memory_mib)]);
    for (number, node) in hardware.numa.iter().enumerate() {
        let id = memory_id(number);
        line.words(&["-object", &format!("{kind},id={id},size={}M", node.memory_mib)]);
        let cpus: String = node.cpus.iter().map(|(first, last)| format!(",cpus={first}-{last}")).collect();
        line.words(&["-numa", &format!("node,nodeid={number},memdev={id}{cpus}")]);
    }
    if is_shared && hardware.numa.is_empty() {
        line.words(&["-object", &format!("{kind},id={},size={}M", memory_id(0), hardware.memory_mib)]);
    }
}

/// Who made the ACPI tables, which are QEMU's: at most six and eight characters.
fn hide_in_tables(option: &mut impl FnMut(&str), platform: Platform, manufacturer: &str) {
    let letters: String = manufacturer.chars().filter(char::is_ascii_alphanumeric).collect();
    let name = if letters.is_empty() { "SERVER".to_owned() } else { letters.to_ascii_uppercase() };
    let first = |count| name.get(..count).unwrap_or(&name).to_owned();
    option(&format!("x-oem-id={},x-oem-table-id={}", first(6), first(8)));
    if platform != Platform::Virt {
        // VMware's way of asking who is there.
        option("vmport=off");
    }
}

fn cpu(spec: &Spec<'_>) -> String {
    let hardware = &spec.plan.hardware;
    let platform = hardware.machine.platform;
    let mut cpu = match &hardware.cpu {
        // Without KVM there is no host's processor; what comes nearest has the same flags.
        Some(CpuModel { name, flags }) => {
            let missing = name == "host" && spec.accelerator == Accelerator::Tcg;
            let name = if missing { platform.cpu(Accelerator::Tcg) } else { name };
            [&[name.to_owned()], flags.as_slice()].concat().join(",")
        }
        None => platform.cpu(spec.accelerator).to_owned(),
    };
    if hardware.hide_hypervisor && platform != Platform::Virt {
        // The bit that says so, and the leaf of CPUID that names who it is.
        cpu.push_str(match spec.accelerator {
            Accelerator::Kvm => ",-hypervisor,kvm=off",
            Accelerator::Tcg => ",-hypervisor,tcg-cpuid=off",
        });
    }
    cpu
}
