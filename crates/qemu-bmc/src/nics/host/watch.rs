//! Being told when an interface comes, goes or changes.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket};
use rustix::{io::Errno, net::RecvFlags};
use tokio::io::unix::AsyncFd;

use crate::os::readiness;

/// The multicast groups that are listened to: changes to links (`RTMGRP_LINK` of linux/rtnetlink.h).
const GROUPS: u32 = 1;

/// Says that something changed, not what: after a change the interfaces are listed anew. So nothing is missed
/// where changes come faster than they are read, and the kernel drops some.
#[derive(Debug)]
pub(crate) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Must be called within a tokio runtime.
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        readiness::readable(socket).map(Self)
    }

    /// Waits until an interface changed after the last call, or before it, if nobody asked in between. Nothing is
    /// lost if the wait is given up.
    ///
    /// # Errors
    /// The kernel says nothing more.
    pub(crate) async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let mut is_changed = false;
            loop {
                // A byte of each message is enough; the rest goes with it.
                match rustix::net::recv(ready.get_inner(), &mut [0; 1], RecvFlags::empty()) {
                    Ok(_) | Err(Errno::NOBUFS) => is_changed = true,
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if is_changed {
                return Ok(());
            }
        }
    }
}
