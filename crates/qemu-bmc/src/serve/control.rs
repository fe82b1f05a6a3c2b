//! The local door: a unix socket of mode 0600 for `qemu-bmc status`, `power`, `sel`, `console` and
//! `healthcheck`.
//!
//! One line of JSON each way. After `console`, the connection is the serial console.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bmc::{Accepted, Bmc, GuestInfo, HostPower, PowerRequest, Requester};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::watch,
    time,
};

use super::{
    ipmi_lan::{Answer, Place},
    media::{self, DriveLine},
    sensors::{self, SensorLine},
    serial_tcp,
};
use crate::{
    config::Mac,
    console::{Console, HISTORY},
    controller::Controller,
    machine::ShownCompanion,
};

/// A request is one short line, said at once.
const LINE_MAX: u64 = 4096;
const LINE_LIMIT: Duration = Duration::from_secs(5);

/// How long the IPMI door has to say how it is.
const KNOCK_LIMIT: Duration = Duration::from_secs(1);

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Is the controller well?
    Health,
    /// How are things?
    Status,
    /// Press a button.
    Power {
        /// Which.
        request: PowerName,
    },
    /// Read or clear the event log.
    Sel {
        /// Which.
        action: SelAction,
    },
    /// What do the sensors read?
    Sensors,
    /// Have a sensor read this.
    SetSensor {
        /// Its name.
        name: String,
        /// What people write for it.
        value: String,
    },
    /// Let a sensor, or all, read what they would.
    ClearSensor {
        /// Its name.
        name: Option<String>,
    },
    /// What is in the CD drives?
    Media,
    /// Put something else into a CD drive, or nothing.
    ChangeMedium {
        /// Which drive; the first if none is named.
        drive: Option<String>,
        /// A path or an address.
        medium: Option<String>,
        /// Whether to take it from a guest that holds the tray shut.
        force: bool,
    },
    /// Forget all that was set.
    FactoryReset,
    /// Become the serial console.
    Console,
}

/// What can be done with the event log.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, clap::Subcommand)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SelAction {
    /// Show its entries, oldest first
    List,
    /// Delete all of them
    Clear,
}

/// A power request by the name that the command line has for it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PowerName {
    /// Power on
    On,
    /// Power off at once
    Off,
    /// Power off, wait, power on
    Cycle,
    /// Hard reset
    Reset,
    /// Ask the guest to shut down (ACPI)
    Soft,
    /// Diagnostic interrupt
    Nmi,
}

impl From<PowerName> for PowerRequest {
    fn from(name: PowerName) -> Self {
        match name {
            PowerName::On => Self::On,
            PowerName::Off => Self::Off,
            PowerName::Cycle => Self::Cycle,
            PowerName::Reset => Self::Reset,
            PowerName::Soft => Self::Soft,
            PowerName::Nmi => Self::Nmi,
        }
    }
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Response {
    /// All is well; where IPMI can be asked from inside whether it is, too, and answers everybody if it does. None
    /// where it is bound to an interface, and was asked already.
    Healthy(Vec<SocketAddr>),
    /// How things are.
    Status(Box<Status>),
    /// The entries of the event log, oldest first.
    EventLog(Vec<LogEntry>),
    /// What the sensors read.
    Sensors(Vec<SensorLine>),
    /// What is in the CD drives.
    Media(Vec<DriveLine>),
    /// It was taken, in these words.
    Done(String),
    /// It was not, for this reason.
    Failed(String),
    /// From here on, bytes.
    Console,
}

/// How things are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Whether the machine is on.
    pub(crate) power: String,
    /// Whether it is on and held still.
    #[serde(default)]
    pub(crate) paused: bool,
    /// What is being done about it.
    pub(crate) under_way: Option<String>,
    /// What that waits for.
    #[serde(default)]
    pub(crate) waits_for: Option<String>,
    /// The next boot's device, if something overrides the usual order.
    pub(crate) boot: String,
    /// Restore policy.
    pub(crate) restore_policy: String,
    /// Node name.
    pub(crate) name: String,
    /// System GUID.
    pub(crate) uuid: String,
    /// Serial number.
    pub(crate) serial: String,
    /// Hours that the machine has been on, over all its lives.
    pub(crate) power_on_hours: u64,
    /// Where IPMI is answered.
    pub(crate) ipmi: Vec<SocketAddr>,
    /// The interface by which alone, and what is the matter with it.
    pub(crate) ipmi_interface: Option<String>,
    /// The guest's NICs, of the machine that runs or the one that ran last.
    pub(crate) nics: Vec<NicLine>,
    /// What the machine needs beside QEMU.
    #[serde(default)]
    pub(crate) companions: Vec<CompanionLine>,
    /// What the guest says of itself, where an agent in it answers.
    #[serde(default)]
    pub(crate) guest: Option<String>,
    /// What can't be asked of the machine's power as it is now.
    #[serde(default)]
    pub(crate) refused: Vec<String>,
    /// What happened last: seconds since 1970, and a sentence.
    pub(crate) events: Vec<(u64, String)>,
}

