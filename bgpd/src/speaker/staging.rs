//! What the speaker knows of the neighbors of the cluster: the facts by which a move from mesh to
//! reflectors goes on (see `cluster::mesh`), and what keeps it from losing a route at the last
//! moment.
//!
//! The rules live in `cluster` and work on facts that are some time old when their result arrives.
//! Two things are therefore decided here, at the moment itself. A session that a new configuration
//! leaves out is kept while a route of it is here by no other way
//! ([`keep_needed`](Speaker::keep_needed)). And when the other end of a session that is to end has
//! ended it, its routes stay for [`LINGER`]: what it announced in its last moment may still be on
//! its way through a reflector. A node that died ended nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use cluster::{NeighborRole, SessionFact, Stage, Standing};
use proto_codec::afi::Family;
use proto_codec::bgp::notification::code;
use rib::{Coverage, Staying};

use super::peers::{Entry, Up};
use super::{Due, Speaker};
use crate::config::{Config, Neighbor};
use crate::session::{Cause, DownReason};

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
    /// It was in sync last: when that session went down, else when the neighbor was made. A
    /// neighbor that comes and goes gains no time by it.
    pub synced: Instant,
    /// It is kept although a configuration leaves it out.
    pub kept: Option<Instant>,
}

impl Since {
    /// All of it begins now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            standing: now,
            synced: now,
            kept: None,
        }
    }

    /// A configuration leaves the neighbor out and something of it is needed: whether it is kept
    /// once more. The wait begins here and not with the move, which may have taken long.
    fn may_keep(&mut self, now: Instant) -> bool {
        let first = *self.kept.get_or_insert(now);
        now.saturating_duration_since(first) < SILENT_AFTER
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
        let is_in_sync = self.is_in_sync(now, entry);
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
            is_late: !is_in_sync && for_long(entry.times.synced, LATE_AFTER),
            has_waited: for_long(entry.times.standing, SILENT_AFTER),
        }
    }

    /// End-of-RIB came for every family, ours was sent, and nothing waits to be sent.
    fn is_in_sync(&self, now: Instant, entry: &Entry) -> bool {
        let told = entry.up.as_ref().is_some_and(|up| is_told(up, now));
        let stats = || self.rib.peer_stats(entry.slot);
        told && stats().is_some_and(|stats| stats.waiting == [0; 2])
    }

    /// Puts neighbors back into a new configuration that it leaves out too early: sessions that
    /// were to end when nothing of them is needed, and something is.
    pub(super) fn keep_needed(&mut self, now: Instant, config: &mut Config) {
        let ends =
            |neighbor: &Neighbor| standing(neighbor).is_some_and(|it| it.stage == Stage::Ends);
        let wanted: BTreeSet<IpAddr> = config.neighbors.iter().filter_map(address).collect();
        let mut left_out = Vec::new();
        for slot in self.peers.slots() {
            let Some(entry) = self.peers.get_mut(slot) else {
                continue;
            };
            if wanted.contains(&entry.address) {
                entry.times.kept = None;
            } else if ends(&entry.neighbor) {
                left_out.push(slot);
            }
        }
        if left_out.is_empty() {
            self.deadlines.set(Due::Needed, None);
            return;
        }
        let (staying, _) = self.staying(|address| wanted.contains(&address));
        let coverage = self.rib.coverage(&staying);
        let before = config.neighbors.len();
        for slot in left_out {
            let found = coverage.get(slot.index());
            if let Some(entry) = self.peers.get_mut(slot)
                && found.is_some_and(|found| found.alone > 0)
                && entry.times.may_keep(now)
            {
                config.neighbors.push(entry.neighbor.clone());
            }
        }
        let again = now + LOOK_AGAIN;
        let kept = config.neighbors.len() > before;
        self.deadlines.set(Due::Needed, kept.then_some(again));
    }
}

/// Whether the neighbor has everything of ours and we have everything of its. One without graceful
/// restart may never say End-of-RIB: it counts when it is quiet, and at last in any case.
pub(super) fn is_told(up: &Up, now: Instant) -> bool {
    let for_long = |since: Instant, time| now.saturating_duration_since(since) >= time;
    let restarts = up.established.remote_open.graceful_restart().is_some();
    let is_quiet = for_long(up.last_update, LATE_AFTER) || for_long(up.since, SILENT_AFTER);
    let families = up.established.negotiated.families;
    Family::ALL.into_iter().all(|family| {
        let came = family.pick(up.end_of_rib) || (is_quiet && !restarts);
        (came && family.pick(up.end_of_rib_sent)) || !family.pick(families)
    })
}

/// Whether the routes of a session stay for a while after it, because it was to end anyway and the
/// other end has ended it.
pub(super) fn lingers(neighbor: &Neighbor, cause: &Cause) -> bool {
    let ends = standing(neighbor).is_some_and(|it| it.stage == Stage::Ends && it.retires);
    ends && is_ended_by_them(cause)
}

/// Whether the other end has closed the session, and not we one that said nothing any more.
fn is_ended_by_them(cause: &Cause) -> bool {
    match &cause.reason {
        Some(DownReason::Received(notification)) => notification.code == code::CEASE,
        Some(DownReason::Closed | DownReason::Failed(ErrorKind::ConnectionReset)) => true,
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use proto_codec::bgp::Notification;
    use proto_codec::bgp::notification::CeaseSubcode;

    use super::*;
    use crate::session::Event;

    #[test]
    fn what_is_needed_is_kept_from_the_first_refusal_on_however_long_the_move_took() {
        let start = Instant::now();
        let mut times = Since::new(start);
        let late = start + SILENT_AFTER + Duration::from_secs(1);
        assert!(times.may_keep(late));
        assert!(times.may_keep(late + SILENT_AFTER - LOOK_AGAIN));
        assert!(
            !times.may_keep(late + SILENT_AFTER),
            "nobody is kept for ever"
        );
    }

    #[test]
    fn routes_linger_only_where_the_other_end_has_ended_the_session() {
        let cease = Notification::cease(CeaseSubcode::PeerDeconfigured);
        let expired = Notification::new(code::HOLD_TIMER_EXPIRED, 0);
        for (reason, lingers) in [
            (DownReason::Received(cease.clone()), true),
            (DownReason::Closed, true),
            (DownReason::Failed(ErrorKind::ConnectionReset), true),
            (DownReason::Received(expired.clone()), false),
            (DownReason::Sent(expired), false),
            (DownReason::Sent(cease), false),
            (DownReason::Failed(ErrorKind::HostUnreachable), false),
        ] {
            let cause = Cause {
                event: Event::TcpConnectionFails,
                reason: Some(reason),
            };
            assert_eq!(is_ended_by_them(&cause), lingers, "{cause:?}");
        }
    }
}
