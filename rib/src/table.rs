//! The prefix table of one family.
//!
//! Destinations live in an array and keep their index for as long as they live, so everything
//! else (Adj-RIB-Out, change lists, the kernel queue) is an array or a list of [`DestId`]s. A hash
//! table finds the index of a prefix: exact match is what the hot path needs. Longest match is
//! asked for by operators and next-hop checks only and probes the populated lengths, longest
//! first; ordered output sorts on demand. A trie was measured at twice the time per insert.
//!
//! A destination is given back when nothing refers to it, its memory when nothing nearby is needed
//! any more, and the hash table shrinks when it is nearly empty.

use std::net::IpAddr;

use hashbrown::HashTable;
use proto_codec::afi::AddressFamily;
use proto_codec::prefix::PrefixKey;
use smallvec::SmallVec;

use crate::chunked::Slab;
use crate::dest::Dest;
use crate::hash::{Hashed, Seed};

/// A destination inside the table of its family.
pub(crate) type DestId = u32;

/// Prefixes that are looked for together.
pub(crate) const TOGETHER: usize = 16;

/// A prefix that was looked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<P> {
    pub key: P,
    hash: u32,
    id: Option<DestId>,
}

/// Prefixes that were looked for together.
pub(crate) type Located<P> = SmallVec<[Place<P>; TOGETHER]>;

/// The prefix table of one family.
#[derive(Debug)]
pub(crate) struct Table<A: AddressFamily> {
    index: HashTable<Hashed>,
    dests: Slab<Dest<A::Prefix>>,
    /// Destinations per prefix length, for longest match.
    lengths: Vec<u32>,
    seed: Seed,
}

impl<A: AddressFamily> Table<A> {
    /// An empty table.
    pub fn new(seed: Seed) -> Self {
        Self {
            index: HashTable::new(),
            dests: Slab::default(),
            lengths: vec![0; usize::from(A::BITS) + 1],
            seed,
        }
    }

    /// Destinations, including those kept only until everybody was told they are gone.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Indices handed out so far; free ones among them have no paths.
    pub fn ids(&self) -> std::ops::Range<DestId> {
        self.dests.indices()
    }

    /// Finds a prefix.
    pub fn find(&self, key: A::Prefix) -> Option<DestId> {
        let hash = self.seed.short(&key);
        let same = |at: &Hashed| at.hash == hash && self.key(at.index) == Some(key);
        let found = self.index.find(Hashed::wide(hash), same)?;
        Some(found.index)
    }

    /// Looks for several prefixes at once, which is much cheaper than one after the other: what
    /// each probe has to wait for is in no cache, and here the processor waits for all of them at
    /// the same time. Reads along what [`enter`](Self::enter) and a change of the paths are going
    /// to need.
    #[inline]
    pub fn locate(&self, keys: impl Iterator<Item = A::Prefix>) -> Located<A::Prefix> {
        let mut located: Located<A::Prefix> = keys
            .map(|key| Place {
                key,
                hash: self.seed.short(&key),
                id: None,
            })
            .collect();
        for place in &mut located {
            let (key, hash) = (place.key, place.hash);
            let same = |at: &Hashed| at.hash == hash && self.key(at.index) == Some(key);
            let found = self.index.find(Hashed::wide(hash), same);
            place.id = found.map(|found| found.index);
        }
        for place in &located {
            let dest = place.id.and_then(|id| self.dests.get(id));
            std::hint::black_box(dest.and_then(|dest| Some(dest.paths().last()?.source)));
        }
        located
    }

    /// Finds a prefix or makes an empty destination for it.
    #[cfg(test)]
    pub fn find_or_insert(&mut self, key: A::Prefix) -> DestId {
        let hash = self.seed.short(&key);
        let id = None;
        self.enter(&Place { key, hash, id })
    }

    /// The destination of a prefix that was looked for, made if it is not there. Nothing may have
    /// been given back since.
    #[inline]
    pub fn enter(&mut self, place: &Place<A::Prefix>) -> DestId {
        if let Some(id) = place.id {
            return id;
        }
        let (key, hash) = (place.key, place.hash);
        let dests = &self.dests;
        let entry = self.index.entry(
            Hashed::wide(hash),
            |at| at.hash == hash && dests.get(at.index).is_some_and(|dest| dest.key == key),
            |at| Hashed::wide(at.hash),
        );
        let vacant = match entry {
            hashbrown::hash_table::Entry::Occupied(found) => return found.get().index,
            hashbrown::hash_table::Entry::Vacant(vacant) => vacant,
        };
        // No index is left with four billion prefixes; nothing is behind this one.
        let Some(index) = self.dests.insert(Dest::new(key)) else {
            return DestId::MAX;
        };
        vacant.insert(Hashed { hash, index });
        if let Some(count) = self.lengths.get_mut(usize::from(key.prefix_len())) {
            *count += 1;
        }
        index
    }

    /// The destination behind an index.
    #[inline]
    pub fn get(&self, id: DestId) -> Option<&Dest<A::Prefix>> {
        self.dests.get(id)
    }

    /// The destination behind an index.
    #[inline]
    pub fn get_mut(&mut self, id: DestId) -> Option<&mut Dest<A::Prefix>> {
        self.dests.get_mut(id)
    }

