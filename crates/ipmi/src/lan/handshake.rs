//! Opening an RMCP+ session (IPMI 2.0 §13.15 to §13.24). The states are types, so that no message can
//! be answered in a state in which it means nothing:
//!
//! ```text
//!   Open Session Request          RAKP 1                    RAKP 3
//!   ────────────────────▶ Opened ────────────▶ Challenged ────────────▶ Established
//!          │ Status          │ Refusal              │ Refusal
//!          ▼                 ▼                      ▼
//!        refused           refused                refused
//! ```
//!
//! Why was my login refused?
//!
//! | message | status | because |
//! |---|---|---|
//! | Open Session | 04h, 05h, 10h, 11h | no enabled cipher suite has the proposed algorithms |
//! | Open Session | 09h, 0Ah | no such privilege level; above the channel's or the cipher suite's limit |
//! | Open Session | 12h | the three algorithm blocks are not what they should be |
//! | RAKP 1 | 09h, 0Ah | no such privilege level; above the user's or the channel's limit |
//! | RAKP 1 | 0Ch, 0Dh | the name is too long; nobody enabled has it |
//! | RAKP 3 | 0Fh | the password is wrong |
//! | Open Session | 01h | the channel is disabled, or open before the machine boots only |
//! | RAKP 3 | 01h | the user has as many sessions as the user may have |
//! | all | 01h | too many logins of this peer failed (see `throttle`), or all session slots are taken |
//! | RAKP 1, 3 | 02h | the handshake took more than 10 s, or another pushed it out (see `pending`) |
//!
//! An unknown name, a disabled user and one without a password or without access are told apart in no
//! answer. The names that are served *can* be found out: the protocol gives a known one a RAKP 2 with a
//! code, and the specification wants 0Dh for the others.

use bmc::{Bmc, Lan, Privilege, User, UserId, UserVersion};

use crate::{
    crypto::{
        Code, SessionKeys, Suite,
        rakp::{Exchange, UserName},
    },
    wire::{
        open_session,
        rakp::{Rakp1, Rakp2, Rakp3, Status},
    },
};

/// Why a handshake ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What the remote console is told.
    pub(super) status: Status,
    /// Set if somebody may be guessing names or passwords: what the event log is told.
    pub(super) failed_login: Option<&'static str>,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self { status, failed_login: None }
    }
}

/// After Open Session: the algorithms are agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) console_session: u32,
    pub(super) managed_session: u32,
    suite: Suite,
    max: Privilege,
}

/// After RAKP 1: the user is known, and has to prove to be the one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Challenged {
    pub(super) user: UserId,
    version: UserVersion,
    max: Privilege,
    exchange: Exchange,
}

/// After RAKP 3: both ends know the session's keys.
pub(super) struct Established {
    pub(super) user: UserId,
    pub(super) version: UserVersion,
    pub(super) max: Privilege,
    pub(super) console_session: u32,
    pub(super) keys: SessionKeys,
    /// The code of RAKP 3.
    pub(super) proof: Code,
    /// Integrity check value of RAKP 4.
    pub(super) check: Code,
}

impl Opened {
    /// Agrees on algorithms, under the id that the BMC gives to the session.
    pub(super) fn new(
        request: &open_session::Request,
        managed_session: u32,
        lan: &Lan,
    ) -> Result<Self, Status> {
        let mut suites = lan.cipher_suites.clone();
        suites.retain(|suite| lan.suite_limit(*suite).is_some());
        let suite = Suite::choose(&request.proposal?, &suites)?;
        let limit = lan.suite_limit(suite.id()).ok_or(Status::NO_SUITE_MATCH)?;
        let max = match request.privilege {
            0 => limit,
            number => privilege(number, limit)?,
        };
        Ok(Self { console_session: request.console_session, managed_session, suite, max })
    }

    pub(super) fn response(&self, tag: u8) -> open_session::Response {
        open_session::Response {
            tag,
            privilege: self.max as u8,
            console_session: self.console_session,
            managed_session: self.managed_session,
            chosen: self.suite.algorithms(),
        }
    }

