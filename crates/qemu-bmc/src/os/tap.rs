//! TAP devices: an Ethernet interface of the kernel's whose other end is a descriptor.
//!
//! ```text
//!   the kernel ── qb-eth2 ══ descriptor (one for each queue) ── QEMU ── the guest's NIC
//! ```
//!
//! A device is made by asking `/dev/net/tun` for it and vanishes with the last descriptor, so whoever holds them
//! decides how long it lives (Documentation/networking/tuntap.rst of Linux). A macvtap device's descriptors take
//! the same calls.
#![allow(unsafe_code)]

use std::{
    io,
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd as _},
};

/// The longest name of an interface, without the zero at its end.
pub(crate) const NAME_MAX: usize = libc::IFNAMSIZ - 1;

/// How a descriptor is to be connected with its device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queue {
    /// The device has several queues, of which this is one.
    pub(crate) is_one_of_many: bool,
    /// There must be no such device yet.
    pub(crate) is_first: bool,
}

/// Connects a descriptor of `/dev/net/tun` with the TAP device of this name, or sets how frames are read from one
/// of a macvtap device, whose name is as good as any: Ethernet frames, each after a virtio-net header that says
/// what was offloaded (linux/virtio_net.h).
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN`, `EBUSY` if there is such a device already, `EINVAL` for a name that is none.
pub(crate) fn connect(fd: impl AsFd, name: &str, queue: Queue) -> io::Result<()> {
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    if queue.is_one_of_many {
        flags |= libc::IFF_MULTI_QUEUE;
    }
    if queue.is_first {
        flags |= libc::IFF_TUN_EXCL;
    }
    // SAFETY: all of it are numbers and a union of such, for which zeros are values.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    if name.len() > NAME_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    let flags = u16::try_from(flags).map_err(io::Error::other)?;
    request.ifr_ifru.ifru_flags = flags.cast_signed();
    // SAFETY: the request reads and writes a `struct ifreq`, which this is.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Says what of the kernel's work the reader of a TAP device does itself (`TUN_F_…` of linux/if_tun.h), as QEMU says
/// it when it learns what the guest's driver can do.
#[cfg(test)]
pub(crate) fn set_offloads(fd: impl AsFd, offloads: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the request takes a number.
    let done = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TUNSETOFFLOAD, offloads) };
    if done == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
