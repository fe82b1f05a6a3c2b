//! The machine's NICs: made before QEMU starts, let go when it has ended.

use std::os::fd::{OwnedFd, RawFd};

use sha2::{Digest as _, Sha256};

use super::super::nic::{self, Backend, Nic, NicSet, SPARE_PORTS};
use crate::config::{Fallback, Forward, Mac, Networks, NicsPlan};

/// The NIC that belongs to no interface and is there for management.
const MANAGEMENT: &str = "mgmt";

/// The only NIC of a machine for which there is no interface.
const USER: &str = "user";

/// What a command line needs to know of the NICs, and what QEMU is to inherit for it.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) set: NicSet,
    pub(super) inherited: Vec<(RawFd, OwnedFd)>,
}

/// The NICs of the machine.
#[derive(Debug)]
pub(super) struct Nics {
    plan: NicsPlan,
    /// The node's name.
    node: String,
    /// Of the machine that runs.
    names: Vec<String>,
}

impl Nics {
    pub(super) fn new(plan: &NicsPlan, node: &str) -> Self {
        Self { plan: plan.clone(), node: nic::hostname(node), names: Vec::new() }
    }

    /// Makes what the machine starts with.
    pub(super) fn prepare(&mut self, uuid: [u8; 16]) -> Prepared {
        let mut names = Vec::new();
        if self.plan.management {
            names.push(MANAGEMENT.to_owned());
        } else if self.plan.networks == Networks::Auto && self.plan.fallback == Fallback::User {
            names.push(USER.to_owned());
        }
        let mut forwards = Some(self.plan.forwards.clone());
        let nics = names.iter().enumerate().map(|(port, name)| {
            let backend = self.user(forwards.take().unwrap_or_default());
            Nic {
                name: name.clone(),
                mac: derived(uuid, name),
                model: self.plan.model.clone(),
                port,
                backend,
            }
        });
        let nics: Vec<_> = nics.collect();
        let spare = if self.plan.networks == Networks::None { 0 } else { SPARE_PORTS };
        self.names = names;
        Prepared {
            set: NicSet { ports: nics.len() + spare, nics, boot_order: self.boot_order() },
            inherited: Vec::new(),
        }
    }

    fn user(&self, forwards: Vec<Forward>) -> Backend {
        Backend::User { hostname: self.node.clone(), forwards }
    }

    /// The devices' ids in the order in which they are booted from: the one that was chosen, those of
    /// interfaces, and what is there beside them.
    pub(super) fn boot_order(&self) -> Vec<String> {
        let chosen = self.plan.boot_nic.as_deref();
        let mut names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.sort_by_key(|name| (Some(*name) != chosen, *name == MANAGEMENT));
        names.into_iter().map(nic::device_id).collect()
    }
}

fn derived(uuid: [u8; 16], name: &str) -> Mac {
    let digest: [u8; 32] = Sha256::new_with_prefix(uuid).chain_update(name).finalize().into();
    let [a, b, c, ..] = digest;
    Mac([0x52, 0x54, 0x00, a, b, c])
}
