//! A place to listen on, or to connect to, as users write it.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

/// A place of a socket.
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
    /// Whether every user of this host can reach it.
    pub(crate) fn is_everybodys(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    /// Whether others than this host's can reach it.
    pub(crate) fn is_exposed(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
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
