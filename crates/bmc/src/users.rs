//! The user table (IPMI 2.0 §6.9): 16 slots, of which the first is the null user, for ever disabled here.

use std::fmt;

use crate::Secret;

/// The longest password, in bytes: what an IPMI 2.0 session can use.
pub const PASSWORD_MAX: usize = 20;
const NAME_MAX: usize = 16;
const SLOTS: u8 = 16;

/// A privilege level (§6.8). Ordered: a higher one may do all that a lower one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// Whether a password was stored in 16 or 20 bytes; a 20-byte one can't be used in IPMI 1.5 (§22.30).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordSize {
    /// 16 bytes.
    Sixteen,
    /// 20 bytes.
    Twenty,
}

/// A password: 0 to 20 bytes, padded with zeros to the size that protocols work with.
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
        if text.is_empty() {
            return Err(UserError::EmptyPassword);
        }
        let mut padded = [0; PASSWORD_MAX];
        padded.get_mut(..text.len()).ok_or(UserError::PasswordTooLong)?.copy_from_slice(text);
        let size = if text.len() > 16 { PasswordSize::Twenty } else { PasswordSize::Sixteen };
        Ok(Self { padded: Secret::new(padded), size })
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

/// What changes whenever a session of the user must not go on: a new password, another name, a disabled slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserVersion(u64);

/// One user.
#[derive(Clone, Debug)]
pub struct User {
    name: String,
    password: Option<Password>,
    enabled: bool,
    limit: Option<Privilege>,
    /// Whether the user may activate SOL (payload type 1, §24.8).
    pub sol_access: bool,
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

    /// The highest level a session of this user can have; `None` is "no access".
    pub fn limit(&self) -> Option<Privilege> {
        self.limit
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
}

/// The table of users.
#[derive(Clone, Debug)]
pub struct Users {
    slots: [User; SLOTS as usize],
}

impl Default for Users {
    fn default() -> Self {
        Self {
            slots: std::array::from_fn(|_| User {
                name: String::new(),
                password: None,
                enabled: false,
                limit: None,
                sol_access: false,
                version: 0,
            }),
        }
    }
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

    /// Names a slot. The empty name frees it, which disables its user and forgets the password.
    ///
    /// # Errors
    /// [`UserError::NullUser`], [`UserError::BadName`], [`UserError::DuplicateName`].
    pub fn set_name(&mut self, id: UserId, name: &str) -> Result<(), UserError> {
        if name.len() > NAME_MAX || !name.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Err(UserError::BadName);
        }
        if !name.is_empty() && UserId::all().any(|other| other != id && self.user(other).name == name) {
            return Err(UserError::DuplicateName);
        }
        let user = self.slot(id)?;
        if user.name != name {
            name.clone_into(&mut user.name);
            user.version += 1;
            if name.is_empty() {
                user.enabled = false;
                user.password = None;
                user.limit = None;
            }
        }
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
        self.slot(id)?.limit = limit;
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
    /// As [`Users::set_name`]; [`UserError::NullUser`] if all slots are taken.
    pub fn add(&mut self, name: &str, password: Password, limit: Privilege) -> Result<UserId, UserError> {
        if name.is_empty() {
            return Err(UserError::BadName);
        }
        let id =
            UserId::all().skip(1).find(|id| self.user(*id).name.is_empty()).ok_or(UserError::NullUser)?;
        self.set_name(id, name)?;
        self.set_password(id, password)?;
        self.set_limit(id, Some(limit))?;
        self.set_sol_access(id, true)?;
        self.set_enabled(id, true)?;
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> (Users, UserId) {
        let mut users = Users::default();
        let id = users.add("admin", Password::new(b"password").unwrap(), Privilege::Administrator).unwrap();
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
        assert_eq!(Password::new(b""), Err(UserError::EmptyPassword));
    }

    #[test]
    fn a_new_password_and_a_disabled_slot_end_sessions_and_a_limit_does_not() {
        let (mut users, id) = users();
        let before = users.version(id);
        users.set_limit(id, Some(Privilege::User)).unwrap();
        assert_eq!(users.version(id), before);
        users.set_password(id, Password::new(b"other").unwrap()).unwrap();
        let after = users.version(id);
        assert_ne!(after, before);
        users.set_enabled(id, false).unwrap();
        assert_ne!(users.version(id), after);
    }

    #[test]
    fn twenty_bytes_fit_and_twenty_one_do_not() {
        assert_eq!(Password::new(&[b'x'; 20]).unwrap().size(), PasswordSize::Twenty);
        assert_eq!(Password::new(&[b'x'; 21]), Err(UserError::PasswordTooLong));
    }
}
