//! What an image is, and whether it is what was asked for.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use super::{
    Error, Image, absolute,
    known::Known,
    qemu_img::{self, Info},
};
use crate::config::{Access, DiskFormat, DiskPlan, disk_variable};

/// Who else may have an image open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Anybody: this machine itself may be running.
    Whoever,
    /// Nobody who writes to it.
    NobodyElse,
}

/// An image with what is known of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) image: Image,
    pub(super) size: u64,
    /// What it says it lies on.
    says_base: Option<std::path::PathBuf>,
}

/// Looks at a disk that is there.
pub(super) fn image(
    plan: &DiskPlan,
    known: &Known,
    sharing: Sharing,
    remarks: &mut Vec<String>,
) -> Result<Found, Error> {
    let path = &plan.path;
    let is_device = openable(path, !plan.ephemeral, sharing)?;
    let (info, format) =
        identify(path, plan.format, is_device, known, sharing, Some(&disk_variable(plan.number)), remarks)?;
    let base = match &plan.base {
        Some(base) if info.full_backing_filename.is_some() => {
            Some(Box::new(self::base(base, plan.access, known)?))
        }
        _ => None,
    };
    if plan.base.is_none() {
        remarks.extend(strangers(plan, format, sharing));
    }
    let image = Image { path: path.clone(), format, is_device, access: plan.access, base };
    Ok(Found { image, size: info.virtual_size, says_base: info.full_backing_filename })
}

/// What is to be said of files in other folders that QEMU will open because the image names them. Whoever made the
/// image could name any.
fn strangers(plan: &DiskPlan, format: DiskFormat, sharing: Sharing) -> Option<String> {
    if !matches!(format, DiskFormat::Qcow2 | DiskFormat::Vmdk) {
        return None;
    }
    let path = &plan.path;
    let folder = |path: &Path| absolute(path).parent().and_then(|folder| folder.canonicalize().ok());
    let home = folder(path);
    // A chain that leads nowhere is told of by [`fits`].
    let named = qemu_img::leads_to(path, format, sharing == Sharing::Whoever).ok()?;
    let strangers: Vec<_> = named.iter().filter(|other| folder(other) != home).collect();
    let first = strangers.first()?;
    let list = strangers.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let variable = disk_variable(plan.number);
    let meant = match format {
        DiskFormat::Qcow2 => format!("; if that is meant to be, {variable}_BASE={} says so", first.display()),
        _ => String::new(),
    };
    Some(format!(
        "{} ({variable}) names files in other folders, and the guest reads what is in them: {list}{meant}",
        path.display()
    ))
}

/// Looks at an image that others are made on.
pub(super) fn base(path: &Path, access: Access, known: &Known) -> Result<Image, Error> {
    let is_device = openable(path, false, Sharing::Whoever)?;
    let (_, format) = identify(path, None, is_device, known, Sharing::Whoever, None, &mut Vec::new())?;
    Ok(Image { path: absolute(path), format, is_device, access, base: None })
}

/// A disk that is not there yet.
pub(super) fn to_be(plan: &DiskPlan, format: DiskFormat, known: &Known) -> Result<Image, Error> {
    let base =
        plan.base.as_deref().map(|base| self::base(base, plan.access, known)).transpose()?.map(Box::new);
    Ok(Image { path: plan.path.clone(), format, is_device: false, access: plan.access, base })
}

/// Whether it is a block device, of a disk that this process may open.
fn openable(path: &Path, write: bool, sharing: Sharing) -> Result<bool, Error> {
    let failed = |error: io::Error| Error::unusable(path, refused(&error, path));
    let kind = fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(Error::unusable(path, "it is a folder"));
    }
    let is_device = kind.is_block_device();
    if !is_device && !kind.is_file() {
        return Err(Error::unusable(path, "it is neither a file nor a block device"));
    }
    let mut options = OpenOptions::new();
    options.read(true).write(write);
    if is_device && write && sharing == Sharing::NobodyElse {
        // Linux refuses this for a device that is mounted, or part of another one that is in use.
        options.custom_flags(rustix::fs::OFlags::EXCL.bits().cast_signed());
    }
    options.open(path).map_err(failed)?;
    Ok(is_device)
}

fn refused(error: &io::Error, path: &Path) -> String {
    let device = path.starts_with("/dev");
    match error.kind() {
        io::ErrorKind::PermissionDenied if device => {
            format!("{error}; a container is given a device by docker run --device={}", path.display())
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}; VM_DISK_EPHEMERAL=true uses it all the same, and throws away what is written")
        }
        io::ErrorKind::ResourceBusy => {
            "the host itself uses it: it is mounted, or part of something that is".into()
        }
        _ => error.to_string(),
    }
}

