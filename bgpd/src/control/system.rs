//! The daemon itself: version, memory, what starts here, pools, and the kernel's routes.
//!
//! `show ip route` is answered by the kernel thread, page by page: it alone knows what was asked
//! for and what the kernel holds. The answer comes back over a one-shot channel, so nothing here
//! waits for the kernel while it holds the speaker.

use std::time::Duration;

use ctl::server::Replies;
use ipnet::IpNet;
use proto_codec::afi::Family as AfiFamily;
use proto_codec::control::view::{
    Advertisement, IpRoute, IpRouteHop, IpRouteState, Memory, Pool, RouteSource, Version,
};
use proto_codec::control::{Family, Fault, FaultKind, Tail, View};
use rib::fib::{RouteKind, RoutePage, RouteQuery, RouteView};
use tokio::sync::oneshot;

use super::summary::{count, elapsed_ms};
use super::{Answer, Context, send};
use crate::speaker::Speaker;

/// Addresses in use listed per pool; the count is always whole.
const IN_USE_MAX: usize = 1000;
/// Routes of one page of the kernel thread: a turn's worth.
const ROUTES_PER_PAGE: usize = 256;
/// Longest wait for one page of the kernel thread.
const KERNEL_PAGE_TIME_MAX: Duration = Duration::from_secs(10);

/// `show version`.
pub(super) async fn version(context: &Context, replies: &Replies) -> Answer {
    let row = context.node.peek(|speaker, now| Version {
        daemon: "bgpd".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_ms: elapsed_ms(speaker.started(), now),
        config: context.config_path.display().to_string(),
        config_epoch_ms: context.node.config_epoch_ms(),
    });
    send(replies, [View::Version(row)]).await?;
    Ok(Ok(Tail::default()))
}

/// `show memory`.
pub(super) async fn memory(context: &Context, replies: &Replies) -> Answer {
    let mut rows: Vec<Memory> = context.node.peek(|speaker, _| {
        let shared = speaker.rib().shared_stats();
        let mut rows: Vec<Memory> = [AfiFamily::Ipv4Unicast, AfiFamily::Ipv6Unicast]
            .into_iter()
            .map(|family| {
                let stats = speaker.rib().table_stats(family);
                part(&format!("{family} table"), stats.prefixes, stats.memory)
            })
            .collect();
        rows.push(part("attribute sets", shared.attr_sets, shared.attr_memory));
        rows.push(part("next hops", shared.next_hops, 0));
        rows.push(part("update groups", shared.groups, 0));
        rows
    });
    if let Some(bytes) = ctl::metrics::resident_set() {
        rows.push(Memory {
            name: "resident set".to_owned(),
            count: 0,
            bytes,
        });
    }
    send(replies, rows.into_iter().map(View::Memory)).await?;
    Ok(Ok(Tail::default()))
}

fn part(name: &str, items: usize, bytes: usize) -> Memory {
    Memory {
        name: name.to_owned(),
        count: count(items),
        bytes: count(bytes),
    }
}

/// `show bgp advertisements`.
pub(super) async fn advertisements(context: &Context, replies: &Replies) -> Answer {
    let rows: Vec<View> = context.node.peek(|speaker, _| {
        let sources = speaker.sources();
        let routes = sources.iter().flat_map(|source| {
            source
                .routes
                .iter()
                .map(|route| (source.name.as_str(), route))
        });
        routes
            .map(|(source, route)| {
                let advertised_to = advertised_to(speaker, route.prefix);
                View::Advertisement(Advertisement {
                    prefix: route.prefix,
                    source: source.to_owned(),
                    object: route.object.clone(),
                    state: state(speaker, advertised_to.is_empty()).to_owned(),
                    neighbors: route.marks.neighbors.clone().unwrap_or_default(),
                    advertised_to,
                })
            })
            .chain(speaker.announcements().map(|route| {
                let advertised_to = advertised_to(speaker, route.prefix);
                let objects: Vec<&str> = route.objects.iter().map(AsRef::as_ref).collect();
                View::Advertisement(Advertisement {
                    prefix: route.prefix,
                    source: route.source.to_string(),
                    object: objects.join(", "),
                    state: state(speaker, advertised_to.is_empty()).to_owned(),
                    neighbors: route.neighbors.clone().unwrap_or_default(),
                    advertised_to,
                })
            }))
            .collect()
    });
    replies.head(context.head(None)).await?;
    let routes = count(rows.len());
    send(replies, rows).await?;
    Ok(Ok(Tail {
        routes,
        paths: routes,
    }))
}

/// The neighbors that have been told of a prefix.
fn advertised_to(speaker: &Speaker, prefix: IpNet) -> Vec<std::net::IpAddr> {
    let slots = speaker.rib().advertised_to(prefix).into_iter();
    slots
        .filter_map(|slot| speaker.peers().get(slot).map(|entry| entry.address))
        .collect()
}

fn state(speaker: &Speaker, told_nobody: bool) -> &'static str {
    if !told_nobody {
        "advertised"
    } else if speaker.peers().iter().any(|entry| entry.is_up()) {
        "held back by policy"
    } else {
        "no neighbor"
    }
}

