//! Measures qemu-bmc beside Debian's `ipmi_sim`, on one machine in one run, and prints a table.
//!
//! What is compared takes turns, round by round, so that a machine that is busy for a while is busy for
//! all. Nothing here fails because something is slow: the goals are printed beside what was measured, and
//! to judge is left to the reader. `bench/README.md` says what each row means.

mod inband;
mod line;
mod memory;
mod nics;
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
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::{
    peers::{IpmiSim, QemuBmc},
    table::Table,
};

fn main() -> anyhow::Result<()> {
    let mut arguments = env::args_os().skip(1).peekable();
    if arguments.next_if(|word| word == "--udp-echo").is_some() {
        return udp_echo();
    }
    let only_nics = arguments.next_if(|word| word == "--nics").is_some();
    let program = match arguments.next().map(PathBuf::from) {
        Some(program) => program.canonicalize().with_context(|| format!("find {}", program.display()))?,
        None => bail!("usage: qemu-bmc-bench [--nics] QEMU-BMC [TEST-GUEST-FOLDER]"),
    };
    let guest = arguments.next().map(PathBuf::from);
    if !only_nics {
        print(&measure_bmc(&program, guest.as_deref())?)?;
    }
    print(&measure_nics(&program, guest.as_deref()))
}

fn measure_bmc(program: &Path, guest: Option<&Path>) -> anyhow::Result<Table> {
    let mut table = Table::new(&["qemu-bmc", "ipmi_sim", "floor"]);
    startup::measure(program, &mut table)?;

    let mut ours = QemuBmc::start(program, guest)?;
    let theirs = IpmiSim::start(peers::free_tcp_port()?)?;
    requests::measure(&ours, theirs.as_ref(), &mut table)?;
    requests::measure_power(&ours, theirs.as_ref(), &mut table)?;
    match guest {
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
    Ok(table)
}

fn measure_nics(program: &Path, guest: Option<&Path>) -> Table {
    let mut table = Table::new(&nics::WAYS);
    match guest {
        Some(guest) => {
            if let Err(error) = nics::measure(program, guest, &mut table) {
                table.note(format!("the guest's NICs were not measured: {error:#}"));
            }
        }
        None => table.note("no test guest: the rows on its NICs are left out (tests/guest/build makes one)"),
    }
    table
}

fn print(table: &Table) -> anyhow::Result<()> {
    writeln!(io::stdout(), "{table}").context("print the table")
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
