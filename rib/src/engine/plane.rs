//! The table of one family and the work that waits on it.
//!
//! Everything here is generic over the family; the two instances live in [`Planes`], and
//! [`RibFamily`] finds the right one. A destination whose best path changed stands in `changed`
//! until `settle` has offered it to the groups, and in `fib` until the kernel side has taken it;
//! both hold it at most once.

use std::collections::VecDeque;

use proto_codec::afi::{AddressFamily, V4, V6};

use super::core::{Core, Tally};
use crate::decision::select;
use crate::dest::DestFlags;
use crate::hash::Seed;
use crate::path::Path;
use crate::table::{DestId, Place, Table};

/// The state of one family.
#[derive(Debug)]
pub(crate) struct Plane<A: AddressFamily> {
    pub table: Table<A>,
    /// Destinations to offer to the groups.
    pub changed: Vec<DestId>,
    /// Destinations with an unresolved path, and some that had one.
    pub waiting: Vec<DestId>,
    /// Destinations with many paths, to be decided once when the batch is over.
    pub undecided: Vec<DestId>,
    /// Destinations to hand to the kernel side, each with a reference.
    pub fib: VecDeque<DestId>,
    /// Counts changes of best paths.
    pub version: u64,
    /// Where in the last destination the path was found that was looked for.
    hint: usize,
}

/// Both families.
#[derive(Debug)]
pub(crate) struct Planes {
    v4: Plane<V4>,
    v6: Plane<V6>,
}

/// A family the RIB has a table for.
pub(crate) trait RibFamily: AddressFamily {
    fn plane(planes: &Planes) -> &Plane<Self>;
    fn plane_mut(planes: &mut Planes) -> &mut Plane<Self>;
}

impl RibFamily for V4 {
    fn plane(planes: &Planes) -> &Plane<V4> {
        &planes.v4
    }

    fn plane_mut(planes: &mut Planes) -> &mut Plane<V4> {
        &mut planes.v4
    }
}

impl RibFamily for V6 {
    fn plane(planes: &Planes) -> &Plane<V6> {
        &planes.v6
    }

    fn plane_mut(planes: &mut Planes) -> &mut Plane<V6> {
        &mut planes.v6
    }
}

/// Runs `$body` with `$family` bound to the type of a family known at run time.
macro_rules! for_family {
    ($value:expr, $family:ident => $body:expr) => {
        match $value {
            proto_codec::afi::Family::Ipv4Unicast => {
                type $family = proto_codec::afi::V4;
                $body
            }
            proto_codec::afi::Family::Ipv6Unicast => {
                type $family = proto_codec::afi::V6;
                $body
            }
        }
    };
}
pub(crate) use for_family;

impl Planes {
    pub fn new(seed: &Seed) -> Self {
        Self {
            v4: Plane::new(seed.clone()),
            v6: Plane::new(seed.clone()),
        }
    }
}

/// Paths of a destination from which on it is decided once per batch, not with every change: else
/// a flood of path identifiers would cost the square of their number.
const PATHS_TO_WAIT: usize = 32;
/// Entries of the waiting list before it is looked at for duplicates.
const WAITING_SLACK: usize = 64;

/// How a path entered the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Installed {
    /// A path of this source was not there before.
    New,
    /// It replaced the one that was there.
    Replaced,
    /// It was there, just like this.
    Unchanged,
    /// There is no room.
    Full,
}

impl<A: AddressFamily> Plane<A> {
    fn new(seed: Seed) -> Self {
        Self {
            table: Table::new(seed),
            changed: Vec::new(),
            waiting: Vec::new(),
            undecided: Vec::new(),
            fib: VecDeque::new(),
            version: 0,
            hint: 0,
        }
    }

    /// Puts a path into the table and decides anew. The references to attributes that `path`
    /// holds become the table's, unless it is `Unchanged` or `Full`.
    pub fn install(&mut self, key: A::Prefix, path: Path, core: &mut Core) -> Installed {
        let mut tally = Tally::default();
        let located = self.table.locate(std::iter::once(key));
        let Some(place) = located.first() else {
            return Installed::Full;
        };
        let installed = self.place(place, path, core, &mut tally);
        core.peers.tally(path.source, A::FAMILY, tally);
        installed
    }

