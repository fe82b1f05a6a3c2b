//! The order in which the firmware tries devices.
//!
//! SeaBIOS and OVMF both follow `bootindex`, also when it is changed while the machine runs: QEMU hands
//! the firmware a new list at every reset. So an override is a change of indexes before a boot, and its end
//! is the change back after the boot has begun.

use std::time::Duration;

use bmc::BootDevice;
use qmp::{
    Client,
    commands::{QomList, QomSet},
};

use crate::config::{BootOrder, BootSource};

/// The `id`s of the devices that every machine has.
pub(crate) const DISK: &str = "disk0";
pub(crate) const CDROM: &str = "cdrom0";

fn chosen(device: BootDevice) -> Option<BootSource> {
    match device {
        BootDevice::Disk | BootDevice::DiskSafe => Some(BootSource::Disk),
        BootDevice::Cdrom => Some(BootSource::Cdrom),
        BootDevice::Pxe => Some(BootSource::Network),
        BootDevice::None | BootDevice::Diagnostic | BootDevice::Setup | BootDevice::Floppy => None,
    }
}

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

/// A device that has a `bootindex`, by its path in QEMU's object tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bootable {
    path: String,
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
                DISK => BootSource::Disk,
                CDROM => BootSource::Cdrom,
                _ => {
                    let properties = client.call(&QomList { path: &path }, timeout).await?.value;
                    let has = |name: &str| properties.iter().any(|property| property.name == name);
                    if !(has("bootindex") && has("netdev") && has("mac")) {
                        continue;
                    }
                    BootSource::Network
                }
            };
            found.push(Bootable { path, source });
        }
    }
    Ok(found)
}

/// Gives every device its place. Returns the number of the stream's line at which the order was in force.
pub(crate) async fn apply(
    client: &Client,
    devices: &[Bootable],
    order: &[BootSource],
    timeout: Duration,
) -> Result<u64, qmp::Error> {
    // An index that another device still has is refused, so all are taken away first.
    let mut seq = 0;
    for device in devices {
        seq = set(client, device, -1, timeout).await?;
    }
    let mut index = 0;
    for source in order {
        for device in devices.iter().filter(|device| device.source == *source) {
            seq = set(client, device, index, timeout).await?;
            index += 1;
        }
    }
    Ok(seq)
}

async fn set(client: &Client, device: &Bootable, index: i32, timeout: Duration) -> Result<u64, qmp::Error> {
    let command = QomSet { path: &device.path, property: "bootindex", value: index.into() };
    Ok(client.call(&command, timeout).await?.seq)
}

/// Whether there is something to boot from that a command line could not place.
pub(crate) fn has_network(devices: &[Bootable]) -> bool {
    devices.iter().any(|device| device.source == BootSource::Network)
}

#[cfg(test)]
mod tests {
    use super::*;

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
