//! Folders that the guest shares with this machine.
//!
//! ```text
//!   virtiofs    guest ─▶ rings in the guest's memory ─▶ virtiofsd, which has that memory too ─▶ the folder
//!   9p          guest ─▶ QEMU ─▶ the folder
//! ```
//!
//! virtiofsd serves the guest's root as root, so that owners and modes are kept, and nothing but its folder: it is
//! confined to that by chroot(2), which the privileges of an ordinary container allow, while namespaces take more.
//! Without that privilege it runs as it is: what it has then is no more than what this program may open.
//!
//! QEMU by itself has no such means; whatever the guest makes by 9p belongs to QEMU's user, and that the guest
//! changes an owner is ignored.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::thread::CapabilitySet;

use super::companion::{Companion, Role, find_program};
use crate::{
    config::{Share, ShareMode, SharesPlan},
    os::children::{Brief, BriefError},
};

pub(super) const PROGRAM: &str = "virtiofsd";

/// Where distributions put it, besides `PATH`.
const PLACES: [&str; 3] = ["/usr/libexec/virtiofsd", "/usr/lib/virtiofsd", "/usr/lib/qemu/virtiofsd"];

/// What it needs to serve root, the owners, modes and special files of anybody; and to give up the rest by itself,
/// without which the old one fails.
const OF_A_SERVER: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::MKNOD)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP);

/// How long it may take to say what it is.
const LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ShareError {
    #[error(
        "shared folders (VM_SHARE) need {PROGRAM}, which is not there: install the package {PROGRAM}, or set VM_SHARE_MODE=9p"
    )]
    NoProgram,
    #[error("run {}: {source}", program.display())]
    Run { program: PathBuf, source: BriefError },
    #[error(
        "{} shares nothing for reading alone: install a newer {PROGRAM}, or set VM_SHARE_MODE=9p",
        program.display()
    )]
    NeverReadOnly { program: PathBuf },
    #[error(
        "{} needs the capability SYS_CHROOT: give it (docker run --cap-add SYS_CHROOT), install a newer {PROGRAM}, or set VM_SHARE_MODE=9p",
        program.display()
    )]
    NeedsChroot { program: PathBuf },
}

/// Shared folders, and what serves them.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    pub(crate) shares: Vec<Share>,
    /// None where QEMU does.
    daemon: Option<Daemon>,
}

/// The virtiofsd that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Daemon {
    program: PathBuf,
    /// Whether it is the one that came with QEMU before 8.0, written in C.
    is_old: bool,
    /// Whether it can confine itself to its folder.
    can_chroot: bool,
}

impl Shares {
    /// Looks for all that it takes. Changes nothing.
    pub(crate) fn find(plan: &SharesPlan) -> Result<Self, ShareError> {
        let shares = plan.shares.clone();
        if plan.mode == ShareMode::Plan9 || shares.is_empty() {
            return Ok(Self { shares, daemon: None });
        }
        let daemon = Daemon::find()?;
        if daemon.is_old && shares.iter().any(|share| share.read_only) {
            return Err(ShareError::NeverReadOnly { program: daemon.program });
        }
        if daemon.is_old && !daemon.can_chroot {
            return Err(ShareError::NeedsChroot { program: daemon.program });
        }
        Ok(Self { shares, daemon: Some(daemon) })
    }

    /// Whether QEMU itself serves them.
    pub(crate) fn by_qemu(&self) -> bool {
        self.daemon.is_none()
    }

    /// What is odd about the way they are served.
    pub(crate) fn warning(&self) -> Option<String> {
        self.daemon.as_ref().filter(|daemon| !daemon.can_chroot)?;
        Some(format!(
            "{PROGRAM} is not confined to the shared folders, for want of the capability SYS_CHROOT (docker run --cap-add SYS_CHROOT)"
        ))
    }

    /// The processes that serve them.
    pub(crate) fn companions(&self, run_dir: &Path) -> Vec<Companion> {
        let Some(daemon) = &self.daemon else { return Vec::new() };
        self.shares.iter().map(|share| daemon.companion(share, socket(run_dir, &share.tag))).collect()
    }
}

/// Where QEMU finds what serves folders, unless that is QEMU itself.
pub(crate) fn sockets(plan: &SharesPlan, run_dir: &Path) -> Vec<PathBuf> {
    let served = plan.shares.iter().filter(|_| plan.mode == ShareMode::Virtiofs);
    served.map(|share| socket(run_dir, &share.tag)).collect()
}

/// Where QEMU finds what serves the folder with this tag.
pub(crate) fn socket(run_dir: &Path, tag: &str) -> PathBuf {
    run_dir.join(format!("bmc-share-{tag}.sock"))
}

impl Daemon {
    fn find() -> Result<Self, ShareError> {
        let known = || PLACES.iter().map(PathBuf::from).find(|place| place.is_file());
        let program = find_program(PROGRAM).or_else(known).ok_or(ShareError::NoProgram)?;
        let help = Brief::new(&program, LIMIT).args(["--help"]).run();
        let help = help.map_err(|source| ShareError::Run { program: program.clone(), source })?;
        let is_old = !String::from_utf8_lossy(&help.out).contains("--shared-dir");
        let mine =
            rustix::thread::capabilities(None).map(|sets| sets.effective).unwrap_or(CapabilitySet::empty());
        Ok(Self { program, is_old, can_chroot: mine.contains(CapabilitySet::SYS_CHROOT) })
    }

    fn companion(&self, share: &Share, socket: PathBuf) -> Companion {
        let with = |before: &str, path: &Path| {
            let mut text = OsString::from(before);
            text.push(path);
            text
        };
        let mut arguments = vec![with("--socket-path=", &socket)];
        if self.is_old {
            arguments.extend(["-f".into(), "-o".into(), with("source=", &share.path)]);
            arguments
                .extend(["-o", "sandbox=chroot", "-o", "xattr", "-o", "log_level=warn"].map(OsString::from));
        } else {
            arguments.extend([
                with("--shared-dir=", &share.path),
                "--xattr".into(),
                "--log-level=warn".into(),
            ]);
            arguments.push(format!("--sandbox={}", if self.can_chroot { "chroot" } else { "none" }).into());
            arguments.extend(share.read_only.then(|| "--readonly".into()));
        }
        let chroot = if self.can_chroot { CapabilitySet::SYS_CHROOT } else { CapabilitySet::empty() };
        Companion {
            role: Role::Share(share.tag.clone()),
            program: self.program.clone(),
            arguments,
            socket,
            capabilities: OF_A_SERVER | chroot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(daemon: &Daemon) -> Vec<OsString> {
        let share = Share { tag: "data".into(), path: "/srv/da,ta".into(), read_only: true };
        daemon.companion(&share, socket(Path::new("/run"), &share.tag)).arguments
    }

    #[test]
    fn either_virtiofsd_is_told_in_its_own_words() {
        let new = Daemon { program: PROGRAM.into(), is_old: false, can_chroot: false };
        let said = arguments(&new);
        assert_eq!(said[..2], ["--socket-path=/run/bmc-share-data.sock", "--shared-dir=/srv/da,ta"]);
        assert!(said.ends_with(&["--sandbox=none".into(), "--readonly".into()]), "{said:?}");
        let old = Daemon { is_old: true, can_chroot: true, ..new };
        assert!(arguments(&old).contains(&"sandbox=chroot".into()));
    }
}
