//! Disks and CDs: what their settings mean.

use std::path::PathBuf;

use crate::config::{host::PathKind, reader::Reader, settings, storage::StoragePlan};

impl Reader<'_> {
    pub(super) fn storage(&mut self) -> Option<StoragePlan> {
        let disk = self.disk();
        let cdrom = self.cdrom();
        Some(StoragePlan { disk: disk?, cdrom: cdrom? })
    }

    /// An absent disk is a machine without a disk: users start from the CD or the network and add one later.
    fn disk(&mut self) -> Option<Option<PathBuf>> {
        let Some(path) = self.get(&settings::VM_DISK)? else { return Some(None) };
        let row = &settings::VM_DISK.row;
        match self.host.kind(&path) {
            Some(PathKind::File) => return Some(Some(path)),
            Some(PathKind::Folder) => {
                self.refuse(row, "this is a folder");
                return None;
            }
            None => {
                let name = self.texts.name(row);
                self.warn(format!("there is no disk image {path:?} ({name}): the machine has no disk"));
            }
        }
        Some(None)
    }

    fn cdrom(&mut self) -> Option<Option<PathBuf>> {
        let Some(path) = self.get(&settings::VM_CDROM)? else { return Some(None) };
        let why = match self.host.kind(&path) {
            Some(PathKind::File) => return Some(Some(path)),
            Some(PathKind::Folder) => "this is a folder",
            None => "there is no such file",
        };
        self.refuse(&settings::VM_CDROM.row, why);
        None
    }
}
