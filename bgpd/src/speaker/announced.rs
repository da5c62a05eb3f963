//! Routes of the cluster: told by prefix, so that the event of one service costs one prefix.
//!
//! They lie beside what the file originates. A prefix may have several routes for different
//! neighbors; the tables tell each neighbor the one made for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use cluster::Announcement;
use ipnet::IpNet;
use proto_codec::bgp::LargeCommunity;
use rib::{OriginPrefix, OriginRoute};

use super::Speaker;

/// What is new, by source.
type BySource = BTreeMap<Box<str>, Vec<OriginPrefix>>;

impl Speaker {
    /// Replaces the cluster's routes of some prefixes; none withdraws one.
    pub fn set_announcements(&mut self, now: Instant, changes: BTreeMap<IpNet, Vec<Announcement>>) {
        if changes.is_empty() {
            return;
        }
        self.wished.revision += 1;
        let mut by_source = BySource::new();
        for (prefix, routes) in changes {
            let before = self.wished.routes.get(&prefix);
            self.add_news(
                &mut by_source,
                prefix,
                before.into_iter().flatten(),
                &routes,
            );
            match routes.is_empty() {
                true => self.wished.routes.remove(&prefix),
                false => self.wished.routes.insert(prefix, routes),
            };
        }
        self.tell_prefixes(by_source);
        self.touch(now);
    }

    /// Tells routes that name neighbors once more if any of these came or went: of the neighbors
    /// a route names the tables hear only those that there are. Whoever writes an annotation
    /// could fill them with sets of strangers otherwise.
    pub(super) fn follow_neighbors(&mut self, now: Instant) {
        let neighbors: BTreeSet<IpAddr> = self.peers.iter().map(|entry| entry.address).collect();
        let before = std::mem::take(&mut self.wished.neighbors);
        let changed: BTreeSet<IpAddr> = before.symmetric_difference(&neighbors).copied().collect();
        self.wished.neighbors = neighbors;
        if changed.is_empty() {
            return;
        }
        let is_meant = |route: &Announcement| {
            let mut named = route.neighbors.iter().flatten();
            named.any(|neighbor| changed.contains(neighbor))
        };
        let mut by_source = BySource::new();
        for (prefix, routes) in &self.wished.routes {
            if routes.iter().any(is_meant) {
                self.add_news(&mut by_source, *prefix, routes.iter(), routes);
            }
        }
        if !by_source.is_empty() {
            self.tell_prefixes(by_source);
            self.touch(now);
        }
    }

    /// What the sources of a prefix, before and now, have of it.
    fn add_news<'a>(
        &self,
        by_source: &mut BySource,
        prefix: IpNet,
        before: impl Iterator<Item = &'a Announcement>,
        routes: &'a [Announcement],
    ) {
        let sources: BTreeSet<&str> = before.chain(routes).map(|route| &*route.source).collect();
        for source in sources {
            let of_source = routes.iter().filter(|route| *route.source == *source);
            let of_source = of_source.map(|route| OriginRoute {
                neighbors: route.neighbors.as_ref().map(|named| self.present(named)),
                ..origin_route(route)
            });
            let of_source = of_source.collect();
            let prefixes = by_source.entry(source.into()).or_default();
            prefixes.push((prefix, of_source));
        }
    }

    fn present(&self, named: &[IpAddr]) -> Vec<IpAddr> {
        let is_here = |neighbor: &&IpAddr| self.peers.slot_of(**neighbor).is_some();
        named.iter().filter(is_here).copied().collect()
    }

    /// While all is withdrawn before the end, the wish is only kept.
    fn tell_prefixes(&mut self, by_source: BySource) {
        if !self.has_withdrawn_all() {
            self.hand_over(by_source);
        }
    }

    /// All sources at once, so that a prefix that moves between them is not withdrawn on its way.
    fn hand_over(&mut self, by_source: BySource) {
        let news = by_source.into_iter();
        let news = news.map(|(source, prefixes)| (Arc::from(source), prefixes));
        self.rib.originate_prefixes(news.collect());
    }

    /// The cluster's routes, by prefix.
    pub fn announcements(&self) -> impl Iterator<Item = &Announcement> {
        self.wished.routes.values().flatten()
    }

    /// How often the cluster's routes changed: a sign that is cheap to look at.
    #[must_use]
    pub fn announcements_revision(&self) -> u64 {
        self.wished.revision
    }

    /// Tells nobody the routes of the cluster any longer; what the kernel discards because of them
    /// stays.
    pub(super) fn withdraw_announcements(&mut self, now: Instant) {
        self.wished.revision += 1;
        let mut by_source = BySource::new();
        for (prefix, routes) in &self.wished.routes {
            let sources: BTreeSet<&str> = routes.iter().map(|route| &*route.source).collect();
            for source in sources {
                let mut of_source = routes.iter().filter(|route| *route.source == *source);
                let to_nobody = of_source
                    .find(|route| route.discard)
                    .map(|route| OriginRoute {
                        neighbors: Some(Vec::new()),
                        ..origin_route(route)
                    });
                let prefixes = by_source.entry(source.into()).or_default();
                prefixes.push((*prefix, to_nobody.into_iter().collect()));
            }
        }
        self.hand_over(by_source);
        self.touch(now);
    }
}

/// A route for everybody, with the attributes it starts with.
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
        neighbors: None,
    }
}
