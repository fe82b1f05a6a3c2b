//! Variables that begin afresh (VM_UEFI_RESET): once in a life of the controller, at the first start that gets as
//! far as that.
//!
//! ```text
//!   asked for ──▶ due ── variables are made anew, or a machine is found that runs ──▶ done, written down
//! ```
//!
//! A controller that replaces another of the same life reads what was written down: whether the reset is owed does
//! not depend on how often the controller started before the machine did.

use std::path::{Path, PathBuf};

use crate::{
    config::{FirmwareKind, FirmwarePlan},
    os::life::Life,
};

/// Whether the machine's next start is to find its firmware's variables as new.
#[derive(Debug)]
pub(crate) struct Reset {
    life: Life,
    note: PathBuf,
    is_due: bool,
}

impl Reset {
    /// What this life owes, by what an earlier process of it left in the run folder.
    pub(crate) fn of(plan: &FirmwarePlan, life: &Life, run_dir: &Path) -> Self {
        let asked = matches!(&plan.kind, FirmwareKind::Uefi(uefi) if uefi.reset);
        let note = run_dir.join("bmc-uefi-reset.json");
        Self { is_due: asked && !life.is_written(&note), life: life.clone(), note }
    }

    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// It is not due again in this life.
    pub(crate) fn done(&mut self) {
        if std::mem::take(&mut self.is_due) {
            self.life.write(&self.note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Platform, UefiPlan};

    #[test]
    fn a_reset_stays_due_over_restarts_of_the_controller_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let uefi = UefiPlan { secure_boot: None, code: None, template: None, reset: true, shell: false };
        let plan = FirmwarePlan {
            kind: FirmwareKind::Uefi(uefi),
            platform: Platform::Q35,
            menu_timeout: None,
            log: false,
            tpm: false,
        };
        let (life, next) = (Life::begin(), Life::named("the next"));
        let reset = |life: &Life| Reset::of(&plan, life, folder.path());
        assert!(reset(&life).is_due());
        let mut again = reset(&life);
        assert!(again.is_due(), "nothing was started yet");
        again.done();
        assert!(!again.is_due() && !reset(&life).is_due());
        assert!(reset(&next).is_due());
    }
}
