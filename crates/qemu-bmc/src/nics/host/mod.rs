//! What is done to the container's interfaces.
//!
//! ```text
//!   attach    look at the interface ─▶ write down how it is ─▶ change it, step by step ─▶ descriptors for QEMU
//!   detach    undo all of that, as far as it was done ─▶ forget it
//! ```
//!
//! What is written down comes first, so that whatever ends this program between two steps, the next one knows what
//! there may be to undo. Undoing never minds that something is already gone: most of it goes by itself, a TAP
//! device with the QEMU that held it, and all else with an interface that the lab takes away.
//!
//! Calls wait for the kernel, which takes milliseconds where an interface is made or removed: in async code run
//! them where blocking is allowed.

mod addresses;
mod bridge;
mod device;
mod error;
mod link;
mod macvtap;
mod record;
mod redirect;
mod steps;
#[cfg(test)]
mod tests;
mod undo;
mod watch;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use netlink_packet_route::link::LinkFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::{
    addresses::Kept, device::Device, error::failed, link::Interface, record::Record, redirect::Ingress,
};
pub(crate) use self::{error::Error, watch::Watch};
use super::{Attachment, Link, Request, Tap};
use crate::{
    config::Mode,
    netlink::{Netlink, Refusal},
    os::namespace,
};

/// The network namespace in which this program runs, and what it has done there. Clones are the same.
#[derive(Clone)]
pub(crate) struct Host {
    netlink: Arc<Netlink>,
    record: Arc<Record>,
    /// Where nodes of devices are made for a moment.
    private: PathBuf,
}

/// How an interface was before anything was done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// The network namespace: in another there may be one of the same name and number.
    namespace: String,
    index: u32,
    promiscuous: bool,
    address_generation: Option<u8>,
    addresses: Vec<Kept>,
    routes: Vec<Kept>,
}

impl Before {
    /// Takes over how the interface was when something was done to it for the first time, if it is still that one:
    /// how it is now is what was made of it then.
    fn keep(&mut self, known: Self) {
        if (&known.namespace, known.index) != (&self.namespace, self.index) {
            return;
        }
        let now = std::mem::replace(self, known);
        self.addresses.extend(now.addresses);
        self.routes.extend(now.routes);
    }
}

impl Attachment {
    /// The number of the interface that it is of: another one of the same name has another.
    pub(crate) fn index(&self) -> u32 {
        self.before.index
    }

    /// The interface has gone, or is not connected with its NIC any more. One that has its name is to be attached
    /// again, even if it has the same number, as one that was away in another network namespace has.
    pub(crate) fn lose_interface(&mut self) {
        self.before.index = 0;
    }
}

impl Host {
    /// Connects to the kernel. What is done is written down in this folder.
    pub(crate) fn open(run_dir: &Path) -> io::Result<Self> {
        Ok(Self {
            netlink: Arc::new(Netlink::open()?),
            record: Arc::new(Record::new(run_dir)),
            private: run_dir.to_owned(),
        })
    }

    /// Be told of changes. Must be called within a tokio runtime.
    pub(crate) fn watch(&self) -> io::Result<Watch> {
        Watch::open()
    }

    /// All interfaces.
    pub(crate) fn links(&self) -> Result<Vec<Link>, Error> {
        let found = self.netlink.interfaces().map_err(failed("list the interfaces", None))?;
        Ok(found.into_iter().map(Link::from).collect())
    }

    /// What was attached and not detached, maybe by a program that ran before this one.
    pub(crate) fn attached(&self) -> Vec<Attachment> {
        self.record.load()
    }

    /// Attaches an interface. If that fails, the interface is as it was.
    pub(crate) fn attach(&self, request: &Request) -> Result<(Attachment, Tap), Error> {
        let attachment = self.plan(request)?;
        self.record.put(&attachment)?;
        match self.carry_out(&attachment) {
            Ok(tap) => Ok((attachment, tap)),
            Err(error) => {
                self.detach(&attachment);
                Err(error)
            }
        }
    }

    /// Undoes all that was done to an interface, whatever is left of it.
    pub(crate) fn detach(&self, attachment: &Attachment) {
        self.undo(attachment);
        self.record.remove(attachment);
    }

    /// Attaches an interface that is there again to the TAP device that QEMU still holds. The attachment that is
    /// returned takes the place of the one that was.
    pub(crate) fn reattach(&self, attachment: &Attachment) -> Result<Attachment, Error> {
        let again = self.plan_again(attachment)?;
        if ![0, again.index()].contains(&attachment.index()) {
            self.part(attachment);
        }
        self.record.put(&again)?;
        if let Err(error) = self.connect_again(&again) {
            self.part(&again);
            return Err(error);
        }
        Ok(again)
    }

    /// Whether an interface is still connected with the device of its NIC: it isn't after a stay in another network
    /// namespace, nor if somebody parted them. True where that can't be known.
    pub(crate) fn is_connected(&self, attachment: &Attachment) -> bool {
        self.find_connection(attachment).unwrap_or_else(|error| {
            tracing::debug!("look how {} is connected: {error}", attachment.interface);
            true
        })
    }

