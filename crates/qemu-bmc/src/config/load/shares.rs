//! Shared folders: what their settings mean.

use crate::config::{host::PathKind, reader::Reader, settings, shares::SharesPlan};

impl Reader<'_> {
    pub(super) fn shares(&mut self) -> Option<SharesPlan> {
        let shares = self.get(&settings::VM_SHARE);
        let mode = self.get(&settings::VM_SHARE_MODE);
        for share in shares.iter().flatten() {
            let why = match self.host.kind(&share.path) {
                Some(PathKind::Folder) => continue,
                Some(PathKind::File) => "is not a folder",
                None if share.path.to_string_lossy().ends_with(":rw") => {
                    "does not exist; a folder can be written unless :ro stands after it"
                }
                None => "does not exist",
            };
            self.refuse(&settings::VM_SHARE.row, &format!("{} {why}", share.path.display()));
        }
        Some(SharesPlan { shares: shares?, mode: mode? })
    }
}
