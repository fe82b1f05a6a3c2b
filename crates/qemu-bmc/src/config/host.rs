//! What a plan depends on besides what was said: a few questions about the machine that it is made on.

use std::{fs, io, path::Path};

use rustix::fs::{Access, access};

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
        fs::read(path)
    }

    fn name(&self) -> Option<String> {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
        Some(name.trim_end().to_owned()).filter(|name| !name.is_empty())
    }
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
