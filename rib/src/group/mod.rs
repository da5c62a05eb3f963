//! Update groups: what peers are told, encoded once for all who are told the same.
//!
//! A [`Group`] is one family towards the peers of one [`GroupKey`]. The engine *offers* it
//! what each changed destination should look like from outside; the group notes differences in
//! its [`AdjOut`] and does nothing else until somebody reads. Encoding is pulled: a member that
//! has read the whole log and finds routes pending makes the next segment, and the others find it
//! ready. So there is never more encoded than somebody asked for, and what changes twice before it
//! is read is told once.
//!
//! - `adjout` what should be told and what was; `log` the shared segments; `encode` pending
//!   entries to segments; `member` where each peer is; `walk` how one catches up.
//!
//! A withdrawn entry stays as a tombstone until every member has passed the segment that said so.

mod adjout;
mod encode;
mod key;
mod log;
mod member;
mod tombstones;
mod waiting;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use proto_codec::afi::{AddressFamily, Family};

pub(crate) use adjout::{AdjOut, OutEntry, OutId, Wish};
pub(crate) use key::GroupKey;
pub(crate) use log::LOG_SEGMENTS;

use crate::attr::{Interner, OutAttr, SourceOfPath};
use crate::hash::Seed;
use crate::nexthop::NextHops;
use crate::peer::{AddPathTx, PeerSlot};
use crate::table::{DestId, Table};
use encode::Batch;
use log::Log;
use member::Member;
use tombstones::Tombstones;
use walk::Dump;

/// An update group inside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GroupId(pub u32);

/// What a group needs of the engine to encode.
pub(crate) struct Env<'a, A: AddressFamily> {
    pub table: &'a Table<A>,
    pub attrs: &'a Interner,
    /// Where paths come from, by slot.
    pub sources: &'a dyn Fn(PeerSlot) -> SourceOfPath,
}

/// Counters of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupStats {
    /// UPDATE segments encoded.
    pub segments: u64,
    /// Members that fell behind the log.
    pub detached: u64,
    /// Routes that were not told because they fit no message, or no next hop could be named.
    pub unsendable: u64,
}

/// One family towards peers that are told the same.
#[derive(Debug)]
pub(crate) struct Group {
    pub key: Arc<GroupKey>,
    pub adj: AdjOut,
    pub stats: GroupStats,
    log: Log,
    batch: Batch,
    members: BTreeMap<PeerSlot, Member>,
    /// Members that walk, with the newest segment when they began.
    walkers: BTreeMap<PeerSlot, u32>,
    /// What members that walk for the first time can share.
    dump: Option<Dump>,
    /// What members are yet to forget.
    tombstones: Tombstones,
    /// Destinations no longer referred to; the engine takes them.
    freed: Vec<DestId>,
}

impl Group {
    /// A group without members; the engine offers it every destination and then calls
    /// [`Group::built`].
    pub fn new(key: Arc<GroupKey>, log_segments: usize, seed: &Seed) -> Self {
        let add_path = key.add_path != AddPathTx::Off;
        Self {
            adj: AdjOut::new(add_path, seed),
            key,
            stats: GroupStats::default(),
            log: Log::new(log_segments),
            batch: Batch::default(),
            members: BTreeMap::new(),
            walkers: BTreeMap::new(),
            dump: None,
            tombstones: Tombstones::default(),
            freed: Vec::new(),
        }
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.key.family()
    }

    /// Members in the order of their slots.
    pub fn members(&self) -> impl Iterator<Item = PeerSlot> {
        self.members.keys().copied()
    }

    /// Whether nobody is left.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether some routes wait to be encoded.
    pub fn has_pending(&self) -> bool {
        !self.adj.pending.is_empty() || !self.batch.is_done()
    }

    /// Everything offered so far counts as told: the first member will be sent all of it.
    pub fn built(&mut self) {
        self.adj.tell_unsent();
    }

    /// Notes what a destination should look like from outside, where that is one path at most;
    /// whether it is referred to from now on.
    #[inline]
    pub fn offer_best(
        &mut self,
        dest: DestId,
        wish: Option<Wish>,
        attrs: &mut Interner,
        next_hops: &mut NextHops,
    ) -> bool {
        let (attr, source) = match wish {
            Some(wish) => (wish.attr, wish.source),
            None => (OutAttr::NONE, PeerSlot(0)),
        };
        let Some((before, came_into_use)) = self.adj.set(dest, attr, source) else {
            return false;
        };
        if let Some(id) = attr.id() {
            attrs.retain(id, 1);
        }
        if let Some(id) = before.id() {
            attrs.release(id, next_hops);
        }
        came_into_use
    }

    /// The same with ADD-PATH; how many references to the destination are new.
    pub fn offer(
        &mut self,
        dest: DestId,
        wishes: &[Wish],
        attrs: &mut Interner,
        next_hops: &mut NextHops,
    ) -> u16 {
        let mut retained = 0;
        let mut set = |adj: &mut AdjOut, id, attr: OutAttr, source| {
            let Some((before, came_into_use)) = adj.set(id, attr, source) else {
                return;
            };
            if let Some(id) = attr.id() {
                attrs.retain(id, 1);
            }
            if let Some(id) = before.id() {
                attrs.release(id, next_hops);
            }
            retained += u16::from(came_into_use);
        };
        let wanted: smallvec::SmallVec<[OutId; 4]> = wishes
            .iter()
            .map(|wish| {
                let id = self.adj.entry_for(dest, wish);
                set(&mut self.adj, id, wish.attr, wish.source);
                id
            })
            .collect();
        for id in self.adj.of_dest(dest) {
            if !wanted.contains(&id) {
                set(&mut self.adj, id, OutAttr::NONE, PeerSlot(0));
            }
        }
        retained
    }

    /// Gives back every reference the group holds; it must not be used afterwards.
    pub fn dissolve(&mut self, attrs: &mut Interner, next_hops: &mut NextHops) -> Vec<DestId> {
        let mut dests = std::mem::take(&mut self.freed);
        for id in 0..self.adj.len() {
            let Some(entry) = self.adj.get(id) else {
                continue;
            };
            if let Some(id) = entry.attr.id() {
                attrs.release(id, next_hops);
            }
            if self.adj.was_used(id) {
                dests.push(self.adj.dest(id));
            }
        }
        self.adj = AdjOut::new(false, &Seed::new(0));
        dests
    }

    /// Destinations that the group no longer refers to, each once per reference given back.
    pub fn take_freed(&mut self) -> Vec<DestId> {
        std::mem::take(&mut self.freed)
    }

    /// Frees the tombstones every member has passed.
    fn bury(&mut self) {
        if self.tombstones.is_empty() {
            return;
        }
        let passed = self.passed_by_all();
        while let Some((seq, id)) = self.tombstones.pop_passed(passed) {
            let entry = self.adj.get(id);
            if entry.is_some_and(|entry| tombstones::is_last_word(entry, seq)) {
                self.adj.forgotten_by_all(id);
                self.freed.extend(self.adj.free(id));
            }
        }
    }

    /// Octets allocated.
    pub fn memory(&self) -> usize {
        self.adj.memory() + self.log.octets() + self.tombstones.memory()
    }
}
