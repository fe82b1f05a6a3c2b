//! One connection to QEMU: calls with time limits, and a stream of events.
//!
//! ```text
//!  Client ──requests──▶ ┌────────┐ ──▶ socket ──▶ ┌──────┐
//!    ▲                  │ driver │                │ QEMU │
//!    └──────replies──── │  task  │ ◀── socket ◀── └──────┘
//!  Events ◀───events─── └────────┘
//! ```
//!
//! The socket belongs to one task, which never waits for any one thing: it reads while a write is stuck,
//! writes while nothing arrives, and hands out what it read without waiting for the taker. So a hung QEMU, or
//! a caller that gave up in mid-call, can neither block another call nor leave half a line on the socket.
//!
//! **Order.** A reply and an event both carry the number of their line. When a call returns with number *n*,
//! every event with a lower number is already in the queue: [`Events::try_next`] yields it without waiting.
//!
//! **Time-outs.** A call that ran out of time is forgotten: its reply, if it comes, is dropped. QEMU may
//! still carry the command out if it was sent; one that was not sent yet never will be.
//!
//! **Descriptors** travel with the first byte of the command that they are for (SCM_RIGHTS, unix(7)), which is how
//! QEMU tells whose they are. They are closed here once they are on their way, or will never be.
//!
//! **Slow readers.** At most [`EVENT_BACKLOG`] events wait. A reader that lets more pile up loses the
//! connection ([`Disconnect::Backlog`]) rather than an event: after a connection is lost everybody asks QEMU
//! for its state again, after a lost event nobody would.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Deserialize;
use serde_json::Value;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout as within;

use crate::codec::{self, Decoder, EventRecord, Greeting, Line, Message, Refusal};
use crate::commands::{Command, QmpCapabilities};
use crate::error::{Disconnect, Error};

/// How many events may wait to be taken.
pub const EVENT_BACKLOG: usize = 16_384;

/// How many calls may wait to be written; further ones wait at their own cost, within their time limit.
const REQUEST_BACKLOG: usize = 16;

const READ_SIZE: usize = 16 << 10;

/// What a handshake yields.
#[derive(Debug)]
pub struct Session {
    /// Who answered.
    pub greeting: Greeting,
    /// The handle for calls.
    pub client: Client,
    /// What happens.
    pub events: Events,
}

/// The answer to a call, and where on the stream it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply<T> {
    /// The number of its line, to compare with [`EventRecord::seq`] of the same connection.
    pub seq: u64,
    /// The answer.
    pub value: T,
}

/// Connects to QEMU's socket and does the handshake, which must be over within `timeout`.
///
/// # Errors
/// Nobody listens, or the handshake failed.
pub async fn connect(path: &Path, timeout: Duration) -> Result<Session, Error> {
    let stream =
        UnixStream::connect(path).await.map_err(|source| Error::Connect { path: path.to_owned(), source })?;
    negotiate(stream, timeout).await
}

/// Does the handshake on a connected socket, and starts the task that serves it from then on.
///
/// The task ends, and closes the socket, when QEMU closes it or when every [`Client`] is dropped.
///
/// # Errors
/// The peer is silent, closes, does not speak QMP, or refuses.
pub async fn negotiate(mut stream: UnixStream, timeout: Duration) -> Result<Session, Error> {
    let mut decoder = Decoder::default();
    let greeting = within(timeout, greeting(&mut stream, &mut decoder))
        .await
        .map_err(|_| Error::NoGreeting(timeout))??;

    let (requests, request_queue) = mpsc::channel(REQUEST_BACKLOG);
    let (event_queue, events) = mpsc::channel(EVENT_BACKLOG);
    let ended = Arc::new(OnceLock::new());
    let driver = Driver { decoder, events: event_queue, calls: HashMap::new(), last_id: 0 };
    tokio::spawn(run(driver, stream, request_queue, Arc::clone(&ended)));

    let client = Client { requests, ended };
    client.call(&QmpCapabilities, timeout).await?;
    Ok(Session { greeting, client, events: Events(events) })
}

async fn greeting(stream: &mut UnixStream, decoder: &mut Decoder) -> Result<Greeting, Error> {
    let mut chunk = vec![0; READ_SIZE];
    loop {
        match decoder.next().map_err(|error| Error::Handshake(error.into()))? {
            Some(Line { message: Message::Greeting(greeting), .. }) => return Ok(greeting),
            Some(_) => return Err(Error::NotQmp),
            None => {}
        }
        let read = received(stream.read(&mut chunk).await).map_err(Error::Handshake)?;
        decoder.feed(chunk.get(..read).unwrap_or_default());
    }
}

