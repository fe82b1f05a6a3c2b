//! Back from a NIC's end to the interface as it was.

use netlink_packet_route::link::{In6AddrGenMode, LinkFlags};
use rustix::io::Errno;
use tracing::{debug, warn};

use super::{super::Attachment, Before, Host, link::Interface, redirect::Ingress};
use crate::{config::Mode, netlink::Refusal, os::namespace};

impl Host {
    /// Takes back every step, in any order and however many of them there were.
    pub(super) fn undo(&self, attachment: &Attachment) {
        let (name, before) = (&attachment.interface, &attachment.before);
        if before.namespace != namespace::name() {
            debug!("what was done to {name} went with its network namespace");
            return;
        }
        for device in [Some(&attachment.tap), attachment.bridge.as_ref()].into_iter().flatten() {
            if !matches!(self.netlink.interface(device), Ok(None)) {
                tell(self.netlink.remove(device), || format!("remove {device}"));
            }
        }
        // By its number: under its name there may be another one by now, to which nothing was done.
        match self.netlink.interface_at(before.index) {
            Ok(Some(now)) => self.restore(attachment.mode, name, before, &now),
            Ok(None) => debug!("{name} went before it was detached"),
            Err(error) => warn!("look at {name}: {error}"),
        }
    }

    /// Parts an interface from its NIC, whose device stays.
    pub(super) fn part(&self, attachment: &Attachment) {
        let (name, before) = (&attachment.interface, &attachment.before);
        match self.netlink.interface_at(before.index) {
            Ok(Some(found)) => {
                if attachment.mode == Mode::Bridge && found.bridge.is_some() {
                    tell(self.netlink.remove_port(before.index), || format!("part {name} from its bridge"));
                }
                self.restore(attachment.mode, name, before, &found);
            }
            Ok(None) => {}
            Err(error) => warn!("look at {name}: {error}"),
        }
    }

    /// Undoes what is other than it was. Whoever had no privilege to do anything has nothing to undo, and is not told
    /// that it failed.
    fn restore(&self, mode: Mode, name: &str, before: &Before, now: &Interface) {
        let index = before.index;
        if mode == Mode::Redirect && !matches!(self.netlink.ingress(index, None), Ok(Ingress::Free)) {
            tell(self.netlink.stop_redirecting(index), || format!("stop redirecting {name}"));
        }
        if let Some(generation) = before.address_generation
            && before.address_generation != now.address_generation
        {
            let mode = In6AddrGenMode::from(generation);
            tell(self.netlink.set_address_generation(index, mode), || {
                format!("let the kernel give {name} addresses again")
            });
        }
        if !before.promiscuous && now.is(LinkFlags::Promisc) {
            let closed = self.netlink.set_flags(index, LinkFlags::Promisc, LinkFlags::empty());
            tell(closed, || format!("make {name} not promiscuous any more"));
        }
        let there = self.netlink.addresses(index).unwrap_or_default();
        for address in before.addresses.iter().filter(|address| !there.contains(address)) {
            tell(self.netlink.put_back_address(address), || format!("put an address of {name} back"));
        }
        let there = self.netlink.routes(index).unwrap_or_default();
        for route in before.routes.iter().filter(|route| !there.contains(route)) {
            tell(self.netlink.put_back_route(route), || format!("put a route by {name} back"));
        }
    }
}

fn tell<T>(outcome: Result<T, Refusal>, doing: impl FnOnce() -> String) {
    match outcome {
        Ok(_) => {}
        Err(Refusal { errno: Errno::NODEV, .. }) => debug!("{}: it is gone", doing()),
        Err(error) => warn!("{}: {error}", doing()),
    }
}
