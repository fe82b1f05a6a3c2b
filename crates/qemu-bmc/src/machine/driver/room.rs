//! A machine that QEMU has paused because the host's file system is full: no real disk would tell its guest of that.
//! It goes on by itself once there is room.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use qmp::commands::Cont;
use rustix::fs::statvfs;
use tracing::{info, warn};

use super::Machine;

/// How often it is looked whether there is room.
const LOOK: Duration = Duration::from_secs(2);

/// What has to be free before the guest is let go on: with less it would be paused again at once.
const ROOM: u64 = 16 << 20;

impl Machine {
    /// QEMU is found paused for want of room, or isn't any more.
    pub(super) fn observe_full(&mut self, full: bool) {
        if full && self.look_for_room.is_none() {
            warn!(
                "the machine is paused: the file system of one of its disks is full; it goes on when there is room"
            );
        }
        self.look_for_room = full.then(|| Instant::now() + LOOK);
    }

    pub(super) async fn look_for_room(&mut self) {
        self.look_for_room = Some(Instant::now() + LOOK);
        let disks = &self.driver.plan.storage.disks;
        let ephemeral =
            disks.iter().any(|disk| disk.ephemeral).then_some(self.driver.paths.run_dir.as_path());
        if disks.iter().map(|disk| disk.path.as_path()).chain(ephemeral).all(has_room) {
            info!("there is room again: the machine goes on");
            self.call("let the machine go on", Cont).await;
        }
    }
}

/// Whether something can be written where this is. What can't be looked at is left for QEMU to try.
fn has_room(path: &Path) -> bool {
    statvfs(path).map_or(true, |free| free.f_bavail.saturating_mul(free.f_frsize) >= ROOM)
}
