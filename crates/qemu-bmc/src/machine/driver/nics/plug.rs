//! Plugging a NIC into the machine that runs.

use std::os::fd::OwnedFd;

use qmp::{
    Client,
    commands::{CloseFd, DeviceAdd, GetFd, NetdevAdd, NetdevDel},
};
use tracing::{info, warn};

use super::{
    super::super::{
        guest::{ANSWER_LIMIT, Guest},
        nic::{self, Backend, Nic, Placed},
    },
    Held, Nics, blocking,
    follow::devices,
    place,
};
use crate::{
    chain,
    nics::{Link, Tap, selection},
};

impl Nics {
    /// Plugs in the NIC of an interface that appeared. False if that can't be, which was said then.
    pub(super) async fn plug(
        &mut self,
        mut nic: selection::Nic,
        link: &Link,
        guest: &Guest,
        client: &Client,
    ) -> bool {
        let name = nic.name.clone();
        let port = place(&self.plan, &name, &self.held);
        if !devices(client).await.contains(&nic::port_id(port)) {
            warn!(
                "{name} appeared, but the machine has no port left for a NIC; it has it from the next start on"
            );
            return false;
        }
        let Some((attachment, tap)) = self.attach(&mut nic).await else { return false };
        let mut descriptors = Vec::new();
        let backend = match tap {
            None => self.user(),
            Some(Tap { queues, vhost, mtu }) => {
                let mut called = |fd| {
                    let called = format!("nic-port{port}-{}", descriptors.len());
                    descriptors.push((called.clone(), fd));
                    called
                };
                let queues = queues.into_iter().map(&mut called).collect();
                Backend::Tap { queues, vhost: vhost.into_iter().map(called).collect(), mtu }
            }
        };
        let device = self.nic(&nic, port, backend);
        // First it is written down, so that nobody takes over a machine with a NIC that nobody knows of.
        let placed = Placed { nic, port };
        let held = Held { placed, attachment, up: true, mtu: Some(link.mtu), told: Some(true) };
        self.held.push(held);
        guest.write_record(&self.run_dir, &self.placed());
        match add(client, &device, descriptors).await {
            Ok(()) => {
                info!("{name} appeared: its NIC is plugged in");
                true
            }
            Err(error) => {
                warn!(
                    "plug in the NIC of {name}: {}; the guest has it from the next start on",
                    chain(&error)
                );
                let attachment = self.held.pop().and_then(|held| held.attachment);
                guest.write_record(&self.run_dir, &self.placed());
                if let Some(attachment) = attachment {
                    blocking(self.host.as_ref(), move |host| host.detach(&attachment)).await;
                }
                false
            }
        }
    }
}

async fn add(client: &Client, nic: &Nic, descriptors: Vec<(String, OwnedFd)>) -> Result<(), qmp::Error> {
    let names: Vec<String> = descriptors.iter().map(|(name, _)| name.clone()).collect();
    let backend = async {
        for (name, descriptor) in descriptors {
            client.call_with_descriptor(&GetFd { fdname: &name }, descriptor, ANSWER_LIMIT).await?;
        }
        client.call(&NetdevAdd(nic.netdev()), ANSWER_LIMIT).await
    };
    if let Err(error) = backend.await {
        for name in names {
            // Those that QEMU took are not there to be closed, which is as good.
            let _ = client.call(&CloseFd { fdname: &name }, ANSWER_LIMIT).await;
        }
        return Err(error);
    }
    // It has no place in the boot order before that is made anew.
    if let Err(error) = client.call(&DeviceAdd(nic.device(None)), ANSWER_LIMIT).await {
        let _ = client.call(&NetdevDel { id: &nic.netdev_id() }, ANSWER_LIMIT).await;
        return Err(error);
    }
    Ok(())
}
