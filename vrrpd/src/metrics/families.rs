//! The families, from copied rows.
//!
//! Each sample of a virtual router carries `name`, `interface` and `vrid`, so that alerts need no
//! joins. What has a peer in its labels is bounded by the list it comes from: sixteen conflicts
//! per virtual router, sixteen strangers per host.

use std::collections::BTreeSet;

use ctl::metrics::{Collector, Metric};
use proto_codec::control::view::{MetricFamily, VrrpInstance, VrrpState};

use super::Facts;

const BUILD: Metric = Metric::gauge(
    "wayfare_vrrp_build_info",
    "Release of the daemon; always 1.",
);
const UPTIME: Metric = Metric::gauge(
    "wayfare_vrrp_uptime_seconds",
    "Time since the daemon started.",
);
const CONFIG: Metric = Metric::gauge(
    "wayfare_vrrp_config_timestamp_seconds",
    "When the configuration in force was read, seconds since 1970.",
);
const ROUTERS: Metric = Metric::gauge("wayfare_vrrp_routers", "Virtual routers configured.");
const UNKNOWN: Metric = Metric::counter(
    "wayfare_vrrp_unknown_vrid_total",
    "Adverts for virtual routers that are not here.",
);
const STRANGER: Metric = Metric::gauge(
    "wayfare_vrrp_unknown_vrid_adverts",
    "Adverts of a virtual router that is not here, by link, vrid and last sender.",
);
const STATE: Metric = Metric::gauge(
    "wayfare_vrrp_state",
    "1 for the state the virtual router is in, 0 for the others.",
);
const STATE_SECONDS: Metric = Metric::gauge(
    "wayfare_vrrp_state_seconds",
    "How long it has been in this state.",
);
const PRIORITY: Metric = Metric::gauge("wayfare_vrrp_priority", "Priority as configured.");
const EFFECTIVE: Metric = Metric::gauge(
    "wayfare_vrrp_effective_priority",
    "Priority as advertised, with what tracking adds.",
);
const INTERVAL: Metric = Metric::gauge(
    "wayfare_vrrp_advertise_interval_seconds",
    "Advertisement interval as configured.",
);
const DOWN: Metric = Metric::gauge(
    "wayfare_vrrp_master_down_interval_seconds",
    "How long a silent master is waited for.",
);
const MASTER: Metric = Metric::gauge(
    "wayfare_vrrp_master_info",
    "The master by its address; always 1, absent while none is known.",
);
const CONFIGURED: Metric = Metric::gauge("wayfare_vrrp_addresses", "Virtual addresses configured.");
const HELD: Metric = Metric::gauge(
    "wayfare_vrrp_addresses_held",
    "Virtual addresses that are on this host now.",
);
const FAULTS: Metric = Metric::gauge(
    "wayfare_vrrp_faults",
    "What keeps it from taking part; the texts are in `show vrrp`.",
);
const RELEASED: Metric = Metric::gauge(
    "wayfare_vrrp_released",
    "1 while the operator's release is in force.",
);
const TRANSITIONS: Metric = Metric::counter(
    "wayfare_vrrp_transitions_total",
    "Changes of state, by the state that was entered and the reason.",
);
const SENT: Metric = Metric::counter("wayfare_vrrp_adverts_sent_total", "Adverts sent.");
const UNSENT: Metric = Metric::counter(
    "wayfare_vrrp_adverts_unsent_total",
    "Adverts that did not leave this host.",
);
const RECEIVED: Metric = Metric::counter(
    "wayfare_vrrp_adverts_received_total",
    "Adverts that passed every check.",
);
const DISCARDED: Metric = Metric::counter(
    "wayfare_vrrp_adverts_discarded_total",
    "Adverts that were discarded, by reason; none of them changed a timer or the state.",
);
const ZERO_SENT: Metric = Metric::counter(
    "wayfare_vrrp_priority_zero_sent_total",
    "Adverts with priority 0 sent: hand-overs.",
);
const ZERO_RECEIVED: Metric = Metric::counter(
    "wayfare_vrrp_priority_zero_received_total",
    "Adverts with priority 0 received: the master let go.",
);
const OTHER_CHECKSUM: Metric = Metric::counter(
    "wayfare_vrrp_other_checksum_received_total",
    "Accepted in the form of the checksum that is not sent here.",
);
const ANNOUNCEMENTS: Metric = Metric::counter(
    "wayfare_vrrp_announcements_total",
    "Gratuitous ARP and unsolicited neighbor advertisements, one for all addresses.",
);
const LATE: Metric = Metric::counter(
    "wayfare_vrrp_late_total",
    "Times this process found that it had stood still, and yielded or waited.",
);
const CHECK: Metric = Metric::gauge(
    "wayfare_vrrp_check_state",
    "1 for the verdict of the check, 0 for the others.",
);
const CHECK_SECONDS: Metric = Metric::gauge(
    "wayfare_vrrp_check_state_seconds",
    "Time since that verdict.",
);
const CHECK_PASSED: Metric = Metric::counter(
    "wayfare_vrrp_check_passed_total",
    "Good answers of the check.",
);
const CHECK_FAILED: Metric = Metric::counter(
    "wayfare_vrrp_check_failed_total",
    "Bad answers of the check.",
);
const CHECK_FALLS: Metric = Metric::counter(
    "wayfare_vrrp_check_falls_total",
    "How often the check became bad.",
);
const CONFLICT: Metric = Metric::gauge(
    "wayfare_vrrp_conflict",
    "How often a conflict was seen since it began, by kind and peer; absent when it is over.",
);
const CONFLICT_SECONDS: Metric = Metric::gauge(
    "wayfare_vrrp_conflict_seconds",
    "How long ago a conflict began.",
);

