//! The controllers that a local command speaks to: the one that is meant, or all where there are several.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};

use super::{UNEXPECTED, nobody_reads, output::output};
use crate::{
    config::{ControlSocket, MachineName, ThisHost, control_sockets, listed},
    serve::control::{Request, Response, Status},
};

/// The controller answers at once, or something is wrong with it.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A controller, which may run or not.
pub(super) struct Controller {
    machine: Option<MachineName>,
    pub(super) socket: PathBuf,
}

/// The controllers of all machines, or that of the one that is asked for.
pub(super) fn controllers(asked_for: Option<&str>) -> anyhow::Result<Vec<Controller>> {
    let sockets = control_sockets(std::env::vars_os(), &ThisHost, asked_for)?;
    let found =
        sockets.into_iter().map(|ControlSocket { machine, path }| Controller { machine, socket: path });
    Ok(found.collect())
}

/// The one controller that is meant.
pub(super) fn controller(asked_for: Option<&str>) -> anyhow::Result<Controller> {
    let mut found = controllers(asked_for)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            found.extend(last);
            let names: Vec<_> = found.iter().filter_map(|one| one.machine.as_ref()).collect();
            Err(which_machine(&names))
        }
    }
}

/// Why a command for one machine does nothing.
pub(crate) fn which_machine(names: &[&MachineName]) -> anyhow::Error {
    anyhow!("which machine? There is {}: say --machine NAME", listed(names))
}

/// Prints a line about each of several, and fails if one of them can't be asked or has something to complain of.
pub(super) fn each(
    controllers: &[Controller],
    mut line: impl FnMut(&Controller) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    let name =
        |controller: &Controller| controller.machine.as_ref().map(ToString::to_string).unwrap_or_default();
    let width = controllers.iter().map(|controller| name(controller).len()).max().unwrap_or_default();
    let mut failed = Vec::new();
    for controller in controllers {
        let name = name(controller);
        let said = match line(controller) {
            Err(error) if nobody_reads(&error) => return Err(error),
            Err(error) => {
                failed.push(name.clone());
                crate::chain(&*error)
            }
            Ok(said) => said,
        };
        writeln!(output(), "{name:<width$}  {said}")?;
    }
    if failed.is_empty() { Ok(()) } else { bail!("no good answer from {}", listed(&failed)) }
}

impl Controller {
    pub(super) fn status(&self) -> anyhow::Result<Status> {
        let Response::Status(status) = self.ask(&Request::Status)? else { bail!(UNEXPECTED) };
        Ok(*status)
    }

    pub(super) fn ask(&self, request: &Request) -> anyhow::Result<Response> {
        self.open(request).map(|(response, ..)| response)
    }

    /// Asks for what takes its time.
    pub(super) fn ask_patiently(&self, request: &Request, limit: Duration) -> anyhow::Result<Response> {
        self.open_within(request, limit).map(|(response, ..)| response)
    }

    /// Asks, and keeps the connection.
    pub(super) fn open(
        &self,
        request: &Request,
    ) -> anyhow::Result<(Response, BufReader<UnixStream>, UnixStream)> {
        self.open_within(request, ANSWER_LIMIT)
    }

    fn open_within(
        &self,
        request: &Request,
        limit: Duration,
    ) -> anyhow::Result<(Response, BufReader<UnixStream>, UnixStream)> {
        let mut stream = UnixStream::connect(&self.socket).with_context(|| {
            format!("no qemu-bmc answers on {} (is it running, with this RUN_DIR?)", self.socket.display())
        })?;
        stream.set_read_timeout(Some(limit))?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut answer = String::new();
        reader.read_line(&mut answer).context("the controller does not answer")?;
        stream.set_read_timeout(None)?;
        match serde_json::from_str(&answer).context("the controller's answer")? {
            Response::Failed(why) => Err(anyhow!(why)),
            response => Ok((response, reader, stream)),
        }
    }
}
