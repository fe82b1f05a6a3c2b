//! A running QEMU and the connections to it.

use std::{
    ffi::OsString,
    fs, io,
    os::fd::{OwnedFd, RawFd},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bmc::BootGeneration;
use qmp::{
    Client, EventRecord, Session,
    commands::{Cont, SystemReset},
    qapi::{RunState, ShutdownCause},
};
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};
use tokio::{net::UnixStream, time};

use super::{
    argv::Sockets,
    boot::{self, Bootable},
    connection::{ANSWER_LIMIT, Heard, Monitor},
    disk,
    messages::Messages,
    nic::Placed,
};
use crate::{
    chain,
    config::BootSource,
    os::children::{Ended, Process, Spawn, Token},
    store,
};

/// How long QEMU may take to open its sockets. Much memory that is to be allocated at once takes long.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long the last events of a QEMU that has ended may take to arrive.
const LAST_EVENTS: Duration = Duration::from_millis(500);

const POLL: Duration = Duration::from_millis(2);

/// What a controller needs to know to take over a machine that it did not start. It is a file as long as the
/// machine runs.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    process: Token,
    setup: bool,
    #[serde(default)]
    nics: Vec<Placed>,
}

/// A machine that was found running.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) process: Process,
    pub(crate) setup: bool,
    pub(crate) nics: Vec<Placed>,
}

impl Record {
    fn path(run_dir: &Path) -> PathBuf {
        run_dir.join("machine.json")
    }

    /// What QEMU itself leaves, of which there may be one before there is a record.
    fn announcement(run_dir: &Path) -> PathBuf {
        run_dir.join("machine.starting")
    }

    /// A machine that is still running.
    pub(crate) fn find(run_dir: &Path) -> Option<Found> {
        let recorded = || store::read_or_set_aside(&Self::path(run_dir));
        let announced = || {
            let text = fs::read_to_string(Self::announcement(run_dir)).ok()?;
            Some(Self { process: Token::announced(&text)?, setup: false, nics: Vec::new() })
        };
        // The announcement goes when there is a record: one that is there is newer.
        let Self { process, setup, nics } = announced().or_else(recorded)?;
        match Process::adopt(&process) {
            Ok(process) => process.map(|process| Found { process, setup, nics }),
            Err(error) => {
                tracing::error!("take over the machine that was running: {}", chain(&error));
                None
            }
        }
    }

    pub(crate) fn forget(run_dir: &Path) {
        let _ = fs::remove_file(Self::path(run_dir));
        let _ = fs::remove_file(Self::announcement(run_dir));
    }
}

/// Why a machine did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("prepare {}", path.display())]
    Prepare { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Spawn(#[from] crate::os::children::Error),
    #[error("QEMU ended at once with {ended}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Ended { ended: Ended, said: String },
    #[error("QEMU did not open {} within {START_LIMIT:?}", socket.display())]
    Deaf { socket: PathBuf },
    #[error("talk to QEMU")]
    Qmp(#[from] qmp::Error),
}

impl StartError {
    async fn ended(ended: Ended, messages: &Messages) -> Self {
        let said = messages.last_words_of_ended().await;
        Self::Ended { ended, said: disk::explained(&said).unwrap_or(said) }
    }
}

/// One QEMU.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) process: Process,
    /// Not connected where QEMU does not answer, or no more.
    monitor: Monitor,
    /// Whether it was started to show the firmware's setup.
    pub(crate) setup: bool,
    /// What QEMU said about its own end.
    pub(crate) announced: Option<ShutdownCause>,
    devices: Vec<Bootable>,
    /// Known while its last events are being read.
    ended: Option<Ended>,
}

/// What can happen to a running QEMU.
#[derive(Debug)]
pub(crate) enum Happening {
    /// It says so.
    Event(EventRecord),
    /// There is no connection to it.
    MonitorLost,
    /// There is one again.
    MonitorBack,
    /// It has ended.
    Ended(Ended),
}

impl From<Heard> for Happening {
    fn from(heard: Heard) -> Self {
        match heard {
            Heard::Event(event) => Self::Event(event),
            Heard::Found => Self::MonitorBack,
            Heard::Lost | Heard::Missing(_) => Self::MonitorLost,
        }
    }
}

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    pub(crate) program: &'a Path,
    pub(crate) arguments: &'a [OsString],
    /// Descriptors that the arguments speak of, by the number that they are to have.
    pub(crate) inherited: Vec<(RawFd, OwnedFd)>,
    /// What QEMU may, of what this program may.
    pub(crate) capabilities: CapabilitySet,
    /// Whether the firmware's setup is to be shown.
    pub(crate) setup: bool,
    /// The NICs among the arguments.
    pub(crate) nics: &'a [Placed],
}

/// A start that is complete but for the last word: nothing has been executed yet.
pub(crate) struct Started {
    pub(crate) guest: Guest,
    pub(crate) serial: UnixStream,
    pub(crate) ipmi: Option<UnixStream>,
}

