//! The guest's NICs: what is made of the container's interfaces so that QEMU can be given them.
//!
//! ```text
//!   the lab ── eth2 (the container's interface)
//!                │  attached: redirected, bridged, or under a macvtap device
//!              TAP device, made here; QEMU gets it as open descriptors, and no privilege
//!                │
//!   the guest's NIC
//! ```
//!
//! Everything that is done to an interface is in its [`Attachment`], which is kept in a file as long as it is in
//! force: whatever ends this program, the next one can undo it.

pub(crate) mod host;
pub(crate) mod mac;
pub(crate) mod selection;

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};

use crate::config::Mode;

/// An interface of the container, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) index: u32,
    /// In bytes, without the Ethernet header.
    pub(crate) mtu: u32,
    /// Whether it is administratively up and has a carrier.
    pub(crate) up: bool,
}

/// What an interface is to be attached for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    /// The container's interface.
    pub(crate) interface: String,
    /// Redirect, bridge or macvtap.
    pub(crate) mode: Mode,
    /// How many queues the NIC has.
    pub(crate) queues: u32,
    /// Whether the device is one of virtio's, for which vhost-net does the work where it can be opened.
    pub(crate) virtio: bool,
}

/// The host's end of a NIC, to be handed to QEMU.
#[derive(Debug)]
pub(crate) struct Tap {
    /// One descriptor for each queue.
    pub(crate) queues: Vec<OwnedFd>,
    /// As many of vhost-net, or none.
    pub(crate) vhost: Vec<OwnedFd>,
    /// The interface's MTU, which is the device's too.
    pub(crate) mtu: u32,
}

/// What was done to an interface, and how it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) interface: String,
    pub(crate) mode: Mode,
    /// The device's name that QEMU has the descriptors of.
    pub(crate) tap: String,
    /// The bridge's name, where there is one.
    pub(crate) bridge: Option<String>,
    /// How many queues the device has.
    pub(crate) queues: u32,
    /// As requested.
    pub(crate) virtio: bool,
    pub(crate) before: host::Before,
}
