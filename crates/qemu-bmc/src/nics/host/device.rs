//! Character devices that a container may lack in its `/dev` and yet be allowed to open.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{CWD, Dev, FileType, Mode, OFlags},
    io::Errno,
};

use crate::netlink::Refusal;

/// A device by its usual path and its number.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) path: PathBuf,
    pub(super) number: Dev,
}

impl Device {
    /// What makes TAP devices.
    pub(super) fn tun() -> Self {
        Self { path: "/dev/net/tun".into(), number: rustix::fs::makedev(10, 200) }
    }

    /// What carries frames between a TAP device and a guest's virtio queues inside the kernel.
    pub(super) fn vhost_net() -> Self {
        Self { path: "/dev/vhost-net".into(), number: rustix::fs::makedev(10, 238) }
    }
}

/// Opens a device, by a node made in this folder for a moment if there is none at its path.
pub(super) fn open(device: &Device, private: &Path) -> Result<OwnedFd, Refusal> {
    match open_path(&device.path, device.number) {
        Err(Errno::NOENT) => {}
        outcome => return Ok(outcome?),
    }
    let (major, minor) = (rustix::fs::major(device.number), rustix::fs::minor(device.number));
    let node = private.join(format!(".device-{major}-{minor}-{}", std::process::id()));
    let _ = rustix::fs::unlink(&node);
    rustix::fs::mknodat(CWD, &node, FileType::CharacterDevice, Mode::RUSR | Mode::WUSR, device.number)
        .map_err(|_| Errno::NOENT)?;
    let opened = open_path(&node, device.number);
    let _ = rustix::fs::unlink(&node);
    Ok(opened?)
}

/// In `/dev/tapN` there may be the device of another network namespace, whose numbers are the same.
fn open_path(path: &Path, number: Dev) -> Result<OwnedFd, Errno> {
    if rustix::fs::stat(path)?.st_rdev != number {
        return Err(Errno::NOENT);
    }
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}
