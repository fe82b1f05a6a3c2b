//! Where a machine connects its interface to that was started by something else.
//!
//! Whoever connects here is the guest, and the guest has no password: so this is a socket of the file system, or
//! a port that nobody else should reach.

use std::{fmt, fs, io, net::SocketAddr, path::PathBuf, str::FromStr};

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// A place to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// `tcp:127.0.0.1:9002`
    Tcp(SocketAddr),
    /// `unix:/run/vm1/ipmi.sock`
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const TAKES: &str = "takes tcp:ADDRESS:PORT, such as tcp:127.0.0.1:9002, or unix:PATH";

        match text.split_once(':') {
            Some(("tcp", address)) => address.parse().map(Self::Tcp).map_err(|_| TAKES),
            Some(("unix", path)) if !path.is_empty() => Ok(Self::Unix(path.into())),
            _ => Err(TAKES),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "tcp {address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Endpoint {
    /// Whether others than this host's can reach it.
    pub(crate) fn is_exposed(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

/// A place that is listened on.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
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
                    fs::remove_file(path)?;
                }
                UnixListener::bind(path).map(Self::Unix)
            }
        }
    }

    /// Waits for the next connection. Cancelling loses nothing.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_port_or_a_path() {
        let tcp: Endpoint = "tcp:127.0.0.1:9002".parse().unwrap();
        assert_eq!(tcp, Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 9002))));
        assert!(!tcp.is_exposed());
        assert!("tcp:0.0.0.0:9002".parse::<Endpoint>().unwrap().is_exposed());
        assert!("tcp:[::1]:9002".parse::<Endpoint>().is_ok());
        assert_eq!("unix:/run/a:b".parse(), Ok(Endpoint::Unix("/run/a:b".into())));
        for text in
            ["", "tcp", "tcp:", "tcp:9002", "tcp:localhost:9002", "unix:", "/run/x", "udp:127.0.0.1:1"]
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }
}
