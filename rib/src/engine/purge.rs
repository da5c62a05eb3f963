//! Taking out the paths of peers that are gone.
//!
//! A full table is a million paths, and taking them out is a quarter of a second: too long for a
//! router that has KEEPALIVEs to send and replacements to announce. So a peer that goes down is
//! *leaving*: the table is walked in steps of bounded work, and after each step the caller settles,
//! which tells the neighbors of the replacements found so far. Until a step has reached a path it
//! stays in use; packets would not go elsewhere any sooner if everything were done in one go.
//!
//! One walk serves everybody who is leaving. It goes round: who comes late is done when the walk
//! is back where he joined, or as soon as the last of his paths is gone, so a thousand peers that
//! go down at once cost two walks, and a peer with no routes costs none.
//!
//! All paths of a destination that go, go together, and the destination is decided once.

use proto_codec::afi::{AddressFamily, Family};

use super::Rib;
use super::core::{Core, Tally};
use super::plane::{Change, Plane, RibFamily, for_family};
use crate::path::Path;
use crate::peer::PeerSlot;
use crate::table::DestId;

/// What a removed path costs against a destination that is only looked at.
const REMOVAL_COST: u32 = 8;

/// A peer whose paths are being taken out.
#[derive(Debug)]
struct Leaver {
    slot: PeerSlot,
    /// What the walk has to do for it in each table; `None` when the table is done.
    due: [Option<Due>; 2],
}

/// How far the walk has to go for a peer.
#[derive(Clone, Copy, Debug)]
struct Due {
    /// Where the walk was when the peer joined it.
    from: DestId,
    /// How often it has begun anew since.
    rounds: u8,
}

impl Due {
    fn is_done(self, at: DestId) -> bool {
        // A table that was emptied meanwhile may be shorter now than where the walk began.
        self.rounds > 1 || self.rounds == 1 && at >= self.from
    }
}

/// The walk over both tables.
#[derive(Debug, Default)]
pub(crate) struct Purge {
    leavers: Vec<Leaver>,
    /// The next destination to look at, by family.
    next: [DestId; 2],
    /// Leaving, by slot.
    doomed: Vec<bool>,
}

impl Purge {
    /// Whether the peer's paths are being taken out.
    pub fn has(&self, slot: PeerSlot) -> bool {
        self.doomed.get(slot.index()).copied().unwrap_or(false)
    }

    fn add(&mut self, slot: PeerSlot) {
        if self.doomed.len() <= slot.index() {
            self.doomed.resize(slot.index() + 1, false);
        }
        if let Some(doomed) = self.doomed.get_mut(slot.index()) {
            *doomed = true;
        }
        self.leavers.push(Leaver {
            slot,
            due: self.next.map(|from| Some(Due { from, rounds: 0 })),
        });
    }

    /// Takes one peer out of the walk; whether it was in it.
    fn forget(&mut self, slot: PeerSlot) -> bool {
        let was = self.has(slot);
        if let Some(doomed) = self.doomed.get_mut(slot.index()) {
            *doomed = false;
        }
        self.leavers.retain(|leaver| leaver.slot != slot);
        if self.leavers.is_empty() {
            *self = Self::default();
        }
        was
    }

    /// Takes out whoever is done with both tables.
    fn take_done(&mut self) -> Vec<PeerSlot> {
        let mut done = Vec::new();
        self.leavers.retain(|leaver| {
            let busy = leaver.due.iter().any(Option::is_some);
            if !busy {
                done.push(leaver.slot);
            }
            busy
        });
        for slot in &done {
            if let Some(doomed) = self.doomed.get_mut(slot.index()) {
                *doomed = false;
            }
        }
        if self.leavers.is_empty() {
            *self = Self::default();
        }
        done
    }
}

impl Rib {
    /// A session is gone and its routes are to follow, in steps: call
    /// [`continue_peer_down`](Self::continue_peer_down) and [`settle`](Self::settle) in turn until
    /// nothing is left. The slot may be given to another session at any time; what is then left
    /// is done at once.
    pub fn start_peer_down(&mut self, slot: PeerSlot) {
        if self.purge.has(slot) || self.core.peers.get(slot).is_none() {
            return;
        }
        self.leave_groups(slot);
        if let Some(peer) = self.core.peers.get_mut(slot) {
            peer.restarting = true;
            peer.refreshing = [false; 2];
        }
        self.purge.add(slot);
    }

    /// Whether routes of peers that are gone are left.
    pub fn has_leaving_peers(&self) -> bool {
        !self.purge.leavers.is_empty()
    }

