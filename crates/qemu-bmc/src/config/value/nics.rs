//! Values about the guest's NICs.

use super::{super::nics::*, Parsed, Refused, because};

/// Network interfaces by name, `auto` or `none`.
pub(in crate::config) fn networks(text: &str) -> Parsed<Networks> {
    match text {
        "auto" => return Ok(Networks::Auto),
        "none" => return Ok(Networks::None),
        _ => {}
    }
    let mut names = Vec::new();
    for name in text.split(',').map(str::trim) {
        // What the kernel takes (dev_valid_name): IFNAMSIZ counts the final zero.
        let valid = (1..16).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.contains(|char: char| char.is_whitespace() || "/:\0".contains(char));
        if !valid {
            return Err(Refused::Form);
        }
        if names.iter().any(|other| other == name) {
            return because(format!("{name} is there twice"));
        }
        names.push(name.to_owned());
    }
    Ok(Networks::Named(names))
}

/// A unicast hardware address, its six bytes in hexadecimal with colons or dashes between them.
pub(in crate::config) fn mac(text: &str) -> Parsed<Mac> {
    let mut bytes = [0; 6];
    let mut parts = text.split([':', '-']);
    for byte in &mut bytes {
        let part =
            parts.next().filter(|part| part.len() == 2 && !part.starts_with('+')).ok_or(Refused::Form)?;
        *byte = u8::from_str_radix(part, 16).map_err(|_| Refused::Form)?;
    }
    if parts.next().is_some() {
        return Err(Refused::Form);
    }
    if bytes[0] & 1 != 0 {
        return because("it is a group's address");
    }
    if bytes == [0; 6] {
        return because("it is nobody's address");
    }
    Ok(Mac(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn interfaces_have_names_that_the_kernel_takes() {
        assert_eq!(networks("auto"), Ok(Networks::Auto));
        assert_eq!(networks("none"), Ok(Networks::None));
        assert_eq!(networks("eth2, eth10"), Ok(Networks::Named(vec!["eth2".into(), "eth10".into()])));
        for text in ["eth2,", "eth 2", "a/b", "..", "eth2:1", "sixteen-letters-"] {
            assert_eq!(networks(text), Err(Refused::Form), "{text}");
        }
        assert!(matches!(networks("eth2,eth2"), Err(Refused::Because(_))));
    }

    #[test]
    fn addresses_are_unicast() {
        assert_eq!(mac("52:54:00:0a:0B:ff").map(|mac| mac.to_string()), Ok("52:54:00:0a:0b:ff".into()));
        for text in ["", "52:54:00:0a:0b", "52:54:00:0a:0b:ff:00", "5:54:00:0a:0b:ff", "+2:54:00:0a:0b:ff"] {
            assert_eq!(mac(text), Err(Refused::Form), "{text}");
        }
        assert!(matches!(mac("01:00:5e:00:00:01"), Err(Refused::Because(_))));
        assert!(matches!(mac("00-00-00-00-00-00"), Err(Refused::Because(_))));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = (networks(&text), mac(&text));
        }
    }
}
