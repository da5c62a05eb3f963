//! Routes that start here: named sources, each a snapshot or kept by prefix.
//!
//! A source (`pod-cidr`, `pool:my-ip-space`) publishes all of its routes at once; the difference
//! to its last snapshot is found here, so a source that lost its connection keeps its last word
//! and one that repeats itself costs nothing. Who has thousands of routes of which one changes
//! tells it by prefix ([`Origins::replace`]): such routes are a layer of their own beside the
//! snapshot of that name, and one prefix may have several, for different sets of neighbors. Inside
//! the RIB such a route is a path of [`PeerSlot::LOCAL`](crate::peer::PeerSlot::LOCAL) whose path
//! identifier is a [`LocalTag`]: the source, and the set of neighbors that may have the route. Two
//! sources may name one prefix.
//!
//! Sets of neighbors and sources have numbers; one that no route has any more may be given to
//! another set or source.

mod sets;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::bgp::{AttrEdit, AttrSet, NextHop, Origin};
use smallvec::SmallVec;

use sets::NeighborSets;

/// Sources up to which none is forgotten.
const SOURCES_KEPT: usize = 64;

/// A route that starts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRoute {
    /// The prefix; host bits are dropped.
    pub prefix: IpNet,
    /// Its attributes. An unspecified next hop means this router, whatever the peer.
    pub attrs: Arc<AttrSet>,
    /// Ask the kernel to discard what nothing more specific takes (RFC 4632 §5.1).
    pub discard: bool,
    /// Tell these neighbors only; `None`: all.
    pub neighbors: Option<Vec<IpAddr>>,
}

impl OriginRoute {
    /// Attributes to start from: ORIGIN IGP, empty AS_PATH, this router as next hop.
    pub fn base_attrs(prefix: &IpNet) -> AttrEdit {
        let addr: IpAddr = match prefix {
            IpNet::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpNet::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        AttrEdit::new(Origin::Igp, NextHop::from(addr))
    }

    /// A plain route for `prefix`.
    pub fn new(prefix: IpNet) -> Self {
        Self {
            prefix,
            attrs: Arc::new(Self::base_attrs(&prefix).finish()),
            discard: false,
            neighbors: None,
        }
    }
}

/// A set of neighbors that some routes are restricted to; 0 is no restriction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RestrictId(u16);

/// What the path identifier of a local path says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LocalTag {
    source: u16,
    restrict: RestrictId,
}

impl LocalTag {
    /// From the path identifier of a local path.
    pub fn from_path_id(path_id: u32) -> Self {
        let [r0, r1, s0, s1] = path_id.to_be_bytes();
        Self {
            source: u16::from_be_bytes([s0, s1]),
            restrict: RestrictId(u16::from_be_bytes([r0, r1])),
        }
    }

    /// As the path identifier of a local path.
    pub fn path_id(self) -> u32 {
        u32::from(self.restrict.0) << 16 | u32::from(self.source)
    }

    /// The set of neighbors that may have the route; `None`: all.
    pub fn restrict(self) -> Option<RestrictId> {
        (self.restrict.0 != 0).then_some(self.restrict)
    }
}

/// One change to the table.
#[derive(Clone, Debug)]
pub(crate) enum OriginChange {
    Announce { route: OriginRoute, path_id: u32 },
    Withdraw { prefix: IpNet, path_id: u32 },
}

/// How the routes of a source come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// All at once.
    Snapshot,
    /// Prefix by prefix.
    Kept,
}

/// All routes of a source by one way.
type SourceKey = (String, Layer);

#[derive(Debug, Default)]
struct Source {
    /// Path identifiers by prefix, as told last.
    routes: BTreeMap<IpNet, SmallVec<[u32; 1]>>,
}

/// The routes of one prefix from now on; none withdraws it.
pub type OriginPrefix = (IpNet, Vec<OriginRoute>);

/// A source and what is new of it.
pub type OriginNews = (Arc<str>, Vec<OriginPrefix>);

/// All sources.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    sources: BTreeMap<SourceKey, Source>,
    names: Vec<SourceKey>,
    sets: NeighborSets,
}

/// Outcome of publishing a snapshot.
#[derive(Debug, Default)]
pub(crate) struct Published {
    /// The announcements come before the withdrawals, so that a route that moves between sets or
    /// sources leaves no gap.
    pub changes: Vec<OriginChange>,
    /// What goes at the end.
    gone: Vec<OriginChange>,
    /// Some set of neighbors was not known before: peers may have to change groups.
    pub new_restrict: bool,
}

impl Published {
    /// Withdraws what was there and is no more.
    fn withdraw(&mut self, prefix: IpNet, before: &[u32], now: &[u32]) {
        let gone = before.iter().filter(|path_id| !now.contains(path_id));
        self.gone.extend(gone.map(|path_id| OriginChange::Withdraw {
            prefix,
            path_id: *path_id,
        }));
    }

    fn finish(mut self) -> Self {
        self.changes.append(&mut self.gone);
        self
    }
}

