//! Routes of the cluster: told by prefix, so that the event of one service costs one prefix.
//!
//! They lie beside what the file originates. A prefix may have several routes for different
//! neighbors; the tables tell each neighbor the one made for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use cluster::Announcement;
use ipnet::IpNet;
use proto_codec::bgp::LargeCommunity;
use rib::{OriginPrefix, OriginRoute};

use super::Speaker;

impl Speaker {
    /// Replaces the cluster's routes of some prefixes; none withdraws one.
    pub fn set_announcements(&mut self, now: Instant, changes: BTreeMap<IpNet, Vec<Announcement>>) {
        if changes.is_empty() {
            return;
        }
        let mut by_source: BTreeMap<Box<str>, Vec<OriginPrefix>> = BTreeMap::new();
        for (prefix, routes) in changes {
            let before = self.wished.routes.get(&prefix);
            let sources: BTreeSet<Box<str>> = before
                .into_iter()
                .flatten()
                .chain(&routes)
                .map(|route| route.source.clone())
                .collect();
            for source in sources {
                let of_source = routes.iter().filter(|route| route.source == source);
                let of_source = of_source.map(origin_route).collect();
                let prefixes = by_source.entry(source).or_default();
                prefixes.push((prefix, of_source));
            }
            match routes.is_empty() {
                true => self.wished.routes.remove(&prefix),
                false => self.wished.routes.insert(prefix, routes),
            };
        }
        // While all is withdrawn before the end, the wish is only kept.
        if !self.has_withdrawn_all() {
            self.tell_prefixes(by_source);
        }
        self.touch(now);
    }

    fn tell_prefixes(&mut self, by_source: BTreeMap<Box<str>, Vec<OriginPrefix>>) {
        for (source, prefixes) in by_source {
            self.rib.originate_prefixes(&source, prefixes);
        }
    }

    /// The cluster's routes, by prefix.
    pub fn announcements(&self) -> impl Iterator<Item = &Announcement> {
        self.wished.routes.values().flatten()
    }

    /// Takes all routes of the cluster out of the tables; they are no longer told.
    pub(super) fn withdraw_announcements(&mut self, now: Instant) {
        let mut by_source: BTreeMap<Box<str>, Vec<OriginPrefix>> = BTreeMap::new();
        for route in self.wished.routes.values().flatten() {
            let prefixes = by_source.entry(route.source.clone()).or_default();
            prefixes.push((route.prefix, Vec::new()));
        }
        self.tell_prefixes(by_source);
        self.touch(now);
    }
}

/// The attributes a route starts with.
fn origin_route(route: &Announcement) -> OriginRoute {
    let mut attrs = OriginRoute::base_attrs(&route.prefix);
    let marks = &route.marks;
    for community in &marks.communities {
        attrs.add_community(*community);
    }
    for &[global, local1, local2] in &marks.large_communities {
        attrs.add_large_community(LargeCommunity {
            global,
            local1,
            local2,
        });
    }
    if marks.local_pref.is_some() {
        attrs.set_local_pref(marks.local_pref);
    }
    if marks.med.is_some() {
        attrs.set_med(marks.med);
    }
    OriginRoute {
        prefix: route.prefix,
        attrs: Arc::new(attrs.finish()),
        discard: route.discard,
        neighbors: route.neighbors.clone(),
    }
}
