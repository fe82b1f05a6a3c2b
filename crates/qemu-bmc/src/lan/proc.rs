//! What `/proc/net` says about routes, neighbours, IPv6 addresses and VLANs: its lines as values (proc(5)).
//! A line that is not as expected says nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use bmc::{Ipv6AddressStatus, Ipv6Fact, Ipv6Source};

/// The default IPv4 route of `/proc/net/route` with the lowest metric, of all or by one interface: its interface
/// and router.
pub(super) fn default_route<'a>(text: &'a str, by: Option<&str>) -> Option<(&'a str, Ipv4Addr)> {
    const GATEWAY: u32 = 0x2;

    let routes = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        let (interface, destination, gateway) =
            (fields.next()?, hex32(fields.next()?)?, hex32(fields.next()?)?);
        let flags = hex32(fields.next()?)?;
        let metric: u32 = fields.nth(2)?.parse().ok()?;
        let mask = hex32(fields.next()?)?;
        // The bytes stand as they lie in memory.
        let router = Ipv4Addr::from(gateway.to_ne_bytes());
        let is_meant = by.is_none_or(|by| by == interface) && destination == 0 && mask == 0;
        (is_meant && flags & GATEWAY != 0).then_some((metric, interface, router))
    });
    routes.min_by_key(|(metric, ..)| *metric).map(|(_, interface, router)| (interface, router))
}

/// The router of the default IPv6 route of an interface (`/proc/net/ipv6_route`).
pub(super) fn default_route_v6(text: &str, interface: &str) -> Option<Ipv6Addr> {
    const GATEWAY: u32 = 0x2;

    let routes = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[destination, length, _, _, router, metric, _, _, flags, name] = fields.as_slice() else {
            return None;
        };
        let is_default = address(destination)?.is_unspecified() && length == "00" && name == interface;
        (is_default && hex32(flags)? & GATEWAY != 0).then_some((hex32(metric)?, address(router)?))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, router)| router)
}

/// The MAC address of a neighbour (`/proc/net/arp`).
pub(super) fn neighbour(text: &str, ip: Ipv4Addr) -> Option<[u8; 6]> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(&ip.to_string()))?;
    mac(line.split_whitespace().nth(3)?).filter(|mac| *mac != [0; 6])
}

/// The addresses of an interface (`/proc/net/if_inet6`).
pub(super) fn ipv6_addresses(text: &str, interface: &str) -> Vec<Ipv6Fact> {
    const PERMANENT: u32 = 0x80;
    const TENTATIVE: u32 = 0x40;
    const DEPRECATED: u32 = 0x20;
    const FAILED: u32 = 0x08;

    let facts = text.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[own, _, prefix, _, flags, name] = fields.as_slice() else { return None };
        let (own, flags) = (address(own)?, hex32(flags)?);
        // The kernel makes a link-local address by itself, and calls it permanent all the same.
        let is_static = flags & PERMANENT != 0 && !own.is_unicast_link_local();
        let status = match flags {
            flags if flags & FAILED != 0 => Ipv6AddressStatus::Failed,
            flags if flags & TENTATIVE != 0 => Ipv6AddressStatus::Pending,
            flags if flags & DEPRECATED != 0 => Ipv6AddressStatus::Deprecated,
            _ => Ipv6AddressStatus::Active,
        };
        (name == interface).then_some(Ipv6Fact {
            address: own,
            prefix: u8::from_str_radix(prefix, 16).ok().filter(|prefix| *prefix <= 128)?,
            source: if is_static { Ipv6Source::Static } else { Ipv6Source::Slaac },
            status,
        })
    });
    facts.collect()
}

/// The VLAN of an interface (`/proc/net/vlan/config`).
pub(super) fn vlan(text: &str, interface: &str) -> Option<u16> {
    let line = text.lines().find(|line| line.split('|').next().map(str::trim) == Some(interface))?;
    line.split('|').nth(1)?.trim().parse().ok().filter(|id| (1..=4094).contains(id))
}

fn hex32(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn address(digits: &str) -> Option<Ipv6Addr> {
    (digits.len() == 32).then(|| u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from))?
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTE: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t00000000\tFE0200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";
    const IPV6_ROUTE: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
";
    const IF_INET6: &str = "\
fd000000000000000000000000000002 04 40 00 82     eth0
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
fd0000000000000000fc00fffe000001 04 40 00 40     eth0
00000000000000000000000000000001 01 80 10 80       lo
";
    const ARP: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0
192.0.2.9        0x1         0x0         00:00:00:00:00:00     *        eth0
";
    const VLAN: &str = "\
VLAN Dev name    | VLAN ID
Name-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD
eth0.7         | 7  | eth0
";

    #[test]
    #[cfg(target_endian = "little")]
    fn the_default_route_is_that_of_the_lowest_metric() {
        assert_eq!(default_route(ROUTE, None), Some(("eth0", Ipv4Addr::new(192, 0, 2, 1))));
        assert_eq!(default_route(ROUTE, Some("eth1")), Some(("eth1", Ipv4Addr::new(192, 0, 2, 254))));
        assert_eq!(default_route(ROUTE, Some("eth2")), None);
        let without: String =
            ROUTE.lines().filter(|line| !line.contains("eth0\t0000")).collect::<Vec<_>>().join("\n");
        assert_eq!(default_route(&without, None), Some(("eth1", Ipv4Addr::new(192, 0, 2, 254))));
        assert_eq!(default_route("", None), None);
    }

    #[test]
    fn the_ipv6_router_is_that_of_the_interface() {
        assert_eq!(default_route_v6(IPV6_ROUTE, "eth0"), Some("fd00::1".parse().unwrap()));
        assert_eq!(default_route_v6(IPV6_ROUTE, "lo"), None);
    }

    #[test]
    fn a_neighbour_that_did_not_answer_has_no_mac_address() {
        assert_eq!(neighbour(ARP, Ipv4Addr::new(192, 0, 2, 1)), Some([2, 0xfc, 0, 0, 0, 5]));
        assert_eq!(neighbour(ARP, Ipv4Addr::new(192, 0, 2, 9)), None);
        assert_eq!(neighbour(ARP, Ipv4Addr::new(192, 0, 2, 2)), None);
    }

    #[test]
    fn ipv6_addresses_have_source_and_status() {
        let found = ipv6_addresses(IF_INET6, "eth0");
        let shown: Vec<_> =
            found.iter().map(|fact| (fact.address.to_string(), fact.source, fact.status)).collect();
        assert_eq!(
            shown,
            [
                ("fd00::2".into(), Ipv6Source::Static, Ipv6AddressStatus::Active),
                ("fe80::fc:ff:fe00:1".into(), Ipv6Source::Slaac, Ipv6AddressStatus::Active),
                ("fd00::fc:ff:fe00:1".into(), Ipv6Source::Slaac, Ipv6AddressStatus::Pending),
            ]
        );
        assert_eq!(found[0].prefix, 64);
    }

    #[test]
    fn an_interface_is_on_a_vlan_or_not() {
        assert_eq!((vlan(VLAN, "eth0.7"), vlan(VLAN, "eth0"), vlan("", "eth0")), (Some(7), None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[0-9a-f:| \t\n]{0,300}|.{0,100}") {
            default_route(&text, None);
            default_route_v6(&text, "eth0");
            neighbour(&text, Ipv4Addr::LOCALHOST);
            ipv6_addresses(&text, "eth0");
            vlan(&text, "eth0");
        }
    }
}
