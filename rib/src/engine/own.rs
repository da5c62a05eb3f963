//! The router's own addresses, and routes that lead back to it.
//!
//! A route whose next hop is ours is refused when it comes (RFC 4271 §5.1.3, see `guard`).
//! Addresses come and go while the router runs: an address that becomes ours turns routes learned
//! before into such routes. They are taken out in the same way, as if their peer had withdrawn
//! them, and counted. Otherwise a virtual address that moves here would be resolved through itself.
//!
//! What was refused because of an address that is ours no longer is not kept anywhere; the peer
//! has to send it again (`clear bgp soft in`, or a ROUTE-REFRESH of RFC 2918).

use std::net::IpAddr;

use proto_codec::afi::Family;

use super::Rib;
use super::core::Core;
use super::guard::Reject;
use super::plane::{RibFamily, for_family};
use crate::nexthop::NextHopId;
use crate::path::{Path, PathKind};

impl Rib {
    /// Another cluster to reflect for (RFC 4456 §7): clients are told their routes again with it.
    pub fn set_cluster_id(&mut self, cluster_id: std::net::Ipv4Addr) {
        if self.core.config.cluster_id != cluster_id {
            self.core.config.cluster_id = cluster_id;
            self.regroup_all();
        }
    }

    /// Our identifier, said before any session was up.
    pub fn set_router_id(&mut self, router_id: std::net::Ipv4Addr) {
        self.core.config.router_id = router_id;
    }

    /// Replaces the addresses of this router. Routes of peers through an address that is new are
    /// taken out; call [`settle`](Self::settle) after it. The tables are walked only when there is
    /// an attribute set with such a next hop.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        let known = std::mem::replace(&mut self.core.config.own_addresses, addresses);
        let new = self.core.config.own_addresses.iter();
        let new = new.filter(|address| !known.contains(address));
        let ours: Vec<NextHopId> = new
            .filter_map(|address| self.core.next_hops.find(*address))
            .collect();
        if ours.is_empty() {
            return;
        }
        for family in Family::ALL {
            for_family!(family, A => self.remove_through::<A>(&ours));
        }
    }

    fn remove_through<A: RibFamily>(&mut self, ours: &[NextHopId]) {
        let core = &mut self.core;
        let plane = A::plane_mut(&mut self.planes);
        let leads_here = |path: &Path, core: &Core| {
            path.kind != PathKind::Local && ours.contains(&core.attrs.hot(path.received).next_hop)
        };
        let mut sets = Vec::new();
        for id in plane.table.ids() {
            let paths = plane.table.get(id).map(|dest| dest.paths());
            for path in paths.unwrap_or_default() {
                if leads_here(path, core) {
                    core.peers.reject(path.source, Reject::NextHop, 1);
                    sets.push(path.received);
                }
            }
        }
        sets.sort_unstable();
        sets.dedup();
        if !sets.is_empty() {
            plane.remove_where(core, |path| {
                path.kind != PathKind::Local && sets.binary_search(&path.received).is_ok()
            });
        }
    }
}