impl Origins {
    /// Replaces the snapshot of `name`.
    pub fn publish(&mut self, name: &str, routes: Vec<OriginRoute>) -> Published {
        let mut published = Published::default();
        let key = (name.to_owned(), Layer::Snapshot);
        self.sets.next_call();
        let Some(id) = self.source_id(&key, &[]) else {
            return published;
        };
        let mut next = BTreeMap::new();
        for route in routes {
            let (prefix, path_id) = self.announce(id, route, &mut published);
            // The last one wins when a snapshot names a prefix twice.
            if let Some(first) = next.insert(prefix, SmallVec::from_buf([path_id])) {
                self.release(&first);
                published.withdraw(prefix, &first, &[path_id]);
            }
        }
        let source = self.sources.entry(key.clone()).or_default();
        let before = std::mem::replace(&mut source.routes, next);
        for (prefix, path_ids) in before {
            self.release(&path_ids);
            let now = self
                .sources
                .get(&key)
                .and_then(|now| now.routes.get(&prefix));
            published.withdraw(prefix, &path_ids, now.map_or(&[], SmallVec::as_slice));
        }
        published.finish()
    }

    /// Replaces the routes of some prefixes of some sources; all others stay.
    pub fn replace(&mut self, news: Vec<OriginNews>) -> Published {
        let mut published = Published::default();
        self.sets.next_call();
        // Numbers first: one that becomes free by these news is still in the table.
        let mut ids = Vec::new();
        for (name, _) in &news {
            let key = (name.as_ref().to_owned(), Layer::Kept);
            ids.extend(self.source_id(&key, &ids));
        }
        for (name, prefixes) in news {
            let key = (name.as_ref().to_owned(), Layer::Kept);
            let Some(id) = self.source_id(&key, &ids) else {
                continue;
            };
            for (prefix, routes) in prefixes {
                let prefix = prefix.trunc();
                let mut now = SmallVec::<[u32; 1]>::new();
                for route in routes {
                    let route = OriginRoute { prefix, ..route };
                    now.push(self.announce(id, route, &mut published).1);
                }
                let source = self.sources.entry(key.clone()).or_default();
                let before = match now.is_empty() {
                    true => source.routes.remove(&prefix),
                    false => source.routes.insert(prefix, now.clone()),
                };
                let before = before.unwrap_or_default();
                self.release(&before);
                published.withdraw(prefix, &before, &now);
            }
        }
        published.finish()
    }

    fn announce(
        &mut self,
        source: u16,
        mut route: OriginRoute,
        published: &mut Published,
    ) -> (IpNet, u32) {
        route.prefix = route.prefix.trunc();
        let mut restrict = RestrictId(0);
        if let Some(neighbors) = route.neighbors.take() {
            let (id, is_new) = self.sets.number(neighbors);
            self.sets.hold(id);
            published.new_restrict |= is_new;
            restrict = id;
        }
        let path_id = LocalTag { source, restrict }.path_id();
        let prefix = route.prefix;
        let change = OriginChange::Announce { route, path_id };
        published.changes.push(change);
        (prefix, path_id)
    }

    fn release(&mut self, path_ids: &[u32]) {
        for path_id in path_ids {
            self.sets.release(LocalTag::from_path_id(*path_id).restrict);
        }
    }

    /// Numbers a set of neighbors before a route names it; whether it is new.
    pub fn learn(&mut self, neighbors: &[IpAddr]) -> bool {
        self.sets.number(neighbors.to_vec()).1
    }

    /// The number of a source; one without routes gives its own up where numbers are many, unless
    /// it is `taken`. `None`: there are as many sources as numbers.
    fn source_id(&mut self, key: &SourceKey, taken: &[u16]) -> Option<u16> {
        if let Some(at) = self.names.iter().position(|known| known == key) {
            return u16::try_from(at).ok();
        }
        let is_free = |(id, name): (u16, &SourceKey)| {
            let source = self.sources.get(name);
            let is_empty = source.is_none_or(|source| source.routes.is_empty());
            (is_empty && !taken.contains(&id)).then_some(usize::from(id))
        };
        let free = match self.names.len() < SOURCES_KEPT {
            true => None,
            false => (0..=u16::MAX).zip(&self.names).find_map(is_free),
        };
        if let Some((at, name)) = free.and_then(|at| Some((at, self.names.get_mut(at)?))) {
            let old = std::mem::replace(name, key.clone());
            self.sources.remove(&old);
            return u16::try_from(at).ok();
        }
        let id = u16::try_from(self.names.len()).ok()?;
        self.names.push(key.clone());
        Some(id)
    }

    /// The sets a neighbor is in.
    pub fn restricts_of(&self, neighbor: IpAddr) -> Vec<RestrictId> {
        self.sets.of(neighbor)
    }

    /// Name of the source a local path came from.
    pub fn name(&self, path_id: u32) -> Option<&str> {
        let source = usize::from(LocalTag::from_path_id(path_id).source);
        self.names.get(source).map(|(name, _)| name.as_str())
    }

