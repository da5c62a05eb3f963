//! A growing array that never moves what it holds.
//!
//! Tables of a million entries must not double by copying: at the moment of the copy a `Vec`
//! needs three times its size, and peak memory is what a full table is judged by. A [`Chunked`]
//! grows by blocks of [`CHUNK`] entries, each large enough that the allocator returns it to the
//! system when it is dropped. Access costs one more load than a `Vec`.
//!
//! Indices are `u32`: four billion prefixes are more than the memory of any router.

use std::ops::Range;

/// Entries of one block, a power of two. 4,096 destinations are about 200 KiB.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 12;

/// The array.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    blocks: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Chunked<T> {
    /// Entries.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Appends `value` and returns its index.
    pub fn push(&mut self, value: T) -> u32 {
        let index = self.len;
        match self.blocks.last_mut() {
            Some(block) if block.len() < CHUNK => block.push(value),
            _ => {
                let mut block = Vec::with_capacity(CHUNK);
                block.push(value);
                self.blocks.push(block);
            }
        }
        self.len = self.len.saturating_add(1);
        index
    }

    /// The entry at `index`.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (block, at) = split(index);
        self.blocks.get(block)?.get(at)
    }

    /// The entry at `index`.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (block, at) = split(index);
        self.blocks.get_mut(block)?.get_mut(at)
    }

    /// All indices.
    pub fn indices(&self) -> Range<u32> {
        0..self.len
    }

    /// Drops everything and gives the memory back.
    pub fn clear(&mut self) {
        self.blocks = Vec::new();
        self.len = 0;
    }

    /// Octets allocated.
    pub fn memory(&self) -> usize {
        self.blocks.len() * CHUNK * size_of::<T>()
    }
}

impl<T: Default> Chunked<T> {
    /// The entry at `index`, growing the array up to it.
    #[inline]
    pub fn entry(&mut self, index: u32) -> Option<&mut T> {
        while self.len <= index {
            self.push(T::default());
        }
        self.get_mut(index)
    }
}

#[inline]
fn split(index: u32) -> (usize, usize) {
    // Lossless wherever this runs: usize has at least 32 bits (checked by the constant below).
    let index = index as usize;
    (index >> SHIFT, index & (CHUNK - 1))
}

const _: () = assert!(usize::BITS >= 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_by_blocks_and_keeps_indices() {
        let mut array = Chunked::default();
        for value in 0..10_000u32 {
            assert_eq!(array.push(value), value);
        }
        assert_eq!(array.get(9_999), Some(&9_999));
        assert_eq!(array.get(10_000), None);
        assert!(array.indices().all(|at| array.get(at) == Some(&at)));
        *array.entry(20_000).unwrap() = 7;
        assert_eq!(array.len(), 20_001);
        assert_eq!(array.get(15_000), Some(&0));
        array.clear();
        assert_eq!((array.len(), array.memory()), (0, 0));
    }
}
