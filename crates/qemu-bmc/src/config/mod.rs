//! What was said becomes what it means.
//!
//! ```text
//!   environment ─┐
//!                ├─▶ Said (a text per setting) ─▶ value::* (a value per text) ─▶ Plan
//!   file ────────┘                                        │
//!                                                         └─▶ ConfigErrors: everything that is wrong, at once
//! ```
//!
//! The file system and the host name are asked through [`host::Host`], so a test makes a plan from a
//! list of variables and nothing else. A plan is made before anything is started: whoever has one needs to
//! check nothing again, and whoever has none has a message to show and exits with [`ConfigErrors::EXIT_CODE`].
//!
//! To add a setting, add a row to [`settings`] and say in [`load`] what it means.

mod claims;
mod describe;
mod file;
mod firmware;
mod hardware;
mod host;
mod load;
mod nearest;
mod nics;
mod plan;
mod provisioning;
mod reader;
mod said;
pub(crate) mod sensors;
mod settings;
mod several;
mod shares;
mod storage;
mod value;

use std::fmt;

pub(crate) use firmware::*;
pub(crate) use hardware::*;
pub(crate) use host::{ThisHost, read_file};
pub(crate) use load::disk_variable;
pub(crate) use nics::*;
pub(crate) use plan::*;
pub(crate) use provisioning::*;
pub(crate) use settings::reference;
pub(crate) use several::{ControlSocket, MachineName, Machines, control_sockets, listed};
pub(crate) use shares::*;
pub(crate) use storage::*;
pub(crate) use value::quoted;

/// The words of a line, as a shell splits them; none where a quote is not closed.
pub(crate) fn words(line: &str) -> Option<Vec<String>> {
    value::words(line).ok()
}

/// Everything that is wrong with a configuration: one sentence each, without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigErrors(Vec<String>);

impl ConfigErrors {
    /// The exit status of a program that has nothing to run.
    pub(crate) const EXIT_CODE: u8 = 2;

    /// A sentence each.
    pub(crate) fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = if self.0.len() == 1 { "error" } else { "errors" };
        write!(f, "the configuration has {} {errors}, nothing was started:", self.0.len())?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
