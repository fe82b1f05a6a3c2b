//! The serial console: what the guest prints arrives, all of it and once, and what is typed reaches its shell.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    BOOT, Machine, READY, SOON, Setup, own_address, run,
    terminal::{Terminal, check_blob},
    wait_for,
};

const OPERATIONAL: &str = "[SOL Session operational.  Use ~? for help]";

/// One session, opened before the machine is on: the firmware's first byte, one MiB, a power cycle, the end.
#[test]
fn one_sol_session_shows_every_byte_from_the_first_on() {
    let setup = Setup::new().with_disk();
    let users = setup.folder.path().join("users.toml");
    std::fs::write(&users, "[[user]]\nname = \"other\"\npassword = \"password\"\n").unwrap();
    let machine = setup.with("QEMU_BMC_CONFIG", users.display()).start();
    let sol = machine.sol();
    machine.ipmitool(&["power", "on"]).ok();
    let ready = sol.wait(READY, BOOT);

    sol.line("echo six times seven is $((6 * 7))");
    let echoed = sol.wait_from(ready, "six times seven is 42", BOOT);
    sol.line("blob 1024");
    let before = check_blob(&sol, echoed, 16_384);

    machine.ipmitool(&["power", "cycle"]).ok();
    let firmware = sol.wait_from(before, "SeaBIOS", BOOT);
    let ready = sol.wait_from(firmware, READY, BOOT);
    sol.line("blob 64; say all-there");
    let after = check_blob(&sol, ready, 1024);
    sol.wait_from(after, "qemu-bmc-guest: all-there", BOOT);
    machine.wait_printed("qemu-bmc-guest: all-there", 1);

    // The log has the same, from the first byte on.
    let shown = sol.shown();
    let start = sol.wait(OPERATIONAL, SOON);
    let shown = String::from_utf8_lossy(&shown[start..]).trim_start().to_owned();
    let logged = machine.console();
    let common = shown.len().min(logged.len());
    assert!(common > 1 << 20);
    let differs = shown.bytes().zip(logged.trim_start().bytes()).position(|(shown, logged)| shown != logged);
    assert_eq!(differs, None, "the session's output and the log differ");

    // Somebody else is kept out; the same user takes over. ipmitool, unlike FreeIPMI, ignores that it is told so.
    let mut other = machine.ipmitool_command();
    other.args(["-U", "other", "sol", "activate"]);
    let refused = run(&mut other, SOON).failed();
    assert!(refused.contains("SOL payload already active on another session"), "{refused}");
    let before = sol.position();
    let second = machine.sol();
    second.line("echo taken-$((1 + 4))-over");
    second.wait("taken-5-over", BOOT);
    assert_eq!(sol.position(), before, "the first session goes on");
}

/// A path that loses, repeats and delays datagrams, once it is told to. It has the BMC's port, because ipmitool
/// insists that SOL stays on it.
struct LossyPath {
    address: Ipv4Addr,
    lossy: Arc<AtomicBool>,
}

impl LossyPath {
    fn to(bmc: SocketAddr) -> Self {
        let address = own_address();
        let client_side = UdpSocket::bind((address, bmc.port())).unwrap();
        let server_side = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        server_side.connect(bmc).unwrap();
        let lossy = Arc::new(AtomicBool::new(false));

        // The client's address becomes known with its first datagram.
        let mut first = [0; 2048];
        let (to_server, to_client) = (server_side.try_clone().unwrap(), client_side.try_clone().unwrap());
        let (out_lossy, back_lossy) = (Arc::clone(&lossy), Arc::clone(&lossy));
        thread::spawn(move || {
            let (count, client) = client_side.recv_from(&mut first).unwrap();
            to_server.send(&first[..count]).unwrap();
            to_client.connect(client).unwrap();
            thread::spawn(move || bad_way(&server_side, &to_client, &back_lossy, 1));
            bad_way(&client_side, &to_server, &out_lossy, 2);
        });
        Self { address, lossy }
    }
}

/// Of a hundred datagrams, five are lost, five arrive twice and five after the next one.
fn bad_way(from: &UdpSocket, to: &UdpSocket, lossy: &AtomicBool, seed: u64) {
    let mut random = seed;
    let mut late: Option<Vec<u8>> = None;
    let mut bytes = [0; 2048];
    // The other end may be gone already, which is as good as a loss.
    let send = |datagram: &[u8]| drop(to.send(datagram));
    while let Ok(count) = from.recv(&mut bytes) {
        let datagram = &bytes[..count];
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (random >> 33) % 100 {
            _ if !lossy.load(Ordering::Relaxed) => send(datagram),
            0..5 => {}
            5..10 => {
                send(datagram);
                send(datagram);
            }
            10..15 if late.is_none() => {
                late = Some(datagram.to_owned());
                continue;
            }
            _ => send(datagram),
        }
        if let Some(late) = late.take() {
            send(&late);
        }
    }
}

