//! What the LAN channel accepts.

use crate::Secret;

/// K_G, the key of a two-key login (IPMI 2.0 §13.33): 20 bytes, padded with zeros.
pub type KgKey = Secret<[u8; 20]>;

/// Settings of channel 1, the LAN channel.
#[derive(Clone, Debug)]
pub struct Lan {
    /// Cipher suite ids that a session may use and that are advertised, strongest last asked first.
    pub cipher_suites: Vec<u8>,
    /// K_G, if two-key logins are used; without it a user's own key takes its place.
    pub kg: Option<KgKey>,
    /// Whether IPMI 1.5 sessions (MD5) are accepted.
    pub v15: bool,
    /// The highest privilege level that a session on this channel can have.
    pub max_privilege: crate::Privilege,
}

impl Default for Lan {
    fn default() -> Self {
        Self {
            cipher_suites: vec![17, 3],
            kg: None,
            v15: false,
            max_privilege: crate::Privilege::Administrator,
        }
    }
}
