//! Images that are known to be raw.
//!
//! A guest owns every byte of its raw disk, the first ones too. Were its format found out anew at each start, the
//! guest could make it qcow2's whenever it likes, with a base of its choice: any file that QEMU may read. So which
//! images were raw is written down the first time, by path and inode, and later headers don't count.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{Image, absolute};
use crate::{config::DiskFormat, store};

/// Raw images by path, with the number of their inode: what is put in an image's place is another image.
#[derive(Debug)]
pub(super) struct Known {
    file: PathBuf,
    raw: BTreeMap<PathBuf, u64>,
    changed: bool,
}

impl Known {
    pub(super) fn read(state_dir: &Path) -> Self {
        let file = state_dir.join("raw-disks.json");
        let raw = store::read_or_set_aside(&file).unwrap_or_default();
        Self { file, raw, changed: false }
    }

    /// Whether this image was raw when it was first used.
    pub(super) fn is_raw(&self, path: &Path) -> bool {
        let known = self.raw.get(&absolute(path));
        known.is_some_and(|inode| fs::metadata(path).is_ok_and(|found| found.ino() == *inode))
    }

    /// Remembers an image that is used.
    pub(super) fn note(&mut self, image: &Image) {
        let path = absolute(&image.path);
        let inode =
            fs::metadata(&path).ok().filter(|_| image.format == DiskFormat::Raw).map(|found| found.ino());
        let before = match inode {
            Some(inode) => self.raw.insert(path, inode),
            None => self.raw.remove(&path),
        };
        self.changed |= before != inode;
    }

    pub(super) fn write(&self) {
        if !self.changed {
            return;
        }
        if let Err(error) = store::write(&self.file, &self.raw) {
            tracing::warn!(
                "{error}; which images are raw is found out anew at the next start (VM_DISK_FORMAT says it)"
            );
        }
    }
}
