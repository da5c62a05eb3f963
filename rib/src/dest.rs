//! A prefix with its paths: the entry of a table.
//!
//! Nearly every destination of an edge router has one path, so one is held inline, and where there
//! are more the list stands in its place: no octet is spent on telling the two apart. The best path
//! is an index, not a copy. A destination lives as long as it has a path or something outside still
//! refers to it (an Adj-RIB-Out entry, a tombstone, a change the kernel has not been told); `refs`
//! counts the latter.

use crate::path::Path;
use crate::peer::PeerSlot;

/// The index of no path.
const NONE: u16 = u16::MAX;
/// Paths of one destination at most, past which they are refused and counted.
pub(crate) const PATHS_MAX: usize = 4_096;
/// Those of them from one peer. A peer with ADD-PATH chooses how many it sends; it must not take
/// the room of the others. A reflector passes on one per client, and a thousand clients are many.
pub(crate) const PATHS_OF_PEER_MAX: usize = 1_024;

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
    /// In the list of destinations to be decided when the batch is over.
    pub const UNDECIDED: DestFlags = DestFlags(1 << 4);
    /// Marks that say "in a list": the destination must stay.
    const LISTED: DestFlags = DestFlags(Self::CHANGED.0 | Self::UNDECIDED.0);
}

/// The paths of a destination, by source and path identifier: with a thousand peers that all have
/// the prefix, to look for a path from the start of the list would cost the square of their number.
#[derive(Debug)]
enum Paths {
    One(Path),
    Many(Vec<Path>),
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
        self.refs == 0 && self.flags.0 & DestFlags::LISTED.0 == 0 && self.paths().is_empty()
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

    /// All paths, by source and path identifier.
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

    /// Where the path of a source and identifier is, or where it would go. `hint` is where it was
    /// in another destination: peers come in the same order everywhere, so it is right more often
    /// than not.
    #[inline]
    pub fn find(&self, source: PeerSlot, path_id: u32, hint: usize) -> Result<usize, usize> {
        let wanted = (source, path_id);
        let name = |path: &Path| (path.source, path.path_id);
        let paths = self.paths();
        match paths.last().map(name) {
            None => return Err(0),
            Some(last) if last < wanted => return Err(paths.len()),
            Some(last) if last == wanted => return Ok(paths.len() - 1),
            Some(_) => {}
        }
        if paths.get(hint).map(name) == Some(wanted) {
            return Ok(hint);
        }
        paths.binary_search_by_key(&wanted, name)
    }

    /// Puts a path where `find` said that it would go; `false` when there are too many.
    #[inline]
    pub fn insert(&mut self, at: usize, path: Path) -> bool {
        match &mut self.paths {
            Paths::None => self.paths = Paths::One(path),
            Paths::One(first) => {
                // Two at first: a second feed is the next most frequent case.
                let mut list = Vec::with_capacity(2);
                list.extend(match at {
                    0 => [path, *first],
                    _ => [*first, path],
                });
                self.paths = Paths::Many(list);
            }
            Paths::Many(list) => {
                if !insert_into(list, at, path) {
                    return false;
                }
            }
        }
        match self.best_index() {
            Some(best) if best >= at => self.set_best(Some(best + 1)),
            _ => {}
        }
        true
    }

    /// Removes the path at `index`, keeping the order of the others and the best path.
    pub fn remove(&mut self, index: usize) -> Option<Path> {
        let mut removed = None;
        let mut at = 0;
        self.remove_where(
            |_| {
                at += 1;
                at == index + 1
            },
            |path| removed = Some(path),
        );
        removed
    }

