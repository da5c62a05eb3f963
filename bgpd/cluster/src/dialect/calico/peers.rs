//! Who this node speaks with: the mesh, and what BGPPeers make.
//!
//! A BGPPeer is an edge between a set of nodes and a set of others, and Calico draws both
//! directions of it: the nodes that `node` or `nodeSelector` name (all, without either) peer with
//! `peerIP` or with the nodes of `peerSelector`, and where the latter are nodes of the cluster,
//! they peer back, unless `reversePeering: Manual`. One address and port is one session: what is
//! for all nodes goes first, then what names nodes, then the way back; within each the first by
//! name wins.
//!
//! Which side of the mesh dials is decided by comparing the *text* of the addresses, `10.0.0.9`
//! above `10.0.0.10`. With both ends of a session in different hands that has to be mirrored, or
//! both wait for each other.
//!
//! Differences on purpose: a password that is asked for and not there keeps the session down
//! (Calico speaks without); an address has one session, whatever its ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::gathered::Gathered;
use super::objects::{BgpPeer, CalicoNode, HopMode, SecretRef};
use super::selector::Selector;
use crate::{Fault, Neighbor, NeighborRole, NextHopMode, PeerAsn, Severity, StaticRoute};

/// What BIRD announces as its restart time when nothing else is said.
const RESTART_TIME: Duration = Duration::from_secs(120);
/// TTL of sessions with eBGP neighbors, which BIRD lets be anywhere.
const MULTIHOP_TTL: u8 = 64;

/// A session, before it becomes a neighbor.
struct Session<'a> {
    /// `None`: the mesh.
    by: Option<&'a BgpPeer>,
    object: Box<str>,
    /// The node at the other end, where it is one.
    node: Option<&'a CalicoNode>,
    asn: u32,
    /// Drawn by `peerIP` and not by a selector or on the way back.
    is_direct: bool,
    /// Drawn on the way back.
    is_backward: bool,
    /// Only those that are for all nodes mind who dials.
    is_global: bool,
}

/// Addresses are one key and ports another: BIRD would run two sessions with one address.
type Sessions<'a> = BTreeMap<(IpAddr, Option<u16>), Session<'a>>;

/// What peering comes to.
#[derive(Default)]
pub(super) struct Peers {
    /// By address.
    pub neighbors: Vec<Neighbor>,
    /// The other nodes, as they would be in the mesh.
    pub others: Vec<Neighbor>,
    /// The filters that each names, by address.
    pub filters: BTreeMap<IpAddr, Vec<Box<str>>>,
    pub static_routes: Vec<StaticRoute>,
    pub faults: Vec<Fault>,
}

impl Peers {
    pub fn of(all: &Gathered<'_>) -> Self {
        let mut peers = Self::default();
        let mut sessions = Sessions::new();
        for is_global in [true, false] {
            for peer in &all.peers {
                if is_global == (peer.node.is_none() && peer.node_selector.is_none()) {
                    peers.forward(all, peer, &mut sessions);
                }
            }
        }
        for peer in &all.peers {
            peers.backward(all, peer, &mut sessions);
        }
        let faults = peers.faults.len();
        let others = mesh(all, &mut sessions);
        for ((address, port), session) in others {
            peers.add(all, address, port, &session);
        }
        // What is wrong with sessions that nobody wants is nobody's concern.
        peers.others = std::mem::take(&mut peers.neighbors);
        peers.faults.truncate(faults);
        for ((address, port), session) in sessions {
            peers.add(all, address, port, &session);
        }
        peers
    }

