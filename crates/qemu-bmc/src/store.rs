//! What outlives a restart, on disk.
//!
//! A change is in its file before the answer that acknowledges it leaves, so that no death of this process
//! undoes it; the fsync that makes it outlive the host's power follows at once, in the background, because a
//! disk's answer must not delay an IPMI reply.

mod sel;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use bmc::{Identity, Saved, Sel};
pub(crate) use sel::SelFile;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tracing::{error, warn};
use zeroize::Zeroizing;

use crate::{chain, config::IdentityPlan, os::atomic_file};

/// The files of one controller.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("bmc.json")
    }

    /// What was saved; nothing, if nothing was, or if it can't be read. A file that is damaged, or of a later
    /// program, is kept under another name, and what can be read of it is used.
    ///
    /// # Errors
    /// If there is something that can neither be read nor kept: what is saved next would overwrite it.
    pub(crate) fn load(&self) -> anyhow::Result<Option<Saved>> {
        let path = self.path();
        let text = match fs::read(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                error!("read {}: {error}; it is set aside and defaults are used", path.display());
                set_aside(&path)?;
                return Ok(None);
            }
        };
        let saved: Saved = match serde_json::from_slice(&text) {
            Ok(saved) => saved,
            Err(error) => {
                let Some((saved, left_out)) = legible(&text) else {
                    warn!("{} is damaged ({error}): it is set aside and defaults are used", path.display());
                    set_aside(&path)?;
                    return Ok(None);
                };
                for why in left_out {
                    warn!("{}: {why}; it is at its default, and the file is kept aside", path.display());
                }
                fs::copy(&path, aside(&path))
                    .with_context(|| format!("keep a copy of {}", path.display()))?;
                return Ok(Some(saved));
            }
        };
        if saved.version > Saved::VERSION {
            warn!(
                "{} has version {} and this program reads up to {}: what it knows of it is used, and the file is kept aside",
                self.path().display(),
                saved.version,
                Saved::VERSION,
            );
            if let Err(error) = fs::copy(self.path(), aside(&self.path())) {
                warn!("keep a copy of {}: {error}", self.path().display());
            }
        }
        Ok(Some(saved))
    }

    /// What was kept, for whoever only looks: nothing where it can't be read.
    pub(crate) fn look(&self) -> Saved {
        let text = fs::read(self.path()).map(Zeroizing::new);
        text.ok().and_then(|text| legible(&text)).map(|(saved, _)| saved).unwrap_or_default()
    }

    /// Puts the state into its file, whole or not at all, without waiting for the disk.
    ///
    /// # Errors
    /// A sentence that says what went wrong.
    pub(crate) fn put(&self, saved: &Saved) -> Result<(), String> {
        write(&self.path(), saved)
    }

    /// The event log as it was kept, read into an empty one, and its file.
    pub(crate) fn event_log(&self, empty: Sel) -> (SelFile, Sel) {
        SelFile::open(&self.dir, empty)
    }

    /// Forgets all that was set, while no controller runs.
    pub(crate) fn factory_reset(&self) -> anyhow::Result<()> {
        if let Some(saved) = self.load()? {
            write(&self.path(), &saved.factory()).map_err(anyhow::Error::msg).context("save the state")?;
            self.sync();
        }
        Ok(())
    }

    /// Waits until the disk has what was put and appended. Blocks.
    pub(crate) fn sync(&self) {
        for path in [self.path(), sel::path(&self.dir)] {
            if let Err(error) = atomic_file::sync(&path) {
                warn!("{}", chain(&error));
            }
        }
    }

    /// Who this machine is: as configured, else as it was the first time, else a function of its name.
    pub(crate) fn identity(&self, plan: &IdentityPlan) -> Identity {
        self.decide_identity(plan, self.kept_identity().as_ref())
    }

    /// As [`Store::identity`], and from now on the same.
    pub(crate) fn keep_identity(&self, plan: &IdentityPlan) -> Identity {
        let kept = self.kept_identity();
        let identity = self.decide_identity(plan, kept.as_ref());
        let keep =
            KeptIdentity { uuid: uuid::Uuid::from_bytes(identity.uuid), serial: identity.serial.clone() };
        if kept.as_ref() != Some(&keep)
            && let Err(error) = write(&self.identity_path(), &keep)
        {
            warn!("keep the machine's identity: {error}; it may be another one after the next start");
        }
        identity
    }

    fn identity_path(&self) -> PathBuf {
        self.dir.join("identity.json")
    }

    fn kept_identity(&self) -> Option<KeptIdentity> {
        read_or_set_aside(&self.identity_path())
    }

    fn decide_identity(&self, plan: &IdentityPlan, kept: Option<&KeptIdentity>) -> Identity {
        let derived = || {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip(Sha256::digest(["qemu-bmc node ", &plan.name].concat())) {
                *to = from;
            }
            // A UUID made from a name is of version 5, whose byte order every client can tell; RFC 9562 would
            // have 8 for this hash, which `ipmitool mc guid` does not know.
            uuid::Builder::from_sha1_bytes(bytes).into_uuid()
        };
        let uuid = plan.uuid.or(kept.map(|kept| kept.uuid)).unwrap_or_else(derived);
        let serial = plan.serial.clone().or(kept.map(|kept| kept.serial.clone())).unwrap_or_else(|| {
            let digits = uuid.simple().to_string().to_uppercase();
            format!("QB{}", digits.get(20..).unwrap_or_default())
        });
        Identity { uuid: *uuid.as_bytes(), serial, name: plan.name.clone(), labels: plan.labels.clone() }
    }
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct KeptIdentity {
    uuid: uuid::Uuid,
    serial: String,
}

