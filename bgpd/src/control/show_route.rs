//! `show bgp`: tables, one prefix, and what a neighbor sent or was sent.
//!
//! Every listing is a cursor of the RIB that is moved in turns (see `io::listings`): a fraction
//! of a millisecond each, in which rows are looked up and encoded, so that the turn is all they
//! cost. Rows are handed to the client between the turns, and a turn is only taken when the client
//! has read: the walk is as fast as the client, and no faster than routes allow.

use std::net::IpAddr;

use ctl::server::Replies;
use ipnet::IpNet;
use proto_codec::afi;
use proto_codec::control::view::{Path, Route, RouteDetail};
use proto_codec::control::{AdjKind, Family, Fault, PathFilter, TableFilter, Tail, View};
use rib::{PathView, RouteView, ScanCursor};

use super::summary::count;
use super::{Answer, Context, ROWS_PER_STEP, internal, paths, send, shown};
use crate::speaker::Speaker;

/// `show bgp FAMILY [PREFIX longer-prefixes]`.
pub(super) async fn table(
    context: &Context,
    replies: &Replies,
    family: Family,
    filter: TableFilter,
) -> Answer {
    let mut cursor = ScanCursor::table(internal(family));
    if let Some(net) = filter.within {
        cursor = cursor.within(net);
    }
    replies.head(context.head(Some(family))).await?;
    walk(context, replies, cursor, paths::row).await
}

/// `show bgp neighbors ADDRESS received-routes|routes|advertised-routes`.
pub(super) async fn of_neighbor(
    context: &Context,
    replies: &Replies,
    address: IpAddr,
    (kind, family): (AdjKind, Family),
) -> Answer {
    let slot = context
        .node
        .peek(|speaker, _| speaker.peers().slot_of(address));
    let Some(slot) = slot else {
        return Ok(Err(Fault::not_found(format!(
            "there is no neighbor {address}"
        ))));
    };
    let wanted = internal(family);
    let cursor = match kind {
        AdjKind::Received => ScanCursor::received(wanted, slot),
        AdjKind::Accepted => ScanCursor::accepted(wanted, slot),
        AdjKind::Advertised => ScanCursor::advertised(wanted, slot),
    };
    replies.head(context.head(Some(family))).await?;
    let row = match kind {
        AdjKind::Received => paths::received_row,
        AdjKind::Accepted | AdjKind::Advertised => paths::row,
    };
    walk(context, replies, cursor, row).await
}

/// The table's version: no prefix has changed later. None keeps a version of its own.
fn version(speaker: &Speaker, family: afi::Family) -> u64 {
    speaker.rib().table_stats(family).version
}

/// Walks a cursor to its end.
async fn walk(
    context: &Context,
    replies: &Replies,
    mut cursor: ScanCursor,
    path: fn(&PathView) -> Path,
) -> Answer {
    let mut tail = Tail::default();
    let versions = context
        .node
        .peek(|speaker, _| afi::Family::ALL.map(|family| version(speaker, family)));
    let mut done = false;
    while !done {
        // Waits for the client first, so that nobody who does not read holds a turn.
        let mut rows = replies.piece().await?;
        let turn = context.node.operators.next(tail.routes == 0).await;
        while !done && !turn.is_over() && !rows.is_full() {
            done = context.node.peek(|speaker, _| {
                speaker.rib().scan(&mut cursor, ROWS_PER_STEP, |route| {
                    tail.routes += 1;
                    tail.paths += count(route.paths.len());
                    rows.push(View::Route(Route {
                        prefix: route.prefix,
                        version: afi::Family::of(&route.prefix).pick(versions),
                        paths: route.paths.iter().map(path).collect(),
                    }));
                })
            });
        }
        drop(turn);
        if !rows.is_empty() {
            replies.rows(rows).await?;
        }
    }
    Ok(Ok(tail))
}

/// `show bgp PREFIX|ADDRESS [bestpath|multipath]`.
pub(super) async fn prefix(
    context: &Context,
    replies: &Replies,
    (prefix, exact): (IpNet, bool),
    filter: PathFilter,
) -> Answer {
    let row = context.node.peek(|speaker, now| {
        let route = if exact {
            speaker.rib().lookup(prefix)
        } else {
            speaker.rib().longest_match(prefix.addr())
        };
        let RouteView { prefix, paths } = route?.accepted()?;
        let advertised_to = speaker.rib().advertised_to(prefix);
        let wanted = paths.iter().filter(|path| match filter {
            PathFilter::All => true,
            PathFilter::Best => path.best,
            PathFilter::Multipath => path.best || path.multipath,
        });
        let best = paths.iter().any(|path| path.best);
        let beside = paths.iter().filter(|path| path.multipath).count();
        let family = afi::Family::of(&prefix);
        Some(RouteDetail {
            family: shown(family),
            prefix,
            version: version(speaker, family),
            path_count: count(paths.len()),
            multipath_count: count(beside.max(usize::from(best))),
            fib_installed: best && speaker.left_out(&prefix).is_none(),
            paths: wanted
                .map(|path| paths::detail(speaker, path, &advertised_to, now))
                .collect(),
        })
    });
    let Some(row) = row else {
        return Ok(Err(Fault::not_found("Network not in table")));
    };
    replies.head(context.head(Some(row.family))).await?;
    send(replies, [View::RouteDetail(row)]).await?;
    Ok(Ok(Tail {
        routes: 1,
        paths: 0,
    }))
}
