//! Passing on what changed: to the update groups, to the kernel side, to the peers.
//!
//! [`Rib::settle`] is called when the caller has no more input at hand. It applies changed next
//! hops (one pass over the tables for all of them), offers each changed destination once to each
//! group, and wakes the members that had nothing left to read. Nothing is encoded: that is done
//! by `poll_transmit`, when somebody reads.

use bytes::Bytes;
use proto_codec::afi::Family;

use super::Rib;
use super::core::Core;
use super::export::Exporter;
use super::groups::Groups;
use super::plane::{Plane, RibFamily, for_family};
use crate::attr::SourceOfPath;
use crate::dest::DestFlags;
use crate::group::{Env, Group, GroupId};
use crate::path::{Path, PathFlags, PathKind};
use crate::peer::{AddPathTx, PeerSlot};
use crate::table::DestId;

impl Rib {
    /// Carries out whatever input has left to do. Cheap when there is nothing.
    pub fn settle(&mut self) {
        for family in Family::ALL {
            for_family!(family, A => A::plane_mut(&mut self.planes).decide_rest(&self.core));
        }
        if self.core.next_hops.has_dirty() {
            for family in Family::ALL {
                for_family!(family, A => {
                    let plane = A::plane_mut(&mut self.planes);
                    apply_next_hops::<A>(plane, &mut self.core);
                    plane.decide_rest(&self.core);
                });
            }
            self.core.next_hops.clear_dirty();
        }
        for family in Family::ALL {
            for_family!(family, A => {
                let plane = A::plane_mut(&mut self.planes);
                offer_changes::<A>(plane, &mut self.groups, &mut self.core);
            });
        }
    }

    /// A peer that has something to read and had nothing before; each once. Read it with
    /// `poll_transmit` until that says `None` or the socket is full; a peer whose socket was full
    /// is not named again, read on when it is writable. Take no more than some hundred KiB of one
    /// peer in a row while others wait: who reads far ahead of the others makes them catch up
    /// alone.
    pub fn poll_ready(&mut self) -> Option<PeerSlot> {
        self.core.peers.poll_ready()
    }

    /// The next messages for a peer, whole ones, shared with the other members of its group.
    /// `None`: it has been told everything, and `poll_ready` will name it when there is more.
    pub fn poll_transmit(&mut self, slot: PeerSlot) -> Option<Bytes> {
        let groups = self.core.peers.get(slot)?.groups;
        for family in Family::ALL {
            let Some(id) = family.pick(groups) else {
                continue;
            };
            let bytes = for_family!(family, A => self.poll_group::<A>(id, slot));
            if bytes.is_some() {
                return bytes;
            }
        }
        self.core.peers.out_of_messages(slot);
        None
    }

    fn poll_group<A: RibFamily>(&mut self, id: GroupId, slot: PeerSlot) -> Option<Bytes> {
        let group = self.groups.get_mut(id)?;
        let bytes = with_env::<A, _>(A::plane(&self.planes), &self.core, |env| {
            group.poll(slot, env)
        });
        release_freed(A::plane_mut(&mut self.planes), group);
        bytes
    }
}

/// Calls `work` with what a group needs to encode.
pub(crate) fn with_env<A: RibFamily, R>(
    plane: &Plane<A>,
    core: &Core,
    work: impl FnOnce(&Env<'_, A>) -> R,
) -> R {
    let sources = |slot: PeerSlot| -> SourceOfPath { core.peers.source(slot) };
    work(&Env {
        table: &plane.table,
        attrs: &core.attrs,
        sources: &sources,
    })
}

/// Gives back the destinations a group no longer refers to.
pub(crate) fn release_freed<A: RibFamily>(plane: &mut Plane<A>, group: &mut Group) {
    for id in group.take_freed() {
        plane.table.release(id);
    }
}

/// Flips the paths whose next hop changed. While a table is coming in, next hops become known one
/// after the other: then only the paths that wait for one are looked at, not the whole table.
fn apply_next_hops<A: RibFamily>(plane: &mut Plane<A>, core: &mut Core) {
    let flip = |path: &mut Path, core: &mut Core| {
        if path.kind == PathKind::Local {
            return false;
        }
        let next_hop = core.attrs.hot(path.attrs).next_hop;
        if !core.next_hops.is_dirty(next_hop) {
            return false;
        }
        let reachable = core.next_hops.is_reachable(next_hop);
        path.flags.set(PathFlags::UNRESOLVED, !reachable);
        true
    };
    match core.next_hops.touches_resolved() {
        true => plane.for_each_path(core, flip),
        false => plane.for_each_waiting(core, flip),
    }
}

/// Offers the changed destinations to every group of the family, and to the kernel side.
fn offer_changes<A: RibFamily>(plane: &mut Plane<A>, groups: &mut Groups, core: &mut Core) {
    let changed = std::mem::take(&mut plane.changed);
    if changed.is_empty() {
        return;
    }
    for group in groups.of_family(A::FAMILY) {
        let had_pending = group.has_pending();
        offer::<A>(plane, group, core, changed.iter().copied());
        release_freed(plane, group);
        if group.has_pending() && !had_pending {
            for slot in group.members() {
                core.peers.wake(slot);
            }
        }
    }
    for id in &changed {
        let Some(dest) = plane.table.get_mut(*id) else {
            continue;
        };
        dest.mark(DestFlags::CHANGED, false);
        if core.config.fib {
            plane.queue_fib(*id);
            plane.table.drop_unused(*id);
        } else if dest.is_unused() {
            plane.table.drop_unused(*id);
        }
    }
    plane.version += 1;
    // Keep the allocation for the next batch, but not that of a purge.
    if changed.capacity() <= CHANGED_KEPT {
        plane.changed = changed;
        plane.changed.clear();
    }
}

/// Entries of the change list whose allocation is kept.
const CHANGED_KEPT: usize = 64 << 10;

/// Offers destinations to one group.
pub(crate) fn offer<A: RibFamily>(
    plane: &mut Plane<A>,
    group: &mut Group,
    core: &mut Core,
    ids: impl Iterator<Item = DestId>,
) {
    let mut exporter = Exporter::new(&group.key);
    let one_path = group.key.add_path == AddPathTx::Off;
    for id in ids {
        let Some(dest) = plane.table.get_mut(id) else {
            continue;
        };
        if one_path {
            let wish = exporter.best::<A>(dest, core);
            let retained = group.offer_best(id, wish, &mut core.attrs, &mut core.next_hops);
            dest.refs = dest.refs.saturating_add(u16::from(retained));
            continue;
        }
        let wishes = exporter.wishes::<A>(dest, core);
        let retained = group.offer(id, &wishes, &mut core.attrs, &mut core.next_hops);
        dest.refs = dest.refs.saturating_add(retained);
    }
    exporter.finish(core);
}
