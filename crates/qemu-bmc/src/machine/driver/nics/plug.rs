//! Plugging a NIC into the machine that runs.

use std::{os::fd::OwnedFd, time::Duration};

use qmp::commands::{CloseFd, DeviceAdd, GetFd, NetdevAdd, NetdevDel};
use tokio::time::Instant;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    super::super::{
        connection::ANSWER_LIMIT,
        guest::Guest,
        nic::{self, Nic},
    },
    Held, Nics, blocking,
    follow::devices,
    round::{Round, is_silence},
    tap_backend,
};
use crate::{
    chain,
    nics::{Link, selection},
};

/// What came of plugging a NIC in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    PluggedIn,
    /// It can't be, which was said.
    Impossible,
    /// QEMU does not answer.
    Unknown,
}

impl Nics {
    /// Plugs in NICs for interfaces that appeared. True if there were any.
    pub(in super::super) async fn plug_in(&mut self, node: Uuid, guest: &Guest) -> bool {
        // Whoever gave no answer just now gives none here.
        if self.silent && self.again.is_some() {
            return false;
        }
        let Some(client) = guest.client() else { return false };
        let Some(mut plugged) = self.clear_up(&Round::new(client), guest).await else { return false };
        let end = Instant::now() + ANSWER_LIMIT;
        for link in self.links().await.unwrap_or_default() {
            let nic = selection::appeared(&self.plan, node, &link, &self.chosen());
            let Some(nic) = nic.filter(|_| !self.given_up.contains(&link) && !self.is_held(&link)) else {
                continue;
            };
            if Instant::now() >= end {
                self.go_on_after(Duration::ZERO);
                break;
            }
            match self.plug(nic, &link, guest, &Round::new(client)).await {
                Outcome::PluggedIn => plugged = true,
                Outcome::Impossible => self.given_up.add(&link),
                Outcome::Unknown => break,
            }
        }
        plugged
    }

    /// Finds out which of the NICs that QEMU gave no answer about are there, and removes what there is of the
    /// others. True if there are some, none if QEMU does not answer.
    async fn clear_up(&mut self, round: &Round<'_>, guest: &Guest) -> Option<bool> {
        if self.held.iter().all(|held| held.is_there) {
            return Some(false);
        }
        let there = match devices(round).await {
            Ok(there) => there,
            Err(error) => {
                self.was_silent("ask QEMU for its NICs", &error);
                return None;
            }
        };
        self.silent = false;
        let is_there = |held: &Held| held.is_there || there.contains(&held.placed.device_id());
        let (mut held, lost): (Vec<_>, Vec<_>) = self.held.drain(..).partition(is_there);
        let found = held.iter().any(|held| !held.is_there);
        held.iter_mut().for_each(|held| held.is_there = true);
        self.held = held;
        for held in lost {
            // There is none where plugging in had not come that far.
            let _ = round.call(&NetdevDel { id: &nic::netdev_id(&held.placed.nic.name) }).await;
            if let Some(attachment) = held.attachment {
                blocking(self.host.as_ref(), move |host| host.detach(&attachment)).await;
            }
        }
        guest.write_record(&self.run_dir, &self.placed());
        if found {
            // Their links have to be told.
            self.go_on_after(Duration::ZERO);
        }
        Some(found)
    }

    /// Whether the machine that runs has what a NIC sits on in this place.
    fn has_port(&self, port: usize, devices: &[String]) -> bool {
        !self.platform.has_root_ports() || devices.contains(&nic::port_id(port))
    }

    /// Plugs in the NIC of an interface that appeared.
    async fn plug(
        &mut self,
        mut nic: selection::Nic,
        link: &Link,
        guest: &Guest,
        round: &Round<'_>,
    ) -> Outcome {
        let name = nic.name.clone();
        let doing = format!("plug in the NIC of {name}");
        let port = match self.place(&name) {
            Ok(port) => port,
            Err(full) => {
                warn!("{name} appeared, but the guest does without it: {full}");
                return Outcome::Impossible;
            }
        };
        match devices(round).await {
            Ok(devices) if self.has_port(port, &devices) => self.silent = false,
            Ok(_) => {
                warn!(
                    "{name} appeared, but the machine has no port left for a NIC; it has it from the next start on"
                );
                return Outcome::Impossible;
            }
            Err(error) => {
                self.was_silent(&doing, &error);
                return Outcome::Unknown;
            }
        }
        let Some((attachment, tap)) = self.attach(&mut nic).await else { return Outcome::Impossible };
        let mut descriptors = Vec::new();
        let tap = tap.map(|tap| {
            tap_backend(tap, |fd| {
                let called = format!("nic-port{port}-{}", descriptors.len());
                descriptors.push((called.clone(), fd));
                called
            })
        });
        // First it is written down, so that nobody takes over a machine with a NIC that nobody knows of.
        let device = self.hold(nic, port, tap, attachment, Some(link.mtu));
        guest.write_record(&self.run_dir, &self.placed());
        match add(round, &device, descriptors).await {
            Ok(()) => {
                info!("{name} appeared: its NIC is plugged in");
                Outcome::PluggedIn
            }
            Err(error) if is_silence(&error) => {
                if let Some(held) = self.held.last_mut() {
                    held.is_there = false;
                }
                self.was_silent(&doing, &error);
                Outcome::Unknown
            }
            Err(error) => {
                warn!("{doing}: {}; the guest has it from the next start on", chain(&error));
                let attachment = self.held.pop().and_then(|held| held.attachment);
                guest.write_record(&self.run_dir, &self.placed());
                if let Some(attachment) = attachment {
                    blocking(self.host.as_ref(), move |host| host.detach(&attachment)).await;
                }
                Outcome::Impossible
            }
        }
    }
}

async fn add(round: &Round<'_>, nic: &Nic, descriptors: Vec<(String, OwnedFd)>) -> Result<(), qmp::Error> {
    let names: Vec<String> = descriptors.iter().map(|(name, _)| name.clone()).collect();
    let id = nic.netdev_id();
    let backend = async {
        // One of that name is what an earlier try left behind.
        if let Err(error) = round.call(&NetdevDel { id: &id }).await
            && is_silence(&error)
        {
            return Err(error);
        }
        for (name, descriptor) in descriptors {
            round.client.call_with_descriptor(&GetFd { fdname: &name }, descriptor, round.left()).await?;
        }
        round.call(&NetdevAdd(nic.netdev())).await
    };
    if let Err(error) = backend.await {
        // Where QEMU is silent, those that it has go when the next of their names come.
        for name in names.iter().take_while(|_| !is_silence(&error)) {
            // Those that QEMU took are not there to be closed, which is as good.
            let _ = round.call(&CloseFd { fdname: name }).await;
        }
        return Err(error);
    }
    // It has no place in the boot order before that is made anew.
    if let Err(error) = round.call(&DeviceAdd(nic.device(None))).await {
        if !is_silence(&error) {
            let _ = round.call(&NetdevDel { id: &id }).await;
        }
        return Err(error);
    }
    Ok(())
}
