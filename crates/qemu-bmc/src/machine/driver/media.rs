//! Changing what is in CD drives while the machine runs.
//!
//! ```text
//!   open the new medium ─▶ open the tray ─▶ take the old one out ─▶ put the new one in ─▶ close the tray
//!     │ can't be read         │ the guest holds it shut: it is asked, and has a moment
//!     ▼                       ▼
//!   the drive is as it was
//! ```

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
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

impl Machine {
    /// What is in the drives now, for a machine that starts.
    pub(super) fn media(&self) -> Vec<Option<Medium>> {
        let drives = self.controller().with(|bmc| bmc.drives().to_vec());
        drives.into_iter().map(|drive| drive.medium.and_then(|medium| medium.parse().ok())).collect()
    }

    pub(super) async fn change_medium(&mut self, change: MediumChange) {
        let medium = match change.medium.as_deref().map(str::parse::<Medium>).transpose() {
            Ok(medium) => medium,
            Err(_) => return self.medium_done(change, Err("it is neither a path nor an address".into())),
        };
        let client = self.guest.as_ref().and_then(|guest| guest.client()).cloned();
        let outcome = match (client, &self.guest) {
            (Some(client), _) => exchange(&client, &change.drive, medium.as_ref(), change.force).await,
            (None, Some(_)) => Err("QEMU does not answer".into()),
            (None, None) => readable(medium.as_ref()).await,
        };
        self.medium_done(change, outcome);
    }

    fn medium_done(&self, change: MediumChange, outcome: Result<(), String>) {
        self.controller().with(|bmc| bmc.medium_done(Instant::now(), change, outcome));
        self.controller().medium_settled();
    }

    /// Sees how the drives' trays are.
    pub(super) async fn look_at_trays(&self) {
        let Some(client) = self.guest.as_ref().and_then(|guest| guest.client()) else { return };
        let Ok(devices) = client.call(&QueryBlock, ANSWER_LIMIT).await else { return };
        for id in CDROMS {
            if let Some(open) =
                devices.value.iter().find(|device| is(device, id)).and_then(|drive| drive.tray_open)
            {
                self.controller().with(|bmc| bmc.observe_tray(Instant::now(), id, open));
            }
        }
    }
}

/// Whether a medium can be had. Web servers are asked when QEMU opens it.
pub(super) async fn readable(medium: Option<&Medium>) -> Result<(), String> {
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
    if !kind.is_file() && !kind.is_block_device() {
        return Err(format!("{} is neither a file nor a block device", path.display()));
    }
    // What was put in its place since must not hold this thread either.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map(drop).map_err(failed)
}

async fn exchange(client: &Client, id: &str, medium: Option<&Medium>, force: bool) -> Result<(), String> {
    let old = drive(client, id).await?.inserted.and_then(|inserted| inserted.node_name);
    // Of two names, one is free.
    let node =
        [format!("{id}-image"), format!("{id}-image-2")].into_iter().find(|name| old.as_ref() != Some(name));
    let node = node.unwrap_or_default();
    if let Some(medium) = medium {
        readable(Some(medium)).await?;
        let opened = client.execute("blockdev-add", medium_node(&node, medium), OPEN_LIMIT).await;
        opened.map_err(|error| disk::explained(&refusal(&error)).unwrap_or_else(|| refusal(&error)))?;
    }
    let exchanged = put(client, id, medium.is_some().then_some(node.as_str()), force).await;
    let unused = if exchanged.is_ok() { old.as_deref() } else { medium.is_some().then_some(node.as_str()) };
    if let Some(unused) = unused {
        // A node that somebody else uses stays.
        let _ = command(client, "blockdev-del", json!({ "node-name": unused })).await;
    }
    exchanged
}

async fn put(client: &Client, id: &str, node: Option<&str>, force: bool) -> Result<(), String> {
    open_tray(client, id, force).await?;
    command(client, "blockdev-remove-medium", json!({ "id": id })).await?;
    if let Some(node) = node {
        command(client, "blockdev-insert-medium", json!({ "id": id, "node-name": node })).await?;
    }
    command(client, "blockdev-close-tray", json!({ "id": id })).await
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
