//! The guest's serial port over SOL, beside the same port with nothing in between; and, since the same two
//! machines are there, the guest's own interface to its BMC.
//!
//! Two machines run the same guest under the same QEMU with the same arguments: qemu-bmc's own, and a twin
//! whose serial port is a bare socket. The socket alone is the floor; `ipmi_sim` serves the same socket.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::{
    inband,
    line::{Bare, Line, Sol},
    peers::{IpmiSim, QemuBmc, free_tcp_port, overlay},
    process::{Running, processor_time, wait_for},
    requests::power_up,
    table::{Rounds, Row, Table, Unit, median},
};

const BOOT: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(20);
pub(crate) const PROMPT: &[u8] = b"guest:/root# ";

const ROUNDS: usize = 5;
const KEYS: usize = 60;
/// What the guest prints in each round.
const BLOB_KIB: usize = 256;
const BLOB_LINE: usize = 64;

/// Measures echo and throughput, in turns.
pub(crate) fn measure(ours: &QemuBmc, guest: &Path, table: &mut Table) -> anyhow::Result<()> {
    let serial_port = free_tcp_port()?;
    power_up(ours.address())?;
    let twin = Twin::start(ours, guest, serial_port)?;
    wait_for_shell(&mut Sol::activate(ours.address())?).context("boot qemu-bmc's guest")?;
    wait_for_shell(&mut Bare::connect(serial_port)?).context("boot the twin")?;

    let controller = ours.controller()?;
    let (mut floor, mut sol, mut sim) = (Cells::default(), Cells::default(), Cells::default());
    for _ in 0..ROUNDS {
        floor.add(&mut Bare::connect(serial_port)?, None).context("use the bare socket")?;
        sol.add_over_sol(ours.address(), controller).context("use qemu-bmc's SOL")?;
        floor.asked.push(inband::rate(&mut Bare::connect(serial_port)?).context("ask QEMU's own BMC")?);
        let mut line = Sol::activate(ours.address())?;
        sol.asked.push(inband::rate(&mut line).context("ask qemu-bmc in band")?);
        line.deactivate()?;
        // It holds its serial line from its start to its end, so it has one life in each round.
        if let Some(theirs) = IpmiSim::start(serial_port)?
            && let Err(error) = sim.add_over_sol(theirs.address(), theirs.process())
        {
            table.note(format!("ipmi_sim's SOL failed in a round: {error:#}"));
        }
    }
    drop(twin);
    for (what, goal, unit, ours, theirs, floor) in [
        (
            "SOL: a key and its echo by the guest",
            "< 2 ms",
            Unit::Milliseconds,
            sol.echo,
            sim.echo,
            floor.echo,
        ),
        ("SOL: the guest prints", "the floor", Unit::KibibytesPerSecond, sol.rate, sim.rate, floor.rate),
        (
            "SOL: the BMC's processor time for 256 KiB",
            "",
            Unit::Milliseconds,
            sol.processor,
            sim.processor,
            Vec::new(),
        ),
        ("SOL: lost of 256 KiB", "0", Unit::Bytes, sol.lost, sim.lost, floor.lost),
        ("Get Device ID by the guest, in band", "", Unit::PerSecond, sol.asked, Vec::new(), floor.asked),
    ] {
        table.push(Row { what, goal, unit, cells: vec![ours, theirs, floor] });
    }
    Ok(())
}

#[derive(Default)]
struct Cells {
    echo: Rounds,
    rate: Rounds,
    lost: Rounds,
    /// In band.
    asked: Rounds,
    /// Of the BMC, in milliseconds.
    processor: Rounds,
}

impl Cells {
    fn add(&mut self, line: &mut impl Line, bmc: Option<u32>) -> anyhow::Result<()> {
        wait_for_shell(line)?;
        self.echo.push(echo(line)?);
        let before = bmc.map(processor_time).transpose()?;
        let (rate, lost) = print(line)?;
        if let (Some(bmc), Some(before)) = (bmc, before) {
            let used = processor_time(bmc)?.saturating_sub(before);
            self.processor.push(used.as_secs_f64() * 1e3);
        }
        self.rate.extend(rate);
        self.lost.push(lost);
        Ok(())
    }

    fn add_over_sol(&mut self, address: SocketAddr, bmc: u32) -> anyhow::Result<()> {
        let mut line = Sol::activate(address)?;
        self.add(&mut line, Some(bmc))?;
        line.deactivate()
    }
}

/// Presses Enter until a prompt comes.
pub(crate) fn wait_for_shell(line: &mut impl Line) -> anyhow::Result<()> {
    let end = Instant::now() + BOOT;
    while Instant::now() < end {
        line.write(b"\r")?;
        let prompt = |came: &[u8]| find(came, PROMPT);
        if line.read_until("a prompt", Duration::from_secs(1), prompt).is_ok() {
            return Ok(());
        }
    }
    bail!("wait for the guest's shell: not within {BOOT:?}")
}

