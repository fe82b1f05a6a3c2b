//! The screen and keyboard of the machine, over VNC (RFB, RFC 6143), for several viewers at a time.
//!
//! The port belongs to the BMC and is open whatever the machine does. QEMU listens on a unix socket;
//! behind each viewer stands a connection of its own to it, and while there is none, a picture that says
//! so. A viewer stays connected through power off, power cycle and a crash of QEMU.
//!
//! ```text
//!   viewer ══TCP══ handshake ═══ session ══unix socket══ QEMU
//!                  admission     │  delimiter: where QEMU's messages end
//!                                └  placeholder: the picture while QEMU is away
//! ```
//!
//! Pixels pass through undecoded. What makes that sound is in [`encodings`] (only such as outlive a
//! connection to QEMU), in [`delimiter`] (only whole pieces of a message go out, and a message that QEMU
//! doesn't finish is finished for it) and in [`session`] (what a fresh QEMU must be told). All of these,
//! and [`admission`], are without I/O; sockets and time are in this file and in [`viewer`].
//!
//! Nothing is allocated for a viewer that isn't there.

mod admission;
mod authentication;
mod client_message;
mod delimiter;
mod encodings;
mod handshake;
mod pixel_format;
mod placeholder;
mod qemu;
mod session;
mod tight;
mod viewer;

#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, error, info, warn};

use crate::chain;

use self::admission::{Admission, Network, Refusal};
pub(crate) use self::authentication::Password;
use self::{
    handshake::{Authentication, HandshakeError},
    viewer::ViewerError,
};

/// How long a step of the handshake may take a viewer, when no person is involved.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// How long a person may take to type a password, which many viewers ask for in the middle.
const PASSWORD_LIMIT: Duration = Duration::from_secs(60);
/// A viewer that has been silent for this long is asked for a sign of life, by TCP.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// The pause after a connection could not be accepted, which is for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What doesn't change while the door is open.
pub(crate) struct VncSettings {
    /// Without one, whoever reaches the port has the machine's keyboard.
    pub(crate) password: Option<Password>,
    /// The name of the desktop, which viewers show in their title.
    pub(crate) name: String,
}

/// Where the machine's screen is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HostScreen {
    /// The machine is off.
    Off,
    /// The machine is on; QEMU's display listens, or soon will, on the unix socket at this path.
    On(PathBuf),
}

/// Of a screen, or of a rectangle on one, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    width: u16,
    height: u16,
}

impl Size {
    /// Appends width and height.
    fn put(self, out: &mut Vec<u8>) {
        out.extend(self.width.to_be_bytes());
        out.extend(self.height.to_be_bytes());
    }

    /// Appends the header of a rectangle (RFC 6143 §7.6.1) from the upper left corner.
    fn put_rectangle(self, encoding: i32, out: &mut Vec<u8>) {
        out.extend([0; 4]);
        self.put(out);
        out.extend(encoding.to_be_bytes());
    }
}

/// Serves viewers that come to any of `listeners`, until dropped; then all viewers are disconnected.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    settings: Arc<VncSettings>,
    host: watch::Receiver<HostScreen>,
) -> Infallible {
    let admission = Arc::new(Mutex::new(Admission::default()));
    let mut viewers = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accept(&listeners) => match accepted {
                Ok((stream, peer)) => match Arrival::new(&admission, peer) {
                    Ok(arrival) => {
                        viewers.spawn(receive(arrival, stream, Arc::clone(&settings), host.clone()));
                    }
                    Err(refusal) => debug!(%peer, "VNC connection refused: {refusal}"),
                },
                Err(error) => {
                    warn!("accept a VNC connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = viewers.join_next() => if let Err(error) = ended {
                error!("serve a VNC viewer: {error}");
            },
        }
    }
}

