//! Ignition, which sets up CoreOS: one JSON file, which the guest reads from QEMU's firmware configuration.

use serde_json::Value;

/// Looks for the mistakes with which the guest would stop in its initramfs.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let config: Value = serde_json::from_slice(bytes).map_err(|error| {
        // The message alone would quote what it found.
        let place = format!("line {}, column {}", error.line(), error.column());
        format!("{place}: it is no JSON (Butane's YAML becomes Ignition's JSON by the command butane)")
    })?;
    let version = config.get("ignition").and_then(|ignition| ignition.get("version")).and_then(Value::as_str);
    match version.and_then(|version| version.split_once('.')) {
        Some(("2" | "3", _)) => Ok(()),
        Some(_) => Err("its ignition.version is none that CoreOS takes: 3.x, or 2.x before 2020".into()),
        None => Err("it has no ignition.version, such as {\"ignition\": {\"version\": \"3.4.0\"}}".into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_configuration_says_its_version() {
        assert_eq!(check(br#"{"ignition": {"version": "3.4.0"}, "passwd": {}}"#), Ok(()));
        for (text, why) in [
            ("variant: fcos\nversion: 1.5.0\n", "butane"),
            ("{\"password\": hunter2}", "line 1, column 14"),
            ("{}", "ignition.version"),
            (r#"{"ignition": {"version": 3}}"#, "has no"),
            (r#"{"ignition": {"version": "1.0"}}"#, "none that CoreOS takes"),
        ] {
            let refused = check(text.as_bytes()).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("hunter2"), "{text}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = check(&bytes);
        }
    }
}
