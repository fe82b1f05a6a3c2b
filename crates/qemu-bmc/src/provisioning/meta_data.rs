//! meta-data: which instance this is, what it is called, and who may log in.

use serde_json::Value;

use super::{ssh_key::PublicKey, yaml};

/// meta-data as it was asked for.
pub(super) enum MetaData {
    /// A mapping of somebody's own, with its text.
    Own { text: Vec<u8>, mapping: serde_json::Map<String, Value> },
    /// What settings say.
    Made { hostname: Option<String>, keys: Vec<PublicKey> },
}

impl MetaData {
    /// Reads a file, which may be empty.
    pub(super) fn own(text: Vec<u8>) -> Result<Self, String> {
        match yaml::parse(&text)? {
            Value::Object(mapping) => Ok(Self::Own { text, mapping }),
            Value::Null => Ok(Self::Own { text, mapping: serde_json::Map::new() }),
            _ => Err("it is no mapping with keys such as instance-id:".into()),
        }
    }

    /// The file that the guest finds. One that says its instance is left as it is.
    pub(super) fn file(&self, instance: &str) -> Vec<u8> {
        let mut mapping: serde_json::Map<_, _> = match self {
            Self::Own { text, mapping } if mapping.contains_key("instance-id") => return text.clone(),
            Self::Own { mapping, .. } => mapping.clone(),
            Self::Made { hostname, keys } => {
                let name = hostname.iter().map(|name| ("local-hostname".to_owned(), name.as_str().into()));
                let lines: Value = keys.iter().map(PublicKey::line).collect();
                name.chain((!keys.is_empty()).then(|| ("public-keys".to_owned(), lines))).collect()
            }
        };
        mapping.insert("instance-id".into(), instance.into());
        // JSON is YAML as well.
        format!("{:#}\n", Value::Object(mapping)).into_bytes()
    }
}
