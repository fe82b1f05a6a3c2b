//! `qemu-bmc attach`: the controller of a machine that something else started.
//!
//! The same model, state, LAN interface and commands as [`run`](crate::run) has; what is missing is what nobody
//! showed the way to:
//!
//! | way | gives |
//! |---|---|
//! | `--qmp` | power, boot device, the guest's resets and panics |
//! | `--serial` | serial over LAN, the console and its log |
//! | `--inband` | the guest's own interface to the BMC, and power as far as that goes |
//! | `--start` | power on |
//! | `--agent` | what the guest says of itself, and a shutdown that needs no power button |
//!
//! There is no screen: it is in the hands of whoever started the machine.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::{
    config::Plan,
    console::{Console, Port},
    endpoint::Endpoint,
    foundation::{self, Foundation, Owner, Services},
    machine::{Agent, End, Foreign, StartCommand, Stop},
    os::life::Life,
    serve::{
        control::Control,
        inband_listener::Listener,
        ipmi_inband::{self, Hand},
        ipmi_lan,
    },
};

/// The ways to the machine. One of the first three is needed.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    ways: Ways,
    /// What powers the machine on, such as 'virsh start vm1'; it is run without a shell
    #[arg(long, value_name = "COMMAND")]
    start: Option<StartCommand>,
    /// The socket of the port of qemu-guest-agent: what the guest says of itself, and a shutdown by it
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct Ways {
    /// QEMU's control socket (QMP): power, boot device
    #[arg(long, value_name = "PATH")]
    qmp: Option<PathBuf>,
    /// Its serial port: unix:PATH, tcp:ADDRESS:PORT or pty:PATH
    #[arg(long, value_name = "PORT")]
    serial: Option<Port>,
    /// Where QEMU connects the guest's interface to: tcp:ADDRESS:PORT or unix:PATH
    #[arg(long, value_name = "ENDPOINT")]
    inband: Option<Endpoint>,
}

/// `qemu-bmc attach`.
pub(crate) fn main(arguments: Arguments, machine: Option<&str>) -> anyhow::Result<()> {
    foundation::execute(crate::plan(machine)?, |plan| attach(plan, arguments))
}

async fn attach(plan: Plan, arguments: Arguments) -> anyhow::Result<(End, Life)> {
    let Arguments { ways: Ways { qmp, serial, inband }, start, agent } = arguments;
    let Foundation { control, signals, life, was_on, controller, .. } =
        Foundation::lay(&plan, Owner::Others)?;
    controller.with(|bmc| {
        bmc.has_console = serial.is_some();
        bmc.has_setup = false;
    });
    let listener = inband.as_ref().map(|endpoint| listen(endpoint, &plan)).transpose()?;

    let console = Console::new();
    let (connections_out, connections) = mpsc::unbounded_channel();
    let (line_out, line) = watch::channel(false);
    let (orders_out, orders) = mpsc::channel(64);
    let (stop_out, stop) = watch::channel(Stop::No);
    let (actions_out, actions) = mpsc::unbounded_channel();
    let (link_out, link) = watch::channel(None);

    let door = ipmi_lan::Door::open(
        &plan.lan,
        plan.console.sol_history,
        foundation::random_seed()?,
        Arc::clone(&controller),
        Arc::clone(&console),
        orders_out,
    )?;
    let ipmi = door.place();

    let mut services = Services::start(&plan, &controller, &ipmi.addresses);
    if let Some(port) = &serial {
        services.spawn(port.clone().keep(connections_out, line_out));
        services.carry_console(&plan, &console, connections)?;
    }
    let local =
        Control { controller: Arc::clone(&controller), console, ipmi: ipmi.clone(), companions: None };
    services.spawn(local.serve(control));
    services.open(|closing| door.serve(closing));
    if let Some(listener) = listener {
        let hand = Hand { link: link_out, actions };
        let config = foundation::inband_config(&plan, &ipmi.addresses);
        let door = ipmi_inband::Door::new(config, Arc::clone(&controller)).with_hand(hand);
        services.open(|closing| door.listen(listener, was_on, closing));
    } else {
        drop(link_out);
    }
    let or_none = |way: Option<String>| way.unwrap_or_else(|| "none".into());
    info!(
        "qemu-bmc {}: IPMI on udp {ipmi}; the machine's monitor: {}, serial port: {}, in band: {}",
        env!("CARGO_PKG_VERSION"),
        or_none(qmp.as_ref().map(|path| path.display().to_string())),
        or_none(serial.as_ref().map(Port::to_string)),
        or_none(inband.as_ref().map(Endpoint::to_string)),
    );

    let agent = agent.map(|socket| {
        let (agent, serve) = Agent::serve(socket, Arc::clone(&controller));
        services.spawn(serve);
        agent
    });
    let driver = Foreign {
        controller: Arc::clone(&controller),
        qmp,
        link,
        actions: actions_out,
        serial,
        line,
        orders,
        agent,
        start,
        run_dir: plan.paths.run_dir,
        times: plan.times,
        stop,
        was_on,
    };
    let driver = tokio::spawn(async { driver.run().await.context("prepare the machine's driver") });
    let end = services.watch(driver, signals, &controller, &stop_out, "it is stopping already").await?;
    Ok((end, life))
}

fn listen(inband: &Endpoint, plan: &Plan) -> anyhow::Result<Listener> {
    if inband.is_exposed() {
        warn!("{inband} can be reached from other hosts: whoever connects is the guest, and has its rights");
    } else if inband.is_everybodys() && plan.controller.guest_trusted {
        warn!(
            "{inband} can be reached by every user of this host: whoever connects is the guest, and may change \
             the BMC's users; use unix:PATH, or VM_IPMI_TRUST=restricted"
        );
    }
    Listener::bind(inband).with_context(|| format!("listen on {inband} for the guest"))
}
