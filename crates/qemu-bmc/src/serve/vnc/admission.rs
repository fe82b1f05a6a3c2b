//! Who may come in: how many at a time, and who has guessed too often.
//!
//! ```text
//!            arrive                      enter
//!  outside ──────────► shaking hands ─────────────► viewing
//!     ▲                  │      │                      │
//!     └──── leave ───────┴──────┼──────────────────────┘
//!                               └ reject: after five, locked out for 10 s, 20 s, ... 10 min
//! ```
//!
//! Peers are told apart by network: an IPv6 host has a whole /64 to come from. Behind a proxy or a
//! container engine's port forwarding all viewers are one peer, and share its fate.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use thiserror::Error;

/// Connections in all. QEMU's own limit is 32.
const MAX_CONNECTIONS: usize = 24;
/// Connections of one network that have not said who they are.
const MAX_HANDSHAKES: usize = 8;
/// Wrong passwords before a network is locked out.
const FREE_FAILURES: u32 = 5;
/// The first lockout; each further failure doubles it.
const FIRST_LOCKOUT: Duration = Duration::from_secs(10);
/// The longest lockout.
const MAX_LOCKOUT: Duration = Duration::from_secs(600);
/// After this long without one, failures are forgotten.
const MEMORY: Duration = Duration::from_secs(3600);
/// Networks whose failures are remembered; the one that has been quiet for longest gives way.
const MAX_FAILED: usize = 256;

/// A peer as far as it is told apart from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4([u8; 4]),
    V6([u8; 8]),
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

/// Why a connection is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("too many connections")]
    TooManyConnections,
    #[error("too many connections that have not authenticated")]
    TooManyHandshakes,
    #[error("too many authentication failures, try again in {} s", .0.as_secs() + 1)]
    LockedOut(Duration),
}

/// The books of the door.
#[derive(Debug, Default)]
pub(super) struct Admission {
    connections: usize,
    handshakes: HashMap<Network, usize>,
    failed: HashMap<Network, Failures>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Admission {
    /// Counts a connection in, which is then to be counted out by `enter` or `reject`, and `leave`.
    pub(super) fn arrive(&mut self, network: Network) -> Result<(), Refusal> {
        if self.connections >= MAX_CONNECTIONS {
            return Err(Refusal::TooManyConnections);
        }
        let handshakes = self.handshakes.entry(network).or_default();
        if *handshakes >= MAX_HANDSHAKES {
            return Err(Refusal::TooManyHandshakes);
        }
        *handshakes += 1;
        self.connections += 1;
        Ok(())
    }

    /// Refuses a network that is locked out. To be asked before a password is looked at, too, since
    /// handshakes run side by side.
    pub(super) fn check(&self, now: Instant, network: Network) -> Result<(), Refusal> {
        let Some(failures) = self.failed.get(&network) else { return Ok(()) };
        let left = failures.lockout().saturating_sub(now.saturating_duration_since(failures.last));
        if left.is_zero() { Ok(()) } else { Err(Refusal::LockedOut(left)) }
    }

    /// The password was wrong, or came in a lockout and was not looked at, which doesn't count.
    pub(super) fn reject(&mut self, now: Instant, network: Network) {
        if self.check(now, network).is_err() {
            return;
        }
        self.failed.retain(|_, failures| now.saturating_duration_since(failures.last) < MEMORY);
        if self.failed.len() >= MAX_FAILED
            && !self.failed.contains_key(&network)
            && let Some((&oldest, _)) = self.failed.iter().min_by_key(|(_, failures)| failures.last)
        {
            self.failed.remove(&oldest);
        }
        let failures = self.failed.entry(network).or_insert(Failures { count: 0, last: now });
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
    }

    /// The handshake is over: the connection is a viewer.
    pub(super) fn enter(&mut self, network: Network) {
        self.failed.remove(&network);
        self.end_handshake(network);
    }

    /// The connection of a viewer has ended, or with `in_handshake` that of a peer that never became one.
    pub(super) fn leave(&mut self, network: Network, in_handshake: bool) {
        if in_handshake {
            self.end_handshake(network);
        }
        self.connections = self.connections.saturating_sub(1);
    }

    fn end_handshake(&mut self, network: Network) {
        if let Some(handshakes) = self.handshakes.get_mut(&network) {
            *handshakes = handshakes.saturating_sub(1);
            if *handshakes == 0 {
                self.handshakes.remove(&network);
            }
        }
    }
}

impl Failures {
    fn lockout(self) -> Duration {
        match self.count.checked_sub(FREE_FAILURES) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_LOCKOUT.saturating_mul(2u32.saturating_pow(doublings)).min(MAX_LOCKOUT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Network = Network::V4([192, 0, 2, 1]);
    const OTHER: Network = Network::V4([192, 0, 2, 2]);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_an_ipv6_prefix() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("192.0.2.1"), PEER);
        assert_eq!(network("::ffff:192.0.2.1"), PEER);
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_ne!(network("2001:db8:0:1::1"), network("2001:db8:0:2::1"));
    }

