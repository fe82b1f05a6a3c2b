//! VNC Authentication (RFC 6143 §7.2.2): a challenge that the viewer encrypts with the password.
//!
//! The protocol's own weaknesses stay: eight bytes of a password count, DES is the cipher, and nothing
//! after it is encrypted. It keeps out whoever only has the port. That is why [`super::admission`] counts.

use des::{
    Des,
    cipher::{BlockCipherEncrypt, KeyInit},
};
use zeroize::Zeroizing;

/// The length of a challenge and of its response.
pub(super) const CHALLENGE: usize = 16;

/// The password of the door. It has no `Debug`, and is wiped when dropped.
pub(crate) struct Password(Zeroizing<[u8; Self::SIGNIFICANT]>);

impl Password {
    /// How many bytes of a password the protocol uses; the rest makes no difference.
    pub(crate) const SIGNIFICANT: usize = 8;

    /// `None` if there is nothing in `text`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // DES takes its key bits from the other end of each byte than everybody else.
        let mut key = Zeroizing::new([0; Self::SIGNIFICANT]);
        for (key, byte) in key.iter_mut().zip(text.bytes()) {
            *key = byte.reverse_bits();
        }
        (!text.is_empty()).then_some(Self(key))
    }

    /// True if `response` is `challenge` encrypted with this password. Takes the same time either way.
    pub(super) fn verify(&self, challenge: [u8; CHALLENGE], response: [u8; CHALLENGE]) -> bool {
        let expected = self.respond(challenge);
        expected.iter().zip(response).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }

    /// What a viewer with this password answers.
    pub(super) fn respond(&self, mut challenge: [u8; CHALLENGE]) -> [u8; CHALLENGE] {
        let cipher = Des::new((&*self.0).into());
        let (blocks, _) = challenge.as_chunks_mut::<8>();
        for block in blocks {
            cipher.encrypt_block(block.into());
        }
        challenge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHALLENGE_BYTES: [u8; CHALLENGE] = *b"0123456789abcdef";

    fn respond(text: &str) -> [u8; CHALLENGE] {
        Password::parse(text).unwrap().respond(CHALLENGE_BYTES)
    }

    #[test]
    fn only_the_password_verifies() {
        let password = Password::parse("secret").unwrap();
        let response = respond("secret");
        assert!(password.verify(CHALLENGE_BYTES, response));
        assert!(!password.verify([0; CHALLENGE], response));
        assert!(!password.verify(CHALLENGE_BYTES, respond("secreT")));
        for bit in 0..CHALLENGE * 8 {
            let mut wrong = response;
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!password.verify(CHALLENGE_BYTES, wrong), "bit {bit}");
        }
    }

    #[test]
    fn eight_bytes_count() {
        assert_eq!(respond("12345678"), respond("123456789"));
        assert_ne!(respond("12345678"), respond("1234567"));
        assert!(Password::parse("").is_none());
    }
}
