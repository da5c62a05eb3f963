//! What the native dialect announces: pod ranges of the node, services under the file's pools.
//!
//! - *Pod CIDRs*: `spec.podCIDRs` of our node, unless the node is being deleted. Calico hands out
//!   blocks of its own and does not look at them, and kube-router's annotation replaces them: with
//!   those objects there, it is for that dialect to say.
//! - *Cluster addresses*: the ranges (ServiceCIDR objects, else `service-cidrs`) from every node.
//!   A single address only where the range would mislead (internalTrafficPolicy Local), where its
//!   service wants attributes of its own, or where no range covers it.
//!   Calico and kube-router say in their own words which cluster addresses are announced: beside
//!   them only what the file's `advertise` or the service's own annotation asks for.
//! - *External addresses*: anyone who may edit a service may write any address there
//!   (CVE-2020-8554), so only inside `external-ranges`.
//! - *Load-balancer addresses*: inside a pool, as that pool says; a service with attributes of its
//!   own gets its own route. Without any pool in the file, and with no other dialect that has
//!   pools, every address that a load balancer's controller wrote counts: users cannot write there.

use std::net::IpAddr;

use ipnet::IpNet;

use super::annotations::{Wish, asks_for_cluster_ip, read};
use crate::dialect::{AddressKind, Offer, Peering, ServiceAddress, View, calico};
use crate::object::{Node, Service};
use crate::{Advertised, Announcement, DialectName, Marks, PoolOption};

/// What offers are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Services {
    pools: Vec<PoolOption>,
    /// Ranges of cluster addresses that this node announces, with the object that says so.
    ranges: Vec<(IpNet, Box<str>)>,
    external: Vec<IpNet>,
    /// Another dialect says which cluster addresses are announced.
    yields: bool,
    /// No other dialect has pools.
    is_alone: bool,
}

/// Reads what is not a service, and announces the node's own ranges.
pub(super) fn prepare(view: &View<'_>, out: &mut Peering) -> Services {
    if let Some(node) = view.node {
        pod_cidrs(view, node, out);
    }
    let others = [DialectName::Calico, DialectName::KubeRouter];
    let has_other = others.iter().any(|other| view.options.speaks(*other));
    let yields = has_other && !view.options.is_advertise_written;
    let ranges = match yields {
        true => Vec::new(),
        false => service_ranges(view),
    };
    for (range, object) in &ranges {
        out.networks
            .push(network(*range, "cluster-ip", false, object));
    }
    let announces = view.options.advertises(Advertised::ClusterIp);
    Services {
        pools: view.options.pools.clone(),
        ranges: if announces { ranges } else { Vec::new() },
        external: view.options.external_ranges.clone(),
        yields,
        is_alone: view.options.dialects == [DialectName::Native],
    }
}

fn pod_cidrs(view: &View<'_>, node: &Node, out: &mut Peering) {
    let blocks = [calico::Kind::IpPool, calico::Kind::BlockAffinity];
    let is_calico = view.options.speaks(DialectName::Calico)
        && view
            .snapshot
            .calico()
            .any(|object| blocks.contains(&object.kind()));
    let names = ["kube-router.io/pod-cidr", "kube-router.io/pod-cidrs"];
    let is_annotated = view.options.speaks(DialectName::KubeRouter)
        && names
            .iter()
            .any(|name| node.meta.annotations.contains_key(*name));
    if is_calico || is_annotated || node.meta.is_being_deleted() {
        return;
    }
    let object = format!("Node {}", node.meta.name);
    for cidr in &node.pod_cidrs {
        out.networks.push(network(*cidr, "pod-cidr", true, &object));
    }
}

fn network(prefix: IpNet, source: &str, discard: bool, object: &str) -> Announcement {
    Announcement {
        prefix: prefix.trunc(),
        source: source.into(),
        neighbors: None,
        marks: Marks::default(),
        discard,
        objects: vec![object.into()],
    }
}

/// The ranges of cluster addresses: objects before the configuration.
fn service_ranges(view: &View<'_>) -> Vec<(IpNet, Box<str>)> {
    let mut ranges: Vec<(IpNet, Box<str>)> = Vec::new();
    for object in view.snapshot.service_cidrs() {
        let name: Box<str> = format!("ServiceCIDR {}", object.meta.name).into();
        ranges.extend(object.cidrs.iter().map(|cidr| (*cidr, name.clone())));
    }
    if ranges.is_empty() {
        let configured = view.options.service_cidrs.iter();
        ranges.extend(configured.map(|range| (range.trunc(), "service-cidrs".into())));
    }
    ranges.sort();
    ranges.dedup_by(|a, b| a.0 == b.0);
    ranges
}