/// The families of `facts`.
#[must_use]
pub fn families(facts: &Facts) -> Vec<MetricFamily> {
    let mut into = Collector::default();
    let version = env!("CARGO_PKG_VERSION");
    into.add(&BUILD, &[("version", version)], 1.0);
    into.add(&UPTIME, &[], facts.uptime.as_secs_f64());
    into.add(&CONFIG, &[], seconds(facts.config_epoch_ms));
    let routers = u64::try_from(facts.rows.len()).unwrap_or(u64::MAX);
    into.count(&ROUTERS, &[], routers);
    into.count(&UNKNOWN, &[], facts.unknown_vrid);
    for one in &facts.strangers {
        let (vrid, peer) = (one.vrid.to_string(), one.peer.to_string());
        let family = if one.ipv6 { "ipv6" } else { "ipv4" };
        let labels = [
            ("interface", one.interface.as_str()),
            ("family", family),
            ("vrid", &vrid),
            ("peer", &peer),
        ];
        into.count(&STRANGER, &labels, one.count);
    }
    for row in &facts.rows {
        let vrid = row.vrid.to_string();
        let labels = [
            ("name", row.name.as_str()),
            ("interface", row.interface.as_str()),
            ("vrid", vrid.as_str()),
        ];
        of_state(row, &labels, &mut into);
        of_counters(row, &labels, &mut into);
        of_conflicts(row, &labels, &mut into);
        of_checks(row, &labels, &mut into);
    }
    into.finish()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "times of day and intervals are far below 2^53 ms"
)]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// The labels of a row and more.
fn with<'a>(labels: &[(&'a str, &'a str)], more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    labels.iter().chain(more).copied().collect()
}

fn of_state(row: &VrrpInstance, labels: &[(&str, &str)], into: &mut Collector) {
    for (state, word) in [
        (VrrpState::Initialize, "initialize"),
        (VrrpState::Backup, "backup"),
        (VrrpState::Master, "master"),
    ] {
        let labels = with(labels, &[("state", word)]);
        into.add(&STATE, &labels, flag(row.state == state));
    }
    into.add(&STATE_SECONDS, labels, seconds(row.state_ms));
    into.add(&PRIORITY, labels, f64::from(row.priority));
    into.add(&EFFECTIVE, labels, f64::from(row.effective_priority));
    into.add(&INTERVAL, labels, seconds(row.advertise_interval_ms));
    into.add(&DOWN, labels, seconds(row.down_interval_us) / 1000.0);
    if let Some(address) = row.master_address {
        let address = address.to_string();
        into.add(&MASTER, &with(labels, &[("master", &address)]), 1.0);
    }
    let addresses = u64::try_from(row.addresses.len()).unwrap_or(u64::MAX);
    let held = if row.holds_addresses { addresses } else { 0 };
    into.count(&CONFIGURED, labels, addresses);
    into.count(&HELD, labels, held);
    let faults = u64::try_from(row.faults.len()).unwrap_or(u64::MAX);
    into.count(&FAULTS, labels, faults);
    into.add(&RELEASED, labels, flag(row.released));
}

fn of_counters(row: &VrrpInstance, labels: &[(&str, &str)], into: &mut Collector) {
    let counters = &row.counters;
    for one in &counters.transitions_by {
        let labels = with(labels, &[("to", &one.to), ("reason", &one.reason)]);
        into.count(&TRANSITIONS, &labels, one.count);
    }
    into.count(&SENT, labels, counters.adverts_sent);
    into.count(&UNSENT, labels, counters.unsent);
    into.count(&RECEIVED, labels, counters.adverts_received);
    for (reason, count) in &counters.discarded {
        into.count(&DISCARDED, &with(labels, &[("reason", reason)]), *count);
    }
    into.count(&ZERO_SENT, labels, counters.priority_zero_sent);
    into.count(&ZERO_RECEIVED, labels, counters.priority_zero_received);
    into.count(&OTHER_CHECKSUM, labels, counters.other_checksum_received);
    into.count(&ANNOUNCEMENTS, labels, counters.announcements);
    into.count(&LATE, labels, counters.late);
}

fn of_conflicts(row: &VrrpInstance, labels: &[(&str, &str)], into: &mut Collector) {
    for one in &row.conflicts {
        let peer = one.peer.to_string();
        let labels = with(labels, &[("kind", &one.kind), ("peer", &peer)]);
        into.count(&CONFLICT, &labels, one.count);
        into.add(&CONFLICT_SECONDS, &labels, seconds(one.since_ms));
    }
}

fn of_checks(row: &VrrpInstance, labels: &[(&str, &str)], into: &mut Collector) {
    let mut seen = BTreeSet::new();
    for one in &row.checks {
        // The same check twice on one router (with two weights) is one series.
        if !seen.insert(one.check.as_str()) {
            continue;
        }
        let labels = with(labels, &[("check", &one.check)]);
        for word in ["unknown", "good", "bad"] {
            let labels = with(&labels, &[("state", word)]);
            into.add(&CHECK, &labels, flag(one.state == word));
        }
        into.add(&CHECK_SECONDS, &labels, seconds(one.since_ms));
        into.count(&CHECK_PASSED, &labels, one.passed);
        into.count(&CHECK_FAILED, &labels, one.failed);
        into.count(&CHECK_FALLS, &labels, one.falls);
    }
}
