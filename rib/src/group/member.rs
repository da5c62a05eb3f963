//! Where each member of a group is, and how one that is behind catches up.
//!
//! A member is *attached*: at some segment of the log, like everybody else; or *walking* over the
//! Adj-RIB-Out itself (see `walk`). One that joins, that was too slow for the log, or that asked
//! for a refresh walks first and then attaches. Either way it holds a position and nothing else,
//! however slow it is.
//!
//! End-of-RIB (RFC 4724 §2) and the end marker of a refresh (RFC 7313 §4) follow when the
//! member has caught up with everything that was pending, so a peer that then drops stale routes
//! drops none that are just about to be sent again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use proto_codec::afi::AddressFamily;

use super::log::Segment;
use super::walk::Walk;
use super::{Env, Group, OutEntry, OutId};
use crate::attr::OutAttr;
use crate::peer::PeerSlot;
use crate::table::DestId;

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// Next to read: segment and range within.
    Attached {
        seq: u32,
        range: usize,
    },
    Walking(Walk),
}

/// A peer in a group.
#[derive(Debug)]
pub(super) struct Member {
    pub state: State,
    /// Messages for this peer alone, sent first.
    private: VecDeque<Bytes>,
    /// Sent when the member has caught up, or has read this segment.
    pub marker: Option<(Bytes, Option<u32>)>,
}

impl Member {
    /// Messages for this peer alone that wait.
    pub fn private_len(&self) -> usize {
        self.private.len()
    }

    /// The last segment it is known to have read whole.
    fn passed(&self) -> u32 {
        match self.state {
            State::Attached { seq, .. } => seq.saturating_sub(1),
            State::Walking(walk) => walk.withdraw_after.unwrap_or(walk.target).min(walk.target),
        }
    }
}

/// A route a peer was, or may have been, told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub dest: DestId,
    pub path_id: u32,
}

/// What a peer that changes groups takes along.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    private: VecDeque<Bytes>,
    marker: Option<Bytes>,
}

impl Group {
    /// Adds a peer that knows nothing. `marker` is sent when it has been told everything.
    pub fn join<A: AddressFamily>(&mut self, slot: PeerSlot, marker: Bytes, env: &Env<'_, A>) {
        self.flush(env);
        let walk = Walk::first(self.target_to_join());
        let member = Member {
            state: State::Walking(walk),
            private: VecDeque::new(),
            marker: Some((marker, None)),
        };
        self.members.insert(slot, member);
        self.walkers.insert(slot, walk.target);
    }

    /// Moves a member, keeping the count of readers of each segment and the list of walkers.
    pub(super) fn set_state(&mut self, slot: PeerSlot, state: State) {
        let Some(member) = self.members.get_mut(&slot) else {
            return;
        };
        if let State::Attached { seq, .. } = member.state {
            self.log.count_reader(seq, false);
        }
        member.state = state;
        match state {
            State::Attached { seq, .. } => {
                self.walkers.remove(&slot);
                self.log.count_reader(seq, true);
            }
            State::Walking(walk) => {
                self.walkers.insert(slot, walk.target);
            }
        }
        self.drop_dump_unless_used();
    }

    /// Removes a peer.
    pub fn leave(&mut self, slot: PeerSlot) {
        if let Some(member) = self.members.remove(&slot)
            && let State::Attached { seq, .. } = member.state
        {
            self.log.count_reader(seq, false);
        }
        self.walkers.remove(&slot);
        self.drop_dump_unless_used();
        self.trim();
    }

    /// Whether `slot` is one of the members.
    pub(super) fn has_member(&self, slot: PeerSlot) -> bool {
        self.members.contains_key(&slot)
    }

