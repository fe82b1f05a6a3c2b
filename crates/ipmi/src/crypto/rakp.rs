//! What the RAKP messages prove, as functions of what both ends have said (IPMI 2.0 §13.31 and §13.32).
//! All numbers enter as they are on the wire, and the role byte enters in whole.

use super::{Code, KeyedHash, SessionKeys, Suite};
use crate::wire::rakp::Role;

/// A user name of at most 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UserName {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl UserName {
    const MAX: usize = 16;

    /// `None` if it is too long.
    pub(crate) fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; Self::MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self { bytes, len: u8::try_from(name.len()).ok()? })
    }

    /// The name without padding.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Everything that was said in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    /// The agreed suite.
    pub(crate) suite: Suite,
    /// SID_M, the remote console's session id.
    pub(crate) console_session: u32,
    /// SID_C, the BMC's session id.
    pub(crate) managed_session: u32,
    /// R_M.
    pub(crate) console_random: [u8; 16],
    /// R_C.
    pub(crate) managed_random: [u8; 16],
    /// GUID_C.
    pub(crate) guid: [u8; 16],
    /// Role_M.
    pub(crate) role: Role,
    /// UName_M.
    pub(crate) name: UserName,
}

impl Exchange {
    /// Key exchange authentication code of RAKP 2: proves that the BMC knows the user's key.
    pub(crate) fn rakp2_code(&self, user_key: &[u8]) -> Code {
        KeyedHash::new(self.suite, user_key).code(&[
            &self.console_session.to_le_bytes(),
            &self.managed_session.to_le_bytes(),
            &self.console_random,
            &self.managed_random,
            &self.guid,
            &[self.role.0, self.name.len],
            self.name.as_bytes(),
        ])
    }

    /// Key exchange authentication code of RAKP 3: proves that the remote console knows it.
    pub(crate) fn rakp3_code(&self, user_key: &[u8]) -> Code {
        KeyedHash::new(self.suite, user_key).code(&[
            &self.managed_random,
            &self.console_session.to_le_bytes(),
            &[self.role.0, self.name.len],
            self.name.as_bytes(),
        ])
    }

    /// The session integrity key, from K_G, or from the user's key where there is no K_G.
    fn sik(&self, key: &[u8]) -> KeyedHash {
        let sik = KeyedHash::new(self.suite, key).code(&[
            &self.console_random,
            &self.managed_random,
            &[self.role.0, self.name.len],
            self.name.as_bytes(),
        ]);
        KeyedHash::new(self.suite, sik.as_bytes())
    }

    /// The integrity check value of RAKP 4, and the keys of the session.
    pub(crate) fn establish(&self, key: &[u8]) -> (Code, SessionKeys) {
        let sik = self.sik(key);
        let check = sik
            .code(&[&self.console_random, &self.managed_session.to_le_bytes(), &self.guid])
            .cut(self.suite.code_size());
        (check, SessionKeys::derive(self.suite, &sik))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_16_bytes_at_most() {
        assert_eq!(UserName::new(b"0123456789abcdef").unwrap().as_bytes(), b"0123456789abcdef");
        assert_eq!(UserName::new(b"0123456789abcdefg"), None);
        assert_eq!(UserName::new(b"").unwrap().as_bytes(), b"");
    }
}