/// A handle for calls on one connection. Clones share it; several calls can be under way at a time.
#[derive(Debug, Clone)]
pub struct Client {
    requests: mpsc::Sender<Request>,
    ended: Arc<OnceLock<Arc<Disconnect>>>,
}

impl Client {
    /// Executes a command and waits for its answer, for at most `timeout`.
    ///
    /// # Errors
    /// QEMU refused, was silent, is gone, or answered in an unexpected form.
    pub async fn call<C: Command>(&self, command: &C, timeout: Duration) -> Result<Reply<C::Answer>, Error> {
        self.call_with(command, None, timeout).await
    }

    /// As [`Client::call`], of a command that takes a descriptor, such as [`GetFd`](crate::commands::GetFd).
    ///
    /// QEMU keeps the descriptors of one message only, until its command takes them: so they must be handed over
    /// one after the other.
    ///
    /// # Errors
    /// Those of [`Client::call`].
    pub async fn call_with_descriptor<C: Command>(
        &self,
        command: &C,
        descriptor: OwnedFd,
        timeout: Duration,
    ) -> Result<Reply<C::Answer>, Error> {
        self.call_with(command, Some(descriptor), timeout).await
    }

    async fn call_with<C: Command>(
        &self,
        command: &C,
        descriptor: Option<OwnedFd>,
        timeout: Duration,
    ) -> Result<Reply<C::Answer>, Error> {
        let arguments = serde_json::to_value(command)
            .map_err(|source| Error::Arguments { command: C::NAME.to_owned(), source })?;
        let reply = self.exchange(C::NAME, arguments, descriptor, timeout).await?;
        let value = C::Answer::deserialize(reply.value)
            .map_err(|source| Error::Answer { command: C::NAME.to_owned(), source })?;
        Ok(Reply { seq: reply.seq, value })
    }

    /// Executes any command by name. Arguments are an object, or null for none.
    ///
    /// # Errors
    /// QEMU refused, was silent or is gone.
    pub async fn execute(
        &self,
        name: &str,
        arguments: Value,
        timeout: Duration,
    ) -> Result<Reply<Value>, Error> {
        self.exchange(name, arguments, None, timeout).await
    }

    async fn exchange(
        &self,
        name: &str,
        arguments: Value,
        descriptor: Option<OwnedFd>,
        timeout: Duration,
    ) -> Result<Reply<Value>, Error> {
        let disconnected = || Error::Disconnected { command: name.to_owned(), source: self.disconnect() };
        let exchange = async {
            let (answer, answered) = oneshot::channel();
            let request = Request { command: name.to_owned(), arguments, descriptor, answer };
            self.requests.send(request).await.map_err(|_| disconnected())?;
            let outcome = answered.await.map_err(|_| disconnected())?;
            outcome.map_err(|refusal| Error::Refused { command: name.to_owned(), refusal })
        };
        match within(timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(Error::Timeout { command: name.to_owned(), timeout }),
        }
    }

    /// Waits until the connection has ended, and says why.
    pub async fn closed(&self) -> Arc<Disconnect> {
        self.requests.closed().await;
        self.disconnect()
    }

    fn disconnect(&self) -> Arc<Disconnect> {
        self.ended.get().cloned().unwrap_or_else(|| Arc::new(Disconnect::Abandoned))
    }
}

/// The events of one connection, in order. Dropping it discards events from then on, not the connection.
#[derive(Debug)]
pub struct Events(mpsc::Receiver<EventRecord>);

impl Events {
    /// Waits for the next event; none when the connection has ended and all its events were taken.
    ///
    /// Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<EventRecord> {
        self.0.recv().await
    }

    /// The next event that has already arrived.
    pub fn try_next(&mut self) -> Option<EventRecord> {
        self.0.try_recv().ok()
    }
}

type Outcome = Result<Reply<Value>, Refusal>;

/// A call on its way to the driver.
#[derive(Debug)]
struct Request {
    command: String,
    arguments: Value,
    descriptor: Option<OwnedFd>,
    answer: oneshot::Sender<Outcome>,
}

/// What is being written.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    /// To go with the first of the bytes.
    descriptor: Option<OwnedFd>,
}

