//! The boot device of a machine that something else put together.
//!
//! Its firmware tries devices in the order that its owner gave them (`bootindex`), or in its own where he gave none.
//! For one boot, or for all, those of the chosen kind come first; then every device has again what its owner gave
//! it:
//!
//! ```text
//!   owner's     disk 1   cd 2   nic -        nothing is overridden
//!   "pxe"       disk 2   cd 3   nic 1        in force from the next reset on
//!   owner's     disk 1   cd 2   nic -        put back once the boot has begun
//! ```
//!
//! What the owner gave is written down as long as it is not in force, so that the next controller can put it back. The
//! note is of a QEMU which has what the note says that it was given: one that was started since has its owner's
//! order again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use bmc::{BootDevice, HostPower};
use qmp::{
    Client,
    commands::{QomGet, QomList, QomSet, QueryBlock, QueryStatus, SystemReset},
};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::{
    super::{
        boot::{FIRST_PLACE, chosen},
        connection::{ANSWER_LIMIT, Monitor},
    },
    Machine,
};
use crate::{chain, config::BootSource, store};

/// Where QEMU keeps devices: with a name, without one, and those that it made for its short options.
const CONTAINERS: [&str; 3] = ["/machine/peripheral", "/machine/peripheral-anon", "/machine/unattached"];

/// No place in the order.
const NOWHERE: i64 = -1;

/// A device that can have a place in the firmware's order, by its path in QEMU's object tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bootable {
    path: String,
    /// What it is to boot from; none for what is neither a disk, a CD drive nor a NIC.
    source: Option<BootSource>,
    /// Its place now.
    index: i64,
}

/// What was changed in a QEMU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    devices: Vec<Noted>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    path: String,
    /// What its owner gave it.
    owners: i64,
    /// What it was given instead.
    ours: i64,
}

impl Note {
    fn path(run_dir: &Path) -> PathBuf {
        run_dir.join("attached-boot-order.json")
    }

    /// Whether it is of the QEMU that has these devices. A change that was not finished counts too: each device has
    /// one of both, or is on the way between them.
    fn is_of(&self, devices: &[Bootable]) -> bool {
        self.devices.iter().all(|noted| {
            devices.iter().any(|device| {
                device.path == noted.path && [noted.ours, noted.owners, NOWHERE].contains(&device.index)
            })
        })
    }

    fn owners(&self, device: &Bootable) -> i64 {
        let noted = self.devices.iter().find(|noted| noted.path == device.path);
        noted.map_or(device.index, |noted| noted.owners)
    }
}

/// The place that each device is to have while `first` is booted from before all others.
fn places(devices: &[Bootable], owners: &[i64], first: Option<BootSource>) -> Vec<i64> {
    let chosen = |device: &Bootable| first.is_some() && device.source == first;
    if !devices.iter().any(chosen) {
        return owners.to_vec();
    }
    let mut order: Vec<_> = (0..devices.len())
        .zip(devices)
        .zip(owners)
        .map(|((at, device), owners)| (!chosen(device), *owners == NOWHERE, *owners, at))
        .filter(|(others, nowhere, ..)| !(*others && *nowhere))
        .collect();
    order.sort_unstable();
    let mut places = vec![NOWHERE; devices.len()];
    for (place, (.., at)) in (FIRST_PLACE.into()..).zip(order) {
        if let Some(slot) = places.get_mut(at) {
            *slot = place;
        }
    }
    places
}

/// What a device is to boot from, by its type's name and what it has.
fn source(kind: &str, has: impl Fn(&str) -> bool, has_tray: bool) -> Option<BootSource> {
    if has("netdev") && has("mac") {
        return Some(BootSource::Network);
    }
    if kind.contains("floppy") {
        return None;
    }
    let is_disk = has("drive") || kind.contains("-blk") || kind.contains("scsi");
    match (kind.ends_with("-cd") || has_tray, is_disk) {
        (true, _) => Some(BootSource::Cdrom),
        (false, true) => Some(BootSource::Disk),
        (false, false) => None,
    }
}

/// Finds everything that can have a place in the order, in QEMU's own order.
async fn discover(client: &Client) -> Result<Vec<Bootable>, qmp::Error> {
    let drives = client.call(&QueryBlock, ANSWER_LIMIT).await?.value;
    let has_tray = |path: &str, name: &str| {
        drives.iter().any(|drive| {
            drive.tray_open.is_some()
                && drive.qdev.as_deref().is_some_and(|qdev| qdev == path || qdev == name)
        })
    };
    let mut found = Vec::new();
    for container in CONTAINERS {
        for child in client.call(&QomList { path: container }, ANSWER_LIMIT).await?.value {
            let Some(kind) = child.kind.strip_prefix("child<").and_then(|kind| kind.strip_suffix('>')) else {
                continue;
            };
            let path = format!("{container}/{}", child.name);
            let properties = client.call(&QomList { path: &path }, ANSWER_LIMIT).await?.value;
            let has = |name: &str| properties.iter().any(|property| property.name == name);
            if !has("bootindex") {
                continue;
            }
            let index = client.call(&QomGet { path: &path, property: "bootindex" }, ANSWER_LIMIT).await?;
            let source = source(kind, has, has_tray(&path, &child.name));
            found.push(Bootable { source, index: index.value.as_i64().unwrap_or(NOWHERE), path });
        }
    }
    Ok(found)
}

