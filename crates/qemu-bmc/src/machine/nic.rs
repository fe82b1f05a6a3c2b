//! The guest's NICs as QEMU is told of them.
//!
//! ```text
//!   pcie.0 ─┬─ nic-port0 ─ nic-mgmt ── net-mgmt   user mode: NAT, DHCP, forwards
//!           ├─ nic-port1 ─ nic-eth2 ── net-eth2   a TAP device, as open descriptors
//!           ├─ nic-port2 ─ nic-eth3 ── net-eth3
//!           └─ nic-port3 … 10                     for interfaces that appear later
//! ```
//!
//! Each has a root port of its own: on q35 that is where a device can be plugged in while the guest runs, and a
//! place that no other device can take, so that a guest's names for its NICs (`enp1s0`) stay what they were. A
//! machine without PCI Express has slots for that.
//! Everything is said in JSON, which the command line takes as well as the monitor, so that a NIC that comes
//! later is the same as one that was there from the start.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    config::{Forward, Mac, Platform},
    nics::selection,
};

/// How many ports are kept free for NICs that come while the machine runs.
pub(crate) const SPARE_PORTS: usize = 8;

/// The first slot of the ports on the root bus, eight of them a slot. Devices that say no place get low ones.
const FIRST_SLOT: usize = 0x10;

/// Slots from the first one to those of the chipset.
const SLOTS: usize = 8;

/// How many ports there is room for.
pub(crate) const PORTS_MAX: usize = SLOTS * 8;

/// How many NICs of a model that has I/O ports there is room for: a root port hands them out 4 KiB at a time, of
/// 64 KiB in all, and SeaBIOS stops without a word when they are used up.
const WITH_IO_PORTS_MAX: usize = 12;

/// How many slots there are from the first one on where there are no root ports, each for one NIC.
const SLOTS_OF_PCI: usize = 0x20 - FIRST_SLOT;

/// How many NICs of this model there is room for.
pub(crate) fn room(platform: Platform, model: &str) -> usize {
    if !platform.has_root_ports() {
        SLOTS_OF_PCI
    } else if is_virtio(model) && !model.ends_with("-transitional") {
        PORTS_MAX
    } else {
        WITH_IO_PORTS_MAX
    }
}

/// How many queues a NIC gets at most: more than that share no work any more.
const QUEUES_MAX: u32 = 8;

/// The network behind a NIC in user mode. Each has its own, so that the guest's routes differ; the first one's is
/// the one that QEMU's users know.
fn user_network(number: usize) -> String {
    format!("10.0.{}.0/24", 2 + number)
}

/// A NIC of a machine, as whoever takes the machine over has to know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) nic: selection::Nic,
    /// The root port that it sits on.
    pub(crate) port: usize,
}

impl Placed {
    /// The device's id.
    pub(crate) fn device_id(&self) -> String {
        device_id(&self.nic.name)
    }
}

/// All NICs that a machine starts with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NicSet {
    pub(crate) nics: Vec<Nic>,
    /// How many root ports there are, free ones among them.
    pub(crate) ports: usize,
    /// The devices' ids, in the order in which they are booted from.
    pub(crate) boot_order: Vec<String>,
}

/// A NIC of the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Nic {
    /// Its name here: its interface's, `mgmt`, or `user`.
    pub(crate) name: String,
    pub(crate) mac: Mac,
    /// QEMU's name of the device.
    pub(crate) model: String,
    /// What it is plugged into.
    pub(crate) platform: Platform,
    /// The root port that it sits on, or the slot, counted from the first one.
    pub(crate) port: usize,
    pub(crate) backend: Backend,
}

