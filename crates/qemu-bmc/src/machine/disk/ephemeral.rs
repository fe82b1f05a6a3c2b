//! Disks that forget: what the guest writes is in an overlay in the run folder, as long as the machine is on.
//!
//! A reset keeps it, also one for which QEMU is started anew; whoever switches the machine off, and however it
//! ends, the next power on finds the image as it was. The image is only read, so that many machines can share it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Error, Image, absolute,
    inspect::{self, Sharing},
    known::Known,
    make, qemu_img,
};
use crate::config::{Access, Aio, Cache, DiskFormat, DiskPlan};

const SUFFIX: &str = ".ephemeral.qcow2";

/// What becomes of what a guest has written on an ephemeral disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The machine was off: it is gone.
    Forgotten,
    /// The machine was reset: it is there.
    Kept,
}

fn path(plan: &DiskPlan, run_dir: &Path) -> PathBuf {
    run_dir.join(format!("{}{SUFFIX}", super::id(plan.number)))
}

/// What is thrown away need not outlive the host's power.
fn access(plan: &DiskPlan) -> Access {
    Access { cache: Cache::Unsafe, aio: Aio::Threads, ..plan.access }
}

/// The disk as it is while the machine is on, given the image, or what there would be of one.
pub(super) fn over(image: Image, plan: &DiskPlan, run_dir: &Path) -> Image {
    let base = if image.path.exists() { Some(Box::new(image)) } else { image.base };
    let path = path(plan, run_dir);
    Image { path, format: DiskFormat::Qcow2, is_device: false, access: access(plan), base }
}

/// Makes the overlay, if it isn't there and to be kept.
pub(super) fn prepare(
    plan: &DiskPlan,
    known: &Known,
    written: Written,
    run_dir: &Path,
    remarks: &mut Vec<String>,
) -> Result<Image, Error> {
    let at = path(plan, run_dir);
    let below = if plan.path.exists() {
        let found = inspect::image(plan, known, Sharing::NobodyElse, remarks)?;
        inspect::fits(plan, &found)?;
        Some(found)
    } else {
        None
    };
    if written == Written::Forgotten || !at.exists() {
        let failed = |error: io::Error| Error::make(&at, error.to_string());
        if let Err(error) = fs::remove_file(&at)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(failed(error));
        }
        match &below {
            Some(found) => {
                let size = plan.size.map(|size| size.max(found.size));
                let base = (absolute(&found.image.path), found.image.format);
                qemu_img::create(&at, DiskFormat::Qcow2, size, Some((&base.0, base.1)))?;
            }
            // There is nothing to keep, and so nothing to make but this.
            None => make::whole(&DiskPlan { format: Some(DiskFormat::Qcow2), ..plan.clone() }, &at, known)?,
        }
    }
    let image = match below {
        Some(found) => found.image,
        None => inspect::to_be(plan, DiskFormat::Qcow2, known)?,
    };
    Ok(over(image, plan, run_dir))
}

/// Removes what was written on ephemeral disks.
pub(crate) fn throw_away(run_dir: &Path) {
    for entry in fs::read_dir(run_dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().ends_with(SUFFIX)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!("remove {}: {error}", entry.path().display());
        }
    }
}
