//! A node with links of a lab, and what can be seen of its NICs without a guest.

use serde_json::json;

use super::{
    Machine, SOON, Setup,
    lab::{Lab, Namespace},
    qemu::Qmp,
    wait_for,
};

/// A node's namespace with eth0 for its BMC, and a lab with the other ends of its links.
pub struct Node {
    pub own: Namespace,
    pub lab: Namespace,
}

impl Node {
    pub fn new() -> Option<Self> {
        let lab = Lab::here()?;
        Some(Self { own: lab.namespace("node"), lab: lab.namespace("lab") })
    }

    /// With these links; at the lab's end they have the same names.
    pub fn with(links: &[&str]) -> Option<Self> {
        let node = Self::new()?;
        links.iter().for_each(|link| node.add(link));
        Some(node)
    }

    pub fn add(&self, link: &str) {
        self.own.cable(link, &self.lab, link);
    }

    /// A machine in here that has every ethN.
    pub fn setup(&self) -> Setup {
        Setup::new().in_namespace(&self.own).with("VM_NETWORKS", "")
    }

    /// Everything that could be left behind.
    pub fn traces(&self) -> String {
        ["ip -d addr", "ip route", "tc qdisc", "bridge link"].map(|line| self.own.sh(line)).concat()
    }
}

/// Switches the machine on, and looks at its QEMU.
pub fn on(machine: &Machine) -> Qmp {
    machine.ipmitool(&["power", "on"]).ok();
    machine.wait_power("on", SOON);
    Qmp::connect(machine)
}

/// The NICs that QEMU has.
pub fn ids(qmp: &mut Qmp) -> Vec<String> {
    qmp.nics().into_iter().map(|nic| nic.id).collect()
}

/// What `status` says of a NIC: how it is attached, and its link.
pub fn shown(machine: &Machine, nic: &str) -> Option<String> {
    let status = machine.local(&["status"]).ok();
    let line = status.lines().find(|line| line.starts_with("NIC:") && line.contains(&format!(" {nic} ")))?;
    Some(line.to_owned())
}

#[track_caller]
pub fn wait_shown(machine: &Machine, nic: &str, text: &str) {
    wait_for(&format!("{nic} is shown as {text}"), SOON, || {
        shown(machine, nic).filter(|line| line.contains(text))
    });
}

/// Bit 0 of virtio's status register, as a driver reads it: whether there is a link (virtio 1.2 §5.1.4).
pub fn virtio_link(qmp: &mut Qmp) -> Option<bool> {
    const DEVICE_CONFIGURATION: u64 = 0x2000;
    const STATUS: u64 = 6;

    let buses = qmp.execute("query-pci", json!({}));
    let bridges = buses[0]["devices"].as_array()?;
    let behind = bridges.iter().filter_map(|bridge| bridge["pci_bridge"]["devices"].as_array()).flatten();
    let nic = behind.into_iter().find(|device| device["qdev_id"] == "nic-eth2")?;
    let memory = nic["regions"].as_array()?.iter().find(|region| region["bar"] == 4)?;
    let address = memory["address"].as_u64().filter(|address| *address != u64::MAX && *address != 0)?;
    let said = qmp.human(&format!("xp /1hx {:#x}", address + DEVICE_CONFIGURATION + STATUS));
    let status = u16::from_str_radix(said.trim().rsplit("0x").next()?, 16).ok()?;
    (status != 0xffff).then_some(status & 1 != 0)
}
