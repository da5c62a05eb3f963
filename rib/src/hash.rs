//! The seeded hash of every table in the crate.
//!
//! Keys come from peers, so the seed must not be guessable in production; in tests and in the
//! simulator it is fixed, so that a run can be repeated. No order of a hash table ever reaches
//! the outside, whatever the seed.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

/// A hash map whose order is never looked at.
pub(crate) type SeededMap<K, V> = hashbrown::HashMap<K, V, FixedState>;

/// Makes hashes from one seed.
#[derive(Clone, Debug)]
pub(crate) struct Seed(FixedState);

impl Seed {
    /// From the seed of the configuration.
    pub fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    /// An empty map.
    pub fn map<K, V>(&self) -> SeededMap<K, V> {
        SeededMap::with_hasher(self.0.clone())
    }

    /// 32 bits of the hash of `value`: enough to find a bucket and to tell most others apart,
    /// and small enough to be kept beside an index, so that growing a table touches no entry.
    #[inline]
    pub fn short<T: Hash + ?Sized>(&self, value: &T) -> u32 {
        let hash = self.0.hash_one(value);
        let [_, _, _, _, a, b, c, d] = (hash ^ (hash >> 32)).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// An index in some array with the short hash of its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hashed {
    pub hash: u32,
    pub index: u32,
}

impl Hashed {
    /// The hash as the table wants it: its low bits find the bucket, its high bits the tag.
    #[inline]
    pub fn wide(hash: u32) -> u64 {
        u64::from(hash) << 32 | u64::from(hash)
    }
}
