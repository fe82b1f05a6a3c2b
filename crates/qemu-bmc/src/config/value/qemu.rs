//! Values about the board, its processors and what is near to what: in QEMU's own syntax where it has one.

use super::{
    Parsed, Refused, because, cpus, memory,
    scalar::{number, optional},
};
use crate::config::hardware::{CpuModel, NumaNode, Platform};

/// A board that was asked for. What isn't said depends on what else there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct BoardWanted {
    pub(in crate::config) board: Option<(Platform, String)>,
    pub(in crate::config) options: Vec<String>,
}

/// Options of a board that are something else's to decide, and whose.
const TAKEN_OPTIONS: [(&str, &str); 8] = [
    ("accel", "ENABLE_KVM"),
    ("firmware", "VM_BOOT_MODE"),
    ("memory", "VM_MEMORY"),
    ("memory-backend", "VM_NUMA and VM_SHARE"),
    ("pflash0", "VM_BOOT_MODE"),
    ("pflash1", "VM_BOOT_MODE"),
    ("smp", "VM_CPUS"),
    ("type", "the first word"),
];

/// A type of machine and its options: `q35`, `pc-q35-7.2,hpet=off`, or options alone.
pub(in crate::config) fn board(text: &str) -> Parsed<BoardWanted> {
    let mut wanted = BoardWanted::default();
    for (index, item) in text.split(',').enumerate().filter(|_| !text.is_empty()) {
        match item.split_once('=') {
            None if index == 0 && !item.is_empty() => wanted.board = Some((platform(item)?, item.to_owned())),
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                if let Some((_, setting)) = TAKEN_OPTIONS.iter().find(|(taken, _)| *taken == key) {
                    return because(format!("{key} is said by {setting}"));
                }
                wanted.options.push(item.to_owned());
            }
            _ => return Err(Refused::Form),
        }
    }
    Ok(wanted)
}

fn platform(name: &str) -> Parsed<Platform> {
    // Versioned ones are named after their chipset: pc-q35-7.2, pc-i440fx-7.2, virt-7.2.
    match name {
        "q35" => Ok(Platform::Q35),
        "pc" => Ok(Platform::Pc),
        "virt" => Ok(Platform::Virt),
        _ if name.starts_with("pc-q35-") => Ok(Platform::Q35),
        _ if name.starts_with("pc-i440fx-") => Ok(Platform::Pc),
        _ if name.starts_with("virt-") => Ok(Platform::Virt),
        _ => because("what a BMC has to do with is not known of such a machine"),
    }
}

/// A model of processor and its flags.
pub(in crate::config) fn optional_cpu(text: &str) -> Parsed<Option<CpuModel>> {
    optional(text, cpu)
}

fn cpu(text: &str) -> Parsed<CpuModel> {
    let mut items = text.split(',').map(str::to_owned);
    let name = items.next().unwrap_or_default();
    let flags: Vec<_> = items.collect();
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    let is_name = name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.chars().all(is_plain);
    if !is_name || flags.iter().any(|flag| flag.is_empty() || flag.contains(char::is_whitespace)) {
        return Err(Refused::Form);
    }
    if name == "help" { because("QEMU would show a list and end") } else { Ok(CpuModel { name, flags }) }
}

/// How processors are arranged, in the keys of QEMU's `-smp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Topology {
    /// How many that makes.
    pub(in crate::config) count: u32,
    pub(in crate::config) smp: String,
}

/// An arrangement of processors: `sockets=2,cores=4,threads=1`.
pub(in crate::config) fn optional_topology(text: &str) -> Parsed<Option<Topology>> {
    optional(text, |text| {
        let is_number_of_all =
            |item: &str| matches!(item.split_once('='), None | Some(("cpus" | "maxcpus", _)));
        if text.split(',').any(is_number_of_all) {
            return Err(Refused::Form);
        }
        cpus(text).map(|cpus| Topology { count: cpus.count, smp: cpus.smp })
    })
}

/// Nodes that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Numa {
    /// So many, with equal shares of everything.
    Equal(u32),
    /// These.
    Described(Vec<NumaNode>),
}

/// More than any machine has, and few enough for QEMU (`MAX_NODES`).
const NODES_MAX: u32 = 128;

