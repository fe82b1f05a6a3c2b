//! The door's sockets, and the interface that they are bound to, if it is to be one (`IPMI_INTERFACE`).
//!
//! ```text
//!   waiting ── an interface has the name ──▶ bound, to its index
//!      ▲                                        │
//!      └──── none has it, or another one ◀──────┘
//! ```
//!
//! A lab adds interfaces when the container runs already, and replaces them. A socket stays with the interface
//! that it was bound to, which is gone for good then, so another takes its place.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use nix::{errno::Errno, net::if_::if_nametoindex};

use super::socket::Socket;
use crate::config::LanPlan;

#[derive(Debug)]
pub(super) struct Binding {
    addresses: Vec<IpAddr>,
    port: u16,
    interface: Option<String>,
    /// The interface that has the name.
    index: Option<u32>,
    /// What the last attempt failed for, which is said once.
    failure: Option<String>,
    sockets: Vec<Socket>,
}

impl Binding {
    /// Opens the sockets, unless the interface that they are for is still to come.
    ///
    /// # Errors
    /// An address can't be bound. That the host has no IPv6 is no error where "every address" was asked for.
    pub(super) fn open(plan: &LanPlan) -> io::Result<Self> {
        let mut binding = Self {
            addresses: plan.addresses.clone(),
            port: plan.port,
            interface: plan.interface.clone(),
            index: None,
            failure: None,
            sockets: Vec::new(),
        };
        if let Some(name) = &plan.interface {
            binding.index = index_of(name);
            if binding.index.is_none() {
                tracing::warn!("there is no interface {name} yet: IPMI waits for it (IPMI_INTERFACE)");
                return Ok(binding);
            }
        }
        match binding.bind() {
            Err(failure) if plan.interface.is_some() && failure.comes_later() => binding.say(&failure),
            Err(failure) => return Err(io::Error::new(failure.error.kind(), failure.to_string())),
            Ok(()) => {}
        }
        Ok(binding)
    }

    pub(super) fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// Where it is, or will be.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        if self.sockets.is_empty() {
            return self.addresses.iter().map(|address| SocketAddr::new(*address, self.port)).collect();
        }
        self.sockets.iter().map(Socket::address).collect()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// Looks whether the interface is still the one that the sockets are bound to.
    pub(super) fn look(&mut self) {
        let Some(name) = self.interface.clone() else { return };
        let (before, now) = (self.index, index_of(&name));
        if now != before {
            self.index = now;
            self.sockets.clear();
            self.failure = None;
        }
        match now {
            None if before.is_some() => {
                tracing::warn!(
                    "the interface {name} is gone: IPMI waits until there is one again (IPMI_INTERFACE)"
                );
            }
            Some(_) if self.sockets.is_empty() => match self.bind() {
                Ok(()) => tracing::info!("IPMI is answered on the interface {name}"),
                Err(failure) => self.say(&failure),
            },
            _ => {}
        }
    }

    fn say(&mut self, failure: &Failure) {
        let failure = failure.to_string();
        if self.failure.as_ref() != Some(&failure) {
            tracing::warn!("{failure}; tried again until it can be");
            self.failure = Some(failure);
        }
    }

    fn bind(&mut self) -> Result<(), Failure> {
        let everywhere = self.addresses.iter().all(IpAddr::is_unspecified);
        let mut sockets: Vec<Socket> = Vec::new();
        for address in &self.addresses {
            let address = SocketAddr::new(*address, self.port);
            match Socket::bind(address, self.interface.as_deref()) {
                Ok(socket) => {
                    // A port that was chosen for the first address serves the others too.
                    self.port = socket.address().port();
                    sockets.push(socket);
                }
                Err(error) if everywhere && address.is_ipv6() && !sockets.is_empty() => {
                    tracing::debug!("no IPMI over IPv6: bind udp {address}: {error}");
                }
                Err(error) => return Err(Failure { address, interface: self.interface.clone(), error }),
            }
        }
        self.sockets = sockets;
        Ok(())
    }
}

fn index_of(interface: &str) -> Option<u32> {
    if_nametoindex(interface).ok()
}

/// Why there is no socket.
#[derive(Debug)]
struct Failure {
    address: SocketAddr,
    interface: Option<String>,
    error: io::Error,
}

impl Failure {
    fn is(&self, errno: Errno) -> bool {
        self.error.raw_os_error() == Some(errno as i32)
    }

    /// Whether what is missing may be there in a moment: the address, or an interface that has just gone.
    fn comes_later(&self) -> bool {
        self.is(Errno::EADDRNOTAVAIL) || self.is(Errno::ENODEV)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, interface, error } = self;
        let on = interface.as_ref().map(|name| format!(" on {name}")).unwrap_or_default();
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "; another program has this port (IPMI_PORT chooses another)",
            io::ErrorKind::PermissionDenied if self.is(Errno::EPERM) => {
                "; to bind to an interface takes NET_RAW on this kernel (--cap-add NET_RAW)"
            }
            io::ErrorKind::PermissionDenied => {
                "; ports below 1024 take a privilege (IPMI_PORT chooses another)"
            }
            io::ErrorKind::AddrNotAvailable => "; no interface has this address (IPMI_ADDRESS)",
            _ => "",
        };
        write!(f, "bind udp {address}{on} for IPMI: {error}{hint}")
    }
}
