//! A UDP socket that knows to which of its host's addresses a datagram came.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd as _,
    task::{Context, Poll},
};

use nix::{
    cmsg_space,
    libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo},
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrStorage, recvmsg,
        sendmsg, setsockopt, sockopt,
    },
};
use socket2::{Domain, Protocol, Type};
use tokio::{io::Interest, net::UdpSocket};

/// Room for requests that arrive while one is being answered.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Where a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Local {
    pub(super) socket: usize,
    /// The host's address; none where the kernel did not say.
    pub(super) address: Option<IpAddr>,
    /// The interface, which a link-local address needs.
    interface: u32,
}

#[derive(Debug)]
pub(super) struct Socket {
    udp: UdpSocket,
    address: SocketAddr,
}

impl Socket {
    /// Binds a socket to an address, and to an interface if only what comes by that is meant.
    pub(super) fn bind(address: SocketAddr, interface: Option<&str>) -> io::Result<Self> {
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        if let Some(interface) = interface {
            setsockopt(&socket, sockopt::BindToDevice, &interface.into())?;
        }
        // The kernel's maximum may be less, which is no reason to fail.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.bind(&address.into())?;
        let udp = UdpSocket::from_std(socket.into())?;
        let address = udp.local_addr()?;
        Ok(Self { udp, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.udp.poll_recv_ready(context)
    }

    /// One datagram: its length, where it came from, and where it came to.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, Local)> {
        self.udp.try_io(Interest::READABLE, || {
            let mut control = cmsg_space!(in6_pktinfo, in_pktinfo);
            let mut parts = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let message =
                recvmsg::<SockaddrStorage>(self.udp.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
            let mut local = Local { socket: 0, address: None, interface: 0 };
            for part in message.cmsgs()? {
                match part {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        local.address = Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                        local.interface = u32::try_from(info.ipi_ifindex).unwrap_or_default();
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        local.address = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                        local.interface = info.ipi6_ifindex;
                    }
                    _ => {}
                }
            }
            let peer = message.address.as_ref().and_then(address_of);
            let peer = peer.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
            Ok((message.bytes, peer, local))
        })
    }

    /// Sends from the address that a datagram came to.
    pub(super) fn send(&self, bytes: &[u8], peer: SocketAddr, from: &Local) -> io::Result<()> {
        let parts = [IoSlice::new(bytes)];
        let (fd, flags) = (self.udp.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        match (peer, from.address) {
            (SocketAddr::V4(peer), Some(IpAddr::V4(address))) => {
                let info = in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: in_addr { s_addr: u32::from_ne_bytes(address.octets()) },
                    ipi_addr: in_addr { s_addr: 0 },
                };
                sendmsg(
                    fd,
                    &parts,
                    &[ControlMessage::Ipv4PacketInfo(&info)],
                    flags,
                    Some(&SockaddrIn::from(peer)),
                )?;
            }
            (SocketAddr::V6(peer), Some(IpAddr::V6(address))) => {
                let interface = if address.is_unicast_link_local() { from.interface } else { 0 };
                let info = in6_pktinfo {
                    ipi6_addr: in6_addr { s6_addr: address.octets() },
                    ipi6_ifindex: interface,
                };
                sendmsg(
                    fd,
                    &parts,
                    &[ControlMessage::Ipv6PacketInfo(&info)],
                    flags,
                    Some(&SockaddrIn6::from(peer)),
                )?;
            }
            (peer, _) => drop(self.udp.try_send_to(bytes, peer)?),
        }
        Ok(())
    }
}

fn address_of(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = storage.as_sockaddr_in() {
        return Some(SocketAddrV4::new(v4.ip(), v4.port()).into());
    }
    let v6 = storage.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(v6.ip(), v6.port(), v6.flowinfo(), v6.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo(server: &str, client: &str, target: &str) -> SocketAddr {
        let socket = Socket::bind(server.parse().unwrap(), None).unwrap();
        let asking = UdpSocket::bind(client).await.unwrap();
        let target = SocketAddr::new(target.parse().unwrap(), socket.address().port());
        asking.send_to(b"ping", target).await.unwrap();
        std::future::poll_fn(|context| socket.poll_readable(context)).await.unwrap();
        let mut buffer = [0; 100];
        let (count, peer, local) = socket.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"ping");
        socket.send(b"pong", peer, &local).unwrap();
        let (count, from) = asking.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..count], b"pong");
        assert_eq!(from, target, "the answer comes from where the question went");
        from
    }

    #[tokio::test]
    async fn answers_leave_from_the_address_that_was_asked() {
        echo("0.0.0.0:0", "127.0.0.1:0", "127.0.0.77").await;
        echo("127.0.0.3:0", "127.0.0.1:0", "127.0.0.3").await;
        if std::net::UdpSocket::bind("[::1]:0").is_ok() {
            echo("[::]:0", "[::1]:0", "::1").await;
        }
    }
}
