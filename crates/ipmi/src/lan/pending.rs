//! Half-open sessions: what Open Session Request or Get Session Challenge began and nobody has finished.
//!
//! Anybody can begin one, with any source address. So they live in a table of their own, from which no
//! active session can be pushed out, and a flood finds these limits:
//!
//! * each is forgotten after 10 s;
//! * one socket address has at most [`PER_SOCKET`]: its oldest goes when it begins one more;
//! * a network (see [`Network`]) belongs to one of a few buckets, by a secret hash. When the bucket is
//!   full, one of those in it goes that is picked at random, and as long as there are any, among those
//!   that have not come to a challenge. So a flood from one network is no concern of the others, and
//!   what one packet costs does not depend on how many there are.
//!
//! At random, not the oldest: with the oldest, a flood of n packets per second turns a table of N over
//! in N/n seconds and *nobody* finishes who needs longer; with random picks, a good user survives k
//! packets of the flood with (1 - 1/N)^k, which for the millisecond that a handshake takes is close to
//! one. Who has come to a challenge has shown that answers reach it and that it knows a user's name,
//! which a flood with forged addresses can't.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
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
const BUCKETS: usize = 8;
const PER_BUCKET: usize = 128;
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
    expires: Instant,
    pub(super) stage: Stage,
}

impl HalfOpen {
    fn peer(&self) -> SocketAddr {
        self.route.peer
    }

    fn is_expired(&self, now: Instant) -> bool {
        self.expires <= now
    }

    fn is_unchallenged(&self) -> bool {
        matches!(self.stage, Stage::Opened(_))
    }
}

/// The table.
pub(super) struct Pending {
    buckets: [Slots<HalfOpen>; BUCKETS],
    hash_key: u64,
    /// Who was challenged and then forgotten, by its limit of time or of number.
    abandoned: VecDeque<(UserName, IpAddr)>,
}

impl Pending {
    pub(super) fn new(random: &mut Random) -> Self {
        Self {
            buckets: std::array::from_fn(|_| Slots::new(PER_BUCKET)),
            hash_key: random.number(),
            abandoned: VecDeque::new(),
        }
    }

    /// Takes in a new one, and pushes out another if need be.
    pub(super) fn admit(&mut self, now: Instant, random: &mut Random, id: u32, route: Route, stage: Stage) {
        let bucket = self.bucket(route.peer);
        let victim = self.buckets.get(bucket).and_then(|slots| victim(slots, now, route.peer, random));
        self.forget(bucket, victim);
        if let Some(slots) = self.buckets.get_mut(bucket) {
            // There is a free slot now.
            let _ = slots.insert(id, HalfOpen { route, expires: now + LIFETIME, stage });
        }
    }

    /// The half-open session with this id, if this peer began it.
    pub(super) fn find(&mut self, now: Instant, id: u32, peer: SocketAddr) -> Option<&mut HalfOpen> {
        let bucket = self.bucket(peer);
        let slots = self.buckets.get_mut(bucket)?;
        let slot = slots.find(id)?;
        slots.get_mut(slot).filter(|entry| entry.peer() == peer && !entry.is_expired(now))
    }

    /// Whether there is one with this id, whoever began it.
    pub(super) fn contains(&self, id: u32) -> bool {
        self.buckets.iter().any(|slots| slots.find(id).is_some())
    }

    /// The one that this peer opened under its own session id: its request comes again, because the
    /// response was lost.
    pub(super) fn opened_by(&self, now: Instant, peer: SocketAddr, console_session: u32) -> Option<&Opened> {
        self.buckets.get(self.bucket(peer))?.iter().find_map(|(_, entry)| match &entry.stage {
            Stage::Opened(opened)
                if entry.peer() == peer
                    && opened.console_session == console_session
                    && !entry.is_expired(now) =>
            {
                Some(opened)
            }
            _ => None,
        })
    }

    /// Removes one that has come to its end, whichever.
    pub(super) fn remove(&mut self, id: u32, peer: SocketAddr) {
        let bucket = self.bucket(peer);
        if let Some(slots) = self.buckets.get_mut(bucket)
            && let Some(slot) = slots.find(id)
        {
            slots.remove(slot);
        }
    }

    /// The next who was challenged and never answered.
    pub(super) fn take_abandoned(&mut self) -> Option<(UserName, IpAddr)> {
        self.abandoned.pop_front()
    }

