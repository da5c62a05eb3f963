//! Routes that start here, into the table.
//!
//! A local route is a path like any other, of [`PeerSlot::LOCAL`]: it takes part in the decision
//! (and wins, as with FRR's weight 32768), goes through export policy, and may be restricted to
//! some neighbors. It needs no next hop to be valid.

use std::net::IpAddr;

use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::prefix::PrefixKey;

use super::Rib;
use super::plane::{Installed, Plane, RibFamily, for_family};
use crate::origin::{OriginChange, OriginNews, OriginRoute, Published};
use crate::path::{Path, PathFlags, PathKind};
use crate::peer::PeerSlot;

impl Rib {
    /// Replaces all routes of the source `name`; an empty list withdraws them.
    pub fn originate(&mut self, name: &str, routes: Vec<OriginRoute>) {
        let published = self.core.origins.publish(name, routes);
        self.carry_out(published);
    }

    /// Replaces the routes of some prefixes of some sources, all others stay. One prefix may have
    /// several routes for different sets of neighbors: each neighbor is told the one that names
    /// it, else the one that names nobody. Beside the snapshot of that name, if there is one. A
    /// prefix that moves from one source to another is never withdrawn on its way.
    pub fn originate_prefixes(&mut self, news: Vec<OriginNews>) {
        let published = self.core.origins.replace(news);
        self.carry_out(published);
    }

    fn carry_out(&mut self, published: Published) {
        if published.new_restrict {
            self.regroup_all();
        }
        for change in published.changes {
            match change {
                OriginChange::Announce { route, path_id } => {
                    for_family!(Family::of(&route.prefix), A => {
                        self.announce_local::<A>(&route, path_id);
                    });
                }
                OriginChange::Withdraw { prefix, path_id } => {
                    for_family!(Family::of(&prefix), A => {
                        self.withdraw_local::<A>(prefix, path_id);
                    });
                }
            }
        }
    }

    /// Numbers sets of neighbors before routes name them: tables in several parts choose alike
    /// between two sources only if the sets have the same numbers in each part.
    pub(crate) fn learn_neighbor_sets(&mut self, sets: &[Vec<IpAddr>]) {
        let mut any_new = false;
        for set in sets {
            any_new |= self.core.origins.learn(set);
        }
        if any_new {
            self.regroup_all();
        }
    }

    pub(super) fn regroup_all(&mut self) {
        let slots: Vec<PeerSlot> = self
            .core
            .peers
            .iter()
            .filter(|peer| !peer.restarting)
            .map(|peer| peer.session.slot)
            .collect();
        for slot in slots {
            self.regroup(slot);
        }
    }

    /// Sources and how many routes each has.
    pub fn origins(&self) -> impl Iterator<Item = (&str, usize)> {
        self.core.origins.sources()
    }

    fn announce_local<A: RibFamily>(&mut self, route: &OriginRoute, path_id: u32) {
        let core = &mut self.core;
        let key = A::Prefix::from_net(route.prefix);
        let id = core.attrs.intern(&route.attrs, &mut core.next_hops);
        let (Some(key), Some(id)) = (key, id) else {
            return;
        };
        core.attrs.retain(id, 1);
        let mut flags = PathFlags::default();
        flags.set(PathFlags::DISCARD, route.discard);
        let path = Path {
            key: core.attrs.hot(id).key.local(),
            received: id,
            attrs: id,
            path_id,
            stamp: core.now_s,
            source: PeerSlot::LOCAL,
            kind: PathKind::Local,
            flags,
        };
        let plane = A::plane_mut(&mut self.planes);
        match plane.install(key, path, core) {
            Installed::New | Installed::Replaced => touch_own(plane, key),
            Installed::Unchanged | Installed::Full => core.release_path(&path),
        }
    }

    fn withdraw_local<A: RibFamily>(&mut self, prefix: IpNet, path_id: u32) {
        if let Some(key) = A::Prefix::from_net(prefix) {
            let plane = A::plane_mut(&mut self.planes);
            plane.withdraw(key, (PeerSlot::LOCAL, path_id), &mut self.core);
            touch_own(plane, key);
        }
    }
}

/// A path of ours may be what some neighbor is told although it is not the best one.
fn touch_own<A: RibFamily>(plane: &mut Plane<A>, key: A::Prefix) {
    if let Some(id) = plane.table.find(key) {
        plane.mark_changed(id);
    }
}
