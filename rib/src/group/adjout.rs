//! The Adj-RIB-Out of one update group.
//!
//! An [`OutEntry`] of twelve octets says what the group should be told of a route (attributes and
//! where they came from), what it was told last, and in which segment. Entries are an array by
//! destination; with ADD-PATH, where a destination has several, by a number of their own that is
//! also the path identifier on the wire.
//!
//! An entry whose wish differs from what was told is *dirty* and stands in `pending` exactly once,
//! so the work that waits is bounded by the table and a route that flaps while nobody reads costs
//! one message. `told` remembers the source, because members do not get their own routes back: when
//! the best path moves from another peer to member M, M alone must be told to forget.

use smallvec::SmallVec;

use crate::attr::OutAttr;
use crate::chunked::{Chunked, Slab};
use crate::hash::{Seed, SeededMap};
use crate::peer::PeerSlot;
use crate::table::DestId;

/// An entry inside the Adj-RIB-Out of a group.
pub(crate) type OutId = u32;

/// A route as a group should see it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OutEntry {
    /// What to announce; nothing is a withdrawal or an unused entry.
    pub attr: OutAttr,
    /// The segment it was last told in; 0 when it never was, or when all have forgotten it.
    pub seq: u32,
    /// Slot of the source + 1; the top bit says dirty.
    source: u16,
    /// Slot of the source told last + 1; 0 is nothing.
    told: u16,
}

const _: () = assert!(size_of::<OutEntry>() == 12);
const DIRTY: u16 = 1 << 15;

impl OutEntry {
    /// Where the route to announce came from.
    pub fn source(&self) -> PeerSlot {
        PeerSlot((self.source & !DIRTY).saturating_sub(1))
    }

    /// Where the route told last came from; `None` when the group knows of no route.
    pub fn told(&self) -> Option<PeerSlot> {
        self.told.checked_sub(1).map(PeerSlot)
    }

    /// Whether the group is yet to be told.
    pub fn is_dirty(&self) -> bool {
        self.source & DIRTY != 0
    }

    /// Whether nothing is announced, was announced, or waits.
    pub fn is_idle(&self) -> bool {
        self.attr == OutAttr::NONE && self.told == 0 && !self.is_dirty()
    }

    /// Whether it holds a reference to its destination. An entry that never was in use has no
    /// source.
    fn was_used(&self) -> bool {
        self.source != 0
    }

    /// Sets what to announce; returns whether the entry became dirty by it.
    pub fn wish(&mut self, attr: OutAttr, source: PeerSlot) -> bool {
        let was_dirty = self.is_dirty();
        self.attr = attr;
        self.source = (source.0 + 1) | DIRTY;
        !was_dirty
    }

    /// Notes that the group was told the current wish in segment `seq`.
    pub fn tell(&mut self, seq: u32) {
        self.source &= !DIRTY;
        self.seq = seq;
        self.told = match self.attr {
            OutAttr::NONE => 0,
            _ => self.source,
        };
    }

    /// Notes that the group was told to forget although there is a wish: it fits no message.
    pub fn tell_nothing(&mut self, seq: u32) {
        self.source &= !DIRTY;
        self.seq = seq;
        self.told = 0;
    }
}

/// What a group should be told of one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wish {
    /// The attributes after export policy.
    pub attr: OutAttr,
    /// Who sent it.
    pub source: PeerSlot,
    /// The path identifier it came with.
    pub path_id: u32,
}

/// Which path of which destination an entry is about; ADD-PATH only.
#[derive(Clone, Copy, Debug, Default)]
struct PathSlot {
    dest: DestId,
    path_id: u32,
    source: u16,
}

/// Entries by destination and path, for ADD-PATH.
#[derive(Debug)]
struct PathIndex {
    slots: Slab<PathSlot>,
    by_dest: SeededMap<DestId, SmallVec<[OutId; 4]>>,
}

/// Entries of a run that were told as coming from another source than before, gathered because
/// runs have one source: the two sources + 1, 0 for none, and how many.
#[derive(Debug, Default)]
pub(crate) struct Recount {
    sources: (u16, u16),
    entries: u32,
}

/// The Adj-RIB-Out of one group.
#[derive(Debug)]
pub(crate) struct AdjOut {
    entries: Chunked<OutEntry>,
    paths: Option<PathIndex>,
    /// Dirty entries, each once.
    pub pending: Vec<OutId>,
    /// Entries told, and per source that is a peer, by slot.
    told: u64,
    told_of: Vec<u32>,
    in_use: u64,
}

impl AdjOut {
    /// Empty. `add_path`: whether a destination may have several entries.
    pub fn new(add_path: bool, seed: &Seed) -> Self {
        let index = || PathIndex {
            slots: Slab::default(),
            by_dest: seed.map(),
        };
        Self {
            entries: Chunked::default(),
            paths: add_path.then(index),
            pending: Vec::new(),
            told: 0,
            told_of: Vec::new(),
            in_use: 0,
        }
    }

