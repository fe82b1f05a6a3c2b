//! Processes that a machine needs beside QEMU, such as the one that is its TPM.
//!
//! ```text
//!   start ──▶ it listens ──▶ QEMU connects ──▶ QEMU has ended ──▶ it ends, or is ended
//!               │                  └─▶ it ends by itself: lost, until QEMU is a new one
//!               └─▶ it ends at once, or never listens: the machine does not start, for this reason
//! ```
//!
//! They are QEMU's equals: whatever ends this program, they run on, and the next controller takes them over.
//! Each announces who it is before it becomes its program, into a file of its own that is there as long as it may
//! run; so there is no moment in which one runs that nobody knows of, and no order in which records have to be
//! written. None can be started anew under a QEMU that runs, for the protocols by which QEMU speaks to
//! them keep state at both ends: a machine that has lost one gets it back with the next QEMU, which is started at
//! the next reset or power on.

use std::{
    collections::HashMap,
    ffi::OsString,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustix::{process::Signal, thread::CapabilitySet};
use tokio::{task::JoinSet, time};

use super::{messages::Messages, share, tpm};
use crate::{
    chain,
    os::children::{self, Ended, Process, Spawn, Token},
};

/// How long one may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_millis(5);

/// How long one may end before QEMU, when it is QEMU that ends.
const LAST_MOMENTS: Duration = Duration::from_secs(1);

/// How long one may take to end by itself after QEMU, and then when told to.
const BY_ITSELF: Duration = Duration::from_millis(500);
const WHEN_TOLD: Duration = Duration::from_secs(2);

/// What a companion is to the guest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// Its TPM.
    Tpm,
    /// What serves a shared folder, by its tag.
    Share(String),
}

/// What the name of a shared folder's begins with.
const SHARE: &str = "share-";

impl Role {
    /// By what it is known in files and to people; a part of a file's name.
    fn name(&self) -> String {
        match self {
            Self::Tpm => "tpm".into(),
            Self::Share(tag) => format!("{SHARE}{tag}"),
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "tpm" => Some(Self::Tpm),
            _ => name.strip_prefix(SHARE).map(|tag| Self::Share(tag.to_owned())),
        }
    }

    /// What it is called among programs.
    fn program(&self) -> &'static str {
        match self {
            Self::Tpm => tpm::PROGRAM,
            Self::Share(_) => share::PROGRAM,
        }
    }

    /// What it is to the guest that this one is lost.
    fn loss(&self) -> &'static str {
        match self {
            Self::Tpm => "the guest's TPM fails every command",
            Self::Share(_) => "the guest waits in vain whenever it opens something there",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tpm => write!(f, "the TPM ({})", self.program()),
            Self::Share(tag) => write!(f, "the shared folder {tag} ({})", self.program()),
        }
    }
}

/// What is to run beside QEMU.
#[derive(Clone, Debug)]
pub(crate) struct Companion {
    pub(crate) role: Role,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Where it listens for QEMU.
    pub(crate) socket: PathBuf,
    /// What it may, of what this program may.
    pub(crate) capabilities: CapabilitySet,
}

/// Why a companion did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("prepare {}", path.display())]
    Prepare { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Process(#[from] children::Error),
    #[error("{role} ended at once with {ended}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Ended { role: Role, ended: Ended, said: String },
    #[error("{role} did not listen on {} within {START_LIMIT:?}", socket.display())]
    Deaf { role: Role, socket: PathBuf },
}

/// One that has ended while QEMU runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) role: Role,
    pub(crate) ended: Ended,
}

impl Loss {
    /// What it is to the guest, and what helps.
    pub(crate) fn meaning(&self) -> String {
        format!("{} until the machine is reset or powered on again, which starts it anew", self.role.loss())
    }
}

/// One of the machine's companions, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// Its process; none if it is lost.
    pub(crate) pid: Option<i32>,
}

#[derive(Debug)]
struct Running {
    role: Role,
    /// None if it had ended when it was to be taken over.
    process: Option<Arc<Process>>,
    lost: bool,
}

