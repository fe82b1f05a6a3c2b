//! Disks and CDs.

use serde_json::json;

use super::{
    super::boot::{CDROM, DISK},
    Spec, bootindex,
    line::Line,
};

pub(super) fn drives(line: &mut Line, spec: &Spec<'_>) {
    let index = |id| bootindex(spec, id).map(|place| format!(",bootindex={place}")).unwrap_or_default();
    if let Some(image) = &spec.parts.disk {
        line.blockdev(json!({
            "node-name": "disk0-image", "driver": image.format, "discard": "unmap",
            "file": { "driver": "file", "filename": image.path.to_string_lossy(), "discard": "unmap" },
        }));
        line.words(&["-device", &format!("virtio-blk-pci,id={DISK},drive=disk0-image{}", index(DISK))]);
    }
    let mut cdrom = if spec.plan.hardware.machine.platform.has_ide() {
        format!("ide-cd,id={CDROM},bus=ide.0")
    } else {
        line.words(&["-device", "virtio-scsi-pci,id=cdrom-bus0"]);
        format!("scsi-cd,id={CDROM},bus=cdrom-bus0.0")
    };
    if let Some(image) = &spec.parts.cdrom {
        line.blockdev(json!({
            "node-name": "cdrom0-image", "driver": image.format, "read-only": true,
            "file": { "driver": "file", "filename": image.path.to_string_lossy() },
        }));
        cdrom.push_str(",drive=cdrom0-image");
    }
    cdrom.push_str(&index(CDROM));
    line.words(&["-device", &cdrom]);
}
