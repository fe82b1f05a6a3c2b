//! What a guest is told at its first boot.
//!
//! An image for clouds has no user and no password: it looks for somebody who says what it is called, who may log in,
//! and what is to be installed. Here that is the BMC, in the two ways that images know:
//!
//! ```text
//! VM_USER_DATA ──────▶ user-data ──────┐
//! VM_META_DATA ─┐                      │
//! VM_HOSTNAME ──┼────▶ meta-data ──────┼─▶ ISO 9660, label cidata ─▶ a read-only disk (cloud-init: NoCloud)
//! VM_SSH_KEY ───┘                      │
//! VM_NETWORK_CONFIG ─▶ network-config ─┘
//!
//! VM_IGNITION ───────▶ opt/com.coreos/config in QEMU's firmware configuration (Ignition)
//! ```
//!
//! A guest that can't read what it is told says so on no channel that anybody watches. So files are checked before
//! anything is started, and again when the machine is, for they may have been edited in between.

mod ignition;
mod iso9660;
mod meta_data;
mod ssh_key;
mod user_data;
mod yaml;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use meta_data::MetaData;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
pub(crate) use ssh_key::PublicKey;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::config::{CloudInitPlan, MetaDataPlan, SshKeys};

/// By which cloud-init knows a file system that is meant for it.
const LABEL: &str = "cidata";
/// user-data that asks for nothing, for cloud-init wants some.
const NO_USER_DATA: &[u8] = b"#cloud-config\n{}\n";

/// What is wrong with a file. Contains nothing of it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(crate) struct Problem {
    path: PathBuf,
    why: String,
}

/// Reads files, and collects what is wrong with them.
struct Files<'a> {
    read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    problems: Vec<Problem>,
}

impl Files<'_> {
    fn take<T>(&mut self, path: &Path, check: impl FnOnce(Vec<u8>) -> Result<T, String>) -> Option<T> {
        let read = (self.read)(path).map_err(|error| format!("cannot read it: {error}"));
        read.and_then(check).map_err(|why| self.problems.push(Problem { path: path.to_owned(), why })).ok()
    }
}

/// A cloud-init seed: its files, checked.
pub(crate) struct Seed {
    user_data: Zeroizing<Vec<u8>>,
    meta_data: MetaData,
    network_config: Option<Zeroizing<Vec<u8>>>,
    vendor_data: Option<Zeroizing<Vec<u8>>>,
    /// What it consists of, for people.
    summary: String,
}

impl Seed {
    /// Reads a seed's files, of a node of this name.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn read(
        plan: &CloudInitPlan,
        node: &str,
        read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
    ) -> Result<Self, Vec<Problem>> {
        let mut files = Files { read, problems: Vec::new() };
        let mut summary = Vec::new();
        let user_data = plan.user_data.as_ref().map(|path| {
            files.take(path, |bytes| {
                summary.push(format!("user-data ({})", user_data::check(&bytes)?));
                Ok(Zeroizing::new(bytes))
            })
        });
        let meta_data = match &plan.meta_data {
            MetaDataPlan::File(path) => {
                summary.push("meta-data".into());
                files.take(path, MetaData::own)
            }
            MetaDataPlan::Made { hostname, keys } => {
                let hostname = hostname.clone().or_else(|| is_hostname(node).then(|| node.to_owned()));
                let keys = match keys {
                    None => Some(Vec::new()),
                    Some(SshKeys::Text(keys)) => Some(keys.clone()),
                    Some(SshKeys::File(path)) => files.take(path, |bytes| {
                        PublicKey::all(&Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned()))
                    }),
                };
                summary.extend(hostname.iter().map(|name| format!("hostname {name}")));
                summary.extend(keys.iter().flatten().map(PublicKey::to_string));
                keys.map(|keys| MetaData::Made { hostname, keys })
            }
        };
        let network_config = plan.network_config.as_ref().map(|path| {
            files.take(path, |bytes| {
                summary.push(format!("network-config ({})", network_config(&bytes)?));
                Ok(Zeroizing::new(bytes))
            })
        });
        let vendor_data = plan.vendor_data.as_ref().map(|path| {
            files.take(path, |bytes| {
                if !bytes.is_empty() {
                    summary.push(format!("vendor-data ({})", user_data::check(&bytes)?));
                }
                Ok(Zeroizing::new(bytes))
            })
        });
        let complete = || {
            Some(Self {
                user_data: user_data.unwrap_or_else(|| Some(Zeroizing::new(NO_USER_DATA.to_vec())))?,
                meta_data: meta_data?,
                network_config: network_config.map_or(Some(None), |file| file.map(Some))?,
                vendor_data: vendor_data.map_or(Some(None), |file| file.map(Some))?,
                summary: summary.join(", "),
            })
        };
        complete().ok_or(files.problems)
    }

    /// The image of the disk that the guest finds.
    pub(crate) fn image(&self, node: Uuid) -> Zeroizing<Vec<u8>> {
        let meta_data = Zeroizing::new(self.meta_data.file(&self.instance(node)));
        let mut files: Vec<iso9660::File<'_>> =
            vec![("user-data", &self.user_data), ("meta-data", &meta_data)];
        files.extend(self.network_config.as_ref().map(|bytes| ("network-config", bytes.as_slice())));
        files.extend(self.vendor_data.as_ref().map(|bytes| ("vendor-data", bytes.as_slice())));
        Zeroizing::new(iso9660::image(LABEL, &files))
    }

    /// Which instance the guest is: the same one until its seed says something else. cloud-init does most of its work
    /// once for each, so a change of the seed takes effect at the next start.
    fn instance(&self, node: Uuid) -> String {
        let mut hash = Sha256::new();
        let meta_data = Zeroizing::new(self.meta_data.file(""));
        let files = [
            Some(&self.user_data),
            Some(&meta_data),
            self.network_config.as_ref(),
            self.vendor_data.as_ref(),
        ];
        for file in files {
            let bytes = file.map(|file| file.as_slice());
            hash.update(bytes.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
            hash.update(bytes.unwrap_or_default());
        }
        let digest: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        format!("{node}-{digest}")
    }
}

/// What it consists of, without a secret.
impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary)
    }
}

/// Looks at the form of a network configuration, and tells which it is.
fn network_config(bytes: &[u8]) -> Result<&'static str, String> {
    let document = yaml::parse(bytes)?;
    // As a seed has it, or as netplan and cloud.cfg have it.
    let config = document.get("network").unwrap_or(&document);
    if config.get("config").and_then(Value::as_str) == Some("disabled") {
        return Ok("disabled");
    }
    match config.get("version").and_then(Value::as_u64) {
        Some(1) if config.get("config").is_some_and(Value::is_array) => Ok("version 1"),
        Some(1) => Err("version 1 has a list config:".into()),
        Some(2) => Ok("version 2"),
        _ => Err("it does not begin with version: 1 or version: 2".into()),
    }
}

/// Looks at a configuration for Ignition.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_ignition(
    path: &Path,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> Result<(), Problem> {
    let mut files = Files { read, problems: Vec::new() };
    files.take(path, |bytes| ignition::check(&Zeroizing::new(bytes)));
    files.problems.pop().map_or(Ok(()), Err)
}

/// Whether a host can have this name (RFC 1123 §2.1).
pub(crate) fn is_hostname(name: &str) -> bool {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|char| char.is_ascii_alphanumeric() || char == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(part)
}

#[cfg(test)]
mod tests;
