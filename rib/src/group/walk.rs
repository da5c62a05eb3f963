//! Catching up: a walk over the Adj-RIB-Out instead of the log.
//!
//! A first dump, a peer that was too slow for the log and a route refresh are the same walk with
//! different bounds:
//!
//! | | announce entries told after | withdraw entries forgotten after |
//! |---|---|---|
//! | first dump | (all) | (none: the peer knows nothing) |
//! | fell behind at segment s | s - 1 | s - 1 |
//! | route refresh at segment s | (all) | s - 1 |
//!
//! Dirty entries are not announced: they will be in a later segment, which the member reads after
//! it has attached. A walk remembers the newest segment at its start (`target`); at its end the
//! member attaches behind that one, or, if the log has moved on, walks again for the difference
//! only.
//!
//! First dumps are shared: a reflector whose thousand clients come back at once encodes its table
//! once. The pieces are kept while somebody walks towards the same target and are bounded like the
//! log; a piece made after the target is as good as one made at it, because the log repeats
//! whatever came in between. For the same reason who joins while others walk takes their target
//! for his own, if the log has not gone far beyond it: a cluster that starts announces while it
//! connects.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use proto_codec::afi::AddressFamily;

use super::encode::Item;
use super::log::{LOG_OCTETS_MAX, Range, SEGMENT_OCTETS, Segment, Visible};
use super::member::State;
use super::{Env, Group, OutEntry, OutId};
use crate::attr::OutAttr;
use crate::peer::PeerSlot;

/// Entries a walk sorts and encodes at a time: about 64 KiB of messages. Routes lie in the order of
/// their arrival, so hardly an attribute set is split.
const WALK_ENTRIES: usize = 8 << 10;

/// Segments that a peer is told once more, for the sake of a dump that is made already.
const SHARED_SEGMENTS: u32 = 16;

/// A walk over the Adj-RIB-Out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    at: OutId,
    /// Range to read next in the shared piece that starts at `at`.
    range: usize,
    /// Announce what was told after this segment; `None`: everything.
    announce_after: Option<u32>,
    /// Withdraw what was forgotten after this segment; `None`: nothing.
    pub withdraw_after: Option<u32>,
    /// The newest segment when the walk began.
    pub target: u32,
}

impl Walk {
    /// The walk of a peer that knows nothing.
    pub fn first(target: u32) -> Self {
        Self {
            at: 0,
            range: 0,
            announce_after: None,
            withdraw_after: None,
            target,
        }
    }

    /// The walk of a peer that is to be told everything again, and what was forgotten meanwhile.
    pub fn again(withdraw_after: Option<u32>, target: u32) -> Self {
        Self {
            withdraw_after,
            ..Self::first(target)
        }
    }

    /// The walk of a peer that knows everything up to a segment.
    pub fn since(passed: u32, target: u32) -> Self {
        Self {
            announce_after: Some(passed),
            withdraw_after: Some(passed),
            ..Self::first(target)
        }
    }

    /// How many entries it has passed.
    pub fn place(&self) -> OutId {
        self.at
    }

    /// Whether others may walk the same way.
    fn is_shared(&self) -> bool {
        self.announce_after.is_none() && self.withdraw_after.is_none()
    }
}

/// A part of a first dump: the entries from `from` up to `to`.
#[derive(Debug)]
struct Piece {
    from: OutId,
    to: OutId,
    segment: Segment,
}

/// The pieces of a first dump towards one target.
#[derive(Debug, Default)]
pub(super) struct Dump {
    target: u32,
    pieces: VecDeque<Piece>,
    octets: usize,
}

impl Dump {
    fn push(&mut self, piece: Piece) {
        self.octets += piece.segment.bytes.len();
        self.pieces.push_back(piece);
        // Who is further behind makes the old pieces anew.
        while self.octets > LOG_OCTETS_MAX
            && let Some(old) = self.pieces.pop_front()
        {
            self.octets = self.octets.saturating_sub(old.segment.bytes.len());
        }
    }
}

impl Group {
    /// What a peer that knows nothing walks towards.
    pub(super) fn target_to_join(&self) -> u32 {
        let newest = self.log.newest();
        let near = |dump: &&Dump| {
            dump.target >= newest.saturating_sub(SHARED_SEGMENTS)
                && dump.target + 1 >= self.log.oldest()
        };
        self.dump
            .as_ref()
            .filter(near)
            .map_or(newest, |dump| dump.target)
    }

    /// Walks on; `None` when the walk is over (or another one has begun), or when what was walked
    /// over is nothing for this member.
    pub(super) fn walk<A: AddressFamily>(
        &mut self,
        slot: PeerSlot,
        mut walk: Walk,
        env: &Env<'_, A>,
    ) -> Option<Bytes> {
        let newest = self.log.newest();
        if walk.at == 0 && !walk.is_shared() && walk.target != newest {
            // It has not taken a step yet, maybe for an hour: what it is going to be told is as of
            // now, and need not be told again.
            walk.target = newest;
            self.walkers.insert(slot, newest);
        }
        if walk.at >= self.adj.len() {
            self.end_walk(slot, walk);
            return None;
        }
        let (bytes, walk) = match walk.is_shared() {
            true => self.walk_together(slot, walk, env),
            false => self.walk_alone(slot, walk, env),
        };
        if walk.at >= self.adj.len() {
            self.end_walk(slot, walk);
        } else if let Some(member) = self.members.get_mut(&slot) {
            member.state = State::Walking(walk);
        }
        bytes
    }