/// Gives every device its place. A place that another device still has is refused, so all that change give theirs
/// up first.
async fn apply(client: &Client, devices: &[Bootable], places: &[i64]) -> Result<(), qmp::Error> {
    let changed = || devices.iter().zip(places).filter(|(device, place)| device.index != **place);
    let held = changed().filter(|(device, _)| device.index != NOWHERE).map(|(device, _)| (device, NOWHERE));
    let given = changed().filter(|(_, place)| **place != NOWHERE).map(|(device, place)| (device, *place));
    for (device, place) in held.chain(given) {
        let command = QomSet { path: &device.path, property: "bootindex", value: place.into() };
        client.call(&command, ANSWER_LIMIT).await?;
    }
    Ok(())
}

/// Has the firmware of a QEMU boot from `first` before all others, from the next reset on, or again as its owner
/// wants it. False if there is nothing of the kind.
async fn put_first(client: &Client, first: Option<BootSource>, run_dir: &Path) -> Result<bool, qmp::Error> {
    let devices = discover(client).await?;
    let note_path = Note::path(run_dir);
    let note: Note =
        store::read_or_set_aside(&note_path).filter(|note: &Note| note.is_of(&devices)).unwrap_or_default();
    let owners: Vec<i64> = devices.iter().map(|device| note.owners(device)).collect();
    let places = places(&devices, &owners, first);
    let noted = devices.iter().zip(&owners).zip(&places).map(|((device, owners), ours)| Noted {
        path: device.path.clone(),
        owners: *owners,
        ours: *ours,
    });
    let changes = Note { devices: noted.filter(|noted| noted.owners != noted.ours).collect() };
    if changes.devices.is_empty() {
        apply(client, &devices, &places).await?;
        let _ = fs::remove_file(note_path);
    } else {
        if let Err(error) = store::write(&note_path, &changes) {
            warn!("{error}; the owner's boot order is lost if this program is killed");
        }
        apply(client, &devices, &places).await?;
    }
    Ok(first.is_none() || devices.iter().any(|device| device.source == first))
}

impl Machine {
    /// Lets the firmware boot in the model's order from the next reset on.
    pub(super) async fn arm(&mut self) {
        let choice = self.driver.controller.with(|bmc| bmc.boot().choice());
        if self.monitor.is_none() {
            if choice.device != BootDevice::None {
                info!("boot device {}: it is for the guest's firmware to ask for", choice.device);
            }
            return;
        }
        // The boot that has just begun is to find the order that was meant for it.
        if self.settling.is_some() {
            self.order_stale = true;
            return;
        }
        let first = chosen(choice.device);
        let Some(client) = self.monitor.as_ref().and_then(Monitor::client).cloned() else { return };
        let armed = async {
            let there = put_first(&client, first, &self.driver.run_dir).await?;
            Ok::<_, qmp::Error>((there, client.call(&QueryStatus, ANSWER_LIMIT).await?.seq))
        };
        match armed.await {
            Ok((there, seq)) => {
                if let Some(monitor) = &mut self.monitor {
                    monitor.armed(seq, choice.generation);
                }
                if !there || (first.is_none() && choice.device != BootDevice::None) {
                    warn!(
                        "the machine is to boot from {}, but it has none: it will go on with its own order",
                        choice.device
                    );
                }
            }
            Err(error) => warn!("change the boot order: {}", chain(&error)),
        }
    }

    /// The machine's monitor is there, maybe again: its order is to be the model's.
    pub(super) async fn take_up_boot_order(&mut self) {
        let is_overridden = self.driver.controller.with(|bmc| bmc.boot().choice()).device != BootDevice::None;
        if is_overridden || Note::path(&self.driver.run_dir).exists() {
            self.arm().await;
        }
    }

    /// A machine that was just started had no order but its owner's: with a boot device, it begins once more.
    pub(super) async fn begin_with_boot_device(&mut self) {
        self.settle();
        let device = self.driver.controller.with(|bmc| bmc.boot().choice()).device;
        let is_on = self.driver.controller.with(|bmc| bmc.host_power()) == HostPower::On;
        if !is_on || chosen(device).is_none() || !self.has_monitor() {
            return;
        }
        self.arm().await;
        self.was_reset();
        if self.call(&SystemReset).await.is_some() {
            self.boot_began(u64::MAX);
        }
    }

