//! A network namespace for the time of one test.

use std::{panic, thread};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountFlags, MountPropagationFlags};

/// Runs something in a network namespace of its own, which goes with the thread that is in it; children run there
/// too. `/sys` is that of the namespace.
pub(super) fn in_namespace(body: impl FnOnce() + Send + 'static) {
    let outcome = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("these tests need root");
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private).unwrap();
        rustix::mount::mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).unwrap();
        super::ip("link set lo up");
        body();
    })
    .join();
    if let Err(panic) = outcome {
        panic::resume_unwind(panic);
    }
}
