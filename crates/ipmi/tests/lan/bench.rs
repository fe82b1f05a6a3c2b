//! A server, its model and a clock that stands still unless it is moved.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use bmc::{Bmc, Event, Identity, Lan, Password, Privilege, UserId, Users};
use ipmi::{
    CompletionCode,
    client::{Answer, Credentials, Incoming, Login, LoginError, Session, Step},
    lan::{Dropped, Route, Server, ServerConfig},
    wire::rakp::Status,
};

pub(crate) const APP: u8 = 0x06;
pub(crate) const CHASSIS: u8 = 0x00;
pub(crate) const TRANSPORT: u8 = 0x0c;
pub(crate) const GET_DEVICE_ID: u8 = 0x01;

/// Where the honest console is.
pub(crate) const HOME: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 40_000);

pub(crate) fn route(peer: SocketAddr) -> Route {
    Route { peer, tag: 0 }
}

pub(crate) fn elsewhere(host: u32, port: u16) -> SocketAddr {
    // From 198.18.0.0/15, which is set aside for such tests.
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(0xc612_0000 + host)), port)
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.as_bytes()).unwrap()
}

pub(crate) fn admin() -> Credentials {
    Credentials::new("admin", password("password"))
}

pub(crate) fn operator() -> Credentials {
    Credentials { privilege: Privilege::Operator, ..Credentials::new("operator", password("operator")) }
}

pub(crate) fn reader() -> Credentials {
    Credentials { privilege: Privilege::User, ..Credentials::new("reader", password("reader")) }
}

pub(crate) struct Bench {
    pub(crate) server: Server,
    pub(crate) bmc: Bmc,
    pub(crate) now: Instant,
    seed: u8,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Lan::default(), ServerConfig::default())
    }

    pub(crate) fn with(lan: Lan, config: ServerConfig) -> Self {
        let mut users = Users::default();
        users.add("admin", password("password"), Privilege::Administrator).unwrap();
        users.add("operator", password("operator"), Privilege::Operator).unwrap();
        users.add("reader", password("reader"), Privilege::User).unwrap();
        Self {
            server: Server::new(config, [42; 32]),
            bmc: Bmc::new(Identity::derive("node1"), users, lan),
            now: Instant::now(),
            seed: 0,
        }
    }

    pub(crate) fn user(&self, name: &str) -> UserId {
        self.bmc.users.find_enabled(name.as_bytes()).unwrap()
    }

    /// Time passes, and what is due happens.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.server.tick(self.now, &mut self.bmc);
    }

    /// What a datagram is answered with.
    pub(crate) fn send_from(&mut self, peer: SocketAddr, datagram: &[u8]) -> Option<Vec<u8>> {
        let (mut datagram, mut out) = (datagram.to_vec(), Vec::new());
        let answered = self.server.handle(self.now, route(peer), &mut datagram, &mut self.bmc, &mut out);
        assert_eq!(answered, !out.is_empty());
        answered.then_some(out)
    }

    pub(crate) fn send(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        self.send_from(HOME, datagram)
    }

    /// Why a datagram is dropped.
    #[track_caller]
    pub(crate) fn dropped_from(&mut self, peer: SocketAddr, datagram: &[u8]) -> Dropped {
        assert_eq!(self.send_from(peer, datagram), None, "the datagram was answered");
        self.server.last_drop().expect("the datagram was taken")
    }

    #[track_caller]
    pub(crate) fn dropped(&mut self, datagram: &[u8]) -> Dropped {
        self.dropped_from(HOME, datagram)
    }

    pub(crate) fn seed(&mut self) -> [u8; 32] {
        self.seed = self.seed.wrapping_add(1);
        [self.seed; 32]
    }

    /// Logs in, without raising the level. `None`: the server fell silent.
    pub(crate) fn login_from(
        &mut self,
        peer: SocketAddr,
        credentials: Credentials,
    ) -> Option<Result<Session, LoginError>> {
        let mut datagram = Vec::new();
        let seed = self.seed();
        let mut login = match Login::begin(credentials, seed, &mut datagram) {
            Ok(login) => login,
            Err(error) => return Some(Err(error)),
        };
        loop {
            let answer = self.send_from(peer, &datagram)?;
            match login.receive(&answer, &mut datagram) {
                Ok(Step::Send) => {}
                Ok(Step::Wait) => panic!("an answer to something else"),
                Ok(Step::Done(session)) => return Some(Ok(*session)),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Logs in and raises the level to the one of the credentials.
    #[track_caller]
    pub(crate) fn login(&mut self, credentials: Credentials) -> Session {
        self.login_at(HOME, credentials)
    }

    #[track_caller]
    pub(crate) fn login_at(&mut self, peer: SocketAddr, credentials: Credentials) -> Session {
        let level = credentials.privilege as u8;
        let mut session = self.login_from(peer, credentials).unwrap().unwrap();
        assert_eq!(self.command(&mut session, APP, 0x3b, &[level]).0, CompletionCode::OK);
        session
    }

    /// The status with which a login is refused.
    #[track_caller]
    pub(crate) fn refused(&mut self, credentials: Credentials) -> Status {
        match self.login_from(HOME, credentials).expect("the server fell silent") {
            Err(LoginError::Refused(status)) => status,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("the login succeeded"),
        }
    }

    /// The answer to a command of a session.
    #[track_caller]
    pub(crate) fn command(&mut self, session: &mut Session, netfn: u8, command: u8, data: &[u8]) -> Answer {
        let mut datagram = Vec::new();
        let sequence = session.request(netfn, command, data, &mut datagram);
        let answer = self.send(&datagram);
        let Some(mut answer) = answer else { panic!("dropped: {:?}", self.server.last_drop()) };
        let Incoming::Response { sequence: answered, code, data, .. } = session.receive(&mut answer).unwrap()
        else {
            panic!("not a response");
        };
        assert_eq!(answered, sequence);
        (code, data)
    }

    /// Whether a session still works.
    pub(crate) fn is_alive(&mut self, session: &mut Session) -> bool {
        let mut datagram = Vec::new();
        session.request(APP, GET_DEVICE_ID, &[], &mut datagram);
        self.send(&datagram).is_some()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.bmc.take_events().collect()
    }
}
