//! Views about the daemon itself, what starts here, reload plans and events.
//!
//! These have no counterpart in FRR; their JSON is the serde form of the structs below, so the
//! field names here are the operator's contract for those commands.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A route that starts here, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Advertisement {
    /// The prefix.
    pub prefix: IpNet,
    /// What asks for it: `pool:my-ip-space`, `pod-cidr`, `network`.
    pub source: String,
    /// The object behind it: an address in use, a service, the configuration.
    pub object: String,
    /// `advertised`, or what holds it back (`no neighbor`, `rejected by policy`).
    pub state: String,
    /// Neighbors it is meant for; empty: all.
    #[serde(default)]
    pub neighbors: Vec<IpAddr>,
    /// Neighbors it was sent to.
    #[serde(default)]
    pub advertised_to: Vec<IpAddr>,
}

/// The daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// `bgpd` or `vrrpd`.
    pub daemon: String,
    /// Release.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Time since start.
    pub uptime_ms: u64,
    /// Configuration file.
    pub config: String,
    /// When the configuration in force was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_epoch_ms: Option<u64>,
}

/// What a part of the daemon holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// What: `IPv4 prefixes`, `attribute sets`, `resident set`.
    pub name: String,
    /// How many; 0 where counting makes no sense.
    pub count: u64,
    /// Octets.
    pub bytes: u64,
}

/// A sentence about something done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// What it is about, if it is one thing (an address, a name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The sentence.
    pub text: String,
}

/// How much a change of a reload disturbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PlanImpact {
    /// Nothing is disturbed.
    Hitless,
    /// Routes are imported again.
    SoftIn,
    /// Routes are exported again.
    SoftOut,
    /// Takes effect when the session next comes up.
    NextSession,
    /// The session resets.
    SessionReset,
    /// The virtual routers may elect another master.
    MayElect,
    /// The virtual router hands over and starts anew, or ends.
    HandsOver,
    /// Takes effect when the daemon restarts.
    Restart,
}

/// One change of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanChange {
    /// What changes, in words.
    pub what: String,
    /// What that does.
    pub impact: PlanImpact,
    /// The neighbor it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<IpAddr>,
    /// It was done (`reload`) or only planned (`reload --check`).
    pub applied: bool,
}

/// An address pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Its ranges as configured.
    pub addresses: Vec<String>,
    /// Addresses in it; saturates.
    pub size: u64,
    /// Addresses in use, at most the first 1,000.
    pub in_use: Vec<IpAddr>,
    /// How many are in use.
    pub in_use_count: u64,
    /// Prefixes it announces now.
    pub prefixes: Vec<IpNet>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    /// A session changed state.
    Session,
    /// A prefix has a new best path, or none.
    Route,
    /// A log line.
    Log,
    /// The reader was too slow: `text` says how many events were left out.
    Lost,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub epoch_ms: u64,
    /// What kind.
    pub kind: EventKind,
    /// The neighbor it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<IpAddr>,
    /// The prefix it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<IpNet>,
    /// The event in words.
    pub text: String,
}
