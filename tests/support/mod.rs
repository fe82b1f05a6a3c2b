//! What every test of the whole program needs: a machine of its own, real clients, and patience with a limit.
//!
//! Each machine has an address of its own in 127.0.0.0/8, so that many tests run at once with the same ports,
//! and folders of its own, so that nothing is left behind. The real program is started and, at the end,
//! stopped, with every process that names the machine's folder; a QEMU among them, or a companion of its, that the
//! program's own records do not name fails the test.

#![allow(unreachable_pub, reason = "only tests see it")]

pub mod debian;
pub mod docker;
pub mod http;
pub mod installer;
pub mod lab;
pub mod nics;
mod processes;
pub mod qemu;
pub mod terminal;
pub mod topology;

pub use processes::{children, end_all, signal};

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_qemu-bmc");

/// Long enough for anything that takes no guest.
pub const SOON: Duration = Duration::from_secs(10);

/// Long enough for a guest to boot without KVM on a busy machine.
pub const BOOT: Duration = Duration::from_secs(120);

/// Tools of FreeIPMI that keep the sensor data records of a machine.
const CACHES_RECORDS: [&str; 8] = [
    "ipmi-config",
    "ipmi-fru",
    "ipmi-pef-config",
    "ipmi-pet",
    "ipmi-sel",
    "ipmi-sensors",
    "ipmi-sensors-config",
    "ipmimonitoring",
];

/// What runs beside QEMU, as its command line says.
const COMPANIONS: [&str; 1] = ["swtpm\0"];

/// What the test guest prints when its shell is there.
pub const READY: &str = "qemu-bmc-guest: ready";

/// Waits until `condition` gives something, and panics with `what` after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "{what}: not within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The folder with the test guest's media (`tests/guest/build`).
pub fn guest_media() -> PathBuf {
    let folder = std::env::var_os("QEMU_BMC_TEST_GUEST")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest"), PathBuf::from);
    assert!(
        folder.join("disk.qcow2").exists(),
        "no test guest in {}: run tests/guest/build",
        folder.display()
    );
    folder
}

/// A settled run of a client: what it said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub status: ExitStatus,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

impl Said {
    /// The output of a client that succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "failed: {self:#?}");
        self.out
    }

    /// All output of a client that failed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(!self.status.success(), "succeeded: {self:#?}");
        format!("{}{}", self.out, self.err)
    }
}

/// Runs a command to its end, or kills it at the limit and panics.
#[track_caller]
pub fn run(command: &mut Command, limit: Duration) -> Said {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let read = |stream: Option<Box<dyn std::io::Read + Send>>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.unwrap().read_to_end(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = read(child.stdout.take().map(|stream| Box::new(stream) as _));
    let err = read(child.stderr.take().map(|stream| Box::new(stream) as _));
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > limit {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!(
                "{command:?} did not end within {limit:?}: {}{}",
                out.join().unwrap(),
                err.join().unwrap()
            );
        }
        thread::sleep(Duration::from_millis(5));
    };
    Said { status, out: out.join().unwrap(), err: err.join().unwrap(), took: start.elapsed() }
}

/// An address in 127.0.0.0/8 that no other test has, in this process or another.
pub fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = (std::process::id() << 6 | NEXT.fetch_add(1, Ordering::Relaxed) & 0x3f) & 0x00ff_ffff;
    // Not 127.0.0.0 to 127.0.255.255, where others' services are.
    Ipv4Addr::from(0x7f00_0000 | (number | 0x0001_0000))
}

/// How a machine is to be.
pub struct Setup {
    pub environment: BTreeMap<String, String>,
    /// Before the folder, which can't be removed while something is mounted in it.
    pub small_disks: Vec<SmallDisk>,
    pub folder: tempfile::TempDir,
    pub address: Ipv4Addr,
    /// The network namespace that it is in, if not in the test's own.
    pub namespace: Option<String>,
    /// Whether it has no capability at all.
    pub capability_taken: Option<String>,
}

