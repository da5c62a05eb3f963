//! What operators see of the tables.
//!
//! Views are copies with shared attributes: a caller may format them at leisure, the engine is not
//! held. They are made by the same functions that decide and export, so what is shown is what is
//! in use.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;
use proto_codec::bgp::AttrSet;

use super::core::Core;
use super::fib::multipath;
use super::guard::Rejects;
use super::plane::RibFamily;
use crate::decision::{Reason, select};
use crate::dest::Dest;
use crate::path::{Path, PathFlags, PathKind};
use crate::peer::PeerSlot;

/// A prefix with its paths, best first, then those used beside it, then the others by neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteView {
    /// The prefix.
    pub prefix: IpNet,
    /// Its paths.
    pub paths: Vec<PathView>,
}

impl RouteView {
    /// Without the paths that import policy refused, which are in the Adj-RIB-In alone; `None` when
    /// nothing else is there.
    #[must_use]
    pub fn accepted(mut self) -> Option<Self> {
        self.paths.retain(|path| !path.filtered);
        (!self.paths.is_empty()).then_some(self)
    }
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathView {
    /// How it came here.
    pub kind: PathKind,
    /// Who sent it; [`PeerSlot::LOCAL`] when it starts here.
    pub slot: PeerSlot,
    /// Address of the sender, when it is a peer.
    pub peer: Option<IpAddr>,
    /// BGP Identifier of the sender; our own when it starts here.
    pub router_id: Ipv4Addr,
    /// What makes it start here (`pool:my-ip-space`).
    pub origin_source: Option<String>,
    /// Attributes in use: after import policy, or, of an advertised route, as the peer gets them.
    pub attrs: Arc<AttrSet>,
    /// Attributes as received.
    pub received: Arc<AttrSet>,
    /// Path identifier it was received with, or is sent with, of an advertised route.
    pub path_id: u32,
    /// When it came, in the seconds of `Rib::set_time`.
    pub stamp_s: u32,
    /// The decision process may use it.
    pub valid: bool,
    /// Import policy refused it.
    pub filtered: bool,
    /// Its next hop is not reachable, or not known to be.
    pub unresolved: bool,
    /// Kept from before the peer's restart.
    pub stale: bool,
    /// The best path.
    pub best: bool,
    /// Used beside the best path.
    pub multipath: bool,
    /// Why it is the best path.
    pub reason: Option<Reason>,
    /// Metric of the route to its next hop.
    pub igp_metric: u32,
    /// FRR's weight: 32768 for what starts here.
    pub weight: u32,
}

/// Counters of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerStats {
    /// Paths in the Adj-RIB-In, per family as `Family::index`.
    pub received: [u32; 2],
    /// Those of them that import policy accepted.
    pub accepted: [u32; 2],
    /// Routes told to the peer.
    pub advertised: [u64; 2],
    /// UPDATEs the peer has still to be sent, about; 0 when it has been told everything.
    pub waiting: [u64; 2],
    /// Routes refused before policy.
    pub rejects: Rejects,
    /// The number of its update group, per family.
    pub group: [Option<u32>; 2],
    /// It is down and its routes are kept.
    pub restarting: bool,
}

/// Counters of a family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Prefixes with at least one path, and those whose end somebody is yet to be told.
    pub prefixes: usize,
    /// Paths in the table, refused ones included.
    pub paths: usize,
    /// Counts changes; two equal values mean that nothing happened in between.
    pub version: u64,
    /// Octets of the table and of the Adj-RIB-Outs, about.
    pub memory: usize,
}

/// Counters of what both families share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedStats {
    /// Distinct attribute sets.
    pub attr_sets: usize,
    /// Octets they take.
    pub attr_memory: usize,
    /// Next hops in use.
    pub next_hops: usize,
    /// Update groups.
    pub groups: usize,
    /// Segments encoded by the groups that exist now.
    pub segments: u64,
    /// Times a member fell behind its group's log.
    pub detached: u64,
    /// Routes that fit no message or had no next hop to name.
    pub unsendable: u64,
}

