//! The same figures under the names of others, so that dashboards and alerts outlive a move.
//!
//! `[metrics] compat` names whose: MetalLB's speaker, the FRR exporter (tynany's), kube-router.
//! Names, types and labels are theirs, also where they are not what Prometheus asks for (gauges
//! that end in `_total`). A figure that has no counterpart here is left out: an alert on it then
//! says "no data", which is the truth.

use std::time::Instant;

use ctl::metrics::{Collector, Metric};
use proto_codec::afi::Family;

use super::super::summary::remote_asn;
use super::{count, seconds, uptime_ms};
use crate::speaker::Speaker;
use crate::speaker::peers::{Entry, Hold};

/// Adds what is asked for.
pub(super) fn add(speaker: &Speaker, now: Instant, into: &mut Collector) {
    let Some(metrics) = &speaker.config().metrics else {
        return;
    };
    for name in &metrics.compat {
        match name.as_str() {
            "metallb" => metallb(speaker, into),
            "frr" => frr(speaker, now, into),
            "kube-router" => kube_router(speaker, into),
            // The reader of the file lets no other word through.
            _ => {}
        }
    }
}

/// `metallb_bgp_*` of the speaker, with the label `peer` as host and port.
fn metallb(speaker: &Speaker, into: &mut Collector) {
    const UP: Metric = Metric::gauge(
        "metallb_bgp_session_up",
        "BGP session state (1 is up, 0 is down)",
    );
    const UPDATES: Metric = Metric::counter(
        "metallb_bgp_updates_total",
        "Number of BGP UPDATE messages sent",
    );
    const ANNOUNCED: Metric = Metric::gauge(
        "metallb_bgp_announced_prefixes_total",
        "Number of prefixes currently being advertised on the BGP session",
    );
    const PENDING: Metric = Metric::gauge(
        "metallb_bgp_pending_prefixes_total",
        "Number of prefixes that should be advertised on the BGP session",
    );
    const OPENS_SENT: Metric =
        Metric::counter("metallb_bgp_opens_sent", "Number of BGP open messages sent");
    const OPENS_RECEIVED: Metric = Metric::counter(
        "metallb_bgp_opens_received",
        "Number of BGP open messages received",
    );
    const NOTIFICATIONS_SENT: Metric = Metric::counter(
        "metallb_bgp_notifications_sent",
        "Number of BGP notification messages sent",
    );
    const KEEPALIVES_SENT: Metric = Metric::counter(
        "metallb_bgp_keepalives_sent",
        "Number of BGP keepalive messages sent",
    );
    const KEEPALIVES_RECEIVED: Metric = Metric::counter(
        "metallb_bgp_keepalives_received",
        "Number of BGP keepalive messages received",
    );
    const TOTAL_SENT: Metric = Metric::counter(
        "metallb_bgp_total_sent",
        "Number of total BGP messages sent",
    );
    const TOTAL_RECEIVED: Metric = Metric::counter(
        "metallb_bgp_total_received",
        "Number of total BGP messages received",
    );
    for entry in speaker.peers().iter() {
        let port = entry.neighbor.settings.port;
        let peer = match entry.address {
            std::net::IpAddr::V4(address) => format!("{address}:{port}"),
            std::net::IpAddr::V6(address) => format!("[{address}]:{port}"),
        };
        let labels = [("peer", peer.as_str()), ("vrf", "default")];
        let routes = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
        let advertised: u64 = Family::ALL
            .iter()
            .map(|family| family.pick(routes.advertised))
            .sum();
        let stats = entry.peer.stats();
        into.count(&UP, &labels, u64::from(entry.is_up()));
        into.count(&UPDATES, &labels, stats.sent.update);
        into.count(&ANNOUNCED, &labels, advertised);
        into.count(&PENDING, &labels, advertised);
        into.count(&OPENS_SENT, &labels, stats.sent.open);
        into.count(&OPENS_RECEIVED, &labels, stats.received.open);
        into.count(&NOTIFICATIONS_SENT, &labels, stats.sent.notification);
        into.count(&KEEPALIVES_SENT, &labels, stats.sent.keepalive);
        into.count(&KEEPALIVES_RECEIVED, &labels, stats.received.keepalive);
        into.count(&TOTAL_SENT, &labels, stats.sent.total());
        into.count(&TOTAL_RECEIVED, &labels, stats.received.total());
    }
}

