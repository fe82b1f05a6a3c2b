//! The settings that IPMI can change too, with the digests by which the model tells whether they have changed
//! since they were last applied.
//!
//! The digests stand in the file that has the passwords themselves, because the protocol needs those. So what
//! a digest has to keep is a password that was configured once and is not in force any more: it is salted and
//! takes a while.

use anyhow::Context as _;
use bmc::{Bmc, Configured, ConfiguredUser, KgKey, SettingsSalt};
use sha2::{Digest as _, Sha256};

use crate::config::UserPlan;

/// A guess takes this many hashes.
const ROUNDS: u32 = 20_000;

/// Brings the model in line with the settings, as far as those have changed.
pub(crate) fn apply(bmc: &mut Bmc, users: &[UserPlan], kg: Option<&KgKey>) -> anyhow::Result<()> {
    let salt = match bmc.settings_salt() {
        Some(salt) => salt,
        None => fresh_salt().context("draw a random salt for digests of settings")?,
    };
    bmc.configure(&Configured {
        salt,
        users: users.iter().map(|user| configured(user, &salt)).collect(),
        kg: (kg.cloned(), digest(&salt, kg.map_or(&[], |key| key.expose().as_slice()))),
    });
    Ok(())
}

fn configured(user: &UserPlan, salt: &SettingsSalt) -> ConfiguredUser {
    let UserPlan { name, password, privilege, enabled } = user;
    let mut said = [0; 22];
    let (secret, rest) = said.split_at_mut(20);
    secret.copy_from_slice(password.key());
    rest.copy_from_slice(&[*privilege as u8, u8::from(*enabled)]);
    let digest = digest(salt, &said);
    zeroize::Zeroize::zeroize(&mut said);
    ConfiguredUser {
        name: name.clone(),
        password: password.clone(),
        limit: *privilege,
        enabled: *enabled,
        digest,
    }
}

fn digest(salt: &SettingsSalt, said: &[u8]) -> String {
    let mut digest = Sha256::new_with_prefix(salt).chain_update(said).finalize();
    for _ in 1..ROUNDS {
        digest = Sha256::new_with_prefix(salt).chain_update(digest).finalize();
    }
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn fresh_salt() -> Result<SettingsSalt, getrandom::Error> {
    let mut salt = SettingsSalt::default();
    getrandom::fill(&mut salt)?;
    Ok(salt)
}

#[cfg(test)]
mod tests {
    use bmc::{Identity, Lan, Password, Privilege, Users};

    use super::*;

    fn admin(password: &str) -> [UserPlan; 1] {
        let password = Password::new(password.as_bytes()).unwrap();
        [UserPlan { name: "admin".into(), password, privilege: Privilege::Administrator, enabled: true }]
    }

    #[test]
    fn the_same_setting_is_applied_once() {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        let has = |bmc: &Bmc, text: &str| {
            let id = bmc.users.find("admin").unwrap();
            bmc.users.user(id).password() == Some(&Password::new(text.as_bytes()).unwrap())
        };
        apply(&mut bmc, &admin("first"), None).unwrap();
        assert!(has(&bmc, "first"));
        let id = bmc.users.find("admin").unwrap();
        bmc.users.set_password(id, Password::new(b"changed").unwrap()).unwrap();
        apply(&mut bmc, &admin("first"), None).unwrap();
        assert!(has(&bmc, "changed"));
        apply(&mut bmc, &admin("second"), None).unwrap();
        assert!(has(&bmc, "second"));
    }

    #[test]
    fn a_digest_depends_on_its_salt_and_shows_nothing() {
        let (one, two) = (digest(&[1; 16], b"secret"), digest(&[2; 16], b"secret"));
        assert_ne!(one, two);
        assert_eq!(one.len(), 64);
    }
}
