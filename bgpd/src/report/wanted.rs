//! From what is true to the objects that say so. Pure.
//!
//! The names of our `ServiceBGPStatus` objects follow from node and service, so a restarted daemon
//! finds its own again and makes no second one; the labels are MetalLB's, and so are the columns
//! that `kubectl get servicebgpstatuses` prints.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cluster::NeighborRole;
use cluster::object::ObjectName;
use serde_json::{Value, json};

use super::{NeighborReality, Reality};
use crate::report::writer::rfc3339;

/// The namespace of MetalLB's status objects.
pub(super) const METALLB: &str = "metallb-system";
/// Label: the node that writes.
pub(super) const NODE_LABEL: &str = "metallb.io/node";

/// `ServiceBGPStatus` objects of this node, by name: each service that some peer was told of.
pub(super) fn service_statuses(node: &str, reality: &Reality) -> BTreeMap<String, Value> {
    let told = reality
        .services
        .iter()
        .filter(|(_, service)| !service.told.is_empty());
    told.map(|(name, service)| {
        let peers: Vec<&str> = service
            .told
            .iter()
            .filter_map(|address| reality.neighbors.get(address))
            .filter(|neighbor| neighbor.is_established())
            .map(|neighbor| short(&neighbor.object))
            .collect();
        let object = status_name(node, name);
        let value = json!({
            "apiVersion": "metallb.io/v1beta1",
            "kind": "ServiceBGPStatus",
            "metadata": {
                "name": object,
                "namespace": METALLB,
                "labels": {
                    NODE_LABEL: node,
                    "metallb.io/service-name": name.name,
                    "metallb.io/service-namespace": name.namespace,
                },
            },
            "status": {
                "node": node,
                "serviceName": name.name,
                "serviceNamespace": name.namespace,
                "peers": peers,
            },
        });
        (object, value)
    })
    .collect()
}

/// `BGPPeer metallb-system/tor` → `tor`.
fn short(object: &str) -> &str {
    object.rsplit(['/', ' ']).next().unwrap_or(object)
}

/// A name that follows from node and service; 64 bits keep a hundred thousand apart.
fn status_name(node: &str, service: &ObjectName) -> String {
    let text = format!("{node}\n{service}");
    // FNV-1a: stable over releases, which the standard library's hasher does not promise.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("bgp-{hash:016x}")
}

/// The `status` of a `CalicoNodeStatus` with these classes; `now` as RFC 3339.
pub(super) fn calico_status(classes: &[String], reality: &Reality, now: &str) -> Value {
    let mut status = json!({ "lastUpdated": now });
    let has = |class: &str| classes.iter().any(|asked| asked == class);
    if has("Agent") {
        let agent = json!({
            "state": "Ready",
            "version": format!("wayfare-bgpd {}", env!("CARGO_PKG_VERSION")),
            "routerID": reality.router_id.to_string(),
            "lastBootTime": rfc3339(reality.started),
            "lastReconfigurationTime": rfc3339(reality.configured),
        });
        // One daemon speaks both families; Calico has a BIRD for each.
        status["agent"] = json!({ "birdV4": agent, "birdV6": agent });
    }
    if has("BGP") {
        status["bgp"] = sessions(reality);
    }
    status
}

fn sessions(reality: &Reality) -> Value {
    let mut bgp = json!({});
    for (suffix, is_v4) in [("V4", true), ("V6", false)] {
        let of_family = |(address, _): &(&IpAddr, &NeighborReality)| address.is_ipv4() == is_v4;
        let neighbors: Vec<_> = reality.neighbors.iter().filter(of_family).collect();
        let established = neighbors.iter().filter(|(_, n)| n.is_established()).count();
        bgp[format!("numberEstablished{suffix}")] = json!(established);
        bgp[format!("numberNotEstablished{suffix}")] = json!(neighbors.len() - established);
        let peers: Vec<Value> = neighbors.iter().map(|(a, n)| calico_peer(**a, n)).collect();
        if !peers.is_empty() {
            bgp[format!("peers{suffix}")] = json!(peers);
        }
    }
    bgp
}

fn calico_peer(address: IpAddr, neighbor: &NeighborReality) -> Value {
    let kind = match neighbor.role {
        NeighborRole::Mesh => "NodeMesh",
        NeighborRole::Configured | NeighborRole::Reflector | NeighborRole::Client => "GlobalPeer",
    };
    let mut peer = json!({
        "peerIP": address.to_string(),
        "type": kind,
        "state": neighbor.state,
    });
    if let Some(since) = neighbor.since {
        peer["since"] = json!(rfc3339(since));
    }
    peer
}