impl Outgoing {
    /// Writes as much as the socket takes. Cancelling loses nothing.
    async fn write(&mut self, socket: &UnixStream) -> io::Result<()> {
        let written = socket.async_io(Interest::WRITABLE, || self.send(socket)).await?;
        self.bytes.drain(..written);
        self.descriptor = None;
        Ok(())
    }

    fn send(&self, socket: &UnixStream) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = self.descriptor.as_ref().map(|descriptor| [descriptor.as_fd()]);
        if let Some(descriptors) = &descriptors {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(sendmsg(socket, &[IoSlice::new(&self.bytes)], &mut control, flags)?)
    }
}

/// Serves the connection until it ends, then tells everybody why.
async fn run(
    mut driver: Driver,
    mut stream: UnixStream,
    mut requests: mpsc::Receiver<Request>,
    ended: Arc<OnceLock<Arc<Disconnect>>>,
) {
    let cause = driver.drive(&mut stream, &mut requests).await;
    // The cause is stored before the queues close: whoever sees one closed finds the cause.
    let _ = ended.set(Arc::new(cause));
}

/// The state of the task that serves the connection.
struct Driver {
    decoder: Decoder,
    events: mpsc::Sender<EventRecord>,
    /// Calls that were written and not yet answered, by id.
    calls: HashMap<u64, oneshot::Sender<Outcome>>,
    last_id: u64,
}

impl Driver {
    async fn drive(&mut self, stream: &mut UnixStream, requests: &mut mpsc::Receiver<Request>) -> Disconnect {
        let (mut reader, writer) = stream.split();
        let mut chunk = vec![0; READ_SIZE];
        let mut outgoing = Outgoing::default();
        let mut can_write = true;
        loop {
            if let Err(cause) = self.dispatch_all() {
                return cause;
            }
            let has_outgoing = !outgoing.bytes.is_empty();
            tokio::select! {
                result = reader.read(&mut chunk) => match received(result) {
                    Ok(read) => self.decoder.feed(chunk.get(..read).unwrap_or_default()),
                    Err(cause) => return cause,
                },
                result = outgoing.write(writer.as_ref()), if has_outgoing => {
                    // QEMU is gone, but its last events may still be unread: reading will find the end.
                    if result.is_err() {
                        can_write = false;
                        outgoing = Outgoing::default();
                    }
                },
                // One at a time, so that a call that times out before its turn is never sent.
                request = requests.recv(), if can_write && !has_outgoing => match request {
                    Some(request) => outgoing = self.begin(request),
                    None => return Disconnect::Abandoned,
                },
            }
        }
    }

    /// What to write for a call; nothing if nobody waits for it any more.
    fn begin(&mut self, request: Request) -> Outgoing {
        self.calls.retain(|_, answer| !answer.is_closed());
        if request.answer.is_closed() {
            return Outgoing::default();
        }
        self.last_id += 1;
        self.calls.insert(self.last_id, request.answer);
        let bytes = codec::encode(self.last_id, &request.command, request.arguments);
        Outgoing { bytes, descriptor: request.descriptor }
    }

    fn dispatch_all(&mut self) -> Result<(), Disconnect> {
        while let Some(line) = self.decoder.next()? {
            self.dispatch(line)?;
        }
        Ok(())
    }

    fn dispatch(&mut self, Line { seq, message }: Line) -> Result<(), Disconnect> {
        match message {
            Message::Return { id, value } => self.answer(id, Ok(Reply { seq, value })),
            Message::Error { id, refusal } => self.answer(id, Err(refusal)),
            Message::Event { timestamp, event } => {
                if let Err(TrySendError::Full(_)) =
                    self.events.try_send(EventRecord { seq, timestamp, event })
                {
                    return Err(Disconnect::Backlog(EVENT_BACKLOG));
                }
            }
            Message::Greeting(_) | Message::Unknown(_) => {}
        }
        Ok(())
    }

    /// An id that no call has belongs to one that timed out.
    fn answer(&mut self, id: Option<u64>, outcome: Outcome) {
        if let Some(call) = id.and_then(|id| self.calls.remove(&id)) {
            let _ = call.send(outcome);
        }
    }
}

/// How much arrived, or why nothing more will. A QEMU that ends with commands unread resets the connection,
/// which is no different from closing it.
fn received(result: io::Result<usize>) -> Result<usize, Disconnect> {
    match result {
        Ok(0) => Err(Disconnect::Closed),
        Ok(read) => Ok(read),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Disconnect::Closed),
        Err(error) => Err(Disconnect::Read(error)),
    }
}

#[cfg(test)]
mod tests;
