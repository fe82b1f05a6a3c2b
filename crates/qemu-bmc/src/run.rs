//! The controller and its machine: builds every part, starts the tasks, and ends them in order.
//!
//! ```text
//!   signal ──▶ stop ──▶ driver shuts the guest down, while every door still answers ──▶ exit 0
//!   reset  ──▶ restart ──▶ this process executes itself anew; QEMU runs on and is taken over
//! ```

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::process::CommandExt as _,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bmc::{Bmc, Event, Lan, RestorePolicy, Sel, Start, Users};
use rustix::{fs::Mode, process::umask};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};
use tracing::{error, info, warn};

use crate::{
    chain,
    config::{ConsoleLog, ControllerPlan, Plan},
    configured,
    console::{Console, LogFile, Sinks, Stdout},
    controller::Controller,
    logging,
    machine::{Driver, End, Stop},
    os::life::Life,
    serve::{
        control::{self, Control},
        ipmi_inband,
        ipmi_lan::Door,
        serial_tcp,
        vnc::{self, HostScreen, VncSettings},
    },
    store::Store,
};

/// How long whoever asked for a restart has to close the session in good order.
const FAREWELL: Duration = Duration::from_millis(300);

/// `qemu-bmc run`.
pub(crate) fn main() -> anyhow::Result<()> {
    let plan = crate::plan()?;
    logging::start(plan.debug);
    // What is made here is for this user alone: sockets, state, logs.
    umask(Mode::RWXG | Mode::RWXO);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    let (end, life) = runtime.block_on(run(plan))?;
    // Threads that write to a slow disk are not waited for.
    runtime.shutdown_background();
    match end {
        End::Stopped => Ok(()),
        End::Restart => Err(restart(&life)),
    }
}

/// Replaces this process by a fresh one with the same number. Returns only if that failed.
fn restart(life: &Life) -> anyhow::Error {
    info!("the controller restarts; the machine is left as it is");
    let mut command = process::Command::new("/proc/self/exe");
    command.arg0("qemu-bmc");
    life.pass_on(&mut command);
    anyhow::Error::from(command.args(std::env::args_os().skip(1)).exec()).context("execute this program anew")
}

async fn run(plan: Plan) -> anyhow::Result<(End, Life)> {
    for dir in [&plan.paths.run_dir, &plan.paths.state_dir] {
        fs::create_dir_all(dir).with_context(|| format!("make the folder {}", dir.display()))?;
    }
    let control_listener =
        control::bind(&plan.paths.control_socket).context("open the local control socket")?;
    for warning in &plan.warnings {
        warn!("{warning}");
    }
    // Before anything listens, so that nobody finds a door without somebody behind it.
    let mut signals = Signals::listen()?;
    let (life, same_life) = Life::take_up(&plan.paths.run_dir);

    let store = Store::new(&plan.paths.state_dir);
    let saved = store.load();
    let start = match (&saved, same_life) {
        (None, _) => Start::First,
        (Some(_), true) => Start::Restart,
        (Some(_), false) => Start::PowerLoss,
    };
    let was_on = saved.as_ref().is_some_and(|saved| saved.was_on);
    let mut bmc =
        Bmc::new(store.keep_identity(&plan.machine.identity), Users::default(), lan(&plan.controller));
    let policy =
        if plan.machine.power_on_at_start { RestorePolicy::AlwaysOn } else { RestorePolicy::AlwaysOff };
    bmc.chassis_mut().set_default_restore_policy(policy);
    if let Some(saved) = saved {
        bmc.restore(saved);
    }
    configured::apply(&mut bmc, &plan.controller.users, plan.controller.kg.as_ref())?;
    // A controller that only restarted leaves the machine off if it is off: no power was lost.
    let power_on = !same_life && bmc.wants_power_after_loss(was_on);
    let (sel_file, sel) = store.event_log(Sel::new(plan.controller.sel_size, plan.controller.sel_full));
    bmc.set_sel(sel);
    let controller = Controller::new(bmc, store, sel_file, plan.paths.power_state_file.clone());
    controller.with(|bmc| {
        bmc.record(Event::ControllerStarted(start));
        bmc.touch();
    });
    controller.with(|bmc| bmc.set_sensors(Instant::now(), bmc::sensors::standard()));

    let console = Console::new();
    let (serial, connections) = mpsc::unbounded_channel();
    let (inband_out, inband) = mpsc::unbounded_channel();
    let (orders_out, orders) = mpsc::channel(64);
    let (stop_out, stop) = watch::channel(Stop::No);
    let (screen_out, screen) = watch::channel(HostScreen::Off);

    let seed = random_seed().context("draw random numbers for sessions")?;
    let door = Door::open(
        &plan.lan,
        plan.console.sol_history,
        seed,
        Arc::clone(&controller),
        Arc::clone(&console),
        orders_out,
    )?;
    let ipmi = door.addresses();

    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&controller).keep_time());
    tasks.spawn(Arc::clone(&controller).keep_saved());
    let vnc_addresses = open_vnc(&plan, screen, &mut tasks)?;
    if let Some(port) = plan.console.sol_port {
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], port)), "the serial console (SOL_PORT)")?;
        tasks.spawn(serial_tcp::serve(listener, Arc::clone(&console)));
    }
    let local =
        Control { controller: Arc::clone(&controller), console: Arc::clone(&console), ipmi: ipmi.clone() };
    tasks.spawn(local.serve(control_listener));
    let (close_lan, closing) = oneshot::channel();
    let mut lan = tokio::spawn(door.serve(closing));
    let (close_inband, closing) = oneshot::channel();
    let door = ipmi_inband::Door::new(inband_config(&plan, &ipmi), Arc::clone(&controller));
    let mut in_band = tokio::spawn(door.serve(inband, closing));
    let hub = Arc::clone(&console).run(connections, sinks(&plan));
    tasks.spawn(async move {
        hub.await;
        // It ends with the driver, which is no failure.
        std::future::pending().await
    });
    info!(
        "qemu-bmc {}: IPMI on udp {}, VNC on {}",
        env!("CARGO_PKG_VERSION"),
        list(&ipmi),
        if vnc_addresses.is_empty() { "no port".into() } else { format!("tcp {}", list(&vnc_addresses)) },
    );

    let driver = Driver {
        controller: Arc::clone(&controller),
        plan: plan.machine,
        paths: plan.paths,
        times: plan.times,
        console,
        serial,
        ipmi: inband_out,
        screen: screen_out,
        orders,
        stop,
        power_on,
    };
    let mut driver = tokio::spawn(driver.run());
    let end = loop {
        tokio::select! {
            name = signals.next() => {
                controller.stopping();
                let stop = stop_out.borrow().after_signal();
                if stop_out.send_replace(stop) == Stop::No {
                    info!("{name}: stopping");
                } else {
                    warn!("{name} again: the machine is switched off at once");
                }
            }
            ended = &mut driver => match ended {
                Ok(ended) => break ended.context("prepare the machine's driver")?,
                Err(failed) => break failure(&failed),
            },
            Some(Err(failed)) = tasks.join_next() => break failure(&failed),
            Err(failed) = &mut lan => break failure(&failed),
            Err(failed) = &mut in_band => break failure(&failed),
        }
    };
    if end == End::Restart {
        tokio::time::sleep(FAREWELL).await;
    }
    // Nobody is told if the task that would tell has failed.
    for (close, task) in [(close_lan, lan), (close_inband, in_band)] {
        if close.send(()).is_ok() {
            let _ = tokio::time::timeout(FAREWELL, task).await;
        }
    }
    Ok((end, life))
}

