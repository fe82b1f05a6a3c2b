//! IPMI over LAN: one task, all sockets, no thread or channel on the path of a request.
//!
//! A reply leaves from the address that the request came to, which a socket that is bound to every address
//! can only do if it asks the kernel where a datagram came to (`IP_PKTINFO`, `IPV6_RECVPKTINFO`) and says so
//! when it answers.

mod binding;
mod socket;

use std::{
    fmt,
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use ipmi::{
    lan::{Route, Server, ServerConfig},
    sol::SolInput,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, MissedTickBehavior},
};

use self::{binding::Binding, socket::Local};
use crate::{
    config::LanPlan,
    console::{Console, HISTORY, Reader},
    controller::Controller,
    machine::Order,
};

/// How often the interface is looked for.
const LOOK: Duration = Duration::from_millis(500);

/// ASF presence ping (ASF 2.0 §3.2.4.2), which takes no session.
pub(crate) const PING: [u8; 12] = [0x06, 0x00, 0xff, 0x06, 0x00, 0x00, 0x11, 0xbe, 0x80, 0x01, 0x00, 0x00];

/// How many datagrams are answered before other tasks get a turn.
const BATCH: usize = 64;

/// The largest UDP payload, and a byte to tell that there was more.
const DATAGRAM_MAX: usize = 65_508;

/// The LAN door with its sockets open.
pub(crate) struct Door {
    binding: Binding,
    knocker: mpsc::Sender<Knock>,
    knocks: mpsc::Receiver<Knock>,
    server: Server,
    controller: Arc<Controller>,
    console: Arc<Console>,
    orders: mpsc::Sender<Order>,
    /// The local addresses that peers have come to; a route's tag is an index into it.
    locals: Vec<Local>,
    sol: Option<Sol>,
    replay: bool,
    buffer: Vec<u8>,
    out: Vec<u8>,
}

/// What the console has to do with the SOL session that is active.
struct Sol {
    activation: u64,
    reader: Reader,
    /// What could not be typed yet.
    input: Option<Vec<u8>>,
}

/// What the door has to do.
enum Event {
    /// There are datagrams in this socket.
    Readable(usize),
    /// Somebody of this program asks whether it is alive.
    Knock(Knock),
    /// It is time to see to the interface.
    Look,
    /// It is time for what the server does by itself, or for the console.
    Due,
}

type Knock = oneshot::Sender<Answer>;

/// How the door is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    /// Whether the server answers a ping.
    pub(crate) answers: bool,
    /// Whether there is the interface that it is bound to.
    pub(crate) open: bool,
}

/// Where the door is, for those who have to say so.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) addresses: Vec<SocketAddr>,
    /// The interface by which alone it is reached.
    pub(crate) interface: Option<String>,
    knocker: mpsc::Sender<Knock>,
}

impl Place {
    /// Asks the door how it is, which over loopback can't be found out where it is bound to another interface.
    /// Nothing if it doesn't say within the limit.
    pub(crate) async fn knock(&self, limit: Duration) -> Option<Answer> {
        let (knock, answer) = oneshot::channel();
        let asked = async {
            self.knocker.send(knock).await.ok()?;
            answer.await.ok()
        };
        time::timeout(limit, asked).await.ok().flatten()
    }
}

/// As in a sentence.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        f.write_str(&addresses.join(" and "))?;
        self.interface.iter().try_for_each(|interface| write!(f, " on {interface}"))
    }
}

/// A set of peers' addresses that would grow past this starts over.
const LOCALS_MAX: usize = 4096;

impl Door {
    /// Opens the sockets, unless the interface that they are for is still to come.
    ///
    /// # Errors
    /// An address can't be bound. That the host has no IPv6 is no error where "every address" was asked for.
    pub(crate) fn open(
        plan: &LanPlan,
        replay: bool,
        seed: [u8; 32],
        controller: Arc<Controller>,
        console: Arc<Console>,
        orders: mpsc::Sender<Order>,
    ) -> io::Result<Self> {
        let binding = Binding::open(plan)?;
        let port = binding.port();
        let config = ServerConfig { port, advertised_port: plan.advertised_port, ..ServerConfig::default() };
        let (knocker, knocks) = mpsc::channel(1);
        Ok(Self {
            binding,
            knocker,
            knocks,
            server: Server::new(config, seed),
            controller,
            console,
            orders,
            locals: Vec::new(),
            sol: None,
            replay,
            buffer: vec![0; DATAGRAM_MAX],
            out: Vec::with_capacity(1024),
        })
    }

    /// Where the door is.
    pub(crate) fn place(&self) -> Place {
        Place {
            addresses: self.binding.addresses(),
            interface: self.binding.interface().map(str::to_owned),
            knocker: self.knocker.clone(),
        }
    }

