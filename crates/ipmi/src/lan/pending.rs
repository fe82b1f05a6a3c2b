//! Half-open sessions: what Open Session Request or Get Session Challenge began and nobody has finished.
//!
//! Anybody can begin one, with any source address. So they live in a pool of their own, from which no
//! active session can be pushed out, and a flood finds these limits:
//!
//! * each is forgotten after 10 s;
//! * one socket address has at most [`PER_SOCKET`]: its oldest goes when it begins one more;
//! * one network (see [`Network`]) has at most [`PER_NETWORK`];
//! * when the network or the pool has no room, one goes that is picked at random, and as long as there
//!   are any, among those that have not come to a challenge.
//!
//! At random, not the oldest: with the oldest, a flood of n packets per second turns the pool over in
//! N/n seconds and *nobody* finishes who needs longer; with random picks, a good user who needs one
//! packet more survives k packets of the flood with (1 - 1/N)^k, which for the millisecond that a
//! handshake takes is close to one. Who has come to a challenge has shown that answers reach it and that
//! it knows a user's name, which a flood with forged addresses can't.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use bmc::{UserId, UserVersion};

use super::{
    Route,
    handshake::{Challenged, Opened},
    slots::Slots,
    throttle::Network,
};
use crate::crypto::{Random, rakp::UserName};

pub(super) const LIFETIME: Duration = Duration::from_secs(10);
/// Of all peers together.
const POOL: usize = 512;
const PER_NETWORK: usize = 128;
const PER_SOCKET: usize = 4;

/// How far a handshake has come.
pub(super) enum Stage {
    /// After Open Session Request.
    Opened(Opened),
    /// After RAKP 1.
    Challenged(Challenged),
    /// After Get Session Challenge of IPMI 1.5.
    ChallengedV15(ChallengeV15),
}

/// What Get Session Challenge gave out.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChallengeV15 {
    pub(super) user: UserId,
    pub(super) version: UserVersion,
    pub(super) challenge: [u8; 16],
}

/// A session that is half open.
pub(super) struct HalfOpen {
    pub(super) route: Route,
    network: Network,
    expires: Instant,
    pub(super) stage: Stage,
}

impl HalfOpen {
    fn peer(&self) -> SocketAddr {
        self.route.peer
    }
}

/// The pool.
pub(super) struct Pending {
    slots: Slots<HalfOpen>,
    /// Who was challenged and then forgotten, by its limit of time or of number.
    abandoned: VecDeque<(UserName, IpAddr)>,
}

impl Default for Pending {
    fn default() -> Self {
        Self { slots: Slots::new(POOL), abandoned: VecDeque::new() }
    }
}

impl Pending {
    /// Takes in a new one, and pushes out another if need be.
    pub(super) fn admit(&mut self, now: Instant, random: &mut Random, id: u32, route: Route, stage: Stage) {
        let network = Network::of(route.peer.ip());
        let of_socket = |entry: &HalfOpen| entry.peer() == route.peer;
        let of_network = |entry: &HalfOpen| entry.network == network;
        if self.count(of_socket) >= PER_SOCKET {
            let oldest = self.slots.iter().filter(|(_, entry)| of_socket(entry));
            let oldest = oldest.min_by_key(|(_, entry)| entry.expires).map(|(slot, _)| slot);
            self.forget(oldest);
        } else if self.count(of_network) >= PER_NETWORK {
            self.forget(self.pick(now, random, of_network));
        } else if self.slots.is_full() {
            self.forget(self.pick(now, random, |_| true));
        }
        let entry = HalfOpen { route, network, expires: now + LIFETIME, stage };
        // A slot was made free above.
        let _ = self.slots.insert(id, entry);
    }

    /// The half-open session with this id, if this peer began it.
    pub(super) fn find(&mut self, now: Instant, id: u32, peer: SocketAddr) -> Option<&mut HalfOpen> {
        let slot = self.slots.find(id)?;
        self.slots.get_mut(slot).filter(|entry| entry.peer() == peer && now < entry.expires)
    }

