//! Privilege levels (IPMI 2.0 §6.8): what a session, a user, a channel and a cipher suite are limited to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A privilege level. Ordered: a higher one may do all that a lower one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Privilege {
    /// May start a callback; nothing here uses it.
    Callback = 1,
    /// May read.
    User = 2,
    /// May also control power and boot.
    Operator = 3,
    /// May also configure.
    Administrator = 4,
    /// Reserved for the manufacturer.
    Oem = 5,
}

impl Privilege {
    /// The level with this number (1 to 5).
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Callback,
            2 => Self::User,
            3 => Self::Operator,
            4 => Self::Administrator,
            5 => Self::Oem,
            _ => return None,
        })
    }
}

impl fmt::Display for Privilege {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Callback => "CALLBACK",
            Self::User => "USER",
            Self::Operator => "OPERATOR",
            Self::Administrator => "ADMINISTRATOR",
            Self::Oem => "OEM",
        })
    }
}
