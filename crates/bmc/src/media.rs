//! What is in the machine's CD drives, and what is to be.
//!
//! ```text
//!   change_medium ──▶ asked ──▶ an Intent ──▶ the driver opens the tray, changes, closes it
//!                                                │
//!   in the drive, kept over restarts ◀── done ◀──┴──▶ failed, with the reason
//!      ▲
//!      └── observe_medium: what is found there, whoever put it in
//! ```
//!
//! A medium stays where somebody put it: over power cycles and restarts of the controller, until it is changed
//! again, or the settings put another one into the drive. Whoever asked waits for the outcome by the number of
//! the request.

use std::{collections::VecDeque, time::Instant};

use serde::{Deserialize, Serialize};

use crate::{Bmc, Event, Fact, Requester, Saved};

/// How many outcomes are remembered for whoever asked.
const OUTCOMES: usize = 16;
/// How many requests wait for the driver.
const WAITING: usize = 16;

/// A CD drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Its name: `cdrom0` is the first.
    pub name: String,
    /// What is in it: a path or an address.
    pub medium: Option<String>,
    /// Whether its tray stands open, as the guest left it.
    pub tray_open: bool,
    /// What the settings put into it.
    configured: Option<String>,
    /// Whether the settings have just put it in, for the next power on: a machine that runs has what was there.
    anew: bool,
}

/// A change that the driver is to carry out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediumChange {
    /// The request's number.
    pub number: u64,
    /// The drive's name.
    pub drive: String,
    /// What is to be in it, if anything.
    pub medium: Option<String>,
    /// Whether to take it from a guest that holds the tray shut.
    pub force: bool,
}

/// Why a change can't even be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediumRefusal {
    /// The machine has no drives that could be changed.
    #[error("the machine has no CD drive that can be changed from here")]
    NoDrives,
    /// There is no such drive.
    #[error("there is no drive {name}; there is {}", drives.join(", "))]
    NoSuchDrive {
        /// What was asked for.
        name: String,
        /// What there is.
        drives: Vec<String>,
    },
    /// Other changes wait.
    #[error("too many changes wait to be carried out; try again")]
    Busy,
    /// The controller is about to restart.
    #[error("the controller restarts; try again")]
    Restarting,
}

/// A drive as it outlives a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedDrive {
    name: String,
    configured: Option<String>,
    medium: Option<String>,
}

/// What was kept of a drive, unless the settings have put something else into it since.
fn kept<'a>(saved: &'a [SavedDrive], name: &str, configured: Option<&str>) -> Option<&'a SavedDrive> {
    saved.iter().find(|saved| saved.name == name && saved.configured.as_deref() == configured)
}

impl Saved {
    /// What is in a drive that the settings put `configured` into.
    pub fn medium<'a>(&'a self, drive: &str, configured: Option<&'a str>) -> Option<&'a str> {
        kept(&self.drives, drive, configured).map_or(configured, |kept| kept.medium.as_deref())
    }
}

/// The drives, what was asked of them, and what became of that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Media {
    drives: Vec<Drive>,
    saved: Vec<SavedDrive>,
    asked: u64,
    waiting: VecDeque<MediumChange>,
    outcomes: VecDeque<(u64, Result<(), String>)>,
}

impl Media {
    pub(crate) fn to_saved(&self) -> Vec<SavedDrive> {
        let saved = self.drives.iter().map(|drive| SavedDrive {
            name: drive.name.clone(),
            configured: drive.configured.clone(),
            medium: drive.medium.clone(),
        });
        saved.collect()
    }

    pub(crate) fn restore(&mut self, saved: Vec<SavedDrive>) {
        self.saved = saved;
    }

