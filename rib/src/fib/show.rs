//! Routes for `show ip route`: what was asked of the kernel beside what it holds.
//!
//! Ours come from the records, those of others from the view, so a page is a merge of the two and
//! the next one resumes behind its last prefix. The view is ordered by prefix. The records are not:
//! a listing of the next some ten thousand is made when a page asks for prefixes behind it, one
//! walk over the records, and serves the pages that follow. So a page is as of now, but a prefix
//! that is new since the listing was made may be missing from it, as it would be if it had come a
//! moment later. Nothing is read from the kernel for it: the picture is the one decisions are made
//! on, which is what an operator wants to see.

use ipnet::IpNet;

use super::api::{RouteKind, RouteNextHop, RoutePage, RouteQuery, RouteView};
use super::model::{Hop, ObservedKind, ObservedRoute};
use super::reconcile::Fib;
use super::records::Placed;
use super::routes::Slot;
use super::sets::Want;

/// Prefixes of one listing: a full table is walked through some thirty times for all its pages.
const LISTING_MAX: usize = 32 << 10;

/// The next prefixes of ours behind some place, ascending.
#[derive(Debug, Default)]
pub(super) struct Listing {
    ipv4: bool,
    after: Option<IpNet>,
    prefixes: Vec<IpNet>,
    /// There were no more.
    ends: bool,
}

impl Listing {
    /// The first behind `after`, if this listing knows it: `None` in it is the end.
    fn next(&self, ipv4: bool, after: IpNet) -> Option<Option<IpNet>> {
        if ipv4 != self.ipv4 || self.after.is_some_and(|from| after < from) {
            return None;
        }
        let behind = self.prefixes.partition_point(|prefix| *prefix <= after);
        match self.prefixes.get(behind) {
            Some(prefix) => Some(Some(*prefix)),
            None => self.ends.then_some(None),
        }
    }
}

impl Fib {
    /// One page of routes.
    #[must_use]
    pub fn page(&mut self, query: &RouteQuery) -> RoutePage {
        let mut page = RoutePage::default();
        if let Some(prefix) = query.prefix {
            self.matching(prefix.trunc(), query.ours, &mut page.rows);
            return page;
        }
        let mut at = query.after;
        for _ in 0..query.max {
            let Some(prefix) = self.next_prefix(at, query) else {
                // Nothing is listed any more: the memory goes.
                self.listing = Listing::default();
                return page;
            };
            self.rows(prefix, query.ours, &mut page.rows);
            at = Some(prefix);
        }
        page.next = at;
        page
    }

    /// The rows of `prefix`; for an address that has no route of its own, those it would take.
    fn matching(&self, prefix: IpNet, ours: bool, rows: &mut Vec<RouteView>) {
        let mut next = Some(prefix);
        while let Some(net) = next {
            self.rows(net, ours, rows);
            if !rows.is_empty() || prefix.prefix_len() < prefix.max_prefix_len() {
                return;
            }
            next = net.supernet();
        }
    }

