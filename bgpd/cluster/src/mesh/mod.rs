//! Who speaks BGP with whom inside the cluster: a full mesh of the nodes, or route reflectors.
//!
//! Without reflectors every node is an iBGP neighbor of every other (RFC 4271 §9.2.1 asks for it).
//! A node becomes a reflector by the label or annotation `wayfare.dev/cluster-id`, or by the label
//! or taint that `[kubernetes] reflectors` names (`dedicated=route-reflector`, as a pool of nodes
//! for that purpose has it). Once there is one, reflectors speak with each other and with all
//! others as their clients (RFC 4456), and the others speak with reflectors only.
//!
//! A node is spoken to at `wayfare.dev/address`, else at its InternalIP, once per family, and our
//! end of the session is our own such address, because that is the one the others know us by. A
//! node of another AS (`wayfare.dev/asn`) is no iBGP neighbor; who wants eBGP with it configures
//! that.
//!
//! [`wished`] is the topology as the objects say it. How a running cluster gets from one topology
//! to the next without losing a route is [`stage`], which works on the neighbors of any dialect.
//! The result depends on the objects alone, not on the order in which they came.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::desired::short;
use crate::dialect::{Peering, View};
use crate::object::Node;
use crate::{Facts, Fault, MeshMode, Neighbor, NeighborRole, Options, PeerAsn, Severity};

mod staging;
#[cfg(test)]
mod staging_tests;
#[cfg(test)]
mod tests;

pub use staging::stage;

/// Names a reflector, and the cluster it reflects for (RFC 4456 §7).
pub const CLUSTER_ID: &str = "wayfare.dev/cluster-id";
/// The address, or one of each family, at which a node is spoken to.
pub const ADDRESS: &str = "wayfare.dev/address";
/// The AS of a node.
pub const ASN: &str = "wayfare.dev/asn";

/// Puts the native mesh into what is asked for, if the operator asks for one.
pub fn prepare(view: &View<'_>, out: &mut Peering) {
    if view.options.mesh != MeshMode::Full {
        return;
    }
    let nodes = view.snapshot.nodes();
    let found = wished(nodes, view.options, view.facts, &mut out.faults);
    out.neighbors.extend(found.neighbors);
    out.others.extend(found.others);
    out.router.cluster_id = out.router.cluster_id.or(found.cluster_id);
}

/// What a node is in the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node's name.
    pub name: Box<str>,
    /// Where it is spoken to: IPv4, IPv6.
    pub addresses: [Option<IpAddr>; 2],
    /// Its AS, where it is not that of the cluster.
    pub asn: Option<u32>,
    /// It reflects.
    pub is_reflector: bool,
    /// The cluster it says that it reflects for.
    pub cluster_id: Option<Ipv4Addr>,
}

impl Member {
    /// What a node is. What cannot be read is left out and told.
    pub fn of(node: &Node, reflectors: &str, faults: &mut Vec<Fault>) -> Self {
        let mut fault = |path: &str, text: String| {
            faults.push(Fault {
                object: format!("Node {}", node.meta.name).into(),
                path: path.into(),
                severity: Severity::Error,
                text: text.into(),
            });
        };
        let annotation = |key: &str| node.meta.annotations.get(key).map(AsRef::as_ref);
        let mut addresses = [None; 2];
        for text in annotation(ADDRESS).unwrap_or_default().split(',') {
            let text = text.trim();
            match text.parse::<IpAddr>() {
                Ok(address) => place(&mut addresses, address),
                Err(_) if text.is_empty() => {}
                Err(_) => fault(
                    "metadata.annotations[wayfare.dev/address]",
                    format!("{text} is no address; its InternalIP is used"),
                ),
            }
        }
        let internal = node.addresses.iter().filter(|it| &*it.kind == "InternalIP");
        internal.for_each(|it| place(&mut addresses, it.address));
        let asn = annotation(ASN).and_then(|text| {
            let asn = text.parse().ok().filter(|asn| *asn > 0);
            if asn.is_none() {
                let text = format!("{text} is no AS; the node counts as one of ours");
                fault("metadata.annotations[wayfare.dev/asn]", text);
            }
            asn
        });
        let label = node.meta.labels.get(CLUSTER_ID).map(AsRef::as_ref);
        let named = annotation(CLUSTER_ID).or(label);
        let named = named.filter(|text| !is_no(text));
        let mut is_named = named.is_some();
        let cluster_id = named.and_then(|text| {
            let id = text.parse::<Ipv4Addr>().ok();
            let id = id.or_else(|| text.parse::<u32>().ok().map(Ipv4Addr::from));
            if id.is_none() && !text.is_empty() && text != "true" {
                let text = short(text);
                let text = format!("{text} is no cluster identifier; the node does not reflect");
                fault("metadata.annotations[wayfare.dev/cluster-id]", text);
                is_named = false;
            }
            id.filter(|id| !id.is_unspecified())
        });
        Self {
            name: node.meta.name.clone(),
            addresses,
            asn,
            is_reflector: is_named || has_mark(node, reflectors),
            cluster_id,
        }
    }
}

