//! The machine's disks, as files and devices of the host.
//!
//! ```text
//!   DiskPlan ──▶ is it there? ──no──▶ made, whole or not at all (make)
//!                    │yes                       │
//!                    ▼                          ▼
//!              what is it (inspect) ──▶ does it fit what was asked for? ──▶ Disk, for the command line
//! ```
//!
//! QEMU would guess the format of an image itself, but then a guest that writes a qcow2 header to its raw disk
//! could make the host open any file at the next start. So the format is found out once and always said; and an
//! image that was raw once stays raw whatever its guest writes into it ([`known`]).
//!
//! An image is never repaired, shrunk or converted here: that is for people to decide.

mod ephemeral;
mod error;
mod in_use;
mod inspect;
mod known;
mod make;
mod qemu_img;
mod words;

use std::path::{Path, PathBuf};

pub(crate) use ephemeral::{Written, throw_away};
use error::Error;
use known::Known;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;
pub(crate) use words::explained;

use crate::config::{Access, Bus, DiskFormat, DiskPlan, Paths, StoragePlan, disk_variable};

/// A disk as QEMU is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The device's `id`: `disk0` is the first.
    pub(crate) id: String,
    /// Its number: 1 is the first.
    pub(crate) number: u8,
    pub(crate) image: Image,
    pub(crate) bus: Bus,
    /// The serial number that was asked for.
    pub(crate) serial: Option<String>,
    /// Whether the guest sees a disk with a write cache.
    pub(crate) write_back: bool,
}

/// An image, and what it lies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) path: PathBuf,
    pub(crate) format: DiskFormat,
    /// Whether it is a block device of the host.
    pub(crate) is_device: bool,
    /// How QEMU reads and writes it.
    pub(crate) access: Access,
    /// What an overlay has below it, where that is said here and not by the image itself. It is only read.
    pub(crate) base: Option<Box<Image>>,
}

impl Disk {
    /// What the guest reads as its serial number.
    pub(crate) fn serial(&self, node: Uuid) -> String {
        self.serial.clone().unwrap_or_else(|| derived_serial(node, self.number))
    }
}

/// A serial number that is the disk's own as long as the machine has its GUID: guests name disks by it
/// (`/dev/disk/by-id`), in their boot loader's configuration too.
fn derived_serial(node: Uuid, number: u8) -> String {
    let hash = Sha256::new().chain_update(node.as_bytes()).chain_update("disk").finalize();
    let digits: String = hash.iter().take(6).map(|byte| format!("{byte:02X}")).collect();
    format!("QB{digits}-{number}")
}

/// The `id` of a disk.
fn id(number: u8) -> String {
    format!("disk{}", number.saturating_sub(1))
}

/// The machine's disks, and what is to be said of them.
#[derive(Debug, Default)]
pub(crate) struct Disks {
    pub(crate) disks: Vec<Disk>,
    /// What is odd, one sentence each.
    pub(crate) remarks: Vec<String>,
}

/// What there is and what would be made. Changes nothing.
pub(crate) fn look(plan: &StoragePlan, paths: &Paths) -> Result<Disks, Error> {
    let known = Known::read(&paths.state_dir);
    let mut found = Disks::default();
    for disk in &plan.disks {
        let image = if disk.path.exists() {
            let image = inspect::image(disk, &known, inspect::Sharing::Whoever, &mut found.remarks)?;
            inspect::fits(disk, &image)?;
            if !disk.ephemeral {
                found.remarks.extend(make::change(disk, &image).map(|change| change.to_string()));
            }
            image.image
        } else {
            let format = make::format(disk);
            let image = inspect::to_be(disk, format, &known)?;
            let (path, variable) = (disk.path.display(), disk_variable(disk.number));
            let size = make::size(disk, image.base.as_deref())?;
            let size = size.map(|size| format!(" of {}", size_text(size))).unwrap_or_default();
            let base = disk.base.as_ref().map(|base| format!(" as an overlay on {}", base.display()));
            let base = base.unwrap_or_default();
            found.remarks.push(if disk.ephemeral {
                format!("{path} ({variable}) is not there: the machine has an empty disk{size}{base} at each power on")
            } else {
                make::check_place(&disk.path)?;
                format!("{path} ({variable}) is not there: power on makes it, {format}{size}{base}")
            });
            image
        };
        let image = if disk.ephemeral { ephemeral::over(image, disk, &paths.run_dir) } else { image };
        found.disks.push(of(disk, image));
    }
    Ok(found)
}

/// What a machine starts with: makes what is absent, and what is to be thrown away.
pub(crate) fn make(plan: &StoragePlan, paths: &Paths, written: Written) -> Result<Disks, Error> {
    let mut known = Known::read(&paths.state_dir);
    let mut made = Disks::default();
    for disk in &plan.disks {
        let image = if disk.ephemeral {
            ephemeral::prepare(disk, &known, written, &paths.run_dir, &mut made.remarks)?
        } else {
            if !disk.path.exists() {
                make::whole(disk, &disk.path, &known)?;
                tracing::info!("{} was not there: it was made ({})", disk.path.display(), make::format(disk));
            }
            let found = inspect::image(disk, &known, inspect::Sharing::NobodyElse, &mut made.remarks)?;
            inspect::fits(disk, &found)?;
            make::grow(disk, &found, &mut made.remarks)?;
            found.image
        };
        known.note(&image);
        made.disks.push(of(disk, image));
    }
    known.write();
    Ok(made)
}

fn of(plan: &DiskPlan, image: Image) -> Disk {
    let (number, bus) = (plan.number, plan.bus);
    let write_back = plan.access.cache.is_write_back();
    Disk { id: id(number), number, image, bus, serial: plan.serial.clone(), write_back }
}

/// A size as people say it.
fn size_text(bytes: u64) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "T"), (30, "G"), (20, "M"), (10, "K")];
    let whole = UNITS.iter().find(|(shift, _)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    match whole {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

/// The path as it is said to others, who may be in another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
