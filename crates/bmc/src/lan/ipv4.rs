//! IPv4 settings of the LAN channel (IPMI 2.0 Table 23-4, parameters 3 to 15, 20 and 21).
//!
//! A setting that nobody made is answered with what the interface has ([`LanFacts`]).

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{AddressSource, Gateway, LanFacts};

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipv4Settings {
    /// Parameter 3.
    pub address: Option<Ipv4Addr>,
    /// Parameter 4.
    pub source: Option<AddressSource>,
    /// Parameter 6.
    pub netmask: Option<Ipv4Addr>,
    /// Parameter 7: time to live, flags, precedence and type of service. Kept; the kernel makes the headers.
    pub header: [u8; 3],
    /// Parameter 10: gratuitous ARPs (bit 0) and ARP responses (bit 1). Kept; the kernel speaks ARP.
    pub arp: u8,
    /// Parameter 11: the time between gratuitous ARPs, in units of 500 ms.
    pub arp_interval: u8,
    /// Parameter 12.
    pub gateway: Option<Ipv4Addr>,
    /// Parameter 13.
    pub gateway_mac: Option<[u8; 6]>,
    /// Parameter 14.
    pub backup_gateway: Ipv4Addr,
    /// Parameter 15.
    pub backup_gateway_mac: [u8; 6],
    /// Parameter 20: whether packets have the tag of a VLAN, and its id.
    pub vlan: Option<VlanId>,
    /// Parameter 21, 0 to 7.
    pub vlan_priority: u8,
}

/// Parameter 20. The id is kept while the tag is off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VlanId {
    /// Whether packets are tagged.
    pub enabled: bool,
    /// The id, 12 bits.
    pub id: u16,
}

impl Default for Ipv4Settings {
    fn default() -> Self {
        Self {
            address: None,
            source: None,
            netmask: None,
            header: [0x40, 0x40, 0x10],
            arp: 0x02,
            arp_interval: 0,
            gateway: None,
            gateway_mac: None,
            backup_gateway: Ipv4Addr::UNSPECIFIED,
            backup_gateway_mac: [0; 6],
            vlan: None,
            vlan_priority: 0,
        }
    }
}

impl Ipv4Settings {
    /// The address as it is reported.
    pub fn address(&self, facts: &LanFacts) -> Ipv4Addr {
        self.address.unwrap_or(facts.ip)
    }

    /// The mask as it is reported.
    pub fn netmask(&self, facts: &LanFacts) -> Ipv4Addr {
        self.netmask.unwrap_or(facts.netmask)
    }

    /// The source as it is reported.
    pub fn source(&self) -> AddressSource {
        self.source.unwrap_or_default()
    }

    /// The default gateway as it is reported. The MAC address that was found out is that of the gateway that
    /// was found out.
    pub fn gateway(&self, facts: &LanFacts) -> Gateway<Ipv4Addr> {
        let found = facts.gateway.unwrap_or(Gateway { address: Ipv4Addr::UNSPECIFIED, mac: [0; 6] });
        let address = self.gateway.unwrap_or(found.address);
        let mac = self.gateway_mac.unwrap_or(if address == found.address { found.mac } else { [0; 6] });
        Gateway { address, mac }
    }

    /// The VLAN as it is reported.
    pub fn vlan(&self, facts: &LanFacts) -> VlanId {
        self.vlan.unwrap_or(facts.vlan.map_or(VlanId::default(), |id| VlanId { enabled: true, id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_set_is_as_it_is() {
        let gateway = Gateway { address: Ipv4Addr::new(192, 0, 2, 254), mac: [2; 6] };
        let facts = LanFacts {
            ip: Ipv4Addr::new(192, 0, 2, 5),
            gateway: Some(gateway),
            vlan: Some(7),
            ..LanFacts::default()
        };
        let mut settings = Ipv4Settings::default();
        assert_eq!((settings.address(&facts), settings.gateway(&facts)), (facts.ip, gateway));
        assert_eq!(settings.vlan(&facts), VlanId { enabled: true, id: 7 });
        settings.gateway = Some(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(settings.gateway(&facts).mac, [0; 6], "another gateway's MAC address is not known");
        settings.vlan = Some(VlanId::default());
        assert!(!settings.vlan(&facts).enabled);
    }
}
