//! What a plan depends on besides what was said: a few questions about the machine that it is made on.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::{Access, OFlags, access};

/// More than any file has that a setting names and that is read whole; less than would hurt the host.
pub(crate) const FILE_MAX: usize = 16 << 20;

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathKind {
    /// A folder.
    Folder,
    /// A file, a block device, or anything else that isn't a folder.
    File,
}

/// The machine, as far as a plan asks. Nothing here changes anything.
pub(crate) trait Host {
    /// What is there, links followed; nothing if it doesn't exist or can't be looked at.
    fn kind(&self, path: &Path) -> Option<PathKind>;
    /// Whether files can be made in this folder, or else the folder itself in the nearest one above it.
    fn can_write(&self, folder: &Path) -> bool;
    /// A file's contents.
    ///
    /// # Errors
    /// What the system says.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The host name.
    fn name(&self) -> Option<String>;
}

/// The machine that this runs on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThisHost;

impl Host for ThisHost {
    fn kind(&self, path: &Path) -> Option<PathKind> {
        let metadata = fs::metadata(path).ok()?;
        Some(if metadata.is_dir() { PathKind::Folder } else { PathKind::File })
    }

    fn can_write(&self, folder: &Path) -> bool {
        // The ancestors of a relative path end with the empty one.
        let existing = folder
            .ancestors()
            .map(|path| if path.as_os_str().is_empty() { Path::new(".") } else { path })
            .find(|path| path.symlink_metadata().is_ok());
        existing.is_some_and(|path| path.is_dir() && access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        read_file(path)
    }

    fn name(&self) -> Option<String> {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
    }
}

/// Reads a file that a setting names. What never ends is none, nor is what somebody else has to fill first.
///
/// # Errors
/// What the system says, or that it isn't such a file.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX {
        return Err(io::Error::other(format!("it has more than {} MiB", FILE_MAX >> 20)));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_writable_as_far_as_they_can_be_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(ThisHost.can_write(folder.path()));
        assert!(ThisHost.can_write(&folder.path().join("not/yet")));
        assert!(!ThisHost.can_write(&file));
        assert!(!ThisHost.can_write(&file.join("below")));
        assert!(ThisHost.can_write(Path::new("relative/to-the-package")));
    }

    #[test]
    fn what_never_ends_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (fifo, large) = (folder.path().join("fifo"), folder.path().join("large"));
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        fs::File::create(&large).unwrap().set_len(FILE_MAX as u64 + 1).unwrap();
        let why = |path: &Path| ThisHost.read(path).unwrap_err().to_string();
        for path in [Path::new("/dev/zero"), &fifo] {
            assert_eq!(why(path), "it is not a regular file");
        }
        assert_eq!(why(&large), "it has more than 16 MiB");
    }

    #[test]
    fn paths_have_kinds() {
        assert_eq!(ThisHost.kind(Path::new("/")), Some(PathKind::Folder));
        assert_eq!(ThisHost.kind(Path::new("/dev/null")), Some(PathKind::File));
        assert_eq!(ThisHost.kind(Path::new("/nowhere")), None);
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(ThisHost.name().is_some());
    }
}