    /// The same for one of many paths of a peer, whose prefix was looked for; the caller takes over
    /// the counts at the end.
    #[inline]
    pub fn place(
        &mut self,
        place: &Place<A::Prefix>,
        path: Path,
        core: &mut Core,
        tally: &mut Tally,
    ) -> Installed {
        let id = self.table.enter(place);
        if path.is_unresolved() {
            self.wait(id);
        }
        let Some(dest) = self.table.get_mut(id) else {
            return Installed::Full;
        };
        if dest.paths().is_empty() && !dest.has(DestFlags::UNDECIDED) {
            // The first path of a destination needs no decision.
            dest.insert(0, path);
            if path.is_valid() {
                dest.set_best(Some(0));
                if !dest.mark(DestFlags::CHANGED, true) {
                    self.changed.push(id);
                }
            }
            tally.came(&path);
            return Installed::New;
        }
        let index = match dest.find(path.source, path.path_id, self.hint) {
            Ok(index) => index,
            Err(index) => {
                if !dest.insert(index, path) {
                    return Installed::Full;
                }
                tally.came(&path);
                self.decide(id, Change::Joined(index), core);
                return Installed::New;
            }
        };
        self.hint = index;
        let best_key = dest.best().map(|best| best.key);
        let Some(have) = dest.paths_mut().get_mut(index) else {
            return Installed::Full;
        };
        let before = *have;
        *have = path;
        // A path that never came near the best had no influence on the choice.
        let candidate = before.is_valid() && best_key.is_none_or(|best| before.key >= best);
        if before.says_the_same(&path) {
            have.stamp = before.stamp;
            return Installed::Unchanged;
        }
        tally.went(&before);
        tally.came(&path);
        let change = match candidate {
            true => Change::Replaced(index),
            false => Change::Joined(index),
        };
        self.decide(id, change, core);
        core.release_path(&before);
        Installed::Replaced
    }

    /// Takes a path out of the table; whether it was there.
    pub fn withdraw(
        &mut self,
        key: A::Prefix,
        path: (crate::peer::PeerSlot, u32),
        core: &mut Core,
    ) -> bool {
        let Some(id) = self.table.find(key) else {
            return false;
        };
        let (source, path_id) = path;
        let dest = self.table.get(id);
        let found = dest.map(|dest| dest.find(source, path_id, self.hint));
        let Some(Ok(index)) = found else {
            return false;
        };
        self.hint = index;
        self.remove(id, index, core);
        true
    }

    /// Takes the path at `index` out of a destination and decides anew.
    pub fn remove(&mut self, id: DestId, index: usize, core: &mut Core) {
        let Some(dest) = self.table.get_mut(id) else {
            return;
        };
        let was_best = dest.best_index() == Some(index);
        let Some(path) = dest.remove(index) else {
            return;
        };
        let mut tally = Tally::default();
        tally.went(&path);
        core.peers.tally(path.source, A::FAMILY, tally);
        // A path that was as good as the best up to its MED may have kept out others.
        let tied = || dest.best().is_some_and(|best| best.key == path.key);
        if was_best || core.all_paths_matter(A::FAMILY) {
            self.decide(id, Change::Other, core);
            self.mark_changed(id);
        } else if path.is_valid() && tied() {
            self.decide(id, Change::Other, core);
        } else {
            self.table.drop_unused(id);
        }
        core.release_path(&path);
    }

    /// Runs the decision process after a change, or notes that it has to be run.
    #[inline]
    pub fn decide(&mut self, id: DestId, change: Change, core: &Core) {
        let Some(dest) = self.table.get_mut(id) else {
            return;
        };
        if dest.has(DestFlags::UNDECIDED) {
            return;
        }
        let before = dest.best_index();
        let after = match dest.paths() {
            [] => None,
            [only] => only.is_valid().then_some(0),
            paths if changes_nothing(paths, before, change, core) => before,
            paths if paths.len() > PATHS_TO_WAIT && change != Change::Batch => {
                dest.mark(DestFlags::UNDECIDED, true);
                self.undecided.push(id);
                return self.mark_changed(id);
            }
            paths => select(paths, before, core.facts()).map(|selection| selection.best),
        };
        dest.set_best(after);
        let best_changed = before != after || change.is_to(after);
        if best_changed || (dest.paths().len() > 1 && core.all_paths_matter(A::FAMILY)) {
            self.mark_changed(id);
        }
    }

