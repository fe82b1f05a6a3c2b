//! Waiting for interfaces that are not there yet: a lab adds them after the container has started.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::Nics;
use crate::nics::selection::{self, Missing};

impl Nics {
    /// Waits until the lab has added what it is to add, or has had its time for it, at the first start. Nothing is
    /// lost if the wait is given up. `tell` is told what is missing.
    pub(in super::super) async fn wait(&mut self, tell: impl Fn(&Missing)) {
        if self.awaited {
            return;
        }
        // Before the first look, so that nothing comes between the two.
        self.listen();
        let limit = self.plan.wait;
        let end = Instant::now() + limit;
        let mut told: Option<Missing> = None;
        while let Some(missing) = selection::missing(&self.plan, &self.links().await.unwrap_or_default()) {
            if told.as_ref() != Some(&missing) {
                tell(&missing);
                if limit > Duration::ZERO {
                    info!("the machine waits for {missing}, until {} s have passed", limit.as_secs_f32());
                }
                told = Some(missing.clone());
            }
            tokio::select! {
                () = self.changed() => {}
                () = sleep_until(end) => {
                    warn!(
                        "still missing after {} s (VM_NETWORKS_WAIT): {missing}; the machine starts without, and a NIC is plugged in when an interface appears",
                        limit.as_secs_f32()
                    );
                    break;
                }
            }
        }
        self.awaited = true;
    }
}
