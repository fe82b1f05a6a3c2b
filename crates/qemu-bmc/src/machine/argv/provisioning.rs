//! What the guest finds at its first boot.

use serde_json::json;

use super::{
    Spec,
    line::{Line, Part},
};

/// Where Ignition looks, on every architecture that has a firmware configuration.
const IGNITION: &str = "opt/com.coreos/config";

/// The seed comes after all other drives, so that it changes no disk's name, and is in no boot order. It is on virtio,
/// like a disk: kernels made for clouds have no driver for a CD drive.
pub(super) fn provisioning(line: &mut Line, spec: &Spec<'_>) {
    if let Some(seed) = &spec.parts.seed {
        line.blockdev(json!({
            "node-name": "seed0-image", "driver": "raw", "read-only": true,
            "file": { "driver": "file", "filename": seed.path.to_string_lossy(), "read-only": true },
        }));
        line.words(&["-device", "virtio-blk-pci,id=seed0,drive=seed0-image,serial=cidata"]);
    }
    if let Some(ignition) = &spec.plan.provisioning.ignition {
        line.pair(
            "-fw_cfg",
            &[Part::Text("name="), Part::Text(IGNITION), Part::Text(",file="), Part::Path(ignition)],
        );
    }
}
