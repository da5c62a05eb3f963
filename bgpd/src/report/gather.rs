//! What is true, gathered from speaker and planner for the reporter.
//!
//! Looked at when something happened, at most every [`EVERY`] and as seldom as [`Pace`] allows, and
//! in pages, so that sessions and plans wait for a page and not for a cluster. The thread that
//! writes is woken only by what differs from the last look.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cluster::Planner;
use cluster::dialect::AddressKind;
use cluster::object::ObjectName;
use ipnet::IpNet;

use super::pace::{Pace, Signs, Turn};
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
    let mut pace = Pace::default();
    let (mut services, mut reasons) = (Services::new(), Services::new());
    let mut all = Arc::default();
    let mut last: Option<Reality> = None;
    loop {
        tokio::time::sleep(EVERY).await;
        // Before everything was read, what is announced says little.
        if !planner.status().is_synced {
            continue;
        }
        let Some(turn) = pace.turn(Instant::now(), signs(&node)) else {
            continue;
        };
        if turn.reasons && with_reasons {
            let Some(all) = held_back(&planner).await else {
                return;
            };
            reasons = all;
        }
        if turn.services {
            let now = announced(&node).await;
            if with_reasons && !judge_lost(&planner, &services, &now, &mut reasons).await {
                return;
            }
            services = now;
        }
        if turn != Turn::default() {
            all = Arc::new(with(&services, &reasons));
        }
        let now = reality(&node, Arc::clone(&all), started);
        let is_like = |last: &Reality| !turn.services && last.is_like(&now);
        if !last.as_ref().is_some_and(is_like) {
            reporter.tell(now.clone());
            last = Some(now);
        }
    }
}

/// Services, by name.
type Services = BTreeMap<ObjectName, ServiceReality>;

fn signs(node: &Node) -> Signs {
    let steps = node.steps();
    node.peek(|speaker, _| {
        let mut sessions = DefaultHasher::new();
        for entry in speaker.peers().iter() {
            let since = entry.up.as_ref().map(|up| up.since);
            (entry.address, since).hash(&mut sessions);
        }
        Signs {
            steps,
            routes: speaker.announcements_revision(),
            sessions: sessions.finish(),
        }
    })
}

/// What is announced, and beside it what is held back.
fn with(announced: &Services, reasons: &Services) -> Services {
    let mut all = reasons.clone();
    all.extend(
        announced
            .iter()
            .map(|(name, one)| (name.clone(), one.clone())),
    );
    all
}

/// Why services that were announced are not any more, without a look at all the others. `false`:
/// the planner is gone.
async fn judge_lost(
    planner: &PlannerHandle,
    before: &Services,
    now: &Services,
    reasons: &mut Services,
) -> bool {
    let lost = before.keys().filter(|name| !now.contains_key(*name));
    let lost: Vec<ObjectName> = lost.cloned().collect();
    for page in lost.chunks(PAGE) {
        let names = page.to_vec();
        let explain = move |planner: &Planner| -> Vec<Option<ServiceReality>> {
            names.iter().map(|name| reason(planner, name)).collect()
        };
        let Some(found) = planner.ask(explain).await else {
            return false;
        };
        for (name, found) in page.iter().zip(found) {
            match found {
                Some(found) => reasons.insert(name.clone(), found),
                None => reasons.remove(name),
            };
        }
    }
    true
}

/// Why services with addresses for others announce none of them. `None`: the planner is gone.
async fn held_back(planner: &PlannerHandle) -> Option<Services> {
    let mut all = Services::new();
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
    let rows = names
        .iter()
        .filter_map(|name| Some(((*name).clone(), reason(planner, name)?)));
    let rows = rows.collect();
    let next = (names.len() == PAGE).then(|| names.last().map(|name| (*name).clone()));
    (rows, next.flatten())
}

/// What holds a service back; `None`: it has nothing to announce.
fn reason(planner: &Planner, name: &ObjectName) -> Option<ServiceReality> {
    let explained = planner.explain_service(name)?;
    let mut outside = explained
        .addresses
        .iter()
        .filter(|address| address.kind != AddressKind::Cluster);
    let first = outside.next()?;
    let is_announced = first.is_announced() || outside.any(|one| one.is_announced());
    Some(ServiceReality {
        held_back: (!is_announced).then(|| first.why_not().to_owned()),
        ..ServiceReality::default()
    })
}

/// Who was told of what, service by service.
async fn announced(node: &Node) -> Services {
    let mut services = Services::new();
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

fn reality(node: &Node, services: Arc<Services>, started: SystemTime) -> Reality {
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