    pub(crate) fn take(&mut self) -> Option<MediumChange> {
        self.waiting.pop_front()
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

impl Bmc {
    /// The machine has these drives, with what the settings put into each. What was changed since the settings
    /// last said something else stays.
    pub fn set_drives(&mut self, drives: impl IntoIterator<Item = (String, Option<String>)>) {
        let saved = std::mem::take(&mut self.media.saved);
        let drives = drives.into_iter().map(|(name, configured)| {
            let kept = kept(&saved, &name, configured.as_deref());
            let medium = kept.map_or_else(|| configured.clone(), |kept| kept.medium.clone());
            Drive { name, medium, tray_open: false, configured, anew: kept.is_none() }
        });
        self.media.drives = drives.collect();
        self.unsaved = true;
    }

    /// The CD drives.
    pub fn drives(&self) -> &[Drive] {
        &self.media.drives
    }

    /// Asks for another medium, or none, in a drive: the first one if none is named. Returns the number by which
    /// [`Bmc::medium_outcome`] knows the request.
    ///
    /// # Errors
    /// [`MediumRefusal`]: nothing was changed.
    pub fn change_medium(
        &mut self,
        drive: Option<&str>,
        medium: Option<String>,
        force: bool,
        by: Requester,
    ) -> Result<u64, MediumRefusal> {
        let drives = &self.media.drives;
        let Some(first) = drives.first() else { return Err(MediumRefusal::NoDrives) };
        let name = drive.unwrap_or(&first.name);
        let Some(drive) = drives.iter().find(|drive| drive.name == name) else {
            let drives = drives.iter().map(|drive| drive.name.clone()).collect();
            return Err(MediumRefusal::NoSuchDrive { name: name.to_owned(), drives });
        };
        if self.restarting {
            return Err(MediumRefusal::Restarting);
        }
        if self.media.waiting.len() == WAITING {
            return Err(MediumRefusal::Busy);
        }
        let drive = drive.name.clone();
        self.media.asked += 1;
        let number = self.media.asked;
        self.record(Event::MediumRequested { drive: drive.clone(), medium: medium.clone(), by });
        self.media.waiting.push_back(MediumChange { number, drive, medium, force });
        Ok(number)
    }

    /// The end of a change that [`Bmc::take_intent`] handed out.
    pub fn medium_done(&mut self, now: Instant, change: MediumChange, outcome: Result<(), String>) {
        let MediumChange { number, drive: name, medium, .. } = change;
        if self.media.outcomes.len() == OUTCOMES {
            self.media.outcomes.pop_front();
        }
        self.media.outcomes.push_back((number, outcome.clone()));
        let fact = match outcome {
            Ok(()) => {
                if let Some(drive) = self.media.drives.iter_mut().find(|drive| drive.name == name) {
                    (drive.medium, drive.tray_open, drive.anew) = (medium.clone(), false, false);
                }
                Fact::MediumChanged { drive: name, medium }
            }
            Err(why) => Fact::MediumNotChanged { drive: name, why },
        };
        self.on_fact(now, fact);
    }

    /// What became of a request; none while it is under way, or when it is forgotten.
    pub fn medium_outcome(&self, number: u64) -> Option<Result<(), String>> {
        let outcome = self.media.outcomes.iter().find(|(known, _)| *known == number);
        outcome.map(|(_, outcome)| outcome.clone())
    }

    /// Says how a drive's tray was found.
    pub fn observe_tray(&mut self, now: Instant, name: &str, open: bool) {
        let drive = self.media.drives.iter_mut().find(|drive| drive.name == name);
        if let Some(drive) = drive.filter(|drive| drive.tray_open != open) {
            drive.tray_open = open;
            let drive = drive.name.clone();
            self.on_fact(now, Fact::TrayMoved { drive, open });
        }
    }

    /// Says what was found in a drive, which somebody else may have put there, or this program before it was ended.
    pub fn observe_medium(&mut self, now: Instant, name: &str, medium: Option<String>) {
        let drive = self.media.drives.iter_mut().find(|drive| drive.name == name);
        if let Some(drive) = drive.filter(|drive| !drive.anew && drive.medium != medium) {
            drive.medium.clone_from(&medium);
            let drive = drive.name.clone();
            self.unsaved = true;
            self.on_fact(now, Fact::MediumChanged { drive, medium });
        }
    }

    /// Says that the machine has started with what is to be in its drives.
    pub fn drives_are_filled(&mut self) {
        self.media.drives.iter_mut().for_each(|drive| drive.anew = false);
    }

    /// A machine that starts has its trays shut.
    pub(crate) fn close_trays(&mut self) {
        for drive in &mut self.media.drives {
            drive.tray_open = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Identity, Intent, Lan, Users};

    fn bmc(configured: Option<&str>) -> Bmc {
        let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        bmc.set_drives([("cdrom0".into(), configured.map(Into::into)), ("cdrom1".into(), None)]);
        bmc
    }

    fn restarted(bmc: &Bmc, configured: Option<&str>) -> Bmc {
        let mut again = self::bmc(None);
        again.restore(bmc.to_saved(Instant::now()));
        again.set_drives([("cdrom0".into(), configured.map(Into::into))]);
        again
    }

    fn insert(bmc: &mut Bmc, medium: Option<&str>, outcome: Result<(), String>) -> u64 {
        let number = bmc.change_medium(None, medium.map(Into::into), false, Requester::Button).unwrap();
        assert_eq!(bmc.medium_outcome(number), None, "nothing has happened yet");
        let Some(Intent::Medium(change)) = bmc.take_intent() else { panic!("an intent") };
        bmc.medium_done(Instant::now(), change, outcome);
        number
    }

    #[test]
    fn a_change_is_an_intent_and_its_outcome_is_told() {
        let mut bmc = bmc(Some("/a.iso"));
        let number = insert(&mut bmc, Some("/b.iso"), Ok(()));
        assert_eq!(bmc.medium_outcome(number), Some(Ok(())));
        assert_eq!(bmc.drives()[0].medium.as_deref(), Some("/b.iso"));
        let number = insert(&mut bmc, None, Err("the guest holds it".into()));
        assert_eq!(bmc.medium_outcome(number), Some(Err("the guest holds it".into())));
        assert_eq!(bmc.drives()[0].medium.as_deref(), Some("/b.iso"), "it stays");
    }

    #[test]
    fn a_medium_stays_until_the_settings_say_another() {
        let mut bmc = bmc(Some("/a.iso"));
        insert(&mut bmc, Some("/b.iso"), Ok(()));
        assert_eq!(restarted(&bmc, Some("/a.iso")).drives()[0].medium.as_deref(), Some("/b.iso"));
        assert_eq!(restarted(&bmc, Some("/c.iso")).drives()[0].medium.as_deref(), Some("/c.iso"));
        let saved = bmc.to_saved(Instant::now());
        assert_eq!(saved.medium("cdrom0", Some("/a.iso")), Some("/b.iso"));
        assert_eq!(saved.medium("cdrom0", Some("/c.iso")), Some("/c.iso"));
        insert(&mut bmc, None, Ok(()));
        assert_eq!(restarted(&bmc, Some("/a.iso")).drives()[0].medium, None);
    }

    #[test]
    fn what_is_found_in_a_drive_counts_unless_the_settings_have_just_put_another_there() {
        let now = Instant::now();
        let (found, other) = (Some("/found.iso".to_owned()), Some("/other.iso"));
        let mut bmc = bmc(Some("/a.iso"));
        bmc.drives_are_filled();
        bmc.observe_medium(now, "cdrom0", found.clone());
        assert_eq!(bmc.drives()[0].medium, found);

        let mut same = restarted(&bmc, Some("/a.iso"));
        assert_eq!(same.drives()[0].medium, found, "it is kept");
        same.observe_medium(now, "cdrom0", None);
        assert_eq!(same.drives()[0].medium, None);

        let mut set = restarted(&bmc, other);
        set.observe_medium(now, "cdrom0", found.clone());
        assert_eq!(set.drives()[0].medium.as_deref(), other, "it is for the next power on");
        set.drives_are_filled();
        set.observe_medium(now, "cdrom0", found.clone());
        assert_eq!(set.drives()[0].medium, found);
    }

    #[test]
    fn only_drives_that_there_are_can_be_changed() {
        let refusal = bmc(None).change_medium(Some("cdrom7"), None, false, Requester::Button).unwrap_err();
        assert_eq!(refusal.to_string(), "there is no drive cdrom7; there is cdrom0, cdrom1");
    }

    #[test]
    fn requests_that_nobody_carries_out_do_not_pile_up() {
        let mut bmc = bmc(None);
        let asked = (0..100).filter(|_| bmc.change_medium(None, None, false, Requester::Button).is_ok());
        assert_eq!(asked.count(), WAITING);
    }
}