/// `show bgp pools`.
pub(super) async fn pools(context: &Context, replies: &Replies) -> Answer {
    let rows: Vec<View> = context.node.peek(|speaker, _| {
        let sources = speaker.sources();
        let announced = |name: &str| {
            let wanted = format!("pool:{name}");
            let source = sources.iter().find(|source| source.name == wanted);
            source.map(|source| source.routes.iter().map(|route| route.prefix).collect())
        };
        let status = speaker.book().status();
        status
            .map(|status| {
                View::Pool(Pool {
                    name: status.pool.name.clone(),
                    addresses: status.pool.ranges.iter().map(ToString::to_string).collect(),
                    size: u64::try_from(status.size).unwrap_or(u64::MAX),
                    in_use_count: count(status.in_use.len()),
                    prefixes: announced(&status.pool.name).unwrap_or_default(),
                    in_use: status.in_use.into_iter().take(IN_USE_MAX).collect(),
                })
            })
            .collect()
    });
    send(replies, rows).await?;
    Ok(Ok(Tail::default()))
}

/// `show ip route [bgp] [PREFIX]`.
pub(super) async fn ip_route(
    context: &Context,
    replies: &Replies,
    family: Family,
    (bgp_only, prefix): (bool, Option<IpNet>),
) -> Answer {
    replies.head(context.head(Some(family))).await?;
    let mut after = None;
    let mut routes = 0;
    loop {
        let query = RouteQuery {
            ipv4: family == Family::Ipv4Unicast,
            ours: bgp_only,
            prefix,
            after,
            max: ROUTES_PER_PAGE,
        };
        let Some(page) = kernel_page(context, query).await else {
            let text = "the kernel thread does not answer";
            return Ok(Err(Fault::new(FaultKind::Busy, text)));
        };
        routes += count(page.rows.len());
        let internal = |route: &RouteView| {
            context
                .node
                .peek(|speaker, _| best_is_internal(speaker, route.prefix))
        };
        let mut rows = replies.piece().await?;
        let turn = context.node.operators.next(false).await;
        for route in page.rows {
            let distance = distance(&route, internal(&route));
            rows.push(View::IpRoute(ip_route_row(route, distance)));
        }
        drop(turn);
        replies.rows(rows).await?;
        after = page.next;
        if after.is_none() {
            return Ok(Ok(Tail { routes, paths: 0 }));
        }
    }
}

fn best_is_internal(speaker: &Speaker, prefix: IpNet) -> bool {
    let route = speaker.rib().lookup(prefix);
    route.is_some_and(|route| {
        let mut paths = route.paths.iter();
        paths.any(|path| path.best && path.kind == rib::PathKind::Internal)
    })
}

async fn kernel_page(context: &Context, query: RouteQuery) -> Option<RoutePage> {
    let (sender, receiver) = oneshot::channel();
    let handle = context.node.kernel.handle()?;
    handle.routes(query, move |page| {
        // The client may be gone by now; then nobody wants the page.
        let _ = sender.send(page);
    });
    tokio::time::timeout(KERNEL_PAGE_TIME_MAX, receiver)
        .await
        .ok()?
        .ok()
}

/// FRR's administrative distances.
fn distance(route: &RouteView, internal: bool) -> u8 {
    match (route.ours, route.protocol) {
        (true, _) if internal => 200,
        (true, _) => 20,
        (false, PROTOCOL_KERNEL) => 0,
        (false, _) => 1,
    }
}

/// `RTPROT_KERNEL`: routes of addresses.
const PROTOCOL_KERNEL: u8 = 2;
/// `RTPROT_BOOT` and `RTPROT_STATIC`: routes of `ip route add` and of network configuration.
const PROTOCOL_STATIC: [u8; 2] = [3, 4];

fn ip_route_row(route: RouteView, distance: u8) -> IpRoute {
    let source = match (route.ours, route.protocol) {
        (true, _) => RouteSource::Bgp,
        (false, PROTOCOL_KERNEL) if route.next_hops.iter().all(|hop| hop.gateway.is_none()) => {
            RouteSource::Connected
        }
        (false, protocol) if PROTOCOL_STATIC.contains(&protocol) => RouteSource::Static,
        (false, _) => RouteSource::Kernel,
    };
    let state = match (route.ours, route.wanted, route.installed) {
        (false, _, _) | (true, true, true) => IpRouteState::Installed,
        (true, true, false) => IpRouteState::Queued,
        (true, false, _) => IpRouteState::Stale,
    };
    IpRoute {
        prefix: route.prefix,
        source,
        distance,
        metric: route.metric,
        table: route.table,
        protocol: route.protocol,
        state,
        next_hops: route
            .next_hops
            .into_iter()
            .map(|hop| IpRouteHop {
                gateway: hop.gateway,
                interface: Some(hop.name).filter(|name| !name.is_empty()),
                weight: u16::from(hop.weight),
            })
            .collect(),
        discard: route.kind == RouteKind::Discard,
        age_ms: None,
    }
}
