//! The machine's NICs: attached before QEMU starts, followed while it runs, let go when it has ended.
//!
//! ```text
//!   wait ─▶ prepare ─▶ QEMU starts ─▶ follow ⟲ ─▶ QEMU ends ─▶ release
//!             │                         │  an interface goes down, up, away, comes back: the link follows
//!             │                         └─ one appears for the first time: a NIC is plugged in
//!             └─ which NICs, interfaces attached, descriptors for QEMU
//! ```
//!
//! What was done to interfaces is on disk as long as it is in force ([`Host`]), and which NICs QEMU has is in
//! the machine's record. So the next controller adopts both with a QEMU that runs on, and undoes what is left of
//! one that doesn't.

mod follow;
mod plug;
mod round;
mod wait;

use std::{
    os::fd::{OwnedFd, RawFd},
    path::{Path, PathBuf},
};

pub(super) use follow::LinkChange;
use tokio::time::Instant;
use tracing::{error, info, warn};
use uuid::Uuid;

use super::super::nic::{self, Backend, Nic, NicSet, PORTS_MAX, Placed, SPARE_PORTS};
use crate::{
    chain,
    config::{Fallback, MachinePlan, Mode, Networks, NicsPlan, Platform},
    nics::{
        Attachment, Link, Request, Tap,
        host::{Host, Watch},
        selection,
    },
};

/// The lowest number of a descriptor that QEMU inherits for a NIC.
const FIRST_DESCRIPTOR: RawFd = 20;

/// What a command line needs to know of the NICs, and what QEMU is to inherit for it.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    pub(super) set: NicSet,
    pub(super) placed: Vec<Placed>,
    pub(super) inherited: Vec<(RawFd, OwnedFd)>,
}

/// The NICs of the machine.
pub(super) struct Nics {
    plan: NicsPlan,
    cpus: u32,
    platform: Platform,
    /// What the guest is told that it is called.
    hostname: String,
    /// None where no interface can be the guest's.
    host: Option<Host>,
    watch: Option<Watch>,
    /// Whether the lab has had its time to add interfaces.
    awaited: bool,
    /// Those of the machine that runs.
    held: Vec<Held>,
    given_up: GivenUp,
    /// When something is to be tried again that QEMU gave no answer to.
    again: Option<Instant>,
    /// Whether QEMU gave no answer when it was asked last.
    silent: bool,
    run_dir: PathBuf,
}

/// Interfaces that something failed with. It is tried again with another of the same name, or at the next start.
#[derive(Debug, Default)]
struct GivenUp(Vec<u32>);

impl GivenUp {
    fn contains(&self, link: &Link) -> bool {
        self.0.contains(&link.index)
    }

    fn add(&mut self, link: &Link) {
        self.0.push(link.index);
    }
}

/// A NIC of the machine that runs.
#[derive(Debug)]
struct Held {
    placed: Placed,
    /// What was done for it to its interface.
    attachment: Option<Attachment>,
    /// Whether there is a link.
    up: bool,
    /// What its interface had last; none if that is not known.
    mtu: Option<u32>,
    /// Whether QEMU was told that there is a link; none if that is not known.
    told: Option<bool>,
    /// Whether QEMU is known to have it. One that QEMU gave no answer about may be there or not.
    is_there: bool,
}

/// There is no room for one more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has room for {room} NICs of {model}")]
struct Full {
    room: usize,
    model: String,
}

impl Nics {
    pub(super) fn new(plan: &MachinePlan, run_dir: &Path) -> Self {
        let host = match Host::open(run_dir) {
            Ok(host) => Some(host),
            Err(error) => {
                warn!("look at the network interfaces: {error}; none of them can be the guest's");
                None
            }
        };
        Self::with(plan, run_dir, host)
    }

    fn with(plan: &MachinePlan, run_dir: &Path, host: Option<Host>) -> Self {
        Self {
            plan: plan.nics.clone(),
            cpus: plan.hardware.cpus.count,
            platform: plan.hardware.machine.platform,
            hostname: nic::hostname(&plan.identity.name),
            host,
            watch: None,
            awaited: false,
            held: Vec::new(),
            given_up: GivenUp::default(),
            again: None,
            silent: false,
            run_dir: run_dir.to_owned(),
        }
    }

    /// The interfaces that there are; none if that can't be known.
    async fn links(&self) -> Option<Vec<Link>> {
        match blocking(self.host.as_ref(), Host::links).await? {
            Ok(links) => Some(links),
            Err(error) => {
                warn!("{}", chain(&error));
                None
            }
        }
    }