    fn next_prefix(&mut self, after: Option<IpNet>, query: &RouteQuery) -> Option<IpNet> {
        let ours = self.next_own(after, query.ipv4);
        let others = if query.ours {
            None
        } else {
            self.view.first_after(query.ipv4, after)
        };
        match (ours, others) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn next_own(&mut self, after: Option<IpNet>, ipv4: bool) -> Option<IpNet> {
        if let Some(known) = after.and_then(|after| self.listing.next(ipv4, after)) {
            return known;
        }
        let prefixes = self.routes.records.ascending(ipv4, after, LISTING_MAX);
        let first = prefixes.first().copied();
        self.listing = Listing {
            ipv4,
            after,
            ends: prefixes.len() < LISTING_MAX,
            prefixes,
        };
        first
    }

    fn rows(&self, prefix: IpNet, ours: bool, rows: &mut Vec<RouteView>) {
        let start = rows.len();
        if !ours {
            let others = self.view.routes_of(prefix).iter();
            let shown = others.filter(|r| r.kind != ObservedKind::Other);
            rows.extend(shown.map(|route| self.others_row(route)));
        }
        rows.extend(self.own_row(prefix));
        if let Some(added) = rows.get_mut(start..) {
            added.sort_by_key(|row| row.metric);
        }
    }

    fn others_row(&self, route: &ObservedRoute) -> RouteView {
        let hops = route.hops.iter();
        let next_hops = hops.map(|hop| RouteNextHop {
            gateway: hop.gateway,
            interface: hop.interface,
            name: self.name(hop.interface),
            weight: hop.weight,
        });
        let kind = match route.kind {
            ObservedKind::Discard => RouteKind::Discard,
            _ => RouteKind::Unicast,
        };
        RouteView {
            prefix: route.prefix,
            table: route.table,
            protocol: route.protocol,
            metric: route.metric,
            kind,
            ours: false,
            wanted: false,
            installed: true,
            via: Vec::new(),
            next_hops: next_hops.collect(),
            next_hop_id: route.next_hop_id,
        }
    }

    fn own_row(&self, prefix: IpNet) -> Option<RouteView> {
        let record = self.routes.get(prefix)?;
        let mut view = RouteView {
            prefix,
            table: self.config.table,
            protocol: self.config.protocol,
            metric: record
                .placed()
                .slot()
                .unwrap_or(Slot::Unicast)
                .metric(&self.config),
            kind: RouteKind::Unicast,
            ours: true,
            wanted: record.want() != Want::Nothing,
            installed: false,
            via: Vec::new(),
            next_hops: Vec::new(),
            next_hop_id: None,
        };
        if let Placed::At(id) = record.placed()
            && !self.inline
        {
            view.next_hop_id = Some(id);
        }
        match record.want() {
            Want::Nothing => {
                let slot = record.placed().slot()?;
                view.installed = true;
                if slot == Slot::Discard {
                    view.kind = RouteKind::Discard;
                }
                let hops = view.next_hop_id.map(|id| self.next_hops.members(id));
                view.next_hops = hops
                    .unwrap_or_default()
                    .iter()
                    .map(|m| self.way(m))
                    .collect();
            }
            Want::Discard => {
                view.kind = RouteKind::Discard;
                view.metric = Slot::Discard.metric(&self.config);
                view.installed = record.placed() == Placed::Discard;
            }
            Want::Set(id) => {
                let set = self.sets.get(id)?;
                view.via = set.via.to_vec();
                let members = set.members.iter();
                view.next_hops = members.map(|m| self.way(&(m.hop, m.weight))).collect();
                view.metric = self.config.metric;
                view.installed = self.is_right(id, record.placed());
            }
        }
        Some(view)
    }

    fn way(&self, (hop, weight): &(Hop, u8)) -> RouteNextHop {
        RouteNextHop {
            gateway: Some(hop.gateway),
            interface: hop.interface,
            name: self.name(hop.interface),
            weight: *weight,
        }
    }

    fn name(&self, index: u32) -> String {
        let name = self.view.link_name(index);
        name.map_or_else(|| format!("if{index}"), str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::fib::{FibChange, FibRoute, KernelConfig};

    /// Asking for an address finds the route it takes; asking for a prefix finds that one only.
    #[test]
    fn an_address_finds_its_longest_match() {
        let now = Instant::now();
        let mut fib = Fib::new(KernelConfig::default(), now);
        for prefix in ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32"] {
            let change = FibChange {
                prefix: prefix.parse().unwrap(),
                route: Some(FibRoute::Discard),
            };
            fib.apply(now, &change);
        }
        let mut asked = |prefix: &str| -> Vec<String> {
            let query = RouteQuery {
                ipv4: true,
                ours: true,
                prefix: prefix.parse().ok(),
                after: None,
                max: 10,
            };
            let rows = fib.page(&query).rows;
            rows.iter().map(|row| row.prefix.to_string()).collect()
        };
        assert_eq!(asked("10.1.9.9/32"), ["10.1.0.0/16"]);
        assert_eq!(asked("10.1.2.3/32"), ["10.1.2.3/32"]);
        assert_eq!(asked("10.1.2.0/24"), [""; 0]);
        assert_eq!(asked("192.0.2.1/32"), [""; 0]);
    }
}
