//! Failed logins, per peer: whoever guesses has to wait, longer each time.
//!
//! ```text
//!                10 failures within 60 s            its end
//!   counting ─────────────────────────────▶ refused ───────▶ on probation
//!      ▲  │ a login succeeds, or 10 min of silence:  ▲            │ one failure:
//!      └──┘ the peer is forgotten                    └────────────┘ twice as long, up to 60 s
//! ```
//!
//! RAKP 2 gives anybody who asks an HMAC to try passwords against at home (CVE-2013-4786); no throttle
//! helps against that, and only a long password does. This one is against guessing online.
//!
//! A peer is an IPv4 address, or the /64 of an IPv6 address, since whoever has one address of that has
//! all of them. Clients behind one address translator share a count: ten typing errors a minute between
//! them. A failure is counted only when the peer has shown that it receives what is sent to its address,
//! so nobody is locked out by packets with a forged one.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Failures within [`PERIOD`] that a peer may have.
const FAILURES: u8 = 10;
const PERIOD: Duration = Duration::from_secs(60);
const FIRST_WAIT: Duration = Duration::from_secs(10);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After this long without a failure, a peer is forgotten.
const MEMORY: Duration = Duration::from_secs(600);
/// How many peers are remembered. When there are more, the one whose last failure is oldest is forgotten.
const PEERS: usize = 256;

/// Whose attempts are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network(IpAddr);

impl Network {
    /// The network that an address counts to.
    pub(super) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & u128::MAX << 64)),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    network: Network,
    failures: u8,
    /// When the first of the failures that are counted now was.
    since: Instant,
    last: Instant,
    /// The wait that the next refusal brings.
    wait: Duration,
    refused_until: Option<Instant>,
}

/// The peers that failed of late.
#[derive(Debug)]
pub(super) struct Throttle {
    peers: Vec<Peer>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { peers: Vec::with_capacity(PEERS) }
    }
}

impl Throttle {
    /// Whether logins of this peer are refused now.
    pub(super) fn refuses(&self, now: Instant, address: IpAddr) -> bool {
        let network = Network::of(address);
        self.peers
            .iter()
            .find(|peer| peer.network == network)
            .is_some_and(|peer| peer.refused_until.is_some_and(|until| now < until))
    }

    /// Counts a failed login. Returns whether the peer is refused from now on.
    pub(super) fn failed(&mut self, now: Instant, address: IpAddr) -> bool {
        let network = Network::of(address);
        self.peers.retain(|peer| now.saturating_duration_since(peer.last) < MEMORY);
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.network == network) else {
            self.remember(Peer {
                network,
                failures: 1,
                since: now,
                last: now,
                wait: FIRST_WAIT,
                refused_until: None,
            });
            return false;
        };
        peer.last = now;
        if peer.refused_until.is_none() {
            if now.saturating_duration_since(peer.since) >= PERIOD {
                peer.failures = 0;
                peer.since = now;
            }
            peer.failures += 1;
            if peer.failures < FAILURES {
                return false;
            }
        }
        peer.refused_until = Some(now + peer.wait);
        peer.wait = (2 * peer.wait).min(LONGEST_WAIT);
        true
    }

    /// Forgets a peer that has logged in.
    pub(super) fn succeeded(&mut self, address: IpAddr) {
        let network = Network::of(address);
        self.peers.retain(|peer| peer.network != network);
    }

    fn remember(&mut self, peer: Peer) {
        if self.peers.len() >= PEERS {
            let oldest = self.peers.iter().enumerate().min_by_key(|(_, peer)| peer.last);
            if let Some(index) = oldest.map(|(index, _)| index) {
                self.peers.swap_remove(index);
            }
        }
        self.peers.push(peer);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn refused(throttle: &mut Throttle, now: Instant) {
        for failure in 1..=FAILURES {
            assert!(!throttle.refuses(now, PEER));
            assert_eq!(throttle.failed(now, PEER), failure == FAILURES);
        }
        assert!(throttle.refuses(now, PEER));
    }

    #[test]
    fn ten_failures_in_a_minute_refuse_that_peer_alone_for_ten_seconds() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        refused(&mut throttle, now);
        assert!(!throttle.refuses(now, OTHER));
        assert!(throttle.refuses(now + Duration::from_millis(9_999), PEER));
        assert!(!throttle.refuses(now + FIRST_WAIT, PEER));
    }

    #[test]
    fn typing_errors_that_are_spread_out_refuse_nobody() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        for minute in 0..30 {
            for failure in 0..9 {
                let now = now + Duration::from_secs(60 * minute + failure);
                assert!(!throttle.failed(now, PEER));
            }
        }
    }

    #[test]
    fn every_further_failure_doubles_the_wait_up_to_a_minute() {
        let mut now = Instant::now();
        let mut throttle = Throttle::default();
        refused(&mut throttle, now);
        let mut wait = FIRST_WAIT;
        for _ in 0..8 {
            now += wait;
            assert!(!throttle.refuses(now, PEER));
            assert!(throttle.failed(now, PEER), "on probation, one is enough");
            wait = (2 * wait).min(LONGEST_WAIT);
            assert!(throttle.refuses(now + wait - Duration::from_millis(1), PEER));
            assert!(!throttle.refuses(now + wait, PEER));
        }
    }

    #[test]
    fn a_login_or_ten_minutes_wipe_the_slate() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        refused(&mut throttle, now);
        throttle.succeeded(PEER);
        refused(&mut throttle, now);
        assert!(!throttle.failed(now + MEMORY, PEER));
    }

    #[test]
    fn a_subnet_of_ipv6_is_one_peer_and_a_mapped_address_its_ipv4_self() {
        let a = Network::of("2001:db8::1".parse().unwrap());
        assert_eq!(a, Network::of("2001:db8::ffff:ffff:ffff:ffff".parse().unwrap()));
        assert_ne!(a, Network::of("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(Network::of("::ffff:192.0.2.1".parse().unwrap()), Network::of(PEER));
    }

    #[test]
    fn memory_is_bounded_however_many_peers_fail() {
        let now = Instant::now();
        let mut throttle = Throttle::default();
        for address in 0..1_000u32 {
            throttle.failed(now, IpAddr::V4(Ipv4Addr::from_bits(address)));
        }
        assert_eq!(throttle.peers.len(), PEERS);
        assert_eq!(throttle.peers.capacity(), PEERS);
    }
}
