//! Paths of the tables as the operator sees them.
//!
//! A table row carries the few facts that fill FRR's columns; the detail of one prefix carries
//! every attribute. Both come from the same view of the RIB, so a column and the detail never
//! disagree.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use proto_codec::bgp::{AttrSet, NextHop};
use proto_codec::control::view::{AttrView, Path, PathKind, PeerRef, UnknownAttr};
use rib::{PathView, PeerSlot};

use crate::io::events::epoch_ms;
use crate::speaker::Speaker;

/// A path without the attributes that only the detail shows.
pub(super) fn row(view: &PathView) -> Path {
    let attrs = &view.attrs;
    let (next_hop, link_local) = match attrs.next_hop() {
        NextHop::V4(address) => (IpAddr::V4(address), None),
        NextHop::V6 { global, link_local } => (IpAddr::V6(global), link_local),
    };
    Path {
        kind: match view.kind {
            rib::PathKind::Local => PathKind::Local,
            rib::PathKind::External => PathKind::External,
            rib::PathKind::Internal => PathKind::Internal,
        },
        peer: view.peer.map(|address| PeerRef {
            address,
            router_id: view.router_id,
        }),
        origin: attrs.origin().value(),
        as_path: attrs.as_path().to_string(),
        next_hop,
        next_hop_link_local: link_local,
        med: attrs.med(),
        local_pref: attrs.local_pref(),
        weight: view.weight,
        valid: view.valid,
        best: view.best,
        multipath: view.multipath,
        stale: view.stale,
        rejected: view.filtered,
        reason: view.reason.map(|reason| reason.as_str().to_owned()),
        path_id_rx: view.path_id,
        path_id_tx: 0,
        attrs: None,
    }
}

/// A path as it was received or sent, before policy where that is asked for.
pub(super) fn received_row(view: &PathView) -> Path {
    let mut unfiltered = view.clone();
    unfiltered.attrs.clone_from(&view.received);
    row(&unfiltered)
}

/// A path with everything.
pub(super) fn detail(
    speaker: &Speaker,
    view: &PathView,
    advertised_to: &[PeerSlot],
    now: Instant,
) -> Path {
    let age = now.saturating_duration_since(speaker.started());
    let stamp = Duration::from_secs(u64::from(view.stamp_s));
    let updated = epoch_ms().saturating_sub(ms(age.saturating_sub(stamp)));
    let addresses = advertised_to
        .iter()
        .filter(|_| view.best)
        .filter_map(|slot| speaker.peers().get(*slot).map(|entry| entry.address));
    let mut attrs = attributes(&view.attrs);
    attrs.igp_metric = (view.kind != rib::PathKind::Local).then_some(view.igp_metric);
    attrs.advertised_to = addresses.collect();
    attrs.last_update_epoch_ms = Some(updated);
    attrs.origin_source.clone_from(&view.origin_source);
    Path {
        attrs: Some(Box::new(attrs)),
        ..row(view)
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn attributes(set: &AttrSet) -> AttrView {
    AttrView {
        atomic_aggregate: set.atomic_aggregate(),
        aggregator: set.aggregator(),
        communities: set.communities().collect(),
        large_communities: set
            .large_communities()
            .map(|community| (community.global, community.local1, community.local2))
            .collect(),
        ext_communities: set.ext_communities().collect(),
        originator_id: set.originator_id(),
        cluster_list: set.cluster_list().collect(),
        aigp: set.aigp(),
        otc: set.otc(),
        unknown: set
            .others()
            .map(|attr| UnknownAttr {
                flags: attr.flags,
                type_code: attr.type_code,
                value: attr
                    .value
                    .iter()
                    .map(|octet| format!("{octet:02x}"))
                    .collect(),
            })
            .collect(),
        ..AttrView::default()
    }
}
