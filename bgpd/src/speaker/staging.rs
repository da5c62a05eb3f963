//! What the speaker knows of the neighbors of the cluster: the facts by which a move from mesh to
//! reflectors goes on (see `cluster::mesh`), and what keeps it from losing a route at the last
//! moment.
//!
//! The rules live in `cluster` and work on facts that are some time old when their result arrives.
//! Two things are therefore decided here, at the moment itself. A session that a new configuration
//! leaves out is kept while a route of it is here by no other way
//! ([`keep_needed`](Speaker::keep_needed)). And when the other end of a session that is to end has
//! ended it, its routes stay for [`LINGER`]: what it announced in its last moment may still be on
//! its way through a reflector.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use cluster::{NeighborRole, SessionFact, Stage, Standing};
use proto_codec::afi::Family;
use rib::{Coverage, Staying};

use super::peers::Entry;
use super::{Due, Speaker};
use crate::config::{Config, Neighbor};

/// How long routes stay after the other end has ended a session that was to end.
pub(super) const LINGER: Duration = Duration::from_secs(10);
/// When a session that could not end yet is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// A neighbor that is not in sync for this long is waited for no longer.
pub const LATE_AFTER: Duration = Duration::from_secs(60);
/// A neighbor that says nothing is waited for this long.
pub const SILENT_AFTER: Duration = Duration::from_secs(300);

/// Since when things are as they are.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// The cluster says the same of the session.
    pub standing: Instant,
    /// The session is up, or down.
    pub session: Instant,
}

impl Since {
    /// All of it begins now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            standing: now,
            session: now,
        }
    }
}

impl Speaker {
    /// What is known of the neighbors of the cluster, and those of them whose sessions stay.
    #[must_use]
    pub fn cluster_sessions(&self, now: Instant) -> (BTreeMap<IpAddr, SessionFact>, Vec<IpAddr>) {
        let (slots, addresses) = self.staying(|_| true);
        let moving = self.peers.iter().any(|entry| {
            standing(&entry.neighbor).is_some_and(|standing| standing.stage != Stage::Stays)
        });
        // Without a move nobody asks what would be lost with whom.
        let coverage = match moving {
            true => self.rib.coverage(&slots),
            false => Vec::new(),
        };
        let entries = self.peers.iter();
        let facts = entries.map(|entry| {
            let found = coverage.get(entry.slot.index()).copied();
            let fact = self.session_fact(now, entry, found.unwrap_or_default());
            (entry.address, fact)
        });
        (facts.collect(), addresses)
    }

    /// Neighbors of the cluster whose sessions are up and stay, of those that `counts` says: as
    /// peers, and the addresses of those that stay with all they send, in order.
    fn staying(&self, counts: impl Fn(IpAddr) -> bool) -> (Staying, Vec<IpAddr>) {
        let (mut staying, mut addresses) = (Staying::default(), Vec::new());
        for entry in self.peers.iter().filter(|it| counts(it.address)) {
            let standing = standing(&entry.neighbor).unwrap_or_default();
            if !entry.is_up() || standing.role == NeighborRole::Configured {
                continue;
            }
            match standing.stage {
                Stage::Ends => {}
                Stage::StopsReflecting => staying.own.push(entry.slot),
                Stage::Stays | Stage::Released => {
                    staying.all.push(entry.slot);
                    addresses.push(entry.address);
                }
            }
        }
        staying.all.sort_unstable();
        staying.own.sort_unstable();
        (staying, addresses)
    }

    fn session_fact(&self, now: Instant, entry: &Entry, found: Coverage) -> SessionFact {
        let standing = standing(&entry.neighbor);
        let is_in_sync = self.is_in_sync(entry);
        let alone = match standing.unwrap_or_default().stage {
            Stage::StopsReflecting => found.reflected_alone,
            _ => found.alone,
        };
        let for_long = |since: Instant, time| now.saturating_duration_since(since) >= time;
        SessionFact {
            is_up: entry.is_up(),
            is_in_sync,
            peer_retires: found.routes > 0 && found.plain == 0,
            standing,
            is_covered: alone == 0,
            reflects: found.reflected > 0,
            is_late: !is_in_sync && for_long(entry.times.session, LATE_AFTER),
            has_waited: for_long(entry.times.standing, SILENT_AFTER),
        }
    }

    /// End-of-RIB came for every family, ours was sent, and nothing waits to be sent.
    fn is_in_sync(&self, entry: &Entry) -> bool {
        let Some(up) = &entry.up else {
            return false;
        };
        let families = up.established.negotiated.families;
        let told = Family::ALL.into_iter().all(|family| {
            let both = family.pick(up.end_of_rib) && family.pick(up.end_of_rib_sent);
            both || !family.pick(families)
        });
        let stats = || self.rib.peer_stats(entry.slot);
        told && stats().is_some_and(|stats| stats.waiting == [0; 2])
    }

    /// Puts neighbors back into a new configuration that it leaves out too early: sessions that
    /// were to end when nothing of them is needed, and something is.
    pub(super) fn keep_needed(&mut self, now: Instant, config: &mut Config) {
        let ends =
            |neighbor: &Neighbor| standing(neighbor).is_some_and(|it| it.stage == Stage::Ends);
        let wanted: BTreeSet<IpAddr> = config.neighbors.iter().filter_map(address).collect();
        let left_out = |entry: &&Entry| ends(&entry.neighbor) && !wanted.contains(&entry.address);
        if !self.peers.iter().any(|entry| left_out(&entry)) {
            return;
        }
        let (staying, _) = self.staying(|address| wanted.contains(&address));
        let coverage = self.rib.coverage(&staying);
        let before = config.neighbors.len();
        for entry in self.peers.iter().filter(left_out) {
            let found = coverage.get(entry.slot.index());
            let waited = now.saturating_duration_since(entry.times.standing);
            if found.is_some_and(|found| found.alone > 0) && waited < SILENT_AFTER {
                config.neighbors.push(entry.neighbor.clone());
            }
        }
        let again = now + LOOK_AGAIN;
        let kept = config.neighbors.len() > before;
        self.deadlines.set(Due::Needed, kept.then_some(again));
    }
}

/// Whether the routes of a session stay for a while after it, because it was to end anyway.
pub(super) fn lingers(neighbor: &Neighbor) -> bool {
    standing(neighbor).is_some_and(|standing| standing.stage == Stage::Ends && standing.retires)
}

/// Whether the neighbor stops reflecting and has been told that we can do without. A route that it
/// began to reflect now could be gone before it is here by the session with its origin.
pub(super) fn ignores_reflected(neighbor: &Neighbor) -> bool {
    standing(neighbor).is_some_and(|it| it.stage == Stage::StopsReflecting && it.retires)
}

fn address(neighbor: &Neighbor) -> Option<IpAddr> {
    neighbor.address.addr()
}

/// What the cluster says of a neighbor's session.
fn standing(neighbor: &Neighbor) -> Option<Standing> {
    neighbor.settings.standing
}