impl PeerStats {
    /// Together with what another part of the tables counted. What is no number stays.
    #[must_use]
    pub(crate) fn plus(mut self, other: &Self) -> Self {
        let add = |to: &mut [u32; 2], from: [u32; 2]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to = to.saturating_add(from);
            }
        };
        add(&mut self.received, other.received);
        add(&mut self.accepted, other.accepted);
        for (to, from) in self.advertised.iter_mut().zip(other.advertised) {
            *to += from;
        }
        for (to, from) in self.waiting.iter_mut().zip(other.waiting) {
            *to += from;
        }
        self.rejects.add_all(&other.rejects);
        self
    }
}

impl TableStats {
    /// Together with another part of the table.
    #[must_use]
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            prefixes: self.prefixes + other.prefixes,
            paths: self.paths + other.paths,
            version: self.version + other.version,
            memory: self.memory + other.memory,
        }
    }
}

impl SharedStats {
    /// Together with another part of the tables, which has a part of each group.
    #[must_use]
    pub(crate) fn plus(self, other: &Self) -> Self {
        Self {
            attr_sets: self.attr_sets + other.attr_sets,
            attr_memory: self.attr_memory + other.attr_memory,
            next_hops: self.next_hops.max(other.next_hops),
            groups: self.groups.max(other.groups),
            segments: self.segments + other.segments,
            detached: self.detached + other.detached,
            unsendable: self.unsendable + other.unsendable,
        }
    }
}

/// One path of a destination; `None` when its attributes are gone, which does not happen.
pub(super) fn path_view(path: &Path, core: &Core) -> Option<PathView> {
    let peer = core.peers.get(path.source).map(|peer| &peer.session);
    let local = path.kind == PathKind::Local;
    let attrs = Arc::clone(core.attrs.get(path.attrs)?);
    let next_hop = core.attrs.hot(path.attrs).next_hop;
    Some(PathView {
        kind: path.kind,
        slot: path.source,
        peer: peer.map(|session| session.address),
        router_id: peer.map_or(core.config.router_id, |session| session.router_id),
        origin_source: core
            .origins
            .name(path.path_id)
            .filter(|_| local)
            .map(str::to_owned),
        attrs,
        received: Arc::clone(core.attrs.get(path.received)?),
        path_id: if local { 0 } else { path.path_id },
        stamp_s: path.stamp,
        valid: path.is_valid(),
        filtered: path.is_filtered(),
        unresolved: path.flags.any(PathFlags::UNRESOLVED),
        stale: path.flags.any(PathFlags::STALE),
        best: false,
        multipath: false,
        reason: None,
        igp_metric: if local {
            0
        } else {
            core.next_hops.metric(next_hop)
        },
        weight: if local { 32_768 } else { 0 },
    })
}

/// A destination with all of its paths.
pub(super) fn route_view<A: RibFamily>(dest: &Dest<A::Prefix>, core: &Core) -> RouteView {
    let best = dest.best_index();
    let selection = select(dest.paths(), best, core.facts());
    let used = match best {
        Some(best) => multipath(dest.paths(), best, selection.as_ref(), core),
        None => Default::default(),
    };
    let rest = (0..dest.paths().len()).filter(|index| !used.contains(index));
    let order = used.iter().copied().chain(rest);
    let view = |index: usize| {
        let mut view = path_view(dest.paths().get(index)?, core)?;
        view.best = best == Some(index);
        view.multipath = used.len() > 1 && used.contains(&index);
        view.reason = selection
            .as_ref()
            .filter(|_| view.best)
            .map(|selection| selection.reason);
        Some(view)
    };
    RouteView {
        prefix: proto_codec::prefix::PrefixKey::to_net(dest.key),
        paths: order.filter_map(view).collect(),
    }
}
