//! Walking a table in slices, in the order of prefixes.
//!
//! A table of a million prefixes is a hash table, and an operator wants it sorted: a
//! [`ScanCursor`] collects the prefixes (see `runs`) and looks each up again when its row is made.
//! So rows are as fresh as the moment they are made, a prefix that has gone is left out, and one
//! that came meanwhile may be missing. Between two calls the engine serves routes; a call does a
//! fraction of a millisecond of work, so whoever drives the walk decides how much of the thread
//! it gets.

use ipnet::IpNet;
use proto_codec::afi::{Family, V4, V6};
use proto_codec::prefix::PrefixKey;

use super::Rib;
use super::plane::RibFamily;
use super::runs::Runs;
use super::view::{RouteView, path_view, route_view};
use crate::dest::Dest;
use crate::peer::PeerSlot;
use crate::table::DestId;

/// What a scan shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Table,
    AdjIn { slot: PeerSlot, accepted: bool },
    AdjOut(PeerSlot),
}

/// Where a scan stands.
#[derive(Debug)]
pub struct ScanCursor {
    shown: Shown,
    within: Option<IpNet>,
    keys: Keys,
    /// How far each shard is, where the tables are in shards.
    pub(crate) parts: Vec<crate::shard::ScanPart>,
}

#[derive(Debug)]
enum Keys {
    V4(Runs<V4>),
    V6(Runs<V6>),
}

impl ScanCursor {
    fn new(family: Family, shown: Shown) -> Self {
        let keys = match family {
            Family::Ipv4Unicast => Keys::V4(Runs::default()),
            Family::Ipv6Unicast => Keys::V6(Runs::default()),
        };
        Self {
            shown,
            within: None,
            keys,
            parts: Vec::new(),
        }
    }

    /// The same walk from its beginning.
    pub(crate) fn again(&self) -> Self {
        let family = match self.keys {
            Keys::V4(_) => Family::Ipv4Unicast,
            Keys::V6(_) => Family::Ipv6Unicast,
        };
        Self {
            within: self.within,
            ..Self::new(family, self.shown)
        }
    }

    /// The whole table with all paths.
    pub fn table(family: Family) -> Self {
        Self::new(family, Shown::Table)
    }

    /// What a peer sent: the Adj-RIB-In before policy, with refused routes.
    pub fn received(family: Family, slot: PeerSlot) -> Self {
        let shown = Shown::AdjIn {
            slot,
            accepted: false,
        };
        Self::new(family, shown)
    }

    /// What of it import policy accepted.
    pub fn accepted(family: Family, slot: PeerSlot) -> Self {
        let shown = Shown::AdjIn {
            slot,
            accepted: true,
        };
        Self::new(family, shown)
    }

    /// What a peer has been told, with the attributes it was told.
    pub fn advertised(family: Family, slot: PeerSlot) -> Self {
        Self::new(family, Shown::AdjOut(slot))
    }

    /// Only prefixes inside `net` (`longer-prefixes`), itself included.
    pub fn within(mut self, net: IpNet) -> Self {
        self.within = Some(net);
        self
    }
}

impl Rib {
    /// Hands out up to `max` more rows and returns whether there are none left. A call may hand
    /// out none and yet not be the last: it was collecting.
    pub fn scan(
        &self,
        cursor: &mut ScanCursor,
        max: usize,
        mut row: impl FnMut(RouteView),
    ) -> bool {
        let ScanCursor {
            shown,
            within,
            keys,
            ..
        } = cursor;
        match keys {
            Keys::V4(runs) => self.scan_runs(runs, *shown, *within, (max, &mut row)),
            Keys::V6(runs) => self.scan_runs(runs, *shown, *within, (max, &mut row)),
        }
    }

    fn scan_runs<A: RibFamily>(
        &self,
        runs: &mut Runs<A>,
        shown: Shown,
        within: Option<IpNet>,
        (max, row): (usize, &mut dyn FnMut(RouteView)),
    ) -> bool {
        let within = match within.map(A::Prefix::from_net) {
            Some(None) => return true,
            Some(Some(net)) => Some(net),
            None => None,
        };
        let table = &A::plane(&self.planes).table;
        let inside = |key: A::Prefix| within.is_none_or(|net| net.contains(key));
        let wanted = |dest: &Dest<A::Prefix>| inside(dest.key) && is_shown(dest, shown);
        if !runs.prepare(table, inside, wanted) {
            return runs.is_done();
        }
        for _ in 0..max {
            let Some(key) = runs.pop() else {
                break;
            };
            if let Some(view) = self.row::<A>(key, shown) {
                row(view);
            }
        }
        runs.is_done()
    }

    fn row<A: RibFamily>(&self, key: A::Prefix, shown: Shown) -> Option<RouteView> {
        let table = &A::plane(&self.planes).table;
        let id = table.find(key)?;
        let dest = table.get(id)?;
        match shown {
            Shown::Table => route_view::<A>(dest, &self.core).accepted(),
            Shown::AdjIn { slot, accepted } => {
                let mut view = route_view::<A>(dest, &self.core);
                view.paths
                    .retain(|path| path.slot == slot && !(accepted && path.filtered));
                Some(view).filter(|view| !view.paths.is_empty())
            }
            Shown::AdjOut(slot) => {
                let paths = self.told::<A>(id, slot);
                (!paths.is_empty()).then(|| RouteView {
                    prefix: key.to_net(),
                    paths,
                })
            }
        }
    }

    /// What a peer has been told of a destination: the Adj-RIB-Out of its group through the rewrite
    /// that its messages go through.
    pub(super) fn told<A: RibFamily>(
        &self,
        id: DestId,
        slot: PeerSlot,
    ) -> Vec<super::view::PathView> {
        let group = self
            .core
            .peers
            .get(slot)
            .and_then(|peer| self.groups.get(A::FAMILY.pick(peer.groups)?));
        let Some(group) = group else {
            return Vec::new();
        };
        let dest = A::plane(&self.planes).table.get(id);
        let view = |(out_id, entry): (u32, crate::group::OutEntry)| {
            let set = self.core.attrs.get(entry.attr.id()?)?;
            let source = entry.source();
            let rewritten =
                group
                    .key
                    .rewrite
                    .apply(entry.attr, set, self.core.peers.source(source))?;
            let rx_path_id = group.adj.rx_path_id(out_id);
            let path = dest?.paths().iter().find(|path| {
                path.source == source && rx_path_id.is_none_or(|rx| path.path_id == rx)
            })?;
            let mut view = path_view(path, &self.core)?;
            view.best = dest?.best() == Some(path);
            view.attrs = std::sync::Arc::new(rewritten);
            view.path_id = group.adj.tx_path_id(out_id);
            Some(view)
        };
        group
            .told_about(id, slot)
            .into_iter()
            .filter_map(view)
            .collect()
    }
}

/// Whether a destination may have a row. What a peer was told is looked up when the row is made.
fn is_shown<P>(dest: &Dest<P>, shown: Shown) -> bool {
    let mut paths = dest.paths().iter();
    match shown {
        Shown::Table => paths.any(|path| !path.is_filtered()),
        Shown::AdjIn { slot, accepted } => {
            paths.any(|path| path.source == slot && !(accepted && path.is_filtered()))
        }
        Shown::AdjOut(_) => true,
    }
}
