//! SOL against a model of a remote console, over a model of a network, with a virtual clock.

use proptest::prelude::*;

use super::*;

const ROOM: usize = 1024;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A remote console that keeps to the specification, has its own retry time and little room.
struct Console {
    waiting: VecDeque<u8>,
    flight: Option<(u8, usize, Instant)>,
    sequence: u8,
    last: (u8, u8),
    seen: Vec<u8>,
}

impl Console {
    fn new(text: &[u8]) -> Self {
        let waiting = text.iter().copied().collect();
        Self { waiting, flight: None, sequence: 0, last: (0, 0), seen: Vec::new() }
    }

    fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Vec<u8>> {
        let (sequence, length) = match self.flight {
            Some((_, _, resend)) if now < resend => return None,
            Some((sequence, length, _)) => (sequence, length),
            None if self.waiting.is_empty() => return None,
            None => {
                self.sequence = self.sequence % 15 + 1;
                (self.sequence, self.waiting.len().min(1 + random.below(40)))
            }
        };
        self.flight = Some((sequence, length, now + ms(30)));
        Some([sequence, 0, 0, 0].into_iter().chain(self.waiting.iter().take(length).copied()).collect())
    }

    fn on_packet(&mut self, payload: &[u8], random: &mut Random) -> Option<Vec<u8>> {
        let packet = Packet::parse(payload).unwrap();
        if let Some((_, length, _)) = self.flight.take_if(|(sequence, ..)| *sequence == packet.ack) {
            self.waiting.drain(..length.min(packet.accepted.into()));
        }
        if packet.sequence == 0 {
            return None;
        }
        if packet.sequence != self.last.0 {
            if self.last.0 != 0 && is_behind(packet.sequence, self.last.0) {
                return None;
            }
            let accepted = if random.one_in(4) { random.below(packet.characters.len() + 1) } else { 255 };
            let characters = &packet.characters[..accepted.min(packet.characters.len())];
            self.seen.extend_from_slice(characters);
            self.last = (packet.sequence, u8::try_from(characters.len()).unwrap());
        }
        Some(vec![0, self.last.0, self.last.1, 0])
    }
}

/// xorshift64: the test is a function of its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// One direction of a network: drops, doubles and delays by 1 to 25 ms, hence reorders.
#[derive(Default)]
struct Network {
    under_way: Vec<(Instant, Vec<u8>)>,
}

impl Network {
    fn send(&mut self, now: Instant, random: &mut Random, payload: &[u8]) {
        let copies = [1, 1, 1, 2, 0][random.below(5)];
        for _ in 0..copies {
            let delay = ms(1 + random.below(25) as u64);
            self.under_way.push((now + delay, payload.to_vec()));
        }
    }

    fn arrived(&mut self, now: Instant) -> Option<Vec<u8>> {
        let next = self.under_way.iter().position(|(at, _)| *at <= now)?;
        Some(self.under_way.swap_remove(next).1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever the network drops, doubles and reorders, both sides see every byte once and in order,
    /// through a spell of power off too.
    #[test]
    fn nothing_is_lost_and_nothing_doubled(
        seed in 1..u64::MAX,
        typed in proptest::collection::vec(any::<u8>(), 0..600),
        printed in proptest::collection::vec(any::<u8>(), 0..3000),
        retry_interval in 0..8u8,
        accumulate_interval in 1..5u8,
        send_threshold: u8,
        off_at in 0..500u64,
    ) {
        let mut random = Random(seed);
        let start = Instant::now();
        let settings = SolSettings { retry_interval, accumulate_interval, send_threshold, ..SolSettings::default() };
        let mut sol = Sol::new(start, settings, SolRequest::default());
        let mut console = Console::new(&typed);
        let (mut to_console, mut to_bmc) = (Network::default(), Network::default());
        let (mut heard, mut fed) = (Vec::new(), 0);
        let mut out = Vec::new();

        for step in 0..200_000 {
            let now = start + ms(step);
            let host = if (off_at..off_at + 200).contains(&step) { HostPower::Off } else { HostPower::On };
            if host == HostPower::On {
                let burst = random.below(60).min(printed.len() - fed).min(sol.feed_room());
                sol.feed(&printed[fed..fed + burst]);
                fed += burst;
            }
            while let Some(payload) = to_bmc.arrived(now) {
                let room = if random.one_in(4) { random.below(20) } else { ROOM };
                let mut input = Vec::new();
                sol.on_packet(now, host, &payload, room, &mut input);
                for item in input {
                    let SolInput::Bytes(bytes) = item else { panic!("{item:?}") };
                    prop_assert_eq!(host, HostPower::On);
                    heard.extend(bytes);
                }
            }
            let mut polls = 0;
            while sol.poll(now, host, &mut out) {
                prop_assert!(out.len() <= usize::from(OUTBOUND_SIZE));
                to_console.send(now, &mut random, &out);
                out.clear();
                polls += 1;
                prop_assert!(polls < 5, "talks without end");
            }
            while let Some(payload) = to_console.arrived(now) {
                if let Some(answer) = console.on_packet(&payload, &mut random) {
                    to_bmc.send(now, &mut random, &answer);
                }
            }
            if let Some(payload) = console.poll(now, &mut random) {
                to_bmc.send(now, &mut random, &payload);
            }
            let quiet = to_console.under_way.is_empty() && to_bmc.under_way.is_empty();
            if quiet && heard.len() >= typed.len() && console.seen.len() >= printed.len() && sol.timeout().is_none() {
                break;
            }
        }
        prop_assert_eq!(heard, typed);
        prop_assert_eq!(console.seen, printed);
        prop_assert_eq!(sol.feed_room(), QUEUE);
    }
}
