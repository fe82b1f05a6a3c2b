//! Changing what is in CD drives while the machine runs.
//!
//! ```text
//!   open the new medium ─▶ open the tray ─▶ take the old one out ─▶ put the new one in ─▶ close the tray
//!     │ can't be read         │ the guest holds it shut:               │ fails: the old one
//!     ▼                       ▼ it is asked, and has a moment          ▼ is put back
//!   the drive is as it was
//! ```
//!
//! A controller can be ended between any two steps, and others can change drives too. So what is in them is looked at
//! when a machine is taken over, when a tray has moved and when a change has failed; and what an unfinished change left
//! open in QEMU is closed by the next.

use std::{
    fs::{self, OpenOptions},
    io, iter,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant},
};

use bmc::MediumChange;
use qmp::{
    Client,
    commands::{BlockDevice, QueryBlock},
};
use rustix::fs::OFlags;
use serde_json::{Value, json};
use tokio::time;

use super::{
    super::{argv::medium_node, boot::CDROMS, connection::ANSWER_LIMIT, disk},
    Machine,
};
use crate::{chain, config::Medium};

/// How long a file system may take to say what a path is.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// How long QEMU may take to open a medium: a web server has five seconds for each of its answers.
const OPEN_LIMIT: Duration = Duration::from_secs(20);
/// How long a guest that was asked to let go of a medium has to do so.
const LET_GO: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// How often it is looked at trays at most, for a guest can move them as often as it likes.
const LOOK: Duration = Duration::from_secs(1);

/// When to look at the drives, since a tray has moved.
#[derive(Debug, Default)]
pub(super) struct Trays {
    looked: Option<Instant>,
    due: Option<Instant>,
}

impl Trays {
    /// A tray has moved: at once, unless that has just been done.
    pub(super) fn moved(&mut self) {
        let now = Instant::now();
        self.due.get_or_insert(self.looked.map_or(now, |looked| now.max(looked + LOOK)));
    }

    fn looked(&mut self) {
        (self.looked, self.due) = (Some(Instant::now()), None);
    }

    /// Waits until it is time to look. Cancelling it loses nothing.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    }
}

impl Machine {
    /// What is in the drives now, for a machine that starts.
    pub(super) fn media(&self) -> Vec<Option<Medium>> {
        let drives = self.controller().with(|bmc| bmc.drives().to_vec());
        drives.into_iter().map(|drive| drive.medium.and_then(|medium| medium.parse().ok())).collect()
    }

    /// The same, seen to be there.
    pub(super) async fn readable_media(&self) -> Result<Vec<Option<Medium>>, String> {
        let media = self.media();
        for (id, medium) in CDROMS.iter().zip(&media) {
            readable(medium.as_ref()).await.map_err(|why| {
                format!("drive {id}: {why}; qemu-bmc media eject --drive {id} empties the drive")
            })?;
        }
        Ok(media)
    }

    pub(super) async fn change_medium(&mut self, change: MediumChange) {
        let medium = match change.medium.as_deref().map(str::parse::<Medium>).transpose() {
            Ok(medium) => medium,
            Err(_) => return self.medium_done(change, Err("it is neither a path nor an address".into())),
        };
        let client = self.guest.as_ref().and_then(|guest| guest.client()).cloned();
        let outcome = match (client, &self.guest) {
            (Some(client), _) => {
                let exchanged = exchange(&client, &change.drive, medium.as_ref(), change.force).await;
                self.as_it_is(&change.drive, exchanged).await
            }
            (None, Some(_)) => Err("QEMU does not answer".into()),
            (None, None) => readable(medium.as_ref()).await,
        };
        self.medium_done(change, outcome);
    }

    fn medium_done(&self, change: MediumChange, outcome: Result<(), String>) {
        self.controller().with(|bmc| bmc.medium_done(Instant::now(), change, outcome));
        self.controller().medium_settled();
    }

