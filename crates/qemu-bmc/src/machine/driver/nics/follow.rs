//! What interfaces do while the machine runs, and what becomes of its NICs by that.
//!
//! | the interface | its NIC |
//! |---|---|
//! | loses its carrier, or is set down | loses its link |
//! | has both again | has its link again |
//! | is removed | stays, and loses its link |
//! | is there again | is attached to it again, and has its link again |
//! | gets another MTU | the host's end gets it too; the guest learns of it at the next power on |
//! | is there for the first time | is plugged in |
//!
//! Nothing depends on seeing every change: after any, all interfaces are looked at, and what they are now is
//! compared with what was made of them.

use qmp::{
    Client,
    commands::{QomList, SetLink},
};
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    super::super::{
        guest::{ANSWER_LIMIT, Guest},
        nic::Placed,
    },
    Held, Nics, blocking,
};
use crate::{
    chain,
    nics::{Link, host::Host, selection},
};

/// A link that is another than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct LinkChange {
    pub(in super::super) nic: String,
    pub(in super::super) up: bool,
}

/// What has to be done to a NIC for its other end to be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The interface is another one than it was.
    Reattach,
    /// It has another MTU.
    Mtu,
}

impl Nics {
    /// Waits until an interface changes. Cancelling loses nothing.
    pub(in super::super) async fn changed(&mut self) {
        if let Some(watch) = &mut self.watch {
            match watch.changed().await {
                Ok(()) => return,
                Err(error) => {
                    warn!("watch the network interfaces: {error}; what they do is not followed any more");
                    self.watch = None;
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Begins to see what interfaces do.
    pub(in super::super) fn listen(&mut self) {
        let Some(host) = &self.host else { return };
        match host.watch() {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => warn!("watch the network interfaces: {error}; what they do is not followed"),
        }
    }

    /// Takes over the NICs of a machine that an earlier controller started.
    pub(in super::super) async fn adopt(&mut self, placed: Vec<Placed>, client: Option<&Client>) {
        // The lab had its time when the machine started.
        self.awaited = true;
        let there = match client {
            Some(client) => devices(client).await,
            None => Vec::new(),
        };
        let mut attached = blocking(self.host.as_ref(), |host| host.attached()).await.unwrap_or_default();
        // One that was about to be plugged in may not have been.
        let is_there = |placed: &Placed| there.is_empty() || there.contains(&placed.device_id());
        for placed in placed.into_iter().filter(is_there) {
            let own = attached.iter().position(|attachment| attachment.interface == placed.nic.name);
            let attachment = own.map(|index| attached.swap_remove(index));
            self.held.push(Held { placed, attachment, up: true, mtu: None, told: None });
        }
        blocking(self.host.as_ref(), move |host| attached.iter().for_each(|it| host.detach(it))).await;
        self.listen();
    }

    /// QEMU may have missed what it was told, or another may have told it something else.
    pub(in super::super) fn doubt(&mut self) {
        self.held.iter_mut().for_each(|held| held.told = None);
    }

    /// Makes the NICs follow their interfaces. Returns which links are other than they were.
    pub(in super::super) async fn follow(&mut self, guest: &Guest) -> Vec<LinkChange> {
        let Some(links) = self.links().await else { return Vec::new() };
        let mut changes = Vec::new();
        for held in &mut self.held {
            let link = links.iter().find(|link| link.name == held.placed.nic.name);
            if let (None, Some(attachment)) = (link, &mut held.attachment) {
                attachment.lose_interface();
            }
            if let Some((link, step)) = link.and_then(|link| Some((link, held.step(link)?)))
                && !self.given_up.contains(link)
                && !held.take(step, link, self.host.as_ref()).await
            {
                self.given_up.add(link);
            }
            let up = held.has_link(&links);
            if std::mem::replace(&mut held.up, up) != up {
                changes.push(LinkChange { nic: held.placed.nic.name.clone(), up });
            }
            if held.told != Some(up)
                && let Some(client) = guest.client()
            {
                held.tell(client, up).await;
            }
        }
        changes
    }

    /// Plugs in NICs for interfaces that appeared. True if there were any.
    pub(in super::super) async fn plug_in(&mut self, node: Uuid, guest: &Guest) -> bool {
        let Some(client) = guest.client() else { return false };
        let mut plugged = false;
        for link in self.links().await.unwrap_or_default() {
            let nic = selection::appeared(&self.plan, node, &link, &self.chosen());
            if let Some(nic) = nic.filter(|_| !self.given_up.contains(&link)) {
                if self.plug(nic, &link, guest, client).await {
                    plugged = true;
                } else {
                    self.given_up.add(&link);
                }
            }
        }
        plugged
    }
}

impl Held {
    fn step(&self, link: &Link) -> Option<Step> {
        let attachment = self.attachment.as_ref()?;
        if attachment.index() != link.index {
            return Some(Step::Reattach);
        }
        (self.mtu != Some(link.mtu)).then_some(Step::Mtu)
    }

    fn has_link(&self, links: &[Link]) -> bool {
        let Some(attachment) = &self.attachment else { return true };
        links
            .iter()
            .any(|link| link.index == attachment.index() && link.name == attachment.interface && link.up)
    }

    /// False if it failed.
    async fn take(&mut self, step: Step, link: &Link, host: Option<&Host>) -> bool {
        let Some(attachment) = self.attachment.clone() else { return true };
        let name = &link.name;
        let outcome = match step {
            Step::Reattach => blocking(host, move |host| host.reattach(&attachment)).await.map(|outcome| {
                outcome.map(|attachment| {
                    info!("{name} is there again, and is attached again");
                    self.attachment = Some(attachment);
                    self.mtu = Some(link.mtu);
                })
            }),
            Step::Mtu => {
                let mtu = link.mtu;
                blocking(host, move |host| host.set_mtu(&attachment, mtu)).await.map(|outcome| {
                    outcome.map(|granted| {
                        if self.mtu.is_some() {
                            info!("{name} takes frames of {granted} bytes now; the guest is told so when it starts next");
                        }
                        self.mtu = Some(mtu);
                    })
                })
            }
        };
        if let Some(Err(error)) = &outcome {
            warn!("{}", chain(error));
        }
        matches!(outcome, Some(Ok(())))
    }

    async fn tell(&mut self, client: &Client, up: bool) {
        let id = self.placed.device_id();
        match client.call(&SetLink { name: &id, up }, ANSWER_LIMIT).await {
            Ok(_) => self.told = Some(up),
            Err(error) => warn!("set the link of {}: {}", self.placed.nic.name, chain(&error)),
        }
    }
}

/// The `id`s of all devices that have one; none if QEMU does not say.
pub(super) async fn devices(client: &Client) -> Vec<String> {
    match client.call(&QomList { path: "/machine/peripheral" }, ANSWER_LIMIT).await {
        Ok(reply) => reply.value.into_iter().map(|child| child.name).collect(),
        Err(error) => {
            warn!("ask QEMU for its NICs: {}", chain(&error));
            Vec::new()
        }
    }
}