/// Writes JSON into a file so that a reader finds the old or the new, whole. Does not wait for the disk.
pub(crate) fn write(path: &Path, value: &impl Serialize) -> Result<(), String> {
    // It may hold passwords.
    let mut json = Zeroizing::new(Vec::with_capacity(64 * 1024));
    serde_json::to_writer_pretty(&mut *json, value)
        .map_err(|error| format!("encode {}: {error}", path.display()))?;
    json.push(b'\n');
    atomic_file::replace(path, &json, 0o600).map_err(|error| chain(&error))
}

/// Reads JSON. A file that is not what it should be is kept under another name, and said.
pub(crate) fn read_or_set_aside<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = match fs::read(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            error!("read {}: {error}; it is set aside and defaults are used", path.display());
            keep_aside(path);
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(value) => Some(value),
        Err(error) => {
            warn!("{} is damaged ({error}): it is set aside and defaults are used", path.display());
            keep_aside(path);
            None
        }
    }
}

/// What a state says that can't be read as a whole, and why the rest of it can't be: members are read each by
/// itself, and entries of lists too, so that one value of a later program costs one user and not all of them.
/// Nothing, if it is no JSON object.
fn legible(text: &[u8]) -> Option<(Saved, Vec<String>)> {
    const USERS: &str = "users";
    const APPLIED: &str = "applied";

    let state: Map<String, Value> = serde_json::from_slice(text).ok()?;
    let read = |name: &str, value: Value| {
        Saved::deserialize(Value::from(Map::from_iter([(name.to_owned(), value)])))
    };
    let (mut kept, mut left_out) = (Map::new(), Vec::new());
    for (name, mut value) in state {
        if let Value::Array(entries) = &mut value {
            let mut number = 0;
            entries.retain(|entry| {
                number += 1;
                let read = read(&name, Value::from(vec![entry.clone()]));
                left_out
                    .extend(read.as_ref().err().map(|error| format!("entry {number} of {name:?}: {error}")));
                read.is_ok()
            });
        }
        match read(&name, value.clone()) {
            Ok(_) => drop(kept.insert(name, value)),
            Err(error) => left_out.push(format!("{name:?}: {error}")),
        }
    }
    if !kept.contains_key(USERS) {
        // Without any user that was saved, those of the settings are not "as last applied", but missing.
        kept.remove(APPLIED);
    }
    Some((Saved::deserialize(Value::from(kept)).ok()?, left_out))
}

fn set_aside(path: &Path) -> anyhow::Result<()> {
    fs::rename(path, aside(path)).with_context(|| format!("set {} aside", path.display()))
}

