//! Requests, sessions and the power button.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, UdpSocket},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ipmi::{
    CompletionCode,
    client::{Client, Incoming, Session},
};

use crate::{
    peers::{IpmiSim, QemuBmc, login},
    process::{Running, wait_for},
    table::{Rounds, Row, Table, Unit, median},
};

/// Rounds of requests, and requests in each.
const ROUNDS: usize = 11;
const REQUESTS: usize = 400;
/// Logins in each round.
const LOGINS: usize = 10;
/// Sessions that have a request under way at the same time, and how often each has.
const SESSIONS: usize = 8;
const TURNS: usize = 200;
const POWER_ROUNDS: usize = 5;
/// About the size of a request and of its answer.
const ECHO: [u8; 64] = [0; 64];

/// NetFn, command and data.
pub(crate) type Command3<'a> = (u8, u8, &'a [u8]);

pub(crate) const GET_DEVICE_ID: Command3<'_> = (0x06, 0x01, &[]);
const GET_CHASSIS_STATUS: Command3<'_> = (0x00, 0x01, &[]);
const POWER_DOWN: Command3<'_> = (0x00, 0x02, &[0]);
const POWER_UP: Command3<'_> = (0x00, 0x02, &[1]);

/// Runs a command that has to succeed, and returns its answer's data.
pub(crate) fn expect_ok(
    client: &mut Client,
    (netfn, command, data): Command3<'_>,
) -> anyhow::Result<Vec<u8>> {
    match client.command(netfn, command, data)? {
        (CompletionCode::OK, answer) => Ok(answer),
        (code, _) => {
            bail!("run command {command:#04x} of NetFn {netfn:#04x}: completion code {:#04x}", code.0)
        }
    }
}

/// Measures requests within a session, many sessions at once, and logins.
pub(crate) fn measure(ours: &QemuBmc, theirs: Option<&IpmiSim>, table: &mut Table) -> anyhow::Result<()> {
    let (ours, theirs) = (ours.address(), theirs.map(IpmiSim::address));
    let mut echo = Echo::start()?;
    latency(ours, theirs, &mut echo, table)?;
    throughput(ours, theirs, &mut echo, table)?;
    logins(ours, theirs, table)
}

fn latency(
    ours: SocketAddr,
    theirs: Option<SocketAddr>,
    echo: &mut Echo,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut suite_17 = login(ours, 17)?;
    let mut suite_3 = login(ours, 3)?;
    let mut sim = theirs.map(|address| login(address, 3)).transpose()?;
    let mut floor = Rounds::new();
    let mut cells: [Rounds; 5] = Default::default();
    for _ in 0..ROUNDS {
        floor.push(typical(|| echo.once())?);
        let [id, chassis, id_17, sim_id, sim_chassis] = &mut cells;
        id.push(typical(|| expect_ok(&mut suite_3, GET_DEVICE_ID))?);
        chassis.push(typical(|| expect_ok(&mut suite_3, GET_CHASSIS_STATUS))?);
        id_17.push(typical(|| expect_ok(&mut suite_17, GET_DEVICE_ID))?);
        if let Some(sim) = &mut sim {
            sim_id.push(typical(|| expect_ok(sim, GET_DEVICE_ID))?);
            sim_chassis.push(typical(|| expect_ok(sim, GET_CHASSIS_STATUS))?);
        }
    }
    suite_17.close()?;
    suite_3.close()?;
    sim.map(Client::close).transpose()?;
    let [id, chassis, id_17, sim_id, sim_chassis] = cells;
    for (what, ours, theirs) in [
        ("Get Device ID in a session, suite 3", id, sim_id),
        ("Get Chassis Status in a session, suite 3", chassis, sim_chassis),
        ("Get Device ID in a session, suite 17", id_17, Vec::new()),
    ] {
        let (unit, floor) = (Unit::Milliseconds, floor.clone());
        table.push(Row { what, goal: "< 0.3 ms", unit, cells: vec![ours, theirs, floor] });
    }
    Ok(())
}

/// What a request takes in most cases, in milliseconds.
fn typical<T>(mut request: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(REQUESTS);
    for _ in 0..REQUESTS {
        let start = Instant::now();
        request()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    median(&times).context("find the median of no request")
}

fn throughput(
    ours: SocketAddr,
    theirs: Option<SocketAddr>,
    echo: &mut Echo,
    table: &mut Table,
) -> anyhow::Result<()> {
    let mut ours = Crowd::login(ours)?;
    let mut theirs = theirs.map(Crowd::login).transpose()?;
    let mut cells: [Rounds; 3] = Default::default();
    for _ in 0..ROUNDS {
        let [our_rates, their_rates, floor] = &mut cells;
        floor.push(echo.rate()?);
        our_rates.push(ours.rate()?);
        if let Some(theirs) = &mut theirs {
            their_rates.push(theirs.rate()?);
        }
    }
    ours.close()?;
    theirs.map(Crowd::close).transpose()?;
    table.push(Row {
        what: "Get Device ID, 8 sessions at once, suite 3",
        goal: "",
        unit: Unit::PerSecond,
        cells: cells.into(),
    });
    Ok(())
}

fn logins(ours: SocketAddr, theirs: Option<SocketAddr>, table: &mut Table) -> anyhow::Result<()> {
    let one = |address, suite| -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..LOGINS {
            login(address, suite)?.close()?;
        }
        Ok(start.elapsed().as_secs_f64() * 1e3 / LOGINS as f64)
    };
    let (mut suite_3, mut suite_17, mut sim) = (Rounds::new(), Rounds::new(), Rounds::new());
    for _ in 0..ROUNDS {
        suite_3.push(one(ours, 3)?);
        suite_17.push(one(ours, 17)?);
        if let Some(theirs) = theirs {
            sim.push(one(theirs, 3)?);
        }
    }
    for (what, ours, theirs) in [
        ("login, privilege and close, suite 3", suite_3, sim),
        ("login, privilege and close, suite 17", suite_17, Vec::new()),
    ] {
        table.push(Row { what, goal: "", unit: Unit::Milliseconds, cells: vec![ours, theirs, Vec::new()] });
    }
    Ok(())
}

