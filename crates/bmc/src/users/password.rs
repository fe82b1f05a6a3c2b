//! Passwords (IPMI 2.0 §22.30), which the protocol needs as they are: its codes are made with the password
//! itself as the key, so a hash of it would not do. What is written to disk is readable for whoever may read
//! the file, and that is its owner alone.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::{Zeroize as _, Zeroizing};

use super::UserError;
use crate::{Secret, hex};

/// The longest password, in bytes: what an IPMI 2.0 session can use.
pub const PASSWORD_MAX: usize = 20;
const SIXTEEN: usize = 16;

/// Whether a password was stored in 16 or 20 bytes; a 20-byte one can't be used in IPMI 1.5 (§22.30).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSize {
    /// 16 bytes.
    Sixteen,
    /// 20 bytes.
    Twenty,
}

impl PasswordSize {
    /// The size in bytes.
    pub fn bytes(self) -> usize {
        match self {
            Self::Sixteen => SIXTEEN,
            Self::Twenty => PASSWORD_MAX,
        }
    }
}

/// A password: 1 to 20 bytes, padded with zeros to the size that protocols work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    padded: Secret<[u8; PASSWORD_MAX]>,
    size: PasswordSize,
}

impl Password {
    /// A password of 1 to 20 bytes.
    ///
    /// # Errors
    /// [`UserError::EmptyPassword`] and [`UserError::PasswordTooLong`].
    pub fn new(text: &[u8]) -> Result<Self, UserError> {
        let size = if text.len() > SIXTEEN { PasswordSize::Twenty } else { PasswordSize::Sixteen };
        Self::padded(text, size)
    }

    /// A password in a field of 16 or 20 bytes, which zeros fill up.
    ///
    /// # Errors
    /// [`UserError::EmptyPassword`]; [`UserError::PasswordTooLong`] if the field has another size.
    pub fn from_field(field: &[u8]) -> Result<Self, UserError> {
        let size = match field.len() {
            SIXTEEN => PasswordSize::Sixteen,
            PASSWORD_MAX => PasswordSize::Twenty,
            _ => return Err(UserError::PasswordTooLong),
        };
        Self::padded(field, size)
    }

    fn padded(text: &[u8], size: PasswordSize) -> Result<Self, UserError> {
        if text.iter().all(|byte| *byte == 0) {
            return Err(UserError::EmptyPassword);
        }
        let mut padded = [0; PASSWORD_MAX];
        padded.get_mut(..text.len()).ok_or(UserError::PasswordTooLong)?.copy_from_slice(text);
        let password = Self { padded: Secret::new(padded), size };
        padded.zeroize();
        Ok(password)
    }

    /// All twenty bytes: K_UID of §13.31.
    pub fn key(&self) -> &[u8; PASSWORD_MAX] {
        self.padded.expose()
    }

    /// How it was stored.
    pub fn size(&self) -> PasswordSize {
        self.size
    }
}

/// Hexadecimal digits, as many as its size has: the form in which a state file holds it.
impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let field = self.key().get(..self.size.bytes()).unwrap_or_default();
        serializer.serialize_str(&Zeroizing::new(hex::encode(field)))
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        let field = hex::decode(&digits).map(Zeroizing::new);
        // Without a word about what was there instead.
        field
            .and_then(|field| Self::from_field(&field).ok())
            .ok_or_else(|| de::Error::custom("a password is 32 or 40 hexadecimal digits, not all of them 0"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_bytes_fit_and_twenty_one_do_not() {
        assert_eq!(Password::new(&[b'x'; 16]).unwrap().size(), PasswordSize::Sixteen);
        assert_eq!(Password::new(&[b'x'; 20]).unwrap().size(), PasswordSize::Twenty);
        assert_eq!(Password::new(&[b'x'; 21]), Err(UserError::PasswordTooLong));
    }

    #[test]
    fn a_field_has_its_size_however_short_the_password() {
        let field = |size: usize| {
            let mut field = vec![0; size];
            field[..6].copy_from_slice(b"secret");
            Password::from_field(&field)
        };
        assert_eq!(field(16).unwrap(), Password::new(b"secret").unwrap());
        assert_eq!(field(20).unwrap().size(), PasswordSize::Twenty);
        assert_eq!(field(20).unwrap().key(), Password::new(b"secret").unwrap().key());
        assert_eq!(field(17), Err(UserError::PasswordTooLong));
        assert_eq!(Password::from_field(&[0; 16]), Err(UserError::EmptyPassword));
        assert_eq!(Password::new(b""), Err(UserError::EmptyPassword));
    }

    #[test]
    fn a_file_gives_it_back_and_debug_shows_nothing() {
        for text in [&b"secret"[..], &[0xff; 20]] {
            let password = Password::new(text).unwrap();
            let file = serde_json::to_string(&password).unwrap();
            assert_eq!(serde_json::from_str::<Password>(&file).unwrap(), password);
            assert!(!format!("{password:?}").contains("115"), "{password:?}");
        }
    }

    #[test]
    fn what_a_damaged_file_has_is_not_repeated() {
        for digits in ["", "00", "zz65637265740000000000000000000", &"0".repeat(32), "\u{e9}\u{e9}"] {
            let error = serde_json::from_str::<Password>(&format!("\"{digits}\"")).unwrap_err().to_string();
            assert!(digits.len() < 5 || !error.contains(digits), "{error}");
        }
    }
}
