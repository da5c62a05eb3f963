//! The node's own part: who it peers with, what it announces of itself, what it says of the router.
//!
//! Nodes of one AS peer with each other, over the addresses that their objects name; under
//! `--nodes-full-mesh` all have the AS of `--cluster-asn`. Once a node is a reflector or the client
//! of one, clients speak to reflectors alone. Routers outside are those of the flags, else those of
//! the node's annotations.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::annotations::{self, Faults, Reflection};
use super::flags::{Flags, RouterId};
use super::peers::{self, Peer};
use super::policy;
use crate::dialect::{Peering, View};
use crate::object::Node;
use crate::{
    Advertised, Announcement, Facts, Fault, Marks, Neighbor, NeighborRole, NextHopMode, PeerAsn,
    Severity, Tunnel, TunnelKind, TunnelMode,
};

/// What is known of this node.
struct Own<'a> {
    node: &'a Node,
    flags: &'a Flags,
    asn: u32,
    /// The AS that is shown, where the file has another.
    local_asn: Option<u32>,
    address: IpAddr,
    reflection: Reflection,
}

/// Puts the node's part into `out`.
pub(super) fn prepare(view: &View<'_>, flags: &Flags, out: &mut Peering) {
    ranges(view, flags, out);
    let Some(node) = view.node else {
        return;
    };
    let mut found = Vec::new();
    let mut faults = Faults {
        object: format!("Node {}", node.meta.name).into(),
        out: &mut found,
    };
    networks(view, node, &mut faults, out);
    if let Some(own) = own(view, node, &mut faults) {
        router(&own, &mut faults, out);
        let nodes: Vec<&Node> = view.snapshot.nodes().collect();
        internal(&own, &nodes, out);
        external(&own, &mut faults, out);
        policies(&own, &mut faults, out);
        let before = out.tunnels.len();
        tunnels(&own, &nodes, &mut faults, out);
        let subnets = subnets(&own.address, view.facts);
        let new = out.tunnels.iter_mut().skip(before);
        new.for_each(|tunnel| tunnel.subnets.clone_from(&subnets));
    }
    out.faults.append(&mut found);
}

/// The ranges of the cluster.
fn ranges(view: &View<'_>, flags: &Flags, out: &mut Peering) {
    let own = &mut out.own_ranges;
    let options = view.options;
    own.pods
        .extend(options.pod_cidrs.iter().chain(&flags.pod_cidrs));
    own.services
        .extend(options.service_cidrs.iter().chain(&flags.service_cidrs));
    own.load_balancers.extend(
        flags
            .load_balancer_ranges
            .iter()
            .chain(&flags.external_ranges),
    );
    for list in [&mut own.pods, &mut own.services, &mut own.load_balancers] {
        list.sort();
        list.dedup();
    }
}

/// The pod CIDRs of the node.
fn networks(view: &View<'_>, node: &Node, faults: &mut Faults<'_>, out: &mut Peering) {
    if !view.options.advertises(Advertised::PodCidr) || node.meta.is_being_deleted() {
        return;
    }
    let flags = &view.options.kube_router;
    let object = faults.object.clone();
    let ranges = annotations::pod_cidrs(node, faults);
    let ranges = ranges.into_iter().filter(|range| match range {
        IpNet::V4(_) => flags.ipv4,
        IpNet::V6(_) => flags.ipv6,
    });
    out.networks.extend(ranges.map(|prefix| Announcement {
        prefix,
        source: policy::POD_CIDR.into(),
        neighbors: None,
        marks: Marks::default(),
        discard: true,
        objects: vec![object.clone()],
    }));
}

fn own<'a>(view: &View<'a>, node: &'a Node, faults: &mut Faults<'_>) -> Option<Own<'a>> {
    let flags = &view.options.kube_router;
    let Some(address) = annotations::primary(node) else {
        faults.out.push(Fault {
            object: faults.object.clone(),
            path: "status.addresses".into(),
            severity: Severity::Error,
            text: "no InternalIP and no ExternalIP: nobody is peered with".into(),
        });
        return None;
    };
    let asn = match annotations::asn(node) {
        _ if flags.full_mesh => flags.cluster_asn,
        Ok(Some(asn)) => asn,
        Ok(None) => {
            faults.error(
                "node.asn",
                "absent, and --nodes-full-mesh=false asks for it",
            );
            return None;
        }
        Err(text) => {
            faults.error("node.asn", &text);
            return None;
        }
    };
    let reflection = annotations::reflection(node).unwrap_or_else(|(name, text)| {
        faults.error(name, &text);
        Reflection::None
    });
    Some(Own {
        node,
        flags,
        asn,
        local_asn: (asn != view.facts.asn && view.facts.asn != 0).then_some(asn),
        address,
        reflection,
    })
}