    fn find_connection(&self, attachment: &Attachment) -> Result<bool, Refusal> {
        let index = attachment.index();
        let Some(tap) = self.netlink.interface(&attachment.tap)? else { return Ok(true) };
        match (attachment.mode, &attachment.bridge) {
            (Mode::Redirect, _) => Ok(self.netlink.is_redirected(index, tap.index)?
                && self.netlink.is_redirected(tap.index, index)?),
            (Mode::Bridge, Some(bridge)) => {
                let bridge = self.netlink.interface(bridge)?.map(|bridge| bridge.index);
                let port = self.netlink.interface_at(index)?;
                Ok(bridge.is_some() && tap.bridge == bridge && port.is_some_and(|port| port.bridge == bridge))
            }
            _ => Ok(true),
        }
    }

    /// Gives the host's end of a NIC the MTU that its interface has got. Returns what it has then, which the kernel
    /// may limit.
    pub(crate) fn set_mtu(&self, attachment: &Attachment, mtu: u32) -> Result<u32, Error> {
        let tap = self.interface(&attachment.tap)?;
        self.match_mtu(&tap, mtu)
    }

    fn plan(&self, request: &Request) -> Result<Attachment, Error> {
        let tap = device_name("qb", &request.interface);
        let bridge = (request.mode == Mode::Bridge).then(|| device_name("qbr", &request.interface));
        for device in [Some(&tap), bridge.as_ref()].into_iter().flatten() {
            let found = self.netlink.interface(device).map_err(failed(format!("look for {device}"), None))?;
            let is_left = |found: &Interface| bridge.as_ref() == Some(device) && found.is_bridge;
            if found.is_some_and(|found| !is_left(&found)) {
                return Err(Error::Unsuitable(format!(
                    "there is an interface {device} already, as {} would need it: remove it (ip link delete {device})",
                    request.interface
                )));
            }
        }
        Ok(Attachment {
            interface: request.interface.clone(),
            mode: request.mode,
            tap,
            bridge,
            queues: request.queues.max(1),
            virtio: request.virtio,
            before: self.look_at(&request.interface, request.mode, None)?,
        })
    }

    fn plan_again(&self, attachment: &Attachment) -> Result<Attachment, Error> {
        if attachment.mode == Mode::Macvtap {
            return Err(Error::Unsuitable(format!(
                "the macvtap device of {} went with it: it is attached again at the next power on",
                attachment.interface
            )));
        }
        let tap = self.interface(&attachment.tap)?.index;
        let mut before = self.look_at(&attachment.interface, attachment.mode, Some(tap))?;
        let known = self.record.load().into_iter().find(|known| known.interface == attachment.interface);
        if let Some(known) = known {
            before.keep(known.before);
        }
        Ok(Attachment { before, ..attachment.clone() })
    }

    fn look_at(&self, name: &str, mode: Mode, tap: Option<u32>) -> Result<Before, Error> {
        let looking = || failed(format!("look at {name}"), None);
        let interface = self.interface(name)?;
        if !interface.is_ethernet || interface.is(LinkFlags::Loopback) {
            return Err(Error::Unsuitable(format!("{name} is no Ethernet interface")));
        }
        if matches!(mode, Mode::User | Mode::None) {
            return Err(Error::Unsuitable(format!("{name} is not attached in this mode")));
        }
        if mode == Mode::Redirect
            && self.netlink.ingress(interface.index, tap).map_err(looking())? == Ingress::SomebodyElses
        {
            return Err(Error::Unsuitable(format!(
                "somebody else filters what comes in at {name}: remove that (tc qdisc delete dev {name} ingress), or attach {name} in another mode (VM_NETWORK_MODE={name}=bridge)"
            )));
        }
        Ok(Before {
            namespace: namespace::name(),
            index: interface.index,
            promiscuous: interface.is(LinkFlags::Promisc),
            address_generation: interface.address_generation,
            addresses: self.netlink.addresses(interface.index).map_err(looking())?,
            routes: self.netlink.routes(interface.index).map_err(looking())?,
        })
    }

    fn interface(&self, name: &str) -> Result<Interface, Error> {
        let found = self.netlink.interface(name).map_err(failed(format!("look for {name}"), None))?;
        found.ok_or_else(|| Error::Absent(name.to_owned()))
    }

    /// Opens vhost-net for each queue, where that can be: without it QEMU does the work itself.
    fn vhost(&self, attachment: &Attachment) -> Vec<std::os::fd::OwnedFd> {
        if !attachment.virtio {
            return Vec::new();
        }
        let device = Device::vhost_net();
        let opened = (0..attachment.queues).map(|_| device::open(&device, &self.private));
        opened.collect::<Result<_, _>>().unwrap_or_else(|error| {
            tracing::debug!(
                "open {}: {error}; {} does without it",
                device.path.display(),
                attachment.interface
            );
            Vec::new()
        })
    }
}

/// The name of a device that belongs to an interface. Where there is no room for the interface's name, a digest
/// stands for it, behind a character that no short one has there.
fn device_name(prefix: &str, interface: &str) -> String {
    const ROOM: usize = 11;
    if interface.len() <= ROOM {
        return format!("{prefix}-{interface}");
    }
    let digest = Sha256::digest(interface);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}~{}", digits.get(..ROOM).unwrap_or_default())
}
