//! Why a disk can't be used: the disk, what is the matter with it, and what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::in_use;

/// Why a disk can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("run qemu-img for {}: {source}; is the package qemu-utils installed?", path.display())]
    NoTool { path: PathBuf, source: io::Error },
    #[error("{} can't be used as a disk: {why}", path.display())]
    Unusable { path: PathBuf, why: String },
    #[error("{} is in use by {}: two machines must not write to one disk", path.display(), in_use::named(holder.as_deref()))]
    InUse { path: PathBuf, holder: Option<String> },
    #[error("make {}: {why}", path.display())]
    Make { path: PathBuf, why: String },
}

impl Error {
    pub(super) fn unusable(path: &Path, why: impl Into<String>) -> Self {
        Self::Unusable { path: path.to_owned(), why: why.into() }
    }

    pub(super) fn make(path: &Path, why: impl Into<String>) -> Self {
        Self::Make { path: path.to_owned(), why: why.into() }
    }
}
