//! What has to be done to the interface so that it is as it was set over IPMI.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use bmc::{AddressSource, Ipv6Source, Lan};

/// One thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Add an IPv4 address with this prefix length.
    Add(Ipv4Addr, u8),
    /// Remove one.
    Remove(Ipv4Addr, u8),
    /// Go by this router.
    Route(Ipv4Addr),
    /// Add an IPv6 address.
    AddV6(Ipv6Addr, u8),
    /// Remove one.
    RemoveV6(Ipv6Addr, u8),
    /// Something that only whoever runs the container can do.
    Outside(&'static str),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Add(ip, prefix) => write!(f, "add address {ip}/{prefix}"),
            Self::Remove(ip, prefix) => write!(f, "remove address {ip}/{prefix}"),
            Self::Route(router) => write!(f, "default gateway {router}"),
            Self::AddV6(ip, prefix) => write!(f, "add address {ip}/{prefix}"),
            Self::RemoveV6(ip, prefix) => write!(f, "remove address {ip}/{prefix}"),
            Self::Outside(what) => f.write_str(what),
        }
    }
}

/// The steps, where IPMI is bound to this one address, if to one. That stays: without it nobody would reach the
/// controller, and its next start would fail.
///
/// With an address the kernel takes away what depends on it: other addresses of the same network,
/// and routes. So the old address goes first where the new one is of its network, and a default route that was
/// there comes back afterwards.
pub(super) fn steps(lan: &Lan, bound: Option<IpAddr>) -> Vec<Step> {
    let (ipv4, facts) = (&lan.ipv4, &lan.facts);
    let mut steps = Vec::new();
    let wanted = ipv4.address(facts);
    // A mask of zeros is none: an address would be of a network of everything.
    let mask = Some(ipv4.netmask(facts)).filter(|mask| !mask.is_unspecified()).unwrap_or(facts.netmask);
    let is_another = (wanted, mask) != (facts.ip, facts.netmask) && !wanted.is_unspecified();
    if is_another && bound == Some(facts.ip.into()) {
        steps.push(Step::Outside("address other than the one that IPMI_ADDRESS binds IPMI to"));
    } else if is_another && mask.is_unspecified() {
        steps.push(Step::Outside("address without a subnet mask"));
    } else if is_another {
        let (new, old) = (Step::Add(wanted, prefix(mask)), Step::Remove(facts.ip, prefix(facts.netmask)));
        let same_network = wanted & facts.netmask == facts.ip & facts.netmask;
        match (facts.ip.is_unspecified(), same_network) {
            (true, _) => steps.push(new),
            (false, true) => steps.extend([old, new]),
            (false, false) => steps.extend([new, old]),
        }
    }
    let router = ipv4.gateway(facts).address;
    let is_kept = steps.iter().all(|step| matches!(step, Step::Outside(_)));
    let is_there = is_kept && facts.gateway.is_some_and(|found| found.address == router);
    if !is_there && !router.is_unspecified() {
        steps.push(Step::Route(router));
    }
    if ipv4.vlan.is_some_and(|vlan| vlan.enabled && facts.vlan != Some(vlan.id)) {
        steps.push(Step::Outside("VLAN tag, which is whoever's who made the interface"));
    }
    if ipv4.source == Some(AddressSource::Dhcp) {
        steps.push(Step::Outside("DHCP, which is whoever's who runs the container"));
    }
    for set in lan.ipv6.addresses.iter().flatten() {
        let found = facts.ipv6_of(Ipv6Source::Static).find(|fact| fact.address == set.address);
        match (set.enabled, found) {
            (true, None) => steps.push(Step::AddV6(set.address, set.prefix)),
            (false, Some(_)) if bound == Some(set.address.into()) => {
                steps.push(Step::Outside("removal of the address that IPMI_ADDRESS binds IPMI to"));
            }
            (false, Some(found)) => steps.push(Step::RemoveV6(set.address, found.prefix)),
            _ => {}
        }
    }
    steps
}

