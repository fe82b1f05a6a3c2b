//! Changes to an interface, by the kernel's own protocol.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr},
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType},
};
use nix::net::if_::if_nametoindex;

use super::steps::Step;
use crate::netlink::Netlink;

/// Does one step. A step that is not the program's is an error that says so.
pub(super) fn apply(step: &Step, interface: &str) -> Result<(), Box<dyn Error>> {
    let index = if_nametoindex(interface)?;
    let netlink = Netlink::open()?;
    let replace = |request| netlink.change(request, NLM_F_CREATE | NLM_F_REPLACE);
    let add = |ip, prefix| replace(RouteNetlinkMessage::NewAddress(address(ip, prefix, index)));
    let remove = |ip, prefix| netlink.change(RouteNetlinkMessage::DelAddress(address(ip, prefix, index)), 0);
    match *step {
        Step::Add(ip, prefix) => add(ip.into(), prefix)?,
        Step::AddV6(ip, prefix) => add(ip.into(), prefix)?,
        Step::Remove(ip, prefix) => remove(ip.into(), prefix)?,
        Step::RemoveV6(ip, prefix) => remove(ip.into(), prefix)?,
        Step::Route(router) => replace(RouteNetlinkMessage::NewRoute(default_route(router, index)))?,
        Step::Outside(_) => return Err("this program cannot".into()),
    }
    Ok(())
}

fn address(ip: IpAddr, prefix: u8, index: u32) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if ip.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
}

fn default_route(router: Ipv4Addr, index: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.attributes =
        vec![RouteAttribute::Gateway(RouteAddress::Inet(router)), RouteAttribute::Oif(index)];
    message
}
