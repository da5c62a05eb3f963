//! Growing arrays that never move what they hold, and give back what they no longer need.
//!
//! Tables of a million entries must not double by copying: at the moment of the copy a `Vec`
//! needs three times its size, and peak memory is what a full table is judged by. Both arrays here
//! grow by blocks of [`CHUNK`] entries, and a block in which nothing is in use any more is dropped:
//! after a mass withdrawal the memory of a table goes back, not only when the last prefix goes.
//! Access costs one more load than a `Vec`.
//!
//! A [`Slab`] hands out indices and takes them back; a [`Chunked`] is indexed by somebody else's
//! and is told which entries are in use. Indices are `u32`: four billion prefixes are more than the
//! memory of any router.

use std::ops::Range;

/// Entries of one block, a power of two. 4,096 destinations are about 200 KiB.
const CHUNK: usize = 1 << SHIFT;
const SHIFT: u32 = 12;

/// An array that hands out indices.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    blocks: Vec<SlabBlock<T>>,
    /// Blocks with room, the next to be filled last; each that is marked as listed, once.
    open: Vec<u32>,
}

#[derive(Debug)]
struct SlabBlock<T> {
    items: Vec<T>,
    /// Places among `items` that were given back.
    free: Vec<u16>,
    listed: bool,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            blocks: Vec::new(),
            open: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Takes in a value; `None` when there are four billion.
    pub fn insert(&mut self, value: T) -> Option<u32> {
        let at = match self.open.last() {
            Some(at) => *at,
            None => {
                let at = u32::try_from(self.blocks.len()).ok()?;
                at.checked_add(1)?.checked_shl(SHIFT)?;
                self.blocks.push(SlabBlock {
                    items: Vec::new(),
                    free: Vec::new(),
                    listed: true,
                });
                self.open.push(at);
                at
            }
        };
        let block = self.blocks.get_mut(usize::try_from(at).ok()?)?;
        let inside = match block.free.pop() {
            Some(inside) => {
                *block.items.get_mut(usize::from(inside))? = value;
                inside
            }
            None => {
                if block.items.is_empty() {
                    block.items.reserve_exact(CHUNK);
                }
                block.items.push(value);
                u16::try_from(block.items.len() - 1).ok()?
            }
        };
        if block.free.is_empty() && block.items.len() == CHUNK {
            block.listed = false;
            self.open.pop();
        }
        Some(at << SHIFT | u32::from(inside))
    }

    /// Gives an index back, which must be in use. What is there stays until the place is taken
    /// again or the block goes.
    pub fn remove(&mut self, index: u32) {
        let (at, inside) = split(index);
        let (Some(block), Ok(inside)) = (self.blocks.get_mut(at), u16::try_from(inside)) else {
            return;
        };
        block.free.push(inside);
        if block.free.len() == block.items.len() {
            (block.items, block.free) = (Vec::new(), Vec::new());
        }
        if !block.listed {
            block.listed = true;
            self.open.push(index >> SHIFT);
        }
        if block.items.is_empty() && self.blocks.iter().all(|block| block.items.is_empty()) {
            *self = Self::default();
        }
    }

    /// The entry at `index`.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (block, at) = split(index);
        self.blocks.get(block)?.items.get(at)
    }

    /// The entry at `index`.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (block, at) = split(index);
        self.blocks.get_mut(block)?.items.get_mut(at)
    }

    /// Where indices in use may be.
    pub fn indices(&self) -> Range<u32> {
        0..self.blocks.last().map_or(0, |last| {
            let before = (self.blocks.len() - 1) << SHIFT;
            u32::try_from(before + last.items.len()).unwrap_or(u32::MAX)
        })
    }

    /// Octets allocated.
    pub fn memory(&self) -> usize {
        let of = |block: &SlabBlock<T>| {
            block.items.capacity() * size_of::<T>() + block.free.capacity() * 2
        };
        self.blocks.iter().map(of).sum()
    }
}

/// An array indexed by somebody else's numbers.
#[derive(Debug)]
pub(crate) struct Chunked<T> {
    blocks: Vec<Block<T>>,
}

#[derive(Debug)]
struct Block<T> {
    /// Empty, or [`CHUNK`] of them.
    items: Vec<T>,
    in_use: u32,
}

