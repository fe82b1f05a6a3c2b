//! `qemu-img`, which knows all formats.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, in_use};
use crate::config::DiskFormat;

/// What it says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Info {
    /// QEMU's name of the format.
    pub(super) format: String,
    /// What the guest sees, in bytes.
    pub(super) virtual_size: u64,
    /// What an overlay has below it, as an absolute path.
    pub(super) full_backing_filename: Option<PathBuf>,
    #[serde(default)]
    format_specific: FormatSpecific,
}

#[derive(Debug, Default, Deserialize)]
struct FormatSpecific {
    #[serde(default)]
    data: Details,
}

#[derive(Debug, Default, Deserialize)]
struct Details {
    #[serde(default)]
    corrupt: bool,
}

impl Info {
    /// Whether QEMU has found it to be damaged, which qcow2 has a mark for.
    pub(super) fn is_corrupt(&self) -> bool {
        self.format_specific.data.corrupt
    }
}

/// Asks what an image is. With a `format`, nothing is guessed.
pub(super) fn info(path: &Path, format: Option<DiskFormat>, shared: bool) -> Result<Info, Error> {
    let format = format.map(|format| format.to_string());
    let mut arguments = vec!["info", "--output=json"];
    if shared {
        arguments.push("--force-share");
    }
    if let Some(format) = &format {
        arguments.extend(["-f", format]);
    }
    let output = run(path, &arguments, &[path.as_os_str()])?;
    json(path, &output)
}

/// Makes an image, on a base if there is one.
pub(super) fn create(
    path: &Path,
    format: DiskFormat,
    size: Option<u64>,
    base: Option<(&Path, DiskFormat)>,
) -> Result<(), Error> {
    let (format, size) = (format.to_string(), size.map(|size| size.to_string()));
    let mut arguments = vec![OsStr::new("create"), OsStr::new("-q"), OsStr::new("-f"), OsStr::new(&format)];
    let base_format = base.map(|(_, format)| format.to_string());
    if let (Some((base, _)), Some(base_format)) = (base, &base_format) {
        arguments.extend([OsStr::new("-F"), OsStr::new(base_format), OsStr::new("-b"), base.as_os_str()]);
    }
    let operands: Vec<_> = std::iter::once(path.as_os_str()).chain(size.as_ref().map(OsStr::new)).collect();
    run(path, &arguments, &operands).map(drop)
}

/// Makes an image larger.
pub(super) fn grow(path: &Path, format: DiskFormat, size: u64) -> Result<(), Error> {
    let size = size.to_string();
    run(path, &["resize", "-q", "-f", &format.to_string()], &[path.as_os_str(), OsStr::new(&size)]).map(drop)
}

fn json<T: DeserializeOwned>(path: &Path, output: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(output).map_err(|error| Error::unusable(path, format!("qemu-img: {error}")))
}

fn run(path: &Path, arguments: &[impl AsRef<OsStr>], operands: &[&OsStr]) -> Result<Vec<u8>, Error> {
    let output = Command::new("qemu-img")
        .args(arguments)
        .arg("--")
        .args(operands)
        .output()
        .map_err(|source| Error::NoTool { path: path.to_owned(), source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if in_use::is_lock(&said) {
        let path = in_use::locked_path(&said).unwrap_or(path).to_owned();
        return Err(Error::InUse { holder: in_use::holder(&path), path });
    }
    Err(Error::unusable(path, plain(&said, path)))
}

/// What was said, less what repeats the program's name and the path.
fn plain(said: &str, path: &Path) -> String {
    let path = path.display();
    let said = said.trim().trim_start_matches("qemu-img: ");
    let said = said.strip_prefix(&format!("Could not open '{path}': ")).unwrap_or(said);
    said.strip_prefix(&format!("{path}: ")).unwrap_or(said).replace('\n', "; ")
}
