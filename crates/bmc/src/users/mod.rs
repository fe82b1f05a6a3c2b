//! The user table (IPMI 2.0 §6.9): 16 slots, of which the first is the null user, for ever disabled here.
//!
//! What changes a user so that an open session must not go on (a password, a name, a disabled slot) changes
//! the user's [`UserVersion`], which every session remembers. What only limits a session (a lower privilege
//! limit, no SOL) is looked up at every use.
//!
//! A change to what is there already is none, and succeeds for the null user as well: clients write back
//! what they have read.

mod access;
mod configured;
mod password;
mod saved;

use std::fmt;

pub use access::UserAccess;
pub use configured::ConfiguredUser;
pub(crate) use configured::{AppliedUser, apply_configured, slot_freed};
pub use password::{PASSWORD_MAX, Password, PasswordSize};
pub(crate) use saved::SavedUser;

use crate::{Bmc, Event, Privilege, Requester};

const NAME_MAX: usize = 16;
const SLOTS: u8 = 16;

/// The number of a slot of the user table, 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(u8);

impl UserId {
    /// The null user's slot.
    pub const NULL: Self = Self(1);

    /// The slot with this number, if there is one.
    pub fn new(number: u8) -> Option<Self> {
        (1..=SLOTS).contains(&number).then_some(Self(number))
    }

    /// Its number, 1 to 16.
    pub fn number(self) -> u8 {
        self.0
    }

    /// All slots, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (1..=SLOTS).map(Self)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What changes whenever a session of the user must not go on: a new password, another name, a disabled slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserVersion(u64);

/// One user.
#[derive(Clone, Debug, Default)]
pub struct User {
    name: String,
    password: Option<Password>,
    enabled: bool,
    access: UserAccess,
    sol_access: bool,
    version: u64,
}

impl User {
    /// The name; empty for a free slot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The password, if one was ever set.
    pub fn password(&self) -> Option<&Password> {
        self.password.as_ref()
    }

    /// Whether the user may log in.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// What the user may do on the LAN channel, as it was set.
    pub fn access(&self) -> UserAccess {
        self.access
    }

    /// The highest level a session of this user can have; `None` is "no access".
    pub fn limit(&self) -> Option<Privilege> {
        self.access.effective_limit()
    }

    /// Whether the user may activate SOL (payload type 1, §24.6).
    pub fn sol_access(&self) -> bool {
        self.sol_access
    }
}

/// A change to one user.
#[derive(Clone, Debug)]
pub enum UserChange {
    /// Another name; the empty one frees the slot.
    Name(String),
    /// Another password.
    Password(Password),
    /// The user may log in, or not.
    Enabled(bool),
    /// Other limits.
    Access(UserAccess),
    /// The user may activate SOL, or not.
    SolAccess(bool),
}

/// Which part of a user was changed, for a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserPart {
    /// Its name.
    Name,
    /// Its password.
    Password,
    /// It may log in from now on.
    Enabled,
    /// It may not.
    Disabled,
    /// Its limits.
    Access,
    /// Its access to payloads.
    Payloads,
}

impl UserChange {
    fn part(&self) -> UserPart {
        match self {
            Self::Name(_) => UserPart::Name,
            Self::Password(_) => UserPart::Password,
            Self::Enabled(true) => UserPart::Enabled,
            Self::Enabled(false) => UserPart::Disabled,
            Self::Access(_) => UserPart::Access,
            Self::SolAccess(_) => UserPart::Payloads,
        }
    }
}

impl fmt::Display for UserPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "given another name",
            Self::Password => "given another password",
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Access => "given other limits",
            Self::Payloads => "given other payloads",
        })
    }
}

/// What is wrong with a change to the user table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The first slot is the null user.
    #[error("user 1 is the null user and cannot be changed")]
    NullUser,
    /// Names have 1 to 16 bytes of printable ASCII.
    #[error("a user name has 1 to 16 printable ASCII characters")]
    BadName,
    /// Another slot has the name.
    #[error("another user has this name")]
    DuplicateName,
    /// More than 20 bytes.
    #[error("a password has at most 20 bytes")]
    PasswordTooLong,
    /// No password at all.
    #[error("a password must not be empty")]
    EmptyPassword,
    /// All slots are taken.
    #[error("all 15 users' slots are taken")]
    TableFull,
}

/// The table of users.
#[derive(Clone, Debug, Default)]
pub struct Users {
    slots: [User; SLOTS as usize],
}

impl Users {
    /// The user in a slot.
    pub fn user(&self, id: UserId) -> &User {
        let [first, ..] = &self.slots;
        self.slots.get(usize::from(id.0) - 1).unwrap_or(first)
    }