/// Measures how long the power button takes, as a client sees it. Leaves both machines off.
pub(crate) fn measure_power(
    ours: &QemuBmc,
    theirs: Option<&IpmiSim>,
    table: &mut Table,
) -> anyhow::Result<()> {
    let (mut our_times, mut their_times) = (Rounds::new(), Rounds::new());
    for _ in 0..POWER_ROUNDS {
        our_times.push(power_up_and_down(ours.address())?);
        if let Some(theirs) = theirs {
            their_times.push(power_up_and_down(theirs.address())?);
        }
    }
    table.push(Row {
        what: "power up → Get Chassis Status says on",
        goal: "< 500 ms",
        unit: Unit::Milliseconds,
        cells: vec![our_times, their_times, Rounds::new()],
    });
    Ok(())
}

fn power_up_and_down(address: SocketAddr) -> anyhow::Result<f64> {
    let mut client = login(address, 3)?;
    let start = Instant::now();
    expect_ok(&mut client, POWER_UP)?;
    wait_power(&mut client, true)?;
    let took = start.elapsed();
    expect_ok(&mut client, POWER_DOWN)?;
    wait_power(&mut client, false)?;
    client.close()?;
    Ok(took.as_secs_f64() * 1e3)
}

/// Switches a machine on, and returns when it is.
pub(crate) fn power_up(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = login(address, 3)?;
    expect_ok(&mut client, POWER_UP)?;
    wait_power(&mut client, true)?;
    Ok(client.close()?)
}

fn wait_power(client: &mut Client, on: bool) -> anyhow::Result<()> {
    wait_for("the machine's power to change", Duration::from_secs(20), || {
        let status = expect_ok(client, GET_CHASSIS_STATUS)?;
        Ok(status.first().is_some_and(|state| (state & 1 == 1) == on).then_some(()))
    })
}

/// Sessions that each have one request under way, driven by one thread.
struct Crowd(Vec<(Box<Session>, UdpSocket)>);

impl Crowd {
    fn login(address: SocketAddr) -> anyhow::Result<Self> {
        (0..SESSIONS).map(|_| Ok(login(address, 3)?.into_parts())).collect::<anyhow::Result<_>>().map(Self)
    }

    /// Requests answered in a second.
    fn rate(&mut self) -> anyhow::Result<f64> {
        let (mut out, mut datagram) = (Vec::new(), [0; 1024]);
        let (netfn, command, data) = GET_DEVICE_ID;
        let start = Instant::now();
        for _ in 0..TURNS {
            for (session, socket) in &mut self.0 {
                session.request(netfn, command, data, &mut out);
                socket.send(&out)?;
            }
            for (session, socket) in &mut self.0 {
                let size = socket.recv(&mut datagram).context("wait for an answer among many")?;
                match session.receive(datagram.get_mut(..size).unwrap_or_default()) {
                    Ok(Incoming::Response { code: CompletionCode::OK, .. }) => {}
                    other => bail!("read an answer among many: {other:?}"),
                }
            }
        }
        Ok((SESSIONS * TURNS) as f64 / start.elapsed().as_secs_f64())
    }

    fn close(self) -> anyhow::Result<()> {
        const CLOSE_SESSION: u8 = 0x3c;
        let (mut out, mut datagram) = (Vec::new(), [0; 1024]);
        for (mut session, socket) in self.0 {
            let id = session.id().to_le_bytes();
            session.request(GET_DEVICE_ID.0, CLOSE_SESSION, &id, &mut out);
            socket.send(&out)?;
            socket.recv(&mut datagram).context("wait for the end of a session")?;
        }
        Ok(())
    }
}

/// A process that sends back what it gets.
struct Echo {
    _process: Running,
    sockets: Vec<UdpSocket>,
}

impl Echo {
    fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        let mut process = Running::start(command.arg("--udp-echo").stdout(Stdio::piped()))?;
        let mut line = String::new();
        BufReader::new(process.take_output()?).read_line(&mut line).context("read the echo server's port")?;
        let port: u16 = line.trim_end().parse().context("read the echo server's port")?;
        let mut sockets = Vec::new();
        for _ in 0..SESSIONS {
            let socket = UdpSocket::bind(("127.0.0.1", 0))?;
            socket.connect(("127.0.0.1", port))?;
            socket.set_read_timeout(Some(Duration::from_secs(5)))?;
            sockets.push(socket);
        }
        Ok(Self { _process: process, sockets })
    }

    fn once(&mut self) -> anyhow::Result<()> {
        let socket = self.sockets.first().context("find the echo's socket")?;
        socket.send(&ECHO)?;
        socket.recv(&mut [0; 64]).context("wait for an echo")?;
        Ok(())
    }

    /// Echoes in a second.
    fn rate(&mut self) -> anyhow::Result<f64> {
        let start = Instant::now();
        for _ in 0..TURNS {
            for socket in &self.sockets {
                socket.send(&ECHO)?;
            }
            for socket in &self.sockets {
                socket.recv(&mut [0; 64]).context("wait for an echo among many")?;
            }
        }
        Ok((SESSIONS * TURNS) as f64 / start.elapsed().as_secs_f64())
    }
}
