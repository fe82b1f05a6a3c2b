//! Back to the factory's settings.
//!
//! What a management client has set is forgotten: users, channel and network settings, SOL, alerts,
//! thresholds, inventory, boot options, restore policy, DCMI. What was configured for the program is then
//! applied as on the first start. What is not a setting stays: whether the machine is on and its watchdog
//! runs, what its driver has switched on, power-on hours, the event log and its clock, identity.
//!
//! The model does not change under the doors' hands: the state that outlives the restart, which comes at
//! once, is the factory's.

use crate::{Bmc, Event, Requester, Saved};

impl Saved {
    /// The same without what anybody has set.
    #[must_use]
    pub fn factory(self) -> Self {
        Self {
            version: self.version,
            chassis: self.chassis.factory(),
            clock: self.clock,
            watchdog: self.watchdog,
            driver_enables: self.driver_enables,
            was_on: self.was_on,
            ..Self::default()
        }
    }
}

impl Bmc {
    /// Returns to the factory's settings, and restarts the controller; the guest runs on.
    pub fn factory_reset(&mut self, by: Requester) {
        self.factory_reset = true;
        self.touch();
        self.record(Event::FactoryReset { by });
        self.restart_controller(by);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{
        Fact, Identity, Intent, Lan, Password, PowerRequest, Privilege, RestorePolicy, StopReason, Users,
        enables,
    };

    #[test]
    fn settings_go_and_what_is_none_stays() {
        let now = Instant::now();
        let new = || Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
        let mut bmc = new();
        let password = Password::new(b"password").unwrap();
        bmc.users.add("bob", password, Privilege::Administrator).unwrap();
        bmc.lan.kg_locked = true;
        bmc.sol_mut().enabled = false;
        bmc.chassis_mut().set_restore_policy(RestorePolicy::Previous);
        bmc.on_fact(now, Fact::Started);
        let later = now + Duration::from_secs(7200);
        bmc.on_fact(later, Fact::Stopped { why: StopReason::Guest });
        bmc.on_fact(later, Fact::Started);
        bmc.set_global_enables(enables::EVENT_LOGGING | enables::DRIVERS);
        let _ = bmc.take_unsaved();

        bmc.factory_reset(Requester::Button);
        assert!(bmc.take_unsaved());
        assert_eq!(bmc.take_intent(), Some(Intent::RestartController));
        assert!(bmc.power(later, PowerRequest::Off, Requester::Button).is_err(), "it is about to restart");
        let saved = bmc.to_saved(later);
        assert!(saved.was_on);

        let mut again = new();
        again.restore(saved.clone());
        assert_eq!(again.users.find("bob"), None);
        assert!(!again.lan.kg_locked && again.sol().enabled);
        assert_ne!(again.chassis().restore_policy(), RestorePolicy::Previous);
        assert_eq!(again.chassis().power_on_time(later), Duration::from_secs(7200));
        assert_eq!(again.global_enables & enables::DRIVERS, enables::DRIVERS, "the guest's driver runs on");
        assert_eq!(again.settings_salt(), None, "settings are applied anew");
        assert_eq!(saved.clone().factory(), saved);
    }
}
