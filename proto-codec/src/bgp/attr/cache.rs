//! A peer's recently seen attribute blocks: a block that comes again is not parsed again.
//!
//! The key is what was on the wire: the attributes without MP_REACH_NLRI and MP_UNREACH_NLRI, and
//! the next hop of the routes. Only blocks without any error go in, so a hit means "valid" too.
//! Two generations: when the young one is full it becomes the old one and the previous old one is
//! dropped; a hit in the old one moves the entry to the young. That is close to
//! least-recently-used without a list, and the bound holds in entries and in octets, whatever a
//! peer sends. A cache belongs to one session: the decode context is not part of the key.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use hashbrown::HashTable;

use super::AttrSet;

/// Entries of one generation. A full table has about 200,000 different blocks; peers that pack well
/// send each once, the others send them in runs, which a few thousand entries cover.
const ENTRIES_MAX: usize = 4096;
/// Octets of keys of one generation, against blocks of many kilobytes.
const OCTETS_MAX: usize = 1 << 20;

struct Entry {
    hash: u64,
    key: Box<[u8]>,
    set: Arc<AttrSet>,
}

/// What identifies a block, in pieces that lie apart in the message.
pub(crate) struct BlockKey<'a> {
    pub pieces: [&'a [u8]; 5],
}

impl BlockKey<'_> {
    // Empty pieces are skipped, not compared: some C libraries compare with a masked vector load,
    // and on the dangling pointer of an empty slice the processor takes hundreds of cycles to mask
    // the fault. Measured: 315 ns per message instead of 105.
    fn filled(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces
            .iter()
            .copied()
            .filter(|piece| !piece.is_empty())
    }

    fn matches(&self, key: &[u8]) -> bool {
        let mut left = key;
        let same = self
            .filled()
            .all(|piece| match left.split_at_checked(piece.len()) {
                Some((head, tail)) => {
                    left = tail;
                    head == piece
                }
                None => false,
            });
        same && left.is_empty()
    }
}

/// Raw attribute block → parsed set, bounded.
pub struct AttrCache {
    seed: foldhash::fast::RandomState,
    young: HashTable<Entry>,
    old: HashTable<Entry>,
    octets: usize,
    hits: u64,
    misses: u64,
}

impl Default for AttrCache {
    fn default() -> Self {
        Self::new()
    }
}

impl AttrCache {
    /// Empty; allocates with the first entry.
    pub fn new() -> Self {
        Self {
            seed: Default::default(),
            young: HashTable::new(),
            old: HashTable::new(),
            octets: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// Forgets everything, as when the session has ended.
    pub fn clear(&mut self) {
        self.young = HashTable::new();
        self.old = HashTable::new();
        self.octets = 0;
    }

    /// How often a block was found and how often not.
    pub const fn stats(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    pub(crate) fn hash(&self, key: &BlockKey<'_>) -> u64 {
        let mut hasher = self.seed.build_hasher();
        for piece in key.filled() {
            hasher.write(piece);
        }
        hasher.finish()
    }

    pub(crate) fn get(&mut self, hash: u64, key: &BlockKey<'_>) -> Option<Arc<AttrSet>> {
        let same = |entry: &Entry| entry.hash == hash && key.matches(&entry.key);
        if let Some(entry) = self.young.find(hash, same) {
            self.hits += 1;
            return Some(Arc::clone(&entry.set));
        }
        let Ok(found) = self.old.find_entry(hash, same) else {
            self.misses += 1;
            return None;
        };
        let (entry, _) = found.remove();
        self.hits += 1;
        let set = Arc::clone(&entry.set);
        self.keep(entry);
        Some(set)
    }

    pub(crate) fn insert(&mut self, hash: u64, key: &BlockKey<'_>, set: &Arc<AttrSet>) {
        self.keep(Entry {
            hash,
            key: key.pieces.concat().into(),
            set: Arc::clone(set),
        });
    }

    fn keep(&mut self, entry: Entry) {
        if self.young.len() >= ENTRIES_MAX || self.octets >= OCTETS_MAX {
            self.old = std::mem::take(&mut self.young);
            self.octets = 0;
        }
        self.octets += entry.key.len();
        self.young
            .insert_unique(entry.hash, entry, |entry| entry.hash);
    }
}

impl std::fmt::Debug for AttrCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "AttrCache({} + {} blocks)",
            self.young.len(),
            self.old.len()
        )
    }
}
