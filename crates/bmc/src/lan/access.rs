//! Whether and how far the LAN channel is open (IPMI 2.0 §22.22, Set Channel Access).
//!
//! There are two sets of settings: the volatile one is in force; the non-volatile one is what the volatile
//! one starts as, whenever the controller does.
//!
//! Two of the bits ask for less: unauthenticated packets within a session, and unauthenticated commands of
//! USER level. They are kept and reported, but nothing here ever runs a command that is not authenticated,
//! and Get Channel Authentication Capabilities says so.

use serde::{Deserialize, Serialize};

use crate::{HostPower, Privilege};

/// When sessions can be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// Never. Sessions that are open go on, so that whoever sets it can finish.
    Disabled,
    /// While no operating system runs. The controller can't see the firmware hand over, so this is while the
    /// machine is off.
    PreBoot,
    /// Always.
    #[default]
    Always,
    /// Always; the difference is one of serial ports, which the firmware may then use too.
    Shared,
}

impl AccessMode {
    /// The mode with this number (0 to 3).
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Disabled,
            1 => Self::PreBoot,
            2 => Self::Always,
            3 => Self::Shared,
            _ => return None,
        })
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::Disabled => 0,
            Self::PreBoot => 1,
            Self::Always => 2,
            Self::Shared => 3,
        }
    }
}

/// One set of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// When sessions can be opened.
    pub mode: AccessMode,
    /// No alerts are sent by this channel.
    pub alerting_disabled: bool,
    /// Packets of a session need not be authenticated one by one.
    pub per_message_authentication_disabled: bool,
    /// Commands of USER level need not be authenticated.
    pub user_level_authentication_disabled: bool,
    /// The highest level that a session on the channel can have.
    pub limit: Privilege,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            mode: AccessMode::Always,
            alerting_disabled: false,
            per_message_authentication_disabled: false,
            user_level_authentication_disabled: false,
            limit: Privilege::Administrator,
        }
    }
}

impl Access {
    /// Whether a session can be opened now.
    pub fn admits(&self, host: HostPower) -> bool {
        match self.mode {
            AccessMode::Disabled => false,
            AccessMode::PreBoot => host == HostPower::Off,
            AccessMode::Always | AccessMode::Shared => true,
        }
    }
}

/// Both sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelAccess {
    /// What is in force.
    pub volatile: Access,
    /// What will be, after a restart.
    pub non_volatile: Access,
}

impl From<Access> for ChannelAccess {
    /// What was kept is in force again.
    fn from(kept: Access) -> Self {
        Self { volatile: kept, non_volatile: kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_admits_or_not() {
        let admits = |mode, host| Access { mode, ..Access::default() }.admits(host);
        assert!(!admits(AccessMode::Disabled, HostPower::Off));
        assert!(admits(AccessMode::PreBoot, HostPower::Off) && !admits(AccessMode::PreBoot, HostPower::On));
        assert!(admits(AccessMode::Always, HostPower::On) && admits(AccessMode::Shared, HostPower::On));
    }

    #[test]
    fn modes_have_the_numbers_of_the_specification() {
        for number in 0..4 {
            assert_eq!(AccessMode::from_number(number).map(AccessMode::number), Some(number));
        }
        assert_eq!(AccessMode::from_number(4), None);
    }
}
