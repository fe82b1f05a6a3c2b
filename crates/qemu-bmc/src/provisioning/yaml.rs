//! YAML, read for nothing but to find mistakes before a guest does, who would tell nobody.
//!
//! What is wrong is said by line and kind and never quotes the text, in which passwords are.

use serde_json::Value;
use serde_saphyr::Error;

/// Reads a document.
pub(super) fn parse(text: &[u8]) -> Result<Value, String> {
    serde_saphyr::from_slice(text).map_err(|error| {
        let error = error.without_snippet();
        let why = match error {
            Error::ExternalMessage { msg, .. } => msg,
            Error::DuplicateMappingKey { .. } => "a key that this mapping has already",
            Error::UnknownAnchor { .. } => "an alias without an anchor",
            Error::MultipleDocuments { .. } => "a second document",
            Error::Eof { .. } => "the document ends too soon",
            Error::InvalidUtf8Input => "it is not UTF-8 text",
            _ => "it is no YAML that can be read",
        };
        match error.location() {
            Some(at) if at.line() > 0 => format!("line {}, column {}: {why}", at.line(), at.column()),
            _ => why.to_owned(),
        }
    })
}
