//! All objects of Calico, by what rules ask for.
//!
//! Calico knows a node from two places: its own `Node` (clusters with etcd, and `calicoctl`) and
//! the annotations that `calico-node` writes on the Kubernetes node. Both are read; what the
//! former says wins value by value, and labels are those of both.
//!
//! `BGPConfiguration` exists twice as well: `default` for the cluster and `node.NAME`, of which
//! `listenPort` and `prefixAdvertisements` (and the log level, which is not ours) count. A node's
//! prefix advertisements replace those of the cluster per family, as the two configurations that
//! Calico writes for BIRD are made apart.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::decode::{asn_text, interface};
use super::objects::{
    BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, CalicoNode, IpPool, Kind, Object,
    SecretRef,
};
use crate::desired::short;
use crate::dialect::View;
use crate::object::{Kind as AnyKind, Node};
use crate::{Fault, Secret, Severity, Snapshot};

/// AS of a cluster that says nothing.
const ASN: u32 = 64_512;
/// `ipv4NormalRoutePriority`, `ipv6NormalRoutePriority` where nothing is said.
const PRIORITY: u32 = 1_024;
/// Where `calico-node` runs, and with it the secrets it may read.
const NAMESPACES: [&str; 2] = ["calico-system", "kube-system"];
const ANNOTATION: &str = "projectcalico.org/";

/// All objects.
pub(super) struct Gathered<'a> {
    configurations: BTreeMap<&'a str, &'a BgpConfiguration>,
    /// In the order of their names.
    pub peers: Vec<&'a BgpPeer>,
    filters: BTreeMap<&'a str, &'a BgpFilter>,
    broken_filters: BTreeSet<&'a str>,
    /// In the order of their names.
    pub pools: Vec<&'a IpPool>,
    /// In the order of their names.
    pub blocks: Vec<&'a BlockAffinity>,
    /// By name.
    pub nodes: BTreeMap<Box<str>, CalicoNode>,
    /// The name of this node.
    pub own_name: &'a str,
    /// What is wrong with annotations.
    pub faults: Vec<Fault>,
    snapshot: &'a Snapshot,
    nothing: BgpConfiguration,
}

/// What a filter's name stands for.
pub(super) enum Named<'a> {
    /// A filter.
    Filter(&'a BgpFilter),
    /// One that could not be read.
    Broken,
    /// Nothing.
    Absent,
}

impl<'a> Gathered<'a> {
    /// Takes them from the snapshot.
    pub fn of(view: &View<'a>) -> Self {
        let snapshot = view.snapshot;
        let mut all = Self {
            configurations: BTreeMap::new(),
            peers: Vec::new(),
            filters: BTreeMap::new(),
            broken_filters: BTreeSet::new(),
            pools: Vec::new(),
            blocks: Vec::new(),
            nodes: BTreeMap::new(),
            own_name: &view.options.node_name,
            faults: Vec::new(),
            snapshot,
            nothing: BgpConfiguration::default(),
        };
        for node in snapshot.nodes() {
            let read = from_annotations(node, &mut all.faults);
            all.nodes.insert(node.meta.name.clone(), read);
        }
        for object in snapshot.calico() {
            match object {
                Object::BgpConfiguration(one) => {
                    all.configurations.insert(&one.meta.name, one);
                }
                Object::BgpPeer(one) => all.peers.push(one),
                Object::BgpFilter(one) => {
                    all.filters.insert(&one.meta.name, one);
                }
                Object::IpPool(one) => all.pools.push(one),
                Object::BlockAffinity(one) => all.blocks.push(one),
                Object::Node(one) => all.add_node(one),
            }
        }
        for (key, _) in snapshot.faults() {
            if key.kind == AnyKind::Calico(Kind::BgpFilter) {
                all.broken_filters.insert(&key.name.name);
            }
        }
        all
    }

    fn add_node(&mut self, own_words: &CalicoNode) {
        let node = self.nodes.entry(own_words.meta.name.clone()).or_default();
        node.meta.name = own_words.meta.name.clone();
        node.meta.labels.extend(own_words.meta.labels.clone());
        for (have, said) in node.addresses.iter_mut().zip(own_words.addresses) {
            *have = said.or(*have);
        }
        node.asn = own_words.asn.or(node.asn);
        if own_words.cluster_id.is_some() {
            node.cluster_id.clone_from(&own_words.cluster_id);
        }
    }

    /// The configuration of the cluster.
    pub fn cluster(&self) -> &BgpConfiguration {
        self.configurations
            .get("default")
            .copied()
            .unwrap_or(&self.nothing)
    }

    /// Whether anything is there that says who we are: our node, or the cluster's configuration.
    pub fn is_known(&self) -> bool {
        self.own_node().is_some() || self.configurations.contains_key("default")
    }

