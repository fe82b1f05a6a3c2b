//! Users of the settings among users that were changed over IPMI.
//!
//! A change over IPMI outlives a restart, although the settings still say what they said; a setting that is
//! changed wins. To tell the two apart, what was last applied is remembered: not the setting, but a digest of
//! it, which whoever makes it salts.
//!
//! ```text
//!                      as last applied ──▶ left as it is, whatever became of it
//!   user of settings ──┤
//!                      changed or new ───▶ the name's slot (else its former one, else a free one) is as configured
//!   no longer there ─────────────────────▶ its slot is freed, if it still has the name
//! ```
//!
//! A slot that was freed over IPMI is no user's of the settings any more: whoever is made there later stays.

use serde::{Deserialize, Serialize};

use super::{Password, UserAccess, UserError, UserId, Users};
use crate::Privilege;

/// A user as the settings have it.
#[derive(Clone, Debug)]
pub struct ConfiguredUser {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Password,
    /// The highest level of the user's sessions.
    pub limit: Privilege,
    /// Whether the user can log in.
    pub enabled: bool,
    /// A digest of all this that nobody can undo.
    pub digest: String,
}

/// What was last applied for a user of the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedUser {
    /// The slot; 0 after it was freed.
    id: u8,
    name: String,
    digest: String,
}

/// Notes that somebody freed this slot.
pub(crate) fn slot_freed(applied: &mut [AppliedUser], id: UserId) {
    for was in applied.iter_mut().filter(|was| was.id == id.number()) {
        was.id = 0;
    }
}

/// Brings the table in line with the settings, as far as they changed. Returns what is applied now, and the
/// names for which there was no slot.
pub(crate) fn apply_configured(
    users: &mut Users,
    wanted: &[ConfiguredUser],
    applied: Vec<AppliedUser>,
) -> (Vec<AppliedUser>, Vec<String>) {
    let (kept, gone): (Vec<_>, Vec<_>) =
        applied.into_iter().partition(|was| wanted.iter().any(|user| user.name == was.name));
    for was in gone {
        if let Some(id) = UserId::new(was.id).filter(|id| users.user(*id).name() == was.name) {
            // Freeing a slot that has a name can't fail.
            let _ = users.set_name(id, "");
        }
    }
    let (mut now, mut without_slot) = (Vec::new(), Vec::new());
    for user in wanted {
        let was = kept.iter().find(|was| was.name == user.name);
        if let Some(was) = was.filter(|was| was.digest == user.digest) {
            now.push(was.clone());
            continue;
        }
        match put(users, user, was.and_then(|was| UserId::new(was.id))) {
            Ok(id) => now.push(AppliedUser {
                id: id.number(),
                name: user.name.clone(),
                digest: user.digest.clone(),
            }),
            Err(_) => without_slot.push(user.name.clone()),
        }
    }
    (now, without_slot)
}

fn put(users: &mut Users, wanted: &ConfiguredUser, former: Option<UserId>) -> Result<UserId, UserError> {
    let free = |id: &UserId| users.user(*id).name().is_empty();
    let id = users
        .find(&wanted.name)
        .or(former)
        .or_else(|| UserId::all().skip(1).find(free))
        .ok_or(UserError::TableFull)?;
    users.set_name(id, &wanted.name)?;
    users.set_password(id, wanted.password.clone())?;
    users.set_sol_access(id, true)?;
    users.set_enabled(id, wanted.enabled)?;
    let user = users.slot(id)?;
    user.access = UserAccess { limit: Some(wanted.limit), messaging: true, ..UserAccess::default() };
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(name: &str, password: &str) -> ConfiguredUser {
        ConfiguredUser {
            name: name.into(),
            password: Password::new(password.as_bytes()).unwrap(),
            limit: Privilege::Administrator,
            enabled: true,
            digest: format!("digest of {password}"),
        }
    }

    fn has_password(users: &Users, name: &str, text: &str) -> bool {
        let id = users.find(name).unwrap();
        users.user(id).password() == Some(&Password::new(text.as_bytes()).unwrap())
    }

    #[test]
    fn a_change_over_ipmi_stays_and_a_changed_setting_wins() {
        let mut users = Users::default();
        let (applied, _) = apply_configured(&mut users, &[configured("admin", "first")], Vec::new());
        let id = users.find("admin").unwrap();
        assert_eq!(id.number(), 2);
        users.set_password(id, Password::new(b"changed").unwrap()).unwrap();
        users.set_enabled(id, false).unwrap();

        let (applied, _) = apply_configured(&mut users, &[configured("admin", "first")], applied);
        assert!(has_password(&users, "admin", "changed") && !users.user(id).enabled());

        let (_, _) = apply_configured(&mut users, &[configured("admin", "second")], applied);
        assert!(has_password(&users, "admin", "second") && users.user(id).enabled());
        assert_eq!(users.find("admin"), Some(id));
    }

    #[test]
    fn a_setting_that_is_renamed_takes_the_place_and_the_old_name_is_gone() {
        let mut users = Users::default();
        let (applied, _) = apply_configured(&mut users, &[configured("admin", "x")], Vec::new());
        users.set_name(UserId::new(3).unwrap(), "bob").unwrap();
        apply_configured(&mut users, &[configured("root", "x")], applied);
        assert_eq!(users.find("root").map(UserId::number), Some(2));
        assert_eq!(users.find("admin"), None);
        assert!(users.find("bob").is_some(), "who was made over IPMI stays");
    }

    #[test]
    fn a_user_who_was_renamed_over_ipmi_keeps_the_new_name() {
        let mut users = Users::default();
        let (applied, _) = apply_configured(&mut users, &[configured("admin", "x")], Vec::new());
        users.set_name(UserId::new(2).unwrap(), "chief").unwrap();
        let (applied, _) = apply_configured(&mut users, &[configured("admin", "x")], applied);
        assert_eq!(users.find("chief").map(UserId::number), Some(2));
        apply_configured(&mut users, &[configured("admin", "new")], applied);
        assert_eq!((users.find("admin").map(UserId::number), users.find("chief")), (Some(2), None));
    }

    #[test]
    fn who_was_made_in_a_slot_that_was_freed_stays() {
        let mut users = Users::default();
        let (mut applied, _) = apply_configured(&mut users, &[configured("admin", "x")], Vec::new());
        let id = UserId::new(2).unwrap();
        users.set_name(id, "").unwrap();
        slot_freed(&mut applied, id);
        users.set_name(id, "carol").unwrap();
        let (applied, _) = apply_configured(&mut users, &[configured("admin", "new")], applied);
        assert_eq!(users.find("carol"), Some(id));
        assert_eq!(users.find("admin").map(UserId::number), Some(3));
        apply_configured(&mut users, &[], applied);
        assert_eq!((users.find("carol"), users.find("admin")), (Some(id), None));
    }

    #[test]
    fn who_has_no_slot_is_named() {
        let mut users = Users::default();
        for id in UserId::all().skip(1) {
            users.set_name(id, &format!("user{id}")).unwrap();
        }
        let (applied, without_slot) = apply_configured(&mut users, &[configured("admin", "x")], Vec::new());
        assert_eq!((applied, without_slot), (Vec::new(), vec!["admin".to_owned()]));
    }
}
