//! The guest's hardware: what its settings mean, each and together.

use std::path::{Path, PathBuf};

use super::hold;
use crate::config::{
    hardware::{CpuModel, Cpus, HardwarePlan, MachineType, NumaNode, Platform},
    host::PathKind,
    reader::Reader,
    settings,
    value::{BoardWanted, Numa, Topology},
};

impl Reader<'_> {
    pub(super) fn hardware(&mut self) -> Option<HardwarePlan> {
        let qemu_binary = self.get(&settings::QEMU_BINARY);
        let machine = self.get(&settings::VM_MACHINE);
        let cpu = self.get(&settings::VM_CPU);
        let memory = self.get(&settings::VM_MEMORY);
        let cpus = self.cpus();
        let numa = self.get(&settings::VM_NUMA);
        let kvm = self.get(&settings::ENABLE_KVM);
        let hide_hypervisor = self.get(&settings::VM_HIDE_HYPERVISOR);
        let qemu_config = self.qemu_config();
        let extra_args = self.extra_args();

        let qemu_binary = qemu_binary?;
        let machine = self.machine_type(&qemu_binary, machine?);
        let (mut cpus, kvm) = (cpus?, kvm?);
        let (numa, memory_mib) = self.numa(numa?, memory?, &mut cpus)?;
        let cpu = cpu?;
        self.check_cpu(cpu.as_ref(), kvm);
        Some(HardwarePlan {
            qemu_binary,
            machine,
            cpu,
            memory_mib,
            cpus,
            numa,
            kvm,
            hide_hypervisor: hide_hypervisor?,
            qemu_config: qemu_config?,
            extra_args: extra_args?,
        })
    }

    /// QEMU's name says whose processors it has: distributions have one QEMU for each.
    fn machine_type(&mut self, qemu: &Path, BoardWanted { board, options }: BoardWanted) -> MachineType {
        let is_arm = qemu.file_name().is_some_and(|name| name.to_string_lossy().contains("aarch64"));
        let (platform, name) = board.unwrap_or_else(|| {
            let (platform, name) = if is_arm { (Platform::Virt, "virt") } else { (Platform::Q35, "q35") };
            (platform, name.to_owned())
        });
        let said: Vec<_> = std::iter::once(&name).chain(&options).map(String::as_str).collect();
        self.show(&settings::VM_MACHINE.row, &said.join(","));
        MachineType { platform, name, options }
    }

    fn check_cpu(&mut self, cpu: Option<&CpuModel>, kvm: bool) {
        if cpu.is_some_and(|cpu| cpu.name == "host") && !kvm {
            self.refuse(
                &settings::VM_CPU.row,
                "without KVM (ENABLE_KVM=false) there is no host's processor: try max",
            );
        }
    }

    fn cpus(&mut self) -> Option<Cpus> {
        let cpus = self.get(&settings::VM_CPUS);
        let topology = self.get(&settings::VM_CPU_TOPOLOGY);
        let (cpus, topology) = (cpus?, topology?);
        let Some(Topology { count, smp }) = topology else { return Some(cpus) };
        let (row, other) = (&settings::VM_CPU_TOPOLOGY.row, &settings::VM_CPUS.row);
        if !self.is_said(other) {
            self.show(other, &count.to_string());
            return Some(Cpus { count, max: count, smp: format!("{count},{smp}") });
        }
        let name = self.texts.name(other);
        if has_topology(&cpus.smp) {
            self.refuse(row, &format!("{name} says this too: leave one out"));
        } else if cpus.max != count {
            self.refuse(row, &format!("this makes {count} processors, and {name} says {}", cpus.max));
        }
        Some(Cpus { smp: format!("{},{smp}", cpus.smp), ..cpus })
    }

    /// The nodes, and how much memory there is in all.
    fn numa(&mut self, numa: Option<Numa>, memory_mib: u64, cpus: &mut Cpus) -> Option<(Vec<NumaNode>, u64)> {
        let row = &settings::VM_NUMA.row;
        match numa {
            None => Some((Vec::new(), memory_mib)),
            Some(Numa::Equal(nodes)) if nodes > cpus.max || u64::from(nodes) > memory_mib => {
                self.refuse(row, "there are fewer processors, or MiB of memory, than nodes");
                None
            }
            Some(Numa::Equal(nodes)) => {
                // What is a node is a socket, unless somebody said otherwise.
                if !has_topology(&cpus.smp) && cpus.max.is_multiple_of(nodes) {
                    cpus.smp.push_str(&format!(",sockets={nodes}"));
                }
                Some((equal(nodes, memory_mib, cpus.max), memory_mib))
            }
            Some(Numa::Described(nodes)) => {
                let sum: u64 = nodes.iter().map(|node| node.memory_mib).fold(0, u64::saturating_add);
                let memory = &settings::VM_MEMORY.row;
                if !self.is_said(memory) {
                    self.show(memory, &sum.to_string());
                } else if sum != memory_mib {
                    let name = self.texts.name(memory);
                    self.refuse(row, &format!("the nodes have {sum} MiB, and {name} says {memory_mib}"));
                }
                if let Some(why) = misplaced(&nodes, cpus.max) {
                    self.refuse(row, &why);
                }
                Some((nodes, sum))
            }
        }
    }

    fn qemu_config(&mut self) -> Option<Option<PathBuf>> {
        let Some(path) = self.get(&settings::VM_QEMU_CONFIG)? else { return Some(None) };
        let row = &settings::VM_QEMU_CONFIG.row;
        match self.host.kind(&path) {
            None => self.refuse(row, "there is no such file"),
            Some(PathKind::Folder) => self.refuse(row, "this is a folder"),
            Some(PathKind::File) => match self.host.read(&path) {
                Err(error) => self.refuse(row, &format!("it cannot be read: {error}")),
                Ok(text) => {
                    for objection in hold::objections_to_file(&String::from_utf8_lossy(&text)) {
                        self.findings.problems.push(format!("{}: {objection}", path.display()));
                    }
                }
            },
        }
        Some(Some(path))
    }

    /// The port of the guest's agent makes room for what somebody plugs in by hand, unless it was asked for too.
    pub(super) fn guest_agent(&mut self, hardware: Option<&HardwarePlan>) -> Option<bool> {
        let wanted = self.get(&settings::VM_GUEST_AGENT)?;
        let Some(hardware) = hardware.filter(|_| wanted) else { return Some(wanted) };
        let file = hardware.qemu_config.as_ref().and_then(|path| self.host.read(path).ok());
        let in_file = file.and_then(|text| hold::in_the_agents_way_in_file(&String::from_utf8_lossy(&text)));
        let (by, why) = match (hold::in_the_agents_way(&hardware.extra_args), in_file) {
            (Some(why), _) => (&settings::QEMU_EXTRA_ARGS.row, why),
            (None, Some(why)) => (&settings::VM_QEMU_CONFIG.row, why),
            (None, None) => return Some(true),
        };
        let (row, by) = (&settings::VM_GUEST_AGENT.row, self.texts.name(by));
        if self.is_said(row) {
            self.refuse(row, &format!("{by} {why}: leave one out"));
        } else {
            self.show(row, "false");
            self.warn(format!("there is no port for the guest's agent (VM_GUEST_AGENT): {by} {why}"));
        }
        Some(false)
    }

    fn extra_args(&mut self) -> Option<Vec<String>> {
        let arguments = self.get(&settings::QEMU_EXTRA_ARGS)?;
        let name = self.texts.name(&settings::QEMU_EXTRA_ARGS.row);
        if arguments.iter().any(|argument| argument.trim_start_matches('-') == "sandbox") {
            self.warn(format!("QEMU's sandbox is as {name} says, and no more as this program would have it"));
        }
        for objection in hold::objections(&arguments) {
            self.findings.problems.push(format!("{name}: {objection}"));
        }
        Some(arguments)
    }
}