impl Setup {
    /// A machine without disk that stays off, with its ports on an address of its own.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("qemu-bmc-test-").tempdir().unwrap();
        let address = own_address();
        let mut setup = Self {
            environment: BTreeMap::new(),
            small_disks: Vec::new(),
            folder,
            address,
            namespace: None,
            capability_taken: None,
        };
        let path = |name: &str| setup.folder.path().join(name).display().to_string();
        let settings = [
            ("RUN_DIR", path("run")),
            ("STATE_DIR", path("state")),
            ("IPMI_ADDRESS", address.to_string()),
            ("VNC_ADDRESS", address.to_string()),
            ("IPMI_PORT", "6230".into()),
            ("VNC_PORT", "5900".into()),
            // One address for all: localhost is part of the contract.
            ("SOL_PORT", "none".into()),
            ("ENABLE_KVM", "false".into()),
            ("VM_NETWORKS", "none".into()),
            ("VM_MEMORY", "512".into()),
            ("VM_DISK", path("disk.qcow2")),
            ("VM_NAME", "test".into()),
            ("IPMI_PASS", "password".into()),
            ("POWER_ON_AT_START", "false".into()),
        ];
        setup.environment.extend(settings.map(|(name, value)| (name.to_owned(), value)));
        setup
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.insert(name.into(), value.to_string());
        self
    }

    /// Mounts a file system of 192 KiB on a folder within the machine's own; none where that can't be done.
    pub fn with_small_disk(self, at: &Path) -> Option<Self> {
        self.with_file_system(at, "192k")
    }

    /// The same, of another size.
    pub fn with_file_system(mut self, at: &Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "none"]).arg(at);
        let mounted = run(&mut mount, SOON).status.success();
        self.small_disks.extend(mounted.then(|| SmallDisk(at.to_owned())));
        mounted.then_some(self)
    }

    /// Takes every capability from the program, as `docker run --cap-drop ALL` does.
    pub fn without_privilege(self) -> Self {
        self.without_capability("all")
    }

    /// Takes this capability from the program, by its name in setpriv(1).
    pub fn without_capability(mut self, name: &str) -> Self {
        self.capability_taken = Some(name.to_owned());
        self
    }

    /// Gives the machine the test guest's disk, as an overlay of its own.
    pub fn with_disk(self) -> Self {
        let disk = self.folder.path().join("disk.qcow2");
        let base = guest_media().join("disk.qcow2").canonicalize().unwrap();
        let made = Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
            .arg(base)
            .arg(disk)
            .status();
        assert!(made.unwrap().success());
        self
    }

    /// Puts the test guest's CD into the drive.
    pub fn with_cd(self) -> Self {
        let cd = guest_media().join("cd.iso");
        self.with("VM_CDROM", cd.display())
    }

    /// The beginning of the command line of a program that runs where this machine does.
    pub fn beside(&self, program: &str) -> Command {
        let Some(namespace) = &self.namespace else { return Command::new(program) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace, program]);
        command
    }

    /// The program with this machine's environment and nothing else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = if let Some(taken) = &self.capability_taken {
            let mut command = self.beside("setpriv");
            command.args(
                ["--bounding-set", "--inh-caps", "--ambient-caps"].map(|set| format!("{set}=-{taken}")),
            );
            command.arg(PROGRAM);
            command
        } else {
            self.beside(PROGRAM)
        };
        command.args(arguments).env_clear().envs(&self.environment);
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command
    }

    /// Starts the program, and waits until it answers.
    pub fn start(self) -> Machine {
        self.start_as("run")
    }

    /// Starts the program in a role, `run` or `init`, and waits until it answers.
    pub fn start_as(self, role: &'static str) -> Machine {
        self.start_with(&[role])
    }

    /// Starts the program with these arguments, the first of which is the role, and waits until it answers.
    pub fn start_with(self, arguments: &[&str]) -> Machine {
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut machine = Machine { process: None, arguments, setup: self };
        machine.launch();
        machine
    }
}

/// A file system that is soon full. It goes before the folder that it is in.
pub struct SmallDisk(PathBuf);

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, for somebody may still have a file open if the test failed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A running program with its machine.
pub struct Machine {
    process: Option<Child>,
    arguments: Vec<String>,
    pub setup: Setup,
}

impl Machine {
    /// Starts the program (again), and waits until it answers.
    pub fn launch(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.setup.command(&arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.process = Some(command.spawn().unwrap());
        wait_for("the program answers", SOON, || {
            let ended = self.process.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "the program ended: {ended:?}\n{}", self.log());
            run(&mut self.setup.command(&["healthcheck"]), SOON).status.success().then_some(())
        });
    }

    /// Whether the program runs under its own init.
    fn has_init(&self) -> bool {
        self.arguments.first().is_some_and(|role| role == "init")
    }

    pub fn address(&self) -> IpAddr {
        self.setup.address.into()
    }

    pub fn folder(&self) -> &Path {
        self.setup.folder.path()
    }

    fn log_path(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// What the program has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    #[track_caller]
    pub fn wait_log(&self, text: &str, limit: Duration) {
        wait_for(&format!("{text:?} in the log"), limit, || self.log().contains(text).then_some(()));
    }

    /// What the guest has printed on its serial port so far.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder().join("state/console.log")).unwrap_or_default())
            .into_owned()
    }

    /// How often the guest has printed this.
    pub fn printed(&self, text: &str) -> usize {
        self.console().matches(text).count()
    }

