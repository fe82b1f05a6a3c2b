//! What every way of running the controller stands on, whoever started the machine: the process, the model with
//! what it remembers, and the services that run beside the machine's driver.
//!
//! ```text
//!   execute ─▶ Foundation::lay ─▶ doors and tasks into Services ─▶ Services::watch over the driver
//!      ▲                                                                │ how it ended
//!      └── End::Restart: this process executes itself anew ◀────────────┴─▶ doors close ─▶ End::Stopped
//! ```

use std::{
    convert::Infallible,
    fs,
    future::Future,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    process,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bmc::{Bmc, Event, Lan, RestorePolicy, Sel, Start, Users};
use rustix::{fs::Mode, process::umask};
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
    task::{JoinError, JoinHandle, JoinSet},
    time,
};
use tracing::{error, info, warn};

use crate::{
    chain,
    config::{ControllerPlan, Plan},
    configured,
    console::{Connection, Console, Sinks},
    controller::Controller,
    lan::LanPort,
    logging,
    machine::{End, Stop},
    os::life::Life,
    sensors_file,
    serve::{alerts, control, serial_tcp},
    store::Store,
};

/// How long whoever asked for a restart has to close the session in good order.
const FAREWELL: Duration = Duration::from_millis(300);

/// Makes this process the controller, until it is told to stop or starts anew.
///
/// # Errors
/// Those of the controller. They say which machine's it is, if there are several.
pub(crate) fn execute<F>(plan: Plan, run: impl FnOnce(Plan) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<(End, Life)>>,
{
    match plan.name.clone() {
        Some(name) => execute_one(plan, run).context(name),
        None => execute_one(plan, run),
    }
}

fn execute_one<F>(plan: Plan, run: impl FnOnce(Plan) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<(End, Life)>>,
{
    logging::start(plan.debug, plan.name.as_ref());
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
    life.go_on_as(&mut command);
    anyhow::Error::from(command.args(std::env::args_os().skip(1)).exec()).context("execute this program anew")
}

/// Whose the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This program's: it has power as long as the program's life lasts.
    Us,
    /// Somebody else's: what happens to this program is nothing to it.
    Others,
}

/// The model, and what it stands on.
pub(crate) struct Foundation {
    /// The socket of the local commands.
    pub(crate) control: UnixListener,
    pub(crate) signals: Signals,
    pub(crate) life: Life,
    /// Whether this process replaces one of the same life.
    pub(crate) same_life: bool,
    /// Whether the machine was on when the state was saved.
    pub(crate) was_on: bool,
    pub(crate) controller: Arc<Controller>,
}

impl Foundation {
    /// Makes the folders, reads what was saved, and makes the model of it.
    pub(crate) fn lay(plan: &Plan, machine: Owner) -> anyhow::Result<Self> {
        for dir in [&plan.paths.run_dir, &plan.paths.state_dir] {
            fs::create_dir_all(dir).with_context(|| format!("make the folder {}", dir.display()))?;
        }
        let control = control::bind(&plan.paths.control_socket).context("open the local control socket")?;
        let of_machine = plan.machine_warnings.iter().filter(|_| machine == Owner::Us);
        for warning in of_machine.chain(&plan.warnings) {
            warn!("{warning}");
        }
        // Before anything listens, so that nobody finds a door without somebody behind it.
        let signals = Signals::listen()?;
        let (life, same_life) = Life::take_up(&plan.paths.run_dir);

        let store = Store::new(&plan.paths.state_dir);
        let saved = store.load().context("take up the controller's state")?;
        let start = match (&saved, same_life, machine) {
            (None, ..) => Start::First,
            (Some(_), true, _) | (Some(_), _, Owner::Others) => Start::Restart,
            (Some(_), false, Owner::Us) => Start::PowerLoss,
        };
        let was_on = saved.as_ref().is_some_and(|saved| saved.was_on);
        let mut bmc =
            Bmc::new(store.keep_identity(&plan.machine.identity), Users::default(), lan(&plan.controller));
        let (sel_file, sel) = store.event_log(Sel::new(plan.controller.sel_size, plan.controller.sel_full));
        bmc.set_sel(sel);
        let policy =
            if plan.machine.power_on_at_start { RestorePolicy::AlwaysOn } else { RestorePolicy::AlwaysOff };
        bmc.chassis_mut().set_default_restore_policy(policy);
        bmc.begin_with_sensors(plan.sensors.definitions.clone());
        if let Some(saved) = saved {
            bmc.restore(saved);
        }
        configured::apply(&mut bmc, &plan.controller.users, plan.controller.kg.as_ref())?;
        let controller = Controller::new(bmc, store, sel_file, plan.paths.power_state_file.clone());
        controller.with(|bmc| {
            bmc.record(Event::ControllerStarted(start));
            bmc.touch();
        });
        controller.with(|bmc| bmc.set_sensors(Instant::now(), plan.sensors.definitions.clone()));
        Ok(Self { control, signals, life, same_life, was_on, controller })
    }
}

fn lan(plan: &ControllerPlan) -> Lan {
    Lan { cipher_suites: plan.cipher_suites.clone(), v15: plan.v15, ..Lan::default() }
}

/// What the guest's own interface is to know.
pub(crate) fn inband_config(plan: &Plan, lan: &[SocketAddr]) -> ipmi::inband::Config {
    let bound = lan.first().map_or(plan.lan.port, SocketAddr::port);
    ipmi::inband::Config {
        trusted: plan.controller.guest_trusted,
        sol_port: plan.lan.advertised_port.unwrap_or(bound),
    }
}

/// Listens on a TCP port. `what` is for, an error says.
pub(crate) fn listen(address: SocketAddr, what: &str) -> anyhow::Result<TcpListener> {
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

/// What every session's secrets are drawn from.
pub(crate) fn random_seed() -> anyhow::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).context("draw random numbers for sessions")?;
    Ok(seed)
}

