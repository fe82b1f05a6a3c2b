//! Real processes: small programs that say what they were given.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::time::Duration;

use rustix::thread::CapabilitySet;

use super::*;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer)
}

/// A readable descriptor with this in it.
fn text(content: &str) -> OwnedFd {
    let (reader, writer) = pipe();
    File::from(writer).write_all(content.as_bytes()).unwrap();
    reader.into()
}

fn shell(script: &str) -> Spawn {
    let mut spawn = Spawn::new("sh");
    spawn.args(["-c", script]);
    spawn
}

async fn ended(process: &Process) -> Ended {
    tokio::time::timeout(LONG, process.wait()).await.expect("ended in time").unwrap()
}

/// What a program that ends well prints.
async fn printed(mut spawn: Spawn) -> String {
    let (mut reader, writer) = pipe();
    spawn.output(writer);
    let process = spawn.start().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(ended(&process).await, Ended::Exited(0), "{text}");
    text
}

#[tokio::test]
async fn the_ways_to_end_are_told_apart() {
    assert_eq!(ended(&shell("exit 0").start().unwrap()).await, Ended::Exited(0));
    assert_eq!(ended(&shell("exit 42").start().unwrap()).await, Ended::Exited(42));
    assert_eq!(ended(&shell("kill -SEGV $$").start().unwrap()).await, Ended::Killed(11));
    let process = shell("exec sleep 1000").start().unwrap();
    assert!(process.child);
    assert_eq!(process.try_wait().unwrap(), None);
    process.kill().unwrap();
    assert_eq!(ended(&process).await, Ended::Killed(9));
}

#[tokio::test]
async fn the_end_can_be_asked_for_again_and_by_many() {
    let process = shell("exec sleep 1000").start().unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(10), process.wait()).await.is_err(), "it still runs");
    process.signal(Signal::TERM).unwrap();
    let (a, b) = tokio::join!(ended(&process), ended(&process));
    assert_eq!((a, b), (Ended::Killed(15), Ended::Killed(15)));
    assert_eq!(process.try_wait().unwrap(), Some(Ended::Killed(15)));
    process.kill().unwrap();
}

#[tokio::test]
async fn many_children_lose_no_status() {
    let processes: Vec<_> = (0..20).map(|status| shell(&format!("exit {status}")).start().unwrap()).collect();
    for (status, process) in (0..).zip(&processes) {
        assert_eq!(ended(process).await, Ended::Exited(status));
    }
}

#[tokio::test]
async fn a_program_that_cannot_start_is_an_error_that_names_it() {
    let error = Spawn::new("/no/such/program").start().unwrap_err();
    assert_eq!(error.to_string(), "start /no/such/program");
    let Error::Start { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
}

/// The standard library learns of the failure through a pipe that has some number, too.
#[tokio::test]
async fn a_process_says_who_it_is_before_it_is_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("starting");
    let mut spawn = Spawn::new("cat");
    // Whatever numbers the program's own descriptors take, the announcement was made before.
    for number in 3..40 {
        spawn.inherit(File::open("/dev/null").unwrap().into(), number);
    }
    spawn.arg(&path).announce(File::create(&path).unwrap());
    let process = spawn.start().unwrap();
    let announced = Token::announced(&fs::read_to_string(&path).unwrap());
    assert!(announced.is_some() && announced.as_ref() == process.token(), "{announced:?}");
    assert_eq!(process.wait().await.unwrap(), Ended::Exited(0));
}

#[tokio::test]
async fn inherited_descriptors_do_not_hide_that_a_program_cannot_start() {
    let mut spawn = Spawn::new("/no/such/program");
    for number in 3..40 {
        spawn.inherit(text(""), number);
    }
    assert!(matches!(spawn.start(), Err(Error::Start { .. })));
}

#[tokio::test]
async fn a_child_has_its_own_session_and_no_input() {
    let script = "cut -d' ' -f6 /proc/$$/stat; echo $$; readlink /proc/$$/fd/0";
    let text = printed(shell(script)).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert_eq!(lines[2], "/dev/null");
}

