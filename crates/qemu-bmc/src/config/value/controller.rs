//! Values about the controller: users, passwords, keys, cipher suites.

use bmc::{KgKey, Password, Privilege, SEL_SIZES, Secret, SelFull};
use zeroize::Zeroize;

use super::{Parsed, Refused, because, choice};
use crate::config::LanConfig;

/// A user's name (IPMI 2.0 §22.28).
pub(in crate::config) fn user_name(text: &str) -> Parsed<String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if printable && (1..=16).contains(&text.len()) { Ok(text.to_owned()) } else { Err(Refused::Form) }
}

/// A user's password (§22.30). Shorter ones are padded with zeros on the wire, so they can't contain one.
pub(in crate::config) fn password(text: &str) -> Parsed<Password> {
    if text.contains('\0') {
        return because("it contains a zero byte");
    }
    Password::new(text.as_bytes()).map_err(|error| Refused::Because(error.to_string()))
}

/// A VNC password, if any.
pub(in crate::config) fn vnc_password(text: &str) -> Parsed<Option<Secret<String>>> {
    Ok((!text.is_empty()).then(|| Secret::new(text.to_owned())))
}

/// K_G (§13.31): up to 20 bytes as text, or as `0x` and hexadecimal digits. Shorter ones are padded.
pub(in crate::config) fn kg(text: &str) -> Parsed<Option<KgKey>> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut key = [0; 20];
    let written = match text.strip_prefix("0x") {
        Some(digits) => from_hex(digits, &mut key),
        None => key.get_mut(..text.len()).map(|start| start.copy_from_slice(text.as_bytes())),
    };
    let parsed = written.map(|()| Some(Secret::new(key))).ok_or(Refused::Form);
    key.zeroize();
    parsed
}

/// Digits in pairs, into the first bytes of `key`.
fn from_hex(digits: &str, key: &mut [u8; 20]) -> Option<()> {
    let digits = digits.as_bytes();
    if digits.is_empty() || digits.len() > 2 * key.len() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(())
}

/// A privilege level that a user can be limited to (§22.26).
pub(in crate::config) fn privilege(text: &str) -> Parsed<Privilege> {
    choice(
        text,
        &[
            ("user", Privilege::User),
            ("operator", Privilege::Operator),
            ("administrator", Privilege::Administrator),
            ("admin", Privilege::Administrator),
        ],
    )
}

/// What becomes of network settings that are made over IPMI.
pub(in crate::config) fn lan_config(text: &str) -> Parsed<LanConfig> {
    choice(text, &[("store", LanConfig::Store), ("apply", LanConfig::Apply)])
}

/// Cipher suites by id (§22.15.2), the preferred one first.
///
/// The suites that are left out authenticate nobody (0), sign or encrypt nothing (1, 2, 6, 7, 11, 15, 16) or do
/// it with MD5 or RC4: to offer one is to offer it to an attacker, whatever else is offered.
pub(in crate::config) fn cipher_suites(text: &str) -> Parsed<Vec<u8>> {
    let mut suites = Vec::new();
    for item in text.split(',').map(str::trim) {
        let suite = match item.parse::<u8>() {
            Ok(suite @ (3 | 17)) => suite,
            Ok(0) => return because("cipher suite 0 lets anyone in with any password"),
            Ok(1 | 2 | 6 | 7 | 11 | 15 | 16) => {
                return because(format!("cipher suite {item} leaves packets unsigned or readable"));
            }
            Ok(4 | 5 | 8..=10 | 12..=14 | 18 | 19) => {
                return because(format!("cipher suite {item} relies on MD5 or RC4, which are broken"));
            }
            _ => return Err(Refused::Form),
        };
        if suites.contains(&suite) {
            return because(format!("{suite} is there twice"));
        }
        suites.push(suite);
    }
    Ok(suites)
}

