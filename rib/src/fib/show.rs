//! Routes for `show ip route`: what was asked of the kernel beside what it holds.
//!
//! Ours come from the records, those of others from the view; both are ordered by prefix, so a
//! page is a merge of the two and the next one resumes behind its last prefix, whatever has
//! changed in between. Nothing is read from the kernel for it: the picture is the one decisions
//! are made on, which is what an operator wants to see.

use ipnet::IpNet;

use super::api::{RouteKind, RouteNextHop, RoutePage, RouteQuery, RouteView};
use super::model::{Hop, ObservedKind, ObservedRoute};
use super::reconcile::Fib;
use super::routes::{Placed, Slot};
use super::sets::{Target, Want};
use super::view::next_key;

impl Fib {
    /// One page of routes.
    #[must_use]
    pub fn page(&self, query: &RouteQuery) -> RoutePage {
        let mut page = RoutePage::default();
        if let Some(prefix) = query.prefix {
            self.matching(prefix.trunc(), query.ours, &mut page.rows);
            return page;
        }
        // IPv4 sorts before IPv6, so the first family ends where the second begins.
        let first_v6: IpNet = IpNet::V6(ipnet::Ipv6Net::default());
        let mut at = query.after;
        let mut skip_v4 = !query.ipv4 && query.after.is_none();
        for _ in 0..query.max {
            let from = if std::mem::take(&mut skip_v4) {
                let default = self.rows_exist(first_v6, query.ours);
                if default {
                    Some(first_v6)
                } else {
                    self.next_prefix(Some(first_v6), query)
                }
            } else {
                self.next_prefix(at, query)
            };
            let Some(prefix) = from.filter(|p| p.addr().is_ipv4() == query.ipv4) else {
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

    fn next_prefix(&self, after: Option<IpNet>, query: &RouteQuery) -> Option<IpNet> {
        let ours = next_key(&self.routes.map, after);
        let others = if query.ours {
            None
        } else {
            self.view.first_after(after)
        };
        match (ours, others) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn rows_exist(&self, prefix: IpNet, ours: bool) -> bool {
        let mut rows = Vec::new();
        self.rows(prefix, ours, &mut rows);
        !rows.is_empty()
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
                .placed
                .slot()
                .unwrap_or(Slot::Unicast)
                .metric(&self.config),
            kind: RouteKind::Unicast,
            ours: true,
            wanted: record.want != Want::Nothing,
            installed: false,
            via: Vec::new(),
            next_hops: Vec::new(),
            next_hop_id: None,
        };
        if let Placed::At(id) = record.placed
            && !self.inline
        {
            view.next_hop_id = Some(id);
        }
        match record.want {
            Want::Nothing => {
                let slot = record.placed.slot()?;
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
                view.installed = record.placed == Placed::Discard;
            }
            Want::Set(id) => {
                let set = self.sets.get(id)?;
                view.via = set.via.to_vec();
                let members = set.members.iter();
                view.next_hops = members.map(|m| self.way(&(m.hop, m.weight))).collect();
                view.metric = self.config.metric;
                let at = matches!(set.target, Target::At(at) if record.placed == Placed::At(at));
                view.installed = at;
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
        let asked = |prefix: &str| -> Vec<String> {
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
