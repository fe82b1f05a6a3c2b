//! Which interface IPMI is reached by, and what it has.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
};

use bmc::{Gateway, LanFacts};
use nix::{ifaddrs::InterfaceAddress, sys::socket::SockaddrLike as _};

use super::proc;

/// Looks at the interface that IPMI is bound to, else at the one that has the address that IPMI is bound to; if it is
/// bound to all, at the one of the default route, else at eth0, else at the first that is not loopback, else at
/// loopback.
pub(super) fn gather(bound: Option<IpAddr>, interface: Option<&str>) -> LanFacts {
    let addresses: Vec<InterfaceAddress> = match nix::ifaddrs::getifaddrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => {
            tracing::debug!("list the network interfaces: {error}");
            return LanFacts::default();
        }
    };
    let read = |name: &str| fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
    let routes = read("route");
    let route = proc::default_route(&routes, interface);
    let interface = match interface {
        Some(interface) => interface.to_owned(),
        None => choose(&addresses, bound, route.map(|(interface, _)| interface)),
    };
    let own = || addresses.iter().filter(|address| address.interface_name == interface);

    let mac = own().find_map(|own| own.address.as_ref()?.as_link_addr()?.addr()).unwrap_or_default();
    let (ip, netmask) = ipv4(own(), bound);
    let router = route.filter(|(name, _)| *name == interface).map(|(_, router)| router);
    let inet6 = read("if_inet6");
    LanFacts {
        mac,
        ip,
        netmask,
        gateway: router.map(|address| Gateway {
            address,
            mac: proc::neighbour(&read("arp"), address).unwrap_or_default(),
        }),
        vlan: proc::vlan(&read("vlan/config"), &interface),
        ipv6: proc::ipv6_addresses(&inet6, &interface),
        // The kernel tells IPv6 neighbours by netlink alone.
        ipv6_gateway: proc::default_route_v6(&read("ipv6_route"), &interface)
            .map(|address| Gateway { address, mac: [0; 6] }),
        interface,
        ..LanFacts::default()
    }
}

fn choose(addresses: &[InterfaceAddress], bound: Option<IpAddr>, routed: Option<&str>) -> String {
    let names = || addresses.iter().map(|address| address.interface_name.as_str());
    let has = |name: &str| names().any(|other| other == name);
    let with_address = bound.and_then(|bound| {
        let owner = addresses.iter().find(|address| ip(address) == Some(bound));
        owner.map(|owner| owner.interface_name.as_str())
    });
    let is_loopback = |name: &str| name == "lo";
    with_address
        .or(bound.filter(IpAddr::is_loopback).map(|_| "lo"))
        .or(routed)
        .or(Some("eth0").filter(|name| has(name)))
        .or_else(|| names().find(|name| !is_loopback(name)))
        .unwrap_or("lo")
        .to_owned()
}

/// The address that is bound, else the first one, and its mask.
fn ipv4<'a>(own: impl Iterator<Item = &'a InterfaceAddress>, bound: Option<IpAddr>) -> (Ipv4Addr, Ipv4Addr) {
    let own: Vec<(Ipv4Addr, Ipv4Addr)> = own
        .filter_map(|own| {
            let mask = own.netmask.as_ref().and_then(|mask| mask.as_sockaddr_in());
            let address = own.address.as_ref()?.as_sockaddr_in()?.ip();
            Some((address, mask.map_or(Ipv4Addr::BROADCAST, |mask| mask.ip())))
        })
        .collect();
    let Some(IpAddr::V4(bound)) = bound else {
        return own.first().copied().unwrap_or((Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED));
    };
    // Loopback has every address of 127.0.0.0/8, and lists one.
    let of_network = |mask: Ipv4Addr, address: Ipv4Addr| address & mask == bound & mask;
    let mask = own
        .iter()
        .find(|(address, _)| *address == bound)
        .or_else(|| own.iter().find(|(address, mask)| of_network(*mask, *address)))
        .map_or(Ipv4Addr::BROADCAST, |(_, mask)| *mask);
    (bound, mask)
}

fn ip(address: &InterfaceAddress) -> Option<IpAddr> {
    let address = address.address.as_ref()?;
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => Some(address.as_sockaddr_in()?.ip().into()),
        nix::sys::socket::AddressFamily::Inet6 => Some(address.as_sockaddr_in6()?.ip().into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_loopback_has_loopback_s_mask() {
        let bound = Ipv4Addr::new(127, 7, 8, 9);
        let facts = gather(Some(bound.into()), None);
        assert_eq!((facts.interface.as_str(), facts.ip), ("lo", bound));
        assert_eq!((facts.netmask, facts.mac), (Ipv4Addr::new(255, 0, 0, 0), [0; 6]));
    }

    #[test]
    fn without_an_address_some_interface_is_chosen() {
        let facts = gather(None, None);
        assert!(!facts.interface.is_empty());
    }

    #[test]
    fn the_order_of_choice() {
        let named = |name: &str| InterfaceAddress {
            interface_name: name.into(),
            flags: nix::net::if_::InterfaceFlags::empty(),
            address: None,
            netmask: None,
            broadcast: None,
            destination: None,
        };
        let all = [named("lo"), named("docker0"), named("eth0")];
        assert_eq!(choose(&all, None, Some("docker0")), "docker0");
        assert_eq!(choose(&all, None, None), "eth0");
        assert_eq!(choose(&all[..2], None, None), "docker0");
        assert_eq!(choose(&all[..1], None, None), "lo");
        assert_eq!(choose(&all, Some(Ipv4Addr::LOCALHOST.into()), Some("eth0")), "lo");
        assert_eq!(choose(&all, Some(Ipv4Addr::new(192, 0, 2, 1).into()), Some("eth0")), "eth0");
    }
}
