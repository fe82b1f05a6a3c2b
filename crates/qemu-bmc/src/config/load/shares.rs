//! Shared folders: what their settings mean.

use crate::config::{host::PathKind, reader::Reader, settings, shares::SharesPlan};

impl Reader<'_> {
    pub(super) fn shares(&mut self) -> Option<SharesPlan> {
        let shares = self.get(&settings::VM_SHARE);
        let mode = self.get(&settings::VM_SHARE_MODE);
        let plan = SharesPlan { shares: shares?, mode: mode? };
        for share in &plan.shares {
            let why = match self.host.kind(&share.path) {
                Some(PathKind::Folder) => continue,
                Some(PathKind::File) => "is not a folder",
                None => "does not exist",
            };
            self.refuse(&settings::VM_SHARE.row, &format!("{} {why}", share.path.display()));
        }
        Some(plan)
    }
}
