//! The two BMCs that are compared, each with folders and ports of its own.

use std::{
    fs,
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use bmc::Password;
use ipmi::client::{Client, Credentials};
use tempfile::TempDir;

use crate::process::{Running, wait_for};

pub(crate) const USER: &str = "admin";
pub(crate) const PASSWORD: &str = "password";

/// Long enough for anything but a guest's boot.
const SOON: Duration = Duration::from_secs(20);

/// A UDP port of loopback that nobody has now.
pub(crate) fn free_udp_port() -> anyhow::Result<u16> {
    Ok(UdpSocket::bind(("127.0.0.1", 0)).context("find a free UDP port")?.local_addr()?.port())
}

/// A TCP port of loopback that nobody has now.
pub(crate) fn free_tcp_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0)).context("find a free TCP port")?.local_addr()?.port())
}

/// Logs in as the administrator.
pub(crate) fn login(address: SocketAddr, suite: u8) -> anyhow::Result<Client> {
    let credentials = Credentials { suite, ..Credentials::new(USER, Password::new(PASSWORD.as_bytes())?) };
    // Nothing here is a secret, so any seed is as good as another.
    Client::login(address, credentials, [7; 32])
        .with_context(|| format!("log in at {address} with cipher suite {suite}"))
}

/// Logs in as soon as anybody answers.
pub(crate) fn first_login(address: SocketAddr, suite: u8) -> anyhow::Result<Client> {
    wait_for("a first login", SOON, || Ok(login(address, suite).ok()))
}

/// qemu-bmc with `init`, as in the container.
pub(crate) struct QemuBmc {
    process: Running,
    folder: TempDir,
    address: SocketAddr,
}

impl QemuBmc {
    /// Starts the program with its machine off, and returns at once.
    pub(crate) fn launch(program: &Path, guest: Option<&Path>) -> anyhow::Result<Self> {
        Self::launch_with(Command::new(program), guest, &[])
    }

    /// The same by a command line that ends in the program's name, with settings beside the usual ones.
    pub(crate) fn launch_with(
        mut command: Command,
        guest: Option<&Path>,
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let folder = new_folder()?;
        let port = free_udp_port()?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        if let Some(guest) = guest {
            overlay(&guest.join("disk.qcow2"), &folder.path().join("disk.qcow2"))?;
        }
        command.arg("init").env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs([
            ("RUN_DIR", path("run")),
            ("STATE_DIR", path("state")),
            ("VM_DISK", path("disk.qcow2")),
            ("VM_MEMORY", "256".into()),
            ("VM_NETWORKS", "none".into()),
            ("VM_NAME", "bench".into()),
            ("ENABLE_KVM", "false".into()),
            ("POWER_ON_AT_START", "false".into()),
            ("STOP_TIMEOUT", "0".into()),
            ("IPMI_ADDRESS", "127.0.0.1".into()),
            ("IPMI_PORT", port.to_string()),
            ("IPMI_USER", USER.into()),
            ("IPMI_PASS", PASSWORD.into()),
            ("VNC_PORT", "none".into()),
            ("SOL_PORT", "none".into()),
        ]);
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        let log = fs::File::create(folder.path().join("log")).context("create the program's log")?;
        command.stdout(log.try_clone()?).stderr(log);
        Ok(Self {
            process: Running::start(&mut command)?,
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        })
    }

    /// Starts the program with its machine off, and waits until it answers.
    pub(crate) fn start(program: &Path, guest: Option<&Path>) -> anyhow::Result<Self> {
        let this = Self::launch(program, guest)?;
        this.wait_until_it_answers()?;
        Ok(this)
    }

