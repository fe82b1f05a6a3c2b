//! Disks that somebody else has open for writing.
//!
//! QEMU locks images (with locks that belong to no process, so that the kernel's list doesn't say whose they are);
//! who has the file open is found in `/proc`, as far as this process may look: not beyond its container.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Whether these words of QEMU's say that somebody else has locked an image.
pub(super) fn is_lock(said: &str) -> bool {
    said.contains("Failed to get ") && said.contains(" lock")
}

/// Which image is locked, if QEMU says so.
pub(super) fn locked_path(said: &str) -> Option<&Path> {
    let (_, rest) = said.split_once("Is another process using the image [")?;
    let (path, _) = rest.rsplit_once("]?")?;
    Some(Path::new(path))
}

/// Why QEMU ended, in clearer words where an image is locked.
pub(super) fn explained(said: &str) -> Option<String> {
    let path = is_lock(said).then(|| locked_path(said)).flatten()?;
    let error = super::Error::InUse { path: path.to_owned(), holder: holder(path) };
    Some(error.to_string())
}

/// Who has a file open, besides this process.
pub(super) fn holder(path: &Path) -> Option<String> {
    let wanted = fs::metadata(path).ok()?;
    let same = |link: PathBuf| {
        fs::metadata(link).is_ok_and(|found| (found.dev(), found.ino()) == (wanted.dev(), wanted.ino()))
    };
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbered = processes.filter(|entry| {
        let name = entry.file_name();
        name != own.as_str() && name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit())
    });
    let process = numbered.find(|process| {
        let descriptors = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        descriptors.map(|descriptor| descriptor.path()).any(same)
    })?;
    let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
    Some(format!("process {} ({})", process.file_name().to_string_lossy(), name.trim_end()))
}

/// How somebody is named who holds a disk.
pub(super) fn named(holder: Option<&str>) -> &str {
    holder.unwrap_or("another QEMU, outside this container or of another user")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_image_is_read_out_of_what_qemu_says() {
        let said = "qemu-system-x86_64: -blockdev {...}: Failed to get \"write\" lock\n\
                    Is another process using the image [/vm/a disk, [1].qcow2]?";
        assert!(is_lock(said));
        assert_eq!(locked_path(said), Some(Path::new("/vm/a disk, [1].qcow2")));
        assert!(explained(said).unwrap().starts_with("/vm/a disk, [1].qcow2 is in use by another QEMU"));
        assert_eq!(explained("Could not open '/vm/disk': Permission denied"), None);
    }
}