    /// Whether there is one with this id, whoever began it.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.slots.find(id).is_some()
    }

    /// The one that this peer opened under its own session id: its request comes again, because the
    /// response was lost.
    pub(super) fn opened_by(&self, now: Instant, peer: SocketAddr, console_session: u32) -> Option<&Opened> {
        self.slots.iter().find_map(|(_, entry)| match &entry.stage {
            Stage::Opened(opened)
                if entry.peer() == peer
                    && opened.console_session == console_session
                    && now < entry.expires =>
            {
                Some(opened)
            }
            _ => None,
        })
    }

    /// Removes one that has come to its end, whichever.
    pub(super) fn remove(&mut self, id: u32) {
        if let Some(slot) = self.slots.find(id) {
            self.slots.remove(slot);
        }
    }

    /// The next who was challenged and never answered.
    pub(super) fn take_abandoned(&mut self) -> Option<(UserName, IpAddr)> {
        self.abandoned.pop_front()
    }

    /// Forgets those whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        for slot in 0..self.slots.capacity() {
            if self.slots.get(slot).is_some_and(|entry| entry.expires <= now) {
                self.forget(Some(slot));
            }
        }
    }

    /// When the next one expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.slots.iter().map(|(_, entry)| entry.expires).min()
    }

    fn forget(&mut self, slot: Option<usize>) {
        let entry = slot.and_then(|slot| self.slots.remove(slot));
        if let Some(HalfOpen { stage: Stage::Challenged(challenged), route, .. }) = entry {
            self.abandoned.push_back((challenged.name(), route.peer.ip()));
        }
    }

    fn count(&self, of: impl Fn(&HalfOpen) -> bool) -> usize {
        self.slots.iter().filter(|(_, entry)| of(entry)).count()
    }

    /// One of those, at random: an expired one first, then one that was not challenged, then any.
    fn pick(&self, now: Instant, random: &mut Random, of: impl Fn(&HalfOpen) -> bool) -> Option<usize> {
        let expired = |entry: &HalfOpen| entry.expires <= now;
        let unchallenged = |entry: &HalfOpen| matches!(entry.stage, Stage::Opened(_));
        let classes: [&dyn Fn(&HalfOpen) -> bool; 3] = [&expired, &unchallenged, &|_| true];
        classes.into_iter().find_map(|class| {
            let count = self.count(|entry| of(entry) && class(entry));
            let nth = random.below(count);
            let mut candidates = self.slots.iter().filter(|(_, entry)| of(entry) && class(entry));
            candidates.nth(nth).map(|(slot, _)| slot)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use bmc::Users;

    use super::*;

    fn route(host: u32, port: u16) -> Route {
        Route { peer: SocketAddr::new(IpAddr::V4(Ipv4Addr::from_bits(host)), port), tag: 0 }
    }

    fn challenged() -> Stage {
        let user = UserId::new(2).unwrap();
        let version = Users::default().version(user);
        Stage::ChallengedV15(ChallengeV15 { user, version, challenge: [0; 16] })
    }

    fn opened() -> Stage {
        use crate::wire::open_session::{Algorithms, Request};
        let open = Algorithms { authentication: None, integrity: None, confidentiality: None };
        let request = Request { tag: 0, privilege: 0, console_session: 1, proposal: Ok(open) };
        Stage::Opened(Opened::new(&request, 1, &bmc::Lan::default()).unwrap())
    }

    #[test]
    fn a_socket_pushes_out_its_own_oldest() {
        let now = Instant::now();
        let (mut pending, mut random) = (Pending::default(), Random::new([0; 32]));
        pending.admit(now, &mut random, 1000, route(1, 2), challenged());
        for id in 1..=6 {
            let now = now + Duration::from_millis(u64::from(id));
            pending.admit(now, &mut random, id, route(1, 1), challenged());
        }
        let left: Vec<u32> = (1..=6).filter(|id| pending.contains(*id)).collect();
        assert_eq!(left, [3, 4, 5, 6]);
        assert!(pending.contains(1000));
    }

    #[test]
    fn a_network_pushes_out_none_but_its_own() {
        let now = Instant::now();
        let (mut pending, mut random) = (Pending::default(), Random::new([0; 32]));
        for id in 1..=100 {
            pending.admit(now, &mut random, id, route(id, 1), challenged());
        }
        for id in 101..=3_000 {
            pending.admit(now, &mut random, id, route(7, u16::try_from(id).unwrap()), opened());
        }
        assert!((1..=100).all(|id| pending.contains(id)));
        assert_eq!(pending.slots.len(), 100 + PER_NETWORK - 1, "host 7 had one before");
    }

    #[test]
    fn a_flood_from_everywhere_keeps_to_the_pool_and_leaves_the_challenged_alone() {
        let now = Instant::now();
        let (mut pending, mut random) = (Pending::default(), Random::new([0; 32]));
        pending.admit(now, &mut random, u32::MAX, route(0, 1), challenged());
        for id in 1..=4_000 {
            pending.admit(now, &mut random, id, route(id, 1), opened());
        }
        assert_eq!(pending.slots.len(), POOL);
        assert!(pending.contains(u32::MAX));
        let survivors = (1..=4_000).filter(|id| pending.contains(*id)).collect::<Vec<u32>>();
        assert!(survivors[0] < 4_000 - 512, "random picks leave some of the older ones");
    }

    #[test]
    fn ten_seconds_are_the_limit() {
        let now = Instant::now();
        let (mut pending, mut random) = (Pending::default(), Random::new([0; 32]));
        pending.admit(now, &mut random, 1, route(1, 1), opened());
        assert_eq!(pending.next_expiry(), Some(now + LIFETIME));
        let just_before = now + LIFETIME - Duration::from_millis(1);
        assert!(pending.find(just_before, 1, route(1, 1).peer).is_some());
        assert!(pending.find(now + LIFETIME, 1, route(1, 1).peer).is_none());
        pending.expire(just_before);
        assert!(pending.contains(1));
        pending.expire(now + LIFETIME);
        assert!(!pending.contains(1));
    }

    #[test]
    fn nobody_finds_what_another_peer_began() {
        let now = Instant::now();
        let (mut pending, mut random) = (Pending::default(), Random::new([0; 32]));
        pending.admit(now, &mut random, 1, route(1, 1), opened());
        assert!(pending.find(now, 1, route(1, 1).peer).is_some());
        assert!(pending.find(now, 1, route(1, 2).peer).is_none());
        assert!(pending.opened_by(now, route(1, 1).peer, 1).is_some());
        assert!(pending.opened_by(now, route(2, 1).peer, 1).is_none());
    }
}
