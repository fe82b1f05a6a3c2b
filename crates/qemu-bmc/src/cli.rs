//! The local commands: what a person or a container engine asks of the controller that runs here.

mod controllers;
mod media;
mod output;

use std::{
    io::{self, IsTerminal as _, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use bmc::Saved;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

pub(crate) use self::{
    controllers::which_machine,
    media::{MediaCommand, media},
    output::nobody_reads,
};
use self::{
    controllers::{Controller, controller, controllers, each},
    output::output,
};
use crate::{
    config::{self, Machines, Medium, Plan},
    machine::{CDROMS, argv, emulator::Emulator, kvm, parts::Parts, preview},
    nics::host::Host,
    serve::{
        control::{CompanionLine, LogEntry, NicLine, PowerName, Request, Response, SelAction, Status},
        ipmi_lan::PING,
        sensors::SensorLine,
    },
    store::Store,
};

/// What can be done with sensors.
#[derive(clap::Subcommand)]
pub(crate) enum SensorCommand {
    /// Show what every sensor reads
    List,
    /// Have a sensor read something else than it would, until it is cleared or the controller restarts
    #[command(allow_negative_numbers = true)]
    Set {
        /// The sensor's name
        name: String,
        /// A number, states such as "failed", or "unavailable"
        value: String,
    },
    /// Let a sensor, or all, read what they would
    Clear {
        /// The sensor's name
        name: Option<String>,
    },
}

const UNEXPECTED: &str = "an unexpected answer";

/// `qemu-bmc check`.
pub(crate) fn check(machine: Option<&str>) -> anyhow::Result<()> {
    match crate::machines(machine)? {
        Machines::One(plan) => check_one(&plan),
        Machines::Several(plans) => {
            let mut failed = Vec::new();
            for plan in plans {
                let Some(name) = plan.name.clone() else { continue };
                writeln!(output(), "==== {name}\n")?;
                match check_one(&plan) {
                    Ok(()) => {}
                    Err(error) if nobody_reads(&error) => return Err(error),
                    Err(error) => failed.push(format!("{name}: {}", crate::chain(&*error))),
                }
                writeln!(output())?;
            }
            if failed.is_empty() { Ok(()) } else { Err(anyhow!(failed.join("\n"))) }
        }
    }
}

fn check_one(plan: &Plan) -> anyhow::Result<()> {
    let mut out = output();
    writeln!(out, "{}", plan.describe())?;
    for warning in plan.machine_warnings.iter().chain(&plan.warnings) {
        writeln!(out, "warning: {warning}")?;
    }
    let hardware = &plan.machine.hardware;
    let qemu = Emulator::ask(hardware)?;
    let parts = Parts::look(&plan.machine, &plan.paths).map_err(|error| anyhow::anyhow!(error))?;
    for warning in qemu.warning().iter().chain(&parts.remarks) {
        writeln!(out, "warning: {warning}")?;
    }
    if let Some(seed) = &parts.seed {
        writeln!(out, "\nThe guest's cloud-init finds: {}", seed.contents)?;
    }
    let store = Store::new(&plan.paths.state_dir);
    let media = in_drives(plan, &store.look());
    for ((drive, medium), configured) in CDROMS.iter().zip(&media).zip(&plan.machine.storage.cdroms) {
        if medium != configured {
            let shown = medium.as_ref().map_or_else(|| "nothing".into(), ToString::to_string);
            writeln!(out, "\n{drive} has {shown} in it (qemu-bmc media), whatever the settings put there")?;
        }
    }
    let kvm = kvm::is_likely(hardware);
    let identity = store.identity(&plan.machine.identity);
    let links = Host::open(&plan.paths.run_dir).ok().and_then(|host| host.links().ok()).unwrap_or_default();
    let node = uuid::Uuid::from_bytes(identity.uuid);
    let arguments = argv::arguments(&argv::Spec {
        plan: &plan.machine,
        identity: &identity,
        accelerator: if kvm { argv::Accelerator::Kvm } else { argv::Accelerator::Tcg },
        parts: &parts,
        sockets: &argv::Sockets::new(&plan.paths.run_dir, &plan.paths.qmp_socket),
        media: &media,
        nics: &preview(&plan.machine, node, &links),
        order: &crate::machine::usual_order(&plan.machine.boot),
        setup: false,
    });
    writeln!(
        out,
        "\nQEMU_BINARY is {qemu}\n\nQEMU would be started as:\n{}",
        argv::shell(&hardware.qemu_binary, &arguments)
    )?;
    if kvm {
        writeln!(out, "KVM is tried before it is used: if it does not work here, with -accel tcg.")?;
    }
    let lacks = qemu.lacks(hardware, &arguments);
    if !lacks.is_empty() {
        bail!("this QEMU can't be the machine: {}", lacks.join("; "));
    }
    Ok(())
}

/// What is in the CD drives, whoever put it there.
fn in_drives(plan: &Plan, saved: &Saved) -> Vec<Option<Medium>> {
    let drives = CDROMS.iter().zip(&plan.machine.storage.cdroms).map(|(name, configured)| {
        let configured = configured.as_ref().map(ToString::to_string);
        saved.medium(name, configured.as_deref()).and_then(|medium| medium.parse().ok())
    });
    drives.collect()
}

/// `qemu-bmc settings`.
pub(crate) fn settings() -> anyhow::Result<()> {
    write!(output(), "{}", config::reference())?;
    Ok(())
}

/// `qemu-bmc healthcheck`: the controller answers here, and its LAN interface answers a ping.
pub(crate) fn healthcheck(machine: Option<&str>) -> anyhow::Result<()> {
    let controllers = controllers(machine)?;
    if let [only] = controllers.as_slice() {
        only.health()?;
        writeln!(output(), "healthy")?;
        return Ok(());
    }
    each(&controllers, |controller| controller.health().map(|()| "healthy".to_owned()))
}

impl Controller {
    fn health(&self) -> anyhow::Result<()> {
        let Response::Healthy(addresses) = self.ask(&Request::Health)? else { bail!(UNEXPECTED) };
        if let Some(address) = addresses.first().copied() {
            presence_ping(address).with_context(|| format!("IPMI on udp {address} does not answer"))?;
        }
        Ok(())
    }
}

fn presence_ping(bound: SocketAddr) -> io::Result<()> {
    const PONG: u8 = 0x40;
    let (to, from): (_, IpAddr) = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()),
        ip @ IpAddr::V4(_) => (ip, Ipv4Addr::UNSPECIFIED.into()),
        ip @ IpAddr::V6(_) => (ip, Ipv6Addr::UNSPECIFIED.into()),
    };
    let socket = UdpSocket::bind((from, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    socket.connect((to, bound.port()))?;
    let mut error = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..3 {
        socket.send(&PING)?;
        let mut answer = [0; 64];
        match socket.recv(&mut answer) {
            Ok(_) if answer.get(8) == Some(&PONG) => return Ok(()),
            Ok(_) => error = io::Error::other("an answer that is no pong"),
            Err(failed) => error = failed,
        }
    }
    Err(error)
}

/// `qemu-bmc status`.
pub(crate) fn status(machine: Option<&str>) -> anyhow::Result<()> {
    let controllers = controllers(machine)?;
    match controllers.as_slice() {
        [only] => print_status(only.status()?),
        several => each(several, |controller| controller.status().map(|status| in_short(&status))),
    }
}

/// A machine in a line.
fn in_short(status: &Status) -> String {
    let ipmi: Vec<_> = status.ipmi.iter().map(|address| format!("udp {address}")).collect();
    format!("{:<24}  IPMI on {}", power_in_words(status), ipmi.join(" and "))
}

fn power_in_words(status: &Status) -> String {
    let waiting = status.waits_for.as_ref().map(|what| format!(", waiting for {what}")).unwrap_or_default();
    let under_way = status.under_way.as_ref().map(|what| format!(" ({what} under way{waiting})"));
    let paused = if status.paused { " (paused)" } else { "" };
    format!("{}{paused}{}", status.power, under_way.unwrap_or_default())
}

fn print_status(status: Status) -> anyhow::Result<()> {
    let mut out = output();
    writeln!(out, "Power:           {}", power_in_words(&status))?;
    writeln!(out, "Boot override:   {}", status.boot)?;
    writeln!(out, "Restore policy:  {}", status.restore_policy)?;
    writeln!(out, "Power-on hours:  {}", status.power_on_hours)?;
    writeln!(out, "Node:            {}", status.name)?;
    writeln!(out, "GUID:            {}", status.uuid)?;
    writeln!(out, "Serial number:   {}", status.serial)?;
    let interface = status.ipmi_interface.map(|interface| format!(" on {interface}")).unwrap_or_default();
    for address in status.ipmi {
        writeln!(out, "IPMI:            udp {address}{interface}")?;
    }
    if !status.refused.is_empty() {
        writeln!(out, "Not possible:    {}", status.refused.join(", "))?;
    }
    if let Some(guest) = status.guest {
        writeln!(out, "Guest:           {guest}")?;
    }
    for NicLine { name, mac, attached, up } in status.nics {
        let link = if up { "up" } else { "down" };
        writeln!(out, "NIC:             {name:<8} {attached:<8} {mac}  link {link}")?;
    }
    for CompanionLine { name, pid } in status.companions {
        let state = pid.map_or_else(|| "ended: reset the machine".into(), |pid| format!("process {pid}"));
        writeln!(out, "Beside QEMU:     {name}  {state}")?;
    }
    for (index, (at, event)) in status.events.iter().rev().take(10).rev().enumerate() {
        let label = if index == 0 { "Last events:" } else { "" };
        writeln!(out, "{label:<16} {}  {event}", crate::logging::utc(*at))?;
    }
    Ok(())
}

/// `qemu-bmc power`.
pub(crate) fn power(machine: Option<&str>, request: PowerName) -> anyhow::Result<()> {
    let Response::Done(said) = controller(machine)?.ask(&Request::Power { request })? else {
        bail!(UNEXPECTED)
    };
    writeln!(output(), "{said}")?;
    Ok(())
}

/// `qemu-bmc factory-reset`. Where no controller answers, what it would start with is changed.
pub(crate) fn factory_reset(machine: Option<&str>) -> anyhow::Result<()> {
    let controller = controller(machine)?;
    let said = if UnixStream::connect(&controller.socket).is_ok() {
        let Response::Done(said) = controller.ask(&Request::FactoryReset)? else { bail!(UNEXPECTED) };
        said
    } else {
        let dir = crate::plan(machine)?.paths.state_dir;
        Store::new(&dir).factory_reset()?;
        format!("factory settings: they are in {}, and no controller runs", dir.display())
    };
    writeln!(output(), "{said}")?;
    Ok(())
}

/// `qemu-bmc sel`.
pub(crate) fn sel(machine: Option<&str>, action: SelAction) -> anyhow::Result<()> {
    let mut out = output();
    match controller(machine)?.ask(&Request::Sel { action })? {
        Response::EventLog(entries) => {
            for LogEntry { id, time, text } in entries {
                writeln!(out, "{id:>5}  {}  {text}", crate::logging::utc(time.into()))?;
            }
        }
        Response::Done(said) => writeln!(out, "{said}")?,
        _ => bail!(UNEXPECTED),
    }
    Ok(())
}

/// `qemu-bmc sensor`.
pub(crate) fn sensor(machine: Option<&str>, command: SensorCommand) -> anyhow::Result<()> {
    let request = match command {
        SensorCommand::List => Request::Sensors,
        SensorCommand::Set { name, value } => Request::SetSensor { name, value },
        SensorCommand::Clear { name } => Request::ClearSensor { name },
    };
    let mut out = output();
    match controller(machine)?.ask(&request)? {
        Response::Done(said) => writeln!(out, "{said}")?,
        Response::Sensors(lines) => {
            for SensorLine { number, name, reading, crossed, set } in lines {
                let crossed = crossed.unwrap_or_default();
                let set = if set { "(set)" } else { "" };
                let line = format!("{number:02x}h  {name:16}  {reading:16}  {crossed:22}{set}");
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        _ => bail!(UNEXPECTED),
    }
    Ok(())
}

/// `qemu-bmc console`.
pub(crate) fn console(machine: Option<&str>) -> anyhow::Result<()> {
    let (response, from_guest, mut to_guest) = controller(machine)?.open(&Request::Console)?;
    if !matches!(response, Response::Console) {
        bail!(UNEXPECTED);
    }
    let terminal = RawTerminal::enter();
    if terminal.is_some() {
        write!(io::stdout(), "Attached to the serial console. Type ~. on a new line to leave.\r\n")?;
    }
    // Whatever ends first ends the program; the other thread waits for something that may never come.
    let (ended, end) = std::sync::mpsc::channel();
    let output_ended = ended.clone();
    thread::spawn(move || {
        let _ = output_ended.send(copy_to_stdout(from_guest));
    });
    thread::spawn(move || {
        let _ = ended.send(copy_from_stdin(&mut to_guest));
    });
    let outcome = end.recv().unwrap_or(Ok(()));
    drop(terminal);
    outcome.context("the console was lost")
}

fn copy_to_stdout(mut from: impl io::Read) -> io::Result<()> {
    let mut chunk = [0; 4096];
    let mut out = output();
    loop {
        let count = from.read(&mut chunk)?;
        if count == 0 {
            return Err(io::Error::other("the controller closed it"));
        }
        out.write_all(chunk.get(..count).unwrap_or_default())?;
        out.flush()?;
    }
}

fn copy_from_stdin(to: &mut UnixStream) -> io::Result<()> {
    let mut chunk = [0; 1024];
    let mut escape = Escape::default();
    let mut input = io::stdin();
    loop {
        let count = input.read(&mut chunk)?;
        let (typed, left) = escape.filter(chunk.get(..count).unwrap_or_default());
        to.write_all(&typed)?;
        if left || count == 0 {
            return Ok(());
        }
    }
}

/// Finds `~.` at the beginning of a line; `~~` there is one tilde.
#[derive(Default)]
struct Escape {
    /// Something other than a line's end was typed since the last one.
    within_line: bool,
    tilde: bool,
}

impl Escape {
    /// What to pass on, and whether to leave.
    fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if std::mem::take(&mut self.tilde) {
                match byte {
                    b'.' => return (passed, true),
                    b'~' => {}
                    _ => passed.push(b'~'),
                }
            } else if *byte == b'~' && !self.within_line {
                self.tilde = true;
                continue;
            }
            passed.push(*byte);
            self.within_line = !matches!(byte, b'\r' | b'\n');
        }
        (passed, false)
    }
}

/// The terminal without echo and line editing, until dropped.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Option<Self> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return None;
        }
        let saved = tcgetattr(&stdin).ok()?;
        let mut raw = saved.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(saved))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        let _ = writeln!(io::stdout());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(pieces: &[&str]) -> (String, bool) {
        let mut escape = Escape::default();
        let mut all = Vec::new();
        for piece in pieces {
            let (passed, left) = escape.filter(piece.as_bytes());
            all.extend(passed);
            if left {
                return (String::from_utf8(all).unwrap(), true);
            }
        }
        (String::from_utf8(all).unwrap(), false)
    }

    #[test]
    fn a_tilde_and_a_dot_on_a_new_line_leave() {
        assert_eq!(filter(&["~."]), (String::new(), true));
        assert_eq!(filter(&["ls\r", "~", "."]), ("ls\r".into(), true));
        assert_eq!(filter(&["cd ~.\r"]), ("cd ~.\r".into(), false));
        assert_eq!(filter(&["~/bin\r"]), ("~/bin\r".into(), false));
        assert_eq!(filter(&["~~.\r"]), ("~.\r".into(), false));
    }
}
