//! A lab of network namespaces, which are to a node what containers are to containerlab.
//!
//! ```text
//!   namespace "left"                     namespace "probe"
//!   ┌───────────────────────────┐        ┌──────────────────────┐
//!   │ qemu-bmc, QEMU, ipmitool  │        │ frames show, nc, ... │
//!   │ eth0: for the BMC         │ cable  │                      │
//!   │ eth2: for the guest  ─────┼────────┼─ eth2                │
//!   └───────────────────────────┘        └──────────────────────┘
//! ```
//!
//! The program runs in the namespace, and so does whoever talks to it. A namespace goes with its value, with
//! all links and whatever process still runs in it.

use std::{
    fmt::{self, Write as _},
    fs::File,
    os::fd::AsFd as _,
    panic::resume_unwind,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::thread::LinkNameSpaceType;

use super::{Machine, SOON, Said, Setup, guest_media, run, signal, wait_for};

/// That namespaces can be made here.
#[derive(Clone, Copy, Debug)]
pub struct Lab(());

impl Lab {
    /// None where they can't, which is an error where nothing may be left out.
    pub fn here() -> Option<Self> {
        if rustix::process::geteuid().is_root() {
            return Some(Self(()));
        }
        assert!(std::env::var_os("CI").is_none(), "only root makes network namespaces");
        eprintln!("SKIPPED: only root makes network namespaces");
        None
    }

    /// A new namespace, whose name on this host begins with `label` and is nobody else's.
    #[track_caller]
    pub fn namespace(self, label: &str) -> Namespace {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{label}-{}-{number}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]), SOON).ok();
        let namespace = Namespace { name };
        namespace.ip("link set lo up");
        // Else the kernel's own neighbour discovery is among the frames that a test looks at.
        namespace.sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
        namespace
    }
}

/// A network namespace, with a loopback interface that is up.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// What `ip netns` calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The beginning of a command line that runs in here.
    pub fn enter(&self) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]);
        command
    }

    /// `ip` in here, with words that have no blanks in them.
    #[track_caller]
    pub fn ip(&self, arguments: &str) -> String {
        run(Command::new("ip").args(["-n", &self.name]).args(arguments.split(' ')), SOON).ok()
    }

    /// A shell's line in here.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        self.says(line).ok()
    }

    /// A shell's line in here, however it ends.
    #[track_caller]
    pub fn says(&self, line: &str) -> Said {
        run(self.enter().args(["sh", "-c", line]), Duration::from_secs(60))
    }

    /// Does something on a thread that is in here, such as to connect.
    pub fn within<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
        let inside = || {
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .unwrap();
            action()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Puts a cable between an interface of this namespace and one of the other, which are both up then.
    #[track_caller]
    pub fn cable(&self, interface: &str, other: &Self, others: &str) {
        self.cable_with_mtu(interface, other, others, 1500);
    }

    #[track_caller]
    pub fn cable_with_mtu(&self, interface: &str, other: &Self, others: &str, mtu: u32) {
        self.ip(&format!(
            "link add {interface} mtu {mtu} type veth peer name {others} mtu {mtu} netns {}",
            other.name
        ));
        self.ip(&format!("link set {interface} up"));
        other.ip(&format!("link set {others} up"));
    }

    /// Sends a frame out of an interface.
    #[track_caller]
    pub fn send(&self, interface: &str, frame: &Frame) {
        run(self.enter().arg(frames()).args(["send", interface, &frame.0]), SOON).ok();
    }

    /// Listens to what comes in on an interface, from now on.
    #[track_caller]
    pub fn listen(&self, interface: &str) -> Capture {
        let out = tempfile::NamedTempFile::new().unwrap();
        let child = self
            .enter()
            .arg(frames())
            .args(["show", interface])
            .stdin(Stdio::null())
            .stdout(File::create(out.path()).unwrap())
            .spawn()
            .unwrap();
        let capture = Capture { child, out };
        wait_for("the capture listens", SOON, || capture.shown().starts_with("listening\n").then_some(()));
        capture
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // In a namespace of our own there is nobody but whom the test has started.
        let inside = run(Command::new("ip").args(["netns", "pids", &self.name]), SOON).out;
        for pid in inside.lines().filter_map(|line| line.trim().parse().ok()) {
            if std::path::Path::new(&format!("/proc/{pid}")).exists() {
                signal(pid, "KILL");
            }
        }
        let deleted = Command::new("ip").args(["netns", "del", &self.name]).status();
        if !std::thread::panicking() {
            assert!(deleted.unwrap().success(), "delete the namespace {}", self.name);
        }
    }
}

