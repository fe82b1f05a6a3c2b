//! What kind of image a file holds.
//!
//! QEMU would guess the format itself, but then a guest that writes a qcow2 header to its raw disk could
//! make the host open any file at the next start. So the format is found out once and always said.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

/// A disk image with its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) path: PathBuf,
    /// QEMU's name of the format: `qcow2`, `raw`, `vmdk`…
    pub(crate) format: String,
}

/// Why an image can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("run qemu-img to look at {}: {source}; is the package qemu-utils installed?", path.display())]
    NoTool { path: PathBuf, source: std::io::Error },
    #[error("{} can't be used as a disk image: {said}", path.display())]
    Unusable { path: PathBuf, said: String },
}

#[derive(Deserialize)]
struct Info {
    format: String,
}

/// Looks at an image. Blocks for the time that `qemu-img` takes.
pub(crate) fn inspect(path: &Path) -> Result<Image, ImageError> {
    let unusable = |said: String| ImageError::Unusable { path: path.to_owned(), said };
    let output = Command::new("qemu-img")
        // --force-share: the image may be in use by this machine already.
        .args(["info", "--output=json", "--force-share", "--"])
        .arg(path)
        .output()
        .map_err(|source| ImageError::NoTool { path: path.to_owned(), source })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(unusable(said.trim().trim_start_matches("qemu-img: ").to_owned()));
    }
    let info: Info = serde_json::from_slice(&output.stdout)
        .map_err(|error| unusable(format!("qemu-img info: {error}")))?;
    Ok(Image { path: path.to_owned(), format: info.format })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        for format in ["raw", "qcow2", "vmdk"] {
            let path = dir.path().join(format!("a disk, {format}=1"));
            let made =
                Command::new("qemu-img").args(["create", "-q", "-f", format]).arg(&path).arg("1M").status();
            assert!(made.unwrap().success());
            assert_eq!(inspect(&path).unwrap().format, format);
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = inspect(Path::new("/nowhere/disk.qcow2")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/disk.qcow2 can't be used as a disk image: "), "{error}");
    }
}
