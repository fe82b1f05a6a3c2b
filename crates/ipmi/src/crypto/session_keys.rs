//! The keys of an RMCP+ session, with their schedules (IPMI 2.0 §13.28.2, §13.29, §13.32).

use aes::{
    Aes128,
    cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit},
};

use super::{Code, KeyedHash, Suite};

/// AES works on blocks of this size; so does CBC's initialization vector.
pub(crate) const BLOCK_SIZE: usize = 16;

/// K1 and K2, ready for use.
pub(crate) struct SessionKeys {
    suite: Suite,
    integrity: KeyedHash,
    cipher: Aes128,
}

impl SessionKeys {
    /// Derives the keys from the session integrity key. The constants are twenty bytes long whatever
    /// the hash is (§13.32).
    pub(crate) fn derive(suite: Suite, sik: &KeyedHash) -> Self {
        let k1 = sik.code(&[&[1; 20]]);
        let k2 = sik.code(&[&[2; 20]]);
        let mut key = zeroize::Zeroizing::new([0; BLOCK_SIZE]);
        for (to, from) in key.iter_mut().zip(k2.as_bytes()) {
            *to = *from;
        }
        Self { suite, integrity: KeyedHash::new(suite, k1.as_bytes()), cipher: Aes128::new((&*key).into()) }
    }

    /// Size of the code of a packet.
    pub(crate) fn code_size(&self) -> usize {
        self.suite.code_size()
    }

    /// The code of a packet, from its authentication type to its next header.
    pub(crate) fn sign(&self, packet: &[u8]) -> Code {
        self.integrity.code(&[packet]).cut(self.suite.code_size())
    }

    /// Encrypts what was appended to `out` from `start` on: an initialization vector and a plaintext,
    /// to which the confidentiality trailer is appended here (§13.29): 01h, 02h … and their count.
    pub(crate) fn encrypt(&self, out: &mut Vec<u8>, start: usize) {
        let pad = (out.len() - start + 1).wrapping_neg() % BLOCK_SIZE;
        #[expect(clippy::cast_possible_truncation, reason = "at most 15")]
        let pad = pad as u8;
        out.extend(1..=pad);
        out.push(pad);
        let Some((iv, blocks)) = out.get_mut(start..).and_then(<[u8]>::split_first_chunk_mut::<BLOCK_SIZE>)
        else {
            return;
        };
        let (blocks, _) = Array::slice_as_chunks_mut(blocks);
        cbc::Encryptor::inner_iv_init(&self.cipher, (&*iv).into()).encrypt_blocks(blocks);
    }

    /// Decrypts a payload in place and returns the plaintext without vector and trailer; `None` if it
    /// is not made as [`SessionKeys::encrypt`] makes it. The bytes of the pad are not looked at: what
    /// was signed has been checked, and what was not must not learn from an answer how far it got.
    pub(crate) fn decrypt<'a>(&self, payload: &'a mut [u8]) -> Option<&'a [u8]> {
        let (iv, ciphertext) = payload.split_first_chunk_mut::<BLOCK_SIZE>()?;
        let (blocks, []) = Array::slice_as_chunks_mut(ciphertext) else { return None };
        cbc::Decryptor::inner_iv_init(&self.cipher, (&*iv).into()).decrypt_blocks(blocks);
        let (pad, padded) = ciphertext.split_last()?;
        let pad = usize::from(*pad);
        if pad >= BLOCK_SIZE {
            return None;
        }
        padded.get(..padded.len().checked_sub(pad)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keys() -> SessionKeys {
        SessionKeys::derive(Suite::Sha256, &KeyedHash::new(Suite::Sha256, b"sik"))
    }

    #[test]
    fn the_cipher_is_aes_cbc_128() {
        // NIST SP 800-38A, F.2.1, first block.
        let key = 0x2b7e_1516_28ae_d2a6_abf7_1588_09cf_4f3c_u128.to_be_bytes();
        let iv = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f_u128.to_be_bytes();
        let plain = 0x6bc1_bee2_2e40_9f96_e93d_7e11_7393_172a_u128.to_be_bytes();
        let cipher = 0x7649_abac_8119_b246_cee9_8e9b_12e9_197d_u128.to_be_bytes();
        let keys = SessionKeys { cipher: Aes128::new((&key).into()), ..keys() };
        let mut out = [iv, plain].concat();
        keys.encrypt(&mut out, 0);
        assert_eq!(out[..16], iv);
        assert_eq!(out[16..32], cipher);
        assert_eq!(out.len(), 48, "a whole block of trailer");
        assert_eq!(keys.decrypt(&mut out), Some(&plain[..]));
    }

    #[test]
    fn the_trailer_counts_up_and_does_not_count_itself() {
        let keys = keys();
        let mut out = [&[0; BLOCK_SIZE][..], b"hello world"].concat();
        keys.encrypt(&mut out, 0);
        let (iv, blocks) = out.split_at_mut(BLOCK_SIZE);
        let (blocks, _) = Array::slice_as_chunks_mut(blocks);
        cbc::Decryptor::inner_iv_init(&keys.cipher, (&*iv).try_into().unwrap()).decrypt_blocks(blocks);
        assert_eq!(&out[BLOCK_SIZE..], b"hello world\x01\x02\x03\x04\x04");
    }

    #[test]
    fn what_is_no_ciphertext_is_refused() {
        let keys = keys();
        for size in [0, 1, 15, 16, 17, 31, 33] {
            assert_eq!(keys.decrypt(&mut vec![0; size]), None, "{size} bytes");
        }
    }

    #[test]
    fn codes_are_cut_to_the_suite() {
        assert_eq!(keys().sign(b"packet").as_bytes().len(), 16);
        let keys = SessionKeys::derive(Suite::Sha1, &KeyedHash::new(Suite::Sha1, b"sik"));
        assert_eq!(keys.sign(b"packet").as_bytes().len(), 12);
    }

    proptest! {
        #[test]
        fn what_is_encrypted_is_decrypted(
            iv: [u8; BLOCK_SIZE], plain in proptest::collection::vec(any::<u8>(), 0..300), start in 0usize..20,
        ) {
            let keys = keys();
            let mut out = vec![0xee; start];
            out.extend(iv);
            out.extend(&plain);
            keys.encrypt(&mut out, start);
            prop_assert_eq!((out.len() - start) % BLOCK_SIZE, 0);
            prop_assert_eq!(keys.decrypt(&mut out[start..]), Some(&plain[..]));
        }

        #[test]
        fn any_bytes_are_decrypted_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let size = bytes.len();
            if let Some(plain) = keys().decrypt(&mut bytes) {
                prop_assert!(plain.len() < size - BLOCK_SIZE && size - BLOCK_SIZE - plain.len() <= BLOCK_SIZE);
            }
        }
    }
}
