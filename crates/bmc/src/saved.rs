//! The versioned form of what outlives a restart.

use serde::{Deserialize, Serialize};

use crate::{
    Dcmi, Firewall, Nic, SolSettings, boot::SavedBoot, chassis::SavedChassis, clock::SavedClock,
    configured::Applied, fru::SavedFru, lan::SavedLan, pef::SavedPef, sensors::SavedSensors,
    users::SavedUser, watchdog::SavedWatchdog,
};

/// What a controller remembers. Unknown members are ignored and missing ones are at their defaults, so
/// that a file of a neighbouring version is read as far as it can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The version of this form.
    pub version: u32,
    pub(crate) boot: SavedBoot,
    pub(crate) chassis: SavedChassis,
    pub(crate) sol: SolSettings,
    pub(crate) fru: SavedFru,
    pub(crate) clock: SavedClock,
    pub(crate) dcmi: Dcmi,
    pub(crate) pef: SavedPef,
    pub(crate) firewall: Firewall,
    pub(crate) sensors: SavedSensors,
    pub(crate) nics: Vec<Nic>,
    pub(crate) watchdog: SavedWatchdog,
    /// What the guest's driver has switched on, which lasts as long as its boot.
    pub(crate) driver_enables: u8,
    pub(crate) users: Vec<SavedUser>,
    pub(crate) lan: SavedLan,
    pub(crate) applied: Applied,
    /// Whether the machine was on.
    pub was_on: bool,
}

impl Saved {
    /// The version that this program writes. Of a later one a reader uses what it knows, and keeps the file.
    pub const VERSION: u32 = 1;
}
