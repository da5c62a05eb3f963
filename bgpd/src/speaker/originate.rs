//! What starts here, from the book-keeper to the RIB.
//!
//! Each source (`pod-cidr`, `pool:NAME`, …) hands over a whole snapshot; the RIB finds the
//! differences. A source that is gone is handed over once more, empty, so that its routes go.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use proto_codec::bgp::LargeCommunity;
use rib::OriginRoute;

use super::Speaker;
use crate::origin::{LocalRoute, PoolError, Source, advertised};

impl Speaker {
    /// Everything that starts here now, by source.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        let mut sources = advertised(&self.config.advertise);
        sources.extend(self.book.sources());
        sources
    }

    /// Hands the RIB what starts here.
    pub(super) fn originate(&mut self, now: Instant) {
        if self.has_withdrawn_all() {
            return;
        }
        let sources = self.sources();
        let names: BTreeSet<String> = sources.iter().map(|source| source.name.clone()).collect();
        for source in sources {
            let routes = source.routes.into_iter().map(origin_route).collect();
            self.rib.originate(&source.name, routes);
        }
        for gone in self.announced.difference(&names) {
            self.rib.originate(gone, Vec::new());
        }
        self.announced = names;
        self.touch(now);
    }

    /// Takes what starts here out of what neighbors are told. What the kernel discards because of
    /// it stays: nobody is there to put it back after a restart of seconds.
    pub(super) fn withdraw_sources(&mut self) {
        let mut kept: BTreeMap<String, Vec<OriginRoute>> = BTreeMap::new();
        for source in self.sources() {
            let routes = source.routes.into_iter().filter(|route| route.discard);
            let routes = routes.map(|route| OriginRoute {
                neighbors: Some(Vec::new()),
                ..origin_route(route)
            });
            kept.insert(source.name, routes.collect());
        }
        for name in std::mem::take(&mut self.announced) {
            let routes = kept.remove(&name).unwrap_or_default();
            self.rib.originate(&name, routes);
        }
    }

    /// Puts an address of a pool in use; answers with the pool's name.
    ///
    /// # Errors
    /// The address belongs to no pool, or is in use already.
    pub fn pool_use(&mut self, now: Instant, address: IpAddr) -> Result<String, PoolError> {
        let pool = self.book.use_address(address)?.to_owned();
        self.originate(now);
        Ok(pool)
    }

    /// Gives an address back; answers with the pool's name.
    ///
    /// # Errors
    /// The address belongs to no pool, or was not in use.
    pub fn pool_release(&mut self, now: Instant, address: IpAddr) -> Result<String, PoolError> {
        let pool = self.book.release(address)?.to_owned();
        self.originate(now);
        Ok(pool)
    }
}

/// The attributes a route starts with.
fn origin_route(route: LocalRoute) -> OriginRoute {
    let mut attrs = OriginRoute::base_attrs(&route.prefix);
    for community in &route.marks.communities {
        attrs.add_community(*community);
    }
    for &[global, local1, local2] in &route.marks.large_communities {
        attrs.add_large_community(LargeCommunity {
            global,
            local1,
            local2,
        });
    }
    if route.marks.local_pref.is_some() {
        attrs.set_local_pref(route.marks.local_pref);
    }
    OriginRoute {
        prefix: route.prefix,
        attrs: Arc::new(attrs.finish()),
        discard: route.discard,
        neighbors: route.marks.neighbors,
    }
}
