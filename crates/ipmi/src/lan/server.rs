//! The interface to the program, and what both wrappers share.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use bmc::{Bmc, Event, OutgoingMessage, SessionAddress};

use super::{
    dropped::Dropped,
    pending::LIFETIME,
    port::{Origin, View},
    retransmission::Fingerprint,
    session::{Link, Protection},
    sessions::{Limits, Sessions},
    throttle::Throttle,
};
use crate::{
    Reply, Request,
    command::{self, Context, LAN_CHANNEL, Ran},
    sol::SolInput,
    wire::{
        asf::Ping,
        message,
        rmcp::{self, Class},
        session::{self, PayloadType},
        session_v15,
    },
};

/// Most sessions at a time: their number has to fit into the six bits of Get Session Info (§22.20).
const SLOTS_MAX: usize = 63;

/// Where a datagram came from, or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The remote console.
    pub peer: SocketAddr,
    /// Whatever the caller needs to answer from the address that was asked: it is kept and given back.
    pub tag: u64,
}

/// What a server is told once.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// The UDP port that the server is reached on.
    pub port: u16,
    /// The port that the activation of SOL reports, where remote consoles see another than
    /// [`ServerConfig::port`]: behind a published container port.
    pub advertised_port: Option<u16>,
    /// Most active sessions at a time, up to 63.
    pub slots: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { port: 623, advertised_port: None, slots: SLOTS_MAX }
    }
}

/// The LAN interface of one BMC.
///
/// Its methods are of three kinds. After every datagram, and when [`Server::next_timeout`] is reached:
///
/// 1. *in*: [`Server::handle`] takes a datagram and perhaps answers it; [`Server::tick`] lets time pass;
/// 2. *out*: [`Server::poll_transmit`], until it has nothing more;
/// 3. *console*: the `sol_` methods move characters between SOL and the guest's serial port.
pub struct Server {
    config: ServerConfig,
    pub(super) sessions: Sessions,
    pub(super) throttle: Throttle,
    /// Nothing ends by itself before this moment. It may be too early, when what it was set for was
    /// heard from since; never too late.
    wake: Option<Instant>,
    /// The session that asked for the controller's restart: the only one that is answered until it comes.
    restarter: Option<u32>,
    last_drop: Option<Dropped>,
    last_command: Option<Ran>,
    /// The changes of the sessions that the model knows of.
    named: u64,
    /// The message of a reply whose wrapper has to know it whole.
    pub(super) scratch: Vec<u8>,
}

/// What a command of a session came to.
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// Whether the session ends when the reply has been made.
    pub(super) closing: bool,
}

impl Server {
    /// A server without sessions. `seed` has to be truly random: every id and key depends on it.
    pub fn new(config: ServerConfig, seed: [u8; 32]) -> Self {
        Self {
            config,
            sessions: Sessions::new(config.slots.clamp(1, SLOTS_MAX), seed),
            throttle: Throttle::default(),
            wake: None,
            restarter: None,
            last_drop: None,
            last_command: None,
            named: 0,
            scratch: Vec::new(),
        }
    }

    // ---- in --------------------------------------------------------------------------------------

