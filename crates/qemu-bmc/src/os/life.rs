//! Whether this process is a new life of the controller or the same one, restarted.
//!
//! When mains power comes back, the restore policy decides whether the machine starts. A container that
//! starts is that case; a controller process that replaces one that crashed, or itself, is not. The two are
//! told apart by the process that stands for the life: init where there is one, else the first `run`.

use std::{path::Path, process::Command};

use super::children::Token;
use crate::store;

/// The environment variable by which a life is passed on. It is no setting.
pub(crate) const VARIABLE: &str = "QEMU_BMC_LIFE";
/// That by which a controller that executes itself anew says so to itself.
const ANEW: &str = "QEMU_BMC_ANEW";

/// The process that stands for a life, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life(String);

impl Life {
    /// A life that begins with this very process.
    pub(crate) fn begin() -> Self {
        let token = Token::of(rustix::process::getpid()).ok();
        Self(token.and_then(|token| serde_json::to_string(&token).ok()).unwrap_or_default())
    }

    /// The life of this process, and whether the last process that ran in this folder had the same.
    pub(crate) fn take_up(run_dir: &Path) -> (Self, bool) {
        let life = std::env::var(VARIABLE).map_or_else(|_| Self::begin(), Self);
        let path = run_dir.join("life.json");
        let same = life.is_written(&path);
        life.write(&path);
        (life, same)
    }

    /// Whether it was this life that was last written into a file.
    pub(crate) fn is_written(&self, path: &Path) -> bool {
        store::read_or_set_aside::<String>(path).as_ref() == Some(&self.0)
    }

    /// Writes this life into a file.
    pub(crate) fn write(&self, path: &Path) {
        if let Err(error) = store::write(path, &self.0) {
            tracing::warn!("{error}");
        }
    }

    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// Gives this life to a process that is about to be started.
    pub(crate) fn pass_on(&self, command: &mut Command) {
        command.env(VARIABLE, &self.0);
    }

    /// Gives this life to the program that this very process is about to become.
    pub(crate) fn go_on_as(&self, command: &mut Command) {
        self.pass_on(command);
        command.env(ANEW, "1");
    }
}

/// Whether this process was a controller already, before it executed itself anew.
pub(crate) fn was_a_controller() -> bool {
    std::env::var_os(ANEW).is_some()
}