    /// Makes what the machine starts with. What fails costs a NIC, or what it is attached to, and not the start.
    pub(super) async fn prepare(&mut self, node: Uuid) -> Prepared {
        let links = self.links().await.unwrap_or_default();
        let mut prepared = Prepared::default();
        for nic in selection::select(&self.plan, node, &links) {
            self.add(nic, &links, &mut prepared).await;
        }
        if self.held.is_empty()
            && let Some(nic) = selection::last_resort(&self.plan, node)
        {
            self.add(nic, &links, &mut prepared).await;
        }
        if let Some(name) = self.plan.boot_nic.as_deref().filter(|name| !self.has(name)) {
            warn!("there is no NIC {name} to boot from first (VM_BOOT_NIC): the others are tried");
        }
        self.listen();
        prepared.set.ports = ports(&self.plan, self.held.len());
        prepared.set.boot_order = self.boot_order();
        prepared.placed = self.placed();
        for Held { placed: Placed { nic, .. }, mtu, .. } in &self.held {
            let mtu = mtu.map(|mtu| format!(", MTU {mtu}")).unwrap_or_default();
            info!("the guest's NIC {}: {}, {}{mtu}", nic.name, nic.mode, nic.mac);
        }
        prepared
    }

    async fn add(&mut self, mut nic: selection::Nic, links: &[Link], prepared: &mut Prepared) {
        let port = match self.place(&nic.name) {
            Ok(port) => port,
            Err(full) => {
                warn!("the guest does without {}: {full}", nic.name);
                return;
            }
        };
        let Some((attachment, tap)) = self.attach(&mut nic).await else { return };
        let inherited = &mut prepared.inherited;
        let tap = tap.map(|tap| {
            tap_backend(tap, |fd| {
                let number = FIRST_DESCRIPTOR
                    .saturating_add_unsigned(u32::try_from(inherited.len()).unwrap_or(u32::MAX));
                inherited.push((number, fd));
                number.to_string()
            })
        });
        let mtu = mtu_of(links, &nic.name);
        prepared.set.nics.push(self.hold(nic, port, tap, attachment, mtu));
    }

    /// The place of a NIC: where interfaces are named, each has its own, so that it stays whichever of them are
    /// there; else the first one that is free.
    fn place(&self, name: &str) -> Result<usize, Full> {
        let named = match &self.plan.networks {
            Networks::Named(names) => names.iter().position(|other| other == name),
            Networks::Auto | Networks::None => None,
        };
        let is_free = |port: &usize| self.held.iter().all(|other| other.placed.port != *port);
        let port = match named {
            Some(position) => position + usize::from(self.plan.management),
            None => (0..PORTS_MAX).find(is_free).unwrap_or(PORTS_MAX),
        };
        let room = nic::room(self.platform, &self.plan.model);
        let places = if self.platform.has_root_ports() { PORTS_MAX } else { room };
        if port < places && self.held.len() < room {
            Ok(port)
        } else {
            Err(Full { room, model: self.plan.model.clone() })
        }
    }

    /// Adds a NIC to the machine's: behind its interface's TAP device if it has one, else behind QEMU's own router.
    fn hold(
        &mut self,
        nic: selection::Nic,
        port: usize,
        tap: Option<Backend>,
        attachment: Option<Attachment>,
        mtu: Option<u32>,
    ) -> Nic {
        let device = Nic {
            name: nic.name.clone(),
            mac: nic.mac,
            model: self.plan.model.clone(),
            platform: self.platform,
            port,
            backend: tap.unwrap_or_else(|| self.user()),
        };
        // QEMU's NICs begin with a link.
        let placed = Placed { nic, port };
        self.held.push(Held { placed, attachment, up: true, mtu, told: Some(true), is_there: true });
        device
    }

    /// Attaches the interface of a NIC, if it is to have one. A NIC whose interface can't be had for want of a
    /// privilege is in user mode then, if that was wanted; none where there is to be no NIC.
    async fn attach(&self, nic: &mut selection::Nic) -> Option<(Option<Attachment>, Option<Tap>)> {
        if !nic.mode.is_attached() {
            return Some((None, None));
        }
        let request = Request {
            interface: nic.name.clone(),
            mode: nic.mode,
            queues: nic::queues(&self.plan.model, self.cpus),
            virtio: nic::is_virtio(&self.plan.model),
        };
        let outcome = blocking(self.host.as_ref(), move |host| host.attach(&request)).await?;
        let failure = match outcome {
            Ok((attachment, tap)) => return Some((Some(attachment), Some(tap))),
            Err(failure) => failure,
        };
        let name = &nic.name;
        if !failure.is_privilege() {
            error!("{}; the guest does without {name}", chain(&failure));
            return None;
        }
        match self.plan.fallback {
            Fallback::User => {
                warn!("{}; {name} is behind NAT instead (VM_NETWORK_FALLBACK=user)", chain(&failure));
                nic.mode = Mode::User;
                Some((None, None))
            }
            Fallback::None => {
                warn!("{}; the guest does without {name} (VM_NETWORK_FALLBACK=none)", chain(&failure));
                None
            }
        }
    }

