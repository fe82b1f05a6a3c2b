//! IPMI in band: the guest's own interface, by a stream to the QEMU that has its registers.
//!
//! QEMU listens and this program connects, before the guest's first instruction: Linux looks for its BMC when
//! it boots, and a BMC that isn't there then is not looked for again. One connection is served after the
//! other, each to its end, so that a machine that is gone is done with before the next one speaks.
//!
//! ```text
//!   connect ──▶ greet ──▶ requests and answers, one at a time; attention as it changes ──▶ QEMU ends
//!                                         │ the controller ends, and QEMU doesn't
//!                                         └─▶ the last request is answered ─▶ SHUT_WR ─▶ QEMU hangs up
//! ```
//!
//! Each frame is written by itself. While QEMU takes none, because it was stopped, nothing is read either and
//! changes of attention are not queued but made up for later, so that a machine that hangs costs no memory.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use ipmi::inband::{Config, Server};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, oneshot},
    time,
};

use crate::controller::Controller;

/// More than any frame has.
const CHUNK: usize = 1024;

/// How long nothing must have come for the line to count as idle, before it is let go.
const IDLE: Duration = Duration::from_millis(5);

/// How long QEMU has to hang up in its turn. A close that doesn't wait for it can lose what was written.
const HANG_UP: Duration = Duration::from_millis(200);

/// A connection to a machine's interface.
#[derive(Debug)]
pub(crate) struct InBand {
    pub(crate) stream: UnixStream,
    /// Whether the machine ran before this program did.
    pub(crate) resumed: bool,
}

/// The guest's door.
pub(crate) struct Door {
    server: Server,
    controller: Arc<Controller>,
}

impl Door {
    pub(crate) fn new(config: Config, controller: Arc<Controller>) -> Self {
        Self { server: Server::new(config), controller }
    }

    /// Serves one machine after the other, until told to close.
    pub(crate) async fn serve(
        mut self,
        mut connections: mpsc::UnboundedReceiver<InBand>,
        mut closing: oneshot::Receiver<()>,
    ) {
        loop {
            let InBand { stream, resumed } = tokio::select! {
                Some(connection) = connections.recv() => connection,
                _ = &mut closing => return,
            };
            tracing::debug!("the guest's interface to its BMC is connected");
            match self.converse(stream, resumed, &mut closing).await {
                Ok(Ended::ByMachine) => {}
                Ok(Ended::Closed) => return,
                Err(error) => tracing::debug!("the guest's interface to its BMC: {error}"),
            }
        }
    }

    /// Serves one connection to its end.
    ///
    /// # Errors
    /// Those of the stream. That QEMU ended is none.
    pub(crate) async fn converse(
        &mut self,
        stream: impl AsyncRead + AsyncWrite,
        resumed: bool,
        closing: &mut oneshot::Receiver<()>,
    ) -> io::Result<Ended> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut signals = self.controller.signals();
        let mut chunk = [0; CHUNK];
        let mut frame: Vec<u8> = Vec::new();
        let mut sent = 0;
        let Self { server, controller } = self;
        controller.with(|bmc| server.connect(resumed, bmc));
        loop {
            let unsent = match frame.get(sent..) {
                Some(unsent @ [_, ..]) => unsent,
                _ => {
                    (frame, sent) = (server.poll_transmit().unwrap_or_default(), 0);
                    &frame
                }
            };
            tokio::select! {
                written = writer.write(unsent), if !unsent.is_empty() => match written {
                    Ok(0) => return Ok(Ended::ByMachine),
                    Ok(count) => sent += count,
                    Err(error) => return ended(error),
                },
                count = reader.read(&mut chunk), if unsent.is_empty() => match count {
                    Ok(0) => return Ok(Ended::ByMachine),
                    Ok(count) => {
                        receive(server, controller, chunk.get(..count).unwrap_or_default());
                    }
                    Err(error) => return ended(error),
                },
                _ = signals.changed(), if unsent.is_empty() => controller.with(|bmc| server.refresh(bmc)),
                _ = &mut *closing, if unsent.is_empty() => break,
            }
        }
        // No request may be left without its answer, and this one's could be on its way.
        while let Ok(Ok(count @ 1..)) = time::timeout(IDLE, reader.read(&mut chunk)).await {
            receive(server, controller, chunk.get(..count).unwrap_or_default());
            while let Some(frame) = server.poll_transmit() {
                writer.write_all(&frame).await?;
            }
        }
        writer.shutdown().await?;
        let hung_up = async { while let Ok(1..) = reader.read(&mut chunk).await {} };
        let _ = time::timeout(HANG_UP, hung_up).await;
        Ok(Ended::Closed)
    }
}

fn receive(server: &mut Server, controller: &Controller, bytes: &[u8]) {
    for command in controller.with(|bmc| server.receive(Instant::now(), bytes, bmc)) {
        tracing::debug!("in band: {command}");
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// QEMU ended, or hung up.
    ByMachine,
    /// It was closed from here.
    Closed,
}

/// A QEMU that ends with something unread resets the connection.
fn ended(error: io::Error) -> io::Result<Ended> {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Ok(Ended::ByMachine),
        _ => Err(error),
    }
}
