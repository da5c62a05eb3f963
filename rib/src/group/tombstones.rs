//! Routes that were told to be forgotten, until every member has read it.
//!
//! A tombstone names an entry of the Adj-RIB-Out and the segment that withdrew it. It holds the
//! destination, so that a member that walks can be told of prefixes that are gone from the table.
//! They are buried in the order of their segments, when the slowest member has passed.
//!
//! A route that flaps leaves a tombstone each time it goes, and only the last one means anything.
//! A member that never reads would make the queue as long as the history. So it is swept whenever
//! it has doubled: there is at most twice one tombstone per prefix, and a push still costs a
//! constant on average. What is left is bounded by the prefixes that went while the slowest
//! member did not read; the send hold timer (RFC 9687) bounds how long one may not read at all.

use std::collections::VecDeque;

use super::adjout::{AdjOut, OutEntry, OutId};

/// Tombstones below which a sweep is not worth its time.
const SWEEP_MIN: usize = 1024;

/// Entries told to be forgotten, by segment, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    queue: VecDeque<(u32, OutId)>,
    /// How many were left by the last sweep.
    swept: usize,
}

/// Whether the tombstone of `seq` is the last word on an entry: it may have been told again
/// since, or be about to.
pub(super) fn is_last_word(entry: &OutEntry, seq: u32) -> bool {
    entry.told().is_none() && entry.seq == seq
}

impl Tombstones {
    /// Notes that segment `seq` withdrew an entry.
    pub fn push(&mut self, seq: u32, id: OutId) {
        self.queue.push_back((seq, id));
    }

    /// The oldest, if its segment is not behind `passed`.
    pub fn pop_passed(&mut self, passed: u32) -> Option<(u32, OutId)> {
        let (seq, _) = self.queue.front()?;
        if *seq > passed {
            return None;
        }
        let oldest = self.queue.pop_front();
        if self.queue.is_empty() {
            *self = Self::default();
        }
        oldest
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops those that a later one, or an announcement, has made meaningless, if there may be
    /// many.
    pub fn sweep(&mut self, adj: &AdjOut) {
        if self.queue.len() < SWEEP_MIN.max(self.swept.saturating_mul(2)) {
            return;
        }
        self.queue
            .retain(|(seq, id)| adj.get(*id).is_some_and(|entry| is_last_word(entry, *seq)));
        self.queue.shrink_to(self.queue.len().saturating_mul(2));
        self.swept = self.queue.len();
    }

    /// Octets allocated.
    pub fn memory(&self) -> usize {
        self.queue.capacity() * size_of::<(u32, OutId)>()
    }
}
