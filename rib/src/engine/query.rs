//! Looking things up: one route, and counters.
//!
//! Exact lookups cost one probe; the longest match one per prefix length in use. Counters are kept
//! as routes come and go and cost nothing to read, however large the tables.

use std::net::IpAddr;

use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::prefix::PrefixKey;

use super::Rib;
use super::plane::{RibFamily, for_family};
use super::view::{PathView, PeerStats, RouteView, SharedStats, TableStats, route_view};
use crate::peer::{PeerSession, PeerSlot};

impl Rib {
    /// All paths of exactly this prefix, those that import policy refused too.
    pub fn lookup(&self, prefix: IpNet) -> Option<RouteView> {
        for_family!(Family::of(&prefix), A => {
            let table = &A::plane(&self.planes).table;
            let dest = table.get(table.find(PrefixKey::from_net(prefix)?)?)?;
            Some(route_view::<A>(dest, &self.core)).filter(|view| !view.paths.is_empty())
        })
    }

    /// All paths of the longest prefix that contains `addr` and has an accepted path.
    pub fn longest_match(&self, addr: IpAddr) -> Option<RouteView> {
        let family = match addr {
            IpAddr::V4(_) => Family::Ipv4Unicast,
            IpAddr::V6(_) => Family::Ipv6Unicast,
        };
        for_family!(family, A => {
            let table = &A::plane(&self.planes).table;
            let dest = table.get(table.longest_match(addr, |dest| {
                dest.paths().iter().any(|path| !path.is_filtered())
            })?)?;
            Some(route_view::<A>(dest, &self.core))
        })
    }

    /// Peers that have been told of a prefix, in the order of their slots.
    pub fn advertised_to(&self, prefix: IpNet) -> Vec<PeerSlot> {
        for_family!(Family::of(&prefix), A => {
            let table = &A::plane(&self.planes).table;
            let key = PrefixKey::from_net(prefix);
            let Some(id) = key.and_then(|key| table.find(key)) else {
                return Vec::new();
            };
            let told = |slot: &PeerSlot| !self.told::<A>(id, *slot).is_empty();
            self.peers().map(|session| session.slot).filter(told).collect()
        })
    }

    /// What one peer has been told of a prefix.
    pub fn advertised(&self, prefix: IpNet, slot: PeerSlot) -> Vec<PathView> {
        for_family!(Family::of(&prefix), A => {
            let table = &A::plane(&self.planes).table;
            let key = PrefixKey::from_net(prefix);
            match key.and_then(|key| table.find(key)) {
                Some(id) => self.told::<A>(id, slot),
                None => Vec::new(),
            }
        })
    }

    /// Sessions the RIB knows, by slot.
    pub fn peers(&self) -> impl Iterator<Item = &PeerSession> {
        self.core.peers.iter().map(|peer| &peer.session)
    }

    /// Counters of a peer.
    pub fn peer_stats(&self, slot: PeerSlot) -> Option<PeerStats> {
        let peer = self.core.peers.get(slot)?;
        let advertised = peer.groups.map(|id| {
            let group = id.and_then(|id| self.groups.get(id));
            group.map_or(0, |group| group.adj.told_to(slot))
        });
        let waiting = peer.groups.map(|id| {
            let group = id.and_then(|id| self.groups.get(id));
            group.map_or(0, |group| group.waiting_for(slot))
        });
        let [r4, r6] = peer.received;
        let [f4, f6] = peer.filtered;
        Some(PeerStats {
            received: peer.received,
            accepted: [r4.saturating_sub(f4), r6.saturating_sub(f6)],
            advertised,
            waiting,
            rejects: peer.rejects,
            group: peer.groups.map(|id| id.map(|id| id.0)),
            restarting: peer.restarting,
        })
    }

    /// Paths in the Adj-RIB-In of a peer that has a limit, per family.
    pub(crate) fn limited(&self, slot: PeerSlot) -> Option<[u32; 2]> {
        let peer = self.core.peers.get(slot)?;
        peer.session.max_prefixes.map(|_| peer.received)
    }

    /// Counters of a family.
    pub fn table_stats(&self, family: Family) -> TableStats {
        let adj_out: usize = self
            .groups
            .iter()
            .filter(|(_, group)| group.family() == family)
            .map(|(_, group)| group.memory())
            .sum();
        let learned = self
            .core
            .peers
            .iter()
            .map(|peer| family.pick(peer.received));
        let learned: usize = learned
            .filter_map(|count| usize::try_from(count).ok())
            .sum();
        let paths = learned + self.core.origins.routes(family);
        for_family!(family, A => {
            let plane = A::plane(&self.planes);
            TableStats {
                prefixes: plane.table.len(),
                paths,
                version: plane.version,
                memory: plane.table.memory(paths) + adj_out,
            }
        })
    }

    /// Counters of what both families share.
    pub fn shared_stats(&self) -> SharedStats {
        let groups = || self.groups.iter().map(|(_, group)| group.stats);
        SharedStats {
            attr_sets: self.core.attrs.len(),
            attr_memory: self.core.attrs.memory(),
            next_hops: self.core.next_hops.len(),
            groups: self.groups.iter().count(),
            segments: groups().map(|stats| stats.segments).sum(),
            detached: groups().map(|stats| stats.detached).sum(),
            unsendable: groups().map(|stats| stats.unsendable).sum(),
        }
    }
}
