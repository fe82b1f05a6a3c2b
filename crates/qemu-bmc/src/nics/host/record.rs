//! What has been done to which interface, in a file: what outlives this program there is for the next to undo.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tracing::warn;

use super::{super::Attachment, error::Error};
use crate::store;

#[derive(Debug)]
pub(super) struct Record(Mutex<PathBuf>);

impl Record {
    pub(super) fn new(run_dir: &Path) -> Self {
        Self(Mutex::new(run_dir.join("nics.json")))
    }

    fn path(&self) -> MutexGuard<'_, PathBuf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn load(&self) -> Vec<Attachment> {
        store::read_or_set_aside(&self.path()).unwrap_or_default()
    }

    /// Writes down an attachment, in the place of what was known of its interface.
    pub(super) fn put(&self, attachment: &Attachment) -> Result<(), Error> {
        let path = self.path();
        let mut all: Vec<Attachment> = store::read_or_set_aside(&path).unwrap_or_default();
        all.retain(|other| other.interface != attachment.interface);
        all.push(attachment.clone());
        store::write(&path, &all).map_err(|error| {
            Error::Unsuitable(format!(
                "write down what is done to {}: {error}; nothing is done that could not be undone",
                attachment.interface
            ))
        })
    }

    pub(super) fn remove(&self, attachment: &Attachment) {
        let path = self.path();
        let mut all: Vec<Attachment> = store::read_or_set_aside(&path).unwrap_or_default();
        let count = all.len();
        all.retain(|other| other != attachment);
        if all.len() < count
            && let Err(error) = store::write(&path, &all)
        {
            warn!("{error}; {} is detached again at the next start", attachment.interface);
        }
    }
}
