//! `show metrics` and the exporter of `[metrics]`: sessions and tables, from the very counters of
//! `show bgp`.
//!
//! Samples of a neighbor carry its address and description. Nothing here grows with routes, so one
//! step of the thread is enough for all of it; the text is made in the exporter's thread.

mod aliases;

use std::rc::Rc;
use std::time::{Duration, Instant};

use ctl::metrics::{Ask, Collector, Exporter, Metric};
use ctl::server::Replies;
use proto_codec::afi::Family;
use proto_codec::control::view::MetricFamily;
use proto_codec::control::{Tail, View};
use tokio::sync::mpsc;

use super::summary::{count, elapsed_ms, uptime_ms};
use super::{Answer, Context, send};
use crate::io::node::Node;
use crate::speaker::Speaker;
use crate::speaker::peers::Entry;

/// An address that cannot be listened on is tried again after this.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Questions of the exporter that wait; it asks one at a time.
const ASKS_MAX: usize = 4;

const BUILD: Metric = Metric::gauge("wayfare_bgp_build_info", "Release of the daemon; always 1.");
const UPTIME: Metric = Metric::gauge(
    "wayfare_bgp_uptime_seconds",
    "Time since the daemon started.",
);
const RESIDENT: Metric = Metric::gauge(
    "wayfare_bgp_resident_memory_bytes",
    "Memory that the process really has.",
);
const PREFIXES: Metric = Metric::gauge("wayfare_bgp_prefixes", "Prefixes of the table.");
const TABLE_BYTES: Metric = Metric::gauge(
    "wayfare_bgp_table_memory_bytes",
    "Memory of the table with its paths.",
);
const ATTRIBUTES: Metric = Metric::gauge(
    "wayfare_bgp_attribute_sets",
    "Distinct sets of path attributes.",
);
const UP: Metric = Metric::gauge(
    "wayfare_bgp_neighbor_up",
    "1 while the session is Established.",
);
const STATE_SECONDS: Metric = Metric::gauge(
    "wayfare_bgp_neighbor_state_seconds",
    "How long it has been Established, or not.",
);
const ESTABLISHED: Metric = Metric::counter(
    "wayfare_bgp_neighbor_established_total",
    "Times the session came up.",
);
const DROPPED: Metric = Metric::counter(
    "wayfare_bgp_neighbor_dropped_total",
    "Times the session went down.",
);
const RECEIVED: Metric = Metric::counter(
    "wayfare_bgp_neighbor_messages_received_total",
    "Messages received.",
);
const SENT: Metric = Metric::counter("wayfare_bgp_neighbor_messages_sent_total", "Messages sent.");
const ACCEPTED: Metric = Metric::gauge(
    "wayfare_bgp_neighbor_prefixes_received",
    "Prefixes accepted from the neighbor.",
);
const ADVERTISED: Metric = Metric::gauge(
    "wayfare_bgp_neighbor_prefixes_sent",
    "Prefixes advertised to the neighbor.",
);

/// `show metrics`.
pub(super) async fn show(context: &Context, replies: &Replies) -> Answer {
    let families = gather(&context.node);
    send(replies, families.into_iter().map(View::MetricFamily)).await?;
    Ok(Ok(Tail::default()))
}

fn gather(node: &Node) -> Vec<MetricFamily> {
    let mut into = Collector::default();
    node.peek(|speaker, now| {
        let version = env!("CARGO_PKG_VERSION");
        into.add(&BUILD, &[("version", version)], 1.0);
        into.add(&UPTIME, &[], seconds(elapsed_ms(speaker.started(), now)));
        if let Some(bytes) = ctl::metrics::resident_set() {
            into.count(&RESIDENT, &[], bytes);
        }
        for family in Family::ALL {
            let stats = speaker.rib().table_stats(family);
            let labels = [("family", word(family))];
            into.count(&PREFIXES, &labels, count(stats.prefixes));
            into.count(&TABLE_BYTES, &labels, count(stats.memory));
        }
        let shared = speaker.rib().shared_stats();
        into.count(&ATTRIBUTES, &[], count(shared.attr_sets));
        for entry in speaker.peers().iter() {
            of_neighbor(speaker, entry, now, &mut into);
        }
        aliases::add(speaker, now, &mut into);
    });
    super::kubernetes::samples(node, &mut into);
    into.finish()
}

fn word(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4-unicast",
        Family::Ipv6Unicast => "ipv6-unicast",
    }
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

fn of_neighbor(speaker: &Speaker, entry: &Entry, now: Instant, into: &mut Collector) {
    let address = entry.address.to_string();
    let description = entry.neighbor.settings.description.as_deref();
    let labels = [
        ("neighbor", address.as_str()),
        ("description", description.unwrap_or_default()),
    ];
    let stats = entry.peer.stats();
    let routes = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
    into.count(&UP, &labels, u64::from(entry.is_up()));
    if let Some(ms) = uptime_ms(entry, now) {
        into.add(&STATE_SECONDS, &labels, seconds(ms));
    }
    into.count(&ESTABLISHED, &labels, stats.established);
    into.count(&DROPPED, &labels, stats.dropped);
    into.count(&RECEIVED, &labels, stats.received.total());
    into.count(&SENT, &labels, stats.sent.total());
    for family in Family::ALL {
        if family.pick(entry.neighbor.settings.families) {
            let labels = [labels[0], labels[1], ("family", word(family))];
            let accepted = u64::from(family.pick(routes.accepted));
            into.count(&ACCEPTED, &labels, accepted);
            into.count(&ADVERTISED, &labels, family.pick(routes.advertised));
        }
    }
}

/// Serves what `[metrics]` asks for as long as the daemon runs; without the table, nothing. Another
/// address takes effect at the next start, as the plan of a reload says.
pub async fn serve(node: Rc<Node>) {
    let wanted = node.peek(|speaker, _| speaker.config().metrics.as_ref().map(|it| it.listen));
    let Some(listen) = wanted else {
        return;
    };
    let (sender, mut asks) = mpsc::channel(ASKS_MAX);
    let mut said = false;
    let _exporter = loop {
        match Exporter::start(listen, sender.clone()) {
            Ok(exporter) => break exporter,
            Err(error) if !said => {
                said = true;
                tracing::error!(address = %listen, %error, "metrics cannot be served; retried");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_AFTER).await;
    };
    tracing::info!(address = %listen, "metrics are served");
    while let Some(ask) = asks.recv().await {
        // Whoever asked may be gone by now.
        match ask {
            Ask::Metrics(reply) => drop(reply.send(gather(&node))),
            Ask::Ready(reply) => drop(reply.send(Ok(()))),
        }
    }
}