    /// Takes a datagram, which is decrypted in place. Returns whether `out`, cleared first, now holds
    /// one to be sent back on the same route.
    pub fn handle(
        &mut self,
        now: Instant,
        route: Route,
        datagram: &mut [u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> bool {
        out.clear();
        self.last_command = None;
        bmc.lan.statistics.count_received(Class::parse(datagram).is_ok());
        self.last_drop = self.receive(now, route, datagram, bmc, out).err();
        self.name_sessions(bmc);
        if self.last_drop.is_some() {
            out.clear();
        }
        let answered = !out.is_empty();
        if answered {
            bmc.lan.statistics.count_sent();
        }
        answered
    }

    /// Why the last datagram was dropped, if it was: for a log of the finest level.
    pub fn last_drop(&self) -> Option<Dropped> {
        self.last_drop
    }

    /// The command that the last datagram had run, if it had any.
    pub fn last_command(&self) -> Option<Ran> {
        self.last_command
    }

    /// How many sessions are active.
    pub fn active_sessions(&self) -> usize {
        self.sessions.active.len()
    }

    /// When [`Server::tick`] or [`Server::poll_transmit`] have something to do by themselves.
    pub fn next_timeout(&self) -> Option<Instant> {
        [self.wake, self.sessions.sol.timeout()].into_iter().flatten().min()
    }

    /// Ends the sessions whose time is up, or whose user may not go on.
    pub fn tick(&mut self, now: Instant, bmc: &mut Bmc) {
        self.sessions.end_invalid(now, bmc);
        if self.wake.is_some_and(|wake| wake <= now) {
            self.sessions.pending.expire(now);
            self.note_abandoned(now, bmc);
            self.wake = self.sessions.next_expiry();
        }
        self.name_sessions(bmc);
    }

    // ---- out -------------------------------------------------------------------------------------

    /// Writes the next datagram that is not an answer to one: a message of the guest's, or SOL. Returns where
    /// it goes.
    pub fn poll_transmit(&mut self, now: Instant, bmc: &mut Bmc, out: &mut Vec<u8>) -> Option<Route> {
        out.clear();
        let route = self.send_message(bmc, out).or_else(|| self.send_sol(now, bmc, out))?;
        bmc.lan.statistics.count_sent();
        Some(route)
    }

    /// Tells the session that has SOL, if one has, that it is over. What [`Server::poll_transmit`] then
    /// returns is to be sent before the sockets are closed.
    pub fn shutdown(&mut self) {
        self.sessions.sol.deactivate(true);
    }

    // ---- console ---------------------------------------------------------------------------------

    /// Whether a session has SOL.
    pub fn sol_active(&self) -> bool {
        self.sessions.sol.owner().is_some()
    }

    /// How often SOL was activated: when it changes, another session reads from here on.
    pub fn sol_activations(&self) -> u64 {
        self.sessions.sol.activations()
    }

    /// How many bytes of the guest's output [`Server::sol_feed`] takes.
    pub fn sol_room(&self) -> usize {
        self.sessions.sol.feed_room()
    }

    /// Takes output of the guest, at most [`Server::sol_room`] bytes.
    pub fn sol_feed(&mut self, bytes: &[u8]) {
        self.sessions.sol.feed(bytes);
    }

    /// Says how many bytes the guest's serial port takes now. Until the first call, none are accepted
    /// from the remote console.
    pub fn set_sol_input_room(&mut self, bytes: usize) {
        self.sessions.sol.set_room(bytes);
    }

    /// What the remote console did to the serial line, oldest first.
    pub fn take_sol_input(&mut self) -> Option<SolInput> {
        self.sessions.sol.take_input()
    }

    // ---- what both wrappers share ----------------------------------------------------------------

    fn receive(
        &mut self,
        now: Instant,
        route: Route,
        datagram: &mut [u8],
        bmc: &mut Bmc,
        out: &mut Vec<u8>,
    ) -> Result<(), Dropped> {
        let class = Class::parse(datagram)?;
        let body = datagram.get_mut(rmcp::HEADER_SIZE..).unwrap_or_default();
        if bmc.is_retired() && (self.restarter.is_none() || self.restarter != claimed_session(class, body)) {
            return Err(Dropped::Retired);
        }
        match class {
            Class::Asf => {
                let ping = Ping::parse(body)?;
                Class::Asf.emit(out);
                ping.emit_pong(out);
                Ok(())
            }
            Class::Ipmi if body.first() == Some(&session::FORMAT) => {
                self.receive_rmcpp(now, route, body, bmc, out)
            }
            Class::Ipmi => self.receive_v15(now, route, body, bmc, out),
        }
    }

    /// Runs a command that came outside a session, if it is one of the few that may.
    pub(super) fn answer_outside(
        &mut self,
        now: Instant,
        route: Route,
        request: &message::Request<'_>,
        bmc: &mut Bmc,
    ) -> Result<Reply, Dropped> {
        let row = command::lookup(request.netfn, request.command, request.data);
        let needs_v15 = matches!((request.netfn, request.command), GET_SESSION_CHALLENGE | ACTIVATE_SESSION);
        if row.is_none_or(|row| row.privilege.is_some()) || needs_v15 && !bmc.lan.v15 {
            return Err(Dropped::SessionRequired);
        }
        let challenged = match (request.netfn, request.command) {
            GET_SESSION_CHALLENGE if self.throttle.refuses(now, route.peer.ip()) => {
                return Err(Dropped::Throttled);
            }
            GET_SESSION_CHALLENGE => super::v15::challenged_user(request.data, bmc),
            _ => None,
        };
        if challenged.is_some() {
            self.wake_by(now + LIFETIME);
        }
        let (reply, ()) = self.run(now, route, Origin::Outside { challenged }, request, bmc, |_| ());
        Ok(reply)
    }

    /// Runs a command of a session, unless it is the last one again.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        route: Route,
        slot: usize,
        request: &message::Request<'_>,
        bmc: &mut Bmc,
    ) -> Answer {
        let mutates =
            command::lookup(request.netfn, request.command, request.data).is_some_and(|row| row.mutates);
        let fingerprint = mutates.then(|| Fingerprint::of(request));
        if let Some(reply) = fingerprint
            .and_then(|fingerprint| self.sessions.active.get(slot)?.last_answer.recall(now, fingerprint))
        {
            return Answer { reply: reply.clone(), closing: false };
        }
        let was_restarting = bmc.is_restarting();
        let (reply, closing) = self.run(now, route, Origin::Session(slot), request, bmc, |view| view.closing);
        if bmc.is_restarting() && !was_restarting {
            self.restarter = Some(self.sessions.active.id(slot));
        }
        if let Some(session) = self.sessions.active.get_mut(slot) {
            match fingerprint {
                Some(fingerprint) => session.last_answer.remember(now, fingerprint, &reply),
                None => session.last_answer.passed(),
            }
        }
        Answer { reply, closing }
    }

    /// Runs a command, and takes from the view what it left there.
    pub(super) fn run<T>(
        &mut self,
        now: Instant,
        route: Route,
        origin: Origin,
        request: &message::Request<'_>,
        bmc: &mut Bmc,
        take: impl FnOnce(&View<'_>) -> T,
    ) -> (Reply, T) {
        let mut view = View {
            sessions: &mut self.sessions,
            now,
            route,
            origin,
            limits: Limits::of(bmc),
            sol_settings: *bmc.sol(),
            sol_port: self.config.advertised_port.unwrap_or(self.config.port),
            closing: false,
            activated: None,
        };
        let mut context = Context { now, bmc, channel: LAN_CHANNEL, trusted: true, port: &mut view };
        let request =
            Request { netfn: request.netfn, lun: request.lun, command: request.command, data: request.data };
        let reply = command::dispatch(&mut context, &request);
        self.last_command = Some(Ran::new(&request, &reply));
        (reply, take(&view))
    }

    /// Tells the model which sessions there are, so that the guest can send messages to them.
    fn name_sessions(&mut self, bmc: &mut Bmc) {
        let active = &self.sessions.active;
        if std::mem::replace(&mut self.named, active.changes()) != active.changes() {
            bmc.observe_sessions(active.iter().filter_map(|(slot, _)| {
                Some(SessionAddress { handle: u8::try_from(slot + 1).ok()?, id: active.id(slot) })
            }));
        }
    }

    /// Writes the next message that the model has for a remote console.
    fn send_message(&mut self, bmc: &mut Bmc, out: &mut Vec<u8>) -> Option<Route> {
        while let Some(OutgoingMessage { to, bytes }) = bmc.take_outgoing_message() {
            let iv = self.sessions.random.block();
            let Some(slot) = self.sessions.active.find(to.id) else { continue };
            let Some(session) = self.sessions.active.get_mut(slot) else { continue };
            let route = session.route;
            match &mut session.link {
                Link::V20(link) => link.seal(PayloadType::Ipmi, Protection::FULL, iv, out, |out| {
                    out.extend_from_slice(&bytes);
                }),
                Link::V15(_) => self.seal_v15((slot, to.id), &bytes, bmc, out),
            }
            return Some(route);
        }
        None
    }

    /// Sees to it that [`Server::tick`] is called by then.
    pub(super) fn wake_by(&mut self, at: Instant) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    pub(super) fn login_succeeded(&mut self, bmc: &mut Bmc, user: bmc::UserId, peer: IpAddr) {
        self.throttle.succeeded(peer);
        let user = bmc.users.user(user).name().to_owned();
        bmc.record(Event::LoggedIn { user, peer: peer.to_canonical() });
    }

    pub(super) fn login_failed(
        &mut self,
        now: Instant,
        bmc: &mut Bmc,
        name: &[u8],
        peer: IpAddr,
        reason: &'static str,
    ) {
        let user = String::from_utf8_lossy(name).into_owned();
        bmc.record(Event::LoginFailed { user, peer: peer.to_canonical(), reason });
        if self.throttle.failed(now, peer) {
            bmc.record(Event::LoginThrottled { peer: peer.to_canonical() });
        }
    }

    /// A handshake that ends at the challenge is a failed login: most clients end it there when the
    /// BMC's code is not what their password makes it, and so does who only collects codes.
    pub(super) fn note_abandoned(&mut self, now: Instant, bmc: &mut Bmc) {
        while let Some((name, peer)) = self.sessions.pending.take_abandoned() {
            self.login_failed(now, bmc, name.as_bytes(), peer, "the challenge was not answered");
        }
    }
}

/// NetFn and command of Get Session Challenge (§22.16).
pub(super) const GET_SESSION_CHALLENGE: (u8, u8) = (0x06, 0x39);
/// NetFn and command of Activate Session (§22.17).
pub(super) const ACTIVATE_SESSION: (u8, u8) = (0x06, 0x3a);

/// The session that a datagram says it belongs to, if to any.
fn claimed_session(class: Class, body: &[u8]) -> Option<u32> {
    let session = match class {
        Class::Asf => return None,
        Class::Ipmi if body.first() == Some(&session::FORMAT) => {
            session::Packet::parse(body).ok()?.header.session
        }
        Class::Ipmi => session_v15::Packet::parse(body).ok()?.session,
    };
    (session != 0).then_some(session)
}

/// Reads a request that is meant for the BMC itself.
pub(super) fn addressed(payload: &[u8]) -> Result<message::Request<'_>, Dropped> {
    let request = message::Request::parse(payload)?;
    if request.responder != message::BMC_ADDRESS {
        return Err(Dropped::NotAddressed);
    }
    Ok(request)
}