    #[test]
    fn guessing_locks_out_for_ever_longer() {
        let mut now = Instant::now();
        let mut admission = Admission::default();
        for _ in 0..4 {
            admission.reject(now, PEER);
            assert_eq!(admission.check(now, PEER), Ok(()));
        }
        for lockout in [10, 20, 40, 80, 160, 320, 600, 600] {
            admission.reject(now, PEER);
            assert_eq!(admission.check(now, PEER), Err(Refusal::LockedOut(seconds(lockout))));
            assert_eq!(admission.check(now, OTHER), Ok(()));
            now += seconds(lockout);
            assert_eq!(admission.check(now, PEER), Ok(()));
        }
    }

    #[test]
    fn attempts_in_a_lockout_do_not_count() {
        let now = Instant::now();
        let mut admission = Admission::default();
        for _ in 0..50 {
            admission.reject(now, PEER);
        }
        assert_eq!(admission.check(now, PEER), Err(Refusal::LockedOut(seconds(10))));
    }

    #[test]
    fn the_right_password_and_time_wipe_the_slate() {
        let now = Instant::now();
        let mut admission = Admission::default();
        let fail_four_times = |admission: &mut Admission| (0..4).for_each(|_| admission.reject(now, PEER));

        fail_four_times(&mut admission);
        admission.enter(PEER);
        admission.reject(now, PEER);
        assert_eq!(admission.check(now, PEER), Ok(()));

        fail_four_times(&mut admission);
        assert!(admission.check(now, PEER).is_err());
        admission.reject(now + MEMORY, PEER);
        assert_eq!(admission.check(now + MEMORY, PEER), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_forgets_the_quietest() {
        let start = Instant::now();
        let mut admission = Admission::default();
        for _ in 0..5 {
            admission.reject(start + seconds(1), PEER);
        }
        for n in 0..255u8 {
            admission.reject(start, Network::V6([n; 8]));
        }
        admission.reject(start + seconds(2), OTHER);
        assert_eq!(admission.failed.len(), MAX_FAILED);
        assert!(admission.check(start + seconds(2), PEER).is_err());
    }

    #[test]
    fn handshakes_are_limited_by_network_and_connections_in_all() {
        let mut admission = Admission::default();
        for _ in 0..MAX_HANDSHAKES {
            admission.arrive(PEER).unwrap();
        }
        assert_eq!(admission.arrive(PEER), Err(Refusal::TooManyHandshakes));
        admission.leave(PEER, true);
        for _ in MAX_HANDSHAKES - 1..MAX_CONNECTIONS {
            admission.arrive(OTHER).unwrap();
            admission.enter(OTHER);
        }
        assert_eq!(admission.arrive(PEER), Err(Refusal::TooManyConnections));
        admission.leave(OTHER, false);
        assert_eq!(admission.arrive(PEER), Ok(()));
    }
}