/// The connections that a new QEMU needs before its guest runs.
struct Connections {
    session: Session,
    serial: UnixStream,
    ipmi: Option<UnixStream>,
}

/// What is left of a machine that an earlier controller started.
pub(crate) struct Adopted {
    pub(crate) guest: Guest,
    pub(crate) serial: Option<UnixStream>,
    pub(crate) ipmi: Option<UnixStream>,
}

impl Guest {
    /// Starts QEMU and connects to it; the guest's first instruction has yet to be executed.
    pub(crate) async fn start(
        launch: Launch<'_>,
        run_dir: &Path,
        sockets: &Sockets,
        messages: &Messages,
    ) -> Result<Started, StartError> {
        let setup = launch.setup;
        let prepare = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::Prepare { path, source }
        };
        let Sockets { qmp, serial, serial_log, ipmi, firmware_log, agent, vnc, user_qmp, .. } = sockets;
        for leftover in [qmp, serial, serial_log, ipmi, firmware_log, agent, vnc, user_qmp] {
            let _ = fs::remove_file(leftover);
        }
        fs::write(&sockets.sercon_port, super::argv::SERCON_PORT).map_err(prepare(&sockets.sercon_port))?;
        messages.forget();

        let mut spawn = Spawn::new(launch.program);
        spawn.args(launch.arguments).output(messages.writer().map_err(prepare(messages.path()))?);
        spawn.confine(launch.capabilities);
        for (number, fd) in launch.inherited {
            spawn.inherit(fd, number);
        }
        // No death of this program leaves a QEMU that nobody knows of: until there is a record, QEMU's own word does.
        let announcement = Record::announcement(run_dir);
        spawn.announce(fs::File::create(&announcement).map_err(prepare(&announcement))?);
        let process = spawn.start()?;
        write_record(&process, setup, launch.nics, run_dir);
        let connected = Self::finish_start(&process, sockets, messages).await;
        if connected.is_err() {
            Record::forget(run_dir);
        }
        let Connections { session, serial, ipmi } = connected?;
        let monitor = Monitor::connected(sockets.qmp.clone(), session);
        Ok(Started { guest: Self::new(process, monitor, setup), serial, ipmi })
    }

    /// Writes down that the machine has these NICs now.
    pub(crate) fn write_record(&self, run_dir: &Path, nics: &[Placed]) {
        write_record(&self.process, self.setup, nics, run_dir);
    }

    async fn finish_start(
        process: &Process,
        sockets: &Sockets,
        messages: &Messages,
    ) -> Result<Connections, StartError> {
        let connected = tokio::select! {
            connected = Self::connect(sockets) => connected,
            ended = process.wait() => return Err(StartError::ended(ended?, messages).await),
        };
        match connected {
            Ok(connected) => Ok(connected),
            // A connection that breaks may be the first sign of an end, which tells more.
            Err(error) => {
                if let Ok(ended) = time::timeout(LAST_EVENTS, process.wait()).await {
                    return Err(StartError::ended(ended?, messages).await);
                }
                process.kill()?;
                process.wait().await?;
                Err(error)
            }
        }
    }

    /// Takes over a machine that runs. Its monitor may be mute: then it can still be switched off.
    pub(crate) async fn adopt(process: Process, setup: bool, sockets: &Sockets) -> Adopted {
        let serial = UnixStream::connect(&sockets.serial).await.ok();
        let ipmi = UnixStream::connect(&sockets.ipmi).await.ok();
        let mut guest = Self::new(process, Monitor::at(sockets.qmp.clone()), setup);
        if let Err(error) = guest.reconnect().await {
            tracing::warn!("the running machine's monitor: {}", chain(&error));
        }
        Adopted { guest, serial, ipmi }
    }

    fn new(process: Process, monitor: Monitor, setup: bool) -> Self {
        Self { process, monitor, setup, announced: None, devices: Vec::new(), ended: None }
    }

    async fn connect(sockets: &Sockets) -> Result<Connections, StartError> {
        let deadline = Instant::now() + START_LIMIT;
        let serial = connect_when_there(&sockets.serial, deadline).await?;
        let qmp = connect_when_there(&sockets.qmp, deadline).await?;
        let session = qmp::negotiate(qmp, deadline.saturating_duration_since(Instant::now())).await?;
        // Now that QEMU answers, all its sockets are there; a machine need not have this one.
        let ipmi = match UnixStream::connect(&sockets.ipmi).await {
            Ok(stream) => Some(stream),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => return Err(StartError::Deaf { socket: sockets.ipmi.clone() }),
        };
        Ok(Connections { session, serial, ipmi })
    }

    /// Connects to the monitor again, if there is no connection.
    pub(crate) async fn reconnect(&mut self) -> Result<(), qmp::Error> {
        self.monitor.reconnect().await
    }

    pub(crate) fn client(&self) -> Option<&Client> {
        self.monitor.client()
    }

    /// The next thing that happens to QEMU. Its last events come before its end. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Happening {
        if !self.monitor.is_connected() {
            if let Some(ended) = self.ended {
                return Happening::Ended(ended);
            }
            // A QEMU that was stopped, or whose monitor somebody else held, may answer again.
            return tokio::select! {
                happening = Self::end_of(&self.process) => happening,
                heard = self.monitor.next() => heard.into(),
            };
        }
        tokio::select! {
            biased;
            heard = self.monitor.next() => heard.into(),
            happening = Self::end_of(&self.process), if self.ended.is_none() => {
                // What it said last may still be on its way; the connection's end comes after it.
                if let Happening::Ended(ended) = happening {
                    self.ended = Some(ended);
                }
                match time::timeout(LAST_EVENTS, self.monitor.next()).await {
                    Ok(heard) => heard.into(),
                    Err(_) => self.hang_up(),
                }
            }
            () = time::sleep(LAST_EVENTS), if self.ended.is_some() => self.hang_up(),
        }
    }

    fn hang_up(&mut self) -> Happening {
        self.monitor.hang_up();
        Happening::MonitorLost
    }

    async fn end_of(process: &Process) -> Happening {
        match process.wait().await {
            Ok(ended) => Happening::Ended(ended),
            Err(error) => {
                tracing::error!("{}", chain(&error));
                Happening::Ended(Ended::Unknown)
            }
        }
    }

    /// Finds what can be booted from, and makes the order complete: NICs that are not the machine's own `nics`
    /// have no place in it yet.
    pub(crate) async fn prepare_boot(
        &mut self,
        order: &[BootSource],
        nics: &[String],
    ) -> Result<(), qmp::Error> {
        let Some(client) = self.client().cloned() else { return Ok(()) };
        self.devices = boot::discover(&client, ANSWER_LIMIT).await?;
        if boot::has_strangers(&self.devices, nics) {
            boot::apply(&client, &self.devices, order, nics, ANSWER_LIMIT).await?;
            // The firmware's list is made at a reset, and nothing has run yet.
            client.call(&SystemReset, ANSWER_LIMIT).await?;
        }
        Ok(())
    }

    /// Lets the guest run. The boot that begins now is that of `generation`.
    pub(crate) async fn go(&mut self, generation: BootGeneration) -> Result<(), qmp::Error> {
        let Some(client) = self.client().cloned() else { return Ok(()) };
        let started_at = client.call(&Cont, ANSWER_LIMIT).await?.seq;
        self.monitor.begins(started_at, generation);
        Ok(())
    }

    /// Whether not one instruction of the guest has been executed, as far as QEMU says.
    pub(crate) async fn has_never_run(&self) -> bool {
        self.monitor.state().await == Some(RunState::Prelaunch)
    }

    /// What QEMU says that the machine is doing; none if it does not say.
    pub(crate) async fn state(&self) -> Option<RunState> {
        self.monitor.state().await
    }

    /// Puts a boot order in force, from the next reset on.
    pub(crate) async fn arm(
        &mut self,
        order: &[BootSource],
        nics: &[String],
        generation: BootGeneration,
    ) -> Result<(), qmp::Error> {
        let Some(client) = self.client().cloned() else { return Ok(()) };
        if self.devices.is_empty() {
            self.devices = boot::discover(&client, ANSWER_LIMIT).await?;
        }
        let seq = boot::apply(&client, &self.devices, order, nics, ANSWER_LIMIT).await?;
        self.monitor.armed(seq, generation);
        Ok(())
    }

    /// Which boot flags the boot saw that began with the reset on line `seq`; none if that reset was part of
    /// the start.
    pub(crate) fn boot_of_reset(&mut self, seq: u64) -> Option<BootGeneration> {
        self.monitor.boot_of_reset(seq)
    }

    /// There are other devices than there were.
    pub(crate) fn forget_devices(&mut self) {
        self.devices.clear();
    }

    /// Whether devices include a NIC.
    pub(crate) fn has_network(&self) -> bool {
        boot::has_network(&self.devices)
    }
}

fn write_record(process: &Process, setup: bool, nics: &[Placed], run_dir: &Path) {
    let Some(token) = process.token() else { return };
    let record = Record { process: token.clone(), setup, nics: nics.to_vec() };
    match store::write(&Record::path(run_dir), &record) {
        Ok(()) => drop(fs::remove_file(Record::announcement(run_dir))),
        Err(error) => tracing::warn!("{error}; the machine can't be taken over if this program is killed"),
    }
}

async fn connect_when_there(socket: &Path, deadline: Instant) -> Result<UnixStream, StartError> {
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(_) if Instant::now() < deadline => time::sleep(POLL).await,
            Err(_) => return Err(StartError::Deaf { socket: socket.to_owned() }),
        }
    }
}