    /// Finds the user.
    pub(super) fn challenge(
        &self,
        message: &Rakp1<'_>,
        managed_random: [u8; 16],
        bmc: &Bmc,
    ) -> Result<Challenged, Refusal> {
        let name = UserName::new(message.name).ok_or(Status::INVALID_NAME_LENGTH)?;
        let requested = privilege(message.role.privilege(), self.max)?;
        let (id, limit) = bmc
            .users
            .find_enabled(name.as_bytes())
            .filter(|id| bmc.users.user(*id).password().is_some())
            .and_then(|id| Some((id, bmc.users.user(id).limit()?)))
            .ok_or(Refusal {
                status: Status::UNAUTHORIZED_NAME,
                failed_login: Some("there is no such user, or it may not log in"),
            })?;
        if requested > limit {
            return Err(Status::UNAUTHORIZED_ROLE.into());
        }
        Ok(Challenged {
            user: id,
            version: bmc.users.version(id),
            max: requested,
            exchange: Exchange {
                suite: self.suite,
                console_session: self.console_session,
                managed_session: self.managed_session,
                console_random: message.console_random,
                managed_random,
                guid: guid(bmc),
                role: message.role,
                name,
            },
        })
    }
}

impl Challenged {
    /// Whether a RAKP 1 is the one that led here: its answer was lost, and is to be given again.
    pub(super) fn was_led_to_by(&self, message: &Rakp1<'_>) -> bool {
        self.exchange.console_random == message.console_random
            && self.exchange.role == message.role
            && self.exchange.name.as_bytes() == message.name
    }

    pub(super) fn console_session(&self) -> u32 {
        self.exchange.console_session
    }

    pub(super) fn name(&self) -> UserName {
        self.exchange.name
    }

    /// Appends RAKP 2.
    pub(super) fn emit_rakp2(&self, tag: u8, bmc: &Bmc, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let code = self.exchange.rakp2_code(self.user_key(bmc)?);
        let Exchange { console_session, managed_random, guid, .. } = self.exchange;
        Rakp2 { tag, console_session, managed_random, guid, code: code.as_bytes() }.emit(out);
        Ok(())
    }

    /// Checks the proof.
    pub(super) fn establish(&self, message: &Rakp3<'_>, bmc: &Bmc) -> Result<Established, Refusal> {
        let user_key = self.user_key(bmc)?;
        let proof = self.exchange.rakp3_code(user_key);
        if !proof.matches(message.code) {
            return Err(Refusal {
                status: Status::INVALID_INTEGRITY_CHECK,
                failed_login: Some("wrong password"),
            });
        }
        let key = bmc.lan.kg.as_ref().map_or(user_key, bmc::Secret::expose);
        let (check, keys) = self.exchange.establish(key);
        Ok(Established {
            user: self.user,
            version: self.version,
            max: self.max,
            console_session: self.exchange.console_session,
            keys,
            proof,
            check,
        })
    }

    /// K_UID, if the user is still who was challenged.
    fn user_key<'b>(&self, bmc: &'b Bmc) -> Result<&'b [u8; 20], Refusal> {
        let user: &User = bmc.users.user(self.user);
        user.password()
            .filter(|_| user.enabled() && bmc.users.version(self.user) == self.version)
            .map(bmc::Password::key)
            .ok_or_else(|| Status::UNAUTHORIZED_NAME.into())
    }
}

/// A requested level that is a level, and not above a limit.
fn privilege(number: u8, limit: Privilege) -> Result<Privilege, Status> {
    let level = Privilege::from_number(number).ok_or(Status::INVALID_ROLE)?;
    if level > limit { Err(Status::UNAUTHORIZED_ROLE) } else { Ok(level) }
}

/// GUID_C, in the order in which Get System GUID has it (§22.14).
fn guid(bmc: &Bmc) -> [u8; 16] {
    let [a0, a1, a2, a3, b0, b1, c0, c1, rest @ ..] = bmc.identity.uuid;
    let [d0, d1, d2, d3, d4, d5, d6, d7] = rest;
    [a3, a2, a1, a0, b1, b0, c1, c0, d0, d1, d2, d3, d4, d5, d6, d7]
}

#[cfg(test)]
mod tests {
    use bmc::{Identity, Password, Users};

    use super::*;
    use crate::wire::{
        open_session::{Algorithms, Proposal},
        rakp::Role,
    };

    const SUITE_17: Proposal =
        Algorithms { authentication: Some(3), integrity: Some(4), confidentiality: Some(1) };

    fn bmc() -> Bmc {
        let mut users = Users::default();
        users.add("admin", Password::new(b"password").unwrap(), Privilege::Administrator).unwrap();
        users.add("reader", Password::new(b"secret").unwrap(), Privilege::User).unwrap();
        Bmc::new(Identity::derive("node1"), users, Lan::default())
    }

    fn open(privilege: u8) -> open_session::Request {
        open_session::Request { tag: 1, privilege, console_session: 0xa0a2_a3a4, proposal: Ok(SUITE_17) }
    }

