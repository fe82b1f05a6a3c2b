//! From a setting's text to its value: one function per kind of value.
//!
//! All have the same shape, so that a row of the table of settings can name one. What they answer to a bad
//! text is only *why*, and only where that isn't plain from what the setting takes: who said it, what was
//! said and what would have been right are added where those are known. So no parser can leak a secret.

mod controller;
mod firmware;
mod hardware;
mod machine;
mod nics;
mod provisioning;
mod qemu;
mod scalar;
mod shares;
mod storage;
mod words;

use std::fmt;

pub(super) use controller::*;
pub(super) use firmware::*;
pub(super) use hardware::*;
pub(super) use machine::*;
pub(super) use nics::*;
pub(super) use provisioning::*;
pub(super) use qemu::*;
pub(super) use scalar::*;
pub(super) use shares::*;
pub(super) use storage::*;
pub(crate) use words::quoted;
pub(super) use words::words;

/// Why a text is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It hasn't the form that the setting takes.
    Form,
    /// It has, and still won't do. Never quotes the text.
    Because(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("it has not the form that is taken"),
            Self::Because(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Refused {}

/// What a parser answers.
pub(super) type Parsed<T> = Result<T, Refused>;

fn because<T>(why: impl Into<String>) -> Parsed<T> {
    Err(Refused::Because(why.into()))
}

/// The choice whose word was given, in any case.
fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
    choices
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
        .ok_or(Refused::Form)
}
