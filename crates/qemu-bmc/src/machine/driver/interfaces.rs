//! How the driver brings together what interfaces do, the machine, and what the model knows of both.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use bmc::Fact;
use tracing::warn;
use uuid::Uuid;

use super::{Machine, Stop, nics::LinkChange};

impl Machine {
    /// Gives the lab its time to add interfaces. False if the machine is not wanted on any more, or it is the next
    /// controller that waits.
    pub(super) async fn wait_for_interfaces(&mut self) -> bool {
        let controller = Arc::clone(&self.driver.controller);
        let start = tokio::select! {
            biased;
            () = self.nics.wait(|missing| controller.waits_for(Some(missing.to_string()))) => true,
            () = self.driver.controller.unwanted() => false,
            () = self.driver.controller.restarting() => {
                leave_start_to_the_next(&self.driver.paths.run_dir);
                false
            }
            _ = self.driver.stop.wait_for(|stop| *stop != Stop::No) => false,
        };
        controller.waits_for(None);
        start
    }

    /// Some interface is another than it was, or may be.
    pub(super) async fn follow_interfaces(&mut self) {
        let Some(guest) = &mut self.guest else { return };
        let changes = self.nics.follow(guest).await;
        let node = Uuid::from_bytes(self.driver.controller.with(|bmc| bmc.identity.uuid));
        if self.nics.plug_in(node, guest).await {
            guest.forget_devices();
            self.show_nics();
            self.arm().await;
        }
        for LinkChange { nic, up } in changes {
            self.report(Fact::LinkChanged { nic, up });
        }
    }

    /// Lets the model know which NICs the machine has.
    pub(super) fn show_nics(&self) {
        let nics = self.nics.shown();
        self.controller().with(|bmc| bmc.set_nics(Instant::now(), nics));
    }
}

/// A file that is there while one controller leaves the start of the machine to the next.
fn start_note(run_dir: &Path) -> PathBuf {
    run_dir.join("machine.wanted")
}

/// The controller restarts while the machine waits: what was accepted is not forgotten for that.
fn leave_start_to_the_next(run_dir: &Path) {
    let note = start_note(run_dir);
    if let Err(error) = fs::write(&note, "") {
        warn!("write {}: {error}; the machine has to be switched on again", note.display());
    }
}

/// Whether the controller before this one was about to start the machine.
pub(super) fn takes_over_a_start(run_dir: &Path) -> bool {
    fs::remove_file(start_note(run_dir)).is_ok()
}
