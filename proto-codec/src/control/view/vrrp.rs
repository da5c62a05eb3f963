//! Views of the VRRP daemon.
//!
//! The JSON of `show vrrp` is the serde form of [`VrrpInstance`]; its first fields are the
//! contract's, the others may grow.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// State of a virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrrpState {
    /// Takes no part.
    Initialize,
    /// Watches the master.
    Backup,
    /// Answers for the addresses.
    Master,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VrrpInstance {
    /// Its name.
    pub name: String,
    /// Its interface; empty while it has none.
    pub interface: String,
    /// Virtual router id.
    pub vrid: u8,
    /// 2 or 3.
    pub version: u8,
    /// The state.
    pub state: VrrpState,
    /// Priority as configured.
    pub priority: u8,
    /// Priority as advertised.
    pub effective_priority: u8,
    /// Interval as configured.
    pub advertise_interval_ms: u64,
    /// The master: the other's address, or our own; `null` when nobody is known.
    pub master_address: Option<IpAddr>,
    /// Virtual addresses with the length of their subnet.
    pub addresses: Vec<String>,
    /// Changes of state since the instance exists.
    pub transitions: u64,
    /// The master's priority.
    #[serde(default)]
    pub master_priority: Option<u8>,
    /// What the master advertises, which is what we wait by.
    #[serde(default)]
    pub master_interval_ms: u64,
    /// How long a silent master is waited for, in microseconds.
    #[serde(default)]
    pub down_interval_us: u64,
    /// The address adverts are sent from.
    #[serde(default)]
    pub primary_address: Option<IpAddr>,
    /// Virtual router MAC address (RFC 9568 §7.3).
    #[serde(default)]
    pub virtual_mac: String,
    /// Preemption.
    #[serde(default)]
    pub preempt: bool,
    /// Form of the version 3 checksum over IPv4 that is sent.
    #[serde(default)]
    pub checksum: String,
    /// Unicast peers; empty: multicast.
    #[serde(default)]
    pub unicast_peers: Vec<IpAddr>,
    /// Time in the state.
    #[serde(default)]
    pub state_ms: u64,
    /// The addresses are on the interface.
    #[serde(default)]
    pub holds_addresses: bool,
    /// What keeps it from taking part.
    #[serde(default)]
    pub faults: Vec<String>,
    /// The operator's `release` is in force.
    #[serde(default)]
    pub released: bool,
    /// What looks wrong with the segment.
    #[serde(default)]
    pub conflicts: Vec<VrrpConflict>,
    /// What is tracked, and how it stands.
    #[serde(default)]
    pub checks: Vec<VrrpCheck>,
    /// Counters.
    #[serde(default)]
    pub counters: VrrpCounters,
    /// Routes that are there while it is master.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Those that cannot be put, and why.
    #[serde(default)]
    pub route_problems: Vec<String>,
    /// The sync group it moves with.
    #[serde(default)]
    pub sync_group: Option<String>,
    /// The state of all members of that group; `null` while they differ.
    #[serde(default)]
    pub sync_group_state: Option<VrrpState>,
}

/// Something wrong with the segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VrrpConflict {
    /// With whom.
    pub peer: IpAddr,
    /// A stable word: `two-masters`, `checksum-differs`, or the reason of a discard.
    pub kind: String,
    /// The facts.
    pub detail: String,
    /// First seen so long ago.
    pub since_ms: u64,
    /// Last seen so long ago.
    pub last_ms: u64,
    /// How often.
    pub count: u64,
}

/// A check of a virtual router, as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VrrpCheck {
    /// What is asked: `https://127.0.0.1:6443/readyz`, `interface eth1`, `bgp 10.0.0.1`.
    pub check: String,
    /// What a verdict is worth: `fault`, `-50`, `content`.
    pub weight: String,
    /// `unknown`, `good` or `bad`.
    pub state: String,
    /// Time since that verdict.
    pub since_ms: u64,
    /// The last answer in words; empty before the first.
    pub last_result: String,
    /// Good answers.
    pub passed: u64,
    /// Bad answers.
    pub failed: u64,
    /// How often it became bad.
    pub falls: u64,
    /// It recovers, and counts as good when it has stayed so for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_ms: Option<u64>,
}

/// Counters of one virtual router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VrrpCounters {
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Adverts accepted.
    pub adverts_received: u64,
    /// Of those sent, with priority 0.
    pub priority_zero_sent: u64,
    /// Of those received, with priority 0.
    pub priority_zero_received: u64,
    /// Accepted in the form of the checksum that we do not send.
    pub other_checksum_received: u64,
    /// How often it became master.
    pub became_master: u64,
    /// Announcements made.
    pub announcements: u64,
    /// Changes of state by the state entered and the reason.
    pub transitions_by: Vec<VrrpTransitions>,
    /// How often the daemon found that it had stood still.
    pub late: u64,
    /// Adverts that did not leave the host.
    pub unsent: u64,
    /// Sightings of conflicts that were too many to keep.
    pub untold_conflicts: u64,
    /// Discarded adverts by reason.
    pub discarded: BTreeMap<String, u64>,
}

/// Changes of state of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VrrpTransitions {
    /// `initialize`, `backup`, `master`.
    pub to: String,
    /// A stable word: `master-timeout`, `preempt`.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A virtual router of others, heard on a link of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VrrpStranger {
    /// The link.
    pub interface: String,
    /// Its adverts are IPv6.
    pub ipv6: bool,
    /// Its vrid.
    pub vrid: u8,
    /// The last sender.
    pub peer: IpAddr,
    /// How many adverts.
    pub count: u64,
    /// The last one, so long ago.
    pub last_ms: u64,
}

/// One thing that happened to a virtual router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VrrpEvent {
    /// When.
    pub epoch_ms: u64,
    /// The instance.
    pub name: String,
    /// What and why.
    pub text: String,
}