    /// A boot began with the reset on line `seq`: the flags that were in force are used up, if they were for one boot.
    pub(super) fn boot_began(&mut self, seq: u64) {
        let generation = self.monitor.as_mut().and_then(|monitor| monitor.boot_of_reset(seq));
        if let Some(generation) = generation {
            self.driver.controller.with(|bmc| bmc.boot_began(generation));
        }
    }

    /// The firmware has the boot order that it will use: from now on it can be that of the next boot.
    pub(super) async fn reset_settled(&mut self) {
        self.settling = None;
        if std::mem::take(&mut self.order_stale) {
            self.arm().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bootable(source: Option<BootSource>, index: i64) -> Bootable {
        Bootable { path: format!("/{source:?}/{index}"), source, index }
    }

    fn machine() -> Vec<Bootable> {
        vec![
            bootable(Some(BootSource::Disk), 1),
            bootable(Some(BootSource::Cdrom), 2),
            bootable(Some(BootSource::Network), NOWHERE),
            bootable(Some(BootSource::Disk), 3),
            bootable(None, 4),
        ]
    }

    fn owners(devices: &[Bootable]) -> Vec<i64> {
        devices.iter().map(|device| device.index).collect()
    }

    #[test]
    fn the_chosen_come_first_and_the_others_keep_their_order() {
        let devices = machine();
        let owners = owners(&devices);
        assert_eq!(places(&devices, &owners, Some(BootSource::Network)), [2, 3, 1, 4, 5]);
        assert_eq!(places(&devices, &owners, Some(BootSource::Cdrom)), [2, 1, NOWHERE, 3, 4]);
        assert_eq!(places(&devices, &owners, Some(BootSource::Disk)), [1, 3, NOWHERE, 2, 4]);
        assert_eq!(places(&devices, &owners, None), owners);
    }

    #[test]
    fn what_is_not_there_changes_nothing() {
        let devices = [bootable(Some(BootSource::Disk), NOWHERE)];
        assert_eq!(places(&devices, &[NOWHERE], Some(BootSource::Network)), [NOWHERE]);
    }

    #[test]
    fn a_note_is_of_the_qemu_that_was_changed_and_of_no_later_one() {
        let devices = machine();
        let note = Note {
            devices: vec![
                Noted { path: devices[0].path.clone(), owners: 1, ours: 6 },
                Noted { path: devices[2].path.clone(), owners: NOWHERE, ours: 0 },
            ],
        };
        let mut changed = devices.clone();
        (changed[0].index, changed[2].index) = (6, 0);
        assert!(note.is_of(&changed));
        assert_eq!(
            (note.owners(&changed[0]), note.owners(&changed[2]), note.owners(&changed[1])),
            (1, NOWHERE, 2)
        );
        changed[0].index = NOWHERE;
        assert!(note.is_of(&changed), "in the middle of it");
        changed[0].index = 9;
        assert!(!note.is_of(&changed) && !note.is_of(&devices[..1]));
    }

    #[test]
    fn devices_are_known_by_what_they_are_and_have() {
        let with = |names: &'static [&str]| move |name: &str| names.contains(&name);
        assert_eq!(source("virtio-net-pci", with(&["netdev", "mac"]), false), Some(BootSource::Network));
        assert_eq!(source("ide-cd", with(&["drive"]), true), Some(BootSource::Cdrom));
        assert_eq!(source("scsi-cd", with(&["drive"]), false), Some(BootSource::Cdrom));
        assert_eq!(source("usb-storage", with(&["drive"]), true), Some(BootSource::Cdrom));
        for disk in ["virtio-blk-pci", "nvme", "scsi-hd", "usb-storage"] {
            assert_eq!(source(disk, with(&["drive"]), false), Some(BootSource::Disk), "{disk}");
        }
        assert_eq!(source("vhost-user-blk-pci", with(&[]), false), Some(BootSource::Disk));
        assert_eq!(source("floppy", with(&["drive"]), true), None);
        assert_eq!(source("vfio-pci", with(&["host"]), false), None);
    }

    proptest! {
        #[test]
        fn no_two_devices_have_one_place(
            devices in proptest::collection::vec((0..4_usize, NOWHERE..20), 0..12),
            first in 0..4_usize,
        ) {
            let sources = [Some(BootSource::Disk), Some(BootSource::Cdrom), Some(BootSource::Network), None];
            let devices: Vec<_> = devices.into_iter().map(|(kind, index)| bootable(sources[kind], index)).collect();
            let mut given = std::collections::HashSet::new();
            let unique = devices.iter().all(|device| device.index == NOWHERE || given.insert(device.index));
            prop_assume!(unique);
            let places = places(&devices, &owners(&devices), sources[first]);
            let mut seen = std::collections::HashSet::new();
            prop_assert!(places.iter().all(|place| *place == NOWHERE || seen.insert(*place)));
            for (device, place) in devices.iter().zip(&places) {
                prop_assert!(device.index == NOWHERE || *place != NOWHERE, "none loses its place");
            }
        }
    }
}
