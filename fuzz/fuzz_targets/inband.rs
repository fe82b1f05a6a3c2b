//! The guest's end of the system interface, with whatever bytes it likes, cut wherever it likes, and
//! connections that break.
#![no_main]

use std::time::Instant;

use bmc::{Bmc, Fact, Identity, Lan, Users};
use ipmi::inband::{Config, Server};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let now = Instant::now();
    let mut bmc = Bmc::new(Identity::derive("node1"), Users::default(), Lan::default());
    bmc.on_fact(now, Fact::Started);
    let mut server = Server::new(Config { trusted: true, sol_port: 623 });
    let mut rest = input;
    while let [length, tail @ ..] = rest {
        let (bytes, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        if bytes.is_empty() {
            server.connect(true, &bmc);
        }
        server.receive(now, bytes, &mut bmc);
        while let Some(frame) = server.poll_transmit() {
            assert!(frame.len() <= 2 * 256 + 1, "an answer larger than any of IPMI");
            let terminators = frame.iter().filter(|byte| [0xa0, 0xa1].contains(*byte)).count();
            assert!(terminators == 1 && [0xa0, 0xa1].contains(&frame[frame.len() - 1]), "not one frame");
        }
        bmc.tick(now);
        while bmc.take_intent().is_some() {
            bmc.power_done();
        }
        bmc.take_events().for_each(drop);
    }
});
