//! The guest's NICs, as they were asked for.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr},
    str::FromStr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// What the machine's NICs are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NicsPlan {
    /// Which of the container's interfaces are the guest's.
    pub(crate) networks: Networks,
    /// How many links the lab adds to the container, eth1 among them, if it says so (containerlab's `CLAB_INTFS`).
    pub(crate) expected_links: Option<usize>,
    /// How long to wait for interfaces that are not there yet.
    pub(crate) wait: Duration,
    /// How interfaces are attached.
    pub(crate) modes: Modes,
    /// What a NIC is attached to whose interface can't be had, because a privilege is missing, and the only NIC of
    /// a machine for which there is no interface.
    pub(crate) fallback: Fallback,
    /// QEMU's name of the device: `virtio-net-pci`, `e1000e`…
    pub(crate) model: String,
    /// Whose address is not derived from the machine's identity.
    pub(crate) macs: Macs,
    /// Ports of the container that lead into the guest, by the first NIC in user mode.
    pub(crate) forwards: Vec<Forward>,
    /// Whether the first NIC is one for management, in user mode, that belongs to no interface.
    pub(crate) management: bool,
    /// The NIC that is booted from before the others.
    pub(crate) boot_nic: Option<String>,
}

/// Which of the container's interfaces are the guest's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Networks {
    /// Every ethN with N ≥ 2, in numeric order.
    Auto,
    /// None: the guest has no NIC but that for management.
    None,
    /// These, in this order. They may appear after the program starts.
    Named(Vec<String>),
}

/// How an interface of the container becomes the guest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// Every frame that comes in on one side leaves on the other (tc, mirred).
    Redirect,
    /// A bridge with two ports.
    Bridge,
    /// A macvtap device on the interface, in passthru mode.
    Macvtap,
    /// No interface: NAT in user space, DHCP, port forwards.
    User,
    /// No NIC.
    None,
}

impl Mode {
    /// Whether the interface itself becomes the guest's.
    pub(crate) fn is_attached(self) -> bool {
        matches!(self, Self::Redirect | Self::Bridge | Self::Macvtap)
    }
}

/// As it is set.
impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirect => "redirect",
            Self::Bridge => "bridge",
            Self::Macvtap => "macvtap",
            Self::User => "user",
            Self::None => "none",
        })
    }
}

/// The mode of each interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Modes {
    /// Where nothing else was said.
    pub(crate) usual: Mode,
    /// Where it was.
    pub(crate) by_interface: BTreeMap<String, Mode>,
}

/// The name of the NIC for management.
pub(crate) const MANAGEMENT_NIC: &str = "mgmt";
/// The name of the NIC of a machine for which there is no interface.
pub(crate) const FALLBACK_NIC: &str = "user";

impl NicsPlan {
    /// The mode of the NIC of this name, if there can be one.
    pub(crate) fn mode_of(&self, nic: &str) -> Option<Mode> {
        let its_own = match &self.networks {
            Networks::Auto => lab_number(nic).is_some(),
            Networks::None => false,
            Networks::Named(names) => names.iter().any(|name| name == nic),
        };
        match nic {
            MANAGEMENT_NIC if self.management => Some(Mode::User),
            FALLBACK_NIC if self.never_without() => Some(Mode::User),
            _ => Some(self.modes.of(nic)).filter(|mode| its_own && *mode != Mode::None),
        }
    }

    /// Whether a machine for which there is no interface has a NIC in user mode all the same.
    pub(crate) fn never_without(&self) -> bool {
        let in_user_mode = self.fallback == Fallback::User || self.modes.usual == Mode::User;
        self.networks == Networks::Auto && in_user_mode
    }
}

/// The number of an interface that is the guest's unless others are named: ethN with N ≥ 2.
pub(crate) fn lab_number(interface: &str) -> Option<u32> {
    let number = interface.strip_prefix("eth")?.parse().ok()?;
    (number >= 2 && interface == format!("eth{number}")).then_some(number)
}

impl Modes {
    /// The mode of this interface.
    pub(crate) fn of(&self, interface: &str) -> Mode {
        self.by_interface.get(interface).copied().unwrap_or(self.usual)
    }
}

/// What to do where an interface can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallback {
    /// A NIC in user mode.
    User,
    /// No NIC.
    None,
}

/// Addresses that somebody chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Macs {
    /// The one to which an interface's number is added: eth2 has this plus 2.
    pub(crate) base: Option<Mac>,
    /// Those of single interfaces, by name.
    pub(crate) by_interface: BTreeMap<String, Mac>,
}

impl Macs {
    /// The address that was chosen for this NIC, by itself or by its number. A NIC without an interface has number 0.
    pub(crate) fn chosen(&self, nic: &str) -> Option<Mac> {
        let number = match nic {
            MANAGEMENT_NIC | FALLBACK_NIC => Some(0),
            _ => nic.get(nic.trim_end_matches(|char: char| char.is_ascii_digit()).len()..)?.parse().ok(),
        };
        let by_number = || self.base?.plus(number?);
        self.by_interface.get(nic).copied().or_else(by_number)
    }
}

/// The hardware address of a NIC: unicast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = super::value::Refused;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        super::value::mac(text)
    }
}

impl Mac {
    /// How much further on this is than another address of the same owner.
    pub(crate) fn distance(self, from: Self) -> Option<u32> {
        let ((owner, device), (other_owner, other)) = (self.halves(), from.halves());
        if owner == other_owner { device.checked_sub(other) } else { None }
    }

    /// The address that is so much further on, as far as the half goes that numbers single devices.
    pub(crate) fn plus(self, number: u32) -> Option<Self> {
        let ([a, b, c], device) = self.halves();
        let [0, d, e, f] = device.checked_add(number)?.to_be_bytes() else { return None };
        Some(Self([a, b, c, d, e, f]))
    }

    /// Whose the address is, and which of its devices has it.
    fn halves(self) -> ([u8; 3], u32) {
        let [a, b, c, d, e, f] = self.0;
        ([a, b, c], u32::from_be_bytes([0, d, e, f]))
    }
}

/// A port of the container that leads into the guest (QEMU's `hostfwd`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forward {
    /// TCP, else UDP.
    pub(crate) tcp: bool,
    /// Where the container listens; all addresses if none is named.
    pub(crate) address: Option<Ipv4Addr>,
    /// On which port.
    pub(crate) port: u16,
    /// The guest's address, its own DHCP lease if none is named.
    pub(crate) guest_address: Option<Ipv4Addr>,
    /// The guest's port.
    pub(crate) guest_port: u16,
}

impl Forward {
    /// As QEMU names it.
    pub(crate) fn protocol(&self) -> &'static str {
        if self.tcp { "tcp" } else { "udp" }
    }

    /// Whether the two listen at the same place.
    pub(crate) fn collides(&self, tcp: bool, address: Option<IpAddr>, port: u16) -> bool {
        let overlap = match (self.address, address) {
            (Some(own), Some(IpAddr::V4(other))) => {
                own == other || own.is_unspecified() || other.is_unspecified()
            }
            (_, Some(IpAddr::V6(_))) => false,
            (None, _) | (_, None) => true,
        };
        overlap && self.tcp == tcp && self.port == port
    }
}

/// As QEMU writes it, every part of it said.
impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |address: Option<Ipv4Addr>| address.map(|address| address.to_string()).unwrap_or_default();
        let (address, guest) = (text(self.address), text(self.guest_address));
        write!(f, "{}:{address}:{}-{guest}:{}", self.protocol(), self.port, self.guest_port)
    }
}