fn prefix(mask: Ipv4Addr) -> u8 {
    u8::try_from(mask.to_bits().leading_ones()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bmc::{Gateway, Ipv6AddressStatus, Ipv6Fact, LanFacts, StaticAddress, VlanId};

    use super::*;

    fn lan() -> Lan {
        let facts = LanFacts {
            ip: Ipv4Addr::new(192, 0, 2, 5),
            netmask: Ipv4Addr::new(255, 255, 255, 0),
            gateway: Some(Gateway { address: Ipv4Addr::new(192, 0, 2, 1), mac: [0; 6] }),
            ipv6: vec![Ipv6Fact {
                address: "2001:db8::5".parse().unwrap(),
                prefix: 64,
                source: Ipv6Source::Static,
                status: Ipv6AddressStatus::Active,
            }],
            ..LanFacts::default()
        };
        Lan { facts, ..Lan::default() }
    }

    #[test]
    fn what_was_not_set_takes_no_step() {
        assert_eq!(steps(&lan(), None), []);
    }

    #[test]
    fn another_address_is_there_before_the_old_one_goes() {
        let mut lan = lan();
        lan.ipv4.address = Some(Ipv4Addr::new(198, 51, 100, 7));
        let old = Step::Remove(Ipv4Addr::new(192, 0, 2, 5), 24);
        let route = Step::Route(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(steps(&lan, None), [Step::Add(Ipv4Addr::new(198, 51, 100, 7), 24), old, route]);
        lan.facts.ip = Ipv4Addr::new(198, 51, 100, 7);
        assert_eq!(steps(&lan, None), []);
    }

    #[test]
    fn an_address_of_the_same_network_would_go_with_the_old_one_and_comes_after_it() {
        let mut lan = lan();
        let (old, new) = (lan.facts.ip, Ipv4Addr::new(192, 0, 2, 77));
        let route = Step::Route(Ipv4Addr::new(192, 0, 2, 1));
        lan.ipv4.address = Some(new);
        assert_eq!(steps(&lan, None), [Step::Remove(old, 24), Step::Add(new, 24), route]);
        lan.ipv4.address = None;
        lan.ipv4.netmask = Some(Ipv4Addr::new(255, 255, 0, 0));
        assert_eq!(steps(&lan, None), [Step::Remove(old, 24), Step::Add(old, 16), route]);
        lan.facts.ip = Ipv4Addr::UNSPECIFIED;
        lan.ipv4.address = Some(new);
        assert_eq!(steps(&lan, None), [Step::Add(new, 16), route]);
    }

    #[test]
    fn another_router_and_static_ipv6_addresses() {
        let mut lan = lan();
        lan.ipv4.gateway = Some(Ipv4Addr::new(192, 0, 2, 254));
        let own: Ipv6Addr = "2001:db8::77".parse().unwrap();
        lan.ipv6.addresses[1] = Some(StaticAddress { enabled: true, address: own, prefix: 48 });
        let there: Ipv6Addr = "2001:db8::5".parse().unwrap();
        lan.ipv6.addresses[0] = Some(StaticAddress { enabled: false, address: there, prefix: 64 });
        let expected =
            [Step::Route(Ipv4Addr::new(192, 0, 2, 254)), Step::RemoveV6(there, 64), Step::AddV6(own, 48)];
        assert_eq!(steps(&lan, None), expected);
    }

    #[test]
    fn the_address_that_ipmi_is_bound_to_stays() {
        let mut lan = lan();
        let bound = Some(lan.facts.ip.into());
        lan.ipv4.netmask = Some(Ipv4Addr::new(255, 255, 0, 0));
        assert!(matches!(steps(&lan, bound)[..], [Step::Outside(_)]));
        lan.ipv4.address = Some(Ipv4Addr::new(192, 0, 2, 77));
        assert!(matches!(steps(&lan, bound)[..], [Step::Outside(_)]));
        lan.ipv4 = Lan::default().ipv4;
        let there: Ipv6Addr = "2001:db8::5".parse().unwrap();
        lan.ipv6.addresses[0] = Some(StaticAddress { enabled: false, address: there, prefix: 64 });
        assert!(matches!(steps(&lan, Some(there.into()))[..], [Step::Outside(_)]));
    }

    #[test]
    fn a_mask_of_zeros_is_none() {
        let mut lan = lan();
        lan.ipv4.netmask = Some(Ipv4Addr::UNSPECIFIED);
        assert_eq!(steps(&lan, None), []);
        let new = Ipv4Addr::new(198, 51, 100, 7);
        lan.ipv4.address = Some(new);
        assert_eq!(steps(&lan, None).first(), Some(&Step::Add(new, 24)));
        (lan.facts.netmask, lan.facts.ip) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
        assert!(matches!(steps(&lan, None)[..], [Step::Outside(_)]));
    }

    #[test]
    fn what_the_program_cannot_do_is_a_step_that_says_so() {
        let mut lan = lan();
        lan.ipv4.vlan = Some(VlanId { enabled: true, id: 7 });
        lan.ipv4.source = Some(AddressSource::Dhcp);
        assert!(matches!(steps(&lan, None)[..], [Step::Outside(_), Step::Outside(_)]));
        lan.facts.vlan = Some(7);
        assert_eq!(steps(&lan, None).len(), 1);
    }
}