    /// Entries there may be; a scan goes from 0 to here.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    /// Octets allocated.
    pub fn memory(&self) -> usize {
        let index = self.paths.as_ref().map_or(0, |paths| {
            paths.slots.memory() + paths.by_dest.capacity() * size_of::<(DestId, [OutId; 6])>()
        });
        self.entries.memory() + self.pending.capacity() * size_of::<OutId>() + index
    }

    /// An entry.
    #[inline]
    pub fn get(&self, id: OutId) -> Option<&OutEntry> {
        self.entries.get(id)
    }

    /// Whether an entry holds a reference to its destination.
    pub fn was_used(&self, id: OutId) -> bool {
        self.entries.get(id).is_some_and(OutEntry::was_used)
    }

    /// The destination an entry is about.
    #[inline]
    pub fn dest(&self, id: OutId) -> DestId {
        match &self.paths {
            None => id,
            Some(paths) => paths.slots.get(id).map_or(DestId::MAX, |slot| slot.dest),
        }
    }

    /// The path identifier on the wire; 0 without ADD-PATH.
    #[inline]
    pub fn tx_path_id(&self, id: OutId) -> u32 {
        match &self.paths {
            None => 0,
            Some(_) => id.saturating_add(1),
        }
    }

    /// Entries of a destination.
    pub fn of_dest(&self, dest: DestId) -> SmallVec<[OutId; 4]> {
        match &self.paths {
            None => SmallVec::from_iter([dest]),
            Some(paths) => paths.by_dest.get(&dest).cloned().unwrap_or_default(),
        }
    }

    /// The entry for a path, made if need be.
    pub fn entry_for(&mut self, dest: DestId, wish: &Wish) -> OutId {
        let Some(paths) = &mut self.paths else {
            return dest;
        };
        let list = paths.by_dest.entry(dest).or_default();
        let same = |id: &&OutId| {
            paths
                .slots
                .get(**id)
                .is_some_and(|slot| slot.source == wish.source.0 && slot.path_id == wish.path_id)
        };
        if let Some(id) = list.iter().find(same) {
            return *id;
        }
        let slot = PathSlot {
            dest,
            path_id: wish.path_id,
            source: wish.source.0,
        };
        // Past four billion entries nothing is behind the number.
        let id = paths.slots.insert(slot).unwrap_or(OutId::MAX);
        list.push(id);
        id
    }

    /// The path identifier a path came with, which together with its source names it.
    pub fn rx_path_id(&self, id: OutId) -> Option<u32> {
        let paths = self.paths.as_ref()?;
        paths.slots.get(id).map(|slot| slot.path_id)
    }

    /// Sets what an entry should announce. Returns the attributes it held before, and whether
    /// the entry came into use by it. `None`: nothing to do.
    pub fn set(&mut self, id: OutId, attr: OutAttr, source: PeerSlot) -> Option<(OutAttr, bool)> {
        if attr == OutAttr::NONE && self.entries.get(id).is_none() {
            return None;
        }
        let entry = self.entries.entry(id)?;
        let before = entry.attr;
        if before == attr && (attr == OutAttr::NONE || entry.source() == source) {
            return None;
        }
        let was_idle = !entry.was_used();
        if entry.wish(attr, source) {
            self.pending.push(id);
        }
        if was_idle {
            self.in_use += 1;
            self.entries.came_into_use(id);
        }
        Some((before, was_idle))
    }

    /// Notes that the group was told of an entry in segment `seq`; `fits`: the wish itself, not
    /// its removal because it fits no message. Returns whether a tombstone is left. The caller
    /// hands `recount` to [`recount`](Self::recount) when it has told a run of entries.
    #[inline]
    pub fn tell(&mut self, id: OutId, seq: u32, fits: bool, recount: &mut Recount) -> bool {
        let Some(entry) = self.entries.get_mut(id) else {
            return false;
        };
        let (before, last_seq) = (entry.told, entry.seq);
        if fits {
            entry.tell(seq);
        } else {
            entry.tell_nothing(seq);
        }
        let after = entry.told;
        if before | after == 0 {
            // Nothing was told, so the segment that said "forget" is still the last word.
            entry.seq = last_seq;
        }
        if before != after {
            if recount.sources != (before, after) {
                self.recount(recount);
                recount.sources = (before, after);
            }
            recount.entries += 1;
        }
        before != 0 && after == 0
    }