/// The companions of the machine that runs.
#[derive(Debug)]
pub(crate) struct Companions {
    run_dir: PathBuf,
    running: Vec<Running>,
    /// One task for each of them, which ends some moments after it.
    watchers: JoinSet<Loss>,
    voices: HashMap<Role, Messages>,
}

impl Companions {
    pub(crate) fn new(run_dir: &Path) -> Self {
        let run_dir = run_dir.to_owned();
        Self { run_dir, running: Vec::new(), watchers: JoinSet::new(), voices: HashMap::new() }
    }

    /// Starts them and waits until all listen. After an error there are none.
    pub(crate) async fn start(&mut self, companions: Vec<Companion>) -> Result<(), Error> {
        for companion in companions {
            let outcome = self.start_one(companion).await;
            if outcome.is_err() {
                self.end().await;
                return outcome;
            }
        }
        Ok(())
    }

    async fn start_one(&mut self, companion: Companion) -> Result<(), Error> {
        let Companion { role, program, arguments, socket, capabilities } = companion;
        let prepare = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Prepare { path, source }
        };
        let voice = self.voice(&role)?;
        voice.forget();
        let _ = fs::remove_file(&socket);
        let record = self.record(&role);
        let mut spawn = Spawn::new(&program);
        spawn.args(arguments).output(voice.writer().map_err(prepare(voice.path()))?).confine(capabilities);
        spawn.announce(fs::File::create(&record).map_err(prepare(&record))?);
        tracing::debug!("{}", super::argv::shell(&program, spawn.arguments()));
        let process = match spawn.start() {
            Ok(process) => Arc::new(process),
            Err(error) => {
                let _ = fs::remove_file(&record);
                return Err(error.into());
            }
        };
        if Token::announced(&fs::read_to_string(&record).unwrap_or_default()).is_none() {
            tracing::warn!("{role} is not on record: it can't be taken over if this program is killed");
        }
        self.watch(role.clone(), Arc::clone(&process));
        tokio::select! {
            ended = process.wait() => {
                let ended = ended?;
                Err(Error::Ended { role, ended, said: voice.last_words_of_ended().await })
            }
            listens = time::timeout(START_LIMIT, until_listening(&socket)) => {
                listens.map_err(|_| Error::Deaf { role, socket })
            }
        }
    }

    /// Takes over those that an earlier controller started, and says which of them have ended.
    pub(crate) fn take_over(&mut self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for role in recorded(&self.run_dir) {
            let text = fs::read_to_string(self.record(&role)).unwrap_or_default();
            let process = Token::announced(&text).and_then(|token| {
                let process = Process::adopt(&token);
                process.unwrap_or_else(|error| {
                    tracing::error!("take over {role}: {}", chain(&error));
                    None
                })
            });
            // Its pipe is read from now on.
            if let Err(error) = self.voice(&role) {
                tracing::warn!("{}", chain(&error));
            }
            match process {
                Some(process) => self.watch(role, Arc::new(process)),
                None => {
                    self.running.push(Running { role: role.clone(), process: None, lost: true });
                    losses.push(Loss { role, ended: Ended::Unknown });
                }
            }
        }
        losses
    }

    fn watch(&mut self, role: Role, process: Arc<Process>) {
        let watched = Arc::clone(&process);
        self.running.push(Running { role: role.clone(), process: Some(process), lost: false });
        self.watchers.spawn(async move {
            let ended = watched.wait().await.unwrap_or(Ended::Unknown);
            time::sleep(LAST_MOMENTS).await;
            Loss { role, ended }
        });
    }

    /// Waits until one is lost. Cancelling it loses nothing.
    pub(crate) async fn lost(&mut self) -> Loss {
        loop {
            match self.watchers.join_next().await {
                Some(Ok(loss)) => {
                    let of_role = self.running.iter_mut().filter(|running| running.role == loss.role);
                    of_role.for_each(|running| running.lost = true);
                    return loss;
                }
                Some(Err(error)) => tracing::error!("watch a companion of QEMU's: {}", chain(&error)),
                None => std::future::pending().await,
            }
        }
    }

    /// Whether the machine has less than it was started with.
    pub(crate) fn any_lost(&self) -> bool {
        self.running.iter().any(|running| running.lost)
    }

    /// All of them, for people.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let shown = self.running.iter().map(|Running { role, process, lost }| Shown {
            name: role.to_string(),
            pid: process.as_ref().filter(|_| !lost).map(|process| process.pid()),
        });
        shown.collect()
    }

    /// Ends them all, after QEMU has ended or instead of it.
    pub(crate) async fn end(&mut self) {
        self.watchers.abort_all();
        self.watchers = JoinSet::new();
        let mut ending = JoinSet::new();
        for Running { role, process, .. } in self.running.drain(..) {
            let record = record(&self.run_dir, &role);
            ending.spawn(async move {
                if let Some(process) = process {
                    finish(&process).await;
                }
                let _ = fs::remove_file(record);
            });
        }
        while ending.join_next().await.is_some() {}
    }

    fn record(&self, role: &Role) -> PathBuf {
        record(&self.run_dir, role)
    }

    /// What it says goes into the log.
    fn voice(&mut self, role: &Role) -> Result<Messages, Error> {
        if let Some(voice) = self.voices.get(role) {
            return Ok(voice.clone());
        }
        let path = self.run_dir.join(format!("bmc-{}-messages", role.name()));
        let voice = Messages::open(path.clone(), &role.to_string(), Path::new(role.program()))
            .map_err(|source| Error::Prepare { path, source })?;
        self.voices.insert(role.clone(), voice.clone());
        Ok(voice)
    }
}

