//! The program's settings among what was changed over IPMI: whichever changed last is in force.
//!
//! What of the settings was last applied is remembered as digests, and applied again only where it has
//! changed since (see [`crate::ConfiguredUser`] for users). The model has no digest function: whoever has the
//! settings makes the digests, with the salt that is kept here.

use serde::{Deserialize, Serialize};

use crate::{
    Bmc, ConfiguredUser, Event, KgKey, UserId, hex,
    users::{AppliedUser, apply_configured, slot_freed},
};

/// A salt for digests of settings.
pub type SettingsSalt = [u8; 16];

/// What the settings say about things that IPMI can change.
#[derive(Clone, Debug)]
pub struct Configured {
    /// With what the digests were salted.
    pub salt: SettingsSalt,
    /// The users.
    pub users: Vec<ConfiguredUser>,
    /// K_G, if one is set, and in any case a digest of that.
    pub kg: (Option<KgKey>, String),
}

/// What was last applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Applied {
    #[serde(with = "hex::array")]
    salt: SettingsSalt,
    users: Vec<AppliedUser>,
    kg: String,
}

impl Applied {
    pub(crate) fn slot_freed(&mut self, id: UserId) {
        slot_freed(&mut self.users, id);
    }
}

impl Bmc {
    /// The salt with which digests are to be made so that they can be compared; `None` if there is nothing to
    /// compare them with, and any will do.
    pub fn settings_salt(&self) -> Option<SettingsSalt> {
        Some(self.applied.salt).filter(|salt| *salt != SettingsSalt::default())
    }

    /// Brings users and K_G in line with the settings, as far as those have changed.
    pub fn configure(&mut self, configured: &Configured) {
        let former = std::mem::take(&mut self.applied);
        let (users, without_slot) = apply_configured(&mut self.users, &configured.users, former.users);
        for name in without_slot {
            self.record(Event::UserWithoutSlot { name });
        }
        let (kg, digest) = &configured.kg;
        if former.kg != *digest {
            self.lan.kg.clone_from(kg);
            self.lan.kg_locked = false;
        }
        self.applied = Applied { salt: configured.salt, users, kg: digest.clone() };
        self.touch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Lan, Password, Privilege, Requester, Secret, UserChange, Users};

    #[test]
    fn who_was_made_over_ipmi_in_the_settings_users_former_slot_stays() {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        let admin = |digest: &str| ConfiguredUser {
            name: "admin".into(),
            password: Password::new(b"x").unwrap(),
            limit: Privilege::Administrator,
            enabled: true,
            digest: digest.into(),
        };
        bmc.configure(&Configured { users: vec![admin("1")], ..configured(None) });
        let id = bmc.users.find("admin").unwrap();
        for name in ["", "carol"] {
            bmc.change_user(id, UserChange::Name(name.into()), Requester::Button).unwrap();
        }
        bmc.configure(&Configured { users: vec![admin("2")], ..configured(None) });
        assert_eq!(bmc.users.find("carol"), Some(id));
        assert_eq!(bmc.users.find("admin").map(UserId::number), Some(3));
    }

    fn configured(kg: Option<u8>) -> Configured {
        let kg = (kg.map(|byte| Secret::new([byte; 20])), format!("digest of {kg:?}"));
        Configured { salt: [9; 16], users: Vec::new(), kg }
    }

    #[test]
    fn a_key_that_ipmi_changed_stays_until_the_setting_changes() {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        assert_eq!(bmc.settings_salt(), None);
        bmc.configure(&configured(Some(1)));
        assert_eq!(bmc.settings_salt(), Some([9; 16]));
        bmc.lan.kg = Some(Secret::new([2; 20]));
        bmc.configure(&configured(Some(1)));
        assert_eq!(bmc.lan.kg, Some(Secret::new([2; 20])));
        bmc.configure(&configured(None));
        assert_eq!(bmc.lan.kg, None);
    }
}
