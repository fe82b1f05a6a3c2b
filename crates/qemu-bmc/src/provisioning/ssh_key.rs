//! Public keys as `authorized_keys` has them (sshd(8)).

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The algorithms of OpenSSH.
const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// A public key: options if there are any, algorithm, key, comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey(String);

impl PublicKey {
    /// The line that it is.
    pub(super) fn line(&self) -> &str {
        &self.0
    }

    /// One key a line, with empty lines and comments between them.
    ///
    /// # Errors
    /// Why there is none, or a line is none. Never quotes it, which may be a private key.
    pub(crate) fn all(text: &str) -> Result<Vec<Self>, String> {
        if text.contains("PRIVATE KEY-----") {
            return Err(
                "this is a private key: the public one is in the file beside it whose name ends in .pub"
                    .into(),
            );
        }
        let mut keys = Vec::new();
        for (line, number) in text.lines().map(str::trim).zip(1..) {
            if !line.is_empty() && !line.starts_with('#') {
                keys.push(Self::parse(line).map_err(|why| format!("line {number}: {why}"))?);
            }
        }
        if keys.is_empty() { Err("there is no key in it".into()) } else { Ok(keys) }
    }

    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let Some(algorithm) = words.find(|word| ALGORITHMS.contains(word)) else {
            return Err(format!("no algorithm of a public key is in it, such as {}", ALGORITHMS[0]));
        };
        let blob = words.next().and_then(|key| STANDARD.decode(key).ok());
        // It begins with the algorithm's name once more (RFC 4253 §6.6).
        let named =
            blob.as_deref().and_then(|blob| blob.split_first_chunk()).is_some_and(|(length, rest)| {
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                rest.get(..length) == Some(algorithm.as_bytes()) && rest.len() > length
            });
        if !named {
            return Err(format!("what follows {algorithm} is no such key, or not all of it"));
        }
        Ok(Self(line.to_owned()))
    }
}

/// What it is called: its algorithm and its comment.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = self.0.split_ascii_whitespace().skip_while(|word| !ALGORITHMS.contains(word));
        f.write_str(words.next().unwrap_or_default())?;
        words.skip(1).try_for_each(|word| write!(f, " {word}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMynvJssym441qVAJFG9Wv00YV78SKMSNHslWVzpyftO";

    #[test]
    fn keys_are_lines() {
        let text = format!("# mine\n{KEY} me@laptop\n\n  from=\"192.0.2.0/24\" {KEY}\r\n");
        let keys = PublicKey::all(&text).unwrap();
        assert_eq!(
            keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["ssh-ed25519 me@laptop", "ssh-ed25519"]
        );
        assert_eq!(keys[1].line(), format!("from=\"192.0.2.0/24\" {KEY}"));
    }

    #[test]
    fn what_is_no_key_is_refused_by_line_and_not_shown() {
        let cut = KEY.split_at(KEY.len() - 1).0;
        for (text, why) in [
            ("", "no key"),
            ("# none\n", "no key"),
            ("hunter2 hunter2", "line 1: no algorithm"),
            (&format!("{KEY}\n{cut}"), "line 2: what follows ssh-ed25519"),
            (&KEY.replace("ssh-ed25519", "ssh-rsa"), "line 1: what follows ssh-rsa"),
            ("ssh-rsa", "line 1: what follows"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2", ".pub"),
        ] {
            let refused = PublicKey::all(text).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("hunter2"), "{text}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", key in "[A-Za-z0-9+/=]{0,80}") {
            let _ = (PublicKey::all(&text), PublicKey::all(&format!("ssh-rsa {key}")));
        }
    }
}
