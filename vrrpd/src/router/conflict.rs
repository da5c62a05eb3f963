//! What looks wrong with the segment: who, since when, how often and why.
//!
//! Two masters beside each other always have a cause that one of them can see: an advert it
//! discards, an interval, a checksum or a list that differs, or an answer that never changes
//! anything because the other side does not hear it. Each is kept per peer and kind. A single
//! sighting of a second master is the normal end of an election, so it is told from the second on.
//! A conflict that is not seen for [`GONE_AFTER`] is resolved.
//!
//! Whoever sends from ever new addresses fills neither memory nor log: the list is bounded, no
//! entry makes room before it is old, and no more than [`NEW_MAX`] begin in [`TOLD_EVERY`]. What
//! finds no room is counted.

use std::fmt;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Conflicts kept at once. When full, the one seen longest ago makes room if it is older than
/// [`GONE_AFTER`]: one that is evicted earlier would be new again, and told again.
const CONFLICTS_MAX: usize = 16;

/// Conflicts that may begin within [`TOLD_EVERY`].
const NEW_MAX: u32 = 8;

/// Discards of one reason are told at most this often.
pub const TOLD_EVERY: Duration = Duration::from_secs(10);

/// A conflict ends when it was not seen for so long, or four intervals when those are longer.
pub const GONE_AFTER: Duration = Duration::from_secs(10);

/// What kind of conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictKind {
    /// We are master and so is a worse peer: it does not hear us, or discards what we send.
    TwoMasters,
    /// We and a peer both claim to own the addresses (priority 255, erratum 8298).
    TwoOwners,
    /// The peer advertises another interval (version 3).
    Interval,
    /// The peer sends the other reading of the checksum; it may not accept ours.
    Checksum,
    /// The peer has another address list.
    Addresses,
    /// The peer has none of our addresses: another group took our vrid, or we took its.
    Vrid,
    /// The peer's clock is off by more than half of what its signed adverts may be.
    Clock,
    /// Its adverts are discarded; the name of the reason.
    Discarded(&'static str),
}

impl ConflictKind {
    /// A stable word for views and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TwoMasters => "two-masters",
            Self::TwoOwners => "two-owners",
            Self::Interval => "interval-differs",
            Self::Checksum => "checksum-differs",
            Self::Addresses => "addresses-differ",
            Self::Vrid => "duplicate-vrid",
            Self::Clock => "clock-differs",
            Self::Discarded(reason) => reason,
        }
    }

    /// How many sightings make it worth an event.
    fn told_from(&self) -> u64 {
        match self {
            Self::TwoMasters => 2,
            _ => 1,
        }
    }
}

/// One conflict with one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// With whom.
    pub peer: IpAddr,
    /// What.
    pub kind: ConflictKind,
    /// The facts, in words.
    pub detail: String,
    /// First seen.
    pub since: Instant,
    /// Last seen.
    pub last: Instant,
    /// How often.
    pub count: u64,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.peer, self.detail)
    }
}

/// The conflicts of one virtual router.
#[derive(Clone, Debug, Default)]
pub(super) struct Conflicts {
    list: Vec<Conflict>,
    /// When the first of the present ration began, and how many did.
    ration: Option<(Instant, u32)>,
    /// Sightings that found no room.
    untold: u64,
}

impl Conflicts {
    /// A sighting; the conflict comes back when it has become worth telling.
    pub fn see(
        &mut self,
        now: Instant,
        peer: IpAddr,
        kind: ConflictKind,
        detail: impl FnOnce() -> String,
    ) -> Option<Conflict> {
        let known = self
            .list
            .iter_mut()
            .find(|one| one.peer == peer && one.kind == kind);
        let conflict = match known {
            Some(conflict) => {
                conflict.last = now;
                conflict.count += 1;
                &*conflict
            }
            None => {
                if !self.make_room(now) {
                    self.untold += 1;
                    return None;
                }
                self.list.push(Conflict {
                    peer,
                    kind,
                    detail: detail(),
                    since: now,
                    last: now,
                    count: 1,
                });
                self.list.last()?
            }
        };
        (conflict.count == kind.told_from()).then(|| conflict.clone())
    }

    /// Whether one more may begin.
    fn make_room(&mut self, now: Instant) -> bool {
        let (began, new) = self
            .ration
            .filter(|(began, _)| now.saturating_duration_since(*began) < TOLD_EVERY)
            .unwrap_or((now, 0));
        if new >= NEW_MAX {
            return false;
        }
        if self.list.len() >= CONFLICTS_MAX {
            let oldest = self.list.iter().enumerate().min_by_key(|(_, one)| one.last);
            let old = |one: &Conflict| now.saturating_duration_since(one.last) >= GONE_AFTER;
            match oldest.filter(|(_, one)| old(one)).map(|(at, _)| at) {
                Some(at) => self.list.remove(at),
                None => return false,
            };
        }
        self.ration = Some((began, new + 1));
        true
    }

    /// Sightings that found no room: somebody sends from ever new addresses.
    pub fn untold(&self) -> u64 {
        self.untold
    }

    /// Takes out what was not seen for `gone_after`; those that were told come back.
    pub fn expire(&mut self, now: Instant, gone_after: Duration) -> Vec<Conflict> {
        let gone = |one: &mut Conflict| now.saturating_duration_since(one.last) >= gone_after;
        let mut ended: Vec<Conflict> = self.list.extract_if(.., gone).collect();
        ended.retain(|one| one.count >= one.kind.told_from());
        ended
    }

    /// Those worth telling, in the order they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = &Conflict> {
        self.list
            .iter()
            .filter(|one| one.count >= one.kind.told_from())
    }
}