    /// Waits until the guest has printed this so many times in all.
    #[track_caller]
    pub fn wait_printed(&self, text: &str, times: usize) {
        let what = format!("{text:?} {times} times on the console");
        let end = Instant::now() + BOOT;
        while self.printed(text) < times {
            assert!(
                Instant::now() < end,
                "{what}: not within {BOOT:?}; it ends with:\n{}",
                tail(&self.console())
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// `power.state`.
    pub fn power(&self) -> String {
        fs::read_to_string(self.folder().join("run/power.state")).unwrap_or_default().trim().to_owned()
    }

    #[track_caller]
    pub fn wait_power(&self, state: &str, limit: Duration) {
        wait_for(&format!("power.state is {state}"), limit, || (self.power() == state).then_some(()));
    }

    /// The process number of QEMU, from the program's own record.
    pub fn qemu_pid(&self) -> Option<i32> {
        let record = fs::read_to_string(self.folder().join("run/machine.json")).ok()?;
        let number = record.split("\"pid\":").nth(1)?.trim_start();
        number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// The process number of a companion of QEMU's, from its own record.
    pub fn companion_pid(&self, name: &str) -> Option<i32> {
        announced(&self.folder().join(format!("run/bmc-{name}.companion")))
    }

    /// Every companion of QEMU's that is on record.
    fn companions(&self) -> Vec<i32> {
        let entries = fs::read_dir(self.folder().join("run")).into_iter().flatten().flatten();
        let records =
            entries.map(|entry| entry.path()).filter(|path| path.extension() == Some("companion".as_ref()));
        records.filter_map(|path| announced(&path)).collect()
    }

    /// The command lines of processes of the machine that are not the program itself.
    pub fn left_behind(&self) -> Vec<String> {
        let all = processes::processes_of(self.folder()).into_iter().map(|(_, line)| line);
        all.filter(|line| !line.starts_with(PROGRAM)).collect()
    }

    /// The QEMU that said who it is and is not in the record yet.
    fn starting_pid(&self) -> Option<i32> {
        announced(&self.folder().join("run/machine.starting"))
    }

    pub fn pid(&self) -> i32 {
        self.process.as_ref().unwrap().id().try_into().unwrap()
    }

    /// The process that answers: the program itself, or under `init` its child.
    pub fn controller_pid(&self) -> Option<i32> {
        if !self.has_init() {
            return Some(self.pid());
        }
        children(self.pid()).into_iter().find(|child| {
            let line = fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"run")
        })
    }

    /// Sends a signal to the program.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let process = self.process.as_mut().unwrap();
        let status = wait_for("the program ends", limit, || process.try_wait().unwrap());
        self.process = None;
        status
    }

    /// A local command of the program, such as `status`.
    pub fn local(&self, arguments: &[&str]) -> Said {
        run(&mut self.setup.command(arguments), SOON)
    }

    /// The beginning of an ipmitool command line: interface, address, user, password.
    pub fn ipmitool_command(&self) -> Command {
        let mut command = self.setup.beside("ipmitool");
        command.args(["-I", "lanplus", "-H", &self.setup.address.to_string(), "-p", "6230"]);
        command.args(["-U", "admin", "-P", "password"]);
        command
    }

    /// ipmitool with an ADMINISTRATOR session and its own choice of cipher suite.
    pub fn ipmitool(&self, arguments: &[&str]) -> Said {
        run(self.ipmitool_command().args(arguments), Duration::from_secs(30))
    }

    /// A FreeIPMI tool with no workaround flag.
    pub fn freeipmi(&self, tool: &str, arguments: &[&str]) -> Said {
        let mut command = self.setup.beside(tool);
        command.args(["-D", "LAN_2_0", "-h", &format!("{}:6230", self.setup.address)]);
        command.args(["-u", "admin", "-p", "password"]);
        if CACHES_RECORDS.contains(&tool) {
            // Else it finds the records of another machine that had this address.
            command.arg(format!("--sdr-cache-directory={}", self.folder().display())).arg("--quiet-cache");
        }
        run(command.args(arguments), Duration::from_secs(30))
    }

    /// A Python program with pyghmi and friends, which gets the machine's address as its first argument.
    pub fn python(&self, program: &str) -> Said {
        let mut command = self.setup.beside("python3");
        command.args(["-c", program, &self.setup.address.to_string()]);
        run(&mut command, Duration::from_secs(60))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "---- the program's log, its end\n{}\n---- the console's end\n{}",
                last_lines(&self.log(), 80),
                tail(&self.console())
            );
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let known = [self.qemu_pid(), self.starting_pid()];
        let companions = self.companions();
        let left = end_all(self.folder());
        let unknown = left.iter().find(|(pid, line)| {
            let known = known.contains(&Some(*pid)) || companions.contains(pid);
            let watched = line.contains("-name\0") || COMPANIONS.iter().any(|program| line.contains(program));
            watched && !known
        });
        if let Some((pid, _)) = unknown.filter(|_| !thread::panicking()) {
            panic!("process {pid} ran, and the records said {known:?} {companions:?}\n{}", self.log());
        }
    }
}

/// The process that announced itself in a file.
fn announced(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.lines().nth(1)?.split(' ').next()?.parse().ok()
}

/// The last lines of a text.
pub fn tail(text: &str) -> String {
    last_lines(text, 30)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}
