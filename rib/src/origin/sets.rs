//! Sets of neighbors that routes are restricted to, each with a number.
//!
//! The number is part of a path's identifier and of what makes peers share an update group, so a
//! set that nobody knew before makes all peers look at their group again. Whoever may annotate a
//! service may name sets; a number is therefore given to another set once no route holds it:
//!
//! - A set without routes keeps its number while there are fewer than [`KEPT`] of them, so that
//!   what comes and goes costs nothing, and tables in several parts number alike.
//! - A number that lost its last route is not given anew before that route is out of the table,
//!   which is when the next call comes ([`NeighborSets::next_call`]).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::RestrictId;

/// Sets up to which none is forgotten.
pub(super) const KEPT: usize = 64;
/// The number of sets that find no other: their routes are told to nobody.
const NOBODY: u16 = u16::MAX;

#[derive(Debug)]
struct NeighborSet {
    neighbors: Vec<IpAddr>,
    routes: u32,
    /// The call in which it lost its last route, or was learned.
    idle_since: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct NeighborSets {
    /// Number 1 is the first.
    list: Vec<NeighborSet>,
    numbers: BTreeMap<Vec<IpAddr>, u16>,
    call: u64,
}

impl NeighborSets {
    /// All that was said before is carried out.
    pub fn next_call(&mut self) {
        self.call += 1;
    }

    /// The number of a set, and whether it is new.
    pub fn number(&mut self, mut neighbors: Vec<IpAddr>) -> (RestrictId, bool) {
        neighbors.sort_unstable();
        neighbors.dedup();
        let next_call = self.call + 1;
        if let Some(id) = self.numbers.get(&neighbors) {
            let id = RestrictId(*id);
            if let Some(set) = self.get(id) {
                set.idle_since = next_call;
            }
            return (id, false);
        }
        let set = NeighborSet {
            neighbors: neighbors.clone(),
            routes: 0,
            idle_since: next_call,
        };
        let Some(id) = self.place(set) else {
            return (RestrictId(NOBODY), false);
        };
        self.numbers.insert(neighbors, id);
        (RestrictId(id), true)
    }

    fn place(&mut self, set: NeighborSet) -> Option<u16> {
        let call = self.call;
        let is_free = |set: &NeighborSet| set.routes == 0 && set.idle_since < call;
        let free = match self.list.len() < KEPT {
            true => None,
            false => self.list.iter().position(is_free),
        };
        if let Some((at, slot)) = free.and_then(|at| Some((at, self.list.get_mut(at)?))) {
            let old = std::mem::replace(slot, set);
            self.numbers.remove(&old.neighbors);
            return u16::try_from(at + 1).ok();
        }
        let id = u16::try_from(self.list.len() + 1).ok();
        let id = id.filter(|id| *id != NOBODY)?;
        self.list.push(set);
        Some(id)
    }

    /// A route has the set from now on.
    pub fn hold(&mut self, id: RestrictId) {
        if let Some(set) = self.get(id) {
            set.routes += 1;
        }
    }

    /// A route has it no longer.
    pub fn release(&mut self, id: RestrictId) {
        let call = self.call;
        if let Some(set) = self.get(id) {
            set.routes = set.routes.saturating_sub(1);
            set.idle_since = set.idle_since.max(call);
        }
    }

    fn get(&mut self, id: RestrictId) -> Option<&mut NeighborSet> {
        self.list.get_mut(usize::from(id.0).checked_sub(1)?)
    }

    /// The sets a neighbor is in.
    pub fn of(&self, neighbor: IpAddr) -> Vec<RestrictId> {
        (1..NOBODY)
            .zip(&self.list)
            .filter(|(_, set)| set.neighbors.binary_search(&neighbor).is_ok())
            .map(|(id, _)| RestrictId(id))
            .collect()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.list.len().max(self.numbers.len())
    }
}
