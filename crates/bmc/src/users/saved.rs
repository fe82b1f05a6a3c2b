//! The form in which users outlive a restart.

use serde::{Deserialize, Serialize};

use super::{Password, User, UserAccess, UserId, Users};

/// One user who is not as a free slot is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedUser {
    id: u8,
    name: String,
    #[serde(default)]
    password: Option<Password>,
    #[serde(default)]
    enabled: bool,
    #[serde(default)]
    access: UserAccess,
    #[serde(default)]
    sol_access: bool,
}

impl Users {
    pub(crate) fn to_saved(&self) -> Vec<SavedUser> {
        let used = UserId::all().skip(1).map(|id| (id, self.user(id))).filter(|(_, user)| !user.is_free());
        used.map(|(id, user)| SavedUser {
            id: id.number(),
            name: user.name.clone(),
            password: user.password.clone(),
            enabled: user.enabled,
            access: user.access,
            sol_access: user.sol_access,
        })
        .collect()
    }

    /// Takes up what was saved. A slot that does not exist, or a name that can't be, is passed over.
    pub(crate) fn restore(&mut self, saved: Vec<SavedUser>) {
        for saved in saved {
            let Some(id) = UserId::new(saved.id) else { continue };
            if self.set_name(id, &saved.name).is_err() {
                continue;
            }
            let Ok(user) = self.slot(id) else { continue };
            user.password = saved.password;
            user.enabled = saved.enabled;
            user.access = saved.access;
            user.sol_access = saved.sol_access;
        }
    }
}

impl User {
    fn is_free(&self) -> bool {
        self.name.is_empty()
            && self.password.is_none()
            && !self.enabled
            && self.access == UserAccess::default()
            && !self.sol_access
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Privilege;

    #[test]
    fn users_come_back_from_a_file_as_they_were() {
        let mut users = Users::default();
        let admin = users
            .add("admin", Password::new(b"a long password x20").unwrap(), Privilege::Administrator)
            .unwrap();
        let id = UserId::new(16).unwrap();
        users.set_name(id, "bob").unwrap();
        users.set_limit(id, Some(Privilege::Operator)).unwrap();

        let file = serde_json::to_string(&users.to_saved()).unwrap();
        let mut again = Users::default();
        again.restore(serde_json::from_str(&file).unwrap());
        assert_eq!(again.user(admin).password(), users.user(admin).password());
        assert!(again.user(admin).enabled() && again.user(admin).sol_access());
        assert_eq!(again.user(id).name(), "bob");
        assert_eq!(again.user(id).access(), users.user(id).access());
        assert_eq!(again.to_saved(), users.to_saved());
    }

    #[test]
    fn a_slot_without_a_name_keeps_what_was_set_before_the_name() {
        let mut users = Users::default();
        let id = UserId::new(7).unwrap();
        users.set_password(id, Password::new(b"first the password").unwrap()).unwrap();
        let mut again = Users::default();
        again.restore(users.to_saved());
        assert!(again.user(id).password().is_some());
    }

    #[test]
    fn what_cannot_be_is_passed_over() {
        let mut users = Users::default();
        users.restore(
            serde_json::from_str(
                r#"[{"id": 1, "name": "root", "enabled": true}, {"id": 40, "name": "x"}, {"id": 3, "name": "ok"}]"#,
            )
            .unwrap(),
        );
        assert_eq!(users.find("ok").map(UserId::number), Some(3));
        assert!(!users.user(UserId::NULL).enabled());
        assert_eq!(users.to_saved().len(), 1);
    }
}