    /// QEMU's own router. The first NIC that has it, has the forwards.
    fn user(&self) -> Backend {
        let number = self.held.iter().filter(|held| held.placed.nic.mode == Mode::User).count();
        let forwards = if number == 0 { self.plan.forwards.clone() } else { Vec::new() };
        Backend::User { number, hostname: self.hostname.clone(), forwards }
    }

    fn has(&self, name: &str) -> bool {
        self.held.iter().any(|held| held.placed.nic.name == name)
    }

    /// The NICs of the machine that runs.
    pub(super) fn placed(&self) -> Vec<Placed> {
        self.held.iter().map(|held| held.placed.clone()).collect()
    }

    fn chosen(&self) -> Vec<selection::Nic> {
        self.held.iter().map(|held| held.placed.nic.clone()).collect()
    }

    /// The devices' ids in the order in which they are booted from.
    pub(super) fn boot_order(&self) -> Vec<String> {
        selection::boot_order(&self.plan, &self.chosen()).iter().map(|name| nic::device_id(name)).collect()
    }

    /// What the model shows of them.
    pub(super) fn shown(&self) -> Vec<bmc::Nic> {
        let shown = self.held.iter().map(|Held { placed: Placed { nic, .. }, up, .. }| bmc::Nic {
            name: nic.name.clone(),
            mac: nic.mac.0,
            attached: nic.mode.to_string(),
            up: *up,
        });
        shown.collect()
    }

    /// Undoes what was done for a machine that has ended, by this controller or an earlier one.
    pub(super) async fn release(&mut self) {
        (self.held, self.watch, self.given_up) = (Vec::new(), None, GivenUp::default());
        (self.again, self.silent) = (None, false);
        blocking(self.host.as_ref(), |host| host.attached().iter().for_each(|it| host.detach(it))).await;
    }
}

/// A TAP device as QEMU is told of it. `called` hands a descriptor over, and says by which name QEMU has it.
fn tap_backend(Tap { queues, vhost, mtu }: Tap, mut called: impl FnMut(OwnedFd) -> String) -> Backend {
    let queues = queues.into_iter().map(&mut called).collect();
    Backend::Tap { queues, vhost: vhost.into_iter().map(called).collect(), mtu }
}

fn mtu_of(links: &[Link], name: &str) -> Option<u32> {
    links.iter().find(|link| link.name == name).map(|link| link.mtu)
}

/// How many root ports a machine has that starts with so many NICs.
fn ports(plan: &NicsPlan, nics: usize) -> usize {
    match &plan.networks {
        Networks::Named(names) => names.len() + usize::from(plan.management),
        Networks::Auto => nics + SPARE_PORTS,
        Networks::None => nics,
    }
}

/// The NICs that a machine would start with now, for whoever wants to see the command line.
pub(crate) fn preview(plan: &MachinePlan, node: Uuid, links: &[Link]) -> NicSet {
    let mut nics = Nics::with(plan, Path::new(""), None);
    let mut set = NicSet::default();
    let mut descriptors = FIRST_DESCRIPTOR..;
    for nic in selection::select(&nics.plan, node, links) {
        // What there is no room for, the machine does without.
        let Ok(port) = nics.place(&nic.name) else { continue };
        let mtu = mtu_of(links, &nic.name);
        let tap = nic.mode.is_attached().then(|| {
            let count = nic::queues(&nics.plan.model, nics.cpus) as usize;
            let queues = descriptors.by_ref().take(count).map(|number| number.to_string()).collect();
            Backend::Tap { queues, vhost: Vec::new(), mtu: mtu.unwrap_or_default() }
        });
        set.nics.push(nics.hold(nic, port, tap, None, mtu));
    }
    set.ports = ports(&nics.plan, nics.held.len());
    set.boot_order = nics.boot_order();
    set
}

/// Does something with the host where waiting for the kernel delays nobody. None if there is no host.
async fn blocking<T: Send + 'static>(
    host: Option<&Host>,
    work: impl FnOnce(&Host) -> T + Send + 'static,
) -> Option<T> {
    let host = host?.clone();
    match tokio::task::spawn_blocking(move || work(&host)).await {
        Ok(done) => Some(done),
        Err(failed) => {
            error!("work on the network interfaces: {failed}");
            None
        }
    }
}
