//! Values about the guest's first boot.

use std::path::PathBuf;

use super::{Parsed, Refused, because};
use crate::{
    config::provisioning::SshKeys,
    provisioning::{PublicKey, is_hostname},
};

/// A host's name, or nothing.
pub(in crate::config) fn optional_hostname(text: &str) -> Parsed<Option<String>> {
    match text {
        "" => Ok(None),
        name if is_hostname(name) => Ok(Some(name.to_owned())),
        _ => Err(Refused::Form),
    }
}

/// Public keys, or the path of a file with some, which has no space in it.
pub(in crate::config) fn optional_ssh_keys(text: &str) -> Parsed<Option<SshKeys>> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.trim().contains([' ', '\t', '\n']) {
        return PublicKey::all(text).map(|keys| Some(SshKeys::Text(keys))).or_else(because);
    }
    Ok(Some(SshKeys::File(PathBuf::from(text.trim()))))
}