    /// Decides what was left to the end of the batch.
    pub fn decide_rest(&mut self, core: &Core) {
        for id in std::mem::take(&mut self.undecided) {
            if let Some(dest) = self.table.get_mut(id) {
                dest.mark(DestFlags::UNDECIDED, false);
            }
            self.decide(id, Change::Batch, core);
        }
    }

    /// Puts a destination on the list of those to export.
    #[inline]
    pub fn mark_changed(&mut self, id: DestId) {
        if let Some(dest) = self.table.get_mut(id)
            && !dest.mark(DestFlags::CHANGED, true)
        {
            self.changed.push(id);
        }
    }

    /// Puts a destination into the queue towards the kernel.
    pub fn queue_fib(&mut self, id: DestId) {
        let Some(dest) = self.table.get_mut(id) else {
            return;
        };
        let matters = dest.best().is_some() || dest.has(DestFlags::FIB_TOLD);
        if matters && !dest.mark(DestFlags::FIB_PENDING, true) {
            self.table.retain(id);
            self.fib.push_back(id);
        }
    }

    /// Changes every path that `change` says so of, deciding anew for each destination touched.
    /// `change` returns whether it changed anything the decision depends on.
    pub fn for_each_path(
        &mut self,
        core: &mut Core,
        mut change: impl FnMut(&mut Path, &mut Core) -> bool,
    ) {
        for id in self.table.ids() {
            self.change_paths(id, core, &mut change);
        }
    }

    /// The same for the destinations that wait for a next hop.
    pub fn for_each_waiting(
        &mut self,
        core: &mut Core,
        mut change: impl FnMut(&mut Path, &mut Core) -> bool,
    ) {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_unstable();
        waiting.dedup();
        waiting.retain(|id| {
            self.change_paths(*id, core, &mut change);
            let dest = self.table.get_mut(*id);
            dest.is_some_and(|dest| {
                let waits = dest.paths().iter().any(Path::is_unresolved);
                dest.mark(DestFlags::WAITING, waits);
                waits
            })
        });
        self.waiting = waiting;
    }

    /// Puts a destination on the list of those that wait. Indices that were given back and taken
    /// again may be there twice; when they could be half of the list, they are sorted out.
    fn wait(&mut self, id: DestId) {
        let dest = self.table.get_mut(id);
        if dest.is_none_or(|dest| dest.mark(DestFlags::WAITING, true)) {
            return;
        }
        self.waiting.push(id);
        if self.waiting.len() > 2 * self.table.ids().len() + WAITING_SLACK {
            self.waiting.sort_unstable();
            self.waiting.dedup();
        }
    }

    fn change_paths(
        &mut self,
        id: DestId,
        core: &mut Core,
        change: &mut impl FnMut(&mut Path, &mut Core) -> bool,
    ) {
        let Some(dest) = self.table.get_mut(id) else {
            return;
        };
        let best = dest.best_index();
        let (mut any, mut best_touched, mut waits) = (false, false, false);
        for (index, path) in dest.paths_mut().iter_mut().enumerate() {
            if change(path, core) {
                any = true;
                best_touched |= best == Some(index);
                waits |= path.is_unresolved();
            }
        }
        if waits {
            self.wait(id);
        }
        if any {
            self.decide(id, Change::Other, core);
            if best_touched {
                self.mark_changed(id);
            }
        }
    }
}

/// What happened to the paths of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The path at this index was not a candidate before.
    Joined(usize),
    /// The path at this index was one, and is another now.
    Replaced(usize),
    /// A path went, or paths changed in ways not told.
    Other,
    /// The same, and the batch is over: it is decided now.
    Batch,
}

impl Change {
    fn is_to(self, best: Option<usize>) -> bool {
        match self {
            Change::Joined(index) | Change::Replaced(index) => best == Some(index),
            Change::Other | Change::Batch => false,
        }
    }
}

/// Whether a path that joined cannot change the outcome, which a comparison with the best path
/// shows. The usual case where many peers send the same prefix. A path that was a candidate before
/// is another matter: the old one may have kept out others by its MED.
fn changes_nothing(paths: &[Path], best: Option<usize>, change: Change, core: &Core) -> bool {
    let (Some(best), Change::Joined(joined)) = (best, change) else {
        return false;
    };
    let (Some(best_path), Some(path)) = (paths.get(best), paths.get(joined)) else {
        return false;
    };
    best != joined && (!path.is_valid() || !core.facts().may_displace(path, best_path))
}
