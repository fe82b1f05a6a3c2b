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
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bmc::HostPower;
use ipmi::inband::{Action, Capabilities, Config, Server};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::UnixStream,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time,
};

use super::inband_listener::{Introduced, Listener, Stream};
use crate::controller::Controller;

/// More than any frame has.
const CHUNK: usize = 1024;

/// How long nothing must have come for the line to count as idle, before it is let go.
const IDLE: Duration = Duration::from_millis(5);

/// How long requests are still answered at the end, where one follows the other.
const LAST_REQUESTS: Duration = Duration::from_millis(50);

/// How long QEMU has to hang up in its turn. A close that doesn't wait for it can lose what was written.
const HANG_UP: Duration = Duration::from_millis(200);

/// A connection to a machine's interface.
#[derive(Debug)]
pub(crate) struct InBand {
    pub(crate) stream: UnixStream,
    /// Whether the machine ran before this program did.
    pub(crate) resumed: bool,
}

/// For a driver that knows of its machine by this interface, and has no other way to command it.
pub(crate) struct Hand {
    /// What the machine can do, while it is connected.
    pub(crate) link: watch::Sender<Option<Capabilities>>,
    /// What it is to do.
    pub(crate) actions: mpsc::UnboundedReceiver<Action>,
}

/// The guest's door.
pub(crate) struct Door {
    server: Server,
    controller: Arc<Controller>,
    hand: Option<Hand>,
}

impl Door {
    pub(crate) fn new(config: Config, controller: Arc<Controller>) -> Self {
        Self { server: Server::new(config), controller, hand: None }
    }

    /// The door of a machine that is commanded by it.
    pub(crate) fn with_hand(self, hand: Hand) -> Self {
        Self { hand: Some(hand), ..self }
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
            match self.converse(stream, &[], resumed, &mut closing).await {
                Ok(Ended::ByMachine) => {}
                Ok(Ended::Closed) => return,
                Err(error) => tracing::debug!("the guest's interface to its BMC: {error}"),
            }
        }
    }

    /// Serves one machine after the other that connects by itself, until told to close. `was_on`: the first may
    /// have had a connection before this program ran.
    pub(crate) async fn listen(
        mut self,
        listener: Listener,
        mut was_on: bool,
        mut closing: oneshot::Receiver<()>,
    ) {
        let (waiting_room, mut machines) = mpsc::channel(1);
        let mut welcome = JoinSet::new();
        let served = Arc::new(AtomicBool::new(false));
        welcome.spawn(listener.welcome(waiting_room, Arc::clone(&served)));
        loop {
            let mut machine = tokio::select! {
                Some(machine) = machines.recv() => machine,
                _ = &mut closing => return,
            };
            if !machine.is_there() {
                continue;
            }
            let Introduced { stream, said } = machine;
            let is_on = self.controller.with(|bmc| bmc.host_power() == HostPower::On);
            let resumed = std::mem::take(&mut was_on) || is_on;
            served.store(true, Ordering::Relaxed);
            let ended = match stream {
                Stream::Tcp(stream) => self.converse(stream, &said, resumed, &mut closing).await,
                Stream::Unix(stream) => self.converse(stream, &said, resumed, &mut closing).await,
            };
            served.store(false, Ordering::Relaxed);
            if let Some(hand) = &self.hand {
                hand.link.send_replace(None);
            }
            match ended {
                Ok(Ended::ByMachine) => {}
                Ok(Ended::Closed) => return,
                Err(error) => tracing::warn!("the guest's interface to its BMC: {error}"),
            }
        }
    }

    /// Serves one connection to its end, which has said this much already.
    ///
    /// # Errors
    /// Those of the stream. That QEMU ended is none.
    pub(crate) async fn converse(
        &mut self,
        stream: impl AsyncRead + AsyncWrite,
        said: &[u8],
        resumed: bool,
        closing: &mut oneshot::Receiver<()>,
    ) -> io::Result<Ended> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut signals = self.controller.signals();
        let mut chunk = [0; CHUNK];
        let mut frame: Vec<u8> = Vec::new();
        let mut sent = 0;
        let Self { server, controller, hand } = self;
        controller.with(|bmc| server.connect(resumed, bmc));
        receive(server, controller, said);
        if let Some(hand) = hand {
            // What was meant for a machine that is gone.
            while hand.actions.try_recv().is_ok() {}
            hand.show(server);
        }
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
                        if let Some(hand) = hand {
                            hand.show(server);
                        }
                    }
                    Err(error) => return ended(error),
                },
                _ = signals.changed(), if unsent.is_empty() => controller.with(|bmc| server.refresh(bmc)),
                Some(action) = Hand::action(hand.as_mut()), if unsent.is_empty() => {
                    if !server.act(action) {
                        tracing::warn!("the machine's interface can't do this: {action:?}");
                    }
                }
                _ = &mut *closing, if unsent.is_empty() => break,
            }
        }
        // No request may be left without its answer, and one may be on its way. There is the most time for the
        // close right after an answer.
        let end = Instant::now() + LAST_REQUESTS;
        while let Ok(Ok(count @ 1..)) = time::timeout(IDLE, reader.read(&mut chunk)).await {
            receive(server, controller, chunk.get(..count).unwrap_or_default());
            while let Some(frame) = server.poll_transmit() {
                writer.write_all(&frame).await?;
            }
            if Instant::now() > end {
                break;
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

impl Hand {
    /// Tells the driver what the machine has said.
    fn show(&self, server: &Server) {
        let link = Some(server.capabilities());
        self.link.send_if_modified(|shown| std::mem::replace(shown, link) != link);
    }

    async fn action(hand: Option<&mut Self>) -> Option<Action> {
        match hand {
            Some(hand) => hand.actions.recv().await,
            None => std::future::pending().await,
        }
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

#[cfg(test)]
mod tests;