/// Addresses in a sentence.
pub(crate) fn list(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" and ")
}

/// What runs beside the machine's driver.
#[derive(Default)]
pub(crate) struct Services {
    /// What never ends.
    tasks: JoinSet<Infallible>,
    /// What ends when it is told to.
    doors: JoinSet<()>,
    close: Vec<oneshot::Sender<()>>,
}

impl Services {
    /// Carries the serial console from whichever connection there is to everybody who reads it.
    pub(crate) fn carry_console(
        &mut self,
        plan: &Plan,
        console: &Arc<Console>,
        connections: mpsc::UnboundedReceiver<Connection>,
    ) -> anyhow::Result<()> {
        if let Some(port) = plan.console.sol_port {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            let listener = listen(address, "the serial console (SOL_PORT)")?;
            self.spawn(serial_tcp::serve(listener, Arc::clone(console)));
        }
        let hub = Arc::clone(console).run(connections, Sinks::open(plan));
        self.spawn(async move {
            hub.await;
            // It ends with the driver, which is no failure.
            std::future::pending().await
        });
        Ok(())
    }

    /// Starts what keeps the model going, shows it the network by which it is reached, sends its alerts, and
    /// follows the sensors file.
    pub(crate) fn start(plan: &Plan, controller: &Arc<Controller>, bound: &[SocketAddr]) -> Self {
        let mut services = Self::default();
        let mut lan_port = LanPort::new(bound.to_vec(), &plan.lan);
        lan_port.look(controller);
        services.spawn(lan_port.keep_facts(Arc::clone(controller)));
        services.spawn(Arc::clone(controller).keep_time());
        services.spawn(Arc::clone(controller).keep_saved());
        services.spawn(alerts::Sender::new(controller, &plan.lan).run());
        if let Some(file) = &plan.sensors.file {
            services.spawn(sensors_file::follow(file.clone(), Arc::clone(controller)));
        }
        services
    }

    /// Starts a task that never ends.
    pub(crate) fn spawn(&mut self, task: impl Future<Output = Infallible> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// The tasks that never end, to add to.
    pub(crate) fn tasks(&mut self) -> &mut JoinSet<Infallible> {
        &mut self.tasks
    }

    /// Starts what serves until told to close.
    pub(crate) fn open<F>(&mut self, door: impl FnOnce(oneshot::Receiver<()>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (close, closing) = oneshot::channel();
        self.doors.spawn(door(closing));
        self.close.push(close);
    }

    /// Waits for the driver's end, while signals tell it to stop, and closes the doors after it. `hurried` is
    /// what a second signal does.
    ///
    /// # Errors
    /// Those of the driver.
    pub(crate) async fn watch(
        mut self,
        mut driver: JoinHandle<anyhow::Result<End>>,
        mut signals: Signals,
        controller: &Controller,
        stop: &watch::Sender<Stop>,
        hurried: &str,
    ) -> anyhow::Result<End> {
        let end = loop {
            tokio::select! {
                name = signals.next() => {
                    controller.stopping();
                    let next = stop.borrow().after_signal();
                    if stop.send_replace(next) == Stop::No {
                        info!("{name}: stopping");
                    } else {
                        warn!("{name} again: {hurried}");
                    }
                }
                ended = &mut driver => match ended {
                    Ok(ended) => break ended?,
                    Err(failed) => break failure(&failed),
                },
                Some(Err(failed)) = self.tasks.join_next() => break failure(&failed),
                Some(Err(failed)) = self.doors.join_next() => break failure(&failed),
            }
        };
        if end == End::Restart {
            controller.with(Bmc::retire);
            time::sleep(FAREWELL).await;
        }
        for close in self.close {
            // Nobody is told if the task that would tell has failed.
            let _ = close.send(());
        }
        let closed = async { while self.doors.join_next().await.is_some() {} };
        let _ = time::timeout(FAREWELL, closed).await;
        Ok(end)
    }
}

/// A task of the controller ended, which none does but by a mistake in this program. The machine must not
/// suffer for it: it is left as it is, and taken over by a fresh controller.
fn failure(failed: &JoinError) -> End {
    error!("a task of the controller failed: {}", chain(failed));
    End::Restart
}

/// The signals that end the program.
pub(crate) struct Signals {
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