#[tokio::test]
async fn a_child_starts_with_default_signals() {
    // SAFETY: this thread starts one child, and a signal of this kind is sent to nobody else.
    #[allow(unsafe_code)]
    unsafe {
        libc::signal(libc::SIGUSR1, libc::SIG_IGN);
        let mut set = std::mem::zeroed();
        libc::sigfillset(&raw mut set);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
    // Not through a shell, which would unblock signals itself.
    let mut spawn = Spawn::new("grep");
    spawn.args(["-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
    let text = printed(spawn).await;
    let sets: Vec<u64> = text
        .lines()
        .map(|line| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap())
        // The C library keeps 32 and 33 for itself and lets nobody set them.
        .map(|set| set & !(0b11 << 31))
        .collect();
    assert_eq!(sets, [0, 0], "{text}");
}

#[tokio::test]
async fn output_and_errors_go_to_one_place() {
    assert_eq!(printed(shell("echo out; echo err >&2; echo out")).await, "out\nerr\nout\n");
}

#[tokio::test]
async fn the_environment_is_the_path_and_what_is_given() {
    let mut spawn = Spawn::new("env");
    spawn.env("TMPDIR", "/vm/tmp");
    let mut lines: Vec<String> = printed(spawn).await.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    assert_eq!(lines, [format!("PATH={}", std::env::var("PATH").unwrap()), "TMPDIR=/vm/tmp".to_owned()]);
}

#[tokio::test]
async fn only_what_is_handed_down_is_open() {
    let leak = text("secret");
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let mut spawn =
        shell("cat <&5; cat <&7; exec 5<&- 7<&-; for fd in /proc/$$/fd/*; do readlink $fd; done; true");
    spawn.inherit(text("seven\n"), 7);
    spawn.inherit(text("five\n"), 5);
    let text = printed(spawn).await;
    drop(leak);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["five", "seven"]);
    // The shell itself may hold the folder that it lists, which is gone when its link is read.
    let pipes: Vec<_> = lines[2..].iter().filter(|target| target.starts_with("pipe:")).collect();
    assert_eq!(pipes.len(), 2, "standard output and standard error: {text}");
}

#[tokio::test]
async fn descriptors_may_trade_numbers() {
    let (a, b) = (text("a"), text("b"));
    let (number_of_a, number_of_b) = {
        use std::os::fd::AsRawFd;
        (a.as_raw_fd(), b.as_raw_fd())
    };
    let mut spawn = shell(&format!("cat /proc/self/fd/{number_of_a} /proc/self/fd/{number_of_b}"));
    spawn.inherit(a, number_of_b);
    spawn.inherit(b, number_of_a);
    assert_eq!(printed(spawn).await, "ba");
}

#[tokio::test]
async fn a_number_is_given_once_and_never_of_the_standard_three() {
    let mut spawn = shell("true");
    spawn.inherit(text(""), 2);
    let error = spawn.start().unwrap_err();
    assert_eq!(error.to_string(), "hand descriptor 2 down to sh");
    let mut spawn = shell("true");
    spawn.inherit(text(""), 9).inherit(text(""), 9);
    assert!(matches!(spawn.start(), Err(Error::Inherit { number: 9, .. })));
}

#[tokio::test]
async fn a_child_may_be_another_user() {
    let user = User { uid: 65534, gid: 65533, groups: vec![36] };
    let mut spawn = shell("id -u; id -g; grep Groups /proc/self/status; grep CapEff /proc/self/status");
    spawn.user(user);
    if !rustix::process::geteuid().is_root() {
        assert!(matches!(spawn.start(), Err(Error::Start { .. })), "only root may");
        return;
    }
    let text = printed(spawn).await;
    assert_eq!(text, "65534\n65533\nGroups:\t36 \nCapEff:\t0000000000000000\n");
}

/// Capabilities by the line of `/proc/PID/status` that they are in.
fn capabilities(status: &str, line: &str) -> u64 {
    let line = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

#[tokio::test]
async fn a_confined_child_has_what_it_was_left_and_gains_nothing() {
    const DAC_OVERRIDE: u64 = 1 << 1;
    const NET_ADMIN: u64 = 1 << 12;

    let own = fs::read_to_string("/proc/self/status").unwrap();
    let had = capabilities(&own, "CapEff");
    // Another program executes it, as root: that is where privileges would come back.
    let mut spawn = shell("exec grep -E '^(Cap|NoNewPrivs)' /proc/self/status");
    spawn.confine(CapabilitySet::DAC_OVERRIDE);
    let status = printed(spawn).await;
    for line in ["CapPrm", "CapEff"] {
        assert_eq!(capabilities(&status, line), had & DAC_OVERRIDE, "{line}");
    }
    for line in ["CapInh", "CapAmb"] {
        assert_eq!(capabilities(&status, line), 0, "{line}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");

    let status = printed(shell("cat /proc/self/status")).await;
    assert_eq!(capabilities(&status, "CapEff") & NET_ADMIN, had & NET_ADMIN, "others keep what the BMC has");
}

#[tokio::test]
async fn a_process_that_is_not_ours_is_adopted() {
    // The shell ends, and what it started becomes another process's child.
    let orphan: i32 = printed(shell("sleep 1000 >/dev/null 2>&1 & echo $!")).await.trim().parse().unwrap();
    let token = Token::of(Pid::from_raw(orphan).unwrap()).unwrap();
    let process = Process::adopt(&token).unwrap().expect("it lives");
    assert!(!process.child);
    assert_eq!((process.pid(), process.token()), (orphan, Some(&token)));
    assert_eq!(process.try_wait().unwrap(), None);
    process.kill().unwrap();
    assert_eq!(ended(&process).await, Ended::Unknown);
    assert_eq!(ended(&process).await, Ended::Unknown);
}

#[tokio::test]
async fn a_child_that_is_adopted_is_still_a_child() {
    let token = shell("exec sleep 1000").start().unwrap().token().unwrap().clone();
    let process = Process::adopt(&token).unwrap().expect("it lives");
    assert!(process.child);
    process.signal(Signal::TERM).unwrap();
    assert_eq!(ended(&process).await, Ended::Killed(15));
}

#[tokio::test]
async fn a_number_that_was_given_out_again_is_not_adopted() {
    let process = shell("exec sleep 1000").start().unwrap();
    let token = process.token().unwrap().clone();
    let json = serde_json::to_value(&token).unwrap();
    for (member, value) in [("start_time", 1.into()), ("boot_id", "another".into()), ("pid", 0.into())] {
        let mut other: serde_json::Value = json.clone();
        other[member] = value;
        let other: Token = serde_json::from_value(other).unwrap();
        assert!(Process::adopt(&other).unwrap().is_none(), "{member}");
    }
    assert!(Process::adopt(&token).unwrap().is_some());

    process.kill().unwrap();
    ended(&process).await;
    assert!(!fs::exists(format!("/proc/{}", process.pid())).unwrap());
    assert!(Process::adopt(&token).unwrap().is_none());
}

#[tokio::test]
async fn a_process_that_has_ended_and_that_its_parent_forgot_is_not_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let parent =
        shell(&format!("sleep 0.1 & echo $! > '{}'; exec sleep 1000", file.display())).start().unwrap();
    let stat = |pid: i32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = async {
        loop {
            let pid = fs::read_to_string(&file).unwrap_or_default().trim().parse::<i32>();
            if let Some(pid) = pid.ok().filter(|pid| stat(*pid).contains(") Z ")) {
                return pid;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let zombie = tokio::time::timeout(Duration::from_secs(20), zombie).await.unwrap();
    let token = Token::of(Pid::from_raw(zombie).unwrap()).unwrap();
    assert!(Process::adopt(&token).unwrap().is_none());
    parent.kill().unwrap();
    ended(&parent).await;
}