    /// Routes of a family, over all sources.
    pub fn routes(&self, family: Family) -> usize {
        let routes = self
            .sources
            .values()
            .flat_map(|source| source.routes.keys());
        routes.filter(|prefix| Family::of(prefix) == family).count()
    }

    /// Sources with the number of their prefixes.
    pub fn sources(&self) -> impl Iterator<Item = (&str, usize)> {
        self.sources
            .iter()
            .map(|((name, _), source)| (name.as_str(), source.routes.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, neighbors: Option<&str>) -> OriginRoute {
        let neighbors = neighbors.map(|addr| vec![addr.parse().unwrap()]);
        OriginRoute {
            neighbors,
            ..OriginRoute::new(prefix.parse().unwrap())
        }
    }

    #[test]
    fn a_snapshot_withdraws_what_it_no_longer_names() {
        let mut origins = Origins::default();
        let first = origins.publish(
            "a",
            vec![route("10.0.0.0/8", None), route("11.0.0.0/8", None)],
        );
        assert_eq!((first.changes.len(), first.new_restrict), (2, false));
        let second = origins.publish("a", vec![route("10.0.0.0/8", Some("192.0.2.1"))]);
        assert!(second.new_restrict);
        let gone: Vec<_> = second
            .changes
            .iter()
            .filter(|change| matches!(change, OriginChange::Withdraw { .. }))
            .collect();
        assert_eq!(
            gone.len(),
            2,
            "the restricted route is another path: {gone:?}"
        );
        assert_eq!(origins.restricts_of("192.0.2.1".parse().unwrap()).len(), 1);
        assert!(
            origins
                .restricts_of("192.0.2.2".parse().unwrap())
                .is_empty()
        );
        assert_eq!(origins.publish("a", vec![]).changes.len(), 1);
    }

    #[test]
    fn a_prefix_that_is_kept_has_a_route_for_each_set() {
        let prefix: IpNet = "10.0.0.1/32".parse().unwrap();
        let mut origins = Origins::default();
        origins.publish("a", vec![route("10.0.0.1/32", None)]);
        let two = vec![
            route("10.0.0.1/32", None),
            route("10.0.0.1/32", Some("192.0.2.1")),
        ];
        let first = origins.replace(vec![("a".into(), vec![(prefix, two)])]);
        assert_eq!((first.changes.len(), first.new_restrict), (2, true));
        let one = vec![route("10.0.0.1/32", Some("192.0.2.1"))];
        let second = origins.replace(vec![("a".into(), vec![(prefix, one)])]);
        assert!(matches!(
            second.changes[..],
            [OriginChange::Announce { .. }, OriginChange::Withdraw { .. }]
        ));
        assert_eq!(
            origins
                .replace(vec![("a".into(), vec![(prefix, vec![])])])
                .changes
                .len(),
            1
        );
        let snapshot = origins.publish("a", vec![]);
        assert_eq!(snapshot.changes.len(), 1, "the snapshot is another layer");
    }

    #[test]
    fn numbers_of_sets_and_sources_are_given_again() {
        let mut origins = Origins::default();
        let prefix: IpNet = "10.0.0.1/32".parse().unwrap();
        let kept = route("10.0.0.2/32", Some("192.0.2.1"));
        origins.replace(vec![(
            "kept".into(),
            vec![(kept.prefix, vec![kept.clone()])],
        )]);
        for n in 0..70_000u32 {
            let of_n = IpAddr::from(std::net::Ipv4Addr::from(0x0a00_0000 + n));
            let route = OriginRoute {
                neighbors: Some(vec![of_n]),
                ..OriginRoute::new(prefix)
            };
            let (old, new) = (format!("pool:{n}"), format!("pool:{}", n + 1));
            let published = origins.replace(vec![
                (old.into(), vec![(prefix, vec![])]),
                (new.clone().into(), vec![(prefix, vec![route])]),
            ]);
            let Some(OriginChange::Announce { path_id, .. }) = published.changes.first() else {
                panic!("it is announced first: {published:?}");
            };
            assert_eq!(origins.name(*path_id), Some(&*new));
            let restrict = LocalTag::from_path_id(*path_id).restrict().unwrap();
            assert_eq!(origins.restricts_of(of_n), [restrict]);
            assert!(published.new_restrict && published.changes.len() <= 2);
            for change in &published.changes[1..] {
                let OriginChange::Withdraw { path_id: gone, .. } = change else {
                    panic!("{change:?}");
                };
                assert_ne!(
                    gone, path_id,
                    "what is withdrawn keeps its number until then"
                );
            }
        }
        assert!(origins.sets.len() <= sets::KEPT + 2);
        assert!(origins.names.len() <= SOURCES_KEPT + 2);
        assert_eq!(origins.restricts_of("192.0.2.1".parse().unwrap()).len(), 1);
    }

    #[test]
    fn a_tag_goes_through_the_path_identifier() {
        let tag = LocalTag {
            source: 7,
            restrict: RestrictId(9),
        };
        assert_eq!(LocalTag::from_path_id(tag.path_id()), tag);
        assert_eq!(tag.restrict(), Some(RestrictId(9)));
    }
}
