//! The order in which the firmware tries devices.
//!
//! SeaBIOS and OVMF both follow `bootindex`, also when it is changed while the machine runs: QEMU hands
//! the firmware a new list at every reset. So an override is a change of indexes before a boot, and its end
//! is the change back after the boot has begun.
//!
//! Disks, CD drives and the network are each one place in that order. All disks are in theirs one after the other,
//! by number, and so are the drives; of NICs, those of the machine as it wants them, then those that somebody else
//! added.

use std::time::Duration;

use bmc::BootDevice;
use qmp::{
    Client,
    commands::{QomList, QomSet},
};

use crate::config::{BootOrder, BootSource};

/// The `id`s of disks, first to last.
pub(crate) const DISKS: [&str; 9] =
    ["disk0", "disk1", "disk2", "disk3", "disk4", "disk5", "disk6", "disk7", "disk8"];
/// The `id`s of CD drives.
pub(crate) const CDROMS: [&str; 2] = ["cdrom0", "cdrom1"];

/// What a boot device is for the firmware; none where its own order counts.
pub(crate) fn chosen(device: BootDevice) -> Option<BootSource> {
    match device {
        BootDevice::Disk | BootDevice::DiskSafe => Some(BootSource::Disk),
        BootDevice::Cdrom => Some(BootSource::Cdrom),
        BootDevice::Pxe => Some(BootSource::Network),
        BootDevice::None | BootDevice::Diagnostic | BootDevice::Setup | BootDevice::Floppy => None,
    }
}

/// The first place in the firmware's list that a device is given: the one before is QEMU's own, for a kernel that it
/// loads by itself (`-kernel`).
pub(crate) const FIRST_PLACE: i32 = 1;

/// The order in which sources are tried: the chosen one, then the machine's usual order.
pub(crate) fn order(usual: &BootOrder, device: BootDevice) -> Vec<BootSource> {
    let mut order: Vec<BootSource> = chosen(device).into_iter().collect();
    let rest = [BootSource::Disk, BootSource::Cdrom, BootSource::Network];
    for source in usual.sources().iter().chain(&rest) {
        if !order.contains(source) {
            order.push(*source);
        }
    }
    order
}

/// The order while nothing is overridden.
pub(crate) fn usual_order(usual: &BootOrder) -> Vec<BootSource> {
    order(usual, BootDevice::None)
}

/// The `id`s that the machine's own devices can have, as they come after each other: `nics` are those of its NICs.
pub(crate) fn sequence<'a>(order: &[BootSource], nics: &'a [String]) -> Vec<&'a str> {
    let mut ids = Vec::new();
    for source in order {
        match source {
            BootSource::Disk => ids.extend(DISKS),
            BootSource::Cdrom => ids.extend(CDROMS),
            BootSource::Network => ids.extend(nics.iter().map(String::as_str)),
        }
    }
    ids
}

/// A device that has a `bootindex`, by its path in QEMU's object tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootable {
    path: String,
    id: String,
    source: BootSource,
}

/// Finds what can be booted from: the machine's own devices, and every NIC whoever added it.
pub(crate) async fn discover(client: &Client, timeout: Duration) -> Result<Vec<Bootable>, qmp::Error> {
    let mut found = Vec::new();
    for container in ["/machine/peripheral", "/machine/peripheral-anon"] {
        for child in client.call(&QomList { path: container }, timeout).await?.value {
            if !child.kind.starts_with("child<") {
                continue;
            }
            let path = format!("{container}/{}", child.name);
            let source = match child.name.as_str() {
                id if DISKS.contains(&id) => BootSource::Disk,
                id if CDROMS.contains(&id) => BootSource::Cdrom,
                _ => {
                    let properties = client.call(&QomList { path: &path }, timeout).await?.value;
                    let has = |name: &str| properties.iter().any(|property| property.name == name);
                    if !(has("bootindex") && has("netdev") && has("mac")) {
                        continue;
                    }
                    BootSource::Network
                }
            };
            found.push(Bootable { path, id: child.name, source });
        }
    }
    Ok(found)
}