/// The time from a key to its echo, which is the kernel's: in most cases, in milliseconds.
fn echo(line: &mut impl Line) -> anyhow::Result<f64> {
    const INTERRUPT: &[u8] = b"\x03";

    line.write(b"echo go; cat >/dev/null\r")?;
    line.read_until("the guest's `cat`", SOON, |came| find(came, b"\ngo\r\n"))?;
    let mut times = Vec::with_capacity(KEYS);
    for key in (b'a'..=b'z').cycle().take(KEYS) {
        line.settle()?;
        let start = Instant::now();
        line.write(&[key])?;
        line.read_until("an echo", SOON, |came| find(came, &[key]))?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    line.write(INTERRUPT)?;
    line.read_until("a prompt", SOON, |came| find(came, PROMPT))?;
    median(&times).context("find the median of no echo")
}

/// How fast what the guest prints arrives, if all of it does, and how many bytes don't.
fn print(line: &mut impl Line) -> anyhow::Result<(Option<f64>, f64)> {
    line.write(format!("blob {BLOB_KIB}\r").as_bytes())?;
    let mut start = None;
    let read = line.read_until("the end of what the guest prints", SOON, |came| {
        if start.is_none() && find(came, b"BLOB-BEGIN").is_some() {
            start = Some(Instant::now());
        }
        let tail = came.get(came.len().saturating_sub(200)..).unwrap_or_default();
        find(tail, b"BLOB-END").and_then(|_| find(tail, PROMPT)).map(|_| came.to_vec())
    });
    let (Ok(came), Some(start)) = (read, start) else { return Ok((None, blob_size())) };
    let seconds = start.elapsed().as_secs_f64();
    Ok((Some(BLOB_KIB as f64 / seconds), lost(&came)))
}

fn blob_size() -> f64 {
    (BLOB_KIB * 1024) as f64
}

/// The bytes of lines that did not come whole and in their place.
fn lost(came: &[u8]) -> f64 {
    let came = String::from_utf8_lossy(came);
    let mut lines = came.lines();
    let mut missing = 0;
    for number in 0..BLOB_KIB * 1024 / BLOB_LINE {
        let wanted = blob_line(number);
        let mut rest = lines.clone();
        if rest.any(|line| line == wanted) {
            lines = rest;
        } else {
            missing += BLOB_LINE;
        }
    }
    missing as f64
}

/// A line of the guest's `blob`, without its end.
fn blob_line(number: usize) -> String {
    let letters = (b'A'..=b'Z').chain(b'a'..=b'z').map(char::from);
    let run: String = letters.cycle().skip(number % 52).take(54).collect();
    format!("{number:08} {run}")
}

pub(crate) fn find(text: &[u8], wanted: &[u8]) -> Option<()> {
    text.windows(wanted.len()).any(|window| window == wanted).then_some(())
}

/// A QEMU like qemu-bmc's, in a folder of its own, with its serial port on a socket and a BMC inside.
struct Twin {
    _process: Running,
}

impl Twin {
    fn start(ours: &QemuBmc, guest: &Path, serial_port: u16) -> anyhow::Result<Self> {
        let folder = ours.folder().join("twin");
        copy_files(&ours.folder().join("run"), &folder.join("run"))?;
        fs::create_dir_all(folder.join("state"))?;
        overlay(&guest.join("disk.qcow2"), &folder.join("disk.qcow2"))?;

        let path = format!("/proc/{}/cmdline", ours.qemu()?);
        let line = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let (here, there) = (ours.folder().display().to_string(), folder.display().to_string());
        let mut words = line.split_terminator('\0');
        let mut command = Command::new(words.next().context("find QEMU's name in its command line")?);
        for word in words {
            // It starts at once, for nobody is there to let it.
            if word == "-S" {
                continue;
            }
            command.arg(if word.starts_with("socket,id=serial0,") {
                format!("socket,id=serial0,server=on,wait=off,host=127.0.0.1,port={serial_port}")
            } else if word.starts_with("ipmi-bmc-extern,") {
                "ipmi-bmc-sim,id=bmc0".into()
            } else {
                word.replace(&here, &there)
            });
        }
        let log = fs::File::create(folder.join("log"))?;
        command.stdout(Stdio::null()).stderr(log);
        let process = Running::start(&mut command)?;
        let up = || Ok(Bare::connect(serial_port).ok());
        wait_for("the twin's serial port", SOON, up).with_context(|| {
            let said = fs::read_to_string(folder.join("log")).unwrap_or_default();
            format!("start the twin, which said: {said}")
        })?;
        Ok(Self { _process: process })
    }
}

/// Copies plain files; sockets are QEMU's to make.
fn copy_files(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob() -> String {
        (0..BLOB_KIB * 1024 / BLOB_LINE).map(|number| blob_line(number) + "\r\n").collect()
    }

    #[test]
    fn a_whole_blob_has_lost_nothing() {
        assert_eq!(blob_line(1), "00000001 BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyzABC");
        assert_eq!(blob_line(1).len() + 1, BLOB_LINE);
        let text =
            format!("guest:/root# blob 256\r\nBLOB-BEGIN lines=4096\r\n{}BLOB-END sha256=0\r\n", blob());
        assert_eq!(lost(text.as_bytes()), 0.0);
    }

    #[test]
    fn every_line_that_is_not_whole_is_lost() {
        let mut text = blob();
        text.remove(700);
        assert_eq!(lost(text.as_bytes()), 64.0);
        assert_eq!(lost(text.get(100 * 65 - 1..).unwrap().as_bytes()), 64.0 * 100.0);
        assert_eq!(lost(b""), blob_size());
    }
}
