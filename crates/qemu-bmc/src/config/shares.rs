//! Folders that the guest shares, as they were asked for.

use std::path::PathBuf;

/// What is shared, and how.
#[derive(Clone, Debug)]
pub(crate) struct SharesPlan {
    /// The folders, each with a tag of its own.
    pub(crate) shares: Vec<Share>,
    /// How they come to the guest.
    pub(crate) mode: ShareMode,
}

/// A folder of this machine that is the guest's too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// What the guest mounts it by: ASCII letters, digits, `-`, `_` and `.`, short enough for either way.
    pub(crate) tag: String,
    /// The folder, which existed when the plan was made.
    pub(crate) path: PathBuf,
    /// Whether the guest may only read it.
    pub(crate) read_only: bool,
}

/// How a folder comes to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareMode {
    /// By a process beside QEMU that has the guest's memory.
    Virtiofs,
    /// By QEMU itself, in Plan 9's protocol.
    Plan9,
}

impl SharesPlan {
    /// Whether somebody else than QEMU has to have the guest's memory.
    pub(crate) fn need_shared_memory(&self) -> bool {
        self.mode == ShareMode::Virtiofs && !self.shares.is_empty()
    }
}