/// A NIC of the guest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NicLine {
    /// Its name.
    pub(crate) name: String,
    /// Its hardware address.
    pub(crate) mac: String,
    /// How it is attached.
    pub(crate) attached: String,
    /// Whether it has a link.
    pub(crate) up: bool,
}

/// A process beside QEMU.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CompanionLine {
    /// What it is to the guest.
    pub(crate) name: String,
    /// Its number; none if it ended although the machine runs.
    pub(crate) pid: Option<i32>,
}

/// An entry of the event log.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LogEntry {
    /// Record id.
    pub(crate) id: u16,
    /// Seconds since 1970, by the log's clock.
    pub(crate) time: u32,
    /// What it says.
    pub(crate) text: String,
}

/// What the door needs to know.
pub(crate) struct Control {
    pub(crate) controller: Arc<Controller>,
    pub(crate) console: Arc<Console>,
    pub(crate) ipmi: Place,
    /// What runs beside the machine, if the machine is ours.
    pub(crate) companions: Option<watch::Receiver<Vec<ShownCompanion>>>,
}

/// Makes the socket. A socket that nobody answers on is a dead program's, and is replaced.
pub(crate) fn bind(path: &Path) -> std::io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::AddrInUse,
            format!("another qemu-bmc answers on {} (RUN_DIR chooses another folder)", path.display()),
        ));
    }
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Control {
    /// Answers until dropped.
    pub(crate) async fn serve(self, listener: UnixListener) -> Infallible {
        let control = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(Arc::clone(&control).answer(stream));
                }
                Err(error) => {
                    tracing::warn!("accept a local connection: {error}");
                    time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn answer(self: Arc<Self>, stream: UnixStream) {
        let (input, mut output) = stream.into_split();
        let mut input = BufReader::new(input);
        let mut line = String::new();
        let mut limited = (&mut input).take(LINE_MAX);
        if !matches!(time::timeout(LINE_LIMIT, limited.read_line(&mut line)).await, Ok(Ok(1..))) {
            return;
        }
        let response = match serde_json::from_str(&line) {
            Ok(request) => self.respond(request).await,
            Err(error) => Response::Failed(format!("not a request: {error}")),
        };
        let Ok(mut answer) = serde_json::to_vec(&response) else { return };
        answer.push(b'\n');
        if output.write_all(&answer).await.is_ok() && matches!(response, Response::Console) {
            serial_tcp::join(&self.console, HISTORY, input, output).await;
        }
    }

    async fn respond(&self, request: Request) -> Response {
        match request {
            Request::Health => self.health().await,
            Request::Status => {
                let interface = self.interface().await;
                Response::Status(Box::new(self.status(interface)))
            }
            Request::Power { request } => {
                let request = request.into();
                let taken = self.controller.with(|bmc| bmc.power(Instant::now(), request, Requester::Button));
                match taken {
                    Ok(Accepted::Queued) => Response::Done(format!("{request}: under way")),
                    Ok(Accepted::Merged) => Response::Done(format!("{request}: under way already")),
                    Ok(Accepted::Already) => Response::Done(format!("{request}: nothing to do")),
                    Err(refusal) => Response::Failed(format!("{request}: {refusal}")),
                }
            }
            Request::Sel { action: SelAction::List } => Response::EventLog(self.event_log()),
            Request::Sel { action: SelAction::Clear } => {
                self.controller.with(|bmc| bmc.clear_log(Requester::Button));
                Response::Done("event log cleared".into())
            }
            Request::Sensors => Response::Sensors(self.controller.with(sensors::list)),
            Request::SetSensor { name, value } => {
                said(self.controller.with(|bmc| sensors::set(bmc, &name, &value)))
            }
            Request::ClearSensor { name } => {
                said(self.controller.with(|bmc| sensors::clear(bmc, name.as_deref())))
            }
            Request::Media => Response::Media(self.controller.with(media::list)),
            Request::ChangeMedium { drive, medium, force } => {
                said(media::change(&self.controller, drive, medium, force).await)
            }
            Request::FactoryReset => {
                self.controller.with(|bmc| bmc.factory_reset(Requester::Button));
                Response::Done("factory settings: the controller restarts with them".into())
            }
            Request::Console => Response::Console,
        }
    }

    async fn health(&self) -> Response {
        if self.ipmi.interface.is_none() {
            return Response::Healthy(self.ipmi.addresses.clone());
        }
        match self.ipmi.knock(KNOCK_LIMIT).await {
            Some(answer) if answer.answers => Response::Healthy(Vec::new()),
            _ => Response::Failed(format!("IPMI on udp {} does not answer", self.ipmi)),
        }
    }

    /// The interface that IPMI is bound to, if it is, and what is the matter with it.
    async fn interface(&self) -> Option<String> {
        let interface = self.ipmi.interface.as_ref()?;
        let matter = match self.ipmi.knock(KNOCK_LIMIT).await {
            Some(Answer { open: true, .. }) => "",
            Some(Answer { open: false, .. }) => " (waiting for it)",
            None => " (no answer)",
        };
        Some(format!("{interface}{matter}"))
    }

    fn companions(&self) -> Vec<CompanionLine> {
        let shown = self.companions.as_ref().map(|shown| shown.borrow().clone()).unwrap_or_default();
        shown.into_iter().map(|ShownCompanion { name, pid }| CompanionLine { name, pid }).collect()
    }

    fn event_log(&self) -> Vec<LogEntry> {
        self.controller.with(|bmc| {
            let entries = bmc.sel().entries();
            let said = entries.map(|entry| LogEntry {
                id: entry.id,
                time: entry.time,
                text: bmc.describe_entry(&entry.record),
            });
            said.collect()
        })
    }

    fn status(&self, ipmi_interface: Option<String>) -> Status {
        let now = Instant::now();
        let events = self.controller.recent_events().into_iter().map(|(at, event)| {
            let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            (at, event.to_string())
        });
        self.controller.with(|bmc| Status {
            power: match bmc.host_power() {
                HostPower::On => "on".into(),
                HostPower::Off => "off".into(),
            },
            paused: bmc.is_paused(),
            under_way: bmc.power_state().running().map(|request| request.to_string()),
            waits_for: self.controller.awaited(),
            boot: bmc.boot().flags().to_string(),
            restore_policy: match bmc.chassis().restore_policy() {
                bmc::RestorePolicy::AlwaysOff => "always-off".into(),
                bmc::RestorePolicy::Previous => "previous".into(),
                bmc::RestorePolicy::AlwaysOn => "always-on".into(),
            },
            name: bmc.identity.name.clone(),
            uuid: uuid::Uuid::from_bytes(bmc.identity.uuid).to_string(),
            serial: bmc.identity.serial.clone(),
            power_on_hours: bmc.chassis().power_on_time(now).as_secs() / 3600,
            ipmi: self.ipmi.addresses.clone(),
            ipmi_interface,
            nics: nics(bmc),
            guest: bmc.guest().map(guest),
            refused: refused(bmc),
            companions: self.companions(),
            events: events.collect(),
        })
    }
}

/// "Debian GNU/Linux 13 (trixie), node1, 10.0.2.15"
fn guest(guest: &GuestInfo) -> String {
    let addresses = guest.addresses.iter().map(IpAddr::to_string);
    let words: Vec<_> = guest.os.clone().into_iter().chain(guest.name.clone()).chain(addresses).collect();
    if words.is_empty() { "its agent answers".into() } else { words.join(", ") }
}

/// What nobody could be asked to do now, because there is no way to.
fn refused(bmc: &Bmc) -> Vec<String> {
    let needed: &[PowerRequest] = match bmc.host_power() {
        HostPower::Off => &[PowerRequest::On],
        HostPower::On => &[
            PowerRequest::Off,
            PowerRequest::Cycle,
            PowerRequest::Reset,
            PowerRequest::Soft,
            PowerRequest::Nmi,
        ],
    };
    let abilities = bmc.power_state().abilities();
    needed.iter().filter(|request| !abilities.has(**request)).map(PowerRequest::to_string).collect()
}

fn nics(bmc: &Bmc) -> Vec<NicLine> {
    let on = bmc.host_power() == HostPower::On;
    let lines = bmc.nics().iter().map(|nic| NicLine {
        name: nic.name.clone(),
        mac: Mac(nic.mac).to_string(),
        attached: nic.attached.clone(),
        up: on && nic.up,
    });
    lines.collect()
}

fn said(outcome: Result<String, String>) -> Response {
    outcome.map_or_else(Response::Failed, Response::Done)
}
