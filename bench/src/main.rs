//! Measures qemu-bmc beside Debian's `ipmi_sim`, on one machine in one run, and prints a table.
//!
//! What is compared takes turns, round by round, so that a machine that is busy for a while is busy for
//! all. Nothing here fails because something is slow: the goals are printed beside what was measured, and
//! to judge is left to the reader. `bench/README.md` says what each row means.

mod inband;
mod line;
mod memory;
mod peers;
mod process;
mod requests;
mod serial;
mod startup;
mod table;

use std::{
    env,
    io::{self, Write as _},
    net::UdpSocket,
    path::PathBuf,
};

use anyhow::{Context as _, bail};

use crate::{
    peers::{IpmiSim, QemuBmc},
    table::Table,
};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1);
    let first = arguments.next().map(PathBuf::from);
    let program = match first {
        Some(word) if word.as_os_str() == "--udp-echo" => return udp_echo(),
        Some(program) => program.canonicalize().with_context(|| format!("find {}", program.display()))?,
        None => bail!("usage: qemu-bmc-bench QEMU-BMC [TEST-GUEST-FOLDER]"),
    };
    let guest = arguments.next().map(PathBuf::from);

    let mut table = Table::default();
    startup::measure(&program, &mut table)?;

    let mut ours = QemuBmc::start(&program, guest.as_deref())?;
    let theirs = IpmiSim::start(peers::free_tcp_port()?)?;
    requests::measure(&ours, theirs.as_ref(), &mut table)?;
    requests::measure_power(&ours, theirs.as_ref(), &mut table)?;
    match &guest {
        Some(guest) => {
            if let Err(error) = serial::measure(&ours, guest, &mut table) {
                table.note(format!("SOL was not measured: {error:#}"));
            }
        }
        None => table.note("no test guest: the rows on SOL are left out (tests/guest/build makes one)"),
    }
    memory::measure(&ours, theirs.as_ref(), &mut table)?;
    if theirs.is_none() {
        table.note("no ipmi_sim on this machine: apt-get install openipmi");
    }
    ours.stop()?;
    io::stdout().write_all(table.to_string().as_bytes()).context("print the table")
}

/// The floor of every request: a process that does nothing but answer.
fn udp_echo() -> anyhow::Result<()> {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).context("bind the echo server")?;
    writeln!(io::stdout(), "{}", socket.local_addr()?.port())?;
    let mut datagram = [0; 2048];
    loop {
        let (size, peer) = socket.recv_from(&mut datagram)?;
        socket.send_to(datagram.get(..size).unwrap_or_default(), peer)?;
    }
}
