//! Disks and CDs: the images as QEMU's block layer has them, and the devices that the guest sees.
//!
//! Each device has an `id`, [`boot::disks`]' and [`boot::cdroms`]', by which the boot order finds it again.
//!
//! ```text
//!   ide.0 … ide.5   the board's SATA ports: first the CD drives, then SATA disks
//!   ahci1.0 …       those that have no port there
//!   cdrom-bus0.0    CD drives on a board without SATA
//!   scsi0.0         SCSI disks
//!   usb0.0          USB disks, with the tablet
//! ```

use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    super::{
        boot,
        disk::{Disk, Image},
    },
    Spec, bootindex,
    line::Line,
};
use crate::config::{Access, Aio, Bus, Medium, Platform};

/// Ports of an AHCI controller.
const SATA_PORTS: usize = 6;
/// Of xHCI's own ports, what is left for disks.
const USB_PORTS: usize = 3;

/// How many ports the USB controller needs of each kind, where it needs more than it has of itself.
pub(super) fn usb_ports(disks: &[Disk]) -> Option<usize> {
    let wanted = disks.iter().filter(|disk| disk.bus == Bus::Usb).count();
    (wanted > USB_PORTS).then_some(wanted + 1)
}

pub(super) fn drives(line: &mut Line, spec: &Spec<'_>) {
    let node = Uuid::from_bytes(spec.identity.uuid);
    let disks = &spec.parts.disks;
    let on = |bus| disks.iter().filter(move |disk| disk.bus == bus).count();
    let cdroms = spec.media;
    if on(Bus::Scsi) > 0 {
        line.words(&["-device", "virtio-scsi-pci,id=scsi0"]);
    }
    let platform = spec.plan.hardware.machine.platform;
    let has_ide = platform.has_ide();
    if !has_ide {
        line.words(&["-device", "virtio-scsi-pci,id=cdrom-bus0"]);
    }
    let mut ports = sata_ports(line, platform, on(Bus::Sata) + if has_ide { cdroms.len() } else { 0 });

    for (id, medium) in boot::CDROMS.iter().zip(cdroms) {
        let mut device = if has_ide {
            format!("ide-cd,id={id},bus={}", ports.next().unwrap_or_default())
        } else {
            format!("scsi-cd,id={id},bus=cdrom-bus0.0")
        };
        if let Some(medium) = medium {
            line.blockdev(medium_node(&format!("{id}-image"), medium));
            device.push_str(&format!(",drive={id}-image"));
        }
        line.words(&["-device", &(device + &index(spec, id))]);
    }
    for disk in disks {
        line.blockdev(image(&disk.image, Some(&format!("{}-image", disk.id)), false));
        let kind = match disk.bus {
            Bus::Virtio => "virtio-blk-pci".into(),
            Bus::Scsi => "scsi-hd,bus=scsi0.0".into(),
            Bus::Nvme => "nvme".into(),
            Bus::Sata => format!("ide-hd,bus={}", ports.next().unwrap_or_default()),
            Bus::Usb => "usb-storage,bus=usb0.0".into(),
        };
        let mut device =
            format!("{kind},id={id},drive={id}-image,serial={}", disk.serial(node), id = disk.id);
        if !disk.write_back {
            device.push_str(",write-cache=off");
        }
        // A full file system holds the guest until there is room; NVMe has no such policy.
        if disk.bus != Bus::Nvme {
            device.push_str(",rerror=report,werror=enospc");
        }
        line.words(&["-device", &(device + &index(spec, &disk.id))]);
    }
}

/// So many ports for SATA: the board's first, then those of further controllers.
fn sata_ports(line: &mut Line, platform: Platform, wanted: usize) -> impl Iterator<Item = String> + use<> {
    let board: Vec<_> = match platform {
        Platform::Q35 => (0..SATA_PORTS).map(|port| format!("ide.{port}")).collect(),
        Platform::Pc => {
            ["ide.0,unit=0", "ide.0,unit=1", "ide.1,unit=0", "ide.1,unit=1"].map(Into::into).into()
        }
        Platform::Virt => Vec::new(),
    };
    let further = wanted.saturating_sub(board.len()).div_ceil(SATA_PORTS);
    for number in 1..=further {
        line.words(&["-device", &format!("ahci,id=ahci{number}")]);
    }
    let more =
        (1..=further).flat_map(|number| (0..SATA_PORTS).map(move |port| format!("ahci{number}.{port}")));
    board.into_iter().chain(more)
}

fn index(spec: &Spec<'_>, id: &str) -> String {
    bootindex(spec, id).map(|place| format!(",bootindex={place}")).unwrap_or_default()
}

/// An image and all that is said here of what it lies on.
fn image(image: &Image, name: Option<&str>, read_only: bool) -> Value {
    let Access { discard, cache, aio } = image.access;
    let driver = if image.is_device { "host_device" } else { "file" };
    let discard = if discard { "unmap" } else { "ignore" };
    let cache = json!({ "direct": cache.is_direct(), "no-flush": cache.ignores_flushes() });
    let mut file = json!({
        "driver": driver, "filename": image.path.to_string_lossy(), "discard": discard, "cache": cache,
    });
    if aio != Aio::Threads {
        set(&mut file, "aio", aio.to_string().into());
    }
    let mut node = json!({
        "driver": image.format.to_string(), "discard": discard, "cache": cache, "file": file,
    });
    if let Some(name) = name {
        set(&mut node, "node-name", name.into());
    }
    if read_only {
        set(&mut node, "read-only", true.into());
    }
    if let Some(base) = &image.base {
        set(&mut node, "backing", self::image(base, None, true));
    }
    node
}

/// What is in a CD drive. The bytes are the medium's, whatever they look like.
pub(crate) fn medium_node(name: &str, medium: &Medium) -> Value {
    let file = match medium {
        Medium::File(path) => json!({ "driver": "file", "filename": path.to_string_lossy() }),
        Medium::Url(url) => {
            let driver = if url.starts_with("https:") { "https" } else { "http" };
            json!({ "driver": driver, "url": url })
        }
    };
    json!({ "node-name": name, "driver": "raw", "read-only": true, "file": file })
}

fn set(node: &mut Value, key: &str, value: Value) {
    if let Value::Object(members) = node {
        members.insert(key.into(), value);
    }
}