/// `frr_bgp_*` of the FRR exporter.
fn frr(speaker: &Speaker, now: Instant, into: &mut Collector) {
    const PEERS: Metric = Metric::gauge("frr_bgp_peers_count_total", "Number peers.");
    const RIB: Metric = Metric::gauge("frr_bgp_rib_count_total", "Number of routes in the RIB.");
    const RIB_MEMORY: Metric =
        Metric::gauge("frr_bgp_rib_memory_bytes", "Memory consumbed by the RIB.");
    let local_as = speaker.config().router.asn.to_string();
    for family in Family::ALL {
        let labels = [
            ("vrf", "default"),
            ("afi", afi(family)),
            ("safi", "unicast"),
            ("local_as", local_as.as_str()),
        ];
        let stats = speaker.rib().table_stats(family);
        let of_family = |entry: &&Entry| family.pick(entry.neighbor.settings.families);
        let peers = speaker.peers().iter().filter(of_family).count();
        into.count(&PEERS, &labels, count(peers));
        into.count(&RIB, &labels, count(stats.prefixes));
        into.count(&RIB_MEMORY, &labels, count(stats.memory));
        for entry in speaker.peers().iter().filter(of_family) {
            frr_peer(speaker, (entry, family), now, into);
        }
    }
}

fn frr_peer(
    speaker: &Speaker,
    (entry, family): (&Entry, Family),
    now: Instant,
    into: &mut Collector,
) {
    const STATE: Metric = Metric::gauge(
        "frr_bgp_peer_state",
        "State of the peer (2 = Administratively Down, 1 = Established, 0 = Down).",
    );
    const UPTIME: Metric = Metric::gauge(
        "frr_bgp_peer_uptime_seconds",
        "How long has the peer been up.",
    );
    const RECEIVED: Metric = Metric::counter(
        "frr_bgp_peer_message_received_total",
        "Number of received messages.",
    );
    const SENT: Metric = Metric::counter(
        "frr_bgp_peer_message_sent_total",
        "Number of sent messages.",
    );
    const ACCEPTED: Metric = Metric::gauge(
        "frr_bgp_peer_prefixes_received_count_total",
        "Number of prefixes received.",
    );
    const ADVERTISED: Metric = Metric::gauge(
        "frr_bgp_peer_prefixes_advertised_count_total",
        "Number of prefixes advertised.",
    );
    let local_as = speaker.config().router.asn.to_string();
    let address = entry.address.to_string();
    let peer_as = remote_asn(speaker, entry).to_string();
    let description = entry.neighbor.settings.description.as_deref();
    let labels = [
        ("vrf", "default"),
        ("afi", afi(family)),
        ("safi", "unicast"),
        ("local_as", local_as.as_str()),
        ("peer", address.as_str()),
        ("peer_as", peer_as.as_str()),
        ("peer_desc", description.unwrap_or_default()),
    ];
    let stats = entry.peer.stats();
    let routes = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
    let state = match (entry.is_up(), entry.hold) {
        (true, _) => 1,
        (false, Hold::Admin) => 2,
        (false, _) => 0,
    };
    into.count(&STATE, &labels, state);
    if let Some(ms) = uptime_ms(entry, now).filter(|_| entry.is_up()) {
        into.add(&UPTIME, &labels, seconds(ms));
    }
    into.count(&RECEIVED, &labels, stats.received.total());
    into.count(&SENT, &labels, stats.sent.total());
    into.count(&ACCEPTED, &labels, u64::from(family.pick(routes.accepted)));
    into.count(&ADVERTISED, &labels, family.pick(routes.advertised));
}

/// `kube_router_controller_*`.
fn kube_router(speaker: &Speaker, into: &mut Collector) {
    const PEERS: Metric = Metric::gauge(
        "kube_router_controller_bgp_peers",
        "BGP peers in the runtime configuration",
    );
    const RECEIVED: Metric = Metric::gauge(
        "kube_router_controller_bgp_advertisements_received",
        "BGP advertisements received",
    );
    const SENT: Metric = Metric::gauge(
        "kube_router_controller_bgp_advertisements_sent",
        "BGP advertisements sent",
    );
    let (mut received, mut sent, mut peers) = (0_u64, 0_u64, 0_u64);
    for entry in speaker.peers().iter() {
        let stats = entry.peer.stats();
        peers += 1;
        received += stats.received.update;
        sent += stats.sent.update;
    }
    into.count(&PEERS, &[], peers);
    into.count(&RECEIVED, &[], received);
    into.count(&SENT, &[], sent);
}

fn afi(family: Family) -> &'static str {
    match family {
        Family::Ipv4Unicast => "ipv4",
        Family::Ipv6Unicast => "ipv6",
    }
}
