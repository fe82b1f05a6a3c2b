//! A server with an active session that has SOL, and one that waits for RAKP 3. The input is a series of
//! steps: datagrams from anybody, datagrams with the right ids in the right places, payloads signed with
//! the session's keys, and time.
#![no_main]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bmc::{Bmc, Fact, Identity, Lan, Password, Privilege, Users};
use ipmi::{
    client::{Credentials, Login, Session, Step},
    lan::{Route, Server, ServerConfig},
    wire::session::PayloadType,
};
use libfuzzer_sys::fuzz_target;

struct World {
    server: Server,
    bmc: Bmc,
    now: Instant,
    peer: SocketAddr,
    out: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let mut users = Users::default();
        users.add("admin", Password::new(b"password").unwrap(), Privilege::Administrator).unwrap();
        let lan = Lan { v15: true, ..Lan::default() };
        let mut bmc = Bmc::new(Identity::derive("node1"), users, lan);
        let now = Instant::now();
        bmc.on_fact(now, Fact::Started);
        let mut server = Server::new(ServerConfig::default(), [42; 32]);
        server.set_sol_input_room(1 << 16);
        Self { server, bmc, now, peer: ([192, 0, 2, 1], 40_000).into(), out: Vec::new() }
    }

    fn send(&mut self, datagram: &mut [u8]) {
        let route = Route { peer: self.peer, tag: 0 };
        self.server.handle(self.now, route, datagram, &mut self.bmc, &mut self.out);
        assert!(self.out.len() <= 512, "an answer larger than any of IPMI");
    }

    /// Everything that the program does between two datagrams.
    fn settle(&mut self) {
        self.server.tick(self.now, &mut self.bmc);
        self.bmc.tick(self.now);
        self.server.sol_feed(&[b'x'; 300][..self.server.sol_room().min(300)]);
        let mut packets = 0;
        let mut out = Vec::new();
        while self.server.poll_transmit(self.now, &mut self.bmc, &mut out).is_some() {
            packets += 1;
            assert!(packets < 200, "transmission does not come to an end");
        }
        while self.server.take_sol_input().is_some() {}
        while self.bmc.take_intent().is_some() {
            self.bmc.power_done();
        }
        self.bmc.take_events().for_each(drop);
    }

    /// Logs in, and stops after as many answers.
    fn login(&mut self, seed: u8, answers: usize) -> (Vec<u8>, Option<Box<Session>>) {
        let credentials = Credentials::new("admin", Password::new(b"password").unwrap());
        let mut datagram = Vec::new();
        let mut login = Login::begin(credentials, [seed; 32], &mut datagram).unwrap();
        for _ in 0..answers {
            self.send(&mut datagram.clone());
            let answer = self.out.clone();
            if let Step::Done(session) = login.receive(&answer, &mut datagram).unwrap() {
                return (datagram, Some(session));
            }
        }
        (datagram, None)
    }
}

fuzz_target!(|input: &[u8]| {
    let mut world = World::new();
    let mut session = world.login(1, 3).1.unwrap();
    let mut datagram = Vec::new();
    for (command, data) in [(0x3b, &[4][..]), (0x48, &[1, 1, 0xc0, 0, 0, 0])] {
        session.request(0x06, command, data, &mut datagram);
        world.send(&mut datagram);
    }
    assert!(world.server.sol_active());
    let rakp3 = world.login(2, 2).0;

    let mut rest = input;
    while let [step, length, tail @ ..] = rest {
        let (bytes, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        let mut datagram = Vec::new();
        match step % 8 {
            0 => datagram.extend_from_slice(bytes),
            1 => {
                datagram.extend([0x06, 0, 0xff, 0x07]);
                datagram.extend_from_slice(bytes);
            }
            2 => {
                datagram.extend([0x06, 0, 0xff, 0x07, 0x06, *bytes.first().unwrap_or(&0xc0)]);
                datagram.extend(session.id().to_le_bytes());
                datagram.extend_from_slice(bytes.get(1..).unwrap_or_default());
            }
            3 => {
                datagram.extend_from_slice(&rakp3);
                for (to, from) in datagram.iter_mut().skip(5).zip(bytes) {
                    *to ^= from;
                }
            }
            4 => session.seal(PayloadType::Ipmi, true, true, bytes, &mut datagram),
            5 => session.seal(PayloadType::Sol, true, true, bytes, &mut datagram),
            6 => {
                if let [netfn, command, data @ ..] = bytes {
                    session.request(netfn & 0x3e, *command, data, &mut datagram);
                }
            }
            _ => world.now += Duration::from_millis(u64::from(*length) * 50),
        }
        world.send(&mut datagram);
        world.settle();
    }
});
