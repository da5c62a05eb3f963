//! Blocks of this node, and which routes of the cluster BGP writes to the kernel.
//!
//! Addresses of pods are given out in blocks, each the affair of one node. The node announces the
//! block and nothing inside it, and drops what no pod of the block takes: a discard route, unless
//! the block is one address, which would hide its own pod, or Felix writes the routes of its pool
//! and the discard with them. Pods with an address of somebody else's block (borrowed, or moved
//! here) are announced one by one.
//!
//! `programClusterRoutes` and the encapsulation of a pool say who writes the routes to other nodes'
//! pods. VXLAN is always Felix's, IP in IP and plain routes are as configured. What is not ours
//! becomes a tunnel without a device, and that means: leave these routes out. Ranges of services
//! are treated so too: kube-proxy takes their packets before any route is looked at.
//!
//! A pool that is not exported keeps its blocks' discard routes, and no neighbor is told of them.

use ipnet::IpNet;

use super::filter::POD_ADDRESS;
use super::gathered::Gathered;
use super::objects::{Encapsulation, IpPool, Programs};
use super::policies::own_blocks;
use super::services::Ranges;
use crate::dialect::View;
use crate::{Advertised, Announcement, Fault, Severity, Tunnel, TunnelKind, TunnelMode};

/// The device of IP in IP.
const TUNNEL: &str = "tunl0";

/// Who writes a pool's routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writer {
    /// We do, as ordinary routes.
    Plain,
    /// We do, into the tunnel.
    Ipip(TunnelMode),
    /// Felix does.
    Felix(TunnelKind),
}

fn writer(pool: &IpPool, programs: Programs) -> Writer {
    let mode = match pool.ipip {
        Encapsulation::Never => None,
        Encapsulation::Always => Some(TunnelMode::Always),
        Encapsulation::CrossSubnet => Some(TunnelMode::CrossSubnet),
    };
    match (pool.vxlan, mode) {
        (Encapsulation::Always | Encapsulation::CrossSubnet, _) => Writer::Felix(TunnelKind::Vxlan),
        (Encapsulation::Never, Some(mode)) if programs.ipip => Writer::Ipip(mode),
        (Encapsulation::Never, Some(_)) => Writer::Felix(TunnelKind::Ipip),
        (Encapsulation::Never, None) if programs.plain => Writer::Plain,
        (Encapsulation::Never, None) => Writer::Felix(TunnelKind::Plain),
    }
}

fn programs(all: &Gathered<'_>) -> Programs {
    all.cluster().programs.unwrap_or_default()
}

/// The pool that a prefix lies in.
fn pool_of<'a>(all: &Gathered<'a>, net: &IpNet) -> Option<&'a IpPool> {
    let pools = all.pools.iter().copied();
    let pools = pools.filter(|pool| pool.cidr.contains(net));
    pools.max_by_key(|pool| pool.cidr.prefix_len())
}

/// The routes of this node's pods.
pub(super) fn blocks(all: &Gathered<'_>, view: &View<'_>, ranges: &Ranges) -> Vec<Announcement> {
    if !view.options.advertises(Advertised::PodCidr) {
        return Vec::new();
    }
    let mut list = Vec::new();
    for block in own_blocks(all) {
        let pool = pool_of(all, &block.cidr);
        let is_ours =
            !pool.is_some_and(|pool| matches!(writer(pool, programs(all)), Writer::Felix(_)));
        let is_secret = pool.is_some_and(|pool| pool.is_unexported);
        let is_single = block.cidr.prefix_len() == block.cidr.max_prefix_len();
        list.push(Announcement {
            prefix: block.cidr,
            // One address is a pod's, and its route goes to the pod's interface.
            source: if is_single { POD_ADDRESS } else { "pod-cidr" }.into(),
            neighbors: is_secret.then(Vec::new),
            marks: ranges.marks(block.cidr.addr()),
            discard: is_ours && !is_single,
            objects: vec![format!("BlockAffinity {}", block.meta.name).into()],
        });
    }
    for net in &view.facts.borrowed {
        let Some(pool) = pool_of(all, net).filter(|pool| !pool.is_unexported) else {
            continue;
        };
        if own_blocks(all).all(|block| !block.cidr.contains(net)) {
            list.push(Announcement {
                prefix: net.trunc(),
                source: POD_ADDRESS.into(),
                neighbors: None,
                marks: ranges.marks(net.addr()),
                discard: false,
                objects: vec![format!("IPPool {}", pool.meta.name).into()],
            });
        }
    }
    list
}

/// How routes of pools and services are to be written.
pub(super) fn tunnels(all: &Gathered<'_>, ranges: &Ranges) -> Vec<Tunnel> {
    let subnets: Vec<IpNet> = all
        .own_node()
        .into_iter()
        .flat_map(|node| node.addresses)
        .flatten()
        .map(|net| net.trunc())
        .collect();
    let left_out = |range, kind| Tunnel {
        range,
        kind,
        mode: TunnelMode::Always,
        device: None,
        subnets: Vec::new(),
    };
    let mut list: Vec<Tunnel> = Vec::new();
    for pool in &all.pools {
        match writer(pool, programs(all)) {
            Writer::Plain => {}
            Writer::Felix(kind) => list.push(left_out(pool.cidr, kind)),
            Writer::Ipip(mode) => list.push(Tunnel {
                range: pool.cidr,
                kind: TunnelKind::Ipip,
                mode,
                device: Some(TUNNEL.into()),
                subnets: subnets.clone(),
            }),
        }
    }
    for range in ranges.all() {
        if list.iter().all(|tunnel| tunnel.range != range) {
            list.push(left_out(range, TunnelKind::Services));
        }
    }
    list.sort_by_key(|tunnel| tunnel.range);
    list
}

/// What is not done.
pub(super) fn faults(all: &Gathered<'_>) -> Vec<Fault> {
    let own = all.own_node().map(|node| node.has_wireguard);
    let speaks = own.is_some_and(|families| families.contains(&true));
    let fault = Fault {
        object: format!("Node {}", all.own_name).into(),
        path: "metadata.annotations".into(),
        severity: Severity::Warning,
        text: "routes to nodes with WireGuard are Felix's; ours to their pods stand beside them, \
               so give Felix's rule the precedence or switch programClusterRoutes to Disabled"
            .into(),
    };
    speaks.then_some(fault).into_iter().collect()
}