    /// Forgets those whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        for bucket in 0..BUCKETS {
            for slot in 0..PER_BUCKET {
                let entry = self.buckets.get(bucket).and_then(|slots| slots.get(slot));
                if entry.is_some_and(|entry| entry.is_expired(now)) {
                    self.forget(bucket, Some(slot));
                }
            }
        }
    }

    /// When the next one expires.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.buckets.iter().flat_map(Slots::iter).map(|(_, entry)| entry.expires).min()
    }

    fn bucket(&self, peer: SocketAddr) -> usize {
        let mut hasher = DefaultHasher::new();
        (self.hash_key, Network::of(peer.ip())).hash(&mut hasher);
        usize::try_from(hasher.finish() % BUCKETS as u64).unwrap_or(0)
    }

    fn forget(&mut self, bucket: usize, slot: Option<usize>) {
        let slots = self.buckets.get_mut(bucket);
        let entry = slots.zip(slot).and_then(|(slots, slot)| slots.remove(slot));
        if let Some(HalfOpen { stage: Stage::Challenged(challenged), route, .. }) = entry {
            self.abandoned.push_back((challenged.name(), route.peer.ip()));
        }
    }
}

/// Which one a peer's next one pushes out, if any: its own oldest if it has its share; else, if there is
/// no room, at random an expired one, else one that was not challenged, else any.
fn victim(slots: &Slots<HalfOpen>, now: Instant, peer: SocketAddr, random: &mut Random) -> Option<usize> {
    let (mut of_peer, mut oldest) = (0, None::<(Instant, usize)>);
    let (mut expired, mut unchallenged) = (0, 0);
    for (slot, entry) in slots.iter() {
        if entry.peer() == peer {
            of_peer += 1;
            oldest = Some(oldest.map_or((entry.expires, slot), |oldest| oldest.min((entry.expires, slot))));
        }
        expired += usize::from(entry.is_expired(now));
        unchallenged += usize::from(entry.is_unchallenged());
    }
    if of_peer >= PER_SOCKET {
        return oldest.map(|(_, slot)| slot);
    }
    if !slots.is_full() {
        return None;
    }
    let (candidates, class): (usize, fn(&HalfOpen, Instant) -> bool) = match (expired, unchallenged) {
        (1.., _) => (expired, HalfOpen::is_expired),
        (_, 1..) => (unchallenged, |entry, _| entry.is_unchallenged()),
        _ => (slots.len(), |_, _| true),
    };
    let nth = random.below(candidates);
    slots.iter().filter(|(_, entry)| class(entry, now)).nth(nth).map(|(slot, _)| slot)
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

    fn pending() -> (Pending, Random) {
        let mut random = Random::new([0; 32]);
        (Pending::new(&mut random), random)
    }

    fn count(pending: &Pending) -> usize {
        pending.buckets.iter().map(Slots::len).sum()
    }

    #[test]
    fn a_socket_pushes_out_its_own_oldest() {
        let now = Instant::now();
        let (mut pending, mut random) = pending();
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
    fn a_flood_from_one_network_keeps_to_its_bucket() {
        let now = Instant::now();
        let (mut pending, mut random) = pending();
        for id in 1..=100 {
            pending.admit(now, &mut random, id, route(id, 1), opened());
        }
        let flooded = pending.bucket(route(1000, 1).peer);
        for port in 1..=3_000 {
            pending.admit(now, &mut random, 1000 + u32::from(port), route(1000, port), opened());
        }
        let elsewhere = (1..=100).filter(|id| pending.bucket(route(*id, 1).peer) != flooded);
        assert!(elsewhere.clone().count() > 50 && elsewhere.clone().all(|id| pending.contains(id)));
        assert!(count(&pending) <= 100 + PER_BUCKET);
    }

    #[test]
    fn a_flood_from_everywhere_keeps_to_the_table_and_leaves_the_challenged_alone() {
        let now = Instant::now();
        let (mut pending, mut random) = pending();
        pending.admit(now, &mut random, u32::MAX, route(0, 1), challenged());
        for id in 1..=4_000 {
            pending.admit(now, &mut random, id, route(id, 1), opened());
        }
        assert_eq!(count(&pending), BUCKETS * PER_BUCKET);
        assert!(pending.contains(u32::MAX));
        let oldest = (1..=4_000).find(|id| pending.contains(*id)).unwrap();
        assert!(oldest < 4_000 - 1_024, "random picks leave some of the older ones");
    }

    #[test]
    fn ten_seconds_are_the_limit() {
        let now = Instant::now();
        let (mut pending, mut random) = pending();
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
        let (mut pending, mut random) = pending();
        pending.admit(now, &mut random, 1, route(1, 1), opened());
        assert!(pending.find(now, 1, route(1, 1).peer).is_some());
        assert!(pending.find(now, 1, route(1, 2).peer).is_none());
        assert!(pending.opened_by(now, route(1, 1).peer, 1).is_some());
        assert!(pending.opened_by(now, route(2, 1).peer, 1).is_none());
    }
}
