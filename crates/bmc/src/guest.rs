//! What the guest says of itself: by an agent in it, not by its hardware. It may be wrong, old or a lie.

use std::net::IpAddr;

use crate::Bmc;

/// The guest's own words, as they are shown to people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestInfo {
    /// Its operating system.
    pub os: Option<String>,
    /// Its host name.
    pub name: Option<String>,
    /// Its addresses, without those that only it itself can use.
    pub addresses: Vec<IpAddr>,
}

impl Bmc {
    /// What the guest's agent said last; none where no agent answers.
    pub fn guest(&self) -> Option<&GuestInfo> {
        self.guest.as_ref()
    }

    /// Says what the guest's agent said, or that none answers. A machine that is off has no guest.
    pub fn observe_guest(&mut self, guest: Option<GuestInfo>) {
        self.guest = guest.filter(|_| self.power.host() == crate::HostPower::On);
    }
}
