//! End-of-RIB that means it.
//!
//! With `[kubernetes]` a start has two halves: the sessions are up in a second, the objects may
//! take longer to come. A neighbor that kept our routes over a restart (RFC 4724 §4.2) drops at
//! End-of-RIB what we have not said again, so End-of-RIB before the objects are known withdraws
//! every service. It is therefore held back until the planner has said all there is, and
//! for `sync-time` at most (§4.1: "there SHOULD be an upper bound"). Routes are told meanwhile as
//! they come.
//!
//! The planner has the clock of `sync-time`: when it is over, what is known is planned, told, and
//! called complete, in this order. The clock here is for a planner that says nothing at all, and
//! so it is behind the other one.

use std::time::{Duration, Instant};

use proto_codec::afi::Family;
use proto_codec::bgp::encode_end_of_rib;

use super::{Due, Speaker};

/// How much longer than `sync-time` a planner is waited for that does not say that it is over.
const PLANNER_TIME: Duration = Duration::from_secs(10);
/// What shards have decided when the objects are complete may still be on its way here.
const SHARDS_TIME: Duration = Duration::from_secs(1);

impl Speaker {
    /// Starts to hold End-of-RIB back, if objects are waited for.
    pub(super) fn begin_completion(&mut self, now: Instant) {
        if let Some(table) = &self.config.kubernetes {
            self.holds_end_of_rib = true;
            let until = now + table.sync_time + PLANNER_TIME;
            self.deadlines.set(Due::Complete, Some(until));
        }
    }

    /// Everything there is to announce was told: End-of-RIB may go.
    pub fn objects_complete(&mut self, now: Instant) {
        if !self.holds_end_of_rib {
            return;
        }
        if self.rib.is_sharded() {
            self.deadlines.set(Due::Complete, Some(now + SHARDS_TIME));
            self.rib.settle();
        } else {
            self.release_end_of_rib(now);
        }
    }

    /// Whether End-of-RIB waits for the objects of the cluster.
    #[must_use]
    pub fn waits_for_objects(&self) -> bool {
        self.holds_end_of_rib
    }

    pub(super) fn release_end_of_rib(&mut self, now: Instant) {
        self.deadlines.set(Due::Complete, None);
        self.touch(now);
        // What was told before is in the queues before End-of-RIB is.
        self.settle(now);
        self.holds_end_of_rib = false;
        for slot in self.peers.slots() {
            let waits = self
                .peers
                .get(slot)
                .and_then(|entry| entry.up.as_ref())
                .filter(|up| up.end_of_rib_held.contains(&true));
            if let Some(conn) = waits.map(|up| up.conn)
                && self.conns.mark_ready(conn)
            {
                self.out.ready.push_back(conn);
            }
        }
    }
}

impl super::peers::Up {
    /// Keeps an End-of-RIB for later.
    pub(super) fn hold_end_of_rib(&mut self, family: Family) {
        if let Some(held) = self.end_of_rib_held.get_mut(family.index()) {
            *held = true;
        }
    }

    /// An End-of-RIB that was kept.
    pub(super) fn take_end_of_rib(&mut self) -> Option<bytes::Bytes> {
        let family = Family::ALL
            .into_iter()
            .find(|family| family.pick(self.end_of_rib_held))?;
        if let Some(held) = self.end_of_rib_held.get_mut(family.index()) {
            *held = false;
        }
        self.note_end_of_rib_sent(family);
        let mut message = bytes::BytesMut::new();
        encode_end_of_rib(family, &mut message);
        Some(message.freeze())
    }
}
