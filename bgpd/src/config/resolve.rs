//! From the raw file to the configuration that runs: inheritance, mesh, defaults.
//!
//! A value is looked for in the neighbor, then in its group, then in the defaults. Mesh members
//! become neighbors; a member that also has a `[[neighbor]]` block keeps that block, so one node
//! of a mesh can be treated differently. This node's own member address becomes the source
//! address of its mesh sessions, because the other members expect it from there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use ctl::config::At;
use rib::policy::{PolicyDef, RuleDef};

use super::kubernetes::{self, ClusterPart, FileGives, Kubernetes};
use super::model::{
    Advertise, AsnRule, Config, Engine, Kernel, ListenRange, Metrics, Neighbor, NeighborAddress,
    NeighborOrigin, PolicyRef, Pool, RouteMarks, Router, Settings,
};
use super::raw::{Raw, RawKernel, RawMarks, RawMetrics, RawNeighbor, RawPool, RawSettings};
use super::settings::{Scope, Subject};

const BGP_PORT: u16 = 179;
const METRICS_PORT: u16 = 9472;
/// Neighbors of one range at a time, unless the range says otherwise.
const RANGE_NEIGHBORS: u16 = 256;

/// Resolves `raw`. Faults found on the way are in the scope's sink; with any of them in it the
/// result is not for use.
pub(super) fn resolve(raw: &Raw, scope: &Scope<'_>) -> Config {
    let mut groups: Groups<'_> = BTreeMap::new();
    for settings in &raw.unplaced {
        scope.judge(settings);
    }
    for group in &raw.groups {
        scope.judge(&group.settings);
        groups
            .entry(group.name.value.as_str())
            .or_insert(&group.settings);
    }
    let mut neighbors = listed(raw, &groups, scope);
    neighbors.extend(mesh(raw, &groups, scope));
    let pools: Vec<Pool> = raw.pools.iter().map(pool).collect();
    Config {
        router: router(raw, scope),
        kernel: raw.kernel.as_ref().map(kernel),
        policies: policies(raw, &neighbors),
        listen_ranges: ranges(raw, &groups, scope),
        neighbors,
        advertise: raw
            .advertise
            .iter()
            .map(|block| Advertise {
                kind: block.kind.value,
                prefixes: values(&block.prefixes.value),
                marks: marks(&block.marks),
            })
            .collect(),
        kubernetes: raw.kubernetes.as_ref().map(|table| {
            let group = table.peer_group.as_ref();
            let group = inherited(&RawSettings::default(), group, &groups);
            Kubernetes {
                file_gives: file_gives(raw),
                ..kubernetes::resolve(table, &group, &pools, scope)
            }
        }),
        pools,
        metrics: raw.metrics.as_ref().map(metrics),
        engine: Engine {
            threads: raw.threads.as_ref().map_or_else(
                || default_threads(scope.host.cores),
                |at| at.value.clamp(1, THREADS_MAX),
            ),
        },
        cluster: ClusterPart::default(),
    }
}

/// What the cluster may not say otherwise.
fn file_gives(raw: &Raw) -> FileGives {
    let router = raw.router.as_ref();
    FileGives {
        router_id: router.is_some_and(|table| table.router_id.is_some()),
        cluster_id: router.is_some_and(|table| table.cluster_id.is_some()),
        listen: router.is_some_and(|table| table.listen.is_some()),
        metric: raw
            .kernel
            .as_ref()
            .is_some_and(|table| table.metric.is_some()),
    }
}

/// Most threads for the tables.
pub(super) const THREADS_MAX: u16 = 64;

/// Threads for the tables, by the cores of the machine. With two or fewer a second thread would
/// only take turns with the first; above that, half of the cores, since sockets and the kernel want
/// some too. More than eight must be asked for: UPDATEs come out in more and smaller pieces the
/// more threads there are.
fn default_threads(cores: usize) -> u16 {
    match cores {
        0..=2 => 1,
        _ => u16::try_from(cores / 2).unwrap_or(u16::MAX).clamp(2, 8),
    }
}

type Groups<'r> = BTreeMap<&'r str, &'r RawSettings>;

/// Whether the group that is asked for does not exist.
fn orphan(group: Option<&At<String>>, groups: &Groups<'_>) -> bool {
    group.is_some_and(|at| !groups.contains_key(at.value.as_str()))
}

fn inherited(own: &RawSettings, group: Option<&At<String>>, groups: &Groups<'_>) -> RawSettings {
    match group.and_then(|at| groups.get(at.value.as_str())) {
        Some(group) => own.clone().inherit(group),
        None => own.clone(),
    }
}

