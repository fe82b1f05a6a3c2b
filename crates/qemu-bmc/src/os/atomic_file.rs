//! Files that are always whole: after a crash at any moment there is the old content or the new.
//!
//! ```text
//! create .name.PID-N.tmp ─▶ write ─▶ fsync ─▶ rename over name ─▶ fsync the folder
//!        └──── a crash here leaves the old file ───┘   └─ here the new ─┘
//! ```
//!
//! The first fsync keeps the rename from reaching the disk before the content does; the second makes the
//! rename itself last. A symbolic link at the path is replaced, not followed.
//!
//! [`replace`] leaves out both fsyncs: no death of this process leaves half a file, and nobody waits for the
//! disk; [`sync`] afterwards makes it last. The other calls wait for the disk: in async code run them where
//! blocking is allowed.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which step failed, on which path.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {}", path.display())]
pub(crate) struct Error {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Replaces the file at `path`, or creates it, with these bytes and exactly these permission bits.
///
/// # Errors
/// A step failed; the file is as it was, unless it was the last step (sync of the folder), after which it is
/// new but may be old again after a crash.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    put(path, bytes, mode, File::sync_all)?;
    sync_folder(path)
}

/// As [`write`], without waiting for the disk.
///
/// # Errors
/// A step failed; the file is as it was.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    put(path, bytes, mode, |_| Ok(()))
}

/// Waits until the disk has the file that was replaced.
///
/// # Errors
/// The file is not there, or the disk failed.
pub(crate) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))?;
    sync_folder(path)
}

fn put(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), Error> {
    let temporary = temporary(path)?;
    let replaced = fill(&temporary, bytes, mode, sync)
        .and_then(|()| fs::rename(&temporary, path).map_err(failed("replace", path)));
    if replaced.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    replaced
}

/// A name in the same folder that no other writer has, in this process or another.
fn temporary(path: &Path) -> Result<PathBuf, Error> {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let Some(file_name) = path.file_name() else {
        return Err(failed("write", path)(io::ErrorKind::InvalidFilename.into()));
    };
    let mut name = OsString::from(".");
    name.push(file_name);
    name.push(format!(".{}-{}.tmp", process::id(), WRITES.fetch_add(1, Ordering::Relaxed)));
    Ok(path.with_file_name(name))
}

fn fill(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    sync: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), Error> {
    // A crashed process with our number may have left one.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(failed("create", path))?;
    file.set_permissions(Permissions::from_mode(mode)).map_err(failed("set the mode of", path))?;
    file.write_all(bytes).map_err(failed("write", path))?;
    sync(&file).map_err(failed("sync", path))
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    match synced {
        // Some file systems, network ones above all, have no such operation on a folder.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result.map_err(failed("sync", folder)),
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error { operation, path, source }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_created_and_replaced_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        for (content, mode) in [("old", 0o600), ("new and longer", 0o640), ("n", 0o666)] {
            write(&path, content.as_bytes(), mode).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        }
        assert_eq!(names(folder.path()), ["users.json"]);
    }

    #[test]
    fn a_file_may_be_replaced_now_and_synced_later() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("power.state");
        let error = sync(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("sync {}", path.display()));
        for content in ["off", "on"] {
            replace(&path, content.as_bytes(), 0o644).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        sync(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(names(folder.path()), ["power.state"]);
    }

    #[test]
    fn a_link_is_replaced_and_its_target_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "untouched").unwrap();
        symlink(&target, &link).unwrap();
        write(&link, b"new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "untouched");
        assert!(fs::symlink_metadata(&link).unwrap().is_file());
    }

    #[test]
    fn errors_name_the_operation_and_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();

        let below = file.join("below");
        let error = write(&below, b"", 0o600).unwrap_err();
        assert!(error.to_string().starts_with(&format!("create {}/.below.", file.display())), "{error}");
        let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(source.kind(), io::ErrorKind::NotADirectory);

        let occupied = folder.path().join("folder");
        fs::create_dir(&occupied).unwrap();
        let error = write(&occupied, b"", 0o600).unwrap_err();
        assert_eq!(error.to_string(), format!("replace {}", occupied.display()));
        assert_eq!(names(folder.path()).len(), 2, "no temporary file is left");

        assert_eq!(write(Path::new("/"), b"", 0o600).unwrap_err().to_string(), "write /");
    }

    #[test]
    fn a_reader_never_sees_half_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fru.json");
        let contents: Vec<Vec<u8>> = (b'a'..=b'd').map(|byte| vec![byte; 100_000]).collect();
        write(&path, &contents[0], 0o600).unwrap();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let seen = fs::read(&path).unwrap();
                    assert!(contents.contains(&seen), "{} bytes", seen.len());
                }
            });
            // Two writers of one path get in each other's way no more than in the reader's.
            let writers = [0, 1].map(|_| {
                scope.spawn(|| {
                    for content in contents.iter().cycle().take(20) {
                        write(&path, content, 0o600).unwrap();
                    }
                })
            });
            let written = writers.map(thread::ScopedJoinHandle::join);
            done.store(true, Ordering::Relaxed);
            reader.join().unwrap();
            for result in written {
                result.unwrap();
            }
        });
        assert_eq!(names(folder.path()), ["fru.json"]);
    }
}
