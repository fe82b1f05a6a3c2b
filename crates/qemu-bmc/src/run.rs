//! The controller and its machine: builds every part, starts the tasks, and ends them in order.
//!
//! ```text
//!   signal ──▶ stop ──▶ driver shuts the guest down, while every door still answers ──▶ exit 0
//!   reset  ──▶ restart ──▶ this process executes itself anew; QEMU runs on and is taken over
//! ```
//!
//! Where the configuration has several machines, each is run so by a process of its own ([`several`]).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};
use tracing::info;

use crate::{
    chain,
    config::{Machines, Plan},
    console::Console,
    foundation::{self, Foundation, Owner, Services},
    machine::{Agent, CDROMS, Driver, End, FirmwareReset, Stop, argv::Sockets},
    os::life::Life,
    serve::{
        control::Control,
        ipmi_inband,
        ipmi_lan::Door,
        vnc::{self, HostScreen, VncSettings},
    },
    several,
};

/// What `run` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The process that watches over this one, which ends when that does
    #[arg(long, hide = true, value_name = "PID")]
    child_of: Option<i32>,
}

/// `qemu-bmc run`: the controller of a machine, or what watches over the controllers of several.
pub(crate) fn main(arguments: &Arguments, machine: Option<&str>) -> anyhow::Result<ExitCode> {
    if let Some(parent) = arguments.child_of {
        several::end_with(parent)?;
    }
    match crate::machines(machine)? {
        Machines::One(plan) => foundation::execute(*plan, run).map(|()| ExitCode::SUCCESS),
        Machines::Several(plans) => several::watch_over(&plans),
    }
}

async fn run(plan: Plan) -> anyhow::Result<(End, Life)> {
    let Foundation { control, signals, life, same_life, was_on, controller } =
        Foundation::lay(&plan, Owner::Us)?;
    let cdroms = CDROMS.iter().zip(&plan.machine.storage.cdroms);
    controller.with(|bmc| {
        bmc.set_drives(
            cdroms.map(|(name, medium)| (name.to_string(), medium.as_ref().map(ToString::to_string))),
        );
    });
    // A controller that only restarted leaves the machine off if it is off: no power was lost.
    let power_on = !same_life && controller.with(|bmc| bmc.wants_power_after_loss(was_on));

    let console = Console::new();
    let (serial, connections) = mpsc::unbounded_channel();
    let (inband_out, inband) = mpsc::unbounded_channel();
    let (orders_out, orders) = mpsc::channel(64);
    let (stop_out, stop) = watch::channel(Stop::No);
    let (screen_out, screen) = watch::channel(HostScreen::Off);
    let (companions_out, companions) = watch::channel(Vec::new());

    let door = Door::open(
        &plan.lan,
        plan.console.sol_history,
        foundation::random_seed()?,
        Arc::clone(&controller),
        Arc::clone(&console),
        orders_out,
    )?;
    let ipmi = door.place();

    let mut services = Services::start(&plan, &controller, &ipmi.addresses);
    let vnc_addresses = open_vnc(&plan, screen, services.tasks())?;
    services.carry_console(&plan, &console, connections)?;
    let local = Control {
        controller: Arc::clone(&controller),
        console: Arc::clone(&console),
        ipmi: ipmi.clone(),
        companions: Some(companions),
    };
    services.spawn(local.serve(control));
    services.open(|closing| door.serve(closing));
    let door =
        ipmi_inband::Door::new(foundation::inband_config(&plan, &ipmi.addresses), Arc::clone(&controller));
    services.open(|closing| door.serve(inband, closing));
    info!(
        "qemu-bmc {}: IPMI on udp {}, VNC on {}",
        env!("CARGO_PKG_VERSION"),
        ipmi,
        if vnc_addresses.is_empty() {
            "no port".into()
        } else {
            format!("tcp {}", foundation::list(&vnc_addresses))
        },
    );

    let firmware_reset = FirmwareReset::of(&plan.machine.firmware, &life, &plan.paths.run_dir);
    let agent = plan.machine.guest_agent.then(|| {
        let socket = Sockets::new(&plan.paths.run_dir, &plan.paths.qmp_socket).agent;
        let (agent, serve) = Agent::serve(socket, Arc::clone(&controller));
        services.spawn(serve);
        agent
    });
    let driver = Driver {
        controller: Arc::clone(&controller),
        plan: plan.machine,
        paths: plan.paths,
        times: plan.times,
        console,
        serial,
        ipmi: inband_out,
        screen: screen_out,
        companions: companions_out,
        orders,
        agent,
        stop,
        power_on,
        firmware_reset,
    };
    let driver = tokio::spawn(async { driver.run().await.context("prepare the machine's driver") });
    let hurried = "the machine is switched off at once";
    let end = services.watch(driver, signals, &controller, &stop_out, hurried).await?;
    Ok((end, life))
}

fn open_vnc(
    plan: &Plan,
    screen: watch::Receiver<HostScreen>,
    tasks: &mut JoinSet<std::convert::Infallible>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let Some(port) = plan.vnc.port else { return Ok(Vec::new()) };
    let everywhere = plan.vnc.addresses.iter().all(IpAddr::is_unspecified);
    let mut listeners = Vec::new();
    for address in &plan.vnc.addresses {
        match foundation::listen(SocketAddr::new(*address, port), "VNC (VNC_PORT, VNC_ADDRESS)") {
            Ok(listener) => listeners.push(listener),
            Err(error) if everywhere && address.is_ipv6() && !listeners.is_empty() => {
                tracing::debug!("no VNC over IPv6: {}", chain(&*error));
            }
            Err(error) => return Err(error),
        }
    }
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>()?;
    let password = plan.vnc.password.as_ref().and_then(|password| vnc::Password::parse(password.expose()));
    let settings = VncSettings { password, name: plan.machine.identity.name.clone() };
    tasks.spawn(vnc::serve(listeners, Arc::new(settings), screen));
    Ok(addresses)
}
