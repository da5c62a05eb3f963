//! `show vrrp`: each virtual router as a row of facts.
//!
//! Instances that only hand over are left out: they are no longer in the configuration. Times are
//! ages in milliseconds at the moment of the answer. Rows are taken from the node in portions of
//! [`ROWS_PER_TURN`], between which the thread looks after what is due: a thousand of them take
//! longer than an interval of 10 ms lasts.

use std::time::{Duration, Instant};

use proto_codec::control::View;
use proto_codec::control::view::{
    VrrpCheck, VrrpConflict, VrrpCounters, VrrpInstance, VrrpState, VrrpStranger, VrrpTransitions,
};
use proto_codec::vrrp::virtual_mac;

use crate::io::shared::Shared;
use crate::node::checks::Verdict;
use crate::node::{Node, Slot, SlotId};
use crate::router::{Router, State};

/// Rows copied before others have their turn.
const ROWS_PER_TURN: usize = 16;

/// All rows, with a pause after each portion.
pub(crate) async fn all_rows(shared: &Shared) -> Vec<VrrpInstance> {
    let ids: Vec<SlotId> = shared.peek(|node, _| node.slots().map(|(id, _)| id).collect());
    let mut rows = Vec::with_capacity(ids.len());
    for portion in ids.chunks(ROWS_PER_TURN) {
        shared.peek(|node, now| {
            let slots = portion.iter().filter_map(|id| Some((*id, node.slot(*id)?)));
            let shown = slots.filter(|(_, slot)| !slot.leaving);
            rows.extend(shown.map(|one| row(node, one, now)));
        });
        tokio::task::yield_now().await;
    }
    rows
}

/// The rows of those on `interface` with `vrid`, in the order of their names.
pub(super) async fn rows(shared: &Shared, interface: Option<&str>, vrid: Option<u8>) -> Vec<View> {
    let mut rows = all_rows(shared).await;
    rows.retain(|row| {
        interface.is_none_or(|name| row.interface == name)
            && vrid.is_none_or(|vrid| row.vrid == vrid)
    });
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows.into_iter()
        .map(|row| View::VrrpInstance(Box::new(row)))
        .collect()
}

/// Virtual routers of others that were heard.
pub(super) fn strangers(node: &Node, now: Instant, interface: Option<&str>) -> Vec<View> {
    let all = node.strangers().iter();
    let there = all.filter(|one| interface.is_none_or(|name| one.interface == name));
    there
        .map(|one| {
            View::VrrpStranger(VrrpStranger {
                interface: one.interface.clone(),
                ipv6: one.ipv6,
                vrid: one.vrid,
                peer: one.peer,
                count: one.count,
                last_ms: ms(now.saturating_duration_since(one.last)),
            })
        })
        .collect()
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// One virtual router.
pub(crate) fn row(node: &Node, (id, slot): (SlotId, &Slot), now: Instant) -> VrrpInstance {
    let router = &slot.router;
    let settings = router.settings();
    let link = slot.link.and_then(|index| node.hosts().link_at(index));
    let (master_interval, down_interval) = router.intervals();
    let master = match router.state() {
        State::Master => router
            .primary()
            .map(|own| (own, router.effective_priority())),
        _ => router.master().map(|it| (it.address, it.priority)),
    };
    let group = node.group_of(id);
    let mac = virtual_mac(settings.vrid, settings.ipv6());
    VrrpInstance {
        name: slot.instance.name.clone(),
        interface: link.map_or_else(String::new, |link| link.name.clone()),
        vrid: settings.vrid,
        version: settings.version.number(),
        state: state(router.state()),
        priority: settings.priority,
        effective_priority: router.effective_priority(),
        advertise_interval_ms: ms(settings.interval),
        master_address: master.map(|(address, _)| address),
        addresses: slot
            .instance
            .networks
            .iter()
            .map(ToString::to_string)
            .collect(),
        transitions: router.stats().transitions,
        master_priority: master.map(|(_, priority)| priority),
        master_interval_ms: ms(master_interval),
        down_interval_us: u64::try_from(down_interval.as_micros()).unwrap_or(u64::MAX),
        primary_address: router.primary(),
        virtual_mac: mac.map(|octet| format!("{octet:02x}")).join(":"),
        preempt: settings.preempt,
        checksum: settings.checksum.word().to_owned(),
        unicast_peers: settings.unicast_peers.clone(),
        state_ms: ms(now.saturating_duration_since(router.since())),
        holds_addresses: router.is_holding(),
        faults: router.faults().map(ToString::to_string).collect(),
        released: router.is_released(),
        conflicts: conflicts(router, now),
        checks: checks(node, slot, now),
        counters: counters(router),
        routes: slot
            .instance
            .routes
            .iter()
            .map(ToString::to_string)
            .collect(),
        route_problems: slot.route_problems.clone(),
        sync_group: group.map(|(name, _)| name.to_owned()),
        sync_group_state: group.and_then(|(_, shared)| shared).map(state),
    }
}

fn state(state: State) -> VrrpState {
    match state {
        State::Initialize => VrrpState::Initialize,
        State::Backup => VrrpState::Backup,
        State::Master => VrrpState::Master,
    }
}

/// How the checks of an instance stand. Also what an exporter reads.
pub(crate) fn checks(node: &Node, slot: &Slot, now: Instant) -> Vec<VrrpCheck> {
    let tracked = slot.instance.track.iter();
    let standing = tracked.filter_map(|one| Some((one, node.checks().standing(&one.check)?)));
    standing
        .map(|(one, standing)| VrrpCheck {
            check: node.checks().name(&one.check).to_owned(),
            weight: one.weight.to_string(),
            state: match standing.verdict {
                Verdict::Unknown => "unknown",
                Verdict::Good => "good",
                Verdict::Bad => "bad",
            }
            .to_owned(),
            since_ms: ms(now.saturating_duration_since(standing.since)),
            last_result: standing
                .last
                .as_ref()
                .map_or_else(String::new, |last| last.text.clone()),
            passed: standing.passed,
            failed: standing.failed,
            falls: standing.falls,
            held_ms: standing
                .held_until
                .map(|due| ms(due.saturating_duration_since(now))),
        })
        .collect()
}

fn conflicts(router: &Router, now: Instant) -> Vec<VrrpConflict> {
    let ago = |then| ms(now.saturating_duration_since(then));
    router
        .conflicts()
        .map(|one| VrrpConflict {
            peer: one.peer,
            kind: one.kind.name().to_owned(),
            detail: one.detail.clone(),
            since_ms: ago(one.since),
            last_ms: ago(one.last),
            count: one.count,
        })
        .collect()
}

fn counters(router: &Router) -> VrrpCounters {
    let stats = router.stats();
    VrrpCounters {
        adverts_sent: stats.adverts_sent,
        adverts_received: stats.adverts_received,
        priority_zero_sent: stats.priority_zero_sent,
        priority_zero_received: stats.priority_zero_received,
        other_checksum_received: stats.other_checksum_received,
        became_master: stats.became_master,
        announcements: stats.announcements,
        transitions_by: stats
            .transitions_by
            .iter()
            .map(|((to, reason), count)| VrrpTransitions {
                to: (*to).to_owned(),
                reason: (*reason).to_owned(),
                count: *count,
            })
            .collect(),
        late: stats.late,
        unsent: stats.unsent,
        untold_conflicts: router.untold_conflicts(),
        discarded: stats
            .discarded
            .iter()
            .map(|(reason, count)| ((*reason).to_owned(), *count))
            .collect(),
    }
}