    fn slot(&mut self, id: UserId) -> Result<&mut User, UserError> {
        if id == UserId::NULL {
            return Err(UserError::NullUser);
        }
        self.slots.get_mut(usize::from(id.0) - 1).ok_or(UserError::NullUser)
    }

    /// The user of this name, enabled or not.
    pub fn find(&self, name: &str) -> Option<UserId> {
        UserId::all().find(|id| !name.is_empty() && self.user(*id).name == name)
    }

    /// The enabled user of this name. The empty name finds nobody: anonymous access does not exist here.
    pub fn find_enabled(&self, name: &[u8]) -> Option<UserId> {
        if name.is_empty() {
            return None;
        }
        UserId::all().find(|id| {
            let user = self.user(*id);
            user.enabled && user.name.as_bytes() == name
        })
    }

    /// The version to compare a session's with.
    pub fn version(&self, id: UserId) -> UserVersion {
        UserVersion(self.user(id).version)
    }

    /// How many users are enabled.
    pub fn enabled_count(&self) -> usize {
        self.slots.iter().filter(|user| user.enabled).count()
    }

    /// Changes a user. Returns whether anything was changed.
    ///
    /// # Errors
    /// [`UserError`]: nothing was.
    pub fn change(&mut self, id: UserId, change: UserChange) -> Result<bool, UserError> {
        let user = self.user(id);
        let same = match &change {
            UserChange::Name(name) => user.name == *name,
            UserChange::Password(_) => false,
            UserChange::Enabled(enabled) => user.enabled == *enabled,
            UserChange::Access(access) => user.access == *access,
            UserChange::SolAccess(allowed) => user.sol_access == *allowed,
        };
        if same {
            return Ok(false);
        }
        match change {
            UserChange::Name(name) => self.set_name(id, &name)?,
            UserChange::Password(password) => self.set_password(id, password)?,
            UserChange::Enabled(enabled) => self.set_enabled(id, enabled)?,
            UserChange::Access(access) => self.slot(id)?.access = access,
            UserChange::SolAccess(allowed) => self.set_sol_access(id, allowed)?,
        }
        Ok(true)
    }

    /// Names a slot. The empty name frees it: its user is disabled, and password and limits are forgotten.
    /// A user who is new has no privilege limit yet, that is, no access, and no SOL.
    ///
    /// # Errors
    /// [`UserError::NullUser`], [`UserError::BadName`], [`UserError::DuplicateName`].
    pub fn set_name(&mut self, id: UserId, name: &str) -> Result<(), UserError> {
        if name.len() > NAME_MAX || !name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(UserError::BadName);
        }
        if self.find(name).is_some_and(|other| other != id) {
            return Err(UserError::DuplicateName);
        }
        let user = self.slot(id)?;
        if user.name == name {
            return Ok(());
        }
        let version = user.version + 1;
        if name.is_empty() {
            *user = User { version, ..User::default() };
            return Ok(());
        }
        if user.name.is_empty() {
            user.access.messaging = true;
        }
        name.clone_into(&mut user.name);
        user.version = version;
        Ok(())
    }

    /// Gives the user a password; open sessions of the user end.
    ///
    /// # Errors
    /// [`UserError::NullUser`].
    pub fn set_password(&mut self, id: UserId, password: Password) -> Result<(), UserError> {
        let user = self.slot(id)?;
        user.password = Some(password);
        user.version += 1;
        Ok(())
    }

    /// Lets the user log in, or not; open sessions of a user who is disabled end.
    ///
    /// # Errors
    /// [`UserError::NullUser`].
    pub fn set_enabled(&mut self, id: UserId, enabled: bool) -> Result<(), UserError> {
        let user = self.slot(id)?;
        if user.enabled && !enabled {
            user.version += 1;
        }
        user.enabled = enabled;
        Ok(())
    }

    /// Limits the level of the user's sessions, open ones included.
    ///
    /// # Errors
    /// [`UserError::NullUser`].
    pub fn set_limit(&mut self, id: UserId, limit: Option<Privilege>) -> Result<(), UserError> {
        self.slot(id)?.access.limit = limit;
        Ok(())
    }

    /// Lets the user activate SOL, or not.
    ///
    /// # Errors
    /// [`UserError::NullUser`].
    pub fn set_sol_access(&mut self, id: UserId, allowed: bool) -> Result<(), UserError> {
        self.slot(id)?.sol_access = allowed;
        Ok(())
    }

    /// Adds an enabled user with SOL access, in the first free slot from 2.
    ///
    /// # Errors
    /// As [`Users::set_name`]; [`UserError::TableFull`].
    pub fn add(&mut self, name: &str, password: Password, limit: Privilege) -> Result<UserId, UserError> {
        if name.is_empty() {
            return Err(UserError::BadName);
        }
        let id =
            UserId::all().skip(1).find(|id| self.user(*id).name.is_empty()).ok_or(UserError::TableFull)?;
        self.set_name(id, name)?;
        self.set_password(id, password)?;
        self.set_limit(id, Some(limit))?;
        self.set_sol_access(id, true)?;
        self.set_enabled(id, true)?;
        Ok(id)
    }
}

