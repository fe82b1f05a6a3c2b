//! Why an interface could not be attached, and what whoever runs the container can do about it.

use std::fmt;

use rustix::{io::Errno, thread::CapabilitySet};

use crate::netlink::Refusal;

/// Why an interface can't be attached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A privilege, a device or a part of the kernel is missing, without which this mode can't be.
    #[error("{doing}: {missing}")]
    Privilege { doing: String, missing: Missing },
    /// The kernel refused a step.
    #[error("{doing}")]
    Refused { doing: String, source: Refusal },
    /// The interface is not there, or not any more.
    #[error("there is no interface {0}")]
    Absent(String),
    /// The interface is nothing that can be attached.
    #[error("{0}")]
    Unsuitable(String),
}

impl Error {
    pub(super) fn privilege(doing: impl Into<String>, missing: Missing) -> Self {
        Self::Privilege { doing: doing.into(), missing }
    }

    /// Whether the container would have to be given something.
    pub(crate) fn is_privilege(&self) -> bool {
        matches!(self, Self::Privilege { .. })
    }
}

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// `CAP_NET_ADMIN`; or it is there, but not for this network namespace.
    NetAdmin { is_held: bool },
    /// `/dev/net/tun`, by which TAP devices are made.
    Tun { is_there: bool },
    /// The right to open macvtap devices.
    MacvtapDevice { major: u32 },
    /// A module of the kernel's.
    Module(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const GIVE: &str = "run the container with --cap-add NET_ADMIN --device /dev/net/tun";
        match self {
            Self::NetAdmin { is_held: false } => {
                write!(f, "the capability NET_ADMIN is missing: {GIVE}")
            }
            Self::NetAdmin { is_held: true } => f.write_str(
                "the capability NET_ADMIN is there, but not for this network namespace: run the container in the user namespace that the network is of",
            ),
            Self::Tun { is_there: false } => write!(f, "there is no /dev/net/tun: {GIVE}"),
            Self::Tun { is_there: true } => write!(f, "/dev/net/tun may not be opened: {GIVE}"),
            Self::MacvtapDevice { major } => write!(
                f,
                "macvtap devices may not be opened: run the container with --device-cgroup-rule 'c {major}:* rwm', or attach the interface in another mode"
            ),
            Self::Module(module) => {
                write!(f, "the host's kernel has no {module}: load it on the host (modprobe {module})")
            }
        }
    }
}

/// Makes an error of the kernel's refusal to do something, for which it needs this module.
pub(super) fn failed(
    doing: impl Into<String>,
    module: Option<&'static str>,
) -> impl FnOnce(Refusal) -> Error {
    let doing = doing.into();
    move |source| match (source.errno, module) {
        (Errno::PERM, _) => {
            Error::Privilege { doing, missing: Missing::NetAdmin { is_held: is_net_admin() } }
        }
        (Errno::NOENT | Errno::OPNOTSUPP, Some(module)) => {
            Error::Privilege { doing, missing: Missing::Module(module) }
        }
        _ => Error::Refused { doing, source },
    }
}

/// As [`failed`], for a filter, which needs two modules: the kernel says in words which of them there is not.
pub(super) fn no_filter(doing: impl Into<String>) -> impl FnOnce(Refusal) -> Error {
    let doing = doing.into();
    move |source| {
        let words = source.words.as_deref().unwrap_or_default();
        let module = match () {
            () if words.contains("qdisc") => "sch_ingress",
            () if words.contains("action") => "act_mirred",
            () => "cls_u32",
        };
        failed(doing, Some(module))(source)
    }
}

fn is_net_admin() -> bool {
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::NET_ADMIN))
}