    /// Sends everything again (RFC 2918), with markers around it if given (RFC 7313).
    pub fn refresh<A: AddressFamily>(
        &mut self,
        slot: PeerSlot,
        markers: Option<(Bytes, Bytes)>,
        env: &Env<'_, A>,
    ) {
        self.flush(env);
        let target = self.log.newest();
        let Some(member) = self.members.get_mut(&slot) else {
            return;
        };
        let withdraw_after = match member.state {
            State::Attached { seq, .. } => Some(seq.saturating_sub(1)),
            // What a first walk has told so far was there at its target.
            State::Walking(walk) => Some(walk.withdraw_after.unwrap_or(walk.target)),
        };
        let walk = Walk::again(withdraw_after, target);
        if let Some((begin, end)) = markers {
            // One that has not been read yet begins this refresh too: a peer that asks without
            // reading must not make us keep a marker per request.
            if member.private.back() != Some(&begin) {
                member.private.push_back(begin);
            }
            // An End-of-RIB still owed is owed no longer: the refresh ends with its own marker.
            member.marker = Some((end, None));
        }
        self.set_state(slot, State::Walking(walk));
        self.trim();
    }

    /// The next messages for a member; `None` when it has caught up.
    pub fn poll<A: AddressFamily>(&mut self, slot: PeerSlot, env: &Env<'_, A>) -> Option<Bytes> {
        loop {
            let pending = self.has_pending();
            let member = self.members.get_mut(&slot)?;
            if let Some(bytes) = member.private.pop_front() {
                return Some(bytes);
            }
            let newest = self.log.newest();
            match member.state {
                State::Walking(walk) => {
                    if let Some(bytes) = self.walk(slot, walk, env) {
                        return Some(bytes);
                    }
                }
                State::Attached { seq, range } if seq <= newest => {
                    if let Some(bytes) = self.read_log(slot, seq, range) {
                        return Some(bytes);
                    }
                }
                State::Attached { .. } if pending => self.encode_segment(env),
                State::Attached { .. } => {
                    let (marker, _) = member.marker.take()?;
                    return Some(marker);
                }
            }
        }
    }

    /// Reads on in the log; `None` when what is left of the segment is not for this member.
    fn read_log(&mut self, slot: PeerSlot, seq: u32, range: usize) -> Option<Bytes> {
        let member = self.members.get_mut(&slot)?;
        if let Some((_, Some(due))) = member.marker
            && seq > due
        {
            return member.marker.take().map(|(marker, _)| marker);
        }
        let (bytes, next) = match self.log.get(seq) {
            Some(segment) => {
                let (bytes, next) = segment.visible_from(range, slot);
                (bytes, (next < segment.ranges.len()).then_some(next))
            }
            None => (None, None),
        };
        match next {
            Some(range) => member.state = State::Attached { seq, range },
            None => {
                member.state = State::Attached {
                    seq: seq + 1,
                    range: 0,
                };
                self.log.finished(seq);
                self.trim();
            }
        }
        bytes
    }

    /// Encodes everything that is pending. Needed before a peer joins or is refreshed, so that
    /// what its markers promise is true.
    fn flush<A: AddressFamily>(&mut self, env: &Env<'_, A>) {
        while self.has_pending() {
            self.encode_segment(env);
        }
    }

    /// Appends a segment for all attached members.
    pub(super) fn push_segment(&mut self, mut segment: Segment) {
        segment.readers = self.members.len().saturating_sub(self.walkers.len());
        self.log.push(segment);
        self.trim();
    }

    pub(super) fn log_is_full(&self) -> bool {
        self.log.is_full()
    }

    pub(super) fn log_newest(&self) -> u32 {
        self.log.newest()
    }

    /// Makes room: members that have not read the oldest segment must walk instead.
    pub(super) fn drop_oldest_segment(&mut self) {
        let (oldest, newest) = (self.log.oldest(), self.log.newest());
        let unread = |(slot, member): (&PeerSlot, &Member)| match member.state {
            State::Attached { seq, .. } if seq <= oldest => Some((*slot, seq.saturating_sub(1))),
            _ => None,
        };
        let behind: Vec<_> = match self.log.oldest_is_read() {
            true => Vec::new(),
            false => self.members.iter().filter_map(unread).collect(),
        };
        for (slot, passed) in behind {
            let walk = Walk::since(passed, newest);
            self.set_state(slot, State::Walking(walk));
            let member = self.members.get_mut(&slot);
            if let Some((_, due)) = member.and_then(|member| member.marker.as_mut()) {
                *due = None;
            }
            self.stats.detached += 1;
        }
        self.log.drop_oldest();
        self.bury();
    }