/// A number of nodes, or each of them: `memory=2G,cpus=0-1;memory=2G,cpus=2-3`.
pub(in crate::config) fn optional_numa(text: &str) -> Parsed<Option<Numa>> {
    optional(text, |text| {
        if text.contains('=') {
            let nodes: Vec<_> = text.split(';').map(|node| numa_node(node.trim())).collect::<Parsed<_>>()?;
            return Ok(Numa::Described(nodes));
        }
        match number(text).map(u32::try_from)? {
            Ok(count @ 1..=NODES_MAX) => Ok(Numa::Equal(count)),
            _ => because(format!("there can be 1 to {NODES_MAX}")),
        }
    })
}

fn numa_node(text: &str) -> Parsed<NumaNode> {
    let (mut memory_mib, mut cpus) = (None, Vec::new());
    for item in text.split(',') {
        match item.split_once('=') {
            Some(("memory", size)) if memory_mib.is_none() => memory_mib = Some(memory(size)?),
            Some(("cpus", range)) => cpus.push(cpu_range(range)?),
            _ => return Err(Refused::Form),
        }
    }
    match memory_mib {
        Some(memory_mib) => Ok(NumaNode { memory_mib, cpus }),
        None => because("each node needs memory"),
    }
}

fn cpu_range(text: &str) -> Parsed<(u32, u32)> {
    let one = |text: &str| match (text, number(text)) {
        ("", _) => Err(Refused::Form),
        (_, number) => u32::try_from(number?).map_err(|_| Refused::Form),
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (one(first)?, one(last)?) {
        (first, last) if first <= last => Ok((first, last)),
        _ => because("a range of processors begins with the lower number"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn boards_are_of_a_kind_that_is_known() {
        let known = |text| board(text).unwrap().board.map(|(platform, _)| platform);
        assert_eq!(known(""), None);
        assert_eq!(known("pc-q35-7.2,hpet=off"), Some(Platform::Q35));
        assert_eq!(known("pc-i440fx-2.12"), Some(Platform::Pc));
        assert_eq!(known("virt-7.2,gic-version=3"), Some(Platform::Virt));
        assert_eq!(board("hpet=off,vmport=off").unwrap().options, ["hpet=off", "vmport=off"]);
        for text in ["microvm", "q35,accel=kvm", "pflash0=x", "help"] {
            assert!(matches!(board(text), Err(Refused::Because(_))), "{text}");
        }
        for text in ["q35,", "q35,pc", ",q35", "q35,hpet=", "=x"] {
            assert_eq!(board(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn models_have_flags() {
        let model = optional_cpu("Skylake-Server-v4,+avx2,-hypervisor,pmu=off").unwrap().unwrap();
        assert_eq!((model.name.as_str(), model.flags.len()), ("Skylake-Server-v4", 3));
        for text in [",+avx", "max,", "+avx", "max,a b"] {
            assert_eq!(optional_cpu(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn arrangements_have_no_number_of_their_own() {
        assert_eq!(optional_topology("sockets=2,cores=3").unwrap().unwrap().count, 6);
        for text in ["4", "4,sockets=2", "cpus=4,sockets=2", "maxcpus=4"] {
            assert_eq!(optional_topology(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn nodes_are_counted_or_described() {
        assert_eq!(optional_numa("2"), Ok(Some(Numa::Equal(2))));
        let node = |memory_mib, cpus: &[(u32, u32)]| NumaNode { memory_mib, cpus: cpus.to_vec() };
        assert_eq!(
            optional_numa("memory=2G,cpus=0-1,cpus=5; memory=512"),
            Ok(Some(Numa::Described(vec![node(2048, &[(0, 1), (5, 5)]), node(512, &[])])))
        );
        for text in ["memory=", "memory=1G;", "cpus=-1,memory=1G", "memory=1G,cpu=2", "x", "memory=1G,cpus="]
        {
            assert_eq!(optional_numa(text), Err(Refused::Form), "{text}");
        }
        for text in ["0", "129", "cpus=0", "memory=1G,cpus=3-2"] {
            assert!(matches!(optional_numa(text), Err(Refused::Because(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "[a-z0-9=,;-]*") {
            let _ = (board(&text), optional_cpu(&text), optional_topology(&text), optional_numa(&text));
        }
    }
}
