//! Interfaces: what they are, and what can be set of each by its index.

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, LinkAttribute, LinkFlags, LinkInfo,
        LinkMessage,
    },
};
use rustix::io::Errno;

use super::super::Link;
use crate::netlink::{Netlink, Refusal, attributes, number};

// linux/if_link.h
const HEADER_SIZE: usize = 16;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_MAX_MTU: u16 = 51;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ARPHRD_ETHER: u16 = 1;

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: u32,
    pub(super) flags: LinkFlags,
    pub(super) mtu: u32,
    pub(super) max_mtu: Option<u32>,
    pub(super) is_ethernet: bool,
    pub(super) is_bridge: bool,
    /// The bridge that it is a port of.
    pub(super) bridge: Option<u32>,
    /// How it makes IPv6 addresses of its own; none if it has no IPv6.
    pub(super) address_generation: Option<u8>,
}

impl Interface {
    fn read(body: &[u8]) -> Option<Self> {
        let (&[_, _, type_0, type_1, a, b, c, d, e, f, g, h], _) = body.split_first_chunk()?;
        let mut found = Self {
            name: String::new(),
            index: u32::from_ne_bytes([a, b, c, d]),
            flags: LinkFlags::from_bits_retain(u32::from_ne_bytes([e, f, g, h])),
            mtu: 0,
            max_mtu: None,
            is_ethernet: u16::from_ne_bytes([type_0, type_1]) == ARPHRD_ETHER,
            is_bridge: false,
            bridge: None,
            address_generation: None,
        };
        for (kind, value) in attributes(body, HEADER_SIZE) {
            match kind {
                IFLA_IFNAME => found.name = std::str::from_utf8(value).ok()?.trim_end_matches('\0').into(),
                IFLA_MTU => found.mtu = number(value)?,
                IFLA_MASTER => found.bridge = number(value),
                // 0 is no limit.
                IFLA_MAX_MTU => found.max_mtu = number(value).filter(|limit| *limit != 0),
                IFLA_LINKINFO => {
                    let mut info = attributes(value, 0);
                    found.is_bridge =
                        info.any(|(kind, value)| kind == IFLA_INFO_KIND && value == b"bridge\0");
                }
                IFLA_AF_SPEC => found.address_generation = address_generation(value),
                _ => {}
            }
        }
        Some(found)
    }

    pub(super) fn is(&self, flag: LinkFlags) -> bool {
        self.flags.contains(flag)
    }
}

fn address_generation(families: &[u8]) -> Option<u8> {
    let inet6 = u16::from(u8::from(AddressFamily::Inet6));
    let (_, inet6) = attributes(families, 0).find(|(family, _)| *family == inet6)?;
    let (_, mode) = attributes(inet6, 0).find(|(kind, _)| *kind == IFLA_INET6_ADDR_GEN_MODE)?;
    mode.first().copied()
}

impl From<Interface> for Link {
    fn from(found: Interface) -> Self {
        let up = found.is(LinkFlags::Up | LinkFlags::LowerUp);
        Self { name: found.name, index: found.index, mtu: found.mtu, up }
    }
}

impl Netlink {
    pub(super) fn interfaces(&self) -> Result<Vec<Interface>, Refusal> {
        let all = self.list(&RouteNetlinkMessage::GetLink(LinkMessage::default()))?;
        Ok(all.iter().filter_map(|body| Interface::read(body)).collect())
    }

    pub(super) fn interface(&self, name: &str) -> Result<Option<Interface>, Refusal> {
        let mut request = LinkMessage::default();
        request.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        self.one(request)
    }

    pub(super) fn interface_at(&self, index: u32) -> Result<Option<Interface>, Refusal> {
        self.one(at(index))
    }

    fn one(&self, request: LinkMessage) -> Result<Option<Interface>, Refusal> {
        match self.get(RouteNetlinkMessage::GetLink(request)) {
            Ok(body) => Ok(Interface::read(&body)),
            Err(Refusal { errno: Errno::NODEV, .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Sets those flags of `which` that are in `flags`, and clears the others.
    pub(super) fn set_flags(&self, index: u32, which: LinkFlags, flags: LinkFlags) -> Result<(), Refusal> {
        let mut request = at(index);
        request.header.flags = flags & which;
        request.header.change_mask = which;
        self.set(request)
    }

    pub(super) fn set_mtu(&self, index: u32, mtu: u32) -> Result<(), Refusal> {
        self.set_attribute(index, LinkAttribute::Mtu(mtu))
    }

    /// How an interface makes IPv6 addresses of its own.
    pub(super) fn set_address_generation(&self, index: u32, mode: In6AddrGenMode) -> Result<(), Refusal> {
        let inet6 = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)]);
        self.set_attribute(index, LinkAttribute::AfSpecUnspec(vec![inet6]))
    }

    pub(super) fn set_attribute(&self, index: u32, attribute: LinkAttribute) -> Result<(), Refusal> {
        let mut request = at(index);
        request.attributes = vec![attribute];
        self.set(request)
    }

    /// Sets what is peculiar to an interface's kind, which the kernel takes by the message that makes interfaces.
    pub(super) fn set_info(&self, index: u32, info: Vec<LinkInfo>) -> Result<(), Refusal> {
        let mut request = at(index);
        request.attributes = vec![LinkAttribute::LinkInfo(info)];
        self.change(RouteNetlinkMessage::NewLink(request), 0)
    }

    fn set(&self, request: LinkMessage) -> Result<(), Refusal> {
        self.change(RouteNetlinkMessage::SetLink(request), 0)
    }

    /// Makes an interface of this kind.
    pub(super) fn make(
        &self,
        name: &str,
        kind: InfoKind,
        data: InfoData,
        others: impl IntoIterator<Item = LinkAttribute>,
    ) -> Result<(), Refusal> {
        let mut request = LinkMessage::default();
        let info = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]);
        request.attributes = vec![LinkAttribute::IfName(name.to_owned()), info];
        request.attributes.extend(others);
        self.change(RouteNetlinkMessage::NewLink(request), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Removes an interface, and says whether it was there.
    pub(super) fn remove(&self, name: &str) -> Result<bool, Refusal> {
        let mut request = LinkMessage::default();
        request.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        match self.change(RouteNetlinkMessage::DelLink(request), 0) {
            Err(Refusal { errno: Errno::NODEV, .. }) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }
}

fn at(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}
