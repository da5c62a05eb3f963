//! How much a member has still to be sent, as an operator wants to know it.
//!
//! Nothing is queued for a member: it has a place in the log or in a walk, and messages are made
//! when its socket takes them. What a queue would hold is therefore estimated from the distance
//! that is left, in messages of [`MESSAGE_OCTETS`]: exact to a message or so where it is zero or
//! small, and the right size where it is large. It costs a look at the segments of the log, of
//! which there are a few dozen at most.

use super::Group;
use super::member::State;
use crate::peer::PeerSlot;

/// A full message (RFC 4271 §4.1).
const MESSAGE_OCTETS: usize = 4096;
/// Routes of one message where neighbors share attributes, about.
const MESSAGE_ROUTES: usize = 512;

impl Group {
    /// UPDATEs the member has still to be sent, about; 0 exactly when it has been told everything.
    pub fn waiting_for(&self, slot: PeerSlot) -> u64 {
        let Some(member) = self.members.get(&slot) else {
            return 0;
        };
        let alone = member.private_len() + usize::from(member.marker.is_some());
        let unread = |from: u32| -> usize {
            let segments = (from.max(self.log.oldest())..=self.log.newest())
                .filter_map(|seq| self.log.get(seq));
            segments
                .map(|segment| segment.bytes.len().div_ceil(MESSAGE_OCTETS))
                .sum()
        };
        let told = match member.state {
            State::Attached { seq, .. } => unread(seq),
            State::Walking(walk) => {
                let left = self.adj.len().saturating_sub(walk.place());
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                left.div_ceil(MESSAGE_ROUTES) + unread(walk.target.saturating_add(1))
            }
        };
        let pending =
            self.adj.pending.len().div_ceil(MESSAGE_ROUTES) + usize::from(!self.batch.is_done());
        u64::try_from(alone + told + pending).unwrap_or(u64::MAX)
    }
}