/// Gives every device its place, the machine's `nics` before those that it does not know. Returns the number of
/// the stream's line at which the order was in force.
pub(crate) async fn apply(
    client: &Client,
    devices: &[Bootable],
    order: &[BootSource],
    nics: &[String],
    timeout: Duration,
) -> Result<u64, qmp::Error> {
    // An index that another device still has is refused, so all are taken away first.
    let mut seq = 0;
    for device in devices {
        seq = set(client, device, -1, timeout).await?;
    }
    for (index, device) in (FIRST_PLACE..).zip(ranked(devices, order, nics)) {
        seq = set(client, device, index, timeout).await?;
    }
    Ok(seq)
}

fn ranked<'a>(devices: &'a [Bootable], order: &[BootSource], nics: &[String]) -> Vec<&'a Bootable> {
    let place = |device: &Bootable| {
        let source = order.iter().position(|source| *source == device.source);
        let nic = nics.iter().position(|id| *id == device.id);
        let drive = DISKS.iter().chain(&CDROMS).position(|id| *id == device.id);
        (source.unwrap_or(usize::MAX), drive.or(nic).unwrap_or(usize::MAX))
    };
    let mut ranked: Vec<_> = devices.iter().filter(|device| order.contains(&device.source)).collect();
    ranked.sort_by_key(|device| place(device));
    ranked
}

async fn set(client: &Client, device: &Bootable, index: i32, timeout: Duration) -> Result<u64, qmp::Error> {
    let command = QomSet { path: &device.path, property: "bootindex", value: index.into() };
    Ok(client.call(&command, timeout).await?.seq)
}

/// Whether there is a NIC to boot from.
pub(crate) fn has_network(devices: &[Bootable]) -> bool {
    devices.iter().any(|device| device.source == BootSource::Network)
}

/// Whether there is a NIC that the command line could not place, because it is none of `nics`.
pub(crate) fn has_strangers(devices: &[Bootable], nics: &[String]) -> bool {
    devices.iter().any(|device| device.source == BootSource::Network && !nics.contains(&device.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_and_nics_are_tried_in_the_machines_order_and_strangers_after_them() {
        let device = |id: &str, source| Bootable { path: String::new(), id: id.into(), source };
        let devices = [
            device("nic-eth2", BootSource::Network),
            device("theirs", BootSource::Network),
            device("disk1", BootSource::Disk),
            device("disk0", BootSource::Disk),
            device("nic-eth3", BootSource::Network),
        ];
        let nics = ["nic-eth3".into(), "nic-eth2".into()];
        let order = [BootSource::Network, BootSource::Disk];
        let ids: Vec<_> = ranked(&devices, &order, &nics).into_iter().map(|device| &*device.id).collect();
        assert_eq!(ids, ["nic-eth3", "nic-eth2", "theirs", "disk0", "disk1"]);
        assert_eq!(sequence(&order, &nics)[..4], ["nic-eth3", "nic-eth2", "disk0", "disk1"]);
        assert!(has_strangers(&devices, &nics) && !has_strangers(&devices[2..], &nics));
    }

    #[test]
    fn an_override_comes_first_and_the_usual_order_after_it() {
        let usual: BootOrder = "c".parse().unwrap();
        assert_eq!(
            order(&usual, BootDevice::None),
            [BootSource::Disk, BootSource::Cdrom, BootSource::Network]
        );
        assert_eq!(
            order(&usual, BootDevice::Pxe),
            [BootSource::Network, BootSource::Disk, BootSource::Cdrom]
        );
        let usual: BootOrder = "dn".parse().unwrap();
        assert_eq!(
            order(&usual, BootDevice::None),
            [BootSource::Cdrom, BootSource::Network, BootSource::Disk]
        );
        assert_eq!(
            order(&usual, BootDevice::Disk),
            [BootSource::Disk, BootSource::Cdrom, BootSource::Network]
        );
    }
}