    /// Takes over the counts of a run.
    pub fn recount(&mut self, recount: &mut Recount) {
        let ((before, after), entries) = (recount.sources, std::mem::take(&mut recount.entries));
        if entries == 0 {
            return;
        }
        if before != 0 {
            self.told = self.told.saturating_sub(u64::from(entries));
            if let Some(count) = self.told_of.get_mut(usize::from(before)) {
                *count = count.saturating_sub(entries);
            }
        }
        if after != 0 {
            self.told += u64::from(entries);
            // Of routes that start here nobody asks how many came from a peer.
            if after <= PeerSlot::MAX.0 {
                let at = usize::from(after);
                if self.told_of.len() <= at {
                    self.told_of.resize(at + 1, 0);
                }
                if let Some(count) = self.told_of.get_mut(at) {
                    *count = count.saturating_add(entries);
                }
            }
        }
    }

    /// Notes that every member has read the segment an entry was forgotten in.
    pub fn forgotten_by_all(&mut self, id: OutId) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.seq = 0;
        }
    }

    /// Takes a first entry as told in segment 0: a group that is being built has no member yet.
    pub fn tell_unsent(&mut self) {
        let mut recount = Recount::default();
        for id in std::mem::take(&mut self.pending) {
            self.tell(id, 0, true, &mut recount);
        }
        self.recount(&mut recount);
    }

    /// Routes told to members other than `source`, plus those of `source` that it is not told.
    pub fn told_to(&self, member: PeerSlot) -> u64 {
        let own = self.told_of.get(member.index() + 1).copied();
        self.told.saturating_sub(u64::from(own.unwrap_or(0)))
    }

    /// Gives an idle entry back; returns its destination when it was in use.
    pub fn free(&mut self, id: OutId) -> Option<DestId> {
        let dest = self.dest(id);
        let entry = self.entries.get_mut(id).filter(|entry| entry.is_idle())?;
        if !entry.was_used() {
            return None;
        }
        self.entries.vacate(id);
        self.in_use = self.in_use.saturating_sub(1);
        if let Some(paths) = &mut self.paths {
            if let Some(list) = paths.by_dest.get_mut(&dest) {
                list.retain(|one| *one != id);
                if list.is_empty() {
                    paths.by_dest.remove(&dest);
                }
            }
            paths.slots.remove(id);
        }
        if self.in_use == 0 && self.pending.is_empty() {
            self.reset();
        }
        Some(dest)
    }

    /// Gives all memory back; only when nothing is in use.
    fn reset(&mut self) {
        self.entries.clear();
        self.pending = Vec::new();
        self.told_of = Vec::new();
        if let Some(paths) = &mut self.paths {
            paths.slots = Slab::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::AttrId;

    fn attr(id: u32) -> OutAttr {
        OutAttr::new(AttrId::for_test(id), false, false)
    }

    #[test]
    fn an_entry_is_pending_once_and_remembers_what_was_told() {
        let mut adj = AdjOut::new(false, &Seed::new(1));
        assert_eq!(
            adj.set(5, attr(1), PeerSlot(2)),
            Some((OutAttr::NONE, true))
        );
        assert_eq!(adj.set(5, attr(2), PeerSlot(2)), Some((attr(1), false)));
        assert_eq!(adj.set(5, attr(2), PeerSlot(2)), None);
        assert_eq!(adj.pending, [5]);
        adj.pending.clear();
        let tell = |adj: &mut AdjOut, seq| {
            let mut recount = Recount::default();
            let tombstone = adj.tell(5, seq, true, &mut recount);
            adj.recount(&mut recount);
            tombstone
        };
        assert!(!tell(&mut adj, 1));
        assert_eq!((adj.told_to(PeerSlot(2)), adj.told_to(PeerSlot(3))), (0, 1));
        adj.set(5, OutAttr::NONE, PeerSlot(0));
        assert!(
            adj.get(5)
                .is_some_and(|entry| entry.told() == Some(PeerSlot(2)))
        );
        adj.pending.clear();
        assert!(tell(&mut adj, 2), "leaves a tombstone");
        assert_eq!(adj.free(5), Some(5));
        assert_eq!((adj.len(), adj.in_use, adj.told_to(PeerSlot(3))), (0, 0, 0));
    }

    #[test]
    fn with_add_path_every_path_has_its_own_entry() {
        let mut adj = AdjOut::new(true, &Seed::new(1));
        let wish = |source: u16, path_id| Wish {
            attr: attr(1),
            source: PeerSlot(source),
            path_id,
        };
        let one = adj.entry_for(9, &wish(1, 0));
        let two = adj.entry_for(9, &wish(2, 0));
        let three = adj.entry_for(9, &wish(2, 7));
        assert_eq!(adj.entry_for(9, &wish(2, 0)), two);
        assert_eq!(adj.of_dest(9).as_slice(), [one, two, three]);
        assert_eq!((adj.dest(three), adj.rx_path_id(three)), (9, Some(7)));
        assert_ne!(adj.tx_path_id(one), adj.tx_path_id(two));
    }
}
