//! What the cluster wants, laid over the file.
//!
//! [`lay`] is a pure function: the configuration as the file says it and a [`Wish`] of the cluster
//! give the configuration in force. It is put in force the way a reload is (`Speaker::prepare`,
//! `commit`), so what does not change is not touched, and a reload of the file composes with the
//! wish of the moment.
//!
//! Who wins: **the file.** A neighbor whose address the file names keeps its block; a policy of the
//! file keeps its rules; the router's AS, identifier, cluster and listening addresses are those
//! of the file where it gives them. Each time the file wins over something else that the cluster
//! wants, a [`Remark`] says so. A neighbor of the cluster begins with `[kubernetes] peer-group` and
//! has laid over it what its object says.
//!
//! Nothing of a cluster can stop the daemon: a value that BGP cannot take is left out with a
//! remark, a policy that does not compile lets nothing through, and a password that is asked for
//! and not there keeps the session down (others run it without one).

mod kernel;
mod neighbor;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use cluster::{Desired, OwnRanges, RouterWish, StaticRoute, Tunnel};
use ipnet::IpNet;
use rib::policy::{Policy, PolicyDef};

use crate::config::{ClusterPart, Config, Kubernetes};

pub use kernel::{KernelRule, KernelRules};

/// The part of [`Desired`] that is not routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Whom we speak to, each address once.
    pub neighbors: Vec<cluster::Neighbor>,
    /// The policies they name.
    pub policies: Vec<PolicyDef>,
    /// What is said of the router itself.
    pub router: RouterWish,
    /// Ranges of the cluster.
    pub own_ranges: OwnRanges,
    /// Routes to neighbors.
    pub static_routes: Vec<StaticRoute>,
    /// Routes in tunnels.
    pub tunnels: Vec<Tunnel>,
}

impl From<&Desired> for Wish {
    fn from(desired: &Desired) -> Self {
        Self {
            neighbors: desired.neighbors.clone(),
            policies: desired.policies.clone(),
            router: desired.router.clone(),
            own_ranges: desired.own_ranges.clone(),
            static_routes: desired.static_routes.clone(),
            tunnels: desired.tunnels.clone(),
        }
    }
}

/// Something the operator should know of how the two were put together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Remark {
    /// The neighbor it is about.
    pub neighbor: Option<IpAddr>,
    /// What is to be known.
    pub text: String,
}

impl Remark {
    pub(crate) fn of(neighbor: impl Into<Option<IpAddr>>, text: impl Into<String>) -> Self {
        Self {
            neighbor: neighbor.into(),
            text: text.into(),
        }
    }
}

/// The configuration in force for a file and a wish, and what is to be said about it, sorted.
/// Without `[kubernetes]` that is the file.
#[must_use]
pub fn lay(file: &Config, wish: &Wish) -> (Config, Vec<Remark>) {
    let mut config = file.clone();
    let mut remarks = Vec::new();
    let Some(table) = &file.kubernetes else {
        return (config, remarks);
    };
    router(&mut config, table, &wish.router, &mut remarks);
    policies(&mut config, &wish.policies, &mut remarks);
    neighbors(&mut config, table, wish, &mut remarks);
    let [own_ranges, service_ranges] = own_ranges(table, &wish.own_ranges);
    let cluster_addresses = wish.own_ranges.services.iter();
    let cluster_addresses = cluster_addresses.chain(&table.options.service_cidrs);
    let cluster_addresses: Vec<IpNet> = cluster_addresses.copied().collect();
    config.cluster = ClusterPart {
        own_ranges,
        service_ranges,
        static_routes: wish.static_routes.clone(),
        kernel: KernelRules::new(&wish.tunnels, &cluster_addresses),
    };
    if let Some(kernel) = &mut config.kernel {
        kernel.default_route = config.cluster.kernel.has_tunnel();
    }
    remarks.sort_unstable();
    remarks.dedup();
    (config, remarks)
}

