//! `show bgp neighbors`: everything known about each neighbor.
//!
//! The facts come from three places: the configuration (what we want), the session machine (what
//! was said and agreed) and the RIB (what was exchanged). What was received is shown only while a
//! session holds it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ctl::server::Replies;
use proto_codec::afi::Family;
use proto_codec::bgp::{Notification, Open};
use proto_codec::control::view::{
    AddPathState, CapabilityState, Endpoint, FamilyState, LastReset, MessageCounters, Neighbor,
    PrefixCounters, RestartState, Timers,
};
use proto_codec::control::{Fault, Tail, View};

use super::summary::{elapsed_ms, hostname, remote_asn, state, uptime_ms};
use super::{Answer, Context, send, shown};
use rib::Reject;

use crate::config::{GracefulRestart, NeighborOrigin, PolicyRef};
use crate::io::events::epoch_ms;
use crate::session::{DownReason, Timer};
use crate::speaker::Speaker;
use crate::speaker::peers::Entry;

/// `show bgp neighbors [ADDRESS]`.
pub(super) async fn neighbors(
    context: &Context,
    replies: &Replies,
    address: Option<IpAddr>,
) -> Answer {
    let rows: Vec<View> = context.node.peek(|speaker, now| {
        let wanted = |entry: &&Entry| address.is_none_or(|address| entry.address == address);
        let entries = speaker.peers().iter().filter(wanted);
        entries
            .map(|entry| View::Neighbor(Box::new(row(speaker, entry, now))))
            .collect()
    });
    if let (Some(address), true) = (address, rows.is_empty()) {
        return Ok(Err(Fault::not_found(format!(
            "there is no neighbor {address}"
        ))));
    }
    replies.head(context.head(None)).await?;
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

fn row(speaker: &Speaker, entry: &Entry, now: Instant) -> Neighbor {
    let settings = &entry.neighbor.settings;
    let view = entry.peer.view();
    let local_open = view.as_ref().map(|view| view.local_open);
    let remote_open = view.as_ref().and_then(|view| view.remote_open);
    let stats = entry.peer.stats();
    let object = entry.neighbor.object.as_ref();
    let role = |open: Option<&Open>| open.and_then(Open::role).map(role_name);
    Neighbor {
        address: entry.address,
        remote_asn: remote_asn(speaker, entry),
        local_asn: settings.local_asn.unwrap_or(speaker.config().router.asn),
        internal: settings.internal,
        route_reflector_client: settings.route_reflector_client,
        description: settings.description.clone(),
        peer_group: entry.neighbor.peer_group.clone(),
        hostname: hostname(entry),
        dynamic: entry.neighbor.origin == NeighborOrigin::Dynamic,
        local_role: role(local_open),
        remote_role: role(remote_open),
        state: state(entry),
        remote_router_id: remote_open.map(|open| open.router_id),
        local_router_id: speaker.config().router.router_id,
        uptime_ms: uptime_ms(entry, now),
        established_epoch_ms: entry
            .up
            .as_ref()
            .map(|up| epoch_ms() - elapsed_ms(up.since, now)),
        timers: timers(entry, now),
        capabilities: capabilities(local_open, remote_open),
        restart: restart(entry, remote_open),
        messages: messages(speaker, entry),
        prefixes: prefixes(speaker, entry),
        families: families(speaker, entry, local_open, remote_open),
        established_count: stats.established,
        dropped_count: stats.dropped,
        last_reset: last_reset(entry, now),
        hops_max: settings
            .ttl_security
            .or(settings.ebgp_multihop)
            .or((!settings.internal).then_some(1)),
        ttl_security: settings.ttl_security.is_some(),
        authenticated: settings.password.is_some(),
        pending_changes: entry.peer.pending_changes(),
        object: object.map(|object| object.name.clone()),
        held: object.and_then(|object| object.held.clone()),
        connection: view.map(|view| Endpoint {
            local: view.local,
            remote: view.remote,
        }),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn timers(entry: &Entry, now: Instant) -> Timers {
    let settings = &entry.neighbor.settings;
    let stats = entry.peer.stats();
    let negotiated = entry.up.as_ref().map(|up| &up.established.negotiated);
    let hold = negotiated.map_or(Duration::ZERO, |agreed| {
        Duration::from_secs(u64::from(agreed.hold_time_s))
    });
    let keepalive = if settings.keepalive.is_zero() {
        hold / 3
    } else {
        settings.keepalive.min(hold / 3)
    };
    let retry = entry.peer.timer(Timer::ConnectRetry);
    Timers {
        last_read_ms: stats.last_read.map(|at| elapsed_ms(at, now)),
        last_write_ms: stats.last_write.map(|at| elapsed_ms(at, now)),
        hold_ms: ms(hold),
        keepalive_ms: ms(keepalive),
        configured_hold_ms: ms(settings.hold_time),
        configured_keepalive_ms: ms(settings.keepalive),
        connect_retry_ms: ms(settings.connect_retry),
        next_connect_ms: retry.map(|at| ms(at.saturating_duration_since(now))),
    }
}

/// Capabilities without a value: code and FRR's name.
const CAPABILITIES: [(u8, &str); 5] = [
    (65, "4 Byte AS"),
    (6, "Extended Message"),
    (2, "Route refresh"),
    (70, "Enhanced Route Refresh"),
    (9, "Role"),
];

fn capabilities(local: Option<&Open>, remote: Option<&Open>) -> Vec<CapabilityState> {
    let offers = |open: Option<&Open>, code| open.is_some_and(|open| open.offers(code));
    CAPABILITIES
        .iter()
        .map(|&(code, name)| CapabilityState {
            name: name.to_owned(),
            advertised: offers(local, code),
            received: offers(remote, code),
        })
        .filter(|capability| capability.advertised || capability.received)
        .collect()
}

fn restart(entry: &Entry, remote: Option<&Open>) -> RestartState {
    let settings = &entry.neighbor.settings;
    let theirs = remote.and_then(Open::graceful_restart);
    RestartState {
        local_mode: match settings.graceful_restart {
            GracefulRestart::Off => "Disable",
            GracefulRestart::Helper => "Helper",
            GracefulRestart::Full => "Restart",
        }
        .to_owned(),
        remote_mode: match (remote, theirs) {
            (None, _) => "NotApplicable",
            (Some(_), None) => "Disable",
            (Some(_), Some(offer)) if offer.families.is_empty() => "Helper",
            (Some(_), Some(_)) => "Restart",
        }
        .to_owned(),
        configured_restart_s: u16::try_from(settings.graceful_restart_time.as_secs())
            .unwrap_or(u16::MAX),
        received_restart_s: theirs.map_or(0, |offer| offer.restart_time_s),
        restart_bit: theirs.is_some_and(|offer| offer.restarting),
        notification_bit: theirs.is_some_and(|offer| offer.notification),
    }
}

fn messages(speaker: &Speaker, entry: &Entry) -> MessageCounters {
    let stats = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
    let (sent, received) = (entry.peer.stats().sent, entry.peer.stats().received);
    MessageCounters {
        opens: (sent.open, received.open),
        notifications: (sent.notification, received.notification),
        updates: (sent.update, received.update),
        keepalives: (sent.keepalive, received.keepalive),
        route_refreshes: (sent.route_refresh, received.route_refresh),
        // What is read is handled in the same step.
        in_queue: 0,
        out_queue: stats.waiting.into_iter().sum::<u64>() + speaker.unwritten(entry.slot),
    }
}

fn prefixes(speaker: &Speaker, entry: &Entry) -> PrefixCounters {
    let stats = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
    let refused = |reason: Reject| {
        let mut counters = stats.rejects.iter();
        counters
            .find(|(of, _)| *of == reason)
            .map_or(0, |(_, routes)| routes)
    };
    let sum = |pair: [u32; 2]| pair.into_iter().map(u64::from).sum::<u64>();
    PrefixCounters {
        filtered: sum(stats.received) - sum(stats.accepted),
        as_path_loop: refused(Reject::AsLoop),
        originator_loop: refused(Reject::OriginatorLoop),
        cluster_loop: refused(Reject::ClusterLoop),
        invalid_next_hop: refused(Reject::NextHop),
        treat_as_withdraw: entry.malformed.treat_as_withdraw,
        attributes_discarded: entry.malformed.attribute_discard,
        own_range: entry.own_range_refused,
    }
}

fn families(
    speaker: &Speaker,
    entry: &Entry,
    local: Option<&Open>,
    remote: Option<&Open>,
) -> Vec<FamilyState> {
    let settings = &entry.neighbor.settings;
    let wanted = Family::ALL
        .into_iter()
        .filter(|family| family.pick(settings.families));
    wanted
        .map(|family| {
            let stats = speaker.rib().peer_stats(entry.slot).unwrap_or_default();
            let received = u64::from(family.pick(stats.received));
            let up = entry.up.as_ref();
            let blocked = |policy: &PolicyRef| *policy == PolicyRef::Missing;
            let named = |policy: &PolicyRef| match policy {
                PolicyRef::Named(name) => Some(name.clone()),
                PolicyRef::Default | PolicyRef::Missing => None,
            };
            FamilyState {
                family: shown(family),
                negotiated: up.is_some_and(|up| family.pick(up.established.negotiated.families)),
                advertised: local.is_some_and(|open| open.speaks(family)),
                received: remote.is_some_and(|open| open.speaks(family)),
                add_path: add_path(family, local, remote),
                update_group: family.pick(stats.group).map(u64::from),
                import_policy: named(&settings.import),
                export_policy: named(&settings.export),
                import_blocked: blocked(&settings.import),
                export_blocked: blocked(&settings.export),
                next_hop_self: settings.next_hop_self,
                reflector_client: settings.route_reflector_client,
                prefixes_max: settings.max_prefixes,
                prefixes_received: received,
                prefixes_accepted: u64::from(family.pick(stats.accepted)),
                prefixes_sent: family.pick(stats.advertised),
                end_of_rib_sent: up.is_some_and(|up| family.pick(up.end_of_rib_sent)),
                end_of_rib_received: up.is_some_and(|up| family.pick(up.end_of_rib)),
                stale: if stats.restarting { received } else { 0 },
            }
        })
        .collect()
}

fn add_path(family: Family, local: Option<&Open>, remote: Option<&Open>) -> AddPathState {
    let ours = local.and_then(|open| open.add_path(family));
    let theirs = remote.and_then(|open| open.add_path(family));
    AddPathState {
        rx_advertised: ours.is_some_and(|mode| mode.receives()),
        rx_received: theirs.is_some_and(|mode| mode.receives()),
        tx_advertised: ours.is_some_and(|mode| mode.sends()),
        tx_received: theirs.is_some_and(|mode| mode.sends()),
    }
}

fn last_reset(entry: &Entry, now: Instant) -> Option<LastReset> {
    let (at, cause) = entry.peer.stats().last_down.as_ref()?;
    let reset = LastReset {
        ago_ms: elapsed_ms(*at, now),
        reason: cause.to_string(),
        notification: None,
        notification_text: None,
        sent: false,
        message: None,
    };
    let with = |notification: &Notification, sent| LastReset {
        reason: if sent {
            "BGP Notification send"
        } else {
            "BGP Notification received"
        }
        .to_owned(),
        notification: Some((notification.code, notification.subcode)),
        notification_text: Some(notification.to_string()),
        sent,
        message: notification.shutdown_message(),
        ..reset.clone()
    };
    Some(match &cause.reason {
        Some(DownReason::Sent(notification)) => with(notification, true),
        Some(DownReason::Received(notification)) => with(notification, false),
        _ => reset,
    })
}

fn role_name(role: proto_codec::bgp::capability::Role) -> String {
    use proto_codec::bgp::capability::Role;
    match role {
        Role::Provider => "provider".to_owned(),
        Role::RouteServer => "rs-server".to_owned(),
        Role::RouteServerClient => "rs-client".to_owned(),
        Role::Customer => "customer".to_owned(),
        Role::Peer => "peer".to_owned(),
        Role::Unknown(value) => format!("role {value}"),
    }
}
