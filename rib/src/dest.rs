//! A prefix with its paths: the entry of a table.
//!
//! Nearly every destination of an edge router has one path, so one is held inline and only more
//! than one are boxed. The best path is an index, not a copy. A destination lives as long as it
//! has a path or something outside still refers to it (an Adj-RIB-Out entry, a tombstone, a
//! change the kernel has not been told); `refs` counts the latter.

use crate::path::Path;

/// The index of no path.
const NONE: u16 = u16::MAX;
/// Paths of one destination at most. A peer with ADD-PATH chooses how many it sends; past this
/// they are refused and counted.
pub(crate) const PATHS_MAX: usize = 4_096;

/// Marks of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct DestFlags(u8);

impl DestFlags {
    /// In the list of destinations to export.
    pub const CHANGED: DestFlags = DestFlags(1);
    /// In the queue towards the kernel; counts as a reference.
    pub const FIB_PENDING: DestFlags = DestFlags(1 << 1);
    /// The kernel side was told of a route.
    pub const FIB_TOLD: DestFlags = DestFlags(1 << 2);
    /// In the list of destinations with a path whose next hop is not known to be reachable.
    pub const WAITING: DestFlags = DestFlags(1 << 3);
}

/// The paths of a destination. The vector is boxed so that the enum is no larger than a path.
#[derive(Debug)]
#[expect(clippy::box_collection)]
enum Paths {
    One(Path),
    Many(Box<Vec<Path>>),
    None,
}

/// A prefix with its paths.
#[derive(Debug)]
pub(crate) struct Dest<P> {
    /// The prefix.
    pub key: P,
    paths: Paths,
    best: u16,
    /// References from outside the table.
    pub refs: u16,
    flags: DestFlags,
}

impl<P> Dest<P> {
    /// A destination without paths.
    pub fn new(key: P) -> Self {
        Self {
            key,
            paths: Paths::None,
            best: NONE,
            refs: 0,
            flags: DestFlags::default(),
        }
    }

    /// Whether nothing needs it any more.
    pub fn is_unused(&self) -> bool {
        self.refs == 0 && self.paths().is_empty() && self.flags.0 & DestFlags::CHANGED.0 == 0
    }

    /// Sets or clears a mark; returns whether it was set.
    #[inline]
    pub fn mark(&mut self, flag: DestFlags, on: bool) -> bool {
        let was = self.flags.0 & flag.0 != 0;
        if on {
            self.flags.0 |= flag.0;
        } else {
            self.flags.0 &= !flag.0;
        }
        was
    }

    /// Whether a mark is set.
    pub fn has(&self, flag: DestFlags) -> bool {
        self.flags.0 & flag.0 != 0
    }

    /// All paths.
    #[inline]
    pub fn paths(&self) -> &[Path] {
        match &self.paths {
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Many(list) => list,
            Paths::None => &[],
        }
    }

    /// All paths, to change in place.
    #[inline]
    pub fn paths_mut(&mut self) -> &mut [Path] {
        match &mut self.paths {
            Paths::One(path) => std::slice::from_mut(path),
            Paths::Many(list) => list,
            Paths::None => &mut [],
        }
    }

    /// Appends a path; `false` when there are too many.
    #[inline]
    pub fn push(&mut self, path: Path) -> bool {
        match &mut self.paths {
            Paths::None => self.paths = Paths::One(path),
            Paths::One(first) => {
                // Two at first: a second feed is the next most frequent case.
                let mut list = Vec::with_capacity(2);
                list.extend([*first, path]);
                self.paths = Paths::Many(Box::new(list));
            }
            Paths::Many(list) if list.len() < PATHS_MAX => {
                if list.len() == list.capacity() {
                    // Doubling would leave a third of the table empty; ten feeds are ten paths.
                    list.reserve_exact(2.max(list.len() / 4));
                }
                list.push(path);
            }
            Paths::Many(_) => return false,
        }
        true
    }

    /// Removes the path at `index`, keeping the order of the others and the best path.
    pub fn remove(&mut self, index: usize) -> Option<Path> {
        let removed = match &mut self.paths {
            Paths::One(path) if index == 0 => {
                let path = *path;
                self.paths = Paths::None;
                path
            }
            Paths::Many(list) if index < list.len() => {
                let path = list.remove(index);
                if let [last] = list.as_slice() {
                    self.paths = Paths::One(*last);
                } else if list.capacity() > 2 * list.len() + 2 {
                    list.shrink_to_fit();
                }
                path
            }
            _ => return None,
        };
        match self.best_index() {
            Some(best) if best == index => self.best = NONE,
            Some(best) if best > index => self.set_best(Some(best - 1)),
            _ => {}
        }
        Some(removed)
    }

    /// Which path is the best.
    #[inline]
    pub fn best_index(&self) -> Option<usize> {
        (self.best != NONE).then_some(usize::from(self.best))
    }

    /// The best path.
    #[inline]
    pub fn best(&self) -> Option<&Path> {
        self.paths().get(self.best_index()?)
    }

    /// Remembers which path is the best.
    #[inline]
    pub fn set_best(&mut self, index: Option<usize>) {
        self.best = index
            .and_then(|index| u16::try_from(index).ok())
            .unwrap_or(NONE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attr::AttrId;
    use crate::path::{DecisionKey, PathFlags, PathKind};
    use crate::peer::PeerSlot;

    fn path(source: u16) -> Path {
        Path {
            key: DecisionKey::new(100, 1, 0),
            received: AttrId::for_test(1),
            attrs: AttrId::for_test(1),
            path_id: 0,
            stamp: 0,
            source: PeerSlot(source),
            kind: PathKind::External,
            flags: PathFlags::default(),
        }
    }

    #[test]
    fn a_destination_of_ipv4_takes_48_octets() {
        assert_eq!(size_of::<Dest<u64>>(), 48);
    }

    #[test]
    fn best_follows_its_path_when_others_go() {
        let mut dest = Dest::new(0u64);
        for source in 0..4 {
            assert!(dest.push(path(source)));
        }
        dest.set_best(Some(2));
        dest.remove(0);
        assert_eq!(dest.best().map(|path| path.source), Some(PeerSlot(2)));
        dest.remove(2);
        assert_eq!(dest.best().map(|path| path.source), Some(PeerSlot(2)));
        dest.remove(1);
        assert_eq!(dest.best(), None);
        assert_eq!(dest.paths().len(), 1);
        dest.remove(0);
        assert!(dest.is_unused());
        assert!(dest.remove(0).is_none());
    }
}
