//! The serial console: one wire to the guest, many who read it.
//!
//! ```text
//!                       ┌────────────── ring of the last MiB ─────────────┐
//!   QEMU ──socket──▶ hub ──▶ log file      readers, each at its own place └─▶ SOL · console · TCP
//!        ◀──────────  ◀──── input queue ◀──── whoever types
//! ```
//!
//! Every byte has a number, counted from the start of the program; a [`Reader`] is a number and a promise.
//! A *lossless* reader (SOL) is never overtaken: when it falls a ring behind, the hub stops reading, and the
//! guest's serial port waits as it would for a slow wire. A reader that has not moved for [`PATIENCE`] has
//! lost that privilege, because a client that vanished must not hold the guest up.
//!
//! The hub outlives QEMU: what an old process printed last is read to its end before the new one's first byte.

mod log;
mod port;
mod resume;
mod wire;

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    net::UnixStream,
    sync::{Notify, mpsc, oneshot, watch},
    time,
};

pub(crate) use log::{LogFile, Sinks};
pub(crate) use port::Port;
pub(crate) use wire::Wire;

/// How much is kept for those who come later.
pub(crate) const HISTORY: usize = 1 << 20;

/// A lossless reader may be this far behind before the guest has to wait.
const LAG_MAX: usize = HISTORY - CHUNK;
const CHUNK: usize = 16 << 10;
/// QEMU's own copy of the output is emptied at this size. It is for a restart of this program alone.
const QEMU_LOG_MAX: usize = 4 << 20;
const INPUT_MAX: usize = 4 << 10;

/// How long a lossless reader may hold the guest up without reading a byte.
const PATIENCE: Duration = Duration::from_secs(10);

/// The hub, shared by all who read and write.
#[derive(Debug)]
pub(crate) struct Console {
    state: Mutex<State>,
    /// The number of the byte after the last one.
    end: watch::Sender<u64>,
    /// A reader moved, or input was queued.
    stirred: Notify,
    /// Input was taken by the guest.
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    ring: VecDeque<u8>,
    end: u64,
    readers: Vec<Place>,
    next_reader: u64,
    input: VecDeque<u8>,
    connected: bool,
}

/// Where a lossless reader is.
#[derive(Debug)]
struct Place {
    id: u64,
    at: u64,
    moved: Instant,
}

impl State {
    fn start(&self) -> u64 {
        self.end - self.ring.len() as u64
    }

    fn push(&mut self, bytes: &[u8]) {
        let excess = (self.ring.len() + bytes.len()).saturating_sub(HISTORY);
        self.ring.drain(..excess.min(self.ring.len()));
        self.ring.extend(bytes);
        self.end += bytes.len() as u64;
    }

    fn copy(&self, at: u64, into: &mut [u8]) -> usize {
        let skip = usize::try_from(at.saturating_sub(self.start())).unwrap_or(usize::MAX);
        let (front, back) = self.ring.as_slices();
        let mut copied = 0;
        for slice in [
            front.get(skip..).unwrap_or_default(),
            back.get(skip.saturating_sub(front.len())..).unwrap_or_default(),
        ] {
            let room = into.get_mut(copied..).unwrap_or_default();
            let count = slice.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..count), slice.get(..count)) {
                to.copy_from_slice(from);
            }
            copied += count;
        }
        copied
    }

    /// Until when the guest has to wait for a lossless reader, if for any.
    fn held_until(&self) -> Option<Instant> {
        let far_behind = |place: &&Place| self.end.saturating_sub(place.at) > LAG_MAX as u64;
        self.readers.iter().filter(far_behind).map(|place| place.moved + PATIENCE).max()
    }
}

impl Console {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            end: watch::Sender::new(0),
            stirred: Notify::new(),
            drained: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A reader of what comes from now on, after up to `history` bytes of what was.
    pub(crate) fn reader(self: &Arc<Self>, history: usize, lossless: bool) -> Reader {
        let mut state = self.state();
        let at = state.end.saturating_sub(history as u64).max(state.start());
        let place = lossless.then(|| {
            let id = state.next_reader;
            state.next_reader += 1;
            state.readers.push(Place { id, at, moved: Instant::now() });
            id
        });
        Reader { console: Arc::clone(self), at, place, end: self.end.subscribe() }
    }

    /// Types to the guest. Returns how many bytes were taken; with the machine off, all are, and vanish.
    pub(crate) fn write(&self, bytes: &[u8]) -> usize {
        let mut state = self.state();
        if !state.connected {
            return bytes.len();
        }
        let count = bytes.len().min(INPUT_MAX - state.input.len().min(INPUT_MAX));
        state.input.extend(bytes.iter().take(count));
        drop(state);
        self.stirred.notify_one();
        count
    }

    /// How many bytes [`Console::write`] would take now.
    pub(crate) fn room(&self) -> usize {
        INPUT_MAX.saturating_sub(self.state().input.len())
    }