/// How many entries the event log has room for.
pub(in crate::config) fn sel_size(text: &str) -> Parsed<u16> {
    match text.parse() {
        Ok(size) if SEL_SIZES.contains(&size) && !text.starts_with('+') => Ok(size),
        _ => Err(Refused::Form),
    }
}

/// What happens when it is full.
pub(in crate::config) fn sel_full(text: &str) -> Parsed<SelFull> {
    choice(text, &[("wrap", SelFull::Wrap), ("stop", SelFull::Stop)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_and_passwords_have_the_lengths_of_the_specification() {
        assert_eq!(user_name("admin"), Ok("admin".into()));
        for text in ["", "seventeen-letters", "Jos\u{e9}", "a\tb"] {
            assert_eq!(user_name(text), Err(Refused::Form), "{text}");
        }
        assert!(password(&"x".repeat(20)).is_ok());
        for text in ["", "\0", &"x".repeat(21)] {
            assert!(matches!(password(text), Err(Refused::Because(_))), "{text:?}");
        }
    }

    #[test]
    fn keys_are_text_or_hexadecimal() {
        let mut key = [0; 20];
        key[..2].copy_from_slice(b"kg");
        assert_eq!(kg("kg").unwrap().unwrap().expose(), &key);
        assert_eq!(kg("0x6b67").unwrap().unwrap().expose(), &key);
        assert_eq!(kg("0x6B67").unwrap().unwrap().expose(), &key);
        assert_eq!(kg(""), Ok(None));
        assert_eq!(kg(&format!("0x{}", "ff".repeat(20))).unwrap().unwrap().expose(), &[0xff; 20]);
        for text in ["0x", "0x6", "0x6g", "0x+1", &"k".repeat(21), &format!("0x{}", "ff".repeat(21))] {
            assert_eq!(kg(text), Err(Refused::Form), "{text}");
        }
    }

    #[test]
    fn only_suites_that_keep_their_word_are_offered() {
        assert_eq!(cipher_suites("17,3"), Ok(vec![17, 3]));
        assert_eq!(cipher_suites(" 3 "), Ok(vec![3]));
        for text in ["", "17,", "17 3", "20", "256", "all"] {
            assert_eq!(cipher_suites(text), Err(Refused::Form), "{text}");
        }
        for suite in (0..=19).filter(|suite| ![3, 17].contains(suite)) {
            assert!(matches!(cipher_suites(&format!("17,{suite}")), Err(Refused::Because(_))), "{suite}");
        }
        assert!(matches!(cipher_suites("3,3"), Err(Refused::Because(_))));
    }

    #[test]
    fn the_event_log_is_neither_tiny_nor_larger_than_its_ids() {
        assert_eq!((sel_size("64"), sel_size("60000")), (Ok(64), Ok(60_000)));
        for size in ["63", "60001", "-1", "+64", "all", ""] {
            assert_eq!(sel_size(size), Err(Refused::Form), "{size:?}");
        }
        assert_eq!(sel_full("stop"), Ok(SelFull::Stop));
        assert_eq!(sel_full("drop"), Err(Refused::Form));
    }

    #[test]
    fn privileges_have_names() {
        assert_eq!(privilege("Operator"), Ok(Privilege::Operator));
        assert_eq!(privilege("oem"), Err(Refused::Form));
    }

    proptest! {
        #[test]
        fn hexadecimal_keys_are_read_back(bytes in any::<[u8; 20]>()) {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let key = kg(&format!("0x{text}")).unwrap().unwrap();
            prop_assert_eq!(key.expose(), &bytes);
        }

        #[test]
        fn the_model_takes_every_user_that_is_taken_here(name in ".{0,17}", secret in ".{0,21}") {
            if let (Ok(name), Ok(password)) = (user_name(&name), password(&secret)) {
                prop_assert!(bmc::Users::default().add(&name, password, Privilege::User).is_ok());
            }
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in ".*", hex in "0x[0-9a-g]*") {
            let _ = (cipher_suites(&text), kg(&text), kg(&hex), vnc_password(&text), privilege(&text));
        }
    }
}