fn router(raw: &Raw, scope: &Scope<'_>) -> Router {
    let table = raw.router.as_ref();
    let router_id = table
        .and_then(|table| table.router_id.as_ref().map(|at| at.value))
        .or_else(|| scope.host.default_router_id())
        .unwrap_or(Ipv4Addr::UNSPECIFIED);
    let cluster_id = table.and_then(|table| table.cluster_id.as_ref());
    let listen = table.and_then(|table| table.listen.as_ref());
    let default_local_pref = table.and_then(|table| table.default_local_pref.as_ref());
    let multipath_relax = table.and_then(|table| table.multipath_relax.as_ref());
    Router {
        asn: scope.asn.unwrap_or_default(),
        router_id,
        cluster_id: cluster_id.map_or(router_id, |at| at.value),
        listen: listen.map_or_else(
            || {
                let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
                any.map(|addr| SocketAddr::new(addr, BGP_PORT)).to_vec()
            },
            |at| values(&at.value),
        ),
        default_local_pref: default_local_pref.map_or(100, |at| at.value),
        multipath_relax: multipath_relax.is_some_and(|at| at.value),
    }
}

fn kernel(table: &RawKernel) -> Kernel {
    Kernel {
        table: table.table.as_ref().map_or(254, |at| at.value),
        metric: table.metric.as_ref().map_or(20, |at| at.value),
        multipath: table.multipath.as_ref().map_or(64, |at| at.value),
        protocol: table.protocol.as_ref().map_or(186, |at| at.value),
        default_route: false,
    }
}

fn listed(raw: &Raw, groups: &Groups<'_>, scope: &Scope<'_>) -> Vec<Neighbor> {
    let resolve_one = |neighbor: &RawNeighbor| {
        let merged = inherited(&neighbor.settings, neighbor.peer_group.as_ref(), groups);
        let orphan = orphan(neighbor.peer_group.as_ref(), groups);
        let address = match (&neighbor.address, &neighbor.interface) {
            (Some(address), Some(interface)) => match address.value {
                IpAddr::V6(addr) => NeighborAddress::LinkLocal(addr, interface.value.clone()),
                IpAddr::V4(_) => NeighborAddress::Address(address.value),
            },
            (Some(address), None) => NeighborAddress::Address(address.value),
            (None, Some(interface)) => NeighborAddress::Interface(interface.value.clone()),
            (None, None) => {
                // Nobody to speak to, but its other values are judged all the same.
                let subject = Subject {
                    title: "neighbor".to_owned(),
                    span: &neighbor.header.span,
                    address: None,
                    orphan,
                    dynamic: false,
                    local_address: None,
                };
                scope.resolve(&merged, &subject);
                return None;
            }
        };
        let span = neighbor
            .address
            .as_ref()
            .map_or(&neighbor.header.span, |at| &at.span);
        let subject = Subject {
            title: format!("neighbor {address}"),
            span,
            address: address.addr(),
            orphan,
            dynamic: false,
            local_address: None,
        };
        let settings = scope.resolve(&merged, &subject);
        warn_without_policy(&settings, &merged, &subject, scope);
        let peer_group = neighbor.peer_group.as_ref().map(|at| at.value.clone());
        Some(Neighbor {
            address,
            origin: NeighborOrigin::Configured,
            peer_group,
            object: None,
            settings,
        })
    };
    raw.neighbors.iter().filter_map(resolve_one).collect()
}

/// RFC 8212: silence is the default, and the most common reason for "why is there no route".
fn warn_without_policy(
    settings: &Settings,
    raw: &RawSettings,
    subject: &Subject<'_>,
    scope: &Scope<'_>,
) {
    let missing = |policy: &PolicyRef| *policy == PolicyRef::Missing;
    let (what, cure) = match (missing(&settings.import), missing(&settings.export)) {
        (true, true) => (
            "no `import` and no `export`: nothing is exchanged",
            "write import = \"accept-all\" and export = \"accept-all\", or policies of your own",
        ),
        (true, false) => (
            "no `import`: nothing is accepted",
            "write import = \"accept-all\", or a policy of your own",
        ),
        (false, true) => (
            "no `export`: nothing is sent",
            "write export = \"accept-all\", or a policy of your own",
        ),
        (false, false) => return,
    };
    // Without an AS it is not known to be external, and that fault is enough.
    if raw.asn.is_some() {
        let message = format!("{} is external and has {what} (RFC 8212)", subject.title);
        scope.sink.warning(subject.span, message, cure);
    }
}

fn ranges(raw: &Raw, groups: &Groups<'_>, scope: &Scope<'_>) -> Vec<ListenRange> {
    let resolve_one = |range: &super::raw::RawRange| {
        let merged = inherited(&range.settings, range.peer_group.as_ref(), groups);
        let subject = Subject {
            title: format!("listen range {}", range.prefix.value),
            span: &range.prefix.span,
            address: Some(range.prefix.value.network()),
            orphan: orphan(range.peer_group.as_ref(), groups),
            dynamic: true,
            local_address: None,
        };
        let settings = scope.resolve(&merged, &subject);
        warn_without_policy(&settings, &merged, &subject, scope);
        ListenRange {
            prefix: range.prefix.value,
            peer_group: range.peer_group.as_ref().map(|at| at.value.clone()),
            max_neighbors: range
                .max_neighbors
                .as_ref()
                .map_or(RANGE_NEIGHBORS, |at| at.value),
            settings,
        }
    };
    raw.ranges.iter().map(resolve_one).collect()
}