    /// What is to be said of a change: where it failed, what is in the drive now if that is something else.
    async fn as_it_is(&mut self, id: &str, exchanged: Result<(), String>) -> Result<(), String> {
        let Err(why) = exchanged else { return Ok(()) };
        let medium = |machine: &Self| {
            let drives = machine.controller().with(|bmc| bmc.drives().to_vec());
            drives.into_iter().find(|drive| drive.name == id).and_then(|drive| drive.medium)
        };
        let before = medium(self);
        self.look_at_drives().await;
        Err(match medium(self) {
            after if after == before => why,
            Some(after) => format!("{why}; {after} is in the drive now"),
            None => format!("{why}; the drive is empty now"),
        })
    }

    /// Sees what is in the drives, and how their trays are.
    pub(super) async fn look_at_drives(&mut self) {
        self.trays.looked();
        let Some(client) = self.guest.as_ref().and_then(|guest| guest.client()) else { return };
        let Ok(devices) = client.call(&QueryBlock, ANSWER_LIMIT).await else { return };
        for id in CDROMS {
            let Some(drive) = devices.value.iter().find(|device| is(device, id)) else { continue };
            self.controller().with(|bmc| {
                if let Some(medium) = contents(drive) {
                    bmc.observe_medium(Instant::now(), id, medium);
                }
                if let Some(open) = drive.tray_open {
                    bmc.observe_tray(Instant::now(), id, open);
                }
            });
        }
    }
}

/// What is in a drive, if anything; none if it is nothing that could be put in here.
#[expect(clippy::option_option, reason = "an empty drive is known, a strange medium is not")]
fn contents(drive: &BlockDevice) -> Option<Option<String>> {
    let Some(inserted) = &drive.inserted else { return Some(None) };
    let file = match inserted.file.strip_prefix("json:") {
        None => inserted.file.clone(),
        Some(described) => {
            let described: Value = serde_json::from_str(described).ok()?;
            let name = described.pointer("/file/filename").or_else(|| described.pointer("/file/url"))?;
            name.as_str()?.to_owned()
        }
    };
    let medium: Medium = file.parse().ok()?;
    Some(Some(medium.to_string()))
}

/// Whether a medium can be had. Web servers are asked when QEMU opens it.
async fn readable(medium: Option<&Medium>) -> Result<(), String> {
    let Some(Medium::File(path)) = medium else { return Ok(()) };
    let (shown, path) = (path.display().to_string(), path.clone());
    match time::timeout(LOOK_LIMIT, tokio::task::spawn_blocking(move || look(&path))).await {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(why))) => Err(why),
        Ok(Err(failed)) => Err(format!("open {shown}: {failed}")),
        Err(_) => Err(format!("open {shown}: no answer within {LOOK_LIMIT:?}; is its file system there?")),
    }
}

fn look(path: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("open {}: {error}", path.display());
    let kind = fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    // QEMU reads media from nothing else, and waits for what a pipe has to say.
    if !kind.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    // What was put in its place since must not hold this thread either.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map(drop).map_err(failed)
}

async fn exchange(client: &Client, id: &str, medium: Option<&Medium>, force: bool) -> Result<(), String> {
    readable(medium).await?;
    let old = drive(client, id).await?.inserted.and_then(|inserted| inserted.node_name);
    let new = match medium {
        Some(medium) => Some(open(client, id, medium, old.as_deref()).await?),
        None => None,
    };
    let exchanged = put(client, id, old.as_deref(), new.as_deref(), force).await;
    if let Some(unused) = if exchanged.is_ok() { old } else { new } {
        close(client, &unused).await;
    }
    exchanged
}

