//! `show bgp summary`: per family, the table and the neighbors that have it configured.
//!
//! A neighbor is listed under each family of its configuration, in address order; while it is
//! Established without having negotiated the family it is listed as such. FRR shows the same.

use std::time::Instant;

use ctl::server::Replies;
use proto_codec::afi::Family;
use proto_codec::bgp::Capability;
use proto_codec::bgp::notification::printable;
use proto_codec::control::view::{PeerState, PeerSummary, SummaryFamily};
use proto_codec::control::{Tail, View};

use super::{Answer, Context, internal, send, shown};
use crate::config::{AsnRule, NeighborOrigin, PolicyRef};
use crate::io::events::epoch_ms;
use crate::session::State;
use crate::speaker::Speaker;
use crate::speaker::peers::{Entry, Hold};

/// Octets of one neighbor outside the tables: its entry, its machine, its attribute cache.
const PEER_LEN: u64 = 4096;

/// `show bgp [FAMILY] summary`.
pub(super) async fn show(
    context: &Context,
    replies: &Replies,
    family: Option<proto_codec::control::Family>,
) -> Answer {
    replies.head(context.head(None)).await?;
    let rows = context.node.peek(|speaker, now| {
        let mut rows = Vec::new();
        for one in Family::ALL {
            let asked = family.map(internal);
            if asked.is_some_and(|asked| asked != one) {
                continue;
            }
            let members: Vec<&Entry> = speaker
                .peers()
                .iter()
                .filter(|entry| one.pick(entry.neighbor.settings.families))
                .collect();
            if members.is_empty() && asked.is_none() && speaker.rib().table_stats(one).prefixes == 0
            {
                continue;
            }
            let family = family_row(speaker, one, members.len());
            let version = family.table_version;
            rows.push(View::SummaryFamily(family));
            let peers = members.iter().map(|entry| PeerSummary {
                table_version: version,
                ..peer_row(speaker, entry, one, now)
            });
            rows.extend(peers.map(View::PeerSummary));
        }
        rows
    });
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

fn family_row(speaker: &Speaker, family: Family, peers: usize) -> SummaryFamily {
    let stats = speaker.rib().table_stats(family);
    let peers = u64::try_from(peers).unwrap_or(u64::MAX);
    let groups: std::collections::BTreeSet<&String> = speaker
        .peers()
        .iter()
        .filter_map(|entry| entry.neighbor.peer_group.as_ref())
        .collect();
    SummaryFamily {
        family: shown(family),
        table_version: stats.version,
        rib_count: count(stats.prefixes),
        rib_memory: count(stats.memory),
        peer_count: peers,
        peer_memory: peers * PEER_LEN,
        peer_group_count: count(groups.len()),
        multipath_relax: speaker.config().router.multipath_relax,
    }
}

pub(super) fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

fn peer_row(speaker: &Speaker, entry: &Entry, family: Family, now: Instant) -> PeerSummary {
    let stats = entry.peer.stats();
    let routes = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
    let up = entry.up.as_ref();
    let uptime = uptime_ms(entry, now);
    PeerSummary {
        address: entry.address,
        remote_asn: remote_asn(speaker, entry),
        local_asn: speaker.config().router.asn,
        state: state(entry),
        dynamic: entry.neighbor.origin == NeighborOrigin::Dynamic,
        negotiated: up.is_some_and(|up| family.pick(up.established.negotiated.families)),
        import_blocked: entry.neighbor.settings.import == PolicyRef::Missing,
        export_blocked: entry.neighbor.settings.export == PolicyRef::Missing,
        hostname: hostname(entry),
        description: entry.neighbor.settings.description.clone(),
        messages_received: stats.received.total(),
        messages_sent: stats.sent.total(),
        // The caller knows; to ask for each row would cost the square of the neighbors.
        table_version: 0,
        // What is read is handled in the same step.
        in_queue: 0,
        out_queue: family.pick(routes.waiting) + speaker.unwritten(entry.slot),
        uptime_ms: uptime,
        established_epoch_ms: up.map(|up| epoch_ms() - elapsed_ms(up.since, now)),
        prefixes_received: u64::from(family.pick(routes.accepted)),
        prefixes_sent: family.pick(routes.advertised),
        established_count: stats.established,
        dropped_count: stats.dropped,
    }
}

/// Time in Established, or since it was last left.
pub(super) fn uptime_ms(entry: &Entry, now: Instant) -> Option<u64> {
    let since = match &entry.up {
        Some(up) => up.since,
        None => entry.peer.stats().last_down.as_ref()?.0,
    };
    Some(elapsed_ms(since, now))
}

pub(super) fn elapsed_ms(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
}

/// The AS it showed, else the one it is expected to show; 0 where any other AS will do.
pub(super) fn remote_asn(speaker: &Speaker, entry: &Entry) -> u32 {
    let shown = entry
        .peer
        .view()
        .and_then(|view| view.remote_open.map(|open| open.asn));
    shown.unwrap_or(match entry.neighbor.settings.asn {
        AsnRule::Exact(asn) => asn,
        AsnRule::Internal => speaker.config().router.asn,
        AsnRule::External => 0,
    })
}

/// The state in the operator's words, with why it is held in Idle.
pub(super) fn state(entry: &Entry) -> PeerState {
    match (entry.peer.state(), entry.hold) {
        (State::Idle, Hold::Admin) => PeerState::IdleAdmin,
        (State::Idle, Hold::PrefixLimit) => PeerState::IdlePrefixLimit,
        (State::Idle, Hold::None) => PeerState::Idle,
        (State::Connect, _) => PeerState::Connect,
        (State::Active, _) => PeerState::Active,
        (State::OpenSent, _) => PeerState::OpenSent,
        (State::OpenConfirm, _) => PeerState::OpenConfirm,
        (State::Established, _) => PeerState::Established,
    }
}

/// The name it told us (FQDN capability), without anything that a terminal obeys.
pub(super) fn hostname(entry: &Entry) -> Option<String> {
    let open = entry.peer.view()?.remote_open?;
    open.capabilities
        .iter()
        .find_map(|capability| match capability {
            Capability::Fqdn { host, .. } => Some(printable(host).into_owned()),
            _ => None,
        })
}
