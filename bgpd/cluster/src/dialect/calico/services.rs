//! Services: ranges that every node announces, and addresses that stand alone.
//!
//! Calico announces the *ranges* of cluster, external and load-balancer addresses from every node
//! that takes part in load balancing, whatever their services do. An address of a service goes out
//! alone where that says more: `externalTrafficPolicy: Local`, from the nodes with an endpoint;
//! a range of one address; `serviceLoadBalancerAggregation: Disabled`. External and load-balancer
//! addresses count only inside their ranges.
//!
//! Not taken over are its mistakes: a service whose external address is a range of its own does
//! not drag its cluster address along, an address of one family is not announced for endpoints of
//! the other, and an address without any endpoint is not announced (the endpoints are judged
//! before this dialect is asked). One habit is: a node excluded from load balancing announces
//! nothing of services, cluster addresses included.

use std::net::IpAddr;

use ipnet::IpNet;

use super::gathered::Gathered;
use crate::dialect::{AddressKind, Offer, ServiceAddress, View};
use crate::object::{Policy, Service};
use crate::{Advertised, Announcement, ExcludeLabel, Marks};

const EXCLUDE: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
const SAID_BY: &str = "BGPConfiguration default";

/// What BGPConfiguration says of services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    cluster: Vec<IpNet>,
    external: Vec<IpNet>,
    load_balancer: Vec<IpNet>,
    /// Load-balancer ranges are announced whole.
    is_aggregated: bool,
    /// This node takes no part in load balancing.
    is_excluded: bool,
    /// LOCAL_PREF of what starts here, per family.
    local_pref: [u32; 2],
    /// What the operator lets be announced.
    advertise: Vec<Advertised>,
}

impl Ranges {
    pub fn of(all: &Gathered<'_>, view: &View<'_>) -> Self {
        let config = all.cluster();
        let labels = all.own_node().map(|node| &node.meta.labels);
        let value = labels.and_then(|labels| labels.get(EXCLUDE));
        let is_excluded = match view.options.exclude_label {
            ExcludeLabel::Presence => value.is_some(),
            ExcludeLabel::TrueOnly => value.is_some_and(|value| &**value == "true"),
            ExcludeLabel::Ignore => false,
        };
        Self {
            cluster: config.cluster_ranges.clone(),
            external: config.external_ranges.clone(),
            load_balancer: config.load_balancer_ranges.clone(),
            is_aggregated: !config.is_unaggregated,
            is_excluded,
            local_pref: [0, 1].map(|family| super::filter::local_pref(all.priority(family))),
            advertise: view.options.advertise.clone(),
        }
    }

    /// All ranges: the kernel's routes for these are kube-proxy's.
    pub fn all(&self) -> impl Iterator<Item = IpNet> + '_ {
        let lists = [&self.cluster, &self.external, &self.load_balancer];
        lists.into_iter().flatten().copied()
    }

    /// Cluster addresses.
    pub fn cluster(&self) -> &[IpNet] {
        &self.cluster
    }

    /// What a reflector passes on though no pool holds it: addresses from outside the cluster.
    pub fn reflected(&self) -> impl Iterator<Item = IpNet> + '_ {
        [&self.external, &self.load_balancer]
            .into_iter()
            .flatten()
            .copied()
    }

    /// The ranges that start here.
    pub fn started(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.whole().map(|(range, _)| range)
    }

    fn whole(&self) -> impl Iterator<Item = (IpNet, &'static str)> + '_ {
        let lists = [
            (&self.cluster, Advertised::ClusterIp, "cluster-ip"),
            (&self.external, Advertised::ExternalIp, "external-ip"),
            (
                &self.load_balancer,
                Advertised::LoadBalancerIp,
                "load-balancer-ip",
            ),
        ];
        lists
            .into_iter()
            .filter(|(_, what, _)| !self.is_excluded && self.advertise.contains(what))
            .filter(|(_, what, _)| self.is_aggregated || *what != Advertised::LoadBalancerIp)
            .flat_map(|(list, what, source)| list.iter().map(move |range| (*range, what, source)))
            .filter(|(range, what, _)| *what == Advertised::ClusterIp || !is_single(range))
            .map(|(range, _, source)| (range, source))
    }

    /// The ranges as routes of this node.
    pub fn networks(&self) -> Vec<Announcement> {
        let mut networks: Vec<Announcement> = Vec::new();
        for (prefix, source) in self.whole() {
            if networks.iter().all(|other| other.prefix != prefix) {
                networks.push(Announcement {
                    prefix,
                    source: source.into(),
                    neighbors: None,
                    marks: self.marks(prefix.addr()),
                    discard: false,
                    objects: vec![SAID_BY.into()],
                });
            }
        }
        networks
    }

    /// What a route of this node carries.
    pub fn marks(&self, address: IpAddr) -> Marks {
        let [v4, v6] = self.local_pref;
        Marks {
            local_pref: Some(if address.is_ipv4() { v4 } else { v6 }),
            ..Marks::default()
        }
    }

    /// What is offered for an address of a service.
    pub fn offer(&self, service: &Service, asked: &ServiceAddress) -> Offer {
        let (list, key, source) = match asked.kind {
            AddressKind::Cluster => (&self.cluster, "serviceClusterIPs", "cluster-ip"),
            AddressKind::External => (&self.external, "serviceExternalIPs", "external-ip"),
            AddressKind::LoadBalancer => (
                &self.load_balancer,
                "serviceLoadBalancerIPs",
                "load-balancer-ip",
            ),
        };
        if self.is_excluded {
            let text = format!("the label {EXCLUDE} keeps this node from announcing services");
            return Offer::Decline(text.into());
        }
        let is_cluster = asked.kind == AddressKind::Cluster;
        let range = list.iter().filter(|range| range.contains(&asked.address));
        let range = range.max_by_key(|range| range.prefix_len());
        // Cluster addresses are all of the cluster's ranges, whether those are listed in full.
        if range.is_none() && (!is_cluster || list.is_empty()) {
            let text = format!("{SAID_BY}: no range of {key} holds {}", asked.address);
            return Offer::Decline(text.into());
        }
        let is_whole = range.is_some_and(|range| is_cluster || !is_single(range));
        let is_split = asked.kind == AddressKind::LoadBalancer && !self.is_aggregated;
        if service.external_policy != Policy::Local && is_whole && !is_split {
            let text = format!("{SAID_BY}: all nodes announce the range of {key}");
            return Offer::Covered(text.into());
        }
        if service.external_policy != Policy::Local && is_cluster {
            let text = format!("{SAID_BY}: {key} does not hold {}", asked.address);
            return Offer::Decline(text.into());
        }
        Offer::Announce {
            prefix: IpNet::from(asked.address),
            source: source.into(),
            marks: self.marks(asked.address),
            neighbors: None,
            because: SAID_BY.into(),
        }
    }
}

fn is_single(range: &IpNet) -> bool {
    range.prefix_len() == range.max_prefix_len()
}