    /// The sessions of this node that a BGPPeer asks for.
    fn forward<'a>(
        &mut self,
        all: &'a Gathered<'_>,
        peer: &'a BgpPeer,
        sessions: &mut Sessions<'a>,
    ) {
        if peer.workload_selector.is_some() {
            let text = "sessions with pods are not made; list the pods' range in [[listen-range]]";
            self.fault(peer, "spec.localWorkloadSelector", Severity::Warning, text);
            return;
        }
        if !self.is_among(all, all.own_node(), peer) {
            return;
        }
        let is_global = peer.node.is_none() && peer.node_selector.is_none();
        if let Some(selector) = &peer.peer_selector {
            for node in self.selected(all, peer, "spec.peerSelector", selector) {
                put_node(all, node, (peer, is_global, false), [true, true], sessions);
            }
            return;
        }
        let Some((address, port)) = peer.peer else {
            self.fault(
                peer,
                "spec.peerIP",
                Severity::Error,
                "write peerIP or peerSelector",
            );
            return;
        };
        let node = node_at(all, address, peer.asn, port);
        let port = port.or_else(|| node.and_then(|node| all.port(&node.meta.name)));
        let known = |node: &&CalicoNode| (0..2).any(|f| node.address(f) == Some(address));
        let session = Session {
            by: Some(peer),
            object: object_of(peer),
            node: all.nodes.values().find(known),
            asn: peer.asn.unwrap_or_else(|| all.cluster_asn()),
            is_direct: true,
            is_backward: false,
            is_global,
        };
        sessions.entry((address, port)).or_insert(session);
    }

    /// The sessions that this node owes because it is the other end of a BGPPeer.
    fn backward<'a>(
        &mut self,
        all: &'a Gathered<'_>,
        peer: &'a BgpPeer,
        sessions: &mut Sessions<'a>,
    ) {
        let Some(own) = all.own_node() else { return };
        if peer.is_one_way || peer.workload_selector.is_some() {
            return;
        }
        let families = match (&peer.peer_selector, peer.peer) {
            (Some(selector), _) => match Selector::parse(selector) {
                Ok(selector) if selector.matches(&own.meta.labels) => [true, true],
                _ => return,
            },
            (None, Some((address, port))) => {
                let is_us = node_at(all, address, peer.asn, port)
                    .is_some_and(|node| node.meta.name == own.meta.name);
                if !is_us {
                    return;
                }
                [address.is_ipv4(), address.is_ipv6()]
            }
            (None, None) => return,
        };
        for node in all.nodes.values() {
            if node.meta.name != own.meta.name && self.is_among(all, Some(node), peer) {
                put_node(all, node, (peer, false, true), families, sessions);
            }
        }
    }

    fn add(&mut self, all: &Gathered<'_>, address: IpAddr, port: Option<u16>, from: &Session<'_>) {
        let family = usize::from(address.is_ipv6());
        // Without an address of the family, Calico's BIRD of the family runs no BGP at all.
        let Some(own) = all.own_address(family) else {
            return;
        };
        if own == address {
            return;
        }
        if let Some(by) = from.by
            && self
                .neighbors
                .last()
                .is_some_and(|other| other.address == address)
        {
            let text = format!("a second session with {address} is not made, whatever its port");
            self.fault(by, "spec.peerIP", Severity::Warning, &text);
            return;
        }
        let local_asn = from.by.filter(|_| !from.is_backward);
        let local_asn = local_asn.and_then(|by| by.local_asn);
        let own_asn = local_asn.unwrap_or_else(|| all.own_asn());
        let is_internal = own_asn == from.asn;
        let mut neighbor = Neighbor::new(address, PeerAsn::Exact(from.asn), &from.object);
        neighbor.port = port;
        neighbor.local_asn = local_asn.filter(|asn| *asn != all.own_asn());
        let dials_second = from.is_global && from.is_direct && from.node.is_some();
        neighbor.passive = Some(dials_second && address.to_string() > own.to_string());
        neighbor.add_path = true;
        neighbor.local_address = Some(own);
        neighbor.ebgp_multihop = (!is_internal).then_some(MULTIHOP_TTL);
        match from.by {
            None => self.as_mesh(all, &mut neighbor),
            Some(by) => {
                as_peer(by, from, is_internal, &mut neighbor);
                self.password(all, by.password.as_ref(), &mut neighbor);
                self.filters.insert(address, by.filters.clone());
                if let Some(via) = by
                    .reachable_by
                    .filter(|via| via.is_ipv4() == address.is_ipv4())
                {
                    let prefix = IpNet::from(address);
                    self.static_routes.push(StaticRoute { prefix, via });
                }
            }
        }
        let theirs = from.node.and_then(|node| node.cluster_id.as_deref());
        match (all.own_cluster_id(), theirs) {
            // Who is named by address is not looked up, and so always a client.
            (Some(ours), theirs) if is_internal && (from.is_direct || theirs != Some(ours)) => {
                neighbor.route_reflector_client = true;
                neighbor.role = NeighborRole::Client;
            }
            (None, Some(_)) if is_internal => neighbor.role = NeighborRole::Reflector,
            _ => {}
        }
        self.neighbors.push(neighbor);
    }

    fn as_mesh(&mut self, all: &Gathered<'_>, neighbor: &mut Neighbor) {
        let config = all.cluster();
        neighbor.role = NeighborRole::Mesh;
        neighbor.graceful_restart = Some(config.mesh_restart_time.unwrap_or(RESTART_TIME));
        self.password(all, config.mesh_password.as_ref(), neighbor);
    }

    fn password(&mut self, all: &Gathered<'_>, from: Option<&SecretRef>, to: &mut Neighbor) {
        let Some(wanted) = from else { return };
        to.password = all.secret(wanted);
        to.password_missing = to.password.is_none();
        if to.password_missing {
            let SecretRef { name, key } = wanted;
            self.faults.push(Fault {
                object: to.object.clone(),
                path: "spec.password".into(),
                severity: Severity::Error,
                text: format!(
                    "key {key} of Secret {name} is not there (calico-system, kube-system): the \
                     session with {} stays down",
                    to.address
                )
                .into(),
            });
        }
    }

    /// Whether a node is among those that a BGPPeer gives sessions to.
    fn is_among(&mut self, all: &Gathered<'_>, node: Option<&CalicoNode>, peer: &BgpPeer) -> bool {
        let name = node.map_or(all.own_name, |node| &node.meta.name);
        match (&peer.node_selector, &peer.node) {
            (Some(selector), _) => match Selector::parse(selector) {
                Ok(selector) => node.is_some_and(|node| selector.matches(&node.meta.labels)),
                Err(text) => {
                    self.fault(peer, "spec.nodeSelector", Severity::Error, &text);
                    false
                }
            },
            (None, Some(wanted)) => &**wanted == name,
            (None, None) => true,
        }
    }

    fn selected<'a>(
        &mut self,
        all: &'a Gathered<'_>,
        peer: &BgpPeer,
        path: &str,
        selector: &str,
    ) -> Vec<&'a CalicoNode> {
        match Selector::parse(selector) {
            Ok(selector) => {
                let nodes = all.nodes.values();
                nodes
                    .filter(|node| selector.matches(&node.meta.labels))
                    .collect()
            }
            Err(text) => {
                self.fault(peer, path, Severity::Error, &text);
                Vec::new()
            }
        }
    }

    fn fault(&mut self, peer: &BgpPeer, path: &str, severity: Severity, text: &str) {
        let fault = Fault {
            object: object_of(peer),
            path: path.into(),
            severity,
            text: text.into(),
        };
        // A selector is judged for each node that it may be about.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }
}

