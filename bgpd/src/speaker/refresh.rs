//! Route refresh, and what a neighbor may ask of us by it (RFC 2918, RFC 7313).
//!
//! A ROUTE-REFRESH is 23 octets and asks for a whole table; a BoRR is as short and makes us look at
//! one twice. Either can be sent as fast as a link carries it. So both are heeded at intervals:
//!
//! - A *request* is answered at once, and the next one not before [`REFRESH_OUT_EVERY`] has passed;
//!   whatever is asked for in between is one answer then. Nothing is lost by that: the answer is
//!   the table as it is after the last request. Without it a neighbor that asks all the time gets
//!   a processor for itself, and makes each change a segment of its own in the log of its update
//!   group, which others then fall behind.
//! - A *BoRR* that comes within [`REFRESH_IN_EVERY`] of another is ignored, and with it the purge
//!   at its EoRR: the routes of the refresh count all the same (RFC 2918).

use std::time::{Duration, Instant};

use proto_codec::afi::Family;
use proto_codec::bgp::{RefreshSubtype, RouteRefresh};
use rib::PeerSlot;

use super::{Due, Speaker};

/// Time between two answers to requests of a neighbor for one family.
const REFRESH_OUT_EVERY: Duration = Duration::from_secs(5);
/// Time between two beginnings of a refresh that are heeded.
const REFRESH_IN_EVERY: Duration = Duration::from_secs(10);

/// Refreshes of a session, per family.
#[derive(Debug, Default)]
pub struct Refreshes {
    /// When the neighbor last began to send everything again (BoRR).
    begun: [Option<Instant>; 2],
    /// When we last began to do so.
    answered: [Option<Instant>; 2],
    /// It has asked since.
    owed: [bool; 2],
}

impl Refreshes {
    /// Whether a BoRR is heeded.
    fn begins(&mut self, now: Instant, family: Family) -> bool {
        let Some(last) = self.begun.get_mut(family.index()) else {
            return false;
        };
        let heeded = last.is_none_or(|last| now >= last + REFRESH_IN_EVERY);
        if heeded {
            *last = Some(now);
        }
        heeded
    }

    /// The neighbor wants to be told everything of a family.
    fn ask(&mut self, family: Family) {
        if let Some(owed) = self.owed.get_mut(family.index()) {
            *owed = true;
        }
    }

    /// Whether an answer is owed and may go out; it counts as given then.
    fn answer(&mut self, now: Instant, family: Family) -> bool {
        let due = self
            .due(family)
            .is_some_and(|due| now >= due.unwrap_or(now));
        if due
            && let (Some(answered), Some(owed)) = (
                self.answered.get_mut(family.index()),
                self.owed.get_mut(family.index()),
            )
        {
            (*answered, *owed) = (Some(now), false);
        }
        due
    }

    /// When the next answer may go out: `None` when none is owed, `Some(None)` for at once.
    fn due(&self, family: Family) -> Option<Option<Instant>> {
        let last = family.pick(self.answered);
        let wait = last.map(|last| last + REFRESH_OUT_EVERY);
        family.pick(self.owed).then_some(wait)
    }
}

impl Speaker {
    /// RFC 2918 §4 and RFC 7313 §4.
    pub(super) fn refresh_asked(&mut self, now: Instant, slot: PeerSlot, refresh: &RouteRefresh) {
        let Some(family) = Family::from_afi_safi(refresh.afi_safi) else {
            return;
        };
        let entry = self.peers.get_mut(slot);
        let Some(up) = entry.and_then(|entry| entry.up.as_mut()) else {
            return;
        };
        match refresh.subtype {
            RefreshSubtype::Request => {
                up.refreshes.ask(family);
                return self.answer_refreshes(now, slot);
            }
            RefreshSubtype::Begin if !up.refreshes.begins(now, family) => return,
            RefreshSubtype::Begin => self.rib.begin_refresh_in(slot, family),
            RefreshSubtype::End => self.rib.end_refresh_in(slot, family),
            RefreshSubtype::Unknown(_) => return,
        }
        self.touch(now);
    }

    /// Sends what was asked for, if it is time, and else comes back when it is.
    pub(super) fn answer_refreshes(&mut self, now: Instant, slot: PeerSlot) {
        let entry = self.peers.get_mut(slot);
        let Some(up) = entry.and_then(|entry| entry.up.as_mut()) else {
            return;
        };
        let enhanced = up.established.negotiated.enhanced_refresh;
        let mut answered = false;
        for family in Family::ALL {
            if up.refreshes.answer(now, family) {
                self.rib.refresh_out(slot, family, enhanced);
                answered = true;
            }
        }
        let waits = Family::ALL.map(|family| up.refreshes.due(family).flatten());
        let next = waits.into_iter().flatten().min();
        self.deadlines.set(Due::Refresh(slot), next);
        if answered {
            self.touch(now);
        }
    }
}