fn mesh(raw: &Raw, groups: &Groups<'_>, scope: &Scope<'_>) -> Vec<Neighbor> {
    let Some(mesh) = &raw.mesh else {
        return Vec::new();
    };
    let members = &mesh.members.value;
    let own: Vec<IpAddr> = members
        .iter()
        .map(|at| at.value)
        .filter(|addr| scope.host.owns(*addr))
        .collect();
    let blocks: BTreeSet<IpAddr> = raw
        .neighbors
        .iter()
        .filter_map(|n| n.address.as_ref())
        .map(|at| at.value)
        .collect();
    let others = members
        .iter()
        .filter(|at| !own.contains(&at.value) && !blocks.contains(&at.value));
    let group = mesh.peer_group.as_ref();
    let mut merged = inherited(&RawSettings::default(), group, groups);
    let nowhere: Range<usize> = mesh.members.span.clone();
    if merged.asn.is_none() {
        merged.asn = Some(At {
            value: AsnRule::Internal,
            span: nowhere,
        });
    }
    others
        .map(|at| {
            let subject = Subject {
                title: format!("mesh member {}", at.value),
                span: &at.span,
                address: Some(at.value),
                orphan: false,
                dynamic: false,
                local_address: own
                    .iter()
                    .copied()
                    .find(|o| o.is_ipv4() == at.value.is_ipv4()),
            };
            Neighbor {
                address: NeighborAddress::Address(at.value),
                origin: NeighborOrigin::Mesh,
                peer_group: group.map(|at| at.value.clone()),
                object: None,
                settings: scope.resolve(&merged, &subject),
            }
        })
        .collect()
}

/// Rules with their neighbor words replaced by addresses: a group stands for its members.
fn policies(raw: &Raw, neighbors: &[Neighbor]) -> Vec<PolicyDef> {
    let members = |group: &str| {
        neighbors
            .iter()
            .filter(move |neighbor| neighbor.peer_group.as_deref() == Some(group))
            .filter_map(|neighbor| neighbor.address.addr())
            .collect::<Vec<_>>()
    };
    let rule = |raw: &super::policy::RawRule| {
        let mut def: RuleDef = raw.def.clone();
        for at in &raw.neighbors {
            match at.value.parse::<IpAddr>() {
                Ok(addr) => def.matches.neighbor.push(addr),
                Err(_) => def.matches.neighbor.extend(members(&at.value)),
            }
        }
        // A group without members must not turn into a rule for everybody.
        if !raw.neighbors.is_empty() && def.matches.neighbor.is_empty() {
            def.matches.neighbor.push(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        }
        def
    };
    raw.policies
        .iter()
        .map(|policy| PolicyDef {
            name: policy.name.value.clone(),
            rules: policy.rules.iter().map(rule).collect(),
        })
        .collect()
}

fn marks(raw: &RawMarks) -> RouteMarks {
    RouteMarks {
        communities: raw.community.iter().map(|at| at.value.0).collect(),
        large_communities: raw.large_community.iter().map(|at| at.value.0).collect(),
        local_pref: raw.local_pref.as_ref().map(|at| at.value),
        med: None,
        neighbors: raw.neighbors.as_ref().map(|list| values(&list.value)),
    }
}

fn pool(raw: &RawPool) -> Pool {
    Pool {
        name: raw.name.value.clone(),
        ranges: values(&raw.addresses.value),
        aggregation_length: raw.aggregation_length.as_ref().map_or(32, |at| at.value),
        aggregation_length_v6: raw
            .aggregation_length_v6
            .as_ref()
            .map_or(128, |at| at.value),
        advertise: raw
            .advertise
            .as_ref()
            .map(|at| at.value)
            .unwrap_or_default(),
        marks: marks(&raw.marks),
    }
}

fn metrics(table: &RawMetrics) -> Metrics {
    let compat = table
        .compat
        .as_ref()
        .map(|list| list.value.as_slice())
        .unwrap_or_default();
    Metrics {
        listen: table.listen.as_ref().map_or(
            SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT)),
            |at| at.value,
        ),
        compat: compat.iter().map(|at| at.value.0.to_owned()).collect(),
    }
}

fn values<T: Clone>(list: &[At<T>]) -> Vec<T> {
    list.iter().map(|at| at.value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::default_threads;

    #[test]
    fn small_machines_run_everything_on_one_thread() {
        let threads = [1, 2, 3, 4, 8, 16, 64, 1024].map(default_threads);
        assert_eq!(threads, [1, 1, 2, 2, 4, 8, 8, 8]);
    }
}
