//! The versioned form of what outlives a restart.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::{
    Bmc, BootOptions, Dcmi, Event, Firewall, Nic, SolSettings, SystemInfo, Watchdog, boot::SavedBoot,
    chassis::SavedChassis, clock::SavedClock, configured::Applied, enables, fru::SavedFru, lan::SavedLan,
    media::SavedDrive, pef::SavedPef, sensors::SavedSensors, users::SavedUser, watchdog::SavedWatchdog,
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
    pub(crate) system_info: SystemInfo,
    pub(crate) pef: SavedPef,
    pub(crate) firewall: Firewall,
    pub(crate) sensors: SavedSensors,
    pub(crate) nics: Vec<Nic>,
    pub(crate) drives: Vec<SavedDrive>,
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

impl Bmc {
    /// The form in which this controller outlives a restart.
    pub fn to_saved(&self, now: Instant) -> Saved {
        let saved = Saved {
            version: Saved::VERSION,
            boot: self.boot.to_saved(),
            chassis: self.chassis.to_saved(now),
            sol: self.sol,
            fru: self.fru.to_saved(),
            clock: self.clock.to_saved(),
            dcmi: self.dcmi.clone(),
            system_info: self.system_info.clone(),
            pef: self.pef.to_saved(),
            firewall: self.firewall.clone(),
            sensors: self.sensors.to_saved(),
            nics: self.nics.clone(),
            drives: self.media.to_saved(),
            watchdog: self.watchdog.to_saved(),
            driver_enables: self.global_enables & enables::DRIVERS,
            users: self.users.to_saved(),
            lan: self.lan.to_saved(),
            applied: self.applied.clone(),
            was_on: self.last_on,
        };
        if self.factory_reset { saved.factory() } else { saved }
    }

    /// Takes up what an earlier life of this controller saved. The machine counts as off until a
    /// [`Fact`] says otherwise.
    pub fn restore(&mut self, saved: Saved) {
        self.boot = BootOptions::from_saved(saved.boot);
        self.chassis.restore(saved.chassis);
        self.sol = saved.sol;
        self.dcmi = saved.dcmi;
        self.system_info = saved.system_info;
        self.pef.restore(saved.pef);
        self.firewall = saved.firewall;
        self.users.restore(saved.users);
        self.lan.restore(saved.lan);
        self.applied = saved.applied;
        if let Err(why) = self.fru.restore(&saved.fru) {
            self.record(Event::InventoryUnreadable { why });
        }
        self.clock.restore(saved.clock);
        self.nics = saved.nics;
        self.media.restore(saved.drives);
        self.sensors.restore(saved.sensors);
        self.describe_nics();
        self.watchdog = Watchdog::from_saved(saved.watchdog);
        self.global_enables |= saved.driver_enables & enables::DRIVERS;
        self.last_on = saved.was_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootDevice, BootFlags, Identity, Lan, Requester, RestorePolicy, Users};

    fn bmc() -> Bmc {
        Bmc::new(Identity::derive("node1"), Users::default(), Lan::default())
    }

    #[test]
    fn what_is_saved_comes_back() {
        let now = Instant::now();
        let mut bmc = bmc();
        bmc.chassis_mut().set_restore_policy(RestorePolicy::Previous);
        let flags =
            BootFlags { valid: true, persistent: true, device: BootDevice::Disk, ..BootFlags::default() };
        bmc.set_boot_flags(now, flags, Requester::Button);
        bmc.sol_mut().retry_count = 3;
        let json = serde_json::to_vec(&bmc.to_saved(now)).unwrap();

        let mut again = self::bmc();
        again.restore(serde_json::from_slice(&json).unwrap());
        assert_eq!(again.boot().flags(), flags);
        assert_eq!(again.sol().retry_count, 3);
        assert!(again.wants_power_after_loss(true) && !again.wants_power_after_loss(false));
    }
}