fn router(own: &Own<'_>, faults: &mut Faults<'_>, out: &mut Peering) {
    let wish = &mut out.router;
    // The AS of each node's own annotation is in no file; sessions show it all the same.
    wish.asn = own.flags.full_mesh.then_some(own.asn);
    wish.router_id = match (own.flags.router_id, own.address) {
        (RouterId::Given(id), _) => Some(id),
        (RouterId::Generate, address) => Some(generated(address)),
        (RouterId::Unset, IpAddr::V4(address)) => Some(address),
        (RouterId::Unset, IpAddr::V6(_)) => {
            let text = "its address is IPv6: --router-id=generate, or router-id in [router]";
            faults.warn("router-id", text);
            None
        }
    };
    if let Reflection::Server(id) = own.reflection {
        wish.cluster_id = Some(id);
    }
    wish.listen_port = (own.flags.port != 179).then_some(own.flags.port);
    wish.listen_addresses = annotations::local_addresses(own.node, faults);
}

/// FNV-1 over the address in its 16 octets, as `--router-id=generate` makes it.
pub(super) fn generated(address: IpAddr) -> Ipv4Addr {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let hash = octets.iter().fold(0x811c_9dc5_u32, |hash, octet| {
        (hash ^ u32::from(*octet)).wrapping_mul(0x0100_0193)
    });
    Ipv4Addr::from(hash)
}

/// The families of a session.
fn families(flags: &Flags) -> [bool; 2] {
    [flags.ipv4, flags.ipv6]
}

/// The other nodes.
fn internal(own: &Own<'_>, nodes: &[&Node], out: &mut Peering) {
    if !own.flags.ibgp {
        return;
    }
    for node in nodes {
        let Some(address) = annotations::primary(node) else {
            continue;
        };
        let is_other = address != own.address && node.meta.name != own.node.meta.name;
        if !is_other || address.is_ipv4() != own.address.is_ipv4() {
            continue;
        }
        if !own.flags.full_mesh && annotations::asn(node).ok().flatten() != Some(own.asn) {
            continue;
        }
        let theirs = annotations::reflection(node).unwrap_or_default();
        let role = role(own.reflection, theirs);
        let object = format!("Node {}", node.meta.name);
        let mut neighbor = Neighbor::new(address, PeerAsn::Exact(own.asn), &object);
        neighbor.role = role.unwrap_or(NeighborRole::Mesh);
        neighbor.local_asn = own.local_asn;
        neighbor.port = Some(own.flags.port);
        neighbor.local_address = Some(own.address);
        neighbor.families = Some(families(own.flags));
        neighbor.route_reflector_client = role == Some(NeighborRole::Client);
        neighbor.graceful_restart = restart(own.flags);
        neighbor.import = Some(policy::IMPORT.into());
        neighbor.export = Some(policy::EXPORT_INTERNAL.into());
        match role {
            Some(_) => out.neighbors.push(neighbor),
            None => out.others.push(neighbor),
        }
    }
}

/// What another node is to this one; `None`: they do not speak. The same at both ends.
fn role(ours: Reflection, theirs: Reflection) -> Option<NeighborRole> {
    use Reflection::{Client, None as Plain, Server};
    match (ours, theirs) {
        (Server(_), Client) => Some(NeighborRole::Client),
        (Client, Server(_)) => Some(NeighborRole::Reflector),
        (Client, _) | (_, Client) => None,
        (Plain | Server(_), Plain | Server(_)) => Some(NeighborRole::Mesh),
    }
}

fn restart(flags: &Flags) -> Option<std::time::Duration> {
    flags.graceful_restart.then_some(flags.restart_time)
}

