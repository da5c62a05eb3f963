//! Which routes start here: advertised prefixes and address pools.
//!
//! A pure book-keeper between the configuration and the RIB. [`advertised`] lists what
//! `[[advertise]]` says, [`PoolBook`] knows which pool addresses are in use and which aggregates
//! follow; both hand out [`Source`]s, whole snapshots by name, and the RIB finds the differences
//! (a source that is gone is a source without routes). Kubernetes will be one more such source.
//!
//! **Discard routes.** An aggregate must not loop: what nobody here owns would follow the default
//! route back to the neighbor that sent it (RFC 4632 §5.1). So an aggregate of a pool, a pod CIDR
//! and a `network` ask for a discard route. Three kinds of route never do:
//!
//! - a host route (/32, /128): something on this node serves exactly that address, by a local
//!   address or by translation in front of routing, and there is nothing around it to loop;
//! - `cluster-ip`, `external-ip` and pools, aggregates of pools too: processes of the node itself
//!   reach services through translation *after* the first route lookup. That needs some route, a
//!   default route will do; a discard route makes `connect()` fail on every node that announces.
//!   What loops for it is a packet to an address of the aggregate that no service has, until its
//!   hop limit ends: let the router that the aggregate goes to discard the pool, or announce /32;
//! - anything the kernel has a route for already: the discard route has the worst metric there
//!   is, so an equal prefix of somebody else wins, and a more specific one wins anyway.

mod pool;

pub use pool::{PoolBook, PoolError, PoolState, PoolStatus};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

use crate::config::{AddressRange, Advertise, AdvertiseKind, RouteMarks};

/// One route that starts here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalRoute {
    /// The prefix, host bits zero.
    pub prefix: IpNet,
    /// What it carries and who gets it.
    pub marks: RouteMarks,
    /// Whether the kernel should drop what nothing more specific takes.
    pub discard: bool,
    /// Why it is there: an address in use, or the configuration.
    pub object: String,
}

/// All routes of one source, sorted by prefix, each prefix once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// `pool:NAME`, `pod-cidr`, `cluster-ip`, `external-ip` or `network`.
    pub name: String,
    /// Its routes.
    pub routes: Vec<LocalRoute>,
}

/// What `[[advertise]]` announces: one source per kind that occurs, in the order of the kinds.
pub fn advertised(blocks: &[Advertise]) -> Vec<Source> {
    use AdvertiseKind::{ClusterIp, ExternalIp, Network, PodCidr};
    [PodCidr, ClusterIp, ExternalIp, Network]
        .into_iter()
        .filter_map(|kind| {
            let of_kind = blocks.iter().filter(|block| block.kind == kind);
            let mut routes: Vec<LocalRoute> = of_kind
                .flat_map(|block| {
                    block.prefixes.iter().map(move |prefix| LocalRoute {
                        prefix: *prefix,
                        marks: block.marks.clone(),
                        discard: matches!(kind, PodCidr | Network) && !is_host(*prefix),
                        object: "configuration".to_owned(),
                    })
                })
                .collect();
            routes.sort_by_key(|route| route.prefix);
            routes.dedup_by_key(|route| route.prefix);
            (!routes.is_empty()).then(|| Source {
                name: kind.name().to_owned(),
                routes,
            })
        })
        .collect()
}

/// Whether the prefix is a single address.
fn is_host(prefix: IpNet) -> bool {
    prefix.prefix_len() == prefix.max_prefix_len()
}

/// The fewest prefixes that cover `range` exactly.
pub fn blocks(range: AddressRange) -> impl Iterator<Item = IpNet> {
    use std::net::IpAddr::{V4, V6};
    match (range.first, range.last) {
        (V4(first), V4(last)) => IpSubnets::V4(Ipv4Subnets::new(first, last, 0)),
        (V6(first), V6(last)) => IpSubnets::V6(Ipv6Subnets::new(first, last, 0)),
        // The reader makes no such range; an empty one is the harmless reading of it.
        _ => IpSubnets::V4(Ipv4Subnets::new(1.into(), 0.into(), 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: &str, last: &str) -> AddressRange {
        AddressRange {
            first: first.parse().expect("address"),
            last: last.parse().expect("address"),
        }
    }

    #[test]
    fn a_range_is_covered_by_the_fewest_prefixes() {
        let text = |range| {
            blocks(range)
                .map(|block| block.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            text(range("10.0.50.25", "10.0.50.50")),
            [
                "10.0.50.25/32",
                "10.0.50.26/31",
                "10.0.50.28/30",
                "10.0.50.32/28",
                "10.0.50.48/31",
                "10.0.50.50/32"
            ]
        );
        assert_eq!(text(range("0.0.0.0", "255.255.255.255")), ["0.0.0.0/0"]);
        assert_eq!(
            text(range("2001:db8::", "2001:db8::ffff")),
            ["2001:db8::/112"]
        );
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        assert_eq!(text(range("::", all)), ["::/0"]);
        assert!(text(range("10.0.0.1", "2001:db8::1")).is_empty());
    }

    #[test]
    fn what_may_loop_is_discarded_and_service_addresses_are_not() {
        let block = |kind, prefixes: &[&str]| Advertise {
            kind,
            prefixes: prefixes
                .iter()
                .map(|p| p.parse().expect("prefix"))
                .collect(),
            marks: RouteMarks::default(),
        };
        let sources = advertised(&[
            block(AdvertiseKind::Network, &["10.9.0.0/16", "10.9.0.1/32"]),
            block(AdvertiseKind::PodCidr, &["10.244.1.0/24"]),
            block(AdvertiseKind::ClusterIp, &["10.96.0.0/12"]),
            block(AdvertiseKind::Network, &["10.8.0.0/16"]),
        ]);
        let flat: Vec<(&str, String, bool)> = sources
            .iter()
            .flat_map(|source| {
                let one = |r: &LocalRoute| (source.name.as_str(), r.prefix.to_string(), r.discard);
                source.routes.iter().map(one)
            })
            .collect();
        assert_eq!(
            flat,
            [
                ("pod-cidr", "10.244.1.0/24".to_owned(), true),
                ("cluster-ip", "10.96.0.0/12".to_owned(), false),
                ("network", "10.8.0.0/16".to_owned(), true),
                ("network", "10.9.0.0/16".to_owned(), true),
                ("network", "10.9.0.1/32".to_owned(), false),
            ]
        );
    }
}
