//! Making disks, and having them grow.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
};

use super::{
    Error, Image,
    inspect::{self, Found},
    known::Known,
    qemu_img, size_text,
};
use crate::config::{DiskFormat, DiskPlan, disk_variable};

/// The format that a disk is made in.
pub(super) fn format(plan: &DiskPlan) -> DiskFormat {
    let extension = plan.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let by_name = || match extension.to_ascii_lowercase().as_str() {
        _ if plan.base.is_some() => None,
        "img" => Some(DiskFormat::Raw),
        extension => DiskFormat::WORDS.iter().find(|(word, _)| *word == extension).map(|(_, format)| *format),
    };
    plan.format.or_else(by_name).unwrap_or(DiskFormat::Qcow2)
}

/// Makes a disk at `path`, in the plan's format. A crash at any moment leaves the whole of it or nothing.
pub(super) fn whole(plan: &DiskPlan, path: &Path, known: &Known) -> Result<(), Error> {
    let format = format(plan);
    let base = plan.base.as_deref().map(|base| inspect::base(base, plan.access, known)).transpose()?;
    if base.is_some() && format != DiskFormat::Qcow2 {
        let variable = disk_variable(plan.number);
        let why = format!("an overlay ({variable}_BASE) is qcow2, and {variable}_FORMAT is {format}");
        return Err(Error::make(path, why));
    }
    let size = size(plan, base.as_ref())?;
    let failed = |error: io::Error| Error::make(path, error.to_string());
    let temporary = temporary(path)?;
    remove(&temporary).map_err(failed)?;
    let base = base.as_ref().map(|base| (base.path.as_path(), base.format));
    let made = qemu_img::create(&temporary, format, size, base)
        .map_err(|error| said_by(error, path))
        .and_then(|()| File::open(&temporary).and_then(|file| file.sync_all()).map_err(failed))
        .and_then(|()| put(&temporary, path).map_err(failed));
    if made.is_err() {
        let _ = remove(&temporary);
    }
    made
}

/// The size that a disk is made with, where that isn't its base's.
pub(super) fn size(plan: &DiskPlan, base: Option<&Image>) -> Result<Option<u64>, Error> {
    let least = match base {
        Some(base) => qemu_img::info(&base.path, Some(base.format), true)?.virtual_size,
        None => 0,
    };
    Ok(plan.size.filter(|size| *size > least))
}

/// What becomes of a disk whose size is not the one that was asked for.
#[derive(Debug)]
pub(super) struct Change<'a> {
    plan: &'a DiskPlan,
    is: u64,
    wanted: u64,
    becomes: Becomes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    /// It grows.
    Larger,
    /// It stays as large.
    NotSmaller,
    /// It stays as small.
    NotLarger,
}

impl fmt::Display for Change<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, variable) = (self.plan.path.display(), disk_variable(self.plan.number));
        let (is, wanted) = (size_text(self.is), size_text(self.wanted));
        match self.becomes {
            Becomes::Larger => {
                write!(f, "{path} is of {is}: it grows to {wanted} at power on ({variable}_SIZE)")
            }
            Becomes::NotSmaller => {
                write!(f, "{path} is of {is}, more than {variable}_SIZE ({wanted}): a disk never shrinks")
            }
            Becomes::NotLarger => {
                write!(f, "{path} is of {is}, less than {variable}_SIZE ({wanted}): such a disk can't grow")
            }
        }
    }
}

/// What becomes of a disk that was found.
pub(super) fn change<'a>(plan: &'a DiskPlan, found: &Found) -> Option<Change<'a>> {
    let wanted = plan.size.filter(|size| *size != found.size)?;
    let grows = matches!(found.image.format, DiskFormat::Qcow2 | DiskFormat::Raw) && !found.image.is_device;
    let becomes = match grows {
        _ if wanted < found.size => Becomes::NotSmaller,
        true => Becomes::Larger,
        false => Becomes::NotLarger,
    };
    Some(Change { plan, is: found.size, wanted, becomes })
}

/// Has a disk grow that is smaller than it was asked to be.
pub(super) fn grow(plan: &DiskPlan, found: &Found, remarks: &mut Vec<String>) -> Result<(), Error> {
    let Some(change) = change(plan, found) else { return Ok(()) };
    if change.becomes == Becomes::Larger {
        qemu_img::grow(&plan.path, found.image.format, change.wanted)?;
        tracing::info!("{change}");
    } else {
        remarks.push(change.to_string());
    }
    Ok(())
}

/// Whether a disk can be made there.
pub(super) fn check_place(path: &Path) -> Result<(), Error> {
    temporary(path).map(drop)
}

/// A name beside it that no user gives. What a crash left there is overwritten.
fn temporary(path: &Path) -> Result<PathBuf, Error> {
    let name = path.file_name().ok_or_else(|| Error::make(path, "it has no name"))?;
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Error::make(path, format!("there is no folder {}", folder.display())));
    }
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    Ok(folder.join(temporary))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Gives the disk its name, unless another has it by now.
fn put(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE) {
        // A file system that has no such operation.
        Err(Errno::INVAL | Errno::NOSYS) if !path.exists() => fs::rename(temporary, path)?,
        result => result?,
    }
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    // Not every file system can; then the name lasts when the file system says so.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// What qemu-img said of the temporary file is about the disk.
fn said_by(error: Error, path: &Path) -> Error {
    match error {
        Error::Unusable { why, .. } => Error::make(path, why),
        other => other,
    }
}
