//! From guest to guest: the guest's tool `traffic`, which also runs without a guest around it.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{Transfer, namespace::Namespace};
use crate::process::{Running, all_time};

/// Who can run `traffic`.
pub(super) trait Tool {
    /// Starts to receive, and returns when it listens.
    fn listen(&mut self, arguments: &str) -> anyhow::Result<()>;

    /// Sends until that has ended.
    fn send(&mut self, arguments: &str) -> anyhow::Result<()>;

    /// Waits until no more comes, and returns the line that says what did.
    fn heard(&mut self) -> anyhow::Result<String>;

    /// Ends what still listens.
    fn hang_up(&mut self) -> anyhow::Result<()>;
}

/// Sends from one to the other.
pub(super) fn transfer(
    sender: &mut impl Tool,
    send: &str,
    receiver: &mut impl Tool,
    receive: &str,
) -> anyhow::Result<Transfer> {
    receiver.listen(receive)?;
    let before = all_time()?;
    let heard = sender.send(send).and_then(|()| receiver.heard());
    let busy = all_time()?.saturating_sub(before);
    if heard.is_err() {
        receiver.hang_up()?;
    }
    let line = heard?;
    let (amount, took) = parse(&line).with_context(|| format!("read what has come from {line:?}"))?;
    Ok(Transfer { amount, took, busy })
}

/// `received AMOUNT in MICROSECONDS`, if there was any.
fn parse(line: &str) -> Option<(f64, Duration)> {
    let (amount, micros) = line.trim_end().strip_prefix("received ")?.split_once(" in ")?;
    let took = Duration::from_micros(micros.parse().ok().filter(|micros| *micros > 0)?);
    Some((amount.parse().ok()?, took))
}

/// The tool in a namespace.
pub(super) struct Outside<'a> {
    space: &'a Namespace,
    program: &'a Path,
    listening: Option<(Running, BufReader<ChildStdout>)>,
}

impl<'a> Outside<'a> {
    pub(super) fn new(space: &'a Namespace, program: &'a Path) -> Self {
        Self { space, program, listening: None }
    }

    fn command(&self, arguments: &str) -> Command {
        let mut command = self.space.enter();
        command.arg(self.program).args(arguments.split(' ')).stdout(Stdio::piped());
        command
    }
}

impl Tool for Outside<'_> {
    fn listen(&mut self, arguments: &str) -> anyhow::Result<()> {
        let mut process = Running::start(&mut self.command(arguments))?;
        let mut lines = BufReader::new(process.take_output()?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        if line != "listening\n" {
            bail!("wait until `traffic {arguments}` listens");
        }
        self.listening = Some((process, lines));
        Ok(())
    }

    fn send(&mut self, arguments: &str) -> anyhow::Result<()> {
        let status = self.command(arguments).stdout(Stdio::null()).status().context("start nsenter")?;
        if !status.success() {
            bail!("run `traffic {arguments}`: {status}");
        }
        Ok(())
    }

    fn heard(&mut self) -> anyhow::Result<String> {
        let (_process, mut lines) = self.listening.take().context("read what has come: nobody listened")?;
        let mut line = String::new();
        lines.read_line(&mut line).context("read what has come")?;
        Ok(line)
    }

    fn hang_up(&mut self) -> anyhow::Result<()> {
        self.listening = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_come_is_understood() {
        assert_eq!(parse("received 300 in 1500000\r\n"), Some((300.0, Duration::from_millis(1500))));
        assert_eq!(parse("received 0 in 0\n"), None, "a rate is of something");
        assert_eq!(parse("Error: no route"), None);
    }
}
