//! The sensors file while the program runs: a change of it takes effect at once if it is good, and is told of if
//! it is not.

use std::{
    convert::Infallible,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{info, warn};

use crate::{
    config::{SensorsFile, sensors},
    controller::Controller,
};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// By what a change is seen without reading: file, length, and when it was written.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    length: u64,
    written: (i64, i64),
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let written = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Self { inode: metadata.ino(), length: metadata.len(), written })
    }
}

/// Follows the file for ever. What it said when the plan was made is in effect.
pub(crate) async fn follow(file: SensorsFile, controller: Arc<Controller>) -> Infallible {
    let SensorsFile { path, text: mut in_effect } = file;
    let mut seen = None;
    let mut told = String::new();
    loop {
        let look = Look::at(&path);
        if seen != look.as_ref().ok().copied() || look.is_err() {
            seen = look.ok();
            let outcome = match fs::read_to_string(&path) {
                Ok(text) if text == in_effect => Ok(None),
                Ok(text) => match sensors::parse(&text) {
                    Ok(definitions) => Ok(Some((text, definitions))),
                    Err(problems) => Err(problems.join("; ")),
                },
                Err(error) => Err(format!("it cannot be read: {error}")),
            };
            let problem = match outcome {
                Ok(None) => String::new(),
                Ok(Some((text, definitions))) => {
                    info!("{} has changed: there are {} sensors", path.display(), definitions.len());
                    controller.with(|bmc| bmc.set_sensors(Instant::now(), definitions));
                    in_effect = text;
                    String::new()
                }
                Err(problem) => problem,
            };
            if !problem.is_empty() && problem != told {
                warn!("{}: {problem}; the sensors stay as they were", path.display());
            }
            told = problem;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
