//! Views of routes: a prefix with its paths, in a table or in full, and the steps of `explain`.
//!
//! AS paths and best-path reasons travel as text in the spelling FRR prints (`65002 {1,2}`),
//! because both renderers print them unchanged and a table row must stay small. Communities travel
//! as numbers: the CLI knows the well-known names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::control::Family;

/// A prefix of a table with the paths that were asked for, best first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The prefix.
    pub prefix: IpNet,
    /// Version of the table now, before which it last changed.
    #[serde(default)]
    pub version: u64,
    /// Its paths.
    pub paths: Vec<Path>,
}

/// A prefix in full. Paths carry [`Path::attrs`], `advertised_to` and times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteDetail {
    /// The family.
    pub family: Family,
    /// The prefix.
    pub prefix: IpNet,
    /// Version of the table now, before which it last changed.
    pub version: u64,
    /// Paths of the prefix, also those the filter left out.
    pub path_count: u64,
    /// Paths in use at once (1 without ECMP, 0 without a best path).
    pub multipath_count: u64,
    /// It was written to the kernel.
    #[serde(default)]
    pub fib_installed: bool,
    /// The paths that were asked for, best first.
    pub paths: Vec<Path>,
}

/// How a path came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PathKind {
    /// It starts here.
    Local,
    /// Learned over eBGP.
    External,
    /// Learned over iBGP.
    Internal,
}

/// The neighbor a path came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeerRef {
    /// Its address.
    pub address: IpAddr,
    /// Its BGP identifier.
    pub router_id: Ipv4Addr,
}

fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// One way to reach a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Path {
    /// Where it came from.
    pub kind: PathKind,
    /// From whom; `None` when it starts here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerRef>,
    /// ORIGIN: 0 IGP, 1 EGP, 2 INCOMPLETE.
    pub origin: u8,
    /// AS_PATH as FRR prints it; empty when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub as_path: String,
    /// The next hop that is used.
    pub next_hop: IpAddr,
    /// The link-local next hop beside a global one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hop_link_local: Option<Ipv6Addr>,
    /// MULTI_EXIT_DISC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    /// LOCAL_PREF it carries or policy set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    /// 32768 for what starts here in FRR's columns.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: u32,
    /// Its next hop is reachable.
    pub valid: bool,
    /// The best path.
    #[serde(default, skip_serializing_if = "is_false")]
    pub best: bool,
    /// Used beside the best path.
    #[serde(default, skip_serializing_if = "is_false")]
    pub multipath: bool,
    /// Kept from before a restart of its neighbor or of us.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// Import policy rejected it (shown only in `received-routes` and `explain`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub rejected: bool,
    /// Why it is the best path, in FRR's words (`Local Pref`, `First path received`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Path identifier it was received with (RFC 7911).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub path_id_rx: u32,
    /// Path identifier it is sent with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub path_id_tx: u32,
    /// The other attributes; in tables `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attrs: Option<Box<AttrView>>,
}

/// The attributes only the detail shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AttrView {
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR: AS and address.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// COMMUNITIES (RFC 1997).
    pub communities: Vec<u32>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large_communities: Vec<(u32, u32, u32)>,
    /// EXTENDED COMMUNITIES (RFC 4360), eight octets each.
    pub ext_communities: Vec<[u8; 8]>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator_id: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    pub cluster_list: Vec<Ipv4Addr>,
    /// AIGP (RFC 7311).
    pub aigp: Option<u64>,
    /// OTC (RFC 9234).
    pub otc: Option<u32>,
    /// Attributes not known here.
    pub unknown: Vec<UnknownAttr>,
    /// Metric of the route to the next hop.
    pub igp_metric: Option<u32>,
    /// Neighbors this path was sent to.
    pub advertised_to: Vec<IpAddr>,
    /// When it was received.
    pub last_update_epoch_ms: Option<u64>,
    /// What makes it start here (`pool:my-ip-space`, `pod-cidr`), for local paths.
    pub origin_source: Option<String>,
}

/// An attribute the suite does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnknownAttr {
    /// Attribute flags.
    pub flags: u8,
    /// Attribute type code.
    pub type_code: u8,
    /// Its value in hexadecimal.
    pub value: String,
}

/// One step of `explain route`: what was asked, each rule with its verdict, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExplainStep {
    /// `received`, `import`, `best path`, `export` or `kernel`.
    pub stage: String,
    /// What it is about: `path from 10.0.0.2`, `to 10.0.0.5`.
    pub subject: String,
    /// Rules in the order they were tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleVerdict>,
    /// What came out: `accepted`, `rejected by rule 3`, `best (Local Pref)`.
    pub verdict: String,
}

/// A rule and its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleVerdict {
    /// The policy or the step of the decision process.
    pub policy: String,
    /// Its number, from 1; 0: it has none, and `policy` is its name.
    pub rule: u32,
    /// It matched.
    pub matched: bool,
    /// The condition that decided, or what it set.
    pub detail: String,
}
