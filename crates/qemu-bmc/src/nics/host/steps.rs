//! From an interface of the container's to a NIC's end, step by step.

use std::os::fd::OwnedFd;

use netlink_packet_route::link::{In6AddrGenMode, LinkFlags};
use rustix::io::Errno;

use super::{
    super::{Attachment, Tap},
    Host,
    device::{self, Device},
    error::{Error, Missing, failed, no_filter},
    link::Interface,
    macvtap,
};
use crate::{config::Mode, os::tap};

/// One thing that is done. Where one fails, or this program ends after it, those before it are undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The device that QEMU gets. What privilege may be missing turns out here, before anything is changed.
    MakeDevice,
    /// The kernel makes no addresses of its own for the interface, and so sends nothing of its own there.
    SilenceInterface,
    /// The kernel does not answer for the interface, either.
    TakeAddresses,
    /// The interface takes what is not for its own address. Whether it is up is the lab's to say.
    OpenInterface,
    /// What comes in at the interface goes to the device, and the other way round.
    Connect,
}

impl Step {
    pub(super) const ALL: [Self; 5] =
        [Self::MakeDevice, Self::SilenceInterface, Self::TakeAddresses, Self::OpenInterface, Self::Connect];
}

impl Host {
    pub(super) fn carry_out(&self, attachment: &Attachment) -> Result<Tap, Error> {
        let mut queues = Vec::new();
        for step in Step::ALL {
            self.take(step, attachment, &mut queues)?;
        }
        let mtu = self.interface(&attachment.tap)?.mtu;
        Ok(Tap { queues, vhost: self.vhost(attachment), mtu })
    }

    pub(super) fn take(
        &self,
        step: Step,
        attachment: &Attachment,
        queues: &mut Vec<OwnedFd>,
    ) -> Result<(), Error> {
        let name = &attachment.interface;
        let index = attachment.before.index;
        match step {
            Step::MakeDevice => *queues = self.make_device(attachment)?,
            Step::SilenceInterface => {
                if attachment.before.address_generation.is_some() {
                    self.silence(name, index)?;
                }
            }
            Step::TakeAddresses => {
                for address in &attachment.before.addresses {
                    let removed = self.netlink.remove_address(address);
                    removed.map_err(failed(format!("remove an address of {name}"), None))?;
                }
            }
            Step::OpenInterface => {
                let opened = self.netlink.set_flags(index, LinkFlags::Promisc, LinkFlags::Promisc);
                opened.map_err(failed(format!("make {name} promiscuous"), None))?;
            }
            Step::Connect => self.connect(attachment)?,
        }
        Ok(())
    }

    /// All but the device, which QEMU holds.
    pub(super) fn connect_again(&self, attachment: &Attachment) -> Result<(), Error> {
        let tap = self.interface(&attachment.tap)?;
        let interface = self.interface(&attachment.interface)?;
        self.match_mtu(&tap, interface.mtu)?;
        let stopped = self.netlink.stop_redirecting(tap.index);
        stopped.map_err(failed(format!("part {} from what it was connected with", tap.name), None))?;
        for step in Step::ALL.into_iter().filter(|step| *step != Step::MakeDevice) {
            self.take(step, attachment, &mut Vec::new())?;
        }
        Ok(())
    }

    fn make_device(&self, attachment: &Attachment) -> Result<Vec<OwnedFd>, Error> {
        let interface = self.interface(&attachment.interface)?;
        let (name, lower) = (&attachment.tap, interface.index);
        if attachment.mode == Mode::Macvtap {
            let made = self.netlink.make_macvtap(name, lower);
            made.map_err(failed(
                format!("make the macvtap device {name} on {}", interface.name),
                Some("macvtap"),
            ))?;
        }
        let queues = match attachment.mode {
            Mode::Macvtap => macvtap::open(name, attachment.queues, &self.private)?,
            _ => self.make_tap(name, attachment.queues)?,
        };
        let device = self.interface(name)?;
        if device.address_generation.is_some() {
            self.silence(name, device.index)?;
        }
        self.match_mtu(&device, interface.mtu)?;
        let raised = match attachment.mode {
            Mode::Macvtap => self.netlink.open_macvtap(device.index),
            _ => self.netlink.set_flags(device.index, LinkFlags::Up, LinkFlags::Up),
        };
        raised.map_err(failed(format!("bring {name} up"), None))?;
        Ok(queues)
    }

    fn make_tap(&self, name: &str, queues: u32) -> Result<Vec<OwnedFd>, Error> {
        let tun = Device::tun();
        let make = |number| {
            let fd = device::open(&tun, &self.private).map_err(|error| match error.errno {
                Errno::NOENT => Error::privilege("make a TAP device", Missing::Tun { is_there: false }),
                Errno::PERM | Errno::ACCESS | Errno::NODEV | Errno::NXIO => {
                    Error::privilege("make a TAP device", Missing::Tun { is_there: true })
                }
                _ => failed("open /dev/net/tun", None)(error),
            })?;
            let queue = tap::Queue { is_one_of_many: queues > 1, is_first: number == 0 };
            tap::connect(&fd, name, queue)
                .map_err(|error| failed(format!("make the TAP device {name}"), None)(error.into()))?;
            Ok(fd)
        };
        (0..queues).map(make).collect()
    }

    fn connect(&self, attachment: &Attachment) -> Result<(), Error> {
        let name = &attachment.interface;
        let (interface, device) = (attachment.before.index, self.interface(&attachment.tap)?.index);
        match (attachment.mode, &attachment.bridge) {
            (Mode::Redirect, _) => {
                let stopped = self.netlink.stop_redirecting(interface);
                stopped.map_err(failed(format!("clear what was left behind at {name}"), None))?;
                for (from, to) in [(interface, device), (device, interface)] {
                    let redirected = self.netlink.redirect(from, to);
                    redirected.map_err(no_filter(format!("redirect {name}")))?;
                }
            }
            (Mode::Bridge, Some(bridge)) => self.make_bridge(attachment, bridge, [interface, device])?,
            _ => {}
        }
        Ok(())
    }

    fn make_bridge(&self, attachment: &Attachment, bridge: &str, ports: [u32; 2]) -> Result<(), Error> {
        let found = self.netlink.interface(bridge).map_err(failed(format!("look for {bridge}"), None))?;
        if found.is_none() {
            let made = self.netlink.make_bridge(bridge);
            made.map_err(failed(format!("make the bridge {bridge}"), Some("bridge")))?;
        }
        let found = self.interface(bridge)?;
        if found.address_generation.is_some() {
            self.silence(bridge, found.index)?;
        }
        for port in ports {
            let added = self.netlink.add_port(found.index, port);
            added.map_err(failed(format!("connect {} with {bridge}", attachment.interface), None))?;
        }
        let raised = self.netlink.set_flags(found.index, LinkFlags::Up, LinkFlags::Up);
        raised.map_err(failed(format!("bring {bridge} up"), None))
    }

    fn silence(&self, name: &str, index: u32) -> Result<(), Error> {
        let done = self.netlink.set_address_generation(index, In6AddrGenMode::None);
        done.map_err(failed(format!("keep the kernel from giving {name} addresses"), None))
    }

    /// As near to this MTU as the kernel takes it.
    pub(super) fn match_mtu(&self, device: &Interface, mtu: u32) -> Result<u32, Error> {
        let mtu = device.max_mtu.map_or(mtu, |limit| mtu.min(limit));
        let set = self.netlink.set_mtu(device.index, mtu);
        set.map_err(failed(format!("set the MTU of {} to {mtu}", device.name), None))?;
        Ok(mtu)
    }
}