    /// The prefix behind an index.
    #[inline]
    pub fn key(&self, id: DestId) -> Option<A::Prefix> {
        self.dests.get(id).map(|dest| dest.key)
    }

    /// Notes one more reference from outside.
    #[inline]
    pub fn retain(&mut self, id: DestId) {
        if let Some(dest) = self.dests.get_mut(id) {
            dest.refs = dest.refs.saturating_add(1);
        }
    }

    /// Notes one reference less and gives the destination back if it was the last.
    pub fn release(&mut self, id: DestId) {
        if let Some(dest) = self.dests.get_mut(id) {
            dest.refs = dest.refs.saturating_sub(1);
        }
        self.drop_unused(id);
    }

    /// Gives a destination back if nothing needs it.
    pub fn drop_unused(&mut self, id: DestId) {
        let Some(dest) = self.dests.get(id).filter(|dest| dest.is_unused()) else {
            return;
        };
        let key = dest.key;
        let hash = self.seed.short(&key);
        let same = |at: &Hashed| at.index == id;
        let Ok(found) = self.index.find_entry(Hashed::wide(hash), same) else {
            return;
        };
        found.remove();
        self.dests.remove(id);
        shrink(&mut self.index);
        if let Some(count) = self.lengths.get_mut(usize::from(key.prefix_len())) {
            *count = count.saturating_sub(1);
        }
    }

    /// Longest prefix with at least one path that `accept` takes and that contains `addr`.
    pub fn longest_match(
        &self,
        addr: IpAddr,
        accept: impl Fn(&Dest<A::Prefix>) -> bool,
    ) -> Option<DestId> {
        let host = A::Prefix::from_addr(addr)?;
        (0..=A::BITS)
            .rev()
            .filter(|len| self.lengths.get(usize::from(*len)).is_some_and(|n| *n > 0))
            .find_map(|len| {
                let id = self.find(host.truncate(len))?;
                let dest = self.get(id)?;
                (!dest.paths().is_empty() && accept(dest)).then_some(id)
            })
    }

    /// Octets allocated, estimated for the lists of destinations with several of the `paths`.
    pub fn memory(&self, paths: usize) -> usize {
        const LIST_OCTETS: usize = size_of::<Vec<crate::path::Path>>();
        let more = paths.saturating_sub(self.len());
        let lists = more.min(self.len());
        self.dests.memory()
            + self.index.capacity() * (size_of::<Hashed>() + 1)
            + (more + lists) * size_of::<crate::path::Path>()
            + lists * LIST_OCTETS
    }
}

/// Gives memory back when an index is nearly empty.
pub(crate) fn shrink(index: &mut HashTable<Hashed>) {
    const KEPT: usize = 1 << 12;
    if index.capacity() > KEPT && index.len() < index.capacity() / 8 {
        // Twice what is there: neither the next entries nor the next to go move everything again.
        index.shrink_to(2 * index.len(), |at| Hashed::wide(at.hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto_codec::afi::V4;
    use proto_codec::prefix::Prefix4;

    fn key(text: &str) -> Prefix4 {
        text.parse().unwrap()
    }

    #[test]
    fn looking_for_several_finds_what_one_by_one_does() {
        let mut table: Table<V4> = Table::new(Seed::new(1));
        let old = table.find_or_insert(key("10.0.0.0/8"));
        let keys = ["10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/9"].map(key);
        let located = table.locate(keys.into_iter());
        let ids: Vec<DestId> = located.iter().map(|place| table.enter(place)).collect();
        assert_eq!(ids[0], old);
        assert_eq!(ids[1], ids[2], "made for the first of two");
        assert_eq!(table.find(keys[1]), Some(ids[1]));
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn an_index_stays_until_the_last_reference_goes() {
        let mut table: Table<V4> = Table::new(Seed::new(1));
        let id = table.find_or_insert(key("10.0.0.0/8"));
        let other = table.find_or_insert(key("10.0.0.0/9"));
        assert_ne!(id, other);
        assert_eq!(table.find_or_insert(key("10.0.0.0/8")), id);
        table.retain(id);
        table.drop_unused(id);
        assert_eq!(table.find(key("10.0.0.0/8")), Some(id));
        table.release(id);
        assert_eq!(table.find(key("10.0.0.0/8")), None);
        assert_eq!(
            table.find_or_insert(key("192.0.2.0/24")),
            id,
            "indices are reused"
        );
        table.drop_unused(id);
        table.drop_unused(other);
        assert_eq!((table.len(), table.ids().len()), (0, 0));
    }

    /// After a mass withdrawal the memory is that of what is left.
    #[test]
    fn memory_goes_back_while_some_prefixes_stay() {
        let mut table: Table<V4> = Table::new(Seed::new(1));
        let key = |n: u32| Prefix4::new((n << 8).into(), 24);
        let ids: Vec<DestId> = (0..100_000).map(|n| table.find_or_insert(key(n))).collect();
        let full = table.memory(0);
        table.retain(ids[70_000]);
        ids.iter().for_each(|id| table.drop_unused(*id));
        assert_eq!(table.find(key(70_000)), Some(ids[70_000]));
        let left = table.memory(0);
        assert!(left < full / 15, "{left} of {full}");
    }
}
