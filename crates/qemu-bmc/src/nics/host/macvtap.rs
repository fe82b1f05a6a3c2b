//! A macvtap device in passthru mode: the only one on its interface, with all of its frames.
//!
//! Its other end is a character device of its own, `/dev/tapN`, which containers don't have in their `/dev`. So a
//! node is made where it is missing; whether it may be opened is the device cgroup's to say.

use std::{fs, os::fd::OwnedFd};

use netlink_packet_route::link::{InfoData, InfoKind, InfoMacVtap, LinkAttribute, LinkFlags, MacVtapMode};
use rustix::{fs::Dev, io::Errno};

use super::{
    device::{self, Device},
    error::{Error, Missing, failed},
};
use crate::{
    netlink::{Netlink, Refusal},
    os::tap,
};

impl Netlink {
    pub(super) fn make_macvtap(&self, name: &str, lower: u32) -> Result<(), Refusal> {
        let options = vec![InfoMacVtap::Mode(MacVtapMode::Passthrough)];
        self.make(name, InfoKind::MacVtap, InfoData::MacVtap(options), [LinkAttribute::Link(lower)])
    }

    /// Lets a macvtap device take what is not for its own address, groups that it did not join among it. That would
    /// be `IFF_ALLMULTI` too, but in this mode that stays on at the interface when the device has gone.
    pub(super) fn open_macvtap(&self, index: u32) -> Result<(), Refusal> {
        let flags = LinkFlags::Up | LinkFlags::Promisc;
        self.set_flags(index, flags, flags)
    }
}

/// Opens the character device of a macvtap interface, once for each queue.
pub(super) fn open(name: &str, queues: u32, private: &std::path::Path) -> Result<Vec<OwnedFd>, Error> {
    let device = device_of(name)?;
    let major = rustix::fs::major(device.number);
    let many = queues > 1;
    let open = |_| {
        let fd = device::open(&device, private).map_err(|error| match error.errno {
            Errno::PERM | Errno::ACCESS => {
                Error::privilege(format!("open {}", device.path.display()), Missing::MacvtapDevice { major })
            }
            _ => failed(format!("open {}", device.path.display()), None)(error),
        })?;
        let queue = tap::Queue { is_one_of_many: many, is_first: false };
        tap::connect(&fd, name, queue)
            .map_err(|error| failed(format!("set up {}", device.path.display()), None)(error.into()))?;
        Ok(fd)
    };
    (0..queues).map(open).collect()
}

fn device_of(name: &str) -> Result<Device, Error> {
    let folder = format!("/sys/class/net/{name}/macvtap");
    let doing = || format!("find the character device of {name} in {folder}");
    let odd = || failed(doing(), None)(Errno::NODEV.into());
    let entry = fs::read_dir(&folder)
        .and_then(|mut entries| entries.next().transpose())
        .map_err(|error| failed(doing(), None)(error.into()))?
        .ok_or_else(odd)?;
    let number =
        fs::read_to_string(entry.path().join("dev")).map_err(|error| failed(doing(), None)(error.into()))?;
    let (major, minor) = number.trim().split_once(':').ok_or_else(odd)?;
    let (major, minor) = (major.parse().map_err(|_| odd())?, minor.parse().map_err(|_| odd())?);
    let path = std::path::Path::new("/dev").join(entry.file_name());
    Ok(Device { path, number: Dev::from(rustix::fs::makedev(major, minor)) })
}