    /// The configuration of a node, where it has one.
    pub fn of_node(&self, name: &str) -> Option<&'a BgpConfiguration> {
        self.configurations
            .get(format!("node.{name}").as_str())
            .copied()
    }

    /// This node, once it is known.
    pub fn own_node(&self) -> Option<&CalicoNode> {
        self.nodes.get(self.own_name)
    }

    /// The address of this node, in a family (1 for IPv6).
    pub fn own_address(&self, family: usize) -> Option<IpAddr> {
        self.own_node().and_then(|node| node.address(family))
    }

    /// Our cluster identifier, when we reflect.
    pub fn own_cluster_id(&self) -> Option<&str> {
        self.own_node().and_then(|node| node.cluster_id.as_deref())
    }

    /// The AS of the cluster.
    pub fn cluster_asn(&self) -> u32 {
        self.cluster().asn.unwrap_or(ASN)
    }

    /// The AS of a node.
    pub fn asn(&self, node: &CalicoNode) -> u32 {
        node.asn.unwrap_or_else(|| self.cluster_asn())
    }

    /// Ours.
    pub fn own_asn(&self) -> u32 {
        self.own_node()
            .map_or_else(|| self.cluster_asn(), |node| self.asn(node))
    }

    /// Where a node listens, if somebody says so.
    pub fn port(&self, node: &str) -> Option<u16> {
        let own = self.of_node(node).and_then(|one| one.listen_port);
        own.or(self.cluster().listen_port)
    }

    /// The metric of an ordinary route, in a family.
    pub fn priority(&self, family: usize) -> u32 {
        let said = self.cluster().priority.get(family).copied().flatten();
        said.unwrap_or(PRIORITY)
    }

    /// A filter by its name.
    pub fn filter(&self, name: &str) -> Named<'a> {
        match self.filters.get(name) {
            Some(filter) => Named::Filter(filter),
            None if self.broken_filters.contains(name) => Named::Broken,
            None => Named::Absent,
        }
    }

    /// A password, in the namespaces where `calico-node` may run.
    pub fn secret(&self, wanted: &SecretRef) -> Option<Secret> {
        NAMESPACES.iter().find_map(|namespace| {
            let secret = self.snapshot.secret(namespace, &wanted.name)?;
            let key = secret.data.get(&wanted.key)?;
            (!key.is_empty()).then(|| Secret {
                object: format!("Secret {namespace}/{}, key {}", wanted.name, wanted.key).into(),
                key: key.clone(),
            })
        })
    }

    /// Communities of ranges of a family, resolved: those of this node, else of the cluster.
    pub fn advertisements(&self, family: usize) -> Vec<(IpNet, Vec<Box<str>>)> {
        let is_ipv6 = family == 1;
        let of_family = |config: &'a BgpConfiguration| -> Vec<_> {
            let all = config.advertisements.iter();
            all.filter(|one| matches!(one.cidr, IpNet::V6(_)) == is_ipv6)
                .collect()
        };
        let node = self.of_node(self.own_name);
        let mut list = node.map(of_family).unwrap_or_default();
        if list.is_empty() {
            list = self
                .configurations
                .get("default")
                .copied()
                .map(of_family)
                .unwrap_or_default();
        }
        let value_of = |name: &str| {
            let named = node.and_then(|config| config.communities.get(name));
            named
                .or_else(|| self.cluster().communities.get(name))
                .cloned()
        };
        list.into_iter()
            .map(|one| {
                let mut values: Vec<Box<str>> = one
                    .communities
                    .iter()
                    .map(|name| value_of(name).unwrap_or_else(|| name.clone()))
                    .collect();
                values.sort();
                values.dedup();
                (one.cidr, values)
            })
            .collect()
    }
}

impl CalicoNode {
    /// Its address in a family.
    pub fn address(&self, family: usize) -> Option<IpAddr> {
        self.addresses
            .get(family)
            .copied()
            .flatten()
            .map(|net| net.addr())
    }
}

/// Cluster identifiers of Calico are written as addresses.
pub(super) fn cluster_id(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok()
}

fn from_annotations(node: &Node, faults: &mut Vec<Fault>) -> CalicoNode {
    let get = |key: &str| {
        let value = node
            .meta
            .annotations
            .get(format!("{ANNOTATION}{key}").as_str());
        value
            .map(AsRef::as_ref)
            .filter(|text: &&str| !text.is_empty())
    };
    let mut fault = |key: &str, text: String| {
        faults.push(Fault {
            object: format!("Node {}", node.meta.name).into(),
            path: format!("metadata.annotations[{ANNOTATION}{key}]").into(),
            severity: Severity::Error,
            text: text.into(),
        });
    };
    let mut addresses = [None; 2];
    for (slot, key) in addresses.iter_mut().zip(["IPv4Address", "IPv6Address"]) {
        let Some(text) = get(key) else { continue };
        *slot = interface(text).ok();
        if slot.is_none() {
            let text = short(text);
            fault(
                key,
                format!("\"{text}\" is no address with a length, such as 10.0.0.1/24"),
            );
        }
    }
    let asn = get("ASNumber").and_then(|text| {
        let asn = asn_text(text).filter(|asn| *asn != 0);
        if asn.is_none() {
            let text = short(text);
            let text = format!("\"{text}\" is no AS number; the cluster's is taken");
            fault("ASNumber", text);
        }
        asn
    });
    CalicoNode {
        meta: crate::object::Meta {
            name: node.meta.name.clone(),
            labels: node.meta.labels.clone(),
            ..Default::default()
        },
        addresses,
        asn,
        cluster_id: get("RouteReflectorClusterID").map(Into::into),
        has_wireguard: [
            get("IPv4WireguardInterfaceAddr").is_some(),
            get("IPv6WireguardInterfaceAddr").is_some(),
        ],
    }
}
