//! HMAC with a key that is used many times: the two hash states that depend on the key alone are
//! computed once, and cloned for every code.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::Suite;

/// Both hashes work on blocks of 64 bytes, and a key shorter than that is padded with zeros (RFC 2104).
const HASH_BLOCK: usize = 64;

/// The hash of a suite with a key.
#[derive(Clone)]
pub(crate) enum KeyedHash {
    /// HMAC-SHA1.
    Sha1(Hmac<Sha1>),
    /// HMAC-SHA256.
    Sha256(Hmac<Sha256>),
}

impl KeyedHash {
    /// Takes a key of at most 64 bytes; no key of IPMI has more than 32.
    pub(crate) fn new(suite: Suite, key: &[u8]) -> Self {
        debug_assert!(key.len() <= HASH_BLOCK);
        let mut block = Zeroizing::new([0; HASH_BLOCK]);
        for (to, from) in block.iter_mut().zip(key) {
            *to = *from;
        }
        match suite {
            Suite::Sha1 => Self::Sha1(Hmac::new((&*block).into())),
            Suite::Sha256 => Self::Sha256(Hmac::new((&*block).into())),
        }
    }

    /// The code of the parts, one after another.
    pub(crate) fn code(&self, parts: &[&[u8]]) -> Code {
        fn whole<M: Mac + Clone>(keyed: &M, parts: &[&[u8]]) -> Code {
            let mut mac = keyed.clone();
            for part in parts {
                mac.update(part);
            }
            let digest = Zeroizing::new(mac.finalize().into_bytes());
            let mut code = Code { bytes: Zeroizing::new([0; Code::MAX]), len: digest.len() };
            for (to, from) in code.bytes.iter_mut().zip(digest.iter()) {
                *to = *from;
            }
            code
        }
        match self {
            Self::Sha1(keyed) => whole(keyed, parts),
            Self::Sha256(keyed) => whole(keyed, parts),
        }
    }
}

/// A code, or a key that was derived as one.
pub(crate) struct Code {
    bytes: Zeroizing<[u8; Self::MAX]>,
    len: usize,
}

impl Code {
    const MAX: usize = 32;

    /// Its first `len` bytes.
    pub(crate) fn cut(mut self, len: usize) -> Self {
        self.len = self.len.min(len);
        self
    }

    /// The bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Whether a peer's code is this one; takes the same time whether it is or not.
    pub(crate) fn matches(&self, code: &[u8]) -> bool {
        self.as_bytes().ct_eq(code).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors() {
        // RFC 2202, test case 2, and RFC 4231, test case 2.
        let parts: [&[u8]; 2] = [b"what do ya want ", b"for nothing?"];
        assert_eq!(
            KeyedHash::new(Suite::Sha1, b"Jefe").code(&parts).as_bytes(),
            [
                0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf,
                0x9c, 0x25, 0x9a, 0x7c, 0x79,
            ]
        );
        assert_eq!(
            KeyedHash::new(Suite::Sha256, b"Jefe").code(&parts).as_bytes(),
            [
                0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75,
                0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec,
                0x38, 0x43,
            ]
        );
    }

    #[test]
    fn a_code_matches_itself_alone() {
        let code = KeyedHash::new(Suite::Sha1, b"key").code(&[b"text"]).cut(12);
        let bytes = code.as_bytes().to_vec();
        assert_eq!(bytes.len(), 12);
        assert!(code.matches(&bytes));
        assert!(!code.matches(&bytes[..11]) && !code.matches(&[]));
        for index in 0..bytes.len() {
            let mut other = bytes.clone();
            other[index] ^= 1;
            assert!(!code.matches(&other));
        }
    }
}
