//! Where alerts go: the destinations of the LAN channel and the community string that traps carry
//! (IPMI 2.0 §23.2, Table 23-4, parameters 16 to 19 and 25).
//!
//! Destination 0 is volatile, for a manager who tries alerts out; 1 to 8 are those of the alert policies.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::hex;

/// How many destinations are kept, beside the volatile one.
pub const DESTINATIONS: u8 = 8;

/// The community string of SNMP traps: up to 18 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommunityString(#[serde(with = "hex::array")] [u8; Self::SIZE]);

impl CommunityString {
    /// The size of its field.
    pub const SIZE: usize = 18;

    /// What a field has, up to its first zero.
    pub fn from_field(field: &[u8; Self::SIZE]) -> Self {
        let mut own = [0; Self::SIZE];
        for (to, from) in own.iter_mut().zip(field.iter().take_while(|byte| **byte != 0)) {
            *to = *from;
        }
        Self(own)
    }

    /// The field, filled up with zeros.
    pub fn field(&self) -> &[u8; Self::SIZE] {
        &self.0
    }

    /// The string itself.
    pub fn as_bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(Self::SIZE);
        self.0.get(..end).unwrap_or_default()
    }
}

impl Default for CommunityString {
    fn default() -> Self {
        Self(*b"public\0\0\0\0\0\0\0\0\0\0\0\0")
    }
}

/// What kind of alert a destination takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationKind {
    /// A platform event trap.
    #[default]
    Trap,
    /// The manufacturer's first, which nothing is sent for.
    Oem1,
    /// The manufacturer's second, which nothing is sent for.
    Oem2,
}

/// Where a destination is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DestinationAddress {
    /// By IPv4. With address 0.0.0.0 the destination is not used.
    V4 {
        /// By way of the backup gateway, not the default one.
        backup_gateway: bool,
        /// The address.
        ip: Ipv4Addr,
        /// Its MAC address. It is kept, and the kernel's own resolution is used.
        mac: [u8; 6],
    },
    /// By IPv6.
    V6(Ipv6Addr),
}

/// One destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Destination {
    /// What is sent.
    pub kind: DestinationKind,
    /// Whether it counts as sent only when it was acknowledged.
    pub acknowledge: bool,
    /// How long an acknowledgement is waited for, or time between retries: seconds, less one.
    pub interval: u8,
    /// How often it is sent again, 0 to 7.
    pub retries: u8,
    /// Where it goes.
    pub address: DestinationAddress,
    /// The 802.1q tag of its packets (priority, CFI, VLAN id), if they have one.
    pub vlan_tag: Option<u16>,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            kind: DestinationKind::Trap,
            acknowledge: false,
            interval: 0,
            retries: 0,
            address: DestinationAddress::V4 { backup_gateway: false, ip: Ipv4Addr::UNSPECIFIED, mac: [0; 6] },
            vlan_tag: None,
        }
    }
}

/// All destinations, by their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Destinations {
    #[serde(skip)]
    volatile: Destination,
    kept: [Destination; DESTINATIONS as usize],
}

impl Destinations {
    /// Destination 0, the volatile one, or 1 to 8.
    pub fn get(&self, number: u8) -> Option<&Destination> {
        match number {
            0 => Some(&self.volatile),
            number => self.kept.get(usize::from(number) - 1),
        }
    }

    /// The same, to change.
    pub fn get_mut(&mut self, number: u8) -> Option<&mut Destination> {
        match number {
            0 => Some(&mut self.volatile),
            number => self.kept.get_mut(usize::from(number) - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_community_string_ends_at_its_first_zero() {
        assert_eq!(CommunityString::default().as_bytes(), b"public");
        assert_eq!(
            CommunityString::from_field(b"secret\0rest of it.").field(),
            b"secret\0\0\0\0\0\0\0\0\0\0\0\0"
        );
        assert_eq!(CommunityString::from_field(&[b'x'; 18]).as_bytes().len(), 18);
    }

    #[test]
    fn there_are_eight_destinations_and_a_volatile_one() {
        let mut destinations = Destinations::default();
        assert!(destinations.get(8).is_some() && destinations.get(9).is_none());
        for number in [0, 8] {
            destinations.get_mut(number).unwrap().retries = 3;
        }
        let file = serde_json::to_string(&destinations).unwrap();
        let again: Destinations = serde_json::from_str(&file).unwrap();
        assert_eq!((again.get(0).unwrap().retries, again.get(8).unwrap().retries), (0, 3));
    }
}