    /// Removes every path that `doomed` says so of, in one pass, and shows each to `removed`;
    /// keeps the order of the others and, if it stays, the best path. Returns whether the best
    /// path went.
    pub fn remove_where(
        &mut self,
        mut doomed: impl FnMut(&Path) -> bool,
        mut removed: impl FnMut(Path),
    ) -> bool {
        let best = self.best_index();
        match &mut self.paths {
            Paths::None => false,
            Paths::One(path) => {
                if !doomed(path) {
                    return false;
                }
                removed(*path);
                self.paths = Paths::None;
                self.best = NONE;
                best.is_some()
            }
            Paths::Many(list) => {
                let (mut at, mut before_best, mut best_gone) = (0, 0, false);
                list.retain(|path| {
                    let goes = doomed(path);
                    if goes {
                        removed(*path);
                        before_best += usize::from(best.is_some_and(|best| at < best));
                        best_gone |= best == Some(at);
                    }
                    at += 1;
                    !goes
                });
                if list.len() == at {
                    return false;
                }
                match list.as_slice() {
                    [] => self.paths = Paths::None,
                    [last] => self.paths = Paths::One(*last),
                    _ if list.capacity() > 2 * list.len() + 2 => list.shrink_to_fit(),
                    _ => {}
                }
                let kept = best.filter(|_| !best_gone);
                self.set_best(kept.map(|best| best.saturating_sub(before_best)));
                best_gone
            }
        }
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

fn insert_into(list: &mut Vec<Path>, at: usize, path: Path) -> bool {
    let of_peer = |slot: PeerSlot| {
        let upto = |upto: &dyn Fn(PeerSlot) -> bool| list.partition_point(|p| upto(p.source));
        upto(&|have| have <= slot) - upto(&|have| have < slot)
    };
    if list.len() >= PATHS_MAX
        || list.len() >= PATHS_OF_PEER_MAX && of_peer(path.source) >= PATHS_OF_PEER_MAX
        || at > list.len()
    {
        return false;
    }
    if list.len() == list.capacity() {
        // Doubling would leave a third of the table empty; ten feeds are ten paths.
        list.reserve_exact(2.max(list.len() / 4));
    }
    list.insert(at, path);
    true
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

    impl Dest<u64> {
        fn push(&mut self, path: Path) -> bool {
            let found = self.find(path.source, path.path_id, 0);
            self.insert(found.unwrap_err(), path)
        }
    }

    #[test]
    fn paths_lie_by_source_whatever_order_they_came_in() {
        let mut dest = Dest::new(0u64);
        for source in [5, 2, 9, 7, 1] {
            assert!(dest.push(path(source)));
            if source == 5 {
                dest.set_best(Some(0));
            }
        }
        let sources: Vec<u16> = dest.paths().iter().map(|path| path.source.0).collect();
        assert_eq!(sources, [1, 2, 5, 7, 9]);
        assert_eq!(dest.best().map(|path| path.source), Some(PeerSlot(5)));
        for (index, source) in sources.into_iter().enumerate() {
            for hint in 0..6 {
                assert_eq!(dest.find(PeerSlot(source), 0, hint), Ok(index));
            }
            assert_eq!(dest.find(PeerSlot(source), 1, index), Err(index + 1));
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

    #[test]
    fn many_go_in_one_pass_and_the_best_is_told() {
        let mut dest = Dest::new(0u64);
        for source in 0..8 {
            assert!(dest.push(path(source)));
        }
        dest.set_best(Some(5));
        let mut gone = Vec::new();
        let even = |path: &Path| path.source.0.is_multiple_of(2);
        assert!(!dest.remove_where(even, |path| gone.push(path.source.0)));
        assert_eq!(gone, [0, 2, 4, 6]);
        assert_eq!(dest.best().map(|path| path.source), Some(PeerSlot(5)));
        assert!(dest.remove_where(|path| path.source.0 > 1, |_| {}));
        assert_eq!((dest.paths(), dest.best()), (&[path(1)][..], None));
    }

    /// One peer with ADD-PATH cannot take the room of the others.
    #[test]
    fn a_peer_has_its_share_of_the_paths() {
        let mut dest = Dest::new(0u64);
        let room = (0..2 * PATHS_OF_PEER_MAX).filter(|n| {
            let path_id = u32::try_from(*n).unwrap();
            dest.push(Path { path_id, ..path(1) })
        });
        assert_eq!(room.count(), PATHS_OF_PEER_MAX);
        let room = (0..PATHS_MAX).filter(|n| dest.push(path(2 + u16::try_from(*n).unwrap())));
        assert_eq!(room.count(), PATHS_MAX - PATHS_OF_PEER_MAX);
    }
}
