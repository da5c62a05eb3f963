//! The lists: addresses of services, nodes, pools.
//!
//! Rows of `show kubernetes services|nodes|pools`, made of what `explain` says, so that a list and
//! an explanation cannot differ. Services come in pages; nodes and pools are few.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;

use cluster::object::{Node, ObjectName};
use cluster::{AddressExplained, NeighborRole, Planner};
use proto_codec::control::View;
use proto_codec::control::view::{KubernetesNode, KubernetesPool, KubernetesService};

use crate::io;
use crate::planning::PlannerHandle;

/// Addresses of the services after `after`, at most `max` services; and where to go on.
pub(super) fn services(
    planner: &Planner,
    after: Option<&ObjectName>,
    max: usize,
) -> (Vec<View>, Option<ObjectName>) {
    let from = after.map_or(Bound::Unbounded, Bound::Excluded);
    let is_after = |name: &ObjectName| match from {
        Bound::Excluded(after) => name > after,
        _ => true,
    };
    let names: Vec<ObjectName> = planner
        .snapshot()
        .services()
        .map(|(name, _)| name)
        .filter(|name| is_after(name))
        .take(max)
        .cloned()
        .collect();
    let next = (names.len() == max)
        .then(|| names.last().cloned())
        .flatten();
    let explained = names
        .iter()
        .filter_map(|name| planner.explain_service(name));
    let rows = explained.flat_map(|service| service.addresses).map(row);
    (rows.collect(), next)
}

fn row(address: AddressExplained) -> View {
    let mut announced: Vec<_> = address.announced.iter().map(|route| route.prefix).collect();
    announced.dedup();
    let covered: Vec<String> = address
        .covered_by
        .iter()
        .map(|route| route.prefix.to_string())
        .collect();
    let why = match (announced.is_empty(), covered.is_empty()) {
        (false, _) => None,
        (true, false) => Some(format!("covered by {}", covered.join(", "))),
        (true, true) => Some(address.why_not().to_owned()),
    };
    View::KubernetesService(Box::new(KubernetesService {
        service: address.service.to_string(),
        address: address.address,
        kind: address.kind.as_str().to_owned(),
        policy: if address.is_local { "Local" } else { "Cluster" }.to_owned(),
        announced,
        why,
    }))
}

/// `show kubernetes nodes`.
pub(super) async fn nodes(node: &io::node::Node, planner: &PlannerHandle) -> Option<Vec<View>> {
    let look = |planner: &Planner| {
        let nodes: Vec<Node> = planner.snapshot().nodes().cloned().collect();
        let neighbors = planner.desired().neighbors;
        (nodes, neighbors, planner.options().node_name.clone())
    };
    let (nodes, neighbors, own) = planner.ask(look).await?;
    let roles: BTreeMap<IpAddr, NeighborRole> = neighbors
        .iter()
        .map(|neighbor| (neighbor.address, neighbor.role))
        .collect();
    let states: BTreeMap<IpAddr, &'static str> = node.peek(|speaker, _| {
        let peers = speaker.peers().iter();
        peers
            .map(|entry| (entry.address, entry.peer.state().name()))
            .collect()
    });
    let rows = nodes.into_iter().map(|node| {
        let addresses: Vec<IpAddr> = node.addresses.iter().map(|one| one.address).collect();
        let session = addresses
            .iter()
            .find(|address| states.contains_key(*address));
        let role = session.map(|address| match roles.get(address) {
            Some(NeighborRole::Mesh) => "mesh",
            Some(NeighborRole::Reflector) => "reflector",
            Some(NeighborRole::Client) => "client",
            Some(NeighborRole::Configured) | None => "neighbor",
        });
        let state = session.and_then(|address| states.get(address));
        View::KubernetesNode(Box::new(KubernetesNode {
            name: node.meta.name.to_string(),
            is_self: node.meta.name == own,
            addresses,
            pod_cidrs: node.pod_cidrs,
            role: role.map(str::to_owned),
            state: state.map(|state| (*state).to_owned()),
        }))
    });
    Some(rows.collect())
}

/// `show kubernetes pools`.
pub(super) async fn pools(planner: &PlannerHandle) -> Option<Vec<View>> {
    let pools = planner.ask(Planner::pools).await?;
    let rows = pools.into_iter().map(|pool| {
        let ranges = pool.ranges.iter().map(|(first, last)| {
            let range = crate::config::AddressRange {
                first: *first,
                last: *last,
            };
            range.to_string()
        });
        View::KubernetesPool(KubernetesPool {
            name: pool.name.to_string(),
            object: match &*pool.object {
                "" => "bgpd.toml".to_owned(),
                object => object.to_owned(),
            },
            ranges: ranges.collect(),
            in_use: count(pool.in_use),
            announced: count(pool.announced),
        })
    });
    Some(rows.collect())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
