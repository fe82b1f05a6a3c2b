//! IPv6 settings of the LAN channel (IPMI 2.0 errata 7, Table 23-4, parameters 50 to 80).
//!
//! Of the static addresses those that were set stand first in their slots; a slot that was not set shows an
//! address that the interface has. DHCPv6 has no settings, for whoever runs the container runs it.

use std::net::Ipv6Addr;

use serde::{Deserialize, Serialize};

use super::{Ipv6AddressStatus, Ipv6Fact, Ipv6Source, LanFacts};

/// How many static addresses can be set.
pub const STATIC_ADDRESSES: u8 = 4;
/// How many dynamic ones are shown.
pub const DYNAMIC_ADDRESSES: u8 = 8;

/// Which protocols the channel uses (parameter 51).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressingEnables {
    /// IPv4.
    Ipv4,
    /// IPv4 and IPv6.
    #[default]
    Both,
}

/// A static address in its slot (parameter 56).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticAddress {
    /// Whether it is to be used.
    pub enabled: bool,
    /// The address.
    pub address: Ipv6Addr,
    /// Its prefix length, 0 to 128.
    pub prefix: u8,
}

/// A static router (parameters 65 to 68 and 69 to 72).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StaticRouter {
    /// Its address.
    pub address: Ipv6Addr,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// The length of the prefix that it serves; 0 is every address.
    pub prefix_length: u8,
    /// The prefix.
    pub prefix: Ipv6Addr,
}

impl Default for StaticRouter {
    fn default() -> Self {
        Self { address: Ipv6Addr::UNSPECIFIED, mac: [0; 6], prefix_length: 0, prefix: Ipv6Addr::UNSPECIFIED }
    }
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipv6Settings {
    /// Parameter 51.
    pub enables: AddressingEnables,
    /// Parameter 52. Kept; the kernel makes the headers, as it does for the next two.
    pub traffic_class: u8,
    /// Parameter 53.
    pub hop_limit: u8,
    /// Parameter 54, 20 bits.
    pub flow_label: u32,
    /// Parameter 56.
    pub addresses: [Option<StaticAddress>; STATIC_ADDRESSES as usize],
    /// Parameter 64: static routers (bit 0) and router advertisements (bit 1).
    pub router_control: u8,
    /// Parameters 65 to 72.
    pub routers: [StaticRouter; 2],
}

impl Default for Ipv6Settings {
    fn default() -> Self {
        Self {
            enables: AddressingEnables::Both,
            traffic_class: 0,
            hop_limit: 64,
            flow_label: 0,
            addresses: [None; STATIC_ADDRESSES as usize],
            router_control: 0x02,
            routers: [StaticRouter::default(); 2],
        }
    }
}

impl Ipv6Settings {
    /// What a slot of the static addresses shows, and in which state it is; `None` beyond the last one.
    pub fn static_address(&self, slot: u8, facts: &LanFacts) -> Option<(StaticAddress, SlotStatus)> {
        let set = *self.addresses.get(usize::from(slot))?;
        let Some(set) = set else {
            return Some(self.unset(slot, facts));
        };
        let found = facts.ipv6.iter().find(|fact| fact.address == set.address);
        let status = match (set.enabled, found) {
            (false, _) => SlotStatus::Disabled,
            (true, Some(fact)) => SlotStatus::Of(fact.status),
            (true, None) => SlotStatus::Of(Ipv6AddressStatus::Pending),
        };
        Some((set, status))
    }

    fn unset(&self, slot: u8, facts: &LanFacts) -> (StaticAddress, SlotStatus) {
        let is_set = |address| self.addresses.iter().flatten().any(|set| set.address == address);
        let mut others = facts.ipv6_of(Ipv6Source::Static).filter(|fact| !is_set(fact.address));
        let before =
            self.addresses.iter().take(usize::from(slot)).filter(|address| address.is_none()).count();
        match others.nth(before) {
            Some(&Ipv6Fact { address, prefix, status, .. }) => {
                (StaticAddress { enabled: true, address, prefix }, SlotStatus::Of(status))
            }
            None => (
                StaticAddress { enabled: false, address: Ipv6Addr::UNSPECIFIED, prefix: 0 },
                SlotStatus::Disabled,
            ),
        }
    }
}

/// The state of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStatus {
    /// Its address is not to be used, or there is none.
    Disabled,
    /// As the kernel says.
    Of(Ipv6AddressStatus),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(last: u16, source: Ipv6Source) -> Ipv6Fact {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        Ipv6Fact { address, prefix: 64, source, status: Ipv6AddressStatus::Active }
    }

    #[test]
    fn slots_that_were_not_set_show_the_addresses_that_are_there() {
        let facts = LanFacts {
            ipv6: vec![fact(1, Ipv6Source::Static), fact(2, Ipv6Source::Slaac), fact(3, Ipv6Source::Static)],
            ..LanFacts::default()
        };
        let mut settings = Ipv6Settings::default();
        let shown = |settings: &Ipv6Settings, slot| settings.static_address(slot, &facts).unwrap();
        assert_eq!(shown(&settings, 0).0.address, facts.ipv6[0].address);
        assert_eq!(shown(&settings, 1).0.address, facts.ipv6[2].address);
        assert_eq!(shown(&settings, 2).1, SlotStatus::Disabled);
        assert_eq!(settings.static_address(4, &facts), None);

        let own = StaticAddress { enabled: true, address: Ipv6Addr::LOCALHOST, prefix: 128 };
        settings.addresses[0] = Some(own);
        assert_eq!(shown(&settings, 0), (own, SlotStatus::Of(Ipv6AddressStatus::Pending)));
        assert_eq!(shown(&settings, 1).0.address, facts.ipv6[0].address);
        settings.addresses[0] = Some(StaticAddress { enabled: false, ..own });
        assert_eq!(shown(&settings, 0).1, SlotStatus::Disabled);
    }
}