/// Has QEMU open a medium, by a name that no other has.
async fn open(client: &Client, id: &str, medium: &Medium, old: Option<&str>) -> Result<String, String> {
    for left in nodes(client, id).await?.iter().filter(|name| Some(name.as_str()) != old) {
        close(client, left).await;
    }
    let taken = nodes(client, id).await?;
    let names = (2..).map(|number| format!("{id}-image-{number}"));
    let mut names = iter::once(format!("{id}-image")).chain(names);
    let node = names.find(|name| !taken.contains(name)).unwrap_or_default();
    let opened = client.execute("blockdev-add", medium_node(&node, medium), OPEN_LIMIT).await;
    opened.map_err(|error| disk::explained(&refusal(&error)).unwrap_or_else(|| refusal(&error)))?;
    Ok(node)
}

/// The media of a drive that QEMU has open, in the drive or not.
async fn nodes(client: &Client, id: &str) -> Result<Vec<String>, String> {
    let nodes = client.execute("query-named-block-nodes", json!({ "flat": true }), ANSWER_LIMIT).await;
    let nodes = nodes.map_err(|error| refusal(&error))?.value;
    let names = nodes.as_array().into_iter().flatten().filter_map(|node| node.get("node-name")?.as_str());
    let family = format!("{id}-image");
    Ok(names.filter(|name| name.starts_with(&family)).map(Into::into).collect())
}

/// A node that is in a drive, or that somebody else uses, stays.
async fn close(client: &Client, node: &str) {
    let _ = command(client, "blockdev-del", json!({ "node-name": node })).await;
}

async fn put(
    client: &Client,
    id: &str,
    old: Option<&str>,
    new: Option<&str>,
    force: bool,
) -> Result<(), String> {
    open_tray(client, id, force).await?;
    let replaced = async {
        command(client, "blockdev-remove-medium", json!({ "id": id })).await?;
        insert(client, id, new).await
    };
    let replaced = replaced.await;
    if replaced.is_err() {
        // If it is in the drive still, QEMU says so, and that is right.
        let _ = insert(client, id, old).await;
    }
    let closed = command(client, "blockdev-close-tray", json!({ "id": id })).await;
    replaced.and(closed)
}

async fn insert(client: &Client, id: &str, node: Option<&str>) -> Result<(), String> {
    match node {
        Some(node) => command(client, "blockdev-insert-medium", json!({ "id": id, "node-name": node })).await,
        None => Ok(()),
    }
}

/// A guest that holds the tray shut is told that somebody wants the medium, as by the button of a drive; QEMU then
/// answers before anything has moved.
async fn open_tray(client: &Client, id: &str, force: bool) -> Result<(), String> {
    command(client, "blockdev-open-tray", json!({ "id": id, "force": force })).await?;
    let end = Instant::now() + LET_GO;
    while drive(client, id).await?.tray_open == Some(false) {
        if Instant::now() > end {
            return Err("the guest uses it and holds the tray shut (it is mounted there, perhaps); \
                        --force takes it all the same"
                .into());
        }
        time::sleep(POLL).await;
    }
    Ok(())
}

async fn drive(client: &Client, id: &str) -> Result<BlockDevice, String> {
    let devices = client.call(&QueryBlock, ANSWER_LIMIT).await.map_err(|error| refusal(&error))?;
    devices.value.into_iter().find(|device| is(device, id)).ok_or_else(|| "QEMU knows no such drive".into())
}

fn is(device: &BlockDevice, id: &str) -> bool {
    let name = device.qdev.as_deref().unwrap_or_default();
    name == id
        || name.strip_prefix("/machine/peripheral/").is_some_and(|name| name.split('/').next() == Some(id))
}

async fn command(client: &Client, name: &str, arguments: Value) -> Result<(), String> {
    client.execute(name, arguments, ANSWER_LIMIT).await.map(drop).map_err(|error| refusal(&error))
}

/// QEMU's own words, where it has any.
fn refusal(error: &qmp::Error) -> String {
    match error {
        qmp::Error::Refused { refusal, .. } => refusal.desc.clone(),
        error => chain(error),
    }
}

#[cfg(test)]
mod tests;
