//! `qemu-bmc serve`: the controller of a machine that something else started.
//!
//! The same model, state, LAN interface and commands as [`run`](crate::run) has; but QEMU connects here, by
//! its `ipmi-bmc-extern`, instead of being started from here. There is no screen and no serial console: those
//! are in the hands of whoever started the machine.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::{
    config::Plan,
    console::Console,
    foundation::{self, Foundation, Owner, Services},
    machine::{End, Foreign, Stop},
    os::life::Life,
    serve::{
        control::Control,
        inband_listener::{Endpoint, Listener},
        ipmi_inband::{self, Hand},
        ipmi_lan,
    },
};

/// What `serve` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where QEMU connects the guest's interface: tcp:ADDRESS:PORT or unix:PATH
    #[arg(long, value_name = "ENDPOINT")]
    inband: Endpoint,
    /// QEMU's control socket (QMP), to command the machine's power by
    #[arg(long, value_name = "PATH")]
    qmp: Option<PathBuf>,
}

/// `qemu-bmc serve`.
pub(crate) fn main(arguments: Arguments) -> anyhow::Result<()> {
    foundation::execute(|plan| serve(plan, arguments))
}

async fn serve(plan: Plan, Arguments { inband, qmp }: Arguments) -> anyhow::Result<(End, Life)> {
    let Foundation { control, signals, life, was_on, controller, .. } =
        Foundation::lay(&plan, Owner::Others)?;
    controller.with(|bmc| bmc.has_console = false);
    if inband.is_exposed() {
        warn!("{inband} can be reached from other hosts: whoever connects is the guest, and has its rights");
    } else if inband.is_everybodys() && plan.controller.guest_trusted {
        warn!(
            "{inband} can be reached by every user of this host: whoever connects is the guest, and may change \
             the BMC's users; use unix:PATH, or VM_IPMI_TRUST=restricted"
        );
    }
    let listener = Listener::bind(&inband).with_context(|| format!("listen on {inband} for the guest"))?;

    // Nothing comes by it, and nobody takes what goes in.
    let console = Console::new();
    let (orders, _) = mpsc::channel(1);
    let (stop_out, stop) = watch::channel(Stop::No);
    let (actions_out, actions) = mpsc::unbounded_channel();
    let (link_out, link) = watch::channel(None);

    let seed = foundation::random_seed()?;
    let door =
        ipmi_lan::Door::open(&plan.lan, false, seed, Arc::clone(&controller), Arc::clone(&console), orders)?;
    let ipmi = door.place();

    let mut services = Services::start(&plan, &controller, &ipmi.addresses);
    let local =
        Control { controller: Arc::clone(&controller), console, ipmi: ipmi.clone(), companions: None };
    services.spawn(local.serve(control));
    services.open(|closing| door.serve(closing));
    let hand = Hand { link: link_out, actions };
    let door =
        ipmi_inband::Door::new(foundation::inband_config(&plan, &ipmi.addresses), Arc::clone(&controller));
    services.open(|closing| door.with_hand(hand).listen(listener, was_on, closing));
    info!("qemu-bmc {}: IPMI on udp {}, in band on {inband}", env!("CARGO_PKG_VERSION"), ipmi);

    let driver = Foreign {
        controller: Arc::clone(&controller),
        qmp,
        link,
        actions: actions_out,
        times: plan.times,
        stop,
        was_on,
    };
    let driver = tokio::spawn(async { Ok(driver.run().await) });
    let end = services.watch(driver, signals, &controller, &stop_out, "it is stopping already").await?;
    Ok((end, life))
}