/// What an image is, by what was said of it, what it was before, or what is in it.
fn identify(
    path: &Path,
    said: Option<DiskFormat>,
    is_device: bool,
    known: &Known,
    sharing: Sharing,
    variable: Option<&str>,
    remarks: &mut Vec<String>,
) -> Result<(Info, DiskFormat), Error> {
    let shared = sharing == Sharing::Whoever;
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let raw = is_device || extension.eq_ignore_ascii_case("raw") || known.is_raw(path);
    let assumed = said.or(raw.then_some(DiskFormat::Raw));
    if assumed.is_none() {
        readable(path)?;
    }
    let info = qemu_img::info(path, assumed, shared)?;
    if let (None, true, Some(variable)) = (said, known.is_raw(path), variable)
        && let Ok(looks) = qemu_img::info(path, None, true)
        && looks.format != info.format
    {
        remarks.push(format!(
            "{} was a raw disk from the first, and has a header of {} now, which its guest may have written: it stays \
             raw; if you put another image there, say {variable}_FORMAT={}",
            path.display(),
            looks.format,
            looks.format
        ));
    }
    let Some((_, format)) = DiskFormat::WORDS.iter().find(|(word, _)| *word == info.format) else {
        return Err(Error::unusable(
            path,
            format!("its format is {}; qemu-img convert -O qcow2 makes a copy that can be", info.format),
        ));
    };
    let promised = DiskFormat::WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(extension));
    if let (None, DiskFormat::Raw, Some((promised, _))) = (assumed, format, promised) {
        return Err(Error::unusable(
            path,
            format!(
                "it is no {promised} image, as its name says: it has no header of one; if it is a raw disk, {}",
                match variable {
                    Some(variable) => format!("say {variable}_FORMAT=raw"),
                    None => "give it a name that ends in .raw".into(),
                }
            ),
        ));
    }
    if info.is_corrupt() {
        return Err(Error::unusable(
            path,
            "it is damaged, as QEMU has found and marked; qemu-img check says how badly, \
             and with -r all repairs what it can (keep a copy)",
        ));
    }
    if info.virtual_size == 0 {
        let instead = variable.map(|name| format!("; remove it, and {name}_SIZE has a new one made"));
        return Err(Error::unusable(path, format!("it is empty{}", instead.unwrap_or_default())));
    }
    Ok((info, *format))
}

/// What people have instead of an image, by the first bytes.
fn readable(path: &Path) -> Result<(), Error> {
    const COMPRESSED: [(&[u8], &str); 5] = [
        (&[0x1f, 0x8b], "gzip"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "xz"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        (b"BZh", "bzip2"),
        (b"PK\x03\x04", "zip"),
    ];
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut start));
    read.map_err(|error| Error::unusable(path, error.to_string()))?;
    match COMPRESSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        Some((_, by)) => Err(Error::unusable(path, format!("it is compressed ({by}): unpack it first"))),
        None => Ok(()),
    }
}

/// Whether an image is what was asked for.
pub(super) fn fits(plan: &DiskPlan, found: &Found) -> Result<(), Error> {
    let (path, variable) = (&plan.path, disk_variable(plan.number));
    match (&plan.base, &found.says_base) {
        (None, Some(says)) if !says.exists() => Err(Error::unusable(
            path,
            format!(
                "it is an overlay on {}, which is not there; put it there, or say with {variable}_BASE where it is",
                says.display()
            ),
        )),
        (Some(base), None) => Err(Error::unusable(
            path,
            format!(
                "it is no overlay, and {variable}_BASE is {}; leave that out, or remove the disk to have it made anew",
                base.display()
            ),
        )),
        (Some(base), Some(says)) if !is_same(base, says) => Err(Error::unusable(
            path,
            format!(
                "it is an overlay on {}, and {variable}_BASE is {}; an overlay is worth nothing on another base: set \
                 the old one, or remove the disk to have it made anew; if the two are the same image, \
                 qemu-img rebase -u -F FORMAT -b NEW DISK says so",
                says.display(),
                base.display()
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether the base that was set is the one that an overlay was made on. Where the overlay's path leads nowhere, as
/// in a container that has the image elsewhere, the name decides.
fn is_same(set: &Path, says: &Path) -> bool {
    match (fs::metadata(set), fs::metadata(says)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        (_, Err(_)) => set.file_name() == says.file_name(),
        (Err(_), Ok(_)) => false,
    }
}