impl<T> Default for Chunked<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T: Default + Clone> Chunked<T> {
    /// Entries there may be; a scan goes from 0 to here.
    pub fn len(&self) -> u32 {
        u32::try_from(self.blocks.len() << SHIFT).unwrap_or(u32::MAX)
    }

    /// The entry at `index`; `None` also where nothing is in use nearby.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&T> {
        let (block, at) = split(index);
        self.blocks.get(block)?.items.get(at)
    }

    /// The entry at `index`.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (block, at) = split(index);
        self.blocks.get_mut(block)?.items.get_mut(at)
    }

    /// The entry at `index`, made if need be.
    #[inline]
    pub fn entry(&mut self, index: u32) -> Option<&mut T> {
        let (block, at) = split(index);
        if self
            .blocks
            .get(block)
            .is_none_or(|block| block.items.is_empty())
        {
            self.allocate(block);
        }
        self.blocks.get_mut(block)?.items.get_mut(at)
    }

    #[cold]
    fn allocate(&mut self, block: usize) {
        while self.blocks.len() <= block {
            self.blocks.push(Block {
                items: Vec::new(),
                in_use: 0,
            });
        }
        if let Some(block) = self.blocks.get_mut(block) {
            block.items = vec![T::default(); CHUNK];
        }
    }

    /// Notes that the entry at `index` came into use.
    #[inline]
    pub fn came_into_use(&mut self, index: u32) {
        if let Some(block) = self.blocks.get_mut(split(index).0) {
            block.in_use += 1;
        }
    }

    /// Empties an entry that was in use.
    pub fn vacate(&mut self, index: u32) {
        let (block, at) = split(index);
        let Some(block) = self.blocks.get_mut(block) else {
            return;
        };
        if let Some(entry) = block.items.get_mut(at) {
            *entry = T::default();
        }
        block.in_use = block.in_use.saturating_sub(1);
        if block.in_use == 0 {
            block.items = Vec::new();
        }
    }

    /// Drops everything and gives the memory back.
    pub fn clear(&mut self) {
        self.blocks = Vec::new();
    }

    /// Octets allocated.
    pub fn memory(&self) -> usize {
        let of = |block: &Block<T>| block.items.capacity() * size_of::<T>();
        self.blocks.iter().map(of).sum()
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
    fn a_slab_grows_by_blocks_and_keeps_indices() {
        let mut slab = Slab::default();
        for value in 0..10_000u32 {
            assert_eq!(slab.insert(value), Some(value));
        }
        assert_eq!((slab.get(9_999), slab.get(10_000)), (Some(&9_999), None));
        assert_eq!(slab.indices(), 0..10_000);
        slab.remove(7);
        slab.remove(5_000);
        assert_eq!((slab.insert(1), slab.insert(2)), (Some(5_000), Some(7)));
        assert_eq!(slab.insert(3), Some(10_000), "indices in use stay");
    }

    #[test]
    fn a_block_goes_when_nothing_in_it_is_in_use() {
        let mut slab = Slab::default();
        for value in 0..3 * CHUNK {
            slab.insert(value);
        }
        let full = slab.memory();
        let second = u32::try_from(CHUNK).unwrap()..u32::try_from(2 * CHUNK).unwrap();
        second.clone().for_each(|index| slab.remove(index));
        assert_eq!(slab.memory(), full / 3 * 2);
        assert_eq!(slab.get(second.start), None);
        assert_eq!(slab.indices().len(), 3 * CHUNK);
        // The room is the first to be taken again.
        assert_eq!(slab.insert(9), Some(second.start));
        slab.remove(second.start);
        slab.indices()
            .filter(|index| !second.contains(index))
            .for_each(|index| slab.remove(index));
        assert_eq!((slab.memory(), slab.indices()), (0, 0..0));
    }

    #[test]
    fn entries_are_made_where_they_are_needed_and_go_by_blocks() {
        let mut array: Chunked<u32> = Chunked::default();
        *array.entry(20_000).unwrap() = 7;
        array.came_into_use(20_000);
        assert_eq!((array.get(20_000), array.get(5)), (Some(&7), None));
        assert_eq!(array.memory(), CHUNK * 4);
        array.vacate(20_000);
        assert_eq!((array.get(20_000), array.memory()), (None, 0));
    }
}