    /// Takes out more of the routes of peers that are gone; whether there are still others.
    /// `work` bounds the step: in destinations looked at, of which one that loses a path counts
    /// eightfold. 100,000 take a few milliseconds.
    pub fn continue_peer_down(&mut self, work: u32) -> bool {
        let mut left = work.max(1);
        for family in Family::ALL {
            for_family!(family, A => self.purge_some::<A>(&mut left));
        }
        let done = self.purge.take_done();
        if !done.is_empty() {
            // Nothing may refer to the source when its slot is free for another peer.
            self.settle();
            for slot in done {
                self.core.peers.remove(slot);
            }
        }
        self.has_leaving_peers()
    }

    /// Takes out all that is left of one peer, at once; who else is leaving goes on in steps.
    pub(super) fn finish_peer_down(&mut self, slot: PeerSlot) {
        if !self.purge.forget(slot) {
            return;
        }
        for family in Family::ALL {
            let peer = self.core.peers.get(slot);
            if peer.is_some_and(|peer| family.pick(peer.received) > 0) {
                for_family!(family, A => {
                    let plane = A::plane_mut(&mut self.planes);
                    plane.remove_where(&mut self.core, |path| path.source == slot);
                });
            }
        }
        // Nothing may refer to the source when its slot is free for another peer.
        self.settle();
        self.core.peers.remove(slot);
    }

    fn purge_some<A: RibFamily>(&mut self, left: &mut u32) {
        let purge = &mut self.purge;
        let plane = A::plane_mut(&mut self.planes);
        let Some(next) = purge.next.get_mut(A::FAMILY.index()) else {
            return;
        };
        let doomed = &purge.doomed;
        let is_doomed = |path: &Path| doomed.get(path.source.index()) == Some(&true);
        let mut gone = Vec::new();
        // At least one look at who is done: most peers have routes in one family only.
        loop {
            let end = plane.table.ids().end;
            let wraps = *next >= end;
            if wraps {
                *next = 0;
            }
            let mut busy = false;
            for leaver in &mut purge.leavers {
                let peer = self.core.peers.get(leaver.slot);
                let has_paths = peer.is_some_and(|peer| A::FAMILY.pick(peer.received) > 0);
                let Some(place) = leaver.due.get_mut(A::FAMILY.index()) else {
                    continue;
                };
                if let Some(due) = place {
                    due.rounds += u8::from(wraps);
                    if !has_paths || due.is_done(*next) {
                        *place = None;
                    }
                }
                busy |= place.is_some();
            }
            if !busy || *left == 0 {
                return;
            }
            let stop = end.min(next.saturating_add(ROUND));
            while *next < stop && *left > 0 {
                let removed = plane.remove_paths(*next, &mut self.core, &mut gone, is_doomed);
                *left = left.saturating_sub(if removed { REMOVAL_COST } else { 1 });
                *next += 1;
            }
        }
    }
}

/// Destinations between two looks at who is done.
const ROUND: u32 = 1 << 12;

impl<A: AddressFamily> Plane<A> {
    /// Takes out every path that `doomed` says so of.
    pub fn remove_where(&mut self, core: &mut Core, doomed: impl Fn(&Path) -> bool) {
        let mut gone = Vec::new();
        for id in self.table.ids() {
            self.remove_paths(id, core, &mut gone, &doomed);
        }
    }

    /// Takes the paths of one destination that `doomed` says so of, all at once, and decides anew;
    /// whether there were any. `gone` is room to work in.
    fn remove_paths(
        &mut self,
        id: DestId,
        core: &mut Core,
        gone: &mut Vec<Path>,
        doomed: impl Fn(&Path) -> bool,
    ) -> bool {
        let Some(dest) = self.table.get_mut(id) else {
            return false;
        };
        let best_gone = dest.remove_where(&doomed, |path| gone.push(path));
        if gone.is_empty() {
            return false;
        }
        // A path that was as good as the best up to its MED may have kept out others.
        let best = dest.best().map(|best| best.key);
        let tied = |path: &Path| path.is_valid() && best == Some(path.key);
        let decides = best_gone || gone.iter().any(tied);
        if best_gone || core.all_paths_matter(A::FAMILY) {
            self.mark_changed(id);
        }
        match decides {
            true => self.decide(id, Change::Other, core),
            false => self.table.drop_unused(id),
        }
        for path in gone.drain(..) {
            let mut tally = Tally::default();
            tally.went(&path);
            core.peers.tally(path.source, A::FAMILY, tally);
            core.release_path(&path);
        }
        true
    }
}
