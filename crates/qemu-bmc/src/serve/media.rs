//! CD drives, as the local door speaks of them.

use std::time::Duration;

use bmc::{Bmc, Requester};
use serde::{Deserialize, Serialize};
use tokio::time;

use crate::controller::Controller;

/// How long a change may take: the driver may have something else to do first, and a web server may be slow.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);

/// A CD drive.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DriveLine {
    /// Its name.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) medium: Option<String>,
    /// Whether the guest left its tray open.
    pub(crate) tray_open: bool,
}

/// What is in the drives.
pub(crate) fn list(bmc: &mut Bmc) -> Vec<DriveLine> {
    let lines = bmc.drives().iter().map(|drive| DriveLine {
        name: drive.name.clone(),
        medium: drive.medium.clone(),
        tray_open: drive.tray_open,
    });
    lines.collect()
}

/// Changes what is in a drive, and waits until that is done.
pub(crate) async fn change(
    controller: &Controller,
    drive: Option<String>,
    medium: Option<String>,
    force: bool,
) -> Result<String, String> {
    let asked =
        controller.with(|bmc| bmc.change_medium(drive.as_deref(), medium.clone(), force, Requester::Button));
    let number = asked.map_err(|refusal| refusal.to_string())?;
    let outcome = controller.medium_outcome(number);
    match time::timeout(CHANGE_LIMIT, outcome).await {
        Ok(outcome) => {
            outcome.map(|()| medium.map_or_else(|| "ejected".into(), |medium| format!("inserted {medium}")))
        }
        Err(_) => Err("it is under way still; qemu-bmc media shows what became of it".into()),
    }
}
