//! The LAN channel: who may log in and how far, how the network is set up, and where alerts go.

mod access;
mod alert;
mod facts;
mod ipv4;
mod ipv6;
mod saved;
mod statistics;
mod suite_privileges;

pub use access::{Access, AccessMode, ChannelAccess};
pub use alert::{
    CommunityString, DESTINATIONS, Destination, DestinationAddress, DestinationKind, Destinations,
};
pub use facts::{AddressSource, Gateway, Ipv6AddressStatus, Ipv6Fact, Ipv6Source, LanFacts};
pub use ipv4::{Ipv4Settings, VlanId};
pub use ipv6::{
    AddressingEnables, DYNAMIC_ADDRESSES, Ipv6Settings, STATIC_ADDRESSES, SlotStatus, StaticAddress,
    StaticRouter,
};
pub(crate) use saved::SavedLan;
pub use statistics::LanStatistics;
pub use suite_privileges::SuitePrivileges;

use std::fmt;

use crate::{Bmc, Event, Privilege, Requester, Secret};

/// K_G, the key of a two-key login (IPMI 2.0 §13.33): 20 bytes, padded with zeros.
pub type KgKey = Secret<[u8; 20]>;

/// Settings of channel 1, the LAN channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lan {
    /// Cipher suite ids that a session may use and that are advertised, strongest last asked first.
    pub cipher_suites: Vec<u8>,
    /// How far a session with each suite can go.
    pub suite_privileges: SuitePrivileges,
    /// K_G, if two-key logins are used; without it a user's own key takes its place.
    pub kg: Option<KgKey>,
    /// K_G can't be read or set any more.
    pub kg_locked: bool,
    /// Whether IPMI 1.5 sessions (MD5) are accepted.
    pub v15: bool,
    /// For which levels, CALLBACK to OEM (parameter 2); unless it was set, for all or none, as they are.
    pub v15_levels: Option<[bool; 5]>,
    /// Whether and how far the channel is open.
    pub access: ChannelAccess,
    /// Parameter 0: 0 set complete, 1 set in progress. Volatile.
    pub set_in_progress: u8,
    /// The IPv4 settings.
    pub ipv4: Ipv4Settings,
    /// The IPv6 settings.
    pub ipv6: Ipv6Settings,
    /// The community string of traps.
    pub community: CommunityString,
    /// Where alerts go.
    pub destinations: Destinations,
    /// The interface as it is.
    pub facts: LanFacts,
    /// What went through.
    pub statistics: LanStatistics,
}

impl Default for Lan {
    fn default() -> Self {
        Self {
            cipher_suites: vec![17, 3],
            suite_privileges: SuitePrivileges::default(),
            kg: None,
            kg_locked: false,
            v15: false,
            v15_levels: None,
            access: ChannelAccess::default(),
            set_in_progress: 0,
            ipv4: Ipv4Settings::default(),
            ipv6: Ipv6Settings::default(),
            community: CommunityString::default(),
            destinations: Destinations::default(),
            facts: LanFacts::default(),
            statistics: LanStatistics::default(),
        }
    }
}

impl Lan {
    /// The highest level that a session on this channel can have now.
    pub fn max_privilege(&self) -> Privilege {
        self.access.volatile.limit
    }

    /// The highest level of a session with a cipher suite; `None` if there can be none.
    pub fn suite_limit(&self, suite: u8) -> Option<Privilege> {
        Some(self.suite_privileges.limit(suite)?.min(self.max_privilege()))
    }

    /// For which levels IPMI 1.5's authentication is enabled, which does not mean that there is any.
    pub fn v15_enables(&self) -> [bool; 5] {
        self.v15_levels.unwrap_or([self.v15; 5])
    }

    /// Whether IPMI 1.5 sessions of this level are accepted.
    pub fn v15_admits(&self, level: Privilege) -> bool {
        self.v15 && self.v15_enables().get(level as usize - 1).copied().unwrap_or_default()
    }
}

/// What was changed about the LAN channel, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LanPart {
    /// Whether and how far it is open.
    Access,
    /// A configuration parameter, by its number.
    Parameter(u8),
    /// K_G.
    KgKey,
}

impl fmt::Display for LanPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access => f.write_str("LAN channel access"),
            Self::KgKey => f.write_str("BMC key (K_G)"),
            Self::Parameter(number) => match parameter_name(*number) {
                Some(name) => write!(f, "LAN configuration parameter {number} ({name})"),
                None => write!(f, "LAN configuration parameter {number}"),
            },
        }
    }
}

/// The names of Table 23-4.
fn parameter_name(number: u8) -> Option<&'static str> {
    Some(match number {
        2 => "authentication type enables",
        3 => "IP address",
        4 => "IP address source",
        6 => "subnet mask",
        7 => "IPv4 header parameters",
        10 => "ARP control",
        11 => "gratuitous ARP interval",
        12 => "default gateway address",
        13 => "default gateway MAC address",
        14 => "backup gateway address",
        15 => "backup gateway MAC address",
        16 => "community string",
        18 => "destination type",
        19 => "destination address",
        20 => "802.1q VLAN id",
        21 => "802.1q VLAN priority",
        24 => "cipher suite privilege levels",
        25 => "destination address VLAN tag",
        51 => "IPv4 and IPv6 addressing enables",
        52 => "IPv6 traffic class",
        53 => "IPv6 hop limit",
        54 => "IPv6 flow label",
        56 => "IPv6 static address",
        64 => "IPv6 router address control",
        65..=68 => "IPv6 static router 1",
        69..=72 => "IPv6 static router 2",
        _ => return None,
    })
}

impl Bmc {
    /// Changes the LAN channel's settings; `what` goes into the log.
    pub fn change_lan(&mut self, what: LanPart, by: Requester, change: impl FnOnce(&mut Lan)) {
        change(&mut self.lan);
        self.touch();
        self.record(Event::LanChanged { what, by });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_goes_no_further_than_the_channel() {
        let mut lan = Lan::default();
        assert_eq!(lan.suite_limit(17), Some(Privilege::Administrator));
        lan.access.volatile.limit = Privilege::User;
        assert_eq!(lan.suite_limit(3), Some(Privilege::User));
        lan.suite_privileges = SuitePrivileges::from_field(&[0; 8]).unwrap();
        assert_eq!(lan.suite_limit(3), None);
    }

    #[test]
    fn ipmi_1_5_is_admitted_by_level() {
        let mut lan = Lan::default();
        assert!(!lan.v15_admits(Privilege::User));
        lan.v15 = true;
        lan.v15_levels = Some([true, true, true, false, false]);
        assert!(lan.v15_admits(Privilege::Operator) && !lan.v15_admits(Privilege::Administrator));
    }
}