/// One guest, and every other way to its console.
#[test]
fn many_watch_one_console_and_none_misses_or_doubles_a_byte() {
    let raw_port = free_port();
    let machine = Setup::new()
        .with_disk()
        .with("VM_BOOT_MODE", "uefi")
        .with("POWER_ON_AT_START", true)
        .with("SOL_PORT", raw_port)
        .with("SOL_HISTORY", true)
        .start();
    machine.wait_ready(1);

    history_is_replayed(&machine);
    freeipmi_has_a_console(&machine);
    pyghmi_has_a_console(&machine);
    break_reaches_the_kernel(&machine);
    a_bad_path_loses_nothing(&machine);
    raw_port_has_many_readers(raw_port);
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn history_is_replayed(machine: &Machine) {
    machine.shell().wait("booted medium=disk firmware=uefi", SOON);
    let sol = machine.sol();
    sol.wait("booted medium=disk firmware=uefi", SOON);
    sol.leave_sol();
}

fn raw_port_has_many_readers(port: u16) {
    let connect = || {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(BOOT)).unwrap();
        stream
    };
    let read = |mut stream: TcpStream| {
        thread::spawn(move || {
            let mut seen = Vec::new();
            let mut bytes = [0; 4096];
            while !String::from_utf8_lossy(&seen).contains("qemu-bmc-guest: raw-end") {
                let count = stream.read(&mut bytes).unwrap();
                assert_ne!(count, 0, "the console closed the connection");
                seen.extend_from_slice(&bytes[..count]);
            }
            seen
        })
    };
    let mut typist = connect();
    let readers = [read(typist.try_clone().unwrap()), read(connect())];
    // The second is there for certain once the guest has echoed what came after it.
    typist.write_all(b"\recho; blob 64; say raw-end\r").unwrap();
    let [first, second] = readers.map(|reader| String::from_utf8(reader.join().unwrap()).unwrap());
    let blob = |text: &str| {
        let begin = text.find("BLOB-BEGIN").unwrap();
        text[begin..text.find("qemu-bmc-guest: raw-end").unwrap()].to_owned()
    };
    assert_eq!(blob(&first), blob(&second));
    assert_eq!(blob(&first).lines().count(), 1 + 1024 + 1);
}

fn a_bad_path_loses_nothing(machine: &Machine) {
    let path = LossyPath::to(SocketAddr::new(machine.address(), 6230));
    let mut command = Command::new("ipmitool");
    command.args(["-I", "lanplus", "-H", &path.address.to_string(), "-p", "6230"]);
    command.args(["-U", "admin", "-P", "password", "sol", "activate"]);
    let sol = Terminal::start(command);
    sol.wait("SOL Session operational", SOON);
    path.lossy.store(true, Ordering::Relaxed);
    let start = sol.position();
    sol.line("blob 64");
    check_blob(&sol, start, 1024);
    path.lossy.store(false, Ordering::Relaxed);
    sol.leave_sol();
}

/// QEMU's serial port keeps one mark for all bytes that the guest has not yet read, so a break that comes close to
/// another byte is lost in it: hence the pauses, and another attempt.
fn break_reaches_the_kernel(machine: &Machine) {
    let sol = machine.sol();
    let beginning = sol.position();
    wait_for("the kernel's answer to break and h", BOOT, || {
        let start = sol.position();
        sol.keys("\r");
        let prompt = sol.wait_from(start, "guest:/root# ", SOON);
        thread::sleep(Duration::from_millis(300));
        sol.keys("~B");
        sol.wait_from(prompt, "send break", SOON);
        thread::sleep(Duration::from_millis(300));
        sol.keys("h");
        thread::sleep(Duration::from_secs(1));
        let shown = sol.shown();
        String::from_utf8_lossy(&shown[beginning..]).contains("sysrq: HELP").then_some(())
    });
    // Whatever was typed is no command.
    sol.keys("\x15");
    sol.leave_sol();
}

fn freeipmi_has_a_console(machine: &Machine) {
    let mut command = Command::new("ipmiconsole");
    command.args(["-h", &format!("{}:6230", machine.address()), "-u", "admin", "-p", "password"]);
    let mut console = Terminal::start(command);
    let start = console.wait("[SOL established]", SOON);
    console.line("echo from-$((1 + 1))-freeipmi");
    let end = console.wait_from(start, "from-2-freeipmi", BOOT);
    machine.ipmitool(&["sol", "deactivate"]).ok();
    console.wait_from(end, "SOL session stolen", SOON);
    console.wait_end(SOON);
}

fn pyghmi_has_a_console(machine: &Machine) {
    let program = r#"
import sys, time
from pyghmi.ipmi import console
seen = b""
def show(data):
    global seen
    if isinstance(data, bytes):
        seen += data
    elif isinstance(data, str):
        seen += data.encode()
session = console.Console(bmc=sys.argv[1], userid="admin", password="password", port=6230, iohandler=show, force=True)
end = time.monotonic() + 30
while not session.connected and time.monotonic() < end:
    console.Console.wait_for_rsp(0.1)
session.send_data("echo from-$((1 + 2))-pyghmi\r")
while b"from-3-pyghmi" not in seen and time.monotonic() < end:
    console.Console.wait_for_rsp(0.1)
session.close()
sys.stdout.buffer.write(seen)
"#;
    let shown = machine.python(program).ok();
    assert!(shown.contains("from-3-pyghmi"), "{shown}");
}