    fn walk_alone<A: AddressFamily>(
        &mut self,
        slot: PeerSlot,
        mut walk: Walk,
        env: &Env<'_, A>,
    ) -> (Option<Bytes>, Walk) {
        let mut items = Vec::new();
        while walk.at < self.adj.len() && items.len() < WALK_ENTRIES {
            let id = walk.at;
            walk.at += 1;
            let send = self.adj.get(id).and_then(|entry| owed(entry, slot, &walk));
            items.extend(send.map(|(attr, source)| Item { attr, source, id }));
        }
        walk.range = 0;
        items.sort_unstable();
        let mut out = BytesMut::with_capacity(if items.is_empty() { 0 } else { SEGMENT_OCTETS });
        let mut room = Vec::new();
        for run in items.chunk_by(|a, b| a.attr == b.attr && a.source == b.source) {
            match run.first().map(|item| item.attr) {
                Some(OutAttr::NONE) => self.withdraw(run, env, &mut out),
                _ => {
                    self.announce(run, env, &mut out, &mut room);
                }
            }
        }
        (Some(out.freeze()).filter(|bytes| !bytes.is_empty()), walk)
    }

    fn walk_together<A: AddressFamily>(
        &mut self,
        slot: PeerSlot,
        mut walk: Walk,
        env: &Env<'_, A>,
    ) -> (Option<Bytes>, Walk) {
        // Who comes last has most of the walk before him, and others like him are to come.
        let outdated = |dump: &Dump| dump.target < walk.target && walk.at == 0;
        if self.dump.as_ref().is_none_or(outdated) {
            self.dump = Some(Dump {
                target: walk.target,
                ..Dump::default()
            });
        }
        let dump = self.dump.get_or_insert_default();
        let known = dump.pieces.iter().any(|piece| piece.from == walk.at);
        // Others walk towards another target, or the piece this member was in has been dropped: on
        // its own it gets ahead in any case.
        if dump.target != walk.target || (!known && walk.range > 0) {
            return self.walk_alone(slot, walk, env);
        }
        if !known {
            let piece = self.make_piece(walk.at, env);
            self.dump.get_or_insert_default().push(piece);
        }
        let pieces = self.dump.iter().flat_map(|dump| &dump.pieces);
        let found = pieces.into_iter().find(|piece| piece.from == walk.at);
        let Some(piece) = found else {
            // A single piece over the bound is not kept.
            return self.walk_alone(slot, walk, env);
        };
        let (bytes, next) = piece.segment.visible_from(walk.range, slot);
        if next < piece.segment.ranges.len() {
            walk.range = next;
        } else {
            (walk.at, walk.range) = (piece.to, 0);
        }
        (bytes, walk)
    }

    /// Encodes the entries from `from` on for whoever knows nothing.
    fn make_piece<A: AddressFamily>(&self, from: OutId, env: &Env<'_, A>) -> Piece {
        // No member has this slot, so nothing is left out as somebody's own.
        let nobody = PeerSlot::NONE;
        let anew = Walk::first(0);
        let mut items = Vec::new();
        let mut to = from;
        while to < self.adj.len() && items.len() < WALK_ENTRIES {
            let send = self
                .adj
                .get(to)
                .and_then(|entry| owed(entry, nobody, &anew));
            items.extend(send.map(|(attr, source)| Item {
                attr,
                source,
                id: to,
            }));
            to += 1;
        }
        // By source first: one range for all routes of one.
        items.sort_unstable_by_key(|item| (item.source, item.attr, item.id));
        let mut out = BytesMut::new();
        let (mut ranges, mut room): (Vec<Range>, _) = (Vec::new(), Vec::new());
        for run in items.chunk_by(|a, b| a.attr == b.attr && a.source == b.source) {
            self.announce(run, env, &mut out, &mut room);
            let source = run.first().map_or(nobody, |item| item.source);
            let visible = Visible::Except(source);
            let end = out.len();
            match ranges.last_mut() {
                Some(last) if last.visible == visible => last.end = end,
                _ => ranges.push(Range { end, visible }),
            }
        }
        let segment = Segment {
            bytes: out.freeze(),
            ranges,
            readers: 0,
        };
        Piece { from, to, segment }
    }

    /// Forgets the shared dump when nobody walks towards its target.
    pub(super) fn drop_dump_unless_used(&mut self) {
        let used = |dump: &Dump| self.walkers.values().any(|target| *target == dump.target);
        if self.dump.as_ref().is_some_and(|dump| !used(dump)) {
            self.dump = None;
        }
    }

    /// Attaches a member that has walked to the end, or lets it walk for what came since.
    fn end_walk(&mut self, slot: PeerSlot, walk: Walk) {
        let newest = self.log.newest();
        let patience = u32::try_from(self.log.segments_max()).unwrap_or(u32::MAX);
        let Some(member) = self.members.get_mut(&slot) else {
            return;
        };
        let next = walk.target + 1;
        let state = if next >= self.log.oldest() {
            if let Some((_, due)) = &mut member.marker {
                due.get_or_insert(newest.saturating_add(patience));
            }
            State::Attached {
                seq: next,
                range: 0,
            }
        } else {
            State::Walking(Walk::since(walk.target, newest))
        };
        self.set_state(slot, state);
        self.trim();
    }
}

/// What a walk owes a member of one entry: attributes and source to announce, or a withdrawal.
fn owed(entry: &OutEntry, member: PeerSlot, walk: &Walk) -> Option<(OutAttr, PeerSlot)> {
    match entry.told().filter(|source| *source != member) {
        Some(source) => {
            let news = walk.announce_after.is_none_or(|after| entry.seq > after);
            // What a dirty entry was told as is no longer known, and what it will be is yet to
            // come, in a segment that this member reads.
            (news && !entry.is_dirty()).then_some((entry.attr, source))
        }
        None => {
            let forgotten = walk.withdraw_after.is_some_and(|after| entry.seq > after);
            forgotten.then_some((OutAttr::NONE, PeerSlot::NONE))
        }
    }
}
