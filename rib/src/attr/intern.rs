//! Hash-consed attribute sets with plain reference counts.
//!
//! Equality is that of the canonical octets, which the codec computes along with a seeded hash
//! when it parses a block, so interning a set costs one probe and, when it is known already, one
//! comparison of octets. Beside each set stand the fields the decision process reads ([`Hot`]):
//! the precomputed key, neighbor AS, MED, next hop and the communities with a fixed meaning.
//!
//! Counts are plain integers because one engine owns the table. A count that reaches zero frees
//! the set at once; identifiers are reused.

use std::num::NonZeroU32;
use std::sync::Arc;

use hashbrown::HashTable;
use proto_codec::bgp::AttrSet;

use crate::chunked::Slab;
use crate::hash::Hashed;
use crate::nexthop::{NextHopId, NextHops};
use crate::path::DecisionKey;
use crate::policy::community;
use crate::table::shrink;

/// An interned attribute set. Never zero, so that an absent one costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttrId(NonZeroU32);

impl AttrId {
    /// Sets there can be: the two high bits are marks of an [`OutAttr`].
    const MAX: u32 = (1 << 30) - 1;

    fn from_index(index: u32) -> Option<Self> {
        NonZeroU32::new(index.checked_add(1)?)
            .filter(|id| id.get() <= Self::MAX)
            .map(Self)
    }

    fn index(self) -> u32 {
        self.0.get() - 1
    }

    #[cfg(test)]
    pub fn for_test(id: u32) -> Self {
        Self(NonZeroU32::new(id).unwrap())
    }
}

/// What an Adj-RIB-Out entry announces: an attribute set and what export policy fixed in it, in
/// the four octets of an identifier. Zero is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct OutAttr(u32);

impl OutAttr {
    /// Nothing is announced.
    pub const NONE: OutAttr = OutAttr(0);
    const KEEP_NEXT_HOP: u32 = 1 << 30;
    const KEEP_MED: u32 = 1 << 31;

    /// `keep_next_hop`: policy chose the next hop. `keep_med`: policy set the MED.
    pub fn new(id: AttrId, keep_next_hop: bool, keep_med: bool) -> Self {
        let next_hop = if keep_next_hop {
            Self::KEEP_NEXT_HOP
        } else {
            0
        };
        let med = if keep_med { Self::KEEP_MED } else { 0 };
        Self(id.0.get() | next_hop | med)
    }

    /// The attribute set; `None` when nothing is announced.
    #[inline]
    pub fn id(self) -> Option<AttrId> {
        NonZeroU32::new(self.0 & AttrId::MAX).map(AttrId)
    }

    /// Whether policy chose the next hop.
    pub fn keeps_next_hop(self) -> bool {
        self.0 & Self::KEEP_NEXT_HOP != 0
    }

    /// Whether policy set the MED.
    pub fn keeps_med(self) -> bool {
        self.0 & Self::KEEP_MED != 0
    }
}

/// What the decision process and the export rules read of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hot {
    /// Start of the decision process.
    pub key: DecisionKey,
    /// First AS of the path; 0 for a path without one, which is our own AS.
    pub neighbor_as: u32,
    /// MULTI_EXIT_DISC, 0 when absent (RFC 4271 §9.1.2.2 c).
    pub med: u32,
    /// The next hop, as tracked.
    pub next_hop: NextHopId,
    marks: u8,
}

impl Hot {
    const NO_EXPORT: u8 = 1;
    const NO_ADVERTISE: u8 = 1 << 1;
    const NO_EXPORT_SUBCONFED: u8 = 1 << 2;
    const OTC: u8 = 1 << 3;

    const EMPTY: Hot = Hot {
        key: DecisionKey::WORST,
        neighbor_as: 0,
        med: 0,
        next_hop: NextHopId::NONE,
        marks: 0,
    };

    fn of(set: &AttrSet, default_local_pref: u32, next_hop: NextHopId) -> Self {
        let hops = u32::try_from(set.as_path().hop_count()).unwrap_or(u32::MAX);
        let local_pref = set.local_pref().unwrap_or(default_local_pref);
        let mut marks = if set.otc().is_some() { Self::OTC } else { 0 };
        for one in set.communities() {
            marks |= match one {
                community::NO_EXPORT => Self::NO_EXPORT,
                community::NO_ADVERTISE => Self::NO_ADVERTISE,
                community::NO_EXPORT_SUBCONFED => Self::NO_EXPORT_SUBCONFED,
                _ => 0,
            };
        }
        Self {
            key: DecisionKey::new(local_pref, hops, set.origin().value()),
            neighbor_as: set.as_path().first_as().unwrap_or(0),
            med: set.med().unwrap_or(0),
            next_hop,
            marks,
        }
    }

