//! What a user may do on the LAN channel (IPMI 2.0 §22.26, Set User Access).
//!
//! | what | what follows from it |
//! |---|---|
//! | privilege limit | the highest level of the user's sessions, open ones included; "no access" ends them |
//! | IPMI messaging | without it the user can't log in, and sessions that are open end |
//! | restricted to callback | the limit is CALLBACK, for there are no callback connections on a LAN |
//! | link authentication | kept and reported; a LAN channel has no link that would ask for it |
//! | session limit | how many sessions the user can have at a time |

use serde::{Deserialize, Serialize};

use crate::Privilege;

/// The access of one user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserAccess {
    /// The privilege limit as it was set; `None` is "no access".
    pub limit: Option<Privilege>,
    /// Whether the user may log in.
    pub messaging: bool,
    /// Whether the user's name and password serve for link authentication.
    pub link_authentication: bool,
    /// Whether the limit counts on callback connections only.
    pub callback_only: bool,
    /// The most sessions at a time; 0 is as many as there are.
    pub session_limit: u8,
}

impl UserAccess {
    /// What counts for a session: `None` is that there can be none.
    pub fn effective_limit(&self) -> Option<Privilege> {
        let limit = self.limit.filter(|_| self.messaging)?;
        Some(if self.callback_only { Privilege::Callback } else { limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_with_messaging_and_without_the_callback_restriction() {
        let access =
            UserAccess { limit: Some(Privilege::Operator), messaging: true, ..UserAccess::default() };
        assert_eq!(access.effective_limit(), Some(Privilege::Operator));
        assert_eq!(UserAccess { messaging: false, ..access }.effective_limit(), None);
        assert_eq!(UserAccess { limit: None, ..access }.effective_limit(), None);
        let callback = UserAccess { callback_only: true, ..access };
        assert_eq!(callback.effective_limit(), Some(Privilege::Callback));
    }
}