    pub(crate) fn wait_until_it_answers(&self) -> anyhow::Result<()> {
        let started = first_login(self.address, 3).and_then(|client| Ok(client.close()?));
        started.with_context(|| format!("start qemu-bmc, whose log is: {}", self.log()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The processes of the program: `init` and the controller, not QEMU.
    pub(crate) fn processes(&self) -> anyhow::Result<Vec<u32>> {
        let init = self.process.id();
        let mut all = vec![init];
        for child in children(init)? {
            if executable(child)? == executable(init)? {
                all.push(child);
            }
        }
        if all.len() != 2 {
            bail!("find the processes of qemu-bmc: {} of 2", all.len());
        }
        Ok(all)
    }

    /// The process that answers.
    pub(crate) fn controller(&self) -> anyhow::Result<u32> {
        self.processes()?.pop().context("find the controller")
    }

    /// The process number of QEMU, from the program's own record.
    pub(crate) fn qemu(&self) -> anyhow::Result<u32> {
        let path = self.folder.path().join("run/machine.json");
        let record = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let number = record.split_once("\"pid\":").map_or("", |(_, rest)| rest.trim_start());
        let digits = number.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().with_context(|| format!("find QEMU's number in {}", path.display()))
    }

    /// Ends the program, and the machine with it.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        self.process.stop(SOON)
    }
}

/// Debian's simulator, with one MC that has a power button and a serial line.
pub(crate) struct IpmiSim {
    process: Running,
    _folder: TempDir,
    address: SocketAddr,
}

impl IpmiSim {
    /// Starts the simulator, and returns at once; `None` if this machine has none.
    ///
    /// Its serial line is whatever listens on `serial_port`.
    pub(crate) fn launch(serial_port: u16) -> anyhow::Result<Option<Self>> {
        let folder = new_folder()?;
        let port = free_udp_port()?;
        let vm_port = free_tcp_port()?;
        // Without a GUID it denies that it knows IPMI 2.0; without a VM's port it has no power to switch.
        let lan = format!(
            r#"name "bench"
set_working_mc 0x20
startlan 1
  addr 127.0.0.1 {port}
  priv_limit admin
  allowed_auths_admin md5
  guid 0123456789abcdef0123456789abcdef
endlan
serial 15 127.0.0.1 {vm_port} codec VM
startcmd "sleep 120"
startnow false
poweroff_wait 1
kill_wait 1
user 2 true "{USER}" "{PASSWORD}" admin 10 md5
sol "tcp:127.0.0.1:{serial_port}" 115200
"#
        );
        let emulation = "mc_setbmc 0x20\n\
                         mc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02 persist_sdr\n\
                         mc_enable 0x20\n";
        fs::write(folder.path().join("lan.conf"), lan).context("write ipmi_sim's configuration")?;
        fs::write(folder.path().join("bench.emu"), emulation).context("write ipmi_sim's commands")?;
        fs::create_dir(folder.path().join("state")).context("make ipmi_sim's folder")?;
        let mut command = Command::new("ipmi_sim");
        command.current_dir(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        command.args(["-n", "-c", "lan.conf", "-f", "bench.emu", "-s", "state"]);
        match Running::start(&mut command) {
            Ok(process) => {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                Ok(Some(Self { process, _folder: folder, address }))
            }
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts the simulator, and waits until it answers; `None` if this machine has none.
    pub(crate) fn start(serial_port: u16) -> anyhow::Result<Option<Self>> {
        let this = Self::launch(serial_port)?;
        if let Some(this) = &this {
            first_login(this.address, 3).context("start ipmi_sim")?.close()?;
        }
        Ok(this)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process number.
    pub(crate) fn process(&self) -> u32 {
        self.process.id()
    }
}

fn is_absent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

fn new_folder() -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("qemu-bmc-bench-").tempdir().context("make a temporary folder")
}

/// Makes an image that keeps what is written to it apart from its base.
pub(crate) fn overlay(base: &Path, image: &Path) -> anyhow::Result<()> {
    let base = base.canonicalize().with_context(|| format!("find {}", base.display()))?;
    let mut command = Command::new("qemu-img");
    command.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(base).arg(image);
    let status = command.status().context("start qemu-img")?;
    if !status.success() {
        bail!("make the disk {}: qemu-img {status}", image.display());
    }
    Ok(())
}

fn executable(process: u32) -> anyhow::Result<PathBuf> {
    fs::read_link(format!("/proc/{process}/exe"))
        .with_context(|| format!("find the program of process {process}"))
}

fn children(process: u32) -> anyhow::Result<Vec<u32>> {
    let path = format!("/proc/{process}/task/{process}/children");
    let list = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    Ok(list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect())
}
