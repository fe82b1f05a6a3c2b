//! `qemu-img`, which knows all formats, and so is what a malicious image aims at.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::thread::CapabilitySet;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, in_use};
use crate::{
    config::DiskFormat,
    os::children::{Brief, BriefError},
};

/// How long it may look at an image.
const LOOK: Duration = Duration::from_secs(30);

/// How long it may write one: there are file systems on which that takes every byte of it.
const WRITE: Duration = Duration::from_secs(3600);

/// What it says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Info {
    /// The image itself.
    #[serde(default)]
    filename: PathBuf,
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
    /// The files of a vmdk, as far as it has several.
    #[serde(default)]
    extents: Vec<Extent>,
}

#[derive(Debug, Deserialize)]
struct Extent {
    filename: PathBuf,
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
    let output = run(path, LOOK, &arguments, &[path.as_os_str()])?;
    json(path, &output)
}

/// The files that an image leads to besides itself, as they are named in it and in what it lies on.
pub(super) fn leads_to(path: &Path, format: DiskFormat, shared: bool) -> Result<Vec<PathBuf>, Error> {
    let format = format.to_string();
    let mut arguments = vec!["info", "--output=json", "--backing-chain", "-f", &format];
    if shared {
        arguments.push("--force-share");
    }
    let chain: Vec<Info> = json(path, &run(path, LOOK, &arguments, &[path.as_os_str()])?)?;
    let named = chain.into_iter().flat_map(|Info { filename, format_specific, .. }| {
        let extents = format_specific.data.extents.into_iter().map(|extent| extent.filename);
        std::iter::once(filename).chain(extents)
    });
    Ok(named.filter(|other| other != path).collect())
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
    run(path, WRITE, &arguments, &operands).map(drop)
}

/// Makes an image larger.
pub(super) fn grow(path: &Path, format: DiskFormat, size: u64) -> Result<(), Error> {
    let size = size.to_string();
    let arguments = ["resize", "-q", "-f", &format.to_string()];
    run(path, WRITE, &arguments, &[path.as_os_str(), OsStr::new(&size)]).map(drop)
}

fn json<T: DeserializeOwned>(path: &Path, output: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(output).map_err(|error| Error::unusable(path, format!("qemu-img: {error}")))
}

fn run(
    path: &Path,
    limit: Duration,
    arguments: &[impl AsRef<OsStr>],
    operands: &[&OsStr],
) -> Result<Vec<u8>, Error> {
    // As QEMU: images that root was given may be another user's.
    let tool = Brief::new("qemu-img", limit).keep(CapabilitySet::DAC_OVERRIDE);
    let output = tool.args(arguments).args(["--"]).args(operands).run().map_err(|error| match error {
        BriefError::Run(source) => Error::NoTool { path: path.to_owned(), source },
        BriefError::Late(limit) => Error::unusable(
            path,
            format!("qemu-img was not done with it within {limit:?}; does its file system answer?"),
        ),
    })?;
    if output.success {
        return Ok(output.out);
    }
    let said = String::from_utf8_lossy(&output.err);
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
