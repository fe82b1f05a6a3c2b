//! The authentication code of IPMI 1.5 sessions (IPMI 2.0 §22.17.1): MD5 over the password, the session
//! id, the message, the sequence number and again the password. It is kept for old clients and is off
//! by default; MD5 in this form is no longer a strong code.

use bmc::Password;
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// The code of a message.
pub(crate) fn code(password: &Password, session: u32, sequence: u32, message: &[u8]) -> [u8; 16] {
    let (key, _) = password.key().split_first_chunk::<16>().unwrap_or((&[0; 16], &[]));
    Md5::new()
        .chain_update(key)
        .chain_update(session.to_le_bytes())
        .chain_update(message)
        .chain_update(sequence.to_le_bytes())
        .chain_update(key)
        .finalize()
        .into()
}

/// Whether a peer's code is right; takes the same time whether it is or not.
pub(crate) fn matches(expected: &[u8; 16], code: &[u8; 16]) -> bool {
    expected.ct_eq(code).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_parts() {
        let password = Password::new(b"password").unwrap();
        let key = *b"password\0\0\0\0\0\0\0\0";
        let text = [&key[..], &[4, 3, 2, 1], b"message", &[8, 7, 6, 5], &key].concat();
        let expected: [u8; 16] = Md5::digest(text).into();
        assert_eq!(code(&password, 0x0102_0304, 0x0506_0708, b"message"), expected);
        // RFC 1321's own vector, so that "MD5" is MD5.
        assert_eq!(
            <[u8; 16]>::from(Md5::digest(b"abc")),
            0x9001_5098_3cd2_4fb0_d696_3f7d_28e1_7f72_u128.to_be_bytes()
        );
        assert!(matches(&expected, &expected) && !matches(&expected, &[0; 16]));
    }
}
