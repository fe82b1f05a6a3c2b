//! A BMC without a machine, to try clients against: user "admin", password "password".
//!
//! ```text
//! cargo run -p ipmi --example serve 6230 &
//! ipmitool -I lanplus -H 127.0.0.1 -p 6230 -U admin -P password mc info
//! ```
//!
//! Power comes on and goes off as it is told, and the serial line echoes. `--v15` serves IPMI 1.5, too; `--kg KEY` wants
//! two-key logins.

#![allow(clippy::disallowed_methods, reason = "a program has a clock and a socket")]

use std::{
    error::Error,
    fs::File,
    io::{ErrorKind, Read},
    net::UdpSocket,
    time::{Duration, Instant},
};

use bmc::{
    Bmc, Fact, Identity, Intent, KgKey, Lan, Password, PowerRequest, Privilege, ResetBy, StopReason, Users,
};
use ipmi::{
    lan::{Route, Server, ServerConfig},
    sol::SolInput,
};

/// Largest datagram of IPv4.
const DATAGRAM_MAX: usize = 65_507;

fn main() -> Result<(), Box<dyn Error>> {
    let mut lan = Lan::default();
    let mut port = 6230;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--v15" => lan.v15 = true,
            "--kg" => lan.kg = Some(key(&arguments.next().unwrap_or_default())),
            number => port = number.parse()?,
        }
    }
    let socket = UdpSocket::bind(("127.0.0.1", port))?;

    let mut users = Users::default();
    users.add("admin", Password::new(b"password")?, Privilege::Administrator)?;
    users.add("operator", Password::new(b"operator")?, Privilege::Operator)?;
    users.add("reader", Password::new(b"reader")?, Privilege::User)?;
    let mut bmc = Bmc::new(Identity::derive("example"), users, lan);

    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let mut server = Server::new(ServerConfig { port, ..ServerConfig::default() }, seed);

    let (mut datagram, mut out) = (vec![0; DATAGRAM_MAX], Vec::new());
    loop {
        server.set_sol_input_room(4096);
        let timeout = server.next_timeout().map(|at| at.saturating_duration_since(Instant::now()));
        // A read timeout of zero would mean "none".
        socket.set_read_timeout(timeout.map(|timeout| timeout.max(Duration::from_micros(1))))?;
        match socket.recv_from(&mut datagram) {
            Ok((size, peer)) => {
                let datagram = datagram.get_mut(..size).unwrap_or_default();
                if server.handle(Instant::now(), Route { peer, tag: 0 }, datagram, &mut bmc, &mut out) {
                    socket.send_to(&out, peer)?;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        let now = Instant::now();
        server.tick(now, &mut bmc);
        bmc.tick(now);
        while let Some(input) = server.take_sol_input() {
            if let SolInput::Bytes(bytes) = input {
                let room = server.sol_room().min(bytes.len());
                server.sol_feed(bytes.get(..room).unwrap_or_default());
            }
        }
        while let Some(intent) = bmc.take_intent() {
            carry_out(intent, now, &mut bmc);
        }
        while let Some(route) = server.poll_transmit(now, &mut bmc, &mut out) {
            socket.send_to(&out, route.peer)?;
        }
        #[expect(clippy::print_stderr, reason = "an example")]
        for event in bmc.take_events() {
            eprintln!("{event}");
        }
    }
}

fn key(text: &str) -> KgKey {
    let mut key = [0; 20];
    for (to, from) in key.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    KgKey::new(key)
}

fn carry_out(intent: Intent, now: Instant, bmc: &mut Bmc) {
    let Intent::Power(request) = intent else { return };
    match request {
        PowerRequest::On => bmc.on_fact(now, Fact::Started),
        PowerRequest::Off => bmc.on_fact(now, Fact::Stopped { why: StopReason::Command }),
        PowerRequest::Soft => bmc.on_fact(now, Fact::Stopped { why: StopReason::Guest }),
        PowerRequest::Reset => bmc.on_fact(now, Fact::Reset { by: ResetBy::Command }),
        PowerRequest::Cycle => {
            bmc.on_fact(now, Fact::Stopped { why: StopReason::Command });
            bmc.on_fact(now, Fact::Started);
        }
        PowerRequest::Nmi => {}
    }
    bmc.power_done();
}