    /// NO_ADVERTISE: tell nobody (RFC 1997).
    pub fn no_advertise(self) -> bool {
        self.marks & Self::NO_ADVERTISE != 0
    }

    /// NO_EXPORT or NO_EXPORT_SUBCONFED: tell no other AS. There are no confederations here, so
    /// both mean the same.
    pub fn no_export(self) -> bool {
        self.marks & (Self::NO_EXPORT | Self::NO_EXPORT_SUBCONFED) != 0
    }

    /// Whether ONLY_TO_CUSTOMER is there (RFC 9234 §5).
    pub fn has_otc(self) -> bool {
        self.marks & Self::OTC != 0
    }
}

#[derive(Debug)]
struct Slot {
    set: Option<Arc<AttrSet>>,
    refs: u32,
    hash: u32,
    hot: Hot,
}

/// The table of attribute sets.
#[derive(Debug)]
pub(crate) struct Interner {
    index: HashTable<Hashed>,
    slots: Slab<Slot>,
    default_local_pref: u32,
    /// Octets of the sets themselves.
    set_octets: usize,
}

impl Interner {
    /// An empty table. `default_local_pref` stands in for an absent LOCAL_PREF.
    pub fn new(default_local_pref: u32) -> Self {
        Self {
            index: HashTable::new(),
            slots: Slab::default(),
            default_local_pref,
            set_octets: 0,
        }
    }

    /// Distinct sets.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Octets allocated, the sets included.
    pub fn memory(&self) -> usize {
        self.slots.memory() + self.index.capacity() * (size_of::<Hashed>() + 1) + self.set_octets
    }

    /// The identifier of `set`, with one reference for the caller. `None` when there are a billion
    /// sets; the caller treats the route as withdrawn.
    pub fn intern(&mut self, set: &Arc<AttrSet>, next_hops: &mut NextHops) -> Option<AttrId> {
        let hash = short(set.content_hash());
        let slots = &self.slots;
        let same = |at: &Hashed| {
            at.hash == hash
                && slots
                    .get(at.index)
                    .and_then(|slot| slot.set.as_ref())
                    .is_some_and(|have| Arc::ptr_eq(have, set) || **have == **set)
        };
        if let Some(found) = self.index.find(Hashed::wide(hash), same) {
            let index = found.index;
            if let Some(slot) = self.slots.get_mut(index) {
                slot.refs = slot.refs.saturating_add(1);
            }
            return AttrId::from_index(index);
        }
        let next_hop = next_hops.acquire(set.next_hop().addr());
        let slot = Slot {
            set: Some(Arc::clone(set)),
            refs: 1,
            hash,
            hot: Hot::of(set, self.default_local_pref, next_hop),
        };
        let index = self.slots.insert(slot)?;
        let Some(id) = AttrId::from_index(index) else {
            self.slots.remove(index);
            next_hops.release(next_hop);
            return None;
        };
        self.set_octets += set_octets(set);
        self.index
            .insert_unique(Hashed::wide(hash), Hashed { hash, index }, |at| {
                Hashed::wide(at.hash)
            });
        Some(id)
    }

    /// The set behind an identifier.
    #[inline]
    pub fn get(&self, id: AttrId) -> Option<&Arc<AttrSet>> {
        self.slots.get(id.index())?.set.as_ref()
    }

    /// The decision fields of a set.
    #[inline]
    pub fn hot(&self, id: AttrId) -> Hot {
        self.slots
            .get(id.index())
            .map_or(Hot::EMPTY, |slot| slot.hot)
    }

    /// Adds `count` references.
    #[inline]
    pub fn retain(&mut self, id: AttrId, count: u32) {
        if let Some(slot) = self.slots.get_mut(id.index()) {
            slot.refs = slot.refs.saturating_add(count);
        }
    }

    /// Drops one reference.
    #[inline]
    pub fn release(&mut self, id: AttrId, next_hops: &mut NextHops) {
        let index = id.index();
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        debug_assert!(slot.refs > 0, "released more often than retained");
        slot.refs = slot.refs.saturating_sub(1);
        if slot.refs > 0 {
            return;
        }
        let Some(set) = slot.set.take() else {
            return;
        };
        next_hops.release(slot.hot.next_hop);
        self.set_octets = self.set_octets.saturating_sub(set_octets(&set));
        let found = self
            .index
            .find_entry(Hashed::wide(slot.hash), |at| at.index == index);
        if let Ok(found) = found {
            found.remove();
        }
        self.slots.remove(index);
        shrink(&mut self.index);
    }
}

/// Octets one set takes: itself behind an `Arc`, and its wire octets.
fn set_octets(set: &AttrSet) -> usize {
    size_of::<AttrSet>() + 2 * size_of::<usize>() + set.heap_len()
}

fn short(hash: u64) -> u32 {
    let [a, b, c, d, ..] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
