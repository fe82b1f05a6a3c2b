//! Where a machine connects its interface to that was started by something else.
//!
//! Whoever connects here is the guest, and the guest has no password: so this is a socket of the file system, or
//! a port that nobody else should reach.
//!
//! QEMU says by itself what it speaks as soon as it is connected. Who doesn't is no machine and is let go, and
//! keeps nobody out meanwhile:
//!
//! ```text
//!   connects ──▶ silent ── says its version, or what it can do ──▶ waits for its turn ──▶ is the machine
//!                  └── says nothing of it in time ──▶ let go         └── another waits already ──▶ let go
//! ```

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::mpsc,
    task::JoinSet,
    time,
};

use crate::endpoint::Endpoint;

/// How long a connection has to say what it is.
const INTRODUCTION: Duration = Duration::from_secs(2);

/// More than an introduction has, and what QEMU may say after it meanwhile.
const INTRODUCTION_MAX: usize = 1024;

/// So many connections are waited for at once.
const SILENT_MAX: usize = 32;

/// How long after the last word of a peer its kernel is asked whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long to wait after a connection that failed, such as for too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A place that is listened on.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn try_read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(bytes),
            Self::Unix(stream) => stream.try_read(bytes),
        }
    }
}

/// A machine that has said what it is.
#[derive(Debug)]
pub(crate) struct Introduced {
    pub(crate) stream: Stream,
    /// All that it has said so far.
    pub(crate) said: Vec<u8>,
}

impl Introduced {
    /// Waits for a connection to say what it is.
    async fn of(mut stream: Stream) -> Option<Self> {
        let mut said = Vec::new();
        let introduction = async {
            while !ipmi::inband::Server::introduces(&said) {
                let read = match &mut stream {
                    Stream::Tcp(stream) => stream.read_buf(&mut said).await,
                    Stream::Unix(stream) => stream.read_buf(&mut said).await,
                };
                if !matches!(read, Ok(1..)) || said.len() > INTRODUCTION_MAX {
                    return None;
                }
            }
            Some(())
        };
        time::timeout(INTRODUCTION, introduction).await.ok()??;
        Some(Self { stream, said })
    }

    /// Whether it is still there, after it has waited for its turn.
    pub(crate) fn is_there(&mut self) -> bool {
        let mut bytes = [0; INTRODUCTION_MAX];
        match self.stream.try_read(&mut bytes) {
            Ok(0) => false,
            Ok(count) => {
                self.said.extend(bytes.iter().take(count));
                true
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

impl Listener {
    /// Listens. A socket that an earlier run left behind makes way.
    pub(crate) fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => {
                let socket = socket2::Socket::new(
                    socket2::Domain::for_address(*address),
                    socket2::Type::STREAM,
                    None,
                )?;
                socket.set_nonblocking(true)?;
                // The controller that restarts comes back to the same port.
                socket.set_reuse_address(true)?;
                socket.bind(&(*address).into())?;
                socket.listen(1)?;
                TcpListener::from_std(socket.into()).map(Self::Tcp)
            }
            Endpoint::Unix(path) => {
                use std::os::unix::fs::FileTypeExt as _;
                if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
                    if std::os::unix::net::UnixStream::connect(path).is_ok() {
                        return Err(io::Error::new(
                            io::ErrorKind::AddrInUse,
                            "another program listens on it",
                        ));
                    }
                    fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(Self::Unix)
            }
        }
    }

    /// Passes on who connects and says what it is, for ever. One can wait at a time, while another is `served`.
    pub(crate) async fn welcome(self, machines: mpsc::Sender<Introduced>, served: Arc<AtomicBool>) {
        let mut silent = JoinSet::new();
        loop {
            let machine = tokio::select! {
                stream = self.accept(), if silent.len() < SILENT_MAX => {
                    match stream {
                        Ok(stream) => {
                            silent.spawn(Introduced::of(stream));
                        }
                        Err(error) => {
                            tracing::warn!("accept a connection of the guest's interface: {error}");
                            time::sleep(ACCEPT_AGAIN).await;
                        }
                    }
                    continue;
                }
                Some(machine) = silent.join_next() => machine,
            };
            match machine {
                Ok(Some(machine)) => {
                    if machines.try_send(machine).is_err() {
                        tracing::debug!("a further machine was let go: one waits already");
                    } else if served.load(Ordering::Relaxed) {
                        tracing::warn!(
                            "a second machine has connected its interface: it waits until the first hangs up"
                        );
                    }
                }
                _ => tracing::debug!("a connection did not say that it is a machine's, and was let go"),
            }
        }
    }

    /// Waits for the next connection. Cancelling loses nothing.
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                // A host that is gone without a word would be on for ever.
                let keepalive = socket2::TcpKeepalive::new().with_time(KEEPALIVE);
                socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_makes_way_unless_somebody_listens_on_it() {
        let folder = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(folder.path().join("ipmi.sock"));
        let first = Listener::bind(&endpoint).unwrap();
        assert_eq!(Listener::bind(&endpoint).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        drop(first);
        assert!(Listener::bind(&endpoint).is_ok(), "the one that is left behind");
    }

    #[tokio::test]
    async fn who_is_silent_keeps_no_machine_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ipmi.sock");
        let listener = Listener::bind(&Endpoint::Unix(path.clone())).unwrap();
        let (machines, mut welcomed) = mpsc::channel(1);
        let welcome = tokio::spawn(listener.welcome(machines, Arc::default()));
        let mut silent = UnixStream::connect(&path).await.unwrap();
        let qemu = UnixStream::connect(&path).await.unwrap();
        qemu.writable().await.unwrap();
        assert_eq!(qemu.try_write(&[0xff, 0x01, 0xa1]).unwrap(), 3);
        let mut machine = welcomed.recv().await.unwrap();
        assert_eq!(machine.said, [0xff, 0x01, 0xa1]);
        assert!(machine.is_there());
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0, "it is let go, and was told nothing");
        assert!(welcomed.try_recv().is_err());
        welcome.abort();
    }
}
