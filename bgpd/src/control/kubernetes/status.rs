//! How the reading of the cluster is doing, for operators and for metrics.
//!
//! The same state twice: as rows for people, with what is wrong and since when, and as samples. The
//! samples ask nobody, so a scrape waits for no planner.

use std::time::{Duration, Instant};

use cluster::{Fault, Planner, ProxyHealth, Severity};
use ctl::metrics::{Collector, Metric};
use proto_codec::control::View;
use proto_codec::control::view::{KubernetesFault, KubernetesFeed, KubernetesStatus};

use crate::io::node::Node;
use crate::kubernetes::{FeedState, FeedStatus, Status};
use crate::planning::PlannerHandle;

/// Faults that are shown; a cluster with more has one cause.
const FAULTS_MAX: usize = 1_000;

/// What the planner knows beside the source.
struct Look {
    node: String,
    has_node: bool,
    sources: Vec<String>,
    gate: &'static str,
    draining: bool,
    neighbors: usize,
    faults: Vec<Fault>,
}

fn look(planner: &Planner) -> Look {
    let (options, desired) = (planner.options(), planner.desired());
    let names = options.dialects.iter().map(|dialect| dialect.as_str());
    Look {
        node: options.node_name.to_string(),
        has_node: planner.snapshot().node(&options.node_name).is_some(),
        sources: names.map(str::to_owned).collect(),
        gate: word(planner.facts().proxy),
        draining: desired.drain.is_some() || planner.facts().is_draining,
        neighbors: desired.neighbors.len(),
        faults: desired.faults,
    }
}

/// How the gate stands.
fn word(health: ProxyHealth) -> &'static str {
    match health {
        ProxyHealth::Ungated => "off",
        ProxyHealth::Unknown => "waiting",
        ProxyHealth::Healthy => "open",
        ProxyHealth::Unhealthy => "closed",
    }
}

/// The rows of `show kubernetes`; `None`: the planner is gone.
pub(super) async fn rows(node: &Node, planner: &PlannerHandle) -> Option<Vec<View>> {
    let look = planner.ask(look).await?;
    let (status, now) = (planner.status(), Instant::now());
    let announced = node.peek(|speaker, _| speaker.announcements().count());
    // A kind that is off is not waited for; its own line says why.
    let read = status.feeds.values();
    let read = read.filter(|feed| !matches!(feed.state, FeedState::Off { .. }));
    let stale = read.map(|feed| feed.staleness(now)).max();
    let mut rows = vec![View::KubernetesStatus(Box::new(KubernetesStatus {
        origin: status.origin.clone(),
        node: look.node,
        has_node: look.has_node,
        sources: look.sources,
        synced: status.is_synced,
        stale_ms: stale.filter(|stale| !stale.is_zero()).map(ms),
        trouble: status.trouble.clone(),
        gate: look.gate.to_owned(),
        draining: look.draining,
        announced: count(announced),
        neighbors: count(look.neighbors),
        snapshot: status
            .snapshot
            .path
            .as_ref()
            .map(|path| path.display().to_string()),
        snapshot_objects: count(status.snapshot.objects),
        snapshot_bytes: status.snapshot.size,
        snapshot_trouble: status.snapshot.trouble.clone(),
    }))];
    let feeds = status.feeds.iter();
    rows.extend(feeds.map(|(name, feed)| View::KubernetesFeed(Box::new(row(name, feed, now)))));
    rows.extend(
        faults(&status, look.faults)
            .take(FAULTS_MAX)
            .map(View::KubernetesFault),
    );
    Some(rows)
}

fn row(name: &str, feed: &FeedStatus, now: Instant) -> KubernetesFeed {
    let (reason, until) = match &feed.state {
        FeedState::Backoff { reason, until } | FeedState::Off { reason, until } => {
            (Some((*reason).to_owned()), Some(*until))
        }
        FeedState::Starting | FeedState::Listing | FeedState::Watching => (None, None),
    };
    let errors = feed.errors.iter();
    KubernetesFeed {
        name: name.to_owned(),
        state: feed.state.word().to_owned(),
        reason,
        retry_ms: until.map(|until| ms(until.saturating_duration_since(now))),
        objects: count(feed.objects),
        stale_objects: count(feed.stale_objects),
        quarantined: count(feed.quarantined),
        resource_version: feed.resource_version.clone(),
        lists: feed.lists,
        watches: feed.watches,
        events: feed.events,
        errors: errors
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect(),
        last_error: feed.last_error.clone(),
    }
}

/// Manifests that cannot be read, then objects.
fn faults(status: &Status, objects: Vec<Fault>) -> impl Iterator<Item = KubernetesFault> {
    let files = status
        .files
        .clone()
        .into_iter()
        .map(|fault| KubernetesFault {
            object: fault.file.display().to_string(),
            path: match fault.line {
                0 => String::new(),
                line => format!("line {line}"),
            },
            is_error: true,
            text: fault.text,
        });
    let objects = objects.into_iter().map(|fault| KubernetesFault {
        object: fault.object.into(),
        path: fault.path.into(),
        is_error: fault.severity == Severity::Error,
        text: fault.text.into(),
    });
    files.chain(objects)
}

/// Samples for the exporter. The source's own state: the planner is not asked, so that a scrape
/// waits for nobody.
pub(in crate::control) fn samples(node: &Node, into: &mut Collector) {
    const SYNCED: Metric = Metric::gauge(
        "wayfare_kubernetes_synced",
        "1 once all objects were read completely.",
    );
    const OBJECTS: Metric = Metric::gauge("wayfare_kubernetes_objects", "Objects known of a kind.");
    const QUARANTINED: Metric = Metric::gauge(
        "wayfare_kubernetes_objects_quarantined",
        "Objects of a kind that cannot be read.",
    );
    const WATCHED: Metric = Metric::gauge(
        "wayfare_kubernetes_watched",
        "1 while changes of a kind are heard as they happen.",
    );
    const STALE: Metric = Metric::gauge(
        "wayfare_kubernetes_stale_seconds",
        "For how long nothing more has been learnt of a kind.",
    );
    const EVENTS: Metric = Metric::counter(
        "wayfare_kubernetes_events_total",
        "Events of objects of a kind.",
    );
    const LISTS: Metric = Metric::counter(
        "wayfare_kubernetes_lists_total",
        "Complete lists read of a kind.",
    );
    const ERRORS: Metric = Metric::counter(
        "wayfare_kubernetes_errors_total",
        "Requests that went wrong.",
    );
    const ANNOUNCED: Metric = Metric::gauge(
        "wayfare_kubernetes_announcements",
        "Routes that start here because of objects.",
    );
    let Some(planner) = node.planner() else {
        return;
    };
    let (status, now) = (planner.status(), Instant::now());
    into.count(&SYNCED, &[], u64::from(status.is_synced));
    let announced = node.peek(|speaker, _| speaker.announcements().count());
    into.count(&ANNOUNCED, &[], count(announced));
    for (name, feed) in &status.feeds {
        let labels = [("kind", name.as_str())];
        into.count(&OBJECTS, &labels, count(feed.objects));
        into.count(&QUARANTINED, &labels, count(feed.quarantined));
        let is_watched = matches!(feed.state, FeedState::Watching);
        into.count(&WATCHED, &labels, u64::from(is_watched));
        into.add(&STALE, &labels, feed.staleness(now).as_secs_f64());
        into.count(&EVENTS, &labels, feed.events);
        into.count(&LISTS, &labels, feed.lists);
        for (reason, errors) in &feed.errors {
            into.count(&ERRORS, &[labels[0], ("reason", reason)], *errors);
        }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