    /// Drops segments that nobody will read.
    pub(super) fn trim(&mut self) {
        if !self.log.oldest_is_read() && !self.log.is_empty() {
            return;
        }
        // A walking member attaches behind its target, so what comes after is kept for it while
        // the bounds of the log allow.
        let needed_after = self.walkers.values().copied().min().unwrap_or(u32::MAX);
        let mut dropped = false;
        while self.log.oldest_is_read() && self.log.oldest() <= needed_after {
            self.log.drop_oldest();
            dropped = true;
        }
        if dropped || self.log.is_empty() {
            self.bury();
        }
    }

    /// The last segment every member has passed.
    pub(super) fn passed_by_all(&self) -> u32 {
        self.members
            .values()
            .map(Member::passed)
            .min()
            .unwrap_or(u32::MAX)
    }

    /// Every route the peer may have been told, for taking it to another group.
    pub fn known_to(&self, slot: PeerSlot) -> Vec<Announced> {
        let Some(member) = self.members.get(&slot) else {
            return Vec::new();
        };
        let passed = member.passed();
        let knows =
            |entry: &OutEntry| entry.told().is_some_and(|told| told != slot) || entry.seq > passed;
        let of = |id: OutId| {
            self.adj.get(id).filter(|entry| knows(entry))?;
            self.adj.was_used(id).then(|| Announced {
                dest: self.adj.dest(id),
                path_id: self.adj.tx_path_id(id),
            })
        };
        (0..self.adj.len()).filter_map(of).collect()
    }

    /// Adds a peer that was told `known` as a member of another group: it forgets what this group
    /// does not tell, and is told the rest.
    pub fn move_in<A: AddressFamily>(
        &mut self,
        slot: PeerSlot,
        owed: Owed,
        known: &[Announced],
        env: &Env<'_, A>,
    ) {
        self.join(slot, Bytes::new(), env);
        let add_path = self.key.add_path != crate::peer::AddPathTx::Off;
        let stays = |known: &&Announced| {
            let entry = self.adj.get(known.dest).and_then(|entry| entry.told());
            !add_path && entry.is_some_and(|told| told != slot)
        };
        let mut gone = known
            .iter()
            .filter(|known| !stays(known))
            .filter_map(|known| Some((known.path_id, env.table.key(known.dest)?)))
            .peekable();
        let mut out = BytesMut::new();
        while gone.peek().is_some() {
            if proto_codec::bgp::encode_withdraw::<A>(&self.key.encode, &mut gone, &mut out) == 0 {
                break;
            }
        }
        if let Some(member) = self.members.get_mut(&slot) {
            member.marker = owed.marker.map(|marker| (marker, None));
            member.private = owed.private;
            if !out.is_empty() {
                member.private.push_back(out.freeze());
            }
        }
    }

    /// What a member must get whatever group it is in: messages for it alone, and its marker.
    pub fn owed_to(&self, slot: PeerSlot) -> Owed {
        let member = self.members.get(&slot);
        Owed {
            private: member
                .map(|member| member.private.clone())
                .unwrap_or_default(),
            marker: member.and_then(|member| Some(member.marker.as_ref()?.0.clone())),
        }
    }

    /// What a member has been told about one destination: attributes and path identifier.
    pub fn told_about(&self, dest: DestId, slot: PeerSlot) -> Vec<(OutId, OutEntry)> {
        let told = |id: OutId| {
            let entry = self.adj.get(id)?;
            let told = entry.told().is_some_and(|told| told != slot);
            (told && entry.attr != OutAttr::NONE).then_some((id, *entry))
        };
        self.adj
            .of_dest(dest)
            .into_iter()
            .filter_map(told)
            .collect()
    }
}