/// What the cluster says of the router, where the file is silent.
fn router(config: &mut Config, table: &Kubernetes, wish: &RouterWish, remarks: &mut Vec<Remark>) {
    let router = &mut config.router;
    if let Some(asn) = wish.asn.filter(|asn| *asn != router.asn) {
        let text = format!(
            "the cluster says AS {asn}, the file AS {}: the file's is in force",
            router.asn
        );
        remarks.push(Remark::of(None, text));
    }
    let kept = |what: &str, wanted: Ipv4Addr, given: Ipv4Addr| {
        let text = format!("the cluster says {what} {wanted}, {given} of the file is in force");
        Remark::of(None, text)
    };
    if let Some(wanted) = wish.router_id.filter(|id| *id != router.router_id) {
        match table.file_gives.router_id {
            true => remarks.push(kept("router-id", wanted, router.router_id)),
            false => {
                // The cluster identifier follows it unless somebody says another one.
                if !table.file_gives.cluster_id {
                    router.cluster_id = wanted;
                }
                router.router_id = wanted;
            }
        }
    }
    if let Some(wanted) = wish.cluster_id.filter(|id| *id != router.cluster_id) {
        match table.file_gives.cluster_id {
            true => remarks.push(kept("cluster-id", wanted, router.cluster_id)),
            false => router.cluster_id = wanted,
        }
    }
    if !table.file_gives.listen {
        let port = wish.listen_port.filter(|port| *port != 0);
        if let Some(port) = port {
            router.listen.iter_mut().for_each(|at| at.set_port(port));
        }
        if !wish.listen_addresses.is_empty() {
            let one = |address: &IpAddr| SocketAddr::new(*address, port.unwrap_or(179));
            router.listen = wish.listen_addresses.iter().map(one).collect();
        }
    }
    if let (Some(kernel), Some(metric), false) =
        (&mut config.kernel, wish.metric, table.file_gives.metric)
    {
        kernel.metric = metric;
    }
}

/// The cluster's policies behind those of the file.
fn policies(config: &mut Config, wanted: &[PolicyDef], remarks: &mut Vec<Remark>) {
    let known: BTreeSet<String> = config.policies.iter().map(|def| def.name.clone()).collect();
    for def in wanted {
        if known.contains(&def.name) {
            let text = format!(
                "policy {} is in the file too: the file's is in force",
                def.name
            );
            remarks.push(Remark::of(None, text));
            continue;
        }
        let mut def = def.clone();
        if let Err(error) = Policy::compile(&def) {
            let text = format!("policy {}: {error}: nothing passes it", def.name);
            remarks.push(Remark::of(None, text));
            def.rules.clear();
        }
        config.policies.push(def);
    }
}

/// The cluster's neighbors behind those of the file.
fn neighbors(config: &mut Config, table: &Kubernetes, wish: &Wish, remarks: &mut Vec<Remark>) {
    let known: BTreeSet<IpAddr> = config
        .neighbors
        .iter()
        .filter_map(|neighbor| neighbor.address.addr())
        .collect();
    let policies: BTreeSet<&str> = config
        .policies
        .iter()
        .map(|def| def.name.as_str())
        .collect();
    let mut added = Vec::new();
    for wanted in &wish.neighbors {
        if known.contains(&wanted.address) {
            let text = format!(
                "{} names it too: the file's settings are in force",
                wanted.object
            );
            remarks.push(Remark::of(wanted.address, text));
            continue;
        }
        let subject = neighbor::Subject {
            table,
            asn: config.router.asn,
            policies: &policies,
        };
        added.push(subject.resolve(wanted, remarks));
    }
    config.neighbors.extend(added);
}

/// What no eBGP neighbor may announce to us, by objects and by the file: all of it, and what of it
/// belongs to services. Sorted, none inside another. "Anywhere" is a permission to have addresses
/// there (`--strict-external-ip-validation=false`) and nobody's own range.
fn own_ranges(table: &Kubernetes, ranges: &OwnRanges) -> [Vec<IpNet>; 2] {
    let options = &table.options;
    let services = ranges.services.iter().chain(&ranges.load_balancers);
    let blocks = options.pools.iter().flat_map(|pool| &pool.blocks);
    let services = services.chain(&options.service_cidrs).chain(blocks);
    let is_ours = |range: &IpNet| range.prefix_len() != 0;
    let services: Vec<IpNet> = services.map(IpNet::trunc).filter(is_ours).collect();
    let pods = ranges.pods.iter().chain(&options.pod_cidrs);
    let pods = pods.map(IpNet::trunc).filter(is_ours);
    let all: Vec<IpNet> = pods.chain(services.clone()).collect();
    [IpNet::aggregate(&all), IpNet::aggregate(&services)]
}