/// Whether a value of `-smp` says more than numbers of processors.
fn has_topology(smp: &str) -> bool {
    smp.split(',').any(|item| !matches!(item.split_once('='), None | Some(("cpus" | "maxcpus", _))))
}

/// Equal shares; what is left over is in the first nodes.
fn equal(nodes: u32, memory_mib: u64, cpus: u32) -> Vec<NumaNode> {
    let (each, more) = (memory_mib / u64::from(nodes), memory_mib % u64::from(nodes));
    let mut next = 0;
    (0..nodes)
        .map(|node| {
            let first = next;
            next += cpus / nodes + u32::from(node < cpus % nodes);
            NumaNode {
                memory_mib: each + u64::from(u64::from(node) < more),
                cpus: vec![(first, next.saturating_sub(1))],
            }
        })
        .collect()
}

/// A processor that is in no node, or in two, or isn't there.
fn misplaced(nodes: &[NumaNode], cpus: u32) -> Option<String> {
    let mut ranges: Vec<_> = nodes.iter().flat_map(|node| node.cpus.iter().copied()).collect();
    ranges.sort_unstable();
    let mut next = 0;
    for (first, last) in ranges {
        if first > next {
            return Some(format!("processor {next} is in no node"));
        }
        if first < next {
            return Some(format!("processor {first} is in two nodes"));
        }
        next = last.saturating_add(1);
    }
    match next {
        _ if next > cpus => Some(format!("there is no processor {}: there are {cpus}", next - 1)),
        _ if next < cpus => Some(format!("processor {next} is in no node")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_processor_is_in_one_node() {
        let nodes = |ranges: &[(u32, u32)]| {
            ranges.iter().map(|range| NumaNode { memory_mib: 1, cpus: vec![*range] }).collect::<Vec<_>>()
        };
        assert_eq!(misplaced(&nodes(&[(2, 3), (0, 1)]), 4), None);
        for (ranges, why) in [
            (&[(0, 1), (3, 3)][..], "processor 2 is in no node"),
            (&[(0, 1), (1, 3)], "processor 1 is in two nodes"),
            (&[(0, 2)], "processor 3 is in no node"),
            (&[(0, 4)], "there is no processor 4: there are 4"),
            (&[], "processor 0 is in no node"),
        ] {
            assert_eq!(misplaced(&nodes(ranges), 4).as_deref(), Some(why));
        }
    }

    proptest! {
        #[test]
        fn equal_shares_are_all_that_there_is(nodes in 1_u32..16, cpus in 16_u32..64, memory in 16_u64..5000) {
            let shares = equal(nodes, memory, cpus);
            prop_assert_eq!(shares.iter().map(|node| node.memory_mib).sum::<u64>(), memory);
            prop_assert_eq!(misplaced(&shares, cpus), None);
        }
    }
}
