//! `qemu-bmc init` as a process: what it starts, starts again, passes on and clears away.
//!
//! Shell scripts stand in for the controller. They write what happens to them into a file, a line each, and the
//! tests wait for lines.

use std::{
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);
/// `say WORDS` writes a line; `forever` waits, and lets traps run.
const PRELUDE: &str = r#"
    say() { echo "$@" >> "$LINES_FILE"; }
    forever() { while :; do sleep 0.02; done; }
    starts() { grep -c '^start' "$LINES_FILE"; }
    say start $$
"#;

/// An init with a script for a controller.
struct Init {
    process: Child,
    lines: PathBuf,
    _folder: tempfile::TempDir,
}

impl Init {
    fn start(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("lines");
        fs::write(&lines, "").unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_qemu-bmc"))
            .args(["init", "--", "sh", "-c", &format!("{PRELUDE}{script}")])
            .env("LINES_FILE", &lines)
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { process, lines, _folder: folder }
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.lines).unwrap().lines().map(Into::into).collect()
    }

    /// The words after `key` in every line that begins with it.
    fn said(&self, key: &str) -> Vec<String> {
        let rest = |line: String| Some(line.strip_prefix(key)?.trim().to_owned());
        self.lines().into_iter().filter_map(rest).collect()
    }

    /// Waits until a line with this key was written so many times, and returns the last.
    fn wait_for(&self, key: &str, times: usize) -> String {
        let mut said = Vec::new();
        wait_until(&format!("{times} lines of {key:?}"), || {
            said = self.said(key);
            said.len() >= times
        });
        said.pop().unwrap_or_default()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Its status, once it has ended.
    fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("the end of init", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn log(&mut self) -> String {
        let mut log = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // A test that failed leaves it running, and with it the controllers, each of which is a process group.
        if !thread::panicking() {
            return;
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        for controller in self.said("start").iter().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process_group(controller, Signal::KILL);
        }
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < limit, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn pid(text: &str) -> Pid {
    text.parse().ok().and_then(Pid::from_raw).unwrap()
}

fn is_gone(pid: Pid) -> bool {
    // A zombie would still be there.
    test_kill_process(pid).is_err()
}

fn parent(pid: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    parent.trim().parse().ok().and_then(Pid::from_raw).unwrap()
}

#[test]
fn a_status_of_0_or_2_is_the_end() {
    for status in [0, 2] {
        let mut init = Init::start(&format!("exit {status}"));
        assert_eq!(init.ended().code(), Some(status));
        assert_eq!(init.said("start").len(), 1);
    }
}

#[test]
fn a_wrong_configuration_ends_no_guest() {
    let mut init = Init::start(
        "trap 'exit 0' TERM
         case $(starts) in
             1) setsid sleep 60 & say guest $!; exit 75;;
             2) exit 2;;
         esac
         say ready; forever",
    );
    let guest = pid(&init.wait_for("guest", 1));
    init.wait_for("ready", 1);
    assert!(!is_gone(guest));
    init.signal(Signal::TERM);
    assert_eq!(init.ended().code(), Some(0));
    assert!(init.log().contains("cannot use its configuration"));
}

#[test]
fn a_controller_that_is_killed_is_back_within_a_second() {
    let mut init = Init::start("trap 'exit 0' TERM; forever");
    let first = pid(&init.wait_for("start", 1));
    kill_process(first, Signal::KILL).unwrap();
    let killed = Instant::now();
    let second = pid(&init.wait_for("start", 2));
    assert!(killed.elapsed() < Duration::from_secs(1));
    assert_ne!(first, second);
    init.signal(Signal::TERM);
    init.ended();
    assert!(init.log().contains("the controller was killed by signal 9 and is started again\n"));
}

#[test]
fn failures_are_slowed_down_and_wishes_are_not() {
    let mut init = Init::start("[ $(starts) -lt 3 ] && exit 1; exit 0");
    let began = Instant::now();
    assert_eq!(init.ended().code(), Some(0));
    assert!(began.elapsed() >= Duration::from_millis(250), "the second restart waits");
    assert!(init.log().contains("exited with status 1 and is started again in 250ms"));

    let mut init = Init::start("[ $(starts) -lt 6 ] && exit 75; exit 0");
    assert_eq!(init.ended().code(), Some(0));
    assert_eq!(init.said("start").len(), 6);
    assert!(!init.log().contains("started again in"));
}

#[test]
fn a_request_to_stop_is_passed_on_and_its_status_passed_back() {
    for (sent, received) in [(Signal::TERM, "term"), (Signal::INT, "int"), (Signal::QUIT, "term")] {
        let mut init = Init::start(
            "trap 'say received term; exit 5' TERM; trap 'say received int; exit 5' INT; say ready; forever",
        );
        init.wait_for("ready", 1);
        init.signal(sent);
        assert_eq!(init.ended().code(), Some(5), "{sent:?}");
        assert_eq!(init.said("received"), [received], "{sent:?}");
        assert_eq!(init.said("start").len(), 1, "{sent:?}");
    }
}

#[test]
fn a_hangup_starts_the_controller_anew() {
    let mut init = Init::start("trap 'exit 0' TERM; say ready; forever");
    init.wait_for("ready", 1);
    init.signal(Signal::HUP);
    init.wait_for("ready", 2);
    init.signal(Signal::TERM);
    assert_eq!(init.ended().code(), Some(0));
}

#[test]
fn a_controller_that_does_not_listen_is_killed_at_the_third_request() {
    let mut init = Init::start("trap 'say received' TERM; say ready; forever");
    init.wait_for("ready", 1);
    for times in 1..=2 {
        init.signal(Signal::TERM);
        init.wait_for("received", times);
    }
    init.signal(Signal::TERM);
    assert_eq!(init.ended().code(), Some(128 + 9));
}

#[test]
fn the_guest_outlives_its_controller_and_is_reaped_in_the_end() {
    let mut init = Init::start(
        "trap 'exit 0' TERM
         [ $(starts) -eq 1 ] && { sleep 300 & say guest $!; }
         say ready; forever",
    );
    init.wait_for("ready", 1);
    let guest = pid(&init.wait_for("guest", 1));
    let controller = pid(&init.wait_for("start", 1));
    assert_eq!(parent(guest), controller);

    kill_process(controller, Signal::KILL).unwrap();
    init.wait_for("ready", 2);
    assert_eq!(parent(guest), init.pid());

    kill_process(guest, Signal::KILL).unwrap();
    wait_until("no zombie of the guest", || is_gone(guest));
    init.signal(Signal::TERM);
    assert_eq!(init.ended().code(), Some(0));
}

#[test]
fn a_request_to_stop_between_two_controllers_ends_what_is_left() {
    // Every controller leaves a guest behind and crashes; the fifth would come two seconds after the fourth.
    let mut init = Init::start("sleep 300 & say guest $!; kill -KILL $$");
    let guests = |init: &Init| init.said("guest").iter().map(|text| pid(text)).collect::<Vec<_>>();
    init.wait_for("guest", 4);
    let last = pid(&init.wait_for("start", 4));
    wait_until("no zombie of the last controller", || is_gone(last));
    init.signal(Signal::TERM);
    assert_eq!(init.ended().code(), Some(0));
    assert!(guests(&init).into_iter().all(is_gone));
    assert_eq!(init.said("start").len(), 4);
}

#[test]
fn a_command_that_does_not_exist_is_tried_until_somebody_wants_an_end() {
    let mut init = Command::new(env!("CARGO_BIN_EXE_qemu-bmc"))
        .args(["init", "--", "/no/such/program"])
        .env_remove("RUST_LOG")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = String::new();
    let mut stderr = init.stderr.take().unwrap();
    while !log.contains("is started again in 1s") {
        let mut chunk = [0; 512];
        let count = stderr.read(&mut chunk).unwrap();
        assert_ne!(count, 0, "{log}");
        log.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    kill_process(Pid::from_child(&init), Signal::TERM).unwrap();
    assert_eq!(init.wait().unwrap().code(), Some(0));
    assert!(log.contains("cannot start the controller: No such file or directory"), "{log}");
}
