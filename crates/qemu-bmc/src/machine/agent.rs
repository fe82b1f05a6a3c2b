//! The agent in the guest (qemu-guest-agent), where there is one: what it says of its guest, and a shutdown by it.
//!
//! ```text
//!   no socket ──▶ connected ── sync, answered ──▶ asked every REFRESH ── an answer is missing ──┐
//!       ▲             │ not answered: no agent, or not yet                                       │
//!       └─────────────┴──────────────────────────────────────────────────────────────────────────┘
//!                                                                     nothing is known of the guest
//! ```
//!
//! QEMU takes what is written as soon as the guest has opened its end. So a first sync may wait for a guest that
//! boots; it is said anew on a new connection from time to time, because a reboot may have swallowed it.
//!
//! What is wanted of a guest is asked of its hardware first, as on any server: the agent is there for a guest that
//! does not heed its power button ([`patience`]).

mod codec;

use std::{
    convert::Infallible,
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bmc::GuestInfo;
use codec::{Lines, Request};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::mpsc,
    time,
};

use crate::controller::Controller;

/// How long a connection waits for an agent before another is tried.
const FIRST_ANSWER: Duration = Duration::from_secs(20);

/// How long an agent that answers at all may take.
const ANSWER: Duration = Duration::from_secs(5);

/// How often it is asked.
const REFRESH: Duration = Duration::from_secs(10);

/// How long to wait before the next connection.
const AGAIN: Duration = Duration::from_secs(1);

/// How long the next connection waits at most, after ever more that came to nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How much an agent may say before it has answered.
const ANSWER_MAX: usize = 256 << 10;

/// How long a guest has to heed its power button before its agent is asked too: half the time that it has in all.
pub(crate) fn patience(limit: Option<Duration>) -> Duration {
    const LONGEST: Duration = Duration::from_secs(15);

    limit.map_or(LONGEST, |limit| (limit / 2).min(LONGEST))
}

/// The order to shut down, for an agent that answers.
#[derive(Clone, Debug)]
pub(crate) struct Agent(mpsc::Sender<()>);

impl Agent {
    /// Serves the agent whose port has this socket, for ever.
    pub(crate) fn serve(
        socket: PathBuf,
        controller: Arc<Controller>,
    ) -> (Self, impl Future<Output = Infallible> + Send + 'static) {
        let (orders, taken) = mpsc::channel(1);
        (Self(orders), Server { socket, controller, orders: taken }.run())
    }

    /// Asks the agent to shut the guest down, if one answers.
    pub(crate) fn shut_down(&self) {
        // One that is not taken now is not to be taken later, when the guest may be another.
        let _ = self.0.try_send(());
    }
}

struct Server {
    socket: PathBuf,
    controller: Arc<Controller>,
    orders: mpsc::Receiver<()>,
}

impl Server {
    async fn run(mut self) -> Infallible {
        let (mut shown, mut pause) = (false, AGAIN);
        loop {
            let mut answered = false;
            let conversation = async {
                // A machine that was off is another one.
                let stream = UnixStream::connect(&self.socket).await.inspect_err(|_| shown = false)?;
                let mut line = Line { stream, lines: Lines::default(), heard: 0 };
                line.sync(FIRST_ANSWER).await?;
                // What was ordered of whoever answered before.
                while self.orders.try_recv().is_ok() {}
                answered = true;
                loop {
                    let guest = line.guest().await?;
                    if !std::mem::replace(&mut shown, true) {
                        tracing::info!("the guest's agent answers");
                    }
                    pause = AGAIN;
                    self.controller.with(|bmc| bmc.observe_guest(Some(guest)));
                    tokio::select! {
                        Some(()) = self.orders.recv() => line.shut_down().await?,
                        ended = line.idle() => return ended,
                        () = time::sleep(REFRESH) => {}
                    }
                    line.sync(ANSWER).await?;
                }
            };
            let ended: io::Result<()> = conversation.await;
            if let Err(error) = ended {
                tracing::debug!("the guest's agent: {error}");
            }
            if answered {
                self.controller.with(|bmc| bmc.observe_guest(None));
                // One that talks nonsense is heard less and less.
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            // Orders are for an agent that answers.
            let deaf = async { while self.orders.recv().await.is_some() {} };
            let _ = time::timeout(pause, deaf).await;
        }
    }
}

/// A connection to the agent's port.
struct Line {
    stream: UnixStream,
    lines: Lines,
    /// How much was said since something was asked.
    heard: usize,
}

impl Line {
    /// Whatever was said before is over, and what follows answers what is asked from now on.
    async fn sync(&mut self, limit: Duration) -> io::Result<()> {
        static NEXT: AtomicU32 = AtomicU32::new(0);

        // An earlier process, or another client, counted otherwise.
        let id = std::process::id().wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) & i32::MAX as u32;
        self.within(limit, async |line| {
            line.say(Request::Sync(id)).await?;
            while !codec::is_sync(&line.hear().await?, id) {}
            Ok(())
        })
        .await
    }

    async fn guest(&mut self) -> io::Result<GuestInfo> {
        self.within(ANSWER, async |line| {
            let os = line.ask(Request::OsInfo).await?;
            let host_name = line.ask(Request::HostName).await?;
            let interfaces = line.ask(Request::Interfaces).await?;
            Ok(codec::guest(&os, &host_name, &interfaces))
        })
        .await
    }

    async fn shut_down(&mut self) -> io::Result<()> {
        self.within(ANSWER, async |line| line.say(Request::Shutdown).await).await
    }

    async fn ask(&mut self, request: Request) -> io::Result<Value> {
        self.say(request).await?;
        self.hear().await
    }

    async fn say(&mut self, request: Request) -> io::Result<()> {
        self.stream.write_all(&request.bytes()).await
    }

    /// The next line that is JSON.
    async fn hear(&mut self) -> io::Result<Value> {
        let mut chunk = [0; 4096];
        loop {
            if let Some(value) = self.lines.next().map_err(io::Error::other)? {
                return Ok(value);
            }
            match self.stream.read(&mut chunk).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => {
                    self.heard += count;
                    if self.heard > ANSWER_MAX {
                        return Err(io::Error::other("it says much and answers nothing"));
                    }
                    self.lines.feed(chunk.get(..count).unwrap_or_default());
                }
            }
        }
    }

    /// Ends with the connection, or when the agent says something unasked.
    async fn idle(&mut self) -> io::Result<()> {
        match self.stream.read(&mut [0; 1]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Err(io::Error::other("it speaks unasked")),
        }
    }

    async fn within<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        self.heard = 0;
        time::timeout(limit, work(self)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_has_little_time_has_its_agent_asked_sooner() {
        assert_eq!(patience(None), Duration::from_secs(15));
        assert_eq!(patience(Some(Duration::from_secs(120))), Duration::from_secs(15));
        assert_eq!(patience(Some(Duration::from_secs(8))), Duration::from_secs(4));
    }
}