impl Bmc {
    /// Changes a user, and remembers and records that.
    ///
    /// # Errors
    /// [`UserError`]: nothing was changed.
    pub fn change_user(&mut self, id: UserId, change: UserChange, by: Requester) -> Result<(), UserError> {
        let part = change.part();
        let former = self.users.user(id).name().to_owned();
        if self.users.change(id, change)? {
            self.touch();
            let name = self.users.user(id).name();
            if name.is_empty() && part == UserPart::Name {
                self.applied.slot_freed(id);
            }
            let name = if name.is_empty() { former } else { name.to_owned() };
            self.record(Event::UserChanged { user: id, name, part, by });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.as_bytes()).unwrap()
    }

    fn users() -> (Users, UserId) {
        let mut users = Users::default();
        let id = users.add("admin", password("password"), Privilege::Administrator).unwrap();
        (users, id)
    }

    #[test]
    fn the_first_user_has_slot_two() {
        let (users, id) = users();
        assert_eq!(id.number(), 2);
        assert_eq!(users.find_enabled(b"admin"), Some(id));
    }

    #[test]
    fn nobody_is_anonymous() {
        let (mut users, _) = users();
        assert_eq!(users.find_enabled(b""), None);
        assert_eq!(users.set_enabled(UserId::NULL, true), Err(UserError::NullUser));
    }

    #[test]
    fn the_null_user_can_be_written_back_and_not_changed() {
        let (mut users, _) = users();
        assert_eq!(users.change(UserId::NULL, UserChange::Name(String::new())).ok(), Some(false));
        assert_eq!(users.change(UserId::NULL, UserChange::Enabled(false)).ok(), Some(false));
        assert_eq!(users.change(UserId::NULL, UserChange::Access(UserAccess::default())).ok(), Some(false));
        for change in [
            UserChange::Name("root".into()),
            UserChange::Enabled(true),
            UserChange::Password(password("x")),
            UserChange::SolAccess(true),
        ] {
            assert!(users.change(UserId::NULL, change).is_err());
        }
    }

    #[test]
    fn a_new_password_and_a_disabled_slot_end_sessions_and_a_limit_does_not() {
        let (mut users, id) = users();
        let before = users.version(id);
        users.set_limit(id, Some(Privilege::User)).unwrap();
        assert_eq!(users.version(id), before);
        users.set_password(id, password("other")).unwrap();
        let after = users.version(id);
        assert_ne!(after, before);
        users.set_enabled(id, false).unwrap();
        assert_ne!(users.version(id), after);
    }

    #[test]
    fn a_new_user_may_log_in_as_soon_as_there_is_a_limit_and_has_no_sol() {
        let mut users = Users::default();
        let id = UserId::new(5).unwrap();
        users.change(id, UserChange::Name("bob".into())).unwrap();
        assert_eq!(users.user(id).limit(), None);
        users.set_limit(id, Some(Privilege::Operator)).unwrap();
        assert_eq!(users.user(id).limit(), Some(Privilege::Operator));
        assert!(!users.user(id).enabled() && !users.user(id).sol_access());
    }

    #[test]
    fn a_freed_slot_has_nothing_of_its_user_and_ends_its_sessions() {
        let (mut users, id) = users();
        let before = users.version(id);
        users.change(id, UserChange::Name(String::new())).unwrap();
        assert_ne!(users.version(id), before);
        let user = users.user(id);
        assert!(user.password().is_none() && !user.enabled() && !user.sol_access());
        assert_eq!(user.access(), UserAccess::default());
    }

    #[test]
    fn names_differ() {
        let (mut users, id) = users();
        let other = UserId::new(3).unwrap();
        assert_eq!(users.set_name(other, "admin"), Err(UserError::DuplicateName));
        assert_eq!(users.set_name(id, "admin"), Ok(()));
        for name in ["seventeen-letters", "a\tb", "Jos\u{e9}"] {
            assert_eq!(users.set_name(other, name), Err(UserError::BadName));
        }
    }
}