/// A task of the controller ended, which none does but by a mistake in this program. The machine must not
/// suffer for it: it is left as it is, and taken over by a fresh controller.
fn failure(failed: &tokio::task::JoinError) -> End {
    error!("a task of the controller failed: {}", chain(failed));
    End::Restart
}

fn lan(plan: &ControllerPlan) -> Lan {
    Lan { cipher_suites: plan.cipher_suites.clone(), v15: plan.v15, ..Lan::default() }
}

fn inband_config(plan: &Plan, lan: &[SocketAddr]) -> ipmi::inband::Config {
    let bound = lan.first().map_or(plan.lan.port, SocketAddr::port);
    ipmi::inband::Config {
        trusted: plan.controller.guest_trusted,
        sol_port: plan.lan.advertised_port.unwrap_or(bound),
    }
}

fn random_seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

fn sinks(plan: &Plan) -> Sinks {
    let mut sinks = Sinks::default();
    if plan.console.log != ConsoleLog::None {
        let path = plan.paths.state_dir.join("console.log");
        match LogFile::open(path.clone(), plan.console.log_size, plan.console.log_files) {
            Ok(file) => sinks.file = Some(file),
            Err(error) => {
                warn!("open the console's log {}: {error}; the console is not logged", path.display());
            }
        }
    }
    if plan.console.log == ConsoleLog::FileAndStdout {
        match Stdout::start() {
            Ok(stdout) => sinks.stdout = Some(stdout),
            Err(error) => warn!("start the thread that copies the console to standard output: {error}"),
        }
    }
    sinks
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
        match listen(SocketAddr::new(*address, port), "VNC (VNC_PORT, VNC_ADDRESS)") {
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

fn listen(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
    let doing = || format!("listen on tcp {address} for {what}");
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)
        .with_context(doing)?;
    socket.set_nonblocking(true).with_context(doing)?;
    socket.set_reuse_address(true).with_context(doing)?;
    if address.is_ipv6() {
        socket.set_only_v6(true).with_context(doing)?;
    }
    socket.bind(&address.into()).with_context(doing)?;
    socket.listen(64).with_context(doing)?;
    TcpListener::from_std(socket.into()).with_context(doing)
}

fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" and ")
}

/// The signals that end the program.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let one = |kind| signal(kind).context("listen for signals");
        Ok(Self { terminate: one(SignalKind::terminate())?, interrupt: one(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