/// What is at the NIC's other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// QEMU itself: a router with NAT and a DHCP server.
    User {
        /// Which of the NICs in this mode it is, from 0.
        number: usize,
        /// The guest's name, as DHCP tells it.
        hostname: String,
        forwards: Vec<Forward>,
    },
    /// A TAP device.
    Tap {
        /// Its descriptors, one for each queue: numbers, or names that the monitor knows them by.
        queues: Vec<String>,
        /// As many of vhost-net, or none.
        vhost: Vec<String>,
        /// In bytes, without the Ethernet header.
        mtu: u32,
    },
}

impl Nic {
    /// The device's id.
    pub(crate) fn device_id(&self) -> String {
        device_id(&self.name)
    }

    /// The backend's id.
    pub(crate) fn netdev_id(&self) -> String {
        netdev_id(&self.name)
    }

    /// The value of `-netdev`, and the arguments of `netdev_add`.
    pub(crate) fn netdev(&self) -> Value {
        let id = self.netdev_id();
        match &self.backend {
            Backend::User { number, hostname, forwards } => {
                let forwards: Vec<_> =
                    forwards.iter().map(|forward| json!({ "str": forward.to_string() })).collect();
                json!({
                    "type": "user", "id": id, "net": user_network(*number), "hostname": hostname, "hostfwd": forwards,
                })
            }
            Backend::Tap { queues, vhost, .. } => {
                let mut netdev = json!({ "type": "tap", "id": id, "fds": queues.join(":") });
                if !vhost.is_empty() {
                    set(&mut netdev, "vhost", true.into());
                    set(&mut netdev, "vhostfds", vhost.join(":").into());
                }
                netdev
            }
        }
    }

    /// The value of `-device`, and the arguments of `device_add`.
    pub(crate) fn device(&self, bootindex: Option<i32>) -> Value {
        let mut device = json!({
            "driver": self.model, "id": self.device_id(), "netdev": self.netdev_id(),
            "mac": self.mac.to_string(),
        });
        match self.model.as_str() {
            // These aren't PCI devices.
            "usb-net" => set(&mut device, "bus", "usb0.0".into()),
            "ne2k_isa" => {}
            _ if self.platform.has_root_ports() => set(&mut device, "bus", port_id(self.port).into()),
            _ => {
                set(&mut device, "bus", "pci.0".into());
                set(&mut device, "addr", format!("{:#x}", FIRST_SLOT + self.port).into());
            }
        }
        if let Some(index) = bootindex {
            set(&mut device, "bootindex", index.into());
        }
        if let (Backend::Tap { queues, mtu, .. }, true) = (&self.backend, is_virtio(&self.model)) {
            set(&mut device, "host_mtu", (*mtu).into());
            if queues.len() > 1 {
                set(&mut device, "mq", true.into());
            }
        }
        device
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.into(), value);
    }
}

/// The id of the device of the NIC with this name.
pub(crate) fn device_id(name: &str) -> String {
    format!("nic-{}", escaped(name))
}

/// The id of the backend of the NIC with this name.
pub(crate) fn netdev_id(name: &str) -> String {
    format!("net-{}", escaped(name))
}

/// A name as a part of an id. QEMU takes letters, digits, `-`, `.` and `_` (`id_wellformed`); interfaces may be
/// called almost anything. What doesn't fit, and the underscore itself, becomes an underscore and two digits, so
/// that two names never become one.
fn escaped(name: &str) -> String {
    let mut id = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') {
            id.push(byte.into());
        } else {
            id.push_str(&format!("_{byte:02x}"));
        }
    }
    id
}

/// Whether the model is one of virtio's.
pub(crate) fn is_virtio(model: &str) -> bool {
    model.starts_with("virtio-net")
}

/// How many queues a NIC of this model has in a machine with so many processors, if its backend can have several.
pub(crate) fn queues(model: &str, cpus: u32) -> u32 {
    if is_virtio(model) { cpus.clamp(1, QUEUES_MAX) } else { 1 }
}

/// The root port's id.
pub(crate) fn port_id(number: usize) -> String {
    format!("nic-port{number}")
}

