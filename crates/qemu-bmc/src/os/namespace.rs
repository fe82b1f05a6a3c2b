//! Which network namespace this is.
#![allow(unsafe_code)]

use std::{fs, io, net::UdpSocket, os::fd::AsRawFd as _};

/// A name that no other network namespace has or had: neither one of this boot nor one of another. Empty where the
/// kernel (before 5.14) has no such thing.
pub(crate) fn name() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    cookie().map(|cookie| format!("{}/{cookie}", boot.trim())).unwrap_or_default()
}

/// The number of the calling thread's namespace, which is not used again while the system is up (socket(7)).
fn cookie() -> io::Result<u64> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).or_else(|_| UdpSocket::bind(("::", 0)))?;
    let mut cookie = 0u64;
    let mut size = libc::socklen_t::try_from(size_of_val(&cookie)).map_err(io::Error::other)?;
    // SAFETY: the option is 64 bits, for which there is room.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut size,
        )
    };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}
