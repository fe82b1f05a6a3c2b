//! An interface's addresses and routes: taken away while its frames are the guest's, and put back.
//!
//! The kernel's own descriptions of them are kept, byte for byte, and given back to it as requests: so a label, a
//! scope, a lifetime or a metric comes back too, also one that this program has never heard of.

use std::fmt::Write as _;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage, address::AddressMessage, route::RouteMessage,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::netlink::{Netlink, Refusal, attributes, number};

// linux/rtnetlink.h
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const ROUTE_HEADER_SIZE: usize = 12;
const ROUTE_FLAGS: std::ops::Range<usize> = 8..12;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
const RTNH_F_ONLINK: u32 = 4;
/// Routes that the kernel makes of a redirect, of an address and of a router's advertisement, and makes again.
const MADE_BY_ITSELF: [u8; 3] = [1, 2, 9];

/// The body of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Kept(Vec<u8>);

impl From<Kept> for String {
    fn from(kept: Kept) -> Self {
        kept.0.iter().fold(Self::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

impl TryFrom<String> for Kept {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = text.as_bytes().as_chunks() else { return Err("an odd number of digits") };
        let byte = |&[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
        pairs.iter().map(byte).collect::<Option<_>>().map(Self).ok_or("no hexadecimal digits")
    }
}

impl Netlink {
    /// The addresses of an interface, in an order in which they can be made so that they are listed as they are
    /// now: of IPv4 the oldest comes first, on which others may depend, and of IPv6 the newest.
    pub(super) fn addresses(&self, index: u32) -> Result<Vec<Kept>, Refusal> {
        let mut all = self.list(&RouteNetlinkMessage::GetAddress(AddressMessage::default()))?;
        all.retain(|body| body.get(4..).and_then(number) == Some(index));
        let inet6 = u8::from(AddressFamily::Inet6);
        let (newest_first, oldest_first): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|body| body.first() == Some(&inet6));
        Ok(oldest_first.into_iter().chain(newest_first.into_iter().rev()).map(Kept).collect())
    }

    /// The routes by an interface that do not come with its addresses, in an order in which they can be made.
    pub(super) fn routes(&self, index: u32) -> Result<Vec<Kept>, Refusal> {
        let all = self.list(&RouteNetlinkMessage::GetRoute(RouteMessage::default()))?;
        let mut routes: Vec<_> =
            all.into_iter().filter(|body| is_somebodys_route(body, index)).map(without_state).collect();
        let by_others = [RTA_GATEWAY, RTA_VIA, RTA_MULTIPATH];
        routes.sort_by_key(|route| by_others.iter().any(|kind| attribute(&route.0, *kind).is_some()));
        Ok(routes)
    }

    pub(super) fn remove_address(&self, address: &Kept) -> Result<(), Refusal> {
        match self.replay(RTM_DELADDR, &address.0, 0) {
            // It went with another one.
            Err(Refusal { errno: Errno::ADDRNOTAVAIL, .. }) => Ok(()),
            outcome => outcome,
        }
    }

    pub(super) fn put_back_address(&self, address: &Kept) -> Result<(), Refusal> {
        self.put_back(RTM_NEWADDR, address)
    }

    pub(super) fn put_back_route(&self, route: &Kept) -> Result<(), Refusal> {
        self.put_back(RTM_NEWROUTE, route)
    }

    fn put_back(&self, kind: u16, kept: &Kept) -> Result<(), Refusal> {
        match self.replay(kind, &kept.0, NLM_F_CREATE | NLM_F_EXCL) {
            Err(Refusal { errno: Errno::EXIST, .. }) => Ok(()),
            outcome => outcome,
        }
    }
}

fn is_somebodys_route(body: &[u8], index: u32) -> bool {
    let &[family, _, _, _, _, protocol, ..] = body else { return false };
    let is_ip = [AddressFamily::Inet, AddressFamily::Inet6].map(u8::from).contains(&family);
    let is_by_it = attribute(body, RTA_OIF).and_then(number) == Some(index)
        || ways(body).any(|interface| interface == index);
    is_ip && is_by_it && !MADE_BY_ITSELF.contains(&protocol)
}

/// The interfaces of a route that has several ways. Each way begins with its length, its flags and its interface.
fn ways(body: &[u8]) -> impl Iterator<Item = u32> {
    let mut rest = attribute(body, RTA_MULTIPATH).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let interface = rest.get(4..).and_then(number)?;
        rest = rest.get(length.max(8).next_multiple_of(4)..).unwrap_or_default();
        Some(interface)
    })
}

fn attribute(body: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(body, ROUTE_HEADER_SIZE).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// A route's flags also say how it fares, which is not for others to say.
fn without_state(mut body: Vec<u8>) -> Kept {
    if let Some(flags) = body.get_mut(ROUTE_FLAGS) {
        let kept = number(flags).unwrap_or_default() & RTNH_F_ONLINK;
        flags.copy_from_slice(&kept.to_ne_bytes());
    }
    Kept(body)
}
