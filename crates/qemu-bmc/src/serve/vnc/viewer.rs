//! The task of one viewer: carries bytes between its socket, its [`Session`] and QEMU's display.

use std::{
    future::{Future, pending},
    io, mem,
    path::Path,
    pin::Pin,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::watch,
    time::{sleep, timeout},
};
use tracing::debug;

use crate::chain;

use super::{
    HostScreen, Size,
    placeholder::Notice,
    qemu::{self, Display},
    session::{Session, SessionError},
};

/// How long QEMU may take to answer a new connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// The pause between attempts to connect, while the machine is said to be on.
const RETRY_INTERVAL: Duration = Duration::from_millis(200);
/// How much is read at a time.
const READ: usize = 16 * 1024;

/// Why a viewer's session ended, other than by the viewer's leaving.
#[derive(Debug, thiserror::Error)]
pub(super) enum ViewerError {
    #[error("connection to the viewer lost")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// The way to QEMU's display.
enum Link {
    /// There is no machine.
    Down,
    /// Being tried.
    Opening(Pin<Box<dyn Future<Output = Option<Display>> + Send>>),
    Up(UnixStream),
}

/// What [`Link::next`] waits for.
enum LinkEvent {
    Opened(Display),
    /// The inbox has more.
    Received,
    /// The front of the outbox is on its way.
    Sent(usize),
    /// Or never had.
    Lost,
}

/// Connects to the display if the machine is on, so that a viewer can be told its size from the start.
pub(super) async fn first_display(screen: &HostScreen) -> Option<Display> {
    match screen {
        HostScreen::Off => None,
        HostScreen::On(path) => open(path).await,
    }
}

/// Serves a viewer that was told of a screen of `size`, until it leaves. `screen` is what `host` said when
/// `display` was made of it.
pub(super) async fn run(
    mut stream: TcpStream,
    size: Size,
    display: Option<Display>,
    mut screen: HostScreen,
    mut host: watch::Receiver<HostScreen>,
) -> Result<(), ViewerError> {
    let mut session = Session::new(size);
    let mut link = match display {
        Some(display) => {
            session.attach(display.size);
            Link::Up(display.stream)
        }
        None => Link::to(&screen, Duration::ZERO),
    };
    let (mut reader, mut writer) = stream.split();
    let (mut from_viewer, mut from_qemu) = (Vec::new(), Vec::new());
    loop {
        session.produce()?;
        from_viewer.reserve(1024);
        tokio::select! {
            read = reader.read_buf(&mut from_viewer), if session.takes_viewer() => {
                if read? == 0 {
                    return Ok(());
                }
                session.handle_viewer(&mut from_viewer)?;
                if session.is_reopening() && matches!(link, Link::Up(_)) {
                    link = Link::to(&screen, Duration::ZERO);
                    from_qemu.clear();
                }
            }
            sent = writer.write(&session.to_viewer), if !session.to_viewer.is_empty() => {
                let sent = sent?;
                session.to_viewer.drain(..sent);
            }
            event = link.next(&mut from_qemu, session.takes_qemu(), &session.to_qemu) => match event {
                LinkEvent::Opened(display) => {
                    session.attach(display.size);
                    link = Link::Up(display.stream);
                }
                LinkEvent::Received => session.handle_qemu(&mut from_qemu)?,
                LinkEvent::Sent(length) => drop(session.to_qemu.drain(..length)),
                LinkEvent::Lost => {
                    session.detach(Notice::NoSignal);
                    link = Link::to(&screen, RETRY_INTERVAL);
                    from_qemu.clear();
                }
            },
            changed = host.changed() => {
                if changed.is_err() {
                    return Ok(());
                }
                let before = mem::replace(&mut screen, host.borrow_and_update().clone());
                if screen == before {
                    continue;
                }
                match (before, &screen) {
                    (_, HostScreen::Off) => session.detach(Notice::PowerOff),
                    (HostScreen::On(_), HostScreen::On(_)) => session.detach(Notice::NoSignal),
                    // What is shown stays until there is something better.
                    (HostScreen::Off, HostScreen::On(_)) => {}
                }
                link = Link::to(&screen, Duration::ZERO);
                from_qemu.clear();
            }
        }
    }
}

impl Link {
    /// A new link to what `screen` says, tried after `delay`.
    fn to(screen: &HostScreen, delay: Duration) -> Self {
        match screen {
            HostScreen::Off => Self::Down,
            HostScreen::On(path) => {
                let path = path.clone();
                Self::Opening(Box::pin(async move {
                    sleep(delay).await;
                    open(&path).await
                }))
            }
        }
    }

    /// Waits for something to happen. May be dropped and called again, as long as the link isn't used after
    /// `Lost`, or `Opened`, which hands over its stream.
    async fn next(&mut self, inbox: &mut Vec<u8>, may_receive: bool, outbox: &[u8]) -> LinkEvent {
        let stream = match self {
            Self::Down => return pending().await,
            Self::Opening(attempt) => return attempt.await.map_or(LinkEvent::Lost, LinkEvent::Opened),
            Self::Up(stream) => stream,
        };
        let (mut reader, mut writer) = stream.split();
        inbox.reserve(READ);
        tokio::select! {
            received = reader.read_buf(inbox), if may_receive => match received {
                Ok(0) | Err(_) => LinkEvent::Lost,
                Ok(_) => LinkEvent::Received,
            },
            sent = writer.write(outbox), if !outbox.is_empty() => match sent {
                Ok(0) | Err(_) => LinkEvent::Lost,
                Ok(length) => LinkEvent::Sent(length),
            },
            else => pending().await,
        }
    }
}

/// Connects to QEMU's display, and says in the log why it can't be had.
async fn open(path: &Path) -> Option<Display> {
    match timeout(CONNECT_LIMIT, qemu::connect(path)).await {
        Ok(Ok(display)) => Some(display),
        Ok(Err(error)) => {
            debug!("no display: {}", chain(&error));
            None
        }
        Err(_) => {
            debug!(path = %path.display(), "no display: QEMU does not answer");
            None
        }
    }
}
