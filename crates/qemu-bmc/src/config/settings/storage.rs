//! Disks and CDs.

use std::path::PathBuf;

use super::{PATH_OR_NONE, Row, Setting};
use crate::config::value;

settings! {
    VM_DISK: Option<PathBuf> = Setting::new(
        "VM_DISK", "machine.disk", "/vm/disk.qcow2", value::path_or_none, PATH_OR_NONE,
        "the disk image; if it is absent, the machine starts without a disk",
    );
    VM_CDROM: Option<PathBuf> = Setting::new(
        "VM_CDROM", "machine.cdrom", "none", value::path_or_none, PATH_OR_NONE,
        "the ISO image in the CD drive",
    );
}
