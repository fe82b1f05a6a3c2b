//! The guest's disks and CDs as they were asked for.

use std::path::PathBuf;

/// Disks and CDs.
#[derive(Clone, Debug)]
pub(crate) struct StoragePlan {
    /// The disk image, which existed when the plan was made.
    pub(crate) disk: Option<PathBuf>,
    /// The image in the CD drive, which existed when the plan was made; the drive is there without one too.
    pub(crate) cdrom: Option<PathBuf>,
}
