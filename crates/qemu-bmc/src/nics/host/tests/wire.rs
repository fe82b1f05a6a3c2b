//! Frames as they are: what the lab puts on the wire, and what QEMU reads from the TAP device.

use std::{
    os::fd::{AsRawFd as _, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, bind, socket},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::nics::Tap;

const LIMIT: Duration = Duration::from_secs(10);
/// `struct virtio_net_hdr`, before each frame of a TAP device.
pub(super) const VNET_HEADER: usize = 10;

/// A frame of so many bytes: destination, a source that is nobody's, what follows, and bytes that count up.
pub(super) fn frame(destination: [u8; 6], kind: &[u8], length: usize) -> Vec<u8> {
    let mut frame = destination.to_vec();
    frame.extend([2, 0, 0, 0, 0, 9]);
    frame.extend(kind);
    let fill = (0..length.saturating_sub(frame.len())).map(|number| u8::try_from(number % 251).unwrap());
    frame.extend(fill.collect::<Vec<_>>());
    frame
}

/// Waits for a frame that is as it should be. Others, which the kernel sends by itself, are none of the test's.
fn expect(wanted: &[u8], mut next: impl FnMut() -> Option<Vec<u8>>) {
    let mut others = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        match next() {
            Some(frame) if frame == wanted => return,
            Some(frame) => others.push(frame),
            None => {}
        }
    }
    panic!("a frame of {} bytes did not arrive: {wanted:02x?}\nothers did: {others:02x?}", wanted.len());
}

/// Waits a moment for any of them.
fn wait<'a>(fds: impl IntoIterator<Item = &'a OwnedFd>) {
    let tick = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    let mut fds: Vec<_> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    poll(&mut fds, Some(&tick)).unwrap();
}

/// The lab's side: a packet socket (packet(7)) on its end of the wire.
pub(super) struct Raw(OwnedFd);

impl Raw {
    pub(super) fn open(interface: &str) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).unwrap();
        let address = getifaddrs()
            .unwrap()
            .filter(|found| found.interface_name == interface)
            .find_map(|found| found.address?.as_link_addr().copied())
            .unwrap();
        bind(fd.as_raw_fd(), &address).unwrap();
        Self(fd)
    }

    pub(super) fn send(&self, frame: &[u8]) {
        assert_eq!(rustix::io::write(&self.0, frame).unwrap(), frame.len());
    }

    pub(super) fn next(&self) -> Option<Vec<u8>> {
        wait([&self.0]);
        read(&self.0)
    }

    pub(super) fn expect(&self, frame: &[u8]) {
        expect(frame, || self.next());
    }
}

/// The guest's side: what QEMU does with the descriptor that it is given.
pub(super) struct TapEnd(pub(super) Tap);

impl TapEnd {
    pub(super) fn queue(&self) -> &OwnedFd {
        self.0.queues.first().unwrap()
    }

    pub(super) fn send(&self, frame: &[u8]) {
        send_by(self.queue(), frame);
    }

    /// A frame with the header that says what is left to be done to it.
    pub(super) fn next_with_header(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        wait(&self.0.queues);
        let bytes = self.0.queues.iter().find_map(read)?;
        Some((bytes[..VNET_HEADER].to_vec(), bytes[VNET_HEADER..].to_vec()))
    }

    pub(super) fn expect(&self, frame: &[u8]) {
        expect(frame, || self.next_with_header().map(|(_, frame)| frame));
    }
}

pub(super) fn send_by(queue: &OwnedFd, frame: &[u8]) {
    send_with_header(queue, [0; VNET_HEADER], frame);
}

pub(super) fn send_with_header(queue: &OwnedFd, header: [u8; VNET_HEADER], frame: &[u8]) {
    let bytes = [&header, frame].concat();
    assert_eq!(rustix::io::write(queue, &bytes).unwrap(), bytes.len());
}

fn read(fd: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 70_000];
    match rustix::io::read(fd, &mut bytes) {
        Ok(count) => Some(bytes[..count].to_vec()),
        Err(Errno::AGAIN | Errno::NETDOWN) => None,
        Err(error) => panic!("read a frame: {error}"),
    }
}
