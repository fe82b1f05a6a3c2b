//! From descriptor to descriptor, without a guest: the host's part alone.
//!
//! QEMU leaves its descriptor alone while the guest's driver has the NIC down, so frames that are written to a copy
//! of it, and read from another, take the way that the program has laid, and nothing else. The copies are got by
//! pidfd_getfd(2).

use std::{
    fs,
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{FileTypeExt as _, MetadataExt as _},
    },
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{self, AddressFamily, SockFlag, SockProtocol, SockType},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};

use super::{Transfer, namespace::Namespace};
use crate::process::all_time;

/// `struct virtio_net_hdr_mrg_rxbuf`, which stands before each frame at a descriptor that QEMU has set up for a guest
/// with a driver for virtio 1.0.
const VIRTIO_HEADER: usize = 12;

/// For everybody, from nobody in particular, of a type for experiments: bridges send it everywhere, no stack
/// answers it.
const HEAD: [u8; 14] = [2, 0, 0, 0, 0xff, 1, 2, 0, 0, 0, 0xff, 2, 0x88, 0xb5];

/// After which no further frame comes.
const SILENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The clock is looked at once for so many frames.
const TURN: usize = 64;

/// Where frames go in and come out. Its descriptor never blocks.
pub(super) struct End {
    descriptor: OwnedFd,
    /// How many bytes stand before a frame.
    header: usize,
}

impl End {
    /// An interface of a namespace, as a packet socket has it.
    pub(super) fn socket(space: &Namespace, interface: &str) -> anyhow::Result<Self> {
        let descriptor = space.inside(|| {
            let (kind, flags) = (SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK);
            let socket = socket::socket(AddressFamily::Packet, kind, flags, SockProtocol::EthAll)?;
            let all = getifaddrs()?.filter(|found| found.interface_name == interface);
            let address = all.filter_map(|found| found.address?.as_link_addr().copied()).next();
            socket::bind(socket.as_raw_fd(), &address.context("no such interface")?)?;
            Ok(socket)
        });
        let descriptor = descriptor.with_context(|| format!("open a packet socket on {interface}"))?;
        Ok(Self { descriptor, header: 0 })
    }
}

/// QEMU's descriptor of the TAP whose name ends so.
pub(super) fn tap_of(qemu: u32, name: &str) -> anyhow::Result<End> {
    let found = descriptor_of(qemu, |number| {
        let info = fs::read_to_string(format!("/proc/{qemu}/fdinfo/{number}"))?;
        Ok(info.lines().any(|line| line.starts_with("iff:") && line.ends_with(name)))
    });
    found.with_context(|| format!("find QEMU's descriptor of the TAP for {name}"))
}

/// QEMU's descriptor of a macvtap device.
pub(super) fn macvtap_of(qemu: u32) -> anyhow::Result<End> {
    let devices = fs::read_to_string("/proc/devices").context("read /proc/devices")?;
    let line = devices.lines().find_map(|line| line.trim().strip_suffix(" macvtap"));
    let major: u32 = line.context("this kernel has no macvtap")?.parse()?;
    let found = descriptor_of(qemu, |number| {
        let file = fs::metadata(format!("/proc/{qemu}/fd/{number}"))?;
        Ok(file.file_type().is_char_device() && rustix::fs::major(file.rdev()) == major)
    });
    found.context("find QEMU's descriptor of the macvtap device")
}

/// A copy of the first descriptor that is the right one.
fn descriptor_of(qemu: u32, is_right: impl Fn(i32) -> std::io::Result<bool>) -> anyhow::Result<End> {
    for entry in fs::read_dir(format!("/proc/{qemu}/fd"))? {
        let name = entry?.file_name();
        let number: i32 = name.to_string_lossy().parse()?;
        // Others may be closed meanwhile.
        if is_right(number).unwrap_or(false) {
            let pid = i32::try_from(qemu).ok().and_then(Pid::from_raw).context("QEMU's number is none")?;
            let process = pidfd_open(pid, PidfdFlags::empty())?;
            let descriptor = pidfd_getfd(process, number, PidfdGetfdFlags::empty())
                .context("copy the descriptor, which takes CAP_SYS_PTRACE where QEMU is somebody else's")?;
            return Ok(End { descriptor, header: VIRTIO_HEADER });
        }
    }
    bail!("it has none")
}

/// Sends frames of one size for a time, as fast as it goes.
pub(super) fn transfer(from: &End, to: &End, size: usize, time: Duration) -> anyhow::Result<Transfer> {
    let sent = AtomicBool::new(false);
    let before = all_time()?;
    let counted = thread::scope(|scope| {
        let counter = scope.spawn(|| count(to, size, &sent));
        let flooded = flood(from, size, time);
        sent.store(true, Ordering::Release);
        let counted = counter.join().unwrap_or_else(|_| bail!("count frames: it panicked"));
        flooded.and(counted)
    });
    let busy = all_time()?.saturating_sub(before);
    let (frames, took) = counted?;
    if frames == 0 || took.is_zero() {
        bail!("no frame came out");
    }
    Ok(Transfer { amount: frames as f64, took, busy })
}

fn flood(from: &End, size: usize, time: Duration) -> anyhow::Result<()> {
    let mut bytes = vec![0; from.header];
    bytes.extend(HEAD);
    bytes.resize(from.header + size, 0);
    let end = Instant::now() + time;
    while Instant::now() < end {
        for _ in 0..TURN {
            match rustix::io::write(&from.descriptor, &bytes) {
                Ok(_) | Err(Errno::AGAIN | Errno::NOBUFS) => {}
                Err(error) => return Err(error).context("write a frame"),
            }
        }
    }
    Ok(())
}

/// How many frames came before it was silent, and the time from the first to the last.
fn count(to: &End, size: usize, sent: &AtomicBool) -> anyhow::Result<(u64, Duration)> {
    let mut bytes = vec![0; 1 << 16];
    let (mut frames, mut first, mut last) = (0, None, Instant::now());
    loop {
        // Before the wait, for what was sent by then is there after it.
        let is_over = sent.load(Ordering::Acquire);
        let came = poll(&mut [PollFd::new(&to.descriptor, PollFlags::IN)], Some(&SILENCE))?;
        if came == 0 && is_over {
            return Ok((frames, last.duration_since(first.unwrap_or(last))));
        }
        while let Ok(length) = rustix::io::read(&to.descriptor, &mut bytes) {
            let frame = bytes.get(to.header..length).unwrap_or_default();
            if frame.len() == size && frame.starts_with(&HEAD) {
                frames += 1;
            }
        }
        if came > 0 && frames > 0 {
            last = Instant::now();
            first.get_or_insert(last);
        }
    }
}
