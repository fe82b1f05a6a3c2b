//! The network as it is: what the program finds out about the interface that IPMI is reached by.
//!
//! What was set over IPMI stands before it; what was not set is answered from here.

use std::net::{Ipv4Addr, Ipv6Addr};

/// How an interface came by its IPv4 address (IPMI 2.0 Table 23-4, parameter 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSource {
    /// Nobody knows.
    Unspecified,
    /// It was set: by hand, or as in a container by whoever made the interface.
    #[default]
    Static,
    /// By DHCP.
    Dhcp,
    /// By the firmware or system software.
    Bios,
    /// By another protocol.
    Other,
}

impl AddressSource {
    /// The source with this number (0 to 4).
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unspecified,
            1 => Self::Static,
            2 => Self::Dhcp,
            3 => Self::Bios,
            4 => Self::Other,
            _ => return None,
        })
    }

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::Static => 1,
            Self::Dhcp => 2,
            Self::Bios => 3,
            Self::Other => 4,
        }
    }
}

/// A router, and how it is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gateway<A> {
    /// Its address.
    pub address: A,
    /// Its MAC address; zeros if it is not known.
    pub mac: [u8; 6],
}

/// How an IPv6 address came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6Source {
    /// It was set.
    Static,
    /// By autoconfiguration, which a link-local address is too.
    Slaac,
}

/// Whether an IPv6 address can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6AddressStatus {
    /// It can.
    Active,
    /// Not yet: others are being asked whether they have it.
    Pending,
    /// Not: another has it.
    Failed,
    /// Not for new connections.
    Deprecated,
}

/// An IPv6 address of the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6Fact {
    /// The address.
    pub address: Ipv6Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// How it came to be.
    pub source: Ipv6Source,
    /// Whether it can be used.
    pub status: Ipv6AddressStatus,
}

/// The interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanFacts {
    /// Its name, for a log.
    pub interface: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Its IPv4 address.
    pub ip: Ipv4Addr,
    /// The mask that goes with it.
    pub netmask: Ipv4Addr,
    /// The default IPv4 router.
    pub gateway: Option<Gateway<Ipv4Addr>>,
    /// Its VLAN, if it is on one: 1 to 4094.
    pub vlan: Option<u16>,
    /// Its IPv6 addresses.
    pub ipv6: Vec<Ipv6Fact>,
    /// The default IPv6 router.
    pub ipv6_gateway: Option<Gateway<Ipv6Addr>>,
    /// The UDP port that IPMI is reached on.
    pub port: u16,
}

impl Default for LanFacts {
    /// Of an interface that nobody has looked at.
    fn default() -> Self {
        Self {
            interface: String::new(),
            mac: [0; 6],
            ip: Ipv4Addr::UNSPECIFIED,
            netmask: Ipv4Addr::UNSPECIFIED,
            gateway: None,
            vlan: None,
            ipv6: Vec::new(),
            ipv6_gateway: None,
            port: 623,
        }
    }
}

impl LanFacts {
    /// The IPv6 addresses of one source.
    pub fn ipv6_of(&self, source: Ipv6Source) -> impl Iterator<Item = &Ipv6Fact> {
        self.ipv6.iter().filter(move |fact| fact.source == source)
    }
}
