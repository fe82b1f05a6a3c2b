//! The serial port of a machine that something else started: where it is, and a connection to it whenever there
//! can be one.
//!
//! ```text
//!   nobody is there ──▶ tried again ──▶ connected ──▶ the hub serves it to its end ──┐
//!          ▲                                                                         │ the machine is gone
//!          └─────────────────────────────────────────────────────────────────────────┘
//! ```

use std::{convert::Infallible, fmt, io, path::PathBuf, str::FromStr, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    sync::{mpsc, oneshot, watch},
    time,
};

use super::{Connection, Wire};
use crate::endpoint::Endpoint;

/// How often a port is looked for. A machine that starts prints at once, and what nobody takes is lost.
const AGAIN: Duration = Duration::from_millis(100);

/// How long a connection over TCP may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Where a serial port is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// A socket that QEMU listens on.
    Socket(Endpoint),
    /// A terminal that QEMU made.
    Terminal(PathBuf),
}

impl FromStr for Port {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("pty", path)) if !path.is_empty() => Ok(Self::Terminal(path.into())),
            _ => text.parse().map(Self::Socket).map_err(|_| {
                "takes unix:PATH, tcp:ADDRESS:PORT, such as tcp:127.0.0.1:9003, or pty:PATH, such as pty:/dev/pts/3"
            }),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(endpoint) => endpoint.fmt(f),
            Self::Terminal(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Port {
    /// What QEMU's own description of this port contains (`query-chardev`).
    pub(crate) fn qemu_name(&self) -> String {
        match self {
            Self::Socket(Endpoint::Tcp(address)) => address.to_string(),
            Self::Socket(Endpoint::Unix(path)) | Self::Terminal(path) => path.display().to_string(),
        }
    }

    async fn connect(&self) -> io::Result<Wire> {
        match self {
            Self::Socket(Endpoint::Unix(path)) => UnixStream::connect(path).await.map(Wire::Unix),
            Self::Socket(Endpoint::Tcp(address)) => {
                let stream = time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await??;
                stream.set_nodelay(true)?;
                Ok(Wire::Tcp(stream))
            }
            Self::Terminal(path) => Wire::terminal(path),
        }
    }

    /// Connects whenever there is a port, for ever, and says whether it is connected.
    pub(crate) async fn keep(
        self,
        connections: mpsc::UnboundedSender<Connection>,
        connected: watch::Sender<bool>,
    ) -> Infallible {
        let mut trouble = None;
        loop {
            match self.connect().await {
                Ok(wire) => {
                    trouble = None;
                    tracing::debug!("the serial port {self} is connected");
                    let (served, done) = oneshot::channel();
                    if connections.send(Connection::of_somebody(wire, served)).is_ok() {
                        connected.send_replace(true);
                        let _ = done.await;
                        connected.send_replace(false);
                    }
                }
                // Nobody is there, which is no trouble while the machine is off.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                }
                Err(error) if trouble.replace(error.kind()) == Some(error.kind()) => {}
                Err(error) => tracing::warn!("connect the serial port {self}: {error}; it is tried again"),
            }
            time::sleep(AGAIN).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;
    use crate::console::{Console, Sinks};

    #[test]
    fn a_port_is_a_socket_or_a_terminal() {
        assert_eq!("pty:/dev/pts/3".parse(), Ok(Port::Terminal("/dev/pts/3".into())));
        let tcp: Port = "tcp:127.0.0.1:9003".parse().unwrap();
        assert_eq!(
            (tcp.qemu_name(), tcp.to_string()),
            ("127.0.0.1:9003".into(), "tcp 127.0.0.1:9003".into())
        );
        assert_eq!("unix:/run/a:b".parse::<Port>().unwrap().qemu_name(), "/run/a:b");
        for text in ["", "pty", "pty:", "/dev/pts/3", "tcp:localhost:1", "stdio"] {
            assert!(text.parse::<Port>().is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_terminal_is_a_line_that_changes_no_byte_until_it_is_gone() {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let (connections, received) = mpsc::unbounded_channel();
        let (state, mut connected) = watch::channel(false);
        let console = Console::new();
        let mut reader = console.reader(0, false);
        let port: Port = format!("pty:{path}").parse().unwrap();
        let keep = tokio::spawn(port.keep(connections, state));
        let hub = tokio::spawn(std::sync::Arc::clone(&console).run(received, Sinks::default()));

        connected.wait_for(|connected| *connected).await.unwrap();
        rustix::io::write(&master, b"login:\r\n").unwrap();
        let mut shown = Vec::<u8>::new();
        while shown.len() < 8 {
            reader.ready().await;
            let mut chunk = [0_u8; 64];
            let count = reader.read(&mut chunk);
            shown.extend(&chunk[..count]);
        }
        assert_eq!(shown, b"login:\r\n");
        console.write(b"a\nb\r");
        let typed = tokio::task::spawn_blocking(move || {
            let mut typed = Vec::<u8>::new();
            while typed.len() < 4 {
                let mut chunk = [0_u8; 8];
                let count = rustix::io::read(&master, &mut chunk).unwrap();
                typed.extend(&chunk[..count]);
            }
            (master, typed)
        });
        let (master, typed) = typed.await.unwrap();
        assert_eq!(typed, b"a\nb\r");
        drop(master);
        connected.wait_for(|connected| !*connected).await.unwrap();
        keep.abort();
        hub.abort();
    }
}
