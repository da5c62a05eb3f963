//! What is true, gathered from speaker and planner for the reporter.
//!
//! Looked at when something happened, at most every [`EVERY`], and in pages, so that sessions and
//! plans wait for a page and not for a cluster.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use cluster::Planner;
use cluster::dialect::AddressKind;
use cluster::object::ObjectName;
use ipnet::IpNet;

use super::{NeighborReality, Reality, ReportConfig, Reporter, ServiceReality};
use crate::config::{Kubernetes, ObjectSource};
use crate::io::node::Node;
use crate::planning::PlannerHandle;
use crate::speaker::Speaker;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Prefixes or services that are looked at in one go.
const PAGE: usize = 128;

/// What `[kubernetes]` asks to be written; `None`: nothing, or there is no server to write to.
fn wanted(table: &Kubernetes) -> Option<ReportConfig> {
    let ObjectSource::Api(kubeconfig) = &table.from else {
        return None;
    };
    let speaks = |name| table.options.speaks(name);
    (table.status || table.events).then(|| ReportConfig {
        kubeconfig: kubeconfig.clone(),
        node: table.options.node_name.to_string(),
        metallb_status: table.status && speaks(cluster::DialectName::Metallb),
        calico_status: table.status && speaks(cluster::DialectName::Calico),
        events: table.events,
    })
}

/// Reports for as long as the daemon runs; at once done where nothing is to be written.
pub async fn run(node: Rc<Node>) {
    let table = node.peek(|speaker, _| speaker.config().kubernetes.clone());
    let config = table.as_ref().and_then(wanted);
    let (Some(config), Some(planner)) = (config, node.planner().cloned()) else {
        return;
    };
    let with_reasons = config.events;
    let reporter = match Reporter::start(config) {
        Ok(reporter) => reporter,
        Err(error) => {
            tracing::error!(%error, "status and events are not written: no thread");
            return;
        }
    };
    let started = SystemTime::now();
    let mut seen = None;
    loop {
        tokio::time::sleep(EVERY).await;
        // Before everything was read, what is announced says little.
        if seen == Some(node.steps()) || !planner.status().is_synced {
            continue;
        }
        seen = Some(node.steps());
        let Some(held_back) = held_back(&planner, with_reasons).await else {
            return;
        };
        let services = services(&node, held_back).await;
        reporter.tell(reality(&node, services, started));
    }
}

/// Why services with addresses for others announce none of them. `None`: the planner is gone.
async fn held_back(
    planner: &PlannerHandle,
    with_reasons: bool,
) -> Option<BTreeMap<ObjectName, ServiceReality>> {
    let mut all = BTreeMap::new();
    if !with_reasons {
        return Some(all);
    }
    let mut after: Option<ObjectName> = None;
    loop {
        let from = after.take();
        let page = planner.ask(move |planner| reasons(planner, from.as_ref()));
        let (rows, next) = page.await?;
        all.extend(rows);
        if next.is_none() {
            return Some(all);
        }
        after = next;
    }
}

fn reasons(
    planner: &Planner,
    after: Option<&ObjectName>,
) -> (Vec<(ObjectName, ServiceReality)>, Option<ObjectName>) {
    let names = planner.snapshot().services().map(|(name, _)| name);
    let names: Vec<&ObjectName> = names
        .filter(|name| after.is_none_or(|after| *name > after))
        .take(PAGE)
        .collect();
    let rows = names.iter().filter_map(|name| {
        let explained = planner.explain_service(name)?;
        let mut outside = explained
            .addresses
            .iter()
            .filter(|address| address.kind != AddressKind::Cluster);
        let first = outside.next()?;
        let is_announced = first.is_announced() || outside.any(|one| one.is_announced());
        let held_back = (!is_announced).then(|| first.why_not().to_owned());
        let service = ServiceReality {
            held_back,
            ..ServiceReality::default()
        };
        Some(((*name).clone(), service))
    });
    let rows = rows.collect();
    let next = (names.len() == PAGE).then(|| names.last().map(|name| (*name).clone()));
    (rows, next.flatten())
}

/// Who was told of what, service by service.
async fn services(
    node: &Node,
    mut services: BTreeMap<ObjectName, ServiceReality>,
) -> BTreeMap<ObjectName, ServiceReality> {
    let routes: Vec<(IpNet, Vec<ObjectName>)> = node.peek(|speaker, _| {
        let of_services = speaker.announcements().map(|route| {
            let names = route.objects.iter().filter_map(|object| named(object));
            (route.prefix, names.collect::<Vec<_>>())
        });
        of_services.filter(|(_, names)| !names.is_empty()).collect()
    });
    for page in routes.chunks(PAGE) {
        node.peek(|speaker, _| {
            for (prefix, names) in page {
                let told = told(speaker, *prefix);
                for name in names {
                    let service = services.entry(name.clone()).or_default();
                    service.held_back = None;
                    service.announced.push(*prefix);
                    service.told.extend(&told);
                }
            }
        });
        tokio::task::yield_now().await;
    }
    for service in services.values_mut() {
        service.announced.dedup();
        service.told.sort_unstable();
        service.told.dedup();
    }
    services
}

fn told(speaker: &Speaker, prefix: IpNet) -> Vec<std::net::IpAddr> {
    let slots = speaker.rib().advertised_to(prefix).into_iter();
    let entries = slots.filter_map(|slot| speaker.peers().get(slot));
    entries.map(|entry| entry.address).collect()
}

/// The service of `Service NAMESPACE/NAME`.
fn named(object: &str) -> Option<ObjectName> {
    let (namespace, name) = object.strip_prefix("Service ")?.split_once('/')?;
    Some(ObjectName::new(namespace, name))
}

fn reality(
    node: &Node,
    services: BTreeMap<ObjectName, ServiceReality>,
    started: SystemTime,
) -> Reality {
    let configured = Duration::from_millis(node.config_epoch_ms().unwrap_or(0));
    node.peek(|speaker, now| {
        let neighbors = speaker.peers().iter().map(|entry| {
            let from = entry.neighbor.object.as_ref();
            let up_since = entry.peer.stats().up_since;
            let since = up_since
                .and_then(|up| SystemTime::now().checked_sub(now.saturating_duration_since(up)));
            let neighbor = NeighborReality {
                object: from.map_or("bgpd.toml".to_owned(), |from| from.name.clone()),
                role: from.map(|from| from.role).unwrap_or_default(),
                state: entry.peer.state().name(),
                since: since.filter(|_| entry.is_up()),
            };
            (entry.address, neighbor)
        });
        Reality {
            services,
            neighbors: neighbors.collect(),
            router_id: speaker.config().router.router_id,
            started,
            configured: SystemTime::UNIX_EPOCH + configured,
        }
    })
}