    /// Drops what was typed and has not reached the guest.
    pub(crate) fn forget_input(&self) {
        self.state().input.clear();
        self.drained.notify_one();
    }

    /// Waits until the guest has taken some of the input.
    pub(crate) async fn drained(&self) {
        self.drained.notified().await;
    }

    /// Types everything, waiting for the guest as long as it takes.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) {
        loop {
            let drained = self.drained();
            let taken = self.write(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            // A second typist may have been woken in this one's stead: look again before long.
            let _ = time::timeout(Duration::from_millis(100), drained).await;
        }
    }

    /// Puts bytes into the history that were printed while nobody listened.
    pub(crate) fn recall(&self, bytes: &[u8]) {
        let end = {
            let mut state = self.state();
            state.push(bytes);
            state.end
        };
        self.end.send_replace(end);
    }

    /// Serves one connection to QEMU after the other, each to its end.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut connections: mpsc::UnboundedReceiver<Connection>,
        mut sinks: Sinks,
    ) {
        while let Some(connection) = connections.recv().await {
            self.state().connected = true;
            if let Err(error) = self.serve(connection, &mut sinks).await {
                tracing::warn!("serial console: {error}");
            }
            let mut state = self.state();
            state.connected = false;
            state.input.clear();
            drop(state);
            self.drained.notify_one();
        }
    }

    async fn serve(&self, connection: Connection, sinks: &mut Sinks) -> std::io::Result<()> {
        // Whoever made the connection learns of its end when this goes.
        let Connection { wire, copy, served: _served } = connection;
        let mut chunk = vec![0; CHUNK];
        let mut logged = 0;
        let resumed = copy.as_ref().filter(|copy| copy.resumed);
        let mut missed = resumed.map(|copy| resume::missed(&copy.path, sinks.file.as_ref()));
        if let Some(missed) = &missed {
            sinks.write(missed.unseen());
            self.recall(missed.all());
            logged = missed.all().len();
        }
        loop {
            let (held, typing) = {
                let state = self.state();
                (state.held_until().filter(|until| *until > Instant::now()), !state.input.is_empty())
            };
            tokio::select! {
                ready = wire.readable(), if held.is_none() => {
                    ready?;
                    match wire.try_read(&mut chunk) {
                        Ok(0) => return Ok(()),
                        Ok(count) => {
                            let bytes = chunk.get(..count).unwrap_or_default();
                            let known = missed.take().map_or(0, |missed| missed.overlap(bytes));
                            self.printed(bytes.get(known..).unwrap_or_default(), sinks);
                            logged += count;
                            if let Some(copy) = copy.as_ref().filter(|_| logged > QEMU_LOG_MAX) {
                                resume::truncate(&copy.path);
                                logged = 0;
                            }
                        }
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                }
                ready = wire.writable(), if typing => {
                    ready?;
                    self.type_some(&wire);
                }
                () = self.stirred.notified() => {}
                () = time::sleep_until(held.unwrap_or_else(Instant::now).into()), if held.is_some() => {}
            }
        }
    }

    fn printed(&self, bytes: &[u8], sinks: &mut Sinks) {
        sinks.write(bytes);
        self.recall(bytes);
    }

    /// An error is left to the reading side, which finds the end of the stream in its turn.
    fn type_some(&self, wire: &Wire) {
        let mut state = self.state();
        let (front, _) = state.input.as_slices();
        match wire.try_write(front) {
            Ok(count) => {
                state.input.drain(..count);
                drop(state);
                self.drained.notify_waiters();
                self.drained.notify_one();
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => state.input.clear(),
        }
    }
}

/// A connection to QEMU's serial port.
#[derive(Debug)]
pub(crate) struct Connection {
    wire: Wire,
    /// QEMU's own copy of the output, if it keeps one.
    copy: Option<QemusCopy>,
    /// Dropped when the connection has ended.
    served: Option<oneshot::Sender<()>>,
}

/// Where QEMU keeps its own copy of the output.
#[derive(Debug)]
struct QemusCopy {
    path: PathBuf,
    /// Whether the machine ran before this program did.
    resumed: bool,
}

impl Connection {
    /// To a QEMU that keeps a copy of its output in a file. `resumed`: it ran before this program did.
    pub(crate) fn with_copy(stream: UnixStream, path: PathBuf, resumed: bool) -> Self {
        Self { wire: Wire::Unix(stream), copy: Some(QemusCopy { path, resumed }), served: None }
    }

    /// To a machine of somebody else's. `served` goes when the connection has ended.
    pub(crate) fn of_somebody(wire: Wire, served: oneshot::Sender<()>) -> Self {
        Self { wire, copy: None, served: Some(served) }
    }
}

/// A place in the stream of what the guest prints.
#[derive(Debug)]
pub(crate) struct Reader {
    console: Arc<Console>,
    at: u64,
    place: Option<u64>,
    end: watch::Receiver<u64>,
}

impl Reader {
    /// Copies what is there, without waiting. A reader that was overtaken goes on with the oldest byte kept.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> usize {
        let mut state = self.console.state();
        self.at = self.at.max(state.start());
        let count = state.copy(self.at, into);
        self.at += count as u64;
        let at = self.at;
        if let Some(place) = state.readers.iter_mut().find(|place| Some(place.id) == self.place) {
            if count > 0 {
                place.moved = Instant::now();
            }
            place.at = at;
            drop(state);
            self.console.stirred.notify_one();
        }
        count
    }

    /// Leaves out what has been printed and not read.
    pub(crate) fn skip(&mut self) {
        self.at = *self.end.borrow();
        // Nothing is copied, but the place is noted.
        self.read(&mut []);
    }

    /// Waits until there is something to read.
    pub(crate) async fn ready(&mut self) {
        let at = self.at;
        // The hub lives as long as its readers do, so this can't fail.
        let _ = self.end.wait_for(|end| *end > at).await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.console.state().readers.retain(|place| Some(place.id) != self.place);
            self.console.stirred.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn connection(stream: UnixStream) -> Connection {
        Connection::with_copy(stream, PathBuf::from("/nonexistent"), false)
    }

    async fn hub() -> (Arc<Console>, UnixStream, mpsc::UnboundedSender<Connection>) {
        let console = Console::new();
        let (send, receive) = mpsc::unbounded_channel();
        tokio::spawn(Arc::clone(&console).run(receive, Sinks::default()));
        let (ours, qemu) = UnixStream::pair().unwrap();
        send.send(connection(ours)).unwrap();
        (console, qemu, send)
    }

    async fn read_exactly(reader: &mut Reader, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut chunk = [0; 1000];
        while all.len() < count {
            time::timeout(Duration::from_secs(5), reader.ready()).await.expect("the bytes arrive");
            let read = reader.read(&mut chunk);
            all.extend_from_slice(&chunk[..read]);
        }
        all
    }

    #[tokio::test]
    async fn history_and_news_are_one_stream() {
        let (console, mut qemu, _send) = hub().await;
        let mut first = console.reader(0, false);
        qemu.write_all(b"before ").await.unwrap();
        assert_eq!(read_exactly(&mut first, 7).await, b"before ");
        let mut second = console.reader(HISTORY, false);
        qemu.write_all(b"after").await.unwrap();
        assert_eq!(read_exactly(&mut second, 12).await, b"before after");
        assert_eq!(read_exactly(&mut first, 5).await, b"after");
    }

    #[tokio::test]
    async fn what_an_old_machine_printed_comes_before_a_new_ones_first_byte() {
        let (console, mut qemu, send) = hub().await;
        let mut reader = console.reader(0, true);
        qemu.write_all(&[b'1'; 100_000]).await.unwrap();
        let (ours, mut next) = UnixStream::pair().unwrap();
        next.write_all(&[b'2'; 1000]).await.unwrap();
        drop(qemu);
        send.send(connection(ours)).unwrap();
        let all = read_exactly(&mut reader, 101_000).await;
        assert!(
            all[..100_000].iter().all(|byte| *byte == b'1')
                && all[100_000..].iter().all(|byte| *byte == b'2')
        );
    }

    #[tokio::test]
    async fn a_lossless_reader_holds_the_guest_up_and_loses_nothing() {
        let (console, mut qemu, _send) = hub().await;
        let mut slow = console.reader(0, true);
        let total = 3 * HISTORY;
        let text: Vec<u8> = (0..total).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let sent = text.clone();
        let writer = tokio::spawn(async move { qemu.write_all(&sent).await.map(|()| qemu) });
        // The hub takes what fits and then leaves the rest with QEMU.
        console.end.subscribe().wait_for(|end| *end >= (LAG_MAX - CHUNK) as u64).await.unwrap();
        assert_eq!(read_exactly(&mut slow, total).await, text);
        writer.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_reader_without_that_promise_is_overtaken_and_goes_on() {
        let (console, mut qemu, _send) = hub().await;
        let mut lazy = console.reader(0, false);
        qemu.write_all(&vec![b'x'; 2 * HISTORY]).await.unwrap();
        qemu.write_all(b"end").await.unwrap();
        console.end.subscribe().wait_for(|end| *end == 2 * HISTORY as u64 + 3).await.unwrap();
        assert!(read_exactly(&mut lazy, HISTORY).await.ends_with(b"xend"));
    }

    #[tokio::test]
    async fn what_is_typed_reaches_the_guest_whole() {
        let (console, mut qemu, _send) = hub().await;
        while !console.state().connected {
            tokio::task::yield_now().await;
        }
        let text: Vec<u8> = (0..50_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let typed = text.clone();
        tokio::spawn(async move { console.write_all(&typed).await });
        let mut seen = vec![0; text.len()];
        time::timeout(Duration::from_secs(10), qemu.read_exact(&mut seen)).await.unwrap().unwrap();
        assert_eq!(seen, text);
    }
}