    fn rakp1(role: u8, name: &'static [u8]) -> Rakp1<'static> {
        Rakp1 { tag: 2, managed_session: 7, console_random: [1; 16], role: Role(role), name }
    }

    fn refused(role: u8, name: &'static [u8], bmc: &Bmc) -> (u8, bool) {
        let opened = Opened::new(&open(0), 7, &bmc.lan).unwrap();
        let refusal = opened.challenge(&rakp1(role, name), [2; 16], bmc).unwrap_err();
        (refusal.status.0, refusal.failed_login.is_some())
    }

    #[test]
    fn privilege_0_means_the_highest_that_fits_and_the_answer_says_which() {
        let mut bmc = bmc();
        assert_eq!(Opened::new(&open(0), 7, &bmc.lan).unwrap().response(1).privilege, 4);
        assert_eq!(Opened::new(&open(3), 7, &bmc.lan).unwrap().response(1).privilege, 3);
        bmc.lan.access.volatile.limit = Privilege::Operator;
        assert_eq!(Opened::new(&open(0), 7, &bmc.lan).unwrap().response(1).privilege, 3);
        assert_eq!(Opened::new(&open(4), 7, &bmc.lan).unwrap_err(), Status::UNAUTHORIZED_ROLE);
        assert_eq!(Opened::new(&open(6), 7, &bmc.lan).unwrap_err(), Status::INVALID_ROLE);
    }

    #[test]
    fn unknown_disabled_empty_and_passwordless_users_look_the_same() {
        let mut bmc = bmc();
        let reader = bmc.users.find_enabled(b"reader").unwrap();
        bmc.users.set_enabled(reader, false).unwrap();
        let bare = UserId::new(9).unwrap();
        bmc.users.set_name(bare, "bare").unwrap();
        bmc.users.set_limit(bare, Some(Privilege::User)).unwrap();
        bmc.users.set_enabled(bare, true).unwrap();
        for name in [&b"nobody"[..], b"reader", b"", b"bare", b"admin\0"] {
            assert_eq!(refused(0x12, name, &bmc), (0x0d, true), "{name:?}");
        }
    }

    #[test]
    fn a_role_that_is_none_and_one_that_is_too_high() {
        let bmc = bmc();
        assert_eq!(refused(0x10, b"admin", &bmc), (0x09, false));
        assert_eq!(refused(0x06, b"admin", &bmc), (0x09, false));
        assert_eq!(refused(0x05, b"admin", &bmc), (0x0a, false));
        assert_eq!(refused(0x14, b"reader", &bmc), (0x0a, false));
        assert_eq!(refused(0x14, b"a name of 17 byte", &bmc), (0x0c, false));
    }

    #[test]
    fn both_kinds_of_look_up_find_the_user() {
        let bmc = bmc();
        let opened = Opened::new(&open(4), 7, &bmc.lan).unwrap();
        for role in [0x14, 0x04] {
            let challenged = opened.challenge(&rakp1(role, b"admin"), [2; 16], &bmc).unwrap();
            assert_eq!(challenged.max, Privilege::Administrator);
        }
    }

    #[test]
    fn a_password_that_changes_during_the_handshake_ends_it() {
        let mut bmc = bmc();
        let opened = Opened::new(&open(0), 7, &bmc.lan).unwrap();
        let challenged = opened.challenge(&rakp1(0x14, b"admin"), [2; 16], &bmc).unwrap();
        let code = challenged.exchange.rakp3_code(Password::new(b"password").unwrap().key());
        let rakp3 = Rakp3 { tag: 3, status: Status::OK, managed_session: 7, code: code.as_bytes() };
        assert!(challenged.establish(&rakp3, &bmc).is_ok());
        bmc.users.set_password(challenged.user, Password::new(b"password").unwrap()).unwrap();
        let refusal = challenged.establish(&rakp3, &bmc).err().unwrap();
        assert_eq!(refusal.status, Status::UNAUTHORIZED_NAME);
    }

    #[test]
    fn a_wrong_password_is_a_failed_login() {
        let bmc = bmc();
        let opened = Opened::new(&open(0), 7, &bmc.lan).unwrap();
        let challenged = opened.challenge(&rakp1(0x14, b"admin"), [2; 16], &bmc).unwrap();
        let right = challenged.exchange.rakp3_code(Password::new(b"password").unwrap().key());
        let wrong = challenged.exchange.rakp3_code(Password::new(b"passwore").unwrap().key());
        for code in [wrong.as_bytes(), &[], &right.as_bytes()[..31]] {
            let rakp3 = Rakp3 { tag: 3, status: Status::OK, managed_session: 7, code };
            let refusal = challenged.establish(&rakp3, &bmc).err().unwrap();
            assert_eq!(refusal.status, Status::INVALID_INTEGRITY_CHECK);
            assert_eq!(refusal.failed_login, Some("wrong password"));
        }
    }
}
