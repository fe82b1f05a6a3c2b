//! Changes to an interface, by the kernel's own protocol (rtnetlink(7)): one request, one answer.

use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd as _,
};

use nix::{
    net::if_::if_nametoindex,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendmsg, socket,
    },
};

use super::steps::Step;

// linux/netlink.h and linux/rtnetlink.h
const NLMSG_ERROR: u16 = 2;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const REQUEST_AND_ACKNOWLEDGE: u16 = 0x01 | 0x04;
const CREATE_OR_REPLACE: u16 = 0x100 | 0x400;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const HEADER_SIZE: u32 = 16;

/// Does one step. A step that is not the program's is an error that says so.
pub(super) fn apply(step: &Step, interface: &str) -> io::Result<()> {
    let index = if_nametoindex(interface)?;
    let request = match *step {
        Step::Add(ip, prefix) => address(RTM_NEWADDR, ip.into(), prefix, index),
        Step::Remove(ip, prefix) => address(RTM_DELADDR, ip.into(), prefix, index),
        Step::AddV6(ip, prefix) => address(RTM_NEWADDR, ip.into(), prefix, index),
        Step::RemoveV6(ip, prefix) => address(RTM_DELADDR, ip.into(), prefix, index),
        Step::Route(router) => default_route(router, index),
        Step::Outside(_) => return Err(io::Error::new(io::ErrorKind::Unsupported, "this program cannot")),
    };
    transact(&request)
}

/// A message with its header; `kind` makes something or removes it.
fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let flags = REQUEST_AND_ACKNOWLEDGE | if kind == RTM_DELADDR { 0 } else { CREATE_OR_REPLACE };
    let length = HEADER_SIZE + u32::try_from(body.len()).unwrap_or_default();
    let mut message = Vec::with_capacity(128);
    message.extend(length.to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    // Sequence number and sender: there is one request, and the kernel knows who.
    message.extend([1u32, 0].into_iter().flat_map(u32::to_ne_bytes));
    message.extend(body);
    message
}

fn address(kind: u16, ip: IpAddr, prefix: u8, index: u32) -> Vec<u8> {
    let (family, octets) = match ip {
        IpAddr::V4(ip) => (AF_INET, ip.octets().to_vec()),
        IpAddr::V6(ip) => (AF_INET6, ip.octets().to_vec()),
    };
    let mut body = vec![family, prefix, 0, 0];
    body.extend(index.to_ne_bytes());
    attribute(&mut body, IFA_LOCAL, &octets);
    attribute(&mut body, IFA_ADDRESS, &octets);
    message(kind, &body)
}

fn default_route(router: Ipv4Addr, index: u32) -> Vec<u8> {
    const MAIN_TABLE: u8 = 254;
    const STATIC: u8 = 4;
    const UNIVERSE: u8 = 0;
    const UNICAST: u8 = 1;

    let mut body = vec![AF_INET, 0, 0, 0, MAIN_TABLE, STATIC, UNIVERSE, UNICAST, 0, 0, 0, 0];
    attribute(&mut body, RTA_GATEWAY, &router.octets());
    attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
    message(RTM_NEWROUTE, &body)
}

/// All that is used here is a multiple of four bytes long, so nothing is padded.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = 4 + u16::try_from(value.len()).unwrap_or_default();
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
}

fn transact(request: &[u8]) -> io::Result<()> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let kernel = NetlinkAddr::new(0, 0);
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(request)], &[], MsgFlags::empty(), Some(&kernel))?;
    // The kernel has answered when the request has been sent.
    let mut answer = [0; 1024];
    let count = recv(socket.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    outcome(answer.get(..count).unwrap_or_default())
}

/// An acknowledgement is an error of number 0.
fn outcome(answer: &[u8]) -> io::Result<()> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "an answer of the kernel's that is none");
    let (&[_, _, _, _, kind_0, kind_1, ..], rest) = answer.split_first_chunk::<16>().ok_or_else(odd)?;
    let number = rest.first_chunk().copied().map(i32::from_ne_bytes).ok_or_else(odd)?;
    match (u16::from_ne_bytes([kind_0, kind_1]), number) {
        (NLMSG_ERROR, 0) => Ok(()),
        (NLMSG_ERROR, number) => Err(io::Error::from_raw_os_error(number.saturating_neg())),
        _ => Err(odd()),
    }
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_added_with_prefix_and_interface() {
        let expected = [
            40, 0, 0, 0, 20, 0, 0x05, 0x05, 1, 0, 0, 0, 0, 0, 0, 0, // header
            2, 24, 0, 0, 7, 0, 0, 0, // family, prefix, flags, scope, index
            8, 0, 2, 0, 192, 0, 2, 5, // local
            8, 0, 1, 0, 192, 0, 2, 5, // address
        ];
        assert_eq!(address(RTM_NEWADDR, Ipv4Addr::new(192, 0, 2, 5).into(), 24, 7), expected);
        let removed = address(RTM_DELADDR, Ipv4Addr::new(192, 0, 2, 5).into(), 24, 7);
        assert_eq!(removed[4..8], [21, 0, 0x05, 0]);
    }

    #[test]
    fn a_route_is_that_to_everywhere() {
        let route = default_route(Ipv4Addr::new(192, 0, 2, 1), 7);
        assert_eq!(route.len(), 44);
        assert_eq!(route[16..28], [2, 0, 0, 0, 254, 4, 0, 1, 0, 0, 0, 0]);
        assert_eq!(route[28..], [8, 0, 5, 0, 192, 0, 2, 1, 8, 0, 4, 0, 7, 0, 0, 0]);
    }

    #[test]
    fn an_answer_is_an_error_or_none() {
        let answer = |kind: u8, number: i32| {
            let mut answer = vec![36, 0, 0, 0, kind, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
            answer.extend(number.to_ne_bytes());
            outcome(&answer)
        };
        assert!(answer(2, 0).is_ok());
        assert_eq!(answer(2, -1).unwrap_err().raw_os_error(), Some(1));
        assert!(answer(3, 0).is_err());
        assert!(outcome(&[]).is_err() && outcome(&[0; 18]).is_err());
    }
}
