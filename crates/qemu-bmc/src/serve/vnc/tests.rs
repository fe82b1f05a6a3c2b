//! The door between a real viewer, vncdotool, and a real QEMU.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::{HostScreen, Password, VncSettings, serve};

/// How long a machine without acceleration may take to show something.
const LIMIT: Duration = Duration::from_secs(60);
/// The corner of the picture that the BMC paints, while it is the BMC that paints.
const GROUND: &str = "640x480 20,24,31";

/// The door, served by a thread, until dropped.
struct Door {
    address: SocketAddr,
    host: watch::Sender<HostScreen>,
    _close: oneshot::Sender<()>,
    _thread: JoinHandle<()>,
}

impl Door {
    fn open(password: Option<&str>) -> Self {
        let settings =
            Arc::new(VncSettings { password: password.and_then(Password::parse), name: "node1".into() });
        let (host, screen) = watch::channel(HostScreen::Off);
        let (bound, address) = std::sync::mpsc::channel();
        let (close, closed) = oneshot::channel();
        let thread = thread::spawn(move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    _ = serve(vec![listener], settings, screen) => {}
                    _ = closed => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), host, _close: close, _thread: thread }
    }
}

/// A machine without a disk, which ends when dropped.
struct Machine {
    process: Child,
    socket: PathBuf,
}

impl Machine {
    /// SeaBIOS waits a minute at its "Press ESC for boot menu", so the screen stands still there.
    fn start(folder: &Path) -> Self {
        let socket = folder.join("vnc.sock");
        let process = Command::new("qemu-system-x86_64")
            .args(["-machine", "pc", "-accel", "tcg", "-m", "32", "-nodefaults", "-vga", "std"])
            .args(["-boot", "menu=on,splash-time=60000"])
            .arg("-vnc")
            .arg(format!("unix:{},share=force-shared", socket.display()))
            .stdin(Stdio::null())
            .spawn()
            .expect("qemu-system-x86_64 is installed");
        Self { process, socket }
    }

    fn screen(&self) -> HostScreen {
        HostScreen::On(self.socket.clone())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A vncdotool client that takes commands, and ends when dropped.
struct Viewer {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Viewer {
    fn connect(door: &Door, options: &[&str]) -> Self {
        let mut process = Command::new("python3")
            .args(["-c", include_str!("tests/viewer.py"), &format!("127.0.0.1::{}", door.address.port())])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let commands = process.stdin.take().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        Self { process, commands, answers }
    }

    fn ask(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Captures the screen until `wanted` likes its size with the colour of its upper left corner, and
    /// then returns the fingerprint of the picture.
    fn wait_for(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let limit = Instant::now() + LIMIT;
        loop {
            let answer = self.ask("capture");
            let (corner, fingerprint) = answer.rsplit_once(' ').expect("an answer");
            if wanted(corner) {
                return fingerprint.to_owned();
            }
            assert!(Instant::now() < limit, "{what}: the screen is still {answer}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for_change(&mut self, before: &str) {
        let limit = Instant::now() + LIMIT;
        while self.ask("capture").ends_with(before) {
            assert!(Instant::now() < limit, "the screen does not change");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_text_mode(corner: &str) -> bool {
    corner == "720x400 0,0,0"
}

#[test]
fn one_viewer_sees_the_machine_come_and_go_and_come_back() {
    let folder = TempDir::new().unwrap();
    let door = Door::open(None);
    let mut viewer = Viewer::connect(&door, &[]);
    let off = viewer.wait_for("off", |corner| corner == GROUND);

    for _ in 0..2 {
        let machine = Machine::start(folder.path());
        door.host.send_replace(machine.screen());
        let prompt = viewer.wait_for("firmware", is_text_mode);
        assert_eq!(viewer.ask("key esc"), "ok");
        viewer.wait_for_change(&prompt);

        door.host.send_replace(HostScreen::Off);
        viewer.wait_for("off again", |corner| corner == "720x400 20,24,31");
    }

    let machine = Machine::start(folder.path());
    door.host.send_replace(machine.screen());
    viewer.wait_for("firmware", is_text_mode);
    drop(machine);
    let no_signal = viewer.wait_for("no signal", |corner| corner == "720x400 20,24,31");
    assert_ne!(no_signal, off);
}

#[test]
fn viewers_of_different_pixel_formats_see_the_same() {
    let folder = TempDir::new().unwrap();
    let door = Door::open(None);
    let kinds = [("rgb32", "hextile"), ("bgr32", "raw"), ("rgb32be", "hextile"), ("rgb565", "raw")];
    let mut viewers =
        kinds.map(|(format, encoding)| Viewer::connect(&door, &["--format", format, "--encoding", encoding]));
    // 16 bits cannot hold the exact shade.
    let is_ground = |corner: &str| [GROUND, "640x480 16,24,32"].contains(&corner);
    for viewer in &mut viewers {
        viewer.wait_for("off", is_ground);
    }
    let machine = Machine::start(folder.path());
    door.host.send_replace(machine.screen());
    for viewer in &mut viewers {
        viewer.wait_for("firmware", is_text_mode);
    }
}

#[test]
fn only_the_password_opens_the_door() {
    let door = Door::open(Some("secret"));
    let mut viewer = Viewer::connect(&door, &["--password", "secret"]);
    viewer.wait_for("off", |corner| corner == GROUND);
    let mut stranger = Viewer::connect(&door, &["--password", "Secret"]);
    assert_eq!(stranger.ask("capture"), "AuthenticationError: wrong password");
    let mut nobody = Viewer::connect(&door, &[]);
    assert_eq!(nobody.ask("capture"), "AuthenticationError: password required, but none provided");
}
