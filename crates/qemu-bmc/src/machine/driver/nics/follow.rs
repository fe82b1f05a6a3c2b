//! What interfaces do while the machine runs, and what becomes of its NICs by that.
//!
//! | the interface | its NIC |
//! |---|---|
//! | loses its carrier, or is set down | loses its link |
//! | has both again | has its link again |
//! | is removed, or gets another name | stays, and loses its link |
//! | is there again | is attached to it again, and has its link again |
//! | gets another MTU | the host's end gets it too; the guest learns of it at the next power on |
//! | is there for the first time | is plugged in |
//!
//! Nothing depends on seeing every change: after any, all interfaces are looked at, and what they are now is
//! compared with what was made of them.

use qmp::{
    Client,
    commands::{NetdevDel, QomList, SetLink},
};
use tokio::time::sleep_until;
use tracing::{info, warn};

use super::{
    super::super::{
        guest::Guest,
        nic::{self, Placed},
    },
    Held, Nics, blocking,
    round::{AGAIN, Round, is_silence},
};
use crate::{
    chain,
    nics::{
        Attachment, Link,
        host::{Error, Host, Watch},
    },
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
    /// Waits until an interface changes, or something is to be tried again. Cancelling loses nothing.
    pub(in super::super) async fn changed(&mut self) {
        let again = self.again;
        let due = async {
            match again {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = seen(&mut self.watch) => {}
            () = due => {}
        }
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
        let there = match client.map(Round::new) {
            Some(round) => match devices(&round).await {
                Ok(there) => {
                    remove_backends(&round, &placed, &there).await;
                    Some(there)
                }
                Err(error) => {
                    self.was_silent("ask QEMU for its NICs", &error);
                    None
                }
            },
            None => None,
        };
        let mut attached = blocking(self.host.as_ref(), |host| host.attached()).await.unwrap_or_default();
        // One that was about to be plugged in may not have been.
        let may_be_there =
            |placed: &Placed| there.as_ref().is_none_or(|there| there.contains(&placed.device_id()));
        for placed in placed.into_iter().filter(may_be_there) {
            let own = attached.iter().position(|attachment| attachment.interface == placed.nic.name);
            let attachment = own.map(|index| attached.swap_remove(index));
            if attachment.is_none() && placed.nic.mode.is_attached() {
                warn!(
                    "what was done to {0} is not known any more (nics.json): its addresses are not put back when the machine goes off; see to it then (tc qdisc show dev {0}, ip address show dev {0})",
                    placed.nic.name
                );
            }
            let is_there = there.is_some();
            self.held.push(Held { placed, attachment, up: true, mtu: None, told: None, is_there });
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
        let is_due = self.again.take().is_some();
        let Some(links) = self.links().await else {
            if is_due {
                self.go_on_after(AGAIN);
            }
            return Vec::new();
        };
        let cut_off = self.cut_off().await;
        let mut changes = Vec::new();
        for held in &mut self.held {
            let link = links.iter().find(|link| link.name == held.placed.nic.name);
            // One that has another name for a while is still the same.
            if let Some(attachment) = &mut held.attachment
                && (cut_off.contains(&attachment.index())
                    || links.iter().all(|link| link.index != attachment.index()))
            {
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
        }
        if let Some(client) = guest.client() {
            self.tell(&Round::new(client)).await;
        }
        changes
    }

    /// Lets QEMU know which NICs have a link.
    async fn tell(&mut self, round: &Round<'_>) {
        let mut silence = None;
        for held in self.held.iter_mut().filter(|held| held.is_there && held.told != Some(held.up)) {
            if let Err(error) = held.tell(round).await {
                silence = Some((format!("set the link of {}", held.placed.nic.name), error));
                break;
            }
            self.silent = false;
        }
        if let Some((doing, error)) = silence {
            self.was_silent(&doing, &error);
        }
    }

    /// The numbers of the interfaces that are not connected with their NICs any more. They may have been away so
    /// shortly that nobody saw it.
    async fn cut_off(&self) -> Vec<u32> {
        let attached = self.held.iter().filter_map(|held| held.attachment.clone());
        let mut attached: Vec<_> = attached.filter(|attachment| attachment.index() != 0).collect();
        let found = blocking(self.host.as_ref(), move |host| {
            attached.retain(|attachment| !host.is_connected(attachment));
            attached
        });
        found.await.unwrap_or_default().iter().map(Attachment::index).collect()
    }

    /// Whether an interface is attached already, under whatever name.
    pub(super) fn is_held(&self, link: &Link) -> bool {
        let mut attached = self.held.iter().filter_map(|held| held.attachment.as_ref());
        attached.any(|attachment| attachment.index() == link.index)
    }
}

/// Waits until an interface changes.
async fn seen(watch: &mut Option<Watch>) {
    if let Some(watching) = watch {
        match watching.changed().await {
            Ok(()) => return,
            Err(error) => {
                warn!("watch the network interfaces: {error}; what they do is not followed any more");
                *watch = None;
            }
        }
    }
    std::future::pending::<()>().await;
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
        let Some(attachment) = &self.attachment else {
            let nic = &self.placed.nic;
            return !nic.mode.is_attached() || links.iter().any(|link| link.name == nic.name && link.up);
        };
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
        // It went in between: that is another change, after which all is looked at again.
        if let Some(Err(Error::Absent(absent))) = &outcome
            && absent == name
        {
            return true;
        }
        if let Some(Err(error)) = &outcome {
            warn!("{}", chain(error));
        }
        matches!(outcome, Some(Ok(())))
    }

    /// Fails if it is not known whether QEMU knows.
    async fn tell(&mut self, round: &Round<'_>) -> Result<(), qmp::Error> {
        let (id, up) = (self.placed.device_id(), self.up);
        // One that gets no answer may be carried out at any time.
        self.told = None;
        match round.call(&SetLink { name: &id, up }).await {
            Err(error) if is_silence(&error) => return Err(error),
            Err(error) => warn!("set the link of {}: {}", self.placed.nic.name, chain(&error)),
            Ok(_) => {}
        }
        self.told = Some(up);
        Ok(())
    }
}

/// The `id`s of all devices that have one.
pub(super) async fn devices(round: &Round<'_>) -> Result<Vec<String>, qmp::Error> {
    let reply = round.call(&QomList { path: "/machine/peripheral" }).await?;
    Ok(reply.value.into_iter().map(|child| child.name).collect())
}

/// Removes what plugging in left behind that was not carried to its end.
async fn remove_backends(round: &Round<'_>, placed: &[Placed], there: &[String]) {
    for placed in placed.iter().filter(|placed| !there.contains(&placed.device_id())) {
        // There is none where plugging in had not come that far.
        let _ = round.call(&NetdevDel { id: &nic::netdev_id(&placed.nic.name) }).await;
    }
}
