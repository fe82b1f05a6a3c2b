//! Companions that are small programs.

use tokio::net::UnixListener;

use super::*;

/// A companion that runs a Python program, in which `path` is its socket.
fn companion(run_dir: &Path, program: &str) -> Companion {
    let socket = run_dir.join("companion.sock");
    let program = format!("import socket, sys, time\npath = {:?}\n{program}", socket.display().to_string());
    Companion {
        role: Role::Tpm,
        program: "python3".into(),
        arguments: vec!["-c".into(), program.into()],
        socket,
        capabilities: CapabilitySet::empty(),
    }
}

const LISTEN: &str = "s = socket.socket(socket.AF_UNIX)\ns.bind(path)\ns.listen()\ntime.sleep(1000)\n";

fn pid(companions: &Companions) -> i32 {
    companions.shown().first().unwrap().pid.unwrap()
}

fn is_there(pid: i32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

#[tokio::test]
async fn one_that_listens_is_on_record_until_it_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut companions = Companions::new(dir.path());
    companions.start(vec![companion(dir.path(), LISTEN)]).await.unwrap();
    let pid = pid(&companions);
    assert!(is_there(pid) && !companions.any_lost());
    assert_eq!(recorded(dir.path()), [Role::Tpm]);

    companions.end().await;
    assert!(!is_there(pid));
    assert_eq!((recorded(dir.path()), companions.shown()), (vec![], vec![]));
}

#[tokio::test]
async fn the_next_controller_takes_it_over_and_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Companions::new(dir.path());
    first.start(vec![companion(dir.path(), LISTEN)]).await.unwrap();
    let mut second = Companions::new(dir.path());
    assert_eq!(second.take_over(), []);
    assert_eq!(pid(&second), pid(&first));
    second.end().await;
    assert!(!is_there(pid(&first)));
}

#[tokio::test]
async fn the_next_controller_learns_that_one_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Companions::new(dir.path());
    first.start(vec![companion(dir.path(), LISTEN)]).await.unwrap();
    let process = Arc::clone(first.running.first().unwrap().process.as_ref().unwrap());
    process.kill().unwrap();
    process.wait().await.unwrap();
    let mut second = Companions::new(dir.path());
    assert_eq!(second.take_over(), [Loss { role: Role::Tpm, ended: Ended::Unknown }]);
    assert!(second.any_lost());
    second.end().await;
    assert!(!second.any_lost());
}

#[tokio::test]
async fn one_that_ends_by_itself_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut companions = Companions::new(dir.path());
    companions.start(vec![companion(dir.path(), LISTEN)]).await.unwrap();
    companions.running.first().unwrap().process.as_ref().unwrap().kill().unwrap();
    let loss = time::timeout(START_LIMIT, companions.lost()).await.unwrap();
    assert_eq!(loss, Loss { role: Role::Tpm, ended: Ended::Killed(9) });
    assert!(companions.any_lost());
    assert_eq!(companions.shown().first().unwrap().pid, None);
}

#[tokio::test]
async fn one_that_ends_at_once_is_an_error_with_its_last_words() {
    let dir = tempfile::tempdir().unwrap();
    let mut companions = Companions::new(dir.path());
    let started = companions.start(vec![companion(dir.path(), "sys.exit('no room for keys')")]).await;
    assert_eq!(
        started.unwrap_err().to_string(),
        "the TPM (swtpm) ended at once with exit status 1: no room for keys"
    );
    assert_eq!((recorded(dir.path()), companions.shown()), (vec![], vec![]));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut companions = Companions::new(dir.path());
    let companion = Companion { program: "/no/such/program".into(), ..companion(dir.path(), "") };
    assert_eq!(companions.start(vec![companion]).await.unwrap_err().to_string(), "start /no/such/program");
    assert_eq!(recorded(dir.path()), []);
}

#[tokio::test]
async fn a_socket_listens_when_connections_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let bound = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    bound.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    assert!(path.exists() && !listens(&path), "it is there, and refuses connections");
    bound.listen(1).unwrap();
    assert!(listens(&path));
    assert!(!listens(&dir.path().join("sock")));
    drop(bound);
    assert!(!listens(&path));
    fs::remove_file(&path).unwrap();
    let _listener = UnixListener::bind(&path).unwrap();
    assert!(listens(&path));
}

#[test]
fn a_socket_whose_path_ends_as_anothers_is_another() {
    let list = "Num       RefCount Protocol Flags    Type St Inode Path\n\
                0000000000000000: 00000002 00000000 00010000 0001 01   123 /x/run/s 1\n\
                0000000000000000: 00000002 00000000 00000000 0001 01 1234567 /run/t\n\
                0000000000000000: 00000003 00000000 00000000 0001 03 12345\n";
    assert!(is_listed(list, "/x/run/s 1"));
    assert!(!is_listed(list, "/run/s 1") && !is_listed(list, "1") && !is_listed(list, "/run/t"));
}
