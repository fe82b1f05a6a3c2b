//! Arguments in one line of text, split as a shell splits them (POSIX.1-2017, Shell Command Language §2.2)
//! but without a shell: nothing is expanded, so `$HOME` and `*` are what they look like.

use super::{Parsed, because};

/// Splits a line into words. Quotes and backslashes keep spaces together, and are taken away.
pub(in crate::config) fn words(line: &str) -> Parsed<Vec<String>> {
    let mut words = Vec::new();
    // None between words; an empty word exists as soon as a quote opens.
    let mut word: Option<String> = None;
    let mut rest = line.chars();

    while let Some(char) = rest.next() {
        match char {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('\'') => break,
                        Some(quoted) => word.push(quoted),
                        None => return because("a single quote is not closed"),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next() {
                        Some('"') => break,
                        Some('\\') => match rest.next() {
                            Some('\n') => {}
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return because("a double quote is not closed"),
                        },
                        Some(quoted) => word.push(quoted),
                        None => return because("a double quote is not closed"),
                    }
                }
            }
            '\\' => match rest.next() {
                Some('\n') => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return because("a backslash at the end escapes nothing"),
            },
            '\0' => return because("an argument cannot hold a zero byte"),
            plain => word.get_or_insert_default().push(plain),
        }
    }
    words.extend(word);
    Ok(words)
}

/// The word as it has to be written for [`words`] to give it back.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=,@%+".contains(char);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::Refused, *};

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            ("  \t\n ", &[]),
            ("-device virtio-rng-pci", &["-device", "virtio-rng-pci"]),
            ("  -m  2 ", &["-m", "2"]),
            (r#"-name "my guest""#, &["-name", "my guest"]),
            ("-name 'my guest'", &["-name", "my guest"]),
            (r"-name my\ guest", &["-name", "my guest"]),
            (r#"a'b'"c"d"#, &["abcd"]),
            (r#"'' """#, &["", ""]),
            (r#""a\"b\\c\n\$""#, &[r#"a"b\c\n$"#]),
            (r"'a\'", &[r"a\"]),
            ("a\\\nb", &["ab"]),
            ("$HOME * #x ~", &["$HOME", "*", "#x", "~"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).as_deref(), Ok(expected.map_to_strings().as_slice()), "{line}");
        }
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for line in ["'a", "\"a", "a\\", "\"a\\", "a '\"", "a\0"] {
            assert!(matches!(words(line), Err(Refused::Because(_))), "{line}");
        }
    }

    trait MapToStrings {
        fn map_to_strings(&self) -> Vec<String>;
    }

    impl MapToStrings for &[&str] {
        fn map_to_strings(&self) -> Vec<String> {
            self.iter().map(ToString::to_string).collect()
        }
    }

    proptest! {
        #[test]
        fn quoted_words_are_given_back(list in proptest::collection::vec("[^\0]*", 0..6)) {
            let line = list.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line), Ok(list));
        }

        #[test]
        fn no_line_makes_it_panic(line in "[ \\\\'\"a$\n]*") {
            let _ = words(&line);
        }
    }
}