async fn accept(listeners: &[TcpListener]) -> io::Result<(TcpStream, SocketAddr)> {
    poll_fn(|context| {
        for listener in listeners {
            if let Poll::Ready(accepted) = listener.poll_accept(context) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// Serves one connection and says in the log how it ended.
async fn receive(
    arrival: Arrival,
    stream: TcpStream,
    settings: Arc<VncSettings>,
    host: watch::Receiver<HostScreen>,
) {
    let peer = arrival.peer;
    match admit(arrival, stream, &settings, host).await {
        Ok(()) => info!(%peer, "VNC viewer left"),
        Err(error @ DoorError::Viewer(_)) => info!(%peer, "VNC viewer disconnected: {}", chain(&error)),
        Err(error @ DoorError::WrongPassword) => warn!(%peer, "VNC viewer refused: {error}"),
        // Nobody who came in; a port scan must not fill the log.
        Err(error) => debug!(%peer, "VNC connection closed: {}", chain(&error)),
    }
}

/// Why a connection ended, other than by the viewer's leaving.
#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error("wrong password")]
    WrongPassword,
    #[error(transparent)]
    Refused(Refusal),
    #[error("handshake took too long")]
    TooSlow,
    #[error("draw a challenge")]
    Random(#[from] getrandom::Error),
    #[error("set up the viewer's socket")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Viewer(#[from] ViewerError),
}

async fn admit(
    mut arrival: Arrival,
    mut stream: TcpStream,
    settings: &VncSettings,
    mut host: watch::Receiver<HostScreen>,
) -> Result<(), DoorError> {
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;

    let greeted = within(STEP_LIMIT, handshake::greet(&mut stream)).await?;
    if let Err(refusal) = arrival.check() {
        within(STEP_LIMIT, greeted.refuse(&refusal.to_string())).await?;
        return Err(DoorError::Refused(refusal));
    }
    let mut challenge = [0; authentication::CHALLENGE];
    getrandom::fill(&mut challenge)?;
    let password = settings.password.as_ref();
    let may_answer = || arrival.check().is_ok();
    let authenticated =
        match within(PASSWORD_LIMIT, greeted.authenticate(password, challenge, may_answer)).await? {
            Authentication::Accepted(authenticated) => authenticated,
            Authentication::Rejected(rejected) => {
                arrival.reject();
                within(STEP_LIMIT, rejected.tell("wrong password")).await?;
                return Err(DoorError::WrongPassword);
            }
        };
    arrival.enter();

    let screen = host.borrow_and_update().clone();
    let display = viewer::first_display(&screen).await;
    let size = display.as_ref().map_or(placeholder::SIZE, |display| display.size);
    within(STEP_LIMIT, authenticated.open(size, &settings.name)).await?;
    info!(peer = %arrival.peer, "VNC viewer connected");
    Ok(viewer::run(stream, size, display, screen, host).await?)
}

async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, DoorError> {
    timeout(limit, step).await.map_err(|_| DoorError::TooSlow)?.map_err(DoorError::Handshake)
}

/// A connection in the books of [`Admission`], struck out when dropped.
struct Arrival {
    admission: Arc<Mutex<Admission>>,
    peer: SocketAddr,
    in_handshake: bool,
}

impl Arrival {
    fn new(admission: &Arc<Mutex<Admission>>, peer: SocketAddr) -> Result<Self, Refusal> {
        books(admission).arrive(Network::from(peer.ip()))?;
        Ok(Self { admission: Arc::clone(admission), peer, in_handshake: true })
    }

    fn check(&self) -> Result<(), Refusal> {
        books(&self.admission).check(Instant::now(), self.network())
    }

    fn reject(&self) {
        books(&self.admission).reject(Instant::now(), self.network());
    }

    fn enter(&mut self) {
        books(&self.admission).enter(self.network());
        self.in_handshake = false;
    }

    fn network(&self) -> Network {
        Network::from(self.peer.ip())
    }
}

fn books(admission: &Mutex<Admission>) -> MutexGuard<'_, Admission> {
    admission.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Arrival {
    fn drop(&mut self) {
        books(&self.admission).leave(self.network(), self.in_handshake);
    }
}
