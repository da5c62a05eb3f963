//! What the kernel should hold.
//!
//! The best path and those equal to it (up to `multipath`, RFC 4271 §9.1.2.2 through step e, with
//! equal AS paths unless relaxed) become one route with as many next hops. What is wanted is
//! computed when it is asked for, from the table as it is then; a prefix that changed ten times
//! since was queued once.
//!
//! A best path that starts here is no route of ours in the kernel: it is there already, or a
//! process serves it. The exception is an aggregate, which the kernel must discard.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::bgp::NextHop;
use proto_codec::prefix::PrefixKey;
use smallvec::SmallVec;

use super::Rib;
use super::core::Core;
use super::plane::{RibFamily, for_family};
use crate::decision::{Indices, Selection};
use crate::dest::{Dest, DestFlags};
use crate::path::{Path, PathFlags, PathKind};
use crate::route::{FibChange, FibNextHop, FibRoute, NextHopState};

impl Rib {
    /// The next prefix whose kernel route should change.
    pub fn poll_fib(&mut self) -> Option<FibChange> {
        Family::ALL
            .into_iter()
            .find_map(|family| for_family!(family, A => self.poll_fib_of::<A>()))
    }

    /// The next address whose reachability is wanted (`true`) or no longer wanted.
    pub fn poll_next_hop_interest(&mut self) -> Option<(IpAddr, bool)> {
        self.core.next_hops.poll_interest()
    }

    /// What is known of a next hop now. Takes effect with the next `settle`.
    pub fn next_hop_changed(&mut self, addr: IpAddr, state: NextHopState) {
        self.core.next_hops.set_state(addr, state);
    }

    /// Queues every route again, for a kernel side that has to start over.
    pub fn resync_fib(&mut self) {
        self.requeue_fib(|_| true);
    }

    /// Queues the routes inside some ranges again, for a kernel side that treats them otherwise
    /// from now on.
    pub fn resync_fib_within(&mut self, ranges: &[IpNet]) {
        self.requeue_fib(|prefix| ranges.iter().any(|range| range.contains(prefix)));
    }

    fn requeue_fib(&mut self, is_concerned: impl Fn(&IpNet) -> bool) {
        for family in Family::ALL {
            for_family!(family, A => {
                let plane = A::plane_mut(&mut self.planes);
                for id in plane.table.ids() {
                    let prefix = plane.table.get_mut(id).map(|dest| dest.key.to_net());
                    if prefix.is_some_and(|prefix| is_concerned(&prefix)) {
                        plane.queue_fib(id);
                    }
                }
            });
        }
    }

    fn poll_fib_of<A: RibFamily>(&mut self) -> Option<FibChange> {
        let plane = A::plane_mut(&mut self.planes);
        while let Some(id) = plane.fib.pop_front() {
            let Some(dest) = plane.table.get_mut(id) else {
                continue;
            };
            dest.mark(DestFlags::FIB_PENDING, false);
            let route = route_of(dest, &self.core, &mut self.recent_fib);
            let told = dest.mark(DestFlags::FIB_TOLD, route.is_some());
            let prefix = dest.key.to_net();
            plane.table.release(id);
            if route.is_some() || told {
                return Some(FibChange { prefix, route });
            }
        }
        plane.fib = std::collections::VecDeque::new();
        None
    }
}

/// The next hops of the last route: most routes of a table have the same few sets, one after the
/// other, and share what is allocated once.
pub(crate) type RecentFib = Option<Arc<[FibNextHop]>>;

/// The route a destination should have.
fn route_of<P>(dest: &Dest<P>, core: &Core, recent: &mut RecentFib) -> Option<FibRoute> {
    let best = dest.best()?;
    if best.kind == PathKind::Local {
        return best
            .flags
            .any(PathFlags::DISCARD)
            .then_some(FibRoute::Discard);
    }
    let alone = dest.paths().len() == 1 || core.config.multipath <= 1;
    let mut next_hops: SmallVec<[FibNextHop; 4]> = match alone {
        true => next_hop(best, core).into_iter().collect(),
        false => in_use(dest, core)
            .into_iter()
            .filter_map(|index| next_hop(dest.paths().get(index)?, core))
            .collect(),
    };
    next_hops.sort_unstable();
    next_hops.dedup();
    if next_hops.is_empty() {
        return None;
    }
    let shared = match recent.take() {
        Some(recent) if *recent == *next_hops => recent,
        _ => Arc::from(next_hops.as_slice()),
    };
    *recent = Some(Arc::clone(&shared));
    Some(FibRoute::Unicast(shared))
}

/// Indices of the paths in use at once, the best path first.
pub(crate) fn in_use<P>(dest: &Dest<P>, core: &Core) -> Indices {
    let Some(best) = dest.best_index() else {
        return Indices::new();
    };
    let selection = crate::decision::select(dest.paths(), Some(best), core.facts());
    multipath(dest.paths(), best, selection.as_ref(), core)
}

/// The paths of a selection that may be used beside the best.
pub(crate) fn multipath(
    paths: &[Path],
    best: usize,
    selection: Option<&Selection>,
    core: &Core,
) -> Indices {
    let as_path = |path: &Path| core.attrs.get(path.attrs).map(|set| set.as_path());
    let best_as_path = paths.get(best).and_then(as_path);
    let fits = |index: &usize| {
        *index != best
            && paths
                .get(*index)
                .is_some_and(|path| core.config.multipath_relax || as_path(path) == best_as_path)
    };
    let equal = selection.map(|selection| selection.equal.as_slice());
    let others = equal.unwrap_or_default().iter().copied().filter(fits);
    std::iter::once(best)
        .chain(others)
        .take(usize::from(core.config.multipath.max(1)))
        .collect()
}

fn next_hop(path: &Path, core: &Core) -> Option<FibNextHop> {
    let set = core.attrs.get(path.attrs)?;
    let (gateway, on_link) = match set.next_hop() {
        NextHop::V4(addr) => (IpAddr::V4(addr), false),
        NextHop::V6 { global, link_local } => match link_local {
            Some(addr) if global.is_unspecified() => (IpAddr::V6(addr), true),
            _ => (IpAddr::V6(global), global.is_unicast_link_local()),
        },
    };
    let session = core.peers.get(path.source).map(|peer| &peer.session);
    Some(FibNextHop {
        gateway,
        interface: session
            .filter(|_| on_link)
            .and_then(|session| session.interface),
        device: None,
        weight: 1,
    })
}
