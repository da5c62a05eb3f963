//! The decision process: which of the paths to a prefix is used, and why.
//!
//! The RFC's steps (RFC 4271 §9.1.1, §9.1.2.2; RFC 4456 §9), each of which leaves only the paths
//! that are equal in it; ours beside them:
//!
//! ```text
//!      RFC                              here
//!   0  (local matter)                   what starts here first, as FRR's weight 32768
//!   1  highest degree of preference     LOCAL_PREF
//!   a  fewest AS hops                   the same
//!   b  lowest ORIGIN                    the same
//!   c  lowest MED                       among paths of one neighbor AS only, whatever the order of
//!                                       arrival (FRR's deterministic-med); no MED is 0
//!   d  eBGP over iBGP                   the same
//!   e  lowest IGP metric                the same; what is left is equal enough for ECMP
//!   -  RFC 5004                         the current best stays, among eBGP paths
//!   f  lowest BGP Identifier            ORIGINATOR_ID in its place if present (RFC 4456 §9)
//!   -  shortest CLUSTER_LIST            RFC 4456 §9
//!   g  lowest peer address              the same, then the lowest path identifier (RFC 7911 §5)
//! ```
//!
//! Steps 0 to b are one integer comparison ([`DecisionKey`]). The rest works on the ties alone, by
//! elimination and never by pairwise order, because MED makes pairwise order intransitive. The
//! result carries the step that decided; `show` and `explain` print that value.

use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;

use crate::attr::{AttrId, Interner};
use crate::nexthop::NextHops;
use crate::path::{DecisionKey, KeyStep, Path, PathKind};
use crate::peer::PeerSlot;

/// Why the best path is the best, in the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is no other usable path.
    OnlyPath,
    /// It starts here.
    LocalRoute,
    /// Highest LOCAL_PREF.
    LocalPref,
    /// Fewest AS hops.
    AsPath,
    /// Lowest ORIGIN.
    Origin,
    /// Lowest MED among the paths of its neighbor AS.
    Med,
    /// eBGP over iBGP.
    PeerType,
    /// Nearest next hop.
    IgpMetric,
    /// It was the best already (RFC 5004).
    OlderPath,
    /// Lowest BGP Identifier or ORIGINATOR_ID.
    RouterId,
    /// Shortest CLUSTER_LIST.
    ClusterLength,
    /// Lowest address of the peer.
    NeighborAddress,
    /// Lowest path identifier of one peer.
    PathId,
}

impl Reason {
    /// The words FRR prints.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::OnlyPath => "First path received",
            Reason::LocalRoute => "Weight",
            Reason::LocalPref => "Local Pref",
            Reason::AsPath => "AS Path",
            Reason::Origin => "Origin",
            Reason::Med => "MED",
            Reason::PeerType => "Peer Type",
            Reason::IgpMetric => "IGP Metric",
            Reason::OlderPath => "Older Path",
            Reason::RouterId => "Router ID",
            Reason::ClusterLength => "Cluster length",
            Reason::NeighborAddress => "Neighbor IP",
            Reason::PathId => "Path ID",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Outcome of the decision process: indices into the paths it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Selection {
    /// The best path.
    pub best: usize,
    /// What decided.
    pub reason: Reason,
    /// Paths equal to the best through the IGP metric, the best among them, in the order given.
    pub equal: Indices,
}

/// Indices of paths.
pub(crate) type Indices = SmallVec<[usize; 8]>;

/// What the later steps need to know about the sender of a path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceFacts {
    /// BGP Identifier.
    pub router_id: Ipv4Addr,
    /// Address of the session.
    pub address: IpAddr,
}

/// Where the decision looks things up.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Attributes.
    pub attrs: &'a Interner,
    /// Metrics of next hops.
    pub next_hops: &'a NextHops,
    /// Facts about a source, by slot; see `Peers::facts`.
    pub sources: &'a [Option<SourceFacts>],
}

impl Facts<'_> {
    fn source(&self, slot: PeerSlot) -> SourceFacts {
        self.sources
            .get(slot.index())
            .copied()
            .flatten()
            .unwrap_or(SourceFacts {
                router_id: Ipv4Addr::UNSPECIFIED,
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            })
    }

    /// The path's ORIGINATOR_ID, else the identifier of its sender (RFC 4456 §9).
    fn router_id(&self, path: &Path) -> Ipv4Addr {
        self.attrs
            .get(path.attrs)
            .and_then(|attrs| attrs.originator_id())
            .unwrap_or_else(|| self.source(path.source).router_id)
    }

    /// Whether `path`, new among the candidates, may displace `best`, the best of the others: it
    /// is preferred, or puts `best` out by its MED. (If it puts out any other, that changes
    /// nothing: the other was not the best.)
    pub fn may_displace(&self, path: &Path, best: &Path) -> bool {
        if path.key != best.key {
            return path.key > best.key;
        }
        let (hot, best_hot) = (self.attrs.hot(path.attrs), self.attrs.hot(best.attrs));
        if hot.neighbor_as == best_hot.neighbor_as && hot.med != best_hot.med {
            return hot.med < best_hot.med;
        }
        let near = |path: &Path| (path.kind != PathKind::External, self.igp_metric(path));
        let (mine, theirs) = (near(path), near(best));
        if mine != theirs {
            return mine < theirs;
        }
        // RFC 5004 again: among external paths the one in use stays.
        let last = |path: &Path| {
            (
                self.router_id(path),
                self.cluster_length(path.attrs),
                self.source(path.source).address,
                (path.path_id, path.source),
            )
        };
        path.kind != PathKind::External && last(path) < last(best)
    }

    fn cluster_length(&self, id: AttrId) -> usize {
        self.attrs
            .get(id)
            .map_or(0, |attrs| attrs.cluster_list().count())
    }

    fn igp_metric(&self, path: &Path) -> u32 {
        match path.kind {
            PathKind::Local => 0,
            _ => self.next_hops.metric(self.attrs.hot(path.attrs).next_hop),
        }
    }
}