/// The value of `-device` for each of so many root ports, where there are such.
pub(crate) fn ports(platform: Platform, count: usize) -> impl Iterator<Item = Value> {
    let count = if platform.has_root_ports() { count.min(PORTS_MAX) } else { 0 };
    (0..count).map(|number| {
        let (slot, function) = (FIRST_SLOT + number / 8, number % 8);
        json!({
            "driver": "pcie-root-port", "id": port_id(number), "bus": "pcie.0",
            "addr": format!("{slot:#x}.{function}"), "multifunction": true,
            "chassis": number + 1, "port": number,
        })
    })
}

/// A name as a host name that DHCP can tell: letters, digits and hyphens within (RFC 1123 §2.1).
pub(crate) fn hostname(name: &str) -> String {
    let letters = name.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '-' });
    let label: String = letters.take(63).collect();
    let label = label.trim_matches('-');
    if label.is_empty() { "guest".into() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tap(model: &str, queues: &[&str]) -> Nic {
        let numbers = |of: &[&str]| of.iter().map(|&number| number.to_owned()).collect();
        Nic {
            name: "eth2".into(),
            mac: "52:54:00:00:00:02".parse().unwrap(),
            model: model.into(),
            platform: Platform::Q35,
            port: 9,
            backend: Backend::Tap { queues: numbers(queues), vhost: Vec::new(), mtu: 9000 },
        }
    }

    #[test]
    fn several_queues_are_for_virtio_alone() {
        assert_eq!(queues("virtio-net-pci-non-transitional", 4), 4);
        assert_eq!(queues("virtio-net-pci", 64), QUEUES_MAX);
        assert_eq!(queues("e1000e", 4), 1);
        let device = tap("virtio-net-pci", &["20", "21"]).device(Some(3));
        assert_eq!(
            (&device["mq"], &device["host_mtu"], &device["bootindex"]),
            (&json!(true), &json!(9000), &json!(3))
        );
        let device = tap("e1000e", &["20"]).device(None);
        assert!(
            device.get("mq").is_none()
                && device.get("host_mtu").is_none()
                && device.get("bootindex").is_none()
        );
    }

    #[test]
    fn a_port_has_a_place_of_its_own() {
        let ports: Vec<_> = ports(Platform::Q35, PORTS_MAX + 1).collect();
        assert_eq!(ports.len(), PORTS_MAX);
        assert_eq!((&ports[9]["id"], &ports[9]["addr"]), (&json!("nic-port9"), &json!("0x11.1")));
        assert_eq!(tap("e1000", &["20"]).device(None)["bus"], ports[9]["id"]);
        let places: std::collections::BTreeSet<_> = ports.iter().map(|port| port["addr"].as_str()).collect();
        assert_eq!(places.len(), PORTS_MAX);
    }

    #[test]
    fn without_root_ports_a_nic_has_a_slot() {
        assert_eq!(ports(Platform::Pc, 3).count(), 0);
        let device = Nic { platform: Platform::Pc, ..tap("e1000", &["20"]) }.device(None);
        assert_eq!((&device["bus"], &device["addr"]), (&json!("pci.0"), &json!("0x19")));
        assert_eq!(FIRST_SLOT + room(Platform::Pc, "virtio-net-pci"), 0x20);
    }

    #[test]
    fn a_guest_is_told_a_name_that_can_be_one() {
        assert_eq!(hostname("clab-lab_1-node.a"), "clab-lab-1-node-a");
        assert_eq!(hostname("__"), "guest");
    }

    proptest! {
        #[test]
        fn ids_are_well_formed_and_differ(a in "\\PC{1,15}", b in "\\PC{1,15}") {
            let valid = |char: char| char.is_ascii_alphanumeric() || "-._".contains(char);
            prop_assert!(device_id(&a).chars().all(valid));
            prop_assert_eq!(a == b, device_id(&a) == device_id(&b));
        }
    }
}