/// Whether a mark of ours on an object says no, as if it were not there.
pub(crate) fn is_no(text: &str) -> bool {
    let words = ["false", "no", "off", "0"];
    words
        .iter()
        .any(|word| text.trim().eq_ignore_ascii_case(word))
}

/// The first address of a family counts.
fn place(addresses: &mut [Option<IpAddr>; 2], address: IpAddr) {
    let [v4, v6] = addresses;
    let slot = if address.is_ipv4() { v4 } else { v6 };
    slot.get_or_insert(address);
}

/// Whether a node has the label or taint `KEY=VALUE`, or `KEY` with any value.
fn has_mark(node: &Node, mark: &str) -> bool {
    let (key, value) = match mark.split_once('=') {
        Some((key, value)) => (key.trim(), Some(value.trim())),
        None => (mark.trim(), None),
    };
    if key.is_empty() {
        return false;
    }
    let fits = |have: &str| value.is_none_or(|value| value == have);
    let labelled = node.meta.labels.get(key).is_some_and(|have| fits(have));
    let mut taints = node.taints.iter();
    labelled || taints.any(|taint| &*taint.key == key && fits(&taint.value))
}

/// What a topology asks of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wished {
    /// The neighbors, sorted by address.
    pub neighbors: Vec<Neighbor>,
    /// The other nodes that are no neighbors (any more), as they would be in the mesh, sorted by
    /// address. A session with one of them may have to go on for a while.
    pub others: Vec<Neighbor>,
    /// Our cluster identifier, when we reflect and our node names it.
    pub cluster_id: Option<Ipv4Addr>,
}

/// The topology as seen from this node. Without an object of this node there is none: nobody would
/// know us.
#[must_use]
pub fn wished<'a>(
    nodes: impl Iterator<Item = &'a Node>,
    options: &Options,
    facts: &Facts,
    faults: &mut Vec<Fault>,
) -> Wished {
    let mut members: Vec<Member> = nodes
        .map(|node| Member::of(node, &options.reflectors, faults))
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name));
    let Some(own) = members.iter().find(|it| it.name == options.node_name) else {
        return Wished::default();
    };
    let asn = own.asn.filter(|_| facts.asn == 0).unwrap_or(facts.asn);
    let ours = |it: &&Member| it.asn.is_none_or(|other| other == asn);
    let peers: Vec<&Member> = members.iter().filter(ours).collect();
    let any_reflector = peers.iter().any(|it| it.is_reflector);
    let (mut wanted, mut others) = (BTreeMap::new(), BTreeMap::new());
    for peer in peers.iter().filter(|it| it.name != own.name) {
        let role = match (any_reflector, own.is_reflector, peer.is_reflector) {
            (false, _, _) => Some(NeighborRole::Mesh),
            (true, _, true) => Some(NeighborRole::Reflector),
            (true, true, false) => Some(NeighborRole::Client),
            (true, false, false) => None,
        };
        for neighbor in sessions(own, peer, facts) {
            let address = neighbor.address;
            if wanted.contains_key(&address) || others.contains_key(&address) {
                faults.push(same_address(peer, address));
                continue;
            }
            match role {
                None => others.insert(address, neighbor),
                Some(role) => wanted.insert(
                    address,
                    Neighbor {
                        role,
                        route_reflector_client: role == NeighborRole::Client,
                        ..neighbor
                    },
                ),
            };
        }
    }
    Wished {
        neighbors: wanted.into_values().collect(),
        others: others.into_values().collect(),
        cluster_id: own.cluster_id.filter(|_| own.is_reflector),
    }
}

/// One session per family that both have.
fn sessions(own: &Member, peer: &Member, facts: &Facts) -> Vec<Neighbor> {
    let pairs = own.addresses.iter().zip(&peer.addresses);
    let both = pairs.filter_map(|(own, peer)| Some(((*own)?, (*peer)?)));
    let foreign = both.filter(|(own, peer)| own != peer && !facts.addresses.contains(peer));
    foreign
        .map(|(own, address)| {
            let object = format!("Node {}", peer.name);
            let mut neighbor = Neighbor::new(address, PeerAsn::Internal, &object);
            neighbor.role = NeighborRole::Mesh;
            // An address that is not (yet) on this machine cannot be the source of a connection.
            let is_here = facts.addresses.is_empty() || facts.addresses.contains(&own);
            neighbor.local_address = Some(own).filter(|_| is_here);
            neighbor
        })
        .collect()
}

fn same_address(peer: &Member, address: IpAddr) -> Fault {
    Fault {
        object: format!("Node {}", peer.name).into(),
        path: "status.addresses".into(),
        severity: Severity::Error,
        text: format!("{address} is another node's too; the first by name keeps it").into(),
    }
}
