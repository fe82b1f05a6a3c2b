//! The door between a real viewer, vncdotool, and a real QEMU.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    runtime::Builder,
    sync::{oneshot, watch},
};

use super::{HostScreen, Password, VncSettings, serve};

/// How long a machine without acceleration may take to show something.
const LIMIT: Duration = Duration::from_secs(60);
/// The pictures by size, ground and lettering.
const PLACEHOLDER: &str = "640x480 20,24,31 200,206,215";
const PLACEHOLDER_LATER: &str = "720x400 20,24,31 200,206,215";
const FIRMWARE: &str = "720x400 0,0,0 168,168,168";

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

    /// Captures the screen until it is `wanted`, and returns the fingerprint of the picture.
    fn wait_for(&mut self, wanted: &str) -> String {
        self.wait_until(wanted, |picture| picture.starts_with(wanted))
    }

    fn wait_for_change(&mut self, before: &str) {
        self.wait_until("another picture", |picture| !picture.ends_with(before));
    }

    fn wait_until(&mut self, what: &str, is_wanted: impl Fn(&str) -> bool) -> String {
        let limit = Instant::now() + LIMIT;
        loop {
            let picture = self.ask("capture");
            assert!(!picture.contains("Error"), "waiting for {what}: {picture}");
            if is_wanted(&picture) {
                return picture.rsplit(' ').next().unwrap().to_owned();
            }
            assert!(Instant::now() < limit, "waiting for {what}: the screen is still {picture}");
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

#[test]
fn one_viewer_sees_the_machine_come_and_go_and_come_back() {
    let folder = TempDir::new().unwrap();
    let door = Door::open(None);
    let mut viewer = Viewer::connect(&door, &[]);
    viewer.wait_for(PLACEHOLDER);

    for _ in 0..2 {
        let machine = Machine::start(folder.path());
        door.host.send_replace(machine.screen());
        let prompt = viewer.wait_for(FIRMWARE);
        assert_eq!(viewer.ask("key esc"), "ok");
        viewer.wait_for_change(&prompt);

        door.host.send_replace(HostScreen::Off);
        viewer.wait_for(PLACEHOLDER_LATER);
    }
}

#[test]
fn a_machine_that_dies_leaves_no_signal_and_one_that_starts_is_found() {
    let folder = TempDir::new().unwrap();
    let door = Door::open(None);
    let machine = Machine::start(folder.path());
    door.host.send_replace(machine.screen());
    let mut viewer = Viewer::connect(&door, &[]);
    viewer.wait_for(FIRMWARE);

    drop(machine);
    let no_signal = viewer.wait_for(PLACEHOLDER_LATER);
    let _machine = Machine::start(folder.path());
    viewer.wait_for(FIRMWARE);

    door.host.send_replace(HostScreen::Off);
    let off = viewer.wait_for(PLACEHOLDER_LATER);
    assert_ne!(no_signal, off);
}

#[test]
fn viewers_of_different_pixel_formats_see_the_same() {
    let folder = TempDir::new().unwrap();
    let door = Door::open(None);
    let kinds = [("rgb32", "hextile"), ("bgr32", "raw"), ("rgb32be", "hextile"), ("rgb565", "raw")];
    let mut viewers =
        kinds.map(|(format, encoding)| Viewer::connect(&door, &["--format", format, "--encoding", encoding]));
    let [exact @ .., coarse] = &mut viewers;
    for viewer in &mut *exact {
        viewer.wait_for(PLACEHOLDER);
    }
    coarse.wait_for("640x480 16,24,32 197,206,213");

    let machine = Machine::start(folder.path());
    door.host.send_replace(machine.screen());
    for viewer in exact {
        viewer.wait_for(FIRMWARE);
    }
    coarse.wait_for("720x400 0,0,0 172,170,172");
}

#[test]
fn only_the_password_opens_the_door() {
    let door = Door::open(Some("secret"));
    let mut viewer = Viewer::connect(&door, &["--password", "secret"]);
    let mut stranger = Viewer::connect(&door, &["--password", "Secret"]);
    let mut nobody = Viewer::connect(&door, &[]);
    viewer.wait_for(PLACEHOLDER);
    assert_eq!(stranger.ask("capture"), "AuthenticationError: wrong password");
    assert_eq!(nobody.ask("capture"), "AuthenticationError: password required, but none provided");
}

/// A connection that has said its version and not a word more.
fn knock(door: &Door) -> TcpStream {
    let mut stream = TcpStream::connect(door.address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"RFB 003.008\n").unwrap();
    stream
}

fn read<const N: usize>(stream: &mut TcpStream) -> [u8; N] {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn whoever_guesses_is_locked_out() {
    let door = Door::open(Some("secret"));
    for _ in 0..5 {
        let mut guesser = knock(&door);
        assert_eq!(&read(&mut guesser), b"RFB 003.008\n\x01\x02");
        guesser.write_all(&[2]).unwrap();
        let _challenge: [u8; 16] = read(&mut guesser);
        guesser.write_all(&[0; 16]).unwrap();
        assert_eq!(&read(&mut guesser), b"\0\0\0\x01\0\0\0\x0ewrong password");
    }
    let mut told = String::new();
    knock(&door).read_to_string(&mut told).unwrap();
    assert!(told.contains("too many authentication failures"), "{told}");
}

#[test]
fn whoever_only_knocks_does_not_fill_the_house() {
    let door = Door::open(None);
    let mut knocking: Vec<TcpStream> = (0..8).map(|_| knock(&door)).collect();
    for stream in &mut knocking {
        assert_eq!(&read(stream), b"RFB 003.008\n\x01\x01");
    }
    let mut ninth = TcpStream::connect(door.address).unwrap();
    assert_eq!(ninth.read(&mut [0]).unwrap(), 0);

    knocking.pop();
    let limit = Instant::now() + LIMIT;
    while TcpStream::connect(door.address).unwrap().read(&mut [0]).unwrap() == 0 {
        assert!(Instant::now() < limit, "there is no room again");
    }
}

#[test]
fn a_closed_door_leaves_no_viewer_behind() {
    let door = Door::open(None);
    let mut viewer = knock(&door);
    viewer.write_all(&[1, 1]).unwrap();
    let _until_server_init: [u8; 12 + 2 + 4 + 24 + 5] = read(&mut viewer);
    drop(door);
    assert_eq!(viewer.read(&mut [0]).unwrap(), 0);
}
