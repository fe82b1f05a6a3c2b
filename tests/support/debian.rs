//! A disk with a real distribution (`tests/debian/build`), for what the small guest has not: cloud-init, SSH, systemd,
//! a guest agent.
//!
//! It boots in BIOS and in UEFI mode. Nobody can log in until a cloud-init seed has said who may: its user is `debian`,
//! who may use `sudo`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{BOOT, Machine, SOON, Said, Setup, run, wait_for};

/// The disk, if there is one: it is made only by root, and on Debian. Never to be written: give a machine an overlay.
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

/// Long enough for cloud-init to say who may log in, without KVM and on a busy machine.
const FIRST_BOOT: Duration = Duration::from_secs(330);

/// A key pair of a user who is to be let in.
pub struct SshKey(tempfile::TempDir);

impl SshKey {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(folder.path().join("key"));
        run(&mut keygen, SOON).ok();
        Self(folder)
    }

    /// The line that is given to others.
    pub fn public(&self) -> String {
        fs::read_to_string(self.0.path().join("key.pub")).unwrap().trim().to_owned()
    }

    fn private(&self) -> PathBuf {
        self.0.path().join("key")
    }
}

impl Setup {
    /// A machine with an overlay of the disk, and a port that leads to the guest's SSH.
    pub fn with_debian(self, disk: &Path) -> Self {
        let forward = format!("tcp:{}:{SSH_PORT}-:22", self.address);
        self.with("VM_DISK_BASE", disk.display())
            .with("VM_MEMORY", 1024)
            .with("VM_MGMT", "user")
            .with("VM_HOSTFWD", forward)
            .with("POWER_ON_AT_START", true)
    }
}

/// Of the machine's own address.
const SSH_PORT: u16 = 2222;

impl Machine {
    /// Carries out a line in the guest, as its user.
    pub fn ssh(&self, key: &SshKey, line: &str) -> Said {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "LogLevel=ERROR",
        ]);
        // Whoever is not there yet takes the connection and says nothing; the host key is cloud-init's, and new.
        ssh.args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "ConnectTimeout=20",
            "-o",
            "IdentitiesOnly=yes",
            "-i",
        ]);
        ssh.arg(key.private()).args([
            "-p",
            &SSH_PORT.to_string(),
            &format!("debian@{}", self.address()),
            line,
        ]);
        run(&mut ssh, BOOT)
    }

    /// Waits until the guest lets its user in.
    #[track_caller]
    pub fn wait_ssh(&self, key: &SshKey) {
        self.wait_power("on", BOOT);
        wait_for("the guest lets its user in", FIRST_BOOT, || {
            assert_eq!(self.power(), "on", "the machine went off");
            self.ssh(key, "true").status.success().then_some(())
        });
    }
}