impl Services {
    /// What is offered for an address of a service.
    pub fn offer(&self, service: &Service, address: &ServiceAddress) -> Offer {
        let wish = read(service, &mut |_, _| {});
        if wish.neighbors.as_ref().is_some_and(Vec::is_empty) {
            return Offer::Decline("annotation wayfare.dev/neighbors names no address".into());
        }
        match address.kind {
            AddressKind::Cluster if self.yields && !asks_for_cluster_ip(service) => Offer::Decline(
                "left to Calico and kube-router: `advertise` lists cluster-ip by default only"
                    .into(),
            ),
            AddressKind::Cluster => self.cluster(address, wish),
            AddressKind::External => self.external(address, wish),
            AddressKind::LoadBalancer => self.balanced(address, wish),
        }
    }

    fn cluster(&self, address: &ServiceAddress, wish: Wish) -> Offer {
        let range = self
            .ranges
            .iter()
            .find(|(range, _)| range.contains(&address.address));
        match range {
            Some((range, object)) if !address.is_local && !wish.is_special() => {
                Offer::Covered(format!("{range} of {object}").into())
            }
            _ => single(address, "cluster-ip", wish, "spec.clusterIPs"),
        }
    }

    fn external(&self, address: &ServiceAddress, wish: Wish) -> Offer {
        let range = self
            .external
            .iter()
            .find(|range| range.contains(&address.address));
        match range {
            Some(range) => {
                let because = format!("external-ranges {range}");
                single(address, "external-ip", wish, &because)
            }
            None if self.external.is_empty() => Offer::Decline(
                "no external-ranges are configured: external addresses are not announced".into(),
            ),
            None => {
                Offer::Decline(format!("{} is outside external-ranges", address.address).into())
            }
        }
    }

    fn balanced(&self, address: &ServiceAddress, wish: Wish) -> Offer {
        let ip = address.address;
        let blocks = self.pools.iter().flat_map(|pool| {
            let blocks = pool.blocks.iter();
            blocks
                .filter(|block| block.contains(&ip))
                .map(move |block| (pool, block))
        });
        // Where blocks overlap the narrower one says more.
        let found = blocks.max_by_key(|(_, block)| block.prefix_len());
        let Some((pool, block)) = found else {
            return match (self.pools.is_empty(), self.is_alone) {
                (true, true) => single(
                    address,
                    "load-balancer-ip",
                    wish,
                    "status.loadBalancer.ingress",
                ),
                (true, false) => Offer::Decline("the file has no pools".into()),
                (false, _) => Offer::Decline(format!("{ip} is in no pool of the file").into()),
            };
        };
        pooled(pool, block, ip, wish)
    }
}

fn pooled(pool: &PoolOption, block: &IpNet, ip: IpAddr, wish: Wish) -> Offer {
    let length = match ip {
        IpAddr::V4(_) => pool.aggregation_v4,
        IpAddr::V6(_) => pool.aggregation_v6,
    };
    let host = IpNet::from(ip);
    // Never wider than the pool, and attributes of one service never on those of others.
    let length = length.clamp(block.prefix_len(), host.max_prefix_len());
    let prefix = match wish.is_special() {
        true => host,
        false => IpNet::new(ip, length).map_or(host, |prefix| prefix.trunc()),
    };
    let neighbors = match (&pool.neighbors, wish.neighbors) {
        (None, wanted) => wanted,
        (Some(allowed), None) => Some(allowed.clone()),
        (Some(allowed), Some(mut wanted)) => {
            wanted.retain(|neighbor| allowed.contains(neighbor));
            if wanted.is_empty() {
                let text = format!("pool {} is not for the neighbors annotated", pool.name);
                return Offer::Decline(text.into());
            }
            Some(wanted)
        }
    };
    Offer::Announce {
        prefix,
        source: format!("pool:{}", pool.name).into(),
        marks: united(&pool.marks, wish.marks),
        neighbors,
        because: format!("pool {} of the file", pool.name).into(),
    }
}

/// Communities add up; a value of the service's own replaces the pool's.
fn united(pool: &Marks, mut own: Marks) -> Marks {
    own.communities.extend(&pool.communities);
    own.communities.sort_unstable();
    own.communities.dedup();
    own.large_communities.extend(&pool.large_communities);
    own.large_communities.sort_unstable();
    own.large_communities.dedup();
    Marks {
        local_pref: own.local_pref.or(pool.local_pref),
        med: own.med.or(pool.med),
        ..own
    }
}

/// The route of the address alone.
fn single(address: &ServiceAddress, source: &str, wish: Wish, because: &str) -> Offer {
    Offer::Announce {
        prefix: IpNet::from(address.address),
        source: source.into(),
        marks: wish.marks,
        neighbors: wish.neighbors,
        because: because.into(),
    }
}