    /// Answers until told to close; then an active SOL session is told, so that its client need not find out.
    pub(crate) async fn serve(mut self, mut closing: oneshot::Receiver<()>) {
        let mut power = self.controller.power();
        let controller = Arc::clone(&self.controller);
        let mut turn = 0;
        let mut looks = time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let may_move = self.binding.interface().is_some();
        loop {
            self.pump_console();
            let due = self.server.next_timeout();
            let room = self.server.sol_room() > 0;
            let Self { binding, knocks, sol, console, .. } = &mut self;
            let sockets = binding.sockets();
            let waiting = sol.as_ref().is_some_and(|sol| sol.input.is_some());
            let attached = sol.is_some();
            let event = tokio::select! {
                index = poll_fn(|context| {
                    // In turn, so that a flood on one address leaves the others served.
                    let order = (0..sockets.len()).map(|step| (turn + step) % sockets.len());
                    let mut ready = order.filter(|index| {
                        sockets.get(*index).is_some_and(|socket| socket.poll_readable(context).is_ready())
                    });
                    ready.next().map_or(Poll::Pending, Poll::Ready)
                }) => Event::Readable(index),
                Some(knock) = knocks.recv() => Event::Knock(knock),
                _ = looks.tick(), if may_move => Event::Look,
                () = async {
                    match sol {
                        Some(sol) if room => sol.reader.ready().await,
                        _ => std::future::pending().await,
                    }
                } => Event::Due,
                () = console.drained(), if waiting => Event::Due,
                () = time::sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => Event::Due,
                // A session's peer is told when the machine goes off or on.
                _ = power.changed(), if attached => Event::Due,
                () = controller.message() => Event::Due,
                _ = &mut closing => break,
            };
            match event {
                Event::Readable(index) => {
                    turn = index + 1;
                    self.answer(index).await;
                }
                Event::Knock(knock) => self.answer_knock(knock),
                Event::Look => self.binding.look(),
                Event::Due => {
                    let Self { server, controller, .. } = &mut self;
                    controller.with(|bmc| server.tick(Instant::now(), bmc));
                }
            }
            self.transmit();
        }
        self.server.shutdown();
        self.transmit();
    }

    async fn answer(&mut self, index: usize) {
        for _ in 0..BATCH {
            let Some(socket) = self.binding.sockets().get(index) else { return };
            let (count, peer, local) = match socket.receive(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Such as an ICMP error for an earlier reply: it concerns that peer alone.
                    tracing::debug!("receive IPMI: {error}");
                    return;
                }
            };
            let route = Route { peer, tag: self.tag(index, local) };
            let datagram = self.buffer.get_mut(..count).unwrap_or_default();
            self.server.set_sol_input_room(self.console.room());
            let Self { server, controller, out, .. } = self;
            let answered = controller.with(|bmc| {
                let answered = server.handle(Instant::now(), route, datagram, bmc, out);
                // A command may have changed a user, whose sessions then end at once.
                server.tick(Instant::now(), bmc);
                answered
            });
            // Before the answer: whoever has that finds this in the log.
            if let Some(command) = self.server.last_command() {
                tracing::debug!(%peer, "{command}");
            }
            if answered {
                self.send(route);
            }
            if let Some(why) = self.server.last_drop() {
                tracing::trace!(%peer, "dropped a datagram: {why:?}");
            }
            self.pump_console();
            self.transmit();
        }
        tokio::task::yield_now().await;
    }

    /// Says whether the server answers a ping, as it would to one that comes by the network.
    fn answer_knock(&mut self, knock: Knock) {
        let mut ping = PING;
        let route = Route { peer: SocketAddr::from(([127, 0, 0, 1], 0)), tag: u64::MAX };
        let Self { server, controller, out, .. } = self;
        let answers = controller.with(|bmc| server.handle(Instant::now(), route, &mut ping, bmc, out));
        // Whoever asked may have gone.
        let _ = knock.send(Answer { answers, open: !self.binding.sockets().is_empty() });
    }

    /// Moves bytes between the SOL session and the console, as far as both have room.
    fn pump_console(&mut self) {
        if !self.server.sol_active() {
            self.sol = None;
            return;
        }
        let activation = self.server.sol_activations();
        if self.sol.as_ref().is_none_or(|sol| sol.activation != activation) {
            let history = if self.replay { HISTORY } else { 0 };
            self.sol = Some(Sol { activation, reader: self.console.reader(history, true), input: None });
        }
        let Some(sol) = &mut self.sol else { return };
        loop {
            let mut chunk = [0; 2048];
            let room = self.server.sol_room().min(chunk.len());
            let count = sol.reader.read(chunk.get_mut(..room).unwrap_or_default());
            if count == 0 {
                break;
            }
            self.server.sol_feed(chunk.get(..count).unwrap_or_default());
        }
        loop {
            if let Some(bytes) = sol.input.take() {
                let taken = self.console.write(&bytes);
                if taken < bytes.len() {
                    sol.input = Some(bytes.get(taken..).unwrap_or_default().to_vec());
                    break;
                }
            }
            match self.server.take_sol_input() {
                Some(SolInput::Bytes(bytes)) => sol.input = Some(bytes),
                Some(SolInput::Break) => {
                    // A driver that has this many orders before it will not miss a break.
                    let _ = self.orders.try_send(Order::SerialBreak);
                }
                Some(SolInput::FlushInbound) => self.console.forget_input(),
                Some(SolInput::FlushOutbound) => sol.reader.skip(),
                None => break,
            }
        }
    }

    /// Sends what the server has to say by itself.
    fn transmit(&mut self) {
        loop {
            let Self { server, controller, out, .. } = self;
            let Some(route) = controller.with(|bmc| server.poll_transmit(Instant::now(), bmc, out)) else {
                return;
            };
            self.send(route);
            self.pump_console();
        }
    }

    fn send(&self, route: Route) {
        let local = usize::try_from(route.tag).ok().and_then(|tag| self.locals.get(tag));
        let Some(local) = local else { return };
        let Some(socket) = self.binding.sockets().get(local.socket) else { return };
        if let Err(error) = socket.send(&self.out, route.peer, local) {
            // Clients repeat what is not answered, so a full buffer is no more than a lost packet.
            tracing::debug!("send IPMI to {}: {error}", route.peer);
        }
    }

    fn tag(&mut self, socket: usize, mut local: Local) -> u64 {
        local.socket = socket;
        let known = self.locals.iter().position(|known| *known == local);
        let index = known.unwrap_or_else(|| {
            if self.locals.len() == LOCALS_MAX {
                self.locals.clear();
            }
            self.locals.push(local);
            self.locals.len() - 1
        });
        index as u64
    }
}
