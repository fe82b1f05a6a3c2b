//! A disk with a real distribution (`tests/debian/build`), for what the small guest has not: cloud-init, SSH, systemd,
//! a guest agent.
//!
//! It boots in BIOS and in UEFI mode. Nobody can log in until a cloud-init seed has said who may: its user is `debian`,
//! who may use `sudo`.

use std::path::{Path, PathBuf};

/// The disk, if there is one: it is made only by root, and on Debian. Never to be written: give a machine an overlay.
#[allow(dead_code, reason = "what needs it is yet to come")]
pub fn disk() -> Option<PathBuf> {
    let folder = std::env::var_os("QEMU_BMC_TEST_DEBIAN")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/debian"), PathBuf::from);
    let disk = folder.join("disk.qcow2");
    if disk.exists() {
        return Some(disk.canonicalize().unwrap());
    }
    assert!(std::env::var("CI").is_err(), "there is no {}, and nothing may be left out here", disk.display());
    eprintln!("left out: there is no {} (tests/debian/build, as root on Debian)", disk.display());
    None
}
