//! The other end of a serial line: a socket, or a terminal that QEMU made.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{Mode, OFlags},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    net::{TcpStream, UnixStream},
};

use crate::os::readiness;

/// A serial line that is connected.
#[derive(Debug)]
pub(crate) enum Wire {
    Unix(UnixStream),
    Tcp(TcpStream),
    /// A pseudoterminal, of which QEMU has the master.
    Terminal(AsyncFd<OwnedFd>),
}

impl Wire {
    /// Opens a terminal such as `/dev/pts/3`, and takes from it what would change a byte on its way.
    pub(super) fn terminal(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(path, flags, Mode::empty())?;
        let mut raw = tcgetattr(&terminal)?;
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw)?;
        readiness::of(terminal, Interest::READABLE | Interest::WRITABLE).map(Self::Terminal)
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.readable().await,
            Self::Tcp(stream) => stream.readable().await,
            Self::Terminal(terminal) => terminal.readable().await.map(|mut ready| ready.retain_ready()),
        }
    }

    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Unix(stream) => stream.writable().await,
            Self::Tcp(stream) => stream.writable().await,
            Self::Terminal(terminal) => terminal.writable().await.map(|mut ready| ready.retain_ready()),
        }
    }

    /// Reads what is there; 0 at the line's end.
    pub(super) fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Unix(stream) => stream.try_read(into),
            Self::Tcp(stream) => stream.try_read(into),
            Self::Terminal(terminal) => {
                terminal.try_io(Interest::READABLE, |terminal| Ok(rustix::io::read(terminal.as_fd(), into)?))
            }
        };
        match read {
            // QEMU ended with input unread, or took its terminal along.
            Err(error) if is_end(&error) => Ok(0),
            read => read,
        }
    }

    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.try_write(bytes),
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Terminal(terminal) => terminal
                .try_io(Interest::WRITABLE, |terminal| Ok(rustix::io::write(terminal.as_fd(), bytes)?)),
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionReset
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::IO)
}