impl Setup {
    /// Puts the machine, and whatever talks to it, into a namespace.
    pub fn in_namespace(mut self, namespace: &Namespace) -> Self {
        self.namespace = Some(namespace.name.clone());
        self
    }
}

/// The tool that the guest has as well (`tests/guest/frames.rs`).
fn frames() -> std::path::PathBuf {
    guest_media().join("frames").canonicalize().unwrap()
}

/// A frame in hexadecimal, without its check sequence.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame(pub String);

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {:.96}", self.len(), self.0)
    }
}

impl Frame {
    /// Addresses and what follows them, then bytes that count, up to a length.
    pub fn new(beginning: &str, length: usize) -> Self {
        let mut hex = beginning.replace([':', ' '], "");
        for position in hex.len() / 2..length {
            write!(hex, "{:02x}", position & 0xff).unwrap();
        }
        Self(hex)
    }

    pub fn len(&self) -> usize {
        self.0.len() / 2
    }
}

/// What has come in on an interface.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    out: tempfile::NamedTempFile,
}

impl Capture {
    fn shown(&self) -> String {
        std::fs::read_to_string(self.out.path()).unwrap()
    }

    /// All frames so far.
    pub fn frames(&self) -> Vec<Frame> {
        let shown = self.shown();
        // The last line may still be in the making.
        let (complete, _) = shown.rsplit_once('\n').unwrap_or_default();
        complete.lines().skip(1).map(|line| Frame(line.to_owned())).collect()
    }

    /// Waits until this frame has come in, bit for bit.
    #[track_caller]
    pub fn wait(&self, what: &str, frame: &Frame) {
        let end = std::time::Instant::now() + SOON;
        while !self.frames().contains(frame) {
            assert!(
                std::time::Instant::now() < end,
                "{what} {frame:?}: not within {SOON:?}; there were {:#?}",
                self.frames()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Machine {
    /// What the guest says to a line that succeeds.
    #[track_caller]
    pub fn guest(&self, line: &str) -> String {
        self.guest_says(line).ok()
    }

    /// Waits until an interface of the guest, which is up, has a carrier or none.
    #[track_caller]
    pub fn wait_carrier(&self, interface: &str, carrier: u8) {
        self.guest(&format!(
            "n=0; until [ $(cat /sys/class/net/{interface}/carrier) = {carrier} ]; do \
             usleep 100000; n=$((n + 1)); [ $n -lt 200 ] || exit 1; done"
        ));
    }

    /// Waits until the guest has an interface, and sets it up.
    #[track_caller]
    pub fn guest_has(&self, interface: &str) {
        self.guest(&format!(
            "n=0; until [ -e /sys/class/net/{interface} ]; do \
             usleep 100000; n=$((n + 1)); [ $n -lt 200 ] || exit 1; done; ip link set {interface} up"
        ));
    }

    /// Has the guest listen on an interface of its own, from now on.
    #[track_caller]
    pub fn guest_listens(&self, interface: &str) -> GuestCapture<'_> {
        let file = format!("/tmp/{interface}.frames");
        self.guest(&format!(
            "rm -f {file}; frames show {interface} >{file} & \
             until [ -s {file} ]; do usleep 50000; done"
        ));
        // What is sent before there is a carrier goes nowhere.
        self.wait_carrier(interface, 1);
        GuestCapture { machine: self, file }
    }
}

/// What comes in on an interface of the guest.
pub struct GuestCapture<'a> {
    machine: &'a Machine,
    file: String,
}

impl GuestCapture<'_> {
    /// All frames up to `last`, which is waited for.
    #[track_caller]
    pub fn up_to(&self, last: &Frame) -> Vec<Frame> {
        let Frame(hex) = last;
        let beginning = &hex[..hex.len().min(128)];
        let file = &self.file;
        let said = self.machine.guest_says(&format!(
            "n=0; until grep -q ^{beginning} {file}; do usleep 50000; n=$((n + 1)); [ $n -lt 200 ] || break; done; \
             cat {file}"
        ));
        said.ok().lines().skip(1).map(|line| Frame(line.to_owned())).collect()
    }
}