/// The file in which one announces itself.
fn record(run_dir: &Path, role: &Role) -> PathBuf {
    run_dir.join(format!("bmc-{}.{RECORD}", role.name()))
}

const RECORD: &str = "companion";

/// Those of which there is a file.
fn recorded(run_dir: &Path) -> Vec<Role> {
    let entries = fs::read_dir(run_dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter_map(|name| Role::named(name.strip_prefix("bmc-")?.strip_suffix(RECORD)?.strip_suffix('.')?))
        .collect()
}

/// Waits until something listens on a socket, without a connection, of which a companion may take only one.
async fn until_listening(socket: &Path) {
    while !listens(socket) {
        time::sleep(POLL).await;
    }
}

/// Whether the kernel lists the socket as one that connections can be made to (proc_net(5), `unix`: field 4 is
/// `__SO_ACCEPTCON`). Some sandboxes have no such list: there it is enough that the socket exists.
fn listens(socket: &Path) -> bool {
    let Ok(list) = fs::read("/proc/net/unix") else { return socket.exists() };
    is_listed(&String::from_utf8_lossy(&list), &socket.to_string_lossy())
}

/// Seven fields, and the path, which may have spaces.
fn is_listed(list: &str, socket: &str) -> bool {
    const ACCEPTS: &str = "00010000";
    let field = |line: &mut &str| {
        let (field, rest) = line.trim_start_matches(' ').split_once(' ')?;
        *line = rest;
        Some(field.to_owned())
    };
    list.lines().any(|mut line| {
        let fields: Vec<_> = (0..7).map_while(|_| field(&mut line)).collect();
        fields.len() == 7 && line == socket && fields.get(3).is_some_and(|flags| flags == ACCEPTS)
    })
}

/// Sees a process to its end.
async fn finish(process: &Process) {
    if time::timeout(BY_ITSELF, process.wait()).await.is_ok() {
        return;
    }
    for (signal, limit) in [(Signal::TERM, WHEN_TOLD), (Signal::KILL, WHEN_TOLD)] {
        if let Err(error) = process.signal(signal) {
            tracing::warn!("{}", chain(&error));
        }
        if time::timeout(limit, process.wait()).await.is_ok() {
            return;
        }
    }
    tracing::error!("process {} does not end, although it was killed", process.pid());
}

/// A program by its name in `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

#[cfg(test)]
mod tests;