/// As [`set_aside`], where what is lost can be made anew.
fn keep_aside(path: &Path) {
    if let Err(error) = set_aside(path) {
        warn!("{}", chain(error.as_ref()));
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".unusable");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> IdentityPlan {
        IdentityPlan { uuid: None, serial: None, name: name.into(), labels: bmc::Labels::default() }
    }

    #[test]
    fn an_identity_is_kept_even_if_the_name_changes() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let first = store.keep_identity(&plan("node1"));
        let later = store.keep_identity(&plan("renamed"));
        assert_eq!((first.uuid, first.serial), (later.uuid, later.serial));
    }

    #[test]
    fn identities_differ_by_name_and_follow_the_settings() {
        let one = Store::new(tempfile::tempdir().unwrap().path()).identity(&plan("node1"));
        let two = Store::new(tempfile::tempdir().unwrap().path()).identity(&plan("node2"));
        assert_ne!((one.uuid, &one.serial), (two.uuid, &two.serial));
        assert_eq!(uuid::Uuid::from_bytes(one.uuid).get_version_num(), 5);
        let uuid = uuid::Uuid::from_u128(42);
        let set = IdentityPlan { uuid: Some(uuid), serial: Some("S1".into()), ..plan("node1") };
        let three = Store::new(tempfile::tempdir().unwrap().path()).identity(&set);
        assert_eq!((three.uuid, three.serial.as_str()), (*uuid.as_bytes(), "S1"));
    }

    #[test]
    fn damaged_files_are_set_aside_and_defaults_used() {
        for text in ["", "{", "null"] {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::new(dir.path());
            fs::write(store.path(), text).unwrap();
            assert_eq!(store.load().unwrap(), None, "{text:?}");
            assert_eq!(fs::read_to_string(dir.path().join("bmc.json.unusable")).unwrap(), text);
        }
    }

    #[test]
    fn a_later_programs_file_is_read_as_far_as_it_is_understood_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let text = "{\"version\": 99, \"was_on\": true, \"invented_later\": []}";
        fs::write(store.path(), text).unwrap();
        assert!(store.load().unwrap().unwrap().was_on);
        assert_eq!(fs::read_to_string(dir.path().join("bmc.json.unusable")).unwrap(), text);
    }

    fn loaded(text: &str) -> Value {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        fs::write(store.path(), text).unwrap();
        let saved = store.load().unwrap().unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("bmc.json.unusable")).unwrap(), text);
        serde_json::to_value(&saved).unwrap()
    }

    #[test]
    fn a_value_that_is_unknown_costs_no_more_than_its_member() {
        let saved = loaded(
            r#"{"version": "one", "was_on": true, "boot": {"flags": 7}, "driver_enables": 4,
                "users": [{"id": 2, "name": "admin"}, {"id": 3, "name": "bob", "access": "later"}],
                "applied": {"users": [{"id": 2, "name": "admin", "digest": "d"}]}}"#,
        );
        assert_eq!((&saved["was_on"], &saved["driver_enables"]), (&true.into(), &4.into()));
        assert_eq!(saved["users"].as_array().unwrap().len(), 1);
        assert_eq!(saved["users"][0]["name"], "admin");
        assert_eq!(saved["applied"]["users"][0]["name"], "admin");
    }

    #[test]
    fn users_of_the_settings_are_applied_anew_if_no_user_can_be_read() {
        let saved = loaded(
            r#"{"was_on": true, "users": {}, "applied": {"users": [{"id": 2, "name": "admin", "digest": "d"}]}}"#,
        );
        assert_eq!(saved["was_on"], true);
        assert_eq!(
            (&saved["users"], &saved["applied"]["users"]),
            (&Value::Array(Vec::new()), &Value::Array(Vec::new()))
        );
    }

    #[test]
    fn what_can_neither_be_read_nor_set_aside_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let unreadable = || fs::create_dir_all(store.path().join("in it")).unwrap();
        unreadable();
        assert_eq!(store.load().unwrap(), None);
        assert!(dir.path().join("bmc.json.unusable/in it").exists(), "set aside");
        unreadable();
        assert!(store.load().is_err(), "there is no room aside");
        assert!(store.path().join("in it").exists());
    }

    #[test]
    fn what_was_put_is_loaded_and_nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut saved = Saved::default();
        (saved.version, saved.was_on) = (Saved::VERSION, true);
        store.put(&saved).unwrap();
        assert_eq!(store.load().unwrap(), Some(saved));
        assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