fn object_of(peer: &BgpPeer) -> Box<str> {
    format!("BGPPeer {}", peer.meta.name).into()
}

fn as_peer(by: &BgpPeer, from: &Session<'_>, is_internal: bool, neighbor: &mut Neighbor) {
    if !by.uses_node_address {
        neighbor.local_address = None;
    }
    neighbor.graceful_restart = Some(by.restart_time.unwrap_or(RESTART_TIME));
    neighbor.keepalive = by.keepalive;
    if from.is_direct {
        neighbor.allow_own_as = by.allow_own_as;
    }
    if let Some(hops) = by.ttl_security {
        neighbor.ttl_security = Some(hops);
        neighbor.ebgp_multihop = None;
    }
    let keeps = by.keeps_next_hop && from.is_direct && !is_internal;
    neighbor.next_hop = match by.next_hop {
        HopMode::SelfAddr => NextHopMode::SelfAddr,
        HopMode::Keep => NextHopMode::Keep,
        HopMode::Auto if keeps => NextHopMode::Keep,
        HopMode::Auto => NextHopMode::Auto,
    };
}

/// Puts the full mesh in, of which nodes that reflect are no part; answers with the sessions of a
/// mesh that are not wanted.
fn mesh<'a>(all: &'a Gathered<'_>, sessions: &mut Sessions<'a>) -> Sessions<'a> {
    let is_meshed = all.cluster().mesh.unwrap_or(true) && all.own_cluster_id().is_none();
    let taken: BTreeSet<IpAddr> = sessions.keys().map(|(address, _)| *address).collect();
    let mut others = Sessions::new();
    for node in all.nodes.values() {
        for family in 0..2 {
            let Some(address) = node.address(family) else {
                continue;
            };
            if taken.contains(&address) || all.own_address(family).is_none() {
                continue;
            }
            let session = Session {
                by: None,
                object: format!("Node {}, by the mesh", node.meta.name).into(),
                node: Some(node),
                asn: all.asn(node),
                is_direct: true,
                is_backward: false,
                is_global: true,
            };
            let among = match is_meshed && node.cluster_id.is_none() {
                true => &mut *sessions,
                false => &mut others,
            };
            among.insert((address, all.port(&node.meta.name)), session);
        }
    }
    others
}

/// The sessions with a node in these families: by which object, for all nodes, on the way back.
fn put_node<'a>(
    all: &Gathered<'_>,
    node: &'a CalicoNode,
    (by, is_global, is_backward): (&'a BgpPeer, bool, bool),
    families: [bool; 2],
    sessions: &mut Sessions<'a>,
) {
    for (family, _) in families.iter().enumerate().filter(|(_, wanted)| **wanted) {
        let Some(address) = node.address(family) else {
            continue;
        };
        let session = Session {
            by: Some(by),
            object: object_of(by),
            node: Some(node),
            asn: all.asn(node),
            is_direct: false,
            is_backward,
            is_global,
        };
        let port = all.port(&node.meta.name);
        sessions.entry((address, port)).or_insert(session);
    }
}

/// The node that `peerIP` and `asNumber` mean, if they mean one.
fn node_at<'a>(
    all: &'a Gathered<'_>,
    address: IpAddr,
    asn: Option<u32>,
    port: Option<u16>,
) -> Option<&'a CalicoNode> {
    let asn = asn.unwrap_or_else(|| all.cluster_asn());
    all.nodes.values().find(|node| {
        let listens = all.port(&node.meta.name);
        (0..2).any(|family| node.address(family) == Some(address))
            && all.asn(node) == asn
            && (port.is_none() || listens.is_none() || port == listens)
    })
}