/// Decides among `paths`. `current` is the index of the best path so far, if it is still there.
/// `None` when no path is usable.
pub(crate) fn select(
    paths: &[Path],
    current: Option<usize>,
    facts: Facts<'_>,
) -> Option<Selection> {
    let (ties, reason) = preferred(paths)?;
    if let [best] = ties.as_slice() {
        return Some(Selection {
            best: *best,
            reason,
            equal: ties,
        });
    }
    let mut race = Race {
        paths,
        facts,
        ties,
        reason,
    };
    race.lowest_med();
    race.keep(Reason::PeerType, |path, _| {
        u8::from(path.kind != PathKind::External)
    });
    race.keep(Reason::IgpMetric, |path, facts| facts.igp_metric(path));
    let equal = race.ties.clone();
    race.keep_current(current);
    race.keep(Reason::RouterId, |path, facts| facts.router_id(path));
    race.keep(Reason::ClusterLength, |path, facts| {
        facts.cluster_length(path.attrs)
    });
    race.keep(Reason::NeighborAddress, |path, facts| {
        facts.source(path.source).address
    });
    race.keep(Reason::PathId, |path, _| (path.path_id, path.source));
    Some(Selection {
        best: *race.ties.first()?,
        reason: race.reason,
        equal,
    })
}

/// Steps 0 to b: the paths with the greatest key, and the step that set them apart from the best
/// of the others.
fn preferred(paths: &[Path]) -> Option<(Indices, Reason)> {
    let mut ties = Indices::new();
    let mut best: Option<DecisionKey> = None;
    let mut second: Option<DecisionKey> = None;
    for (index, path) in paths.iter().enumerate().filter(|(_, path)| path.is_valid()) {
        if best.is_none_or(|key| path.key > key) {
            second = best;
            best = Some(path.key);
            ties.clear();
            ties.push(index);
        } else if best == Some(path.key) {
            ties.push(index);
        } else {
            second = second.max(Some(path.key));
        }
    }
    let reason = match second.and_then(|second| best?.differs_at(second)) {
        None => Reason::OnlyPath,
        Some(KeyStep::Local) => Reason::LocalRoute,
        Some(KeyStep::LocalPref) => Reason::LocalPref,
        Some(KeyStep::AsPath) => Reason::AsPath,
        Some(KeyStep::Origin) => Reason::Origin,
    };
    best.map(|_| (ties, reason))
}

/// The paths still in, and the last step that put one out.
struct Race<'a> {
    paths: &'a [Path],
    facts: Facts<'a>,
    ties: Indices,
    reason: Reason,
}

impl Race<'_> {
    /// Keeps the paths with the lowest `value`.
    fn keep<V: Ord + Copy>(&mut self, reason: Reason, value: impl Fn(&Path, Facts<'_>) -> V) {
        if self.ties.len() < 2 {
            return;
        }
        let of = |index: &usize| self.paths.get(*index).map(|path| value(path, self.facts));
        let Some(lowest) = self.ties.iter().filter_map(of).min() else {
            return;
        };
        let before = self.ties.len();
        let kept: Indices = self
            .ties
            .iter()
            .copied()
            .filter(|index| of(index) == Some(lowest))
            .collect();
        self.ties = kept;
        if self.ties.len() < before {
            self.reason = reason;
        }
    }

    /// Step c: puts out every path that some other of the same neighbor AS beats in MED. Each
    /// neighbor AS is judged by its own lowest MED, so the order of the paths plays no part.
    fn lowest_med(&mut self) {
        let as_and_med = |index: &usize| {
            let path = self.paths.get(*index)?;
            let hot = self.facts.attrs.hot(path.attrs);
            Some((hot.neighbor_as, hot.med))
        };
        let mut lowest: SmallVec<[(u32, u32); 8]> =
            self.ties.iter().filter_map(as_and_med).collect();
        let first = lowest.first().map(|(_, med)| *med);
        if lowest.iter().all(|(_, med)| Some(*med) == first) {
            return;
        }
        lowest.sort_unstable();
        lowest.dedup_by_key(|(neighbor_as, _)| *neighbor_as);
        let beaten =
            |index: &usize| as_and_med(index).is_none_or(|own| lowest.binary_search(&own).is_err());
        let before = self.ties.len();
        let kept: Indices = self
            .ties
            .iter()
            .copied()
            .filter(|index| !beaten(index))
            .collect();
        self.ties = kept;
        if self.ties.len() < before {
            self.reason = Reason::Med;
        }
    }

    /// RFC 5004 §3: among external paths the one in use stays, which spares the network a change
    /// nobody gains by.
    fn keep_current(&mut self, current: Option<usize>) {
        let Some(current) = current.filter(|current| self.ties.contains(current)) else {
            return;
        };
        let external = |index: &usize| {
            self.paths
                .get(*index)
                .is_some_and(|path| path.kind == PathKind::External)
        };
        if self.ties.len() > 1 && self.ties.iter().all(external) {
            self.ties.clear();
            self.ties.push(current);
            self.reason = Reason::OlderPath;
        }
    }
}

#[cfg(test)]
#[path = "decision/tests.rs"]
mod tests;