/// The routers outside.
fn external(own: &Own<'_>, faults: &mut Faults<'_>, out: &mut Peering) {
    let (object, all): (&str, Vec<Peer>) = match peers::of_flags(own.flags) {
        all if !all.is_empty() => ("flag --peer-router-ips", all),
        _ => ("", peers::of_node(own.node, faults)),
    };
    let object = if object.is_empty() {
        faults.object.clone()
    } else {
        object.into()
    };
    for peer in all {
        let local = peer.local.unwrap_or(own.address);
        if local.is_ipv4() != peer.address.is_ipv4() {
            let text = format!(
                "{}: our address {local} is of the other family; name one with localip",
                peer.address
            );
            faults.error("peers", &text);
            continue;
        }
        let mut neighbor = Neighbor::new(peer.address, PeerAsn::Exact(peer.asn), &object);
        neighbor.port = peer.port;
        neighbor.local_asn = own.local_asn;
        neighbor.local_address = Some(local);
        neighbor.hold_time = Some(own.flags.hold_time);
        neighbor.password = peer.password;
        neighbor.password_missing = peer.password_missing;
        neighbor.families = Some(families(own.flags));
        neighbor.graceful_restart = restart(own.flags);
        neighbor.bfd = peer.bfd;
        if peer.asn != own.asn {
            neighbor.ebgp_multihop = own.flags.multihop_ttl;
        }
        if own.flags.override_nexthop {
            neighbor.next_hop = NextHopMode::SelfAddr;
        }
        neighbor.import = Some(policy::IMPORT.into());
        neighbor.export = Some(policy::EXPORT_EXTERNAL.into());
        out.neighbors.push(neighbor);
    }
}

fn policies(own: &Own<'_>, faults: &mut Faults<'_>, out: &mut Peering) {
    let is_reflector = matches!(own.reflection, Reflection::Server(_));
    let outbound = policy::Outbound {
        communities: annotations::communities(own.node, faults),
        prepend: annotations::prepend(own.node, faults),
    };
    let rejected = annotations::import_reject(own.node, faults);
    out.policies.extend([
        policy::internal(is_reflector),
        policy::external(own.flags, &outbound, is_reflector),
        policy::import(&out.own_ranges, &rejected),
    ]);
}

/// The subnets of the link that has the node's address: its nodes are reached without a tunnel.
fn subnets(address: &IpAddr, facts: &Facts) -> Vec<IpNet> {
    let subnets = facts.links.iter().flat_map(|link| &link.subnets);
    let near = subnets.filter(|subnet| subnet.prefix_len() > 0 && subnet.contains(address));
    let mut near: Vec<IpNet> = near.copied().collect();
    near.sort();
    near.dedup();
    near
}

/// The tunnels to other nodes; without a range of all pods, those of each node.
fn tunnels(own: &Own<'_>, nodes: &[&Node], faults: &mut Faults<'_>, out: &mut Peering) {
    if !own.flags.overlay || !own.flags.ibgp {
        return;
    }
    if own.flags.overlay_fou {
        faults.out.push(Fault {
            object: "flag --overlay-encap".into(),
            path: "".into(),
            severity: Severity::Warning,
            text: "FoU tunnels are not made here: routes to other subnets go without".into(),
        });
        return;
    }
    let mut ranges = out.own_ranges.pods.clone();
    if ranges.is_empty() {
        // Faults of other nodes are theirs to tell.
        let mut unheard = Faults {
            object: "".into(),
            out: &mut Vec::new(),
        };
        let others = nodes
            .iter()
            .filter(|node| node.meta.name != own.node.meta.name);
        ranges.extend(others.flat_map(|node| annotations::pod_cidrs(node, &mut unheard)));
        ranges.sort();
        ranges.dedup();
    }
    let mode = match own.flags.overlay_full {
        true => TunnelMode::Always,
        false => TunnelMode::CrossSubnet,
    };
    let ranges = ranges
        .into_iter()
        .filter(|range| matches!(range, IpNet::V4(_)));
    out.tunnels.extend(ranges.map(|range| Tunnel {
        range,
        kind: TunnelKind::Ipip,
        mode,
        device: Some("tunl0".into()),
        subnets: Vec::new(),
    }));
}
