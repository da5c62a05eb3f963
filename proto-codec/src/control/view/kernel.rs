//! The view of `show ip route`: what was asked of the kernel beside what the kernel holds.
//!
//! A route is listed once. `asked` and `held` say on which side it is; a difference between the two
//! is what an operator looks for, so it has a state of its own.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A route of the kernel's table, or one that should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpRoute {
    /// The prefix.
    pub prefix: IpNet,
    /// Who put it there.
    pub source: RouteSource,
    /// FRR's administrative distance: 20 eBGP, 200 iBGP, 0 connected, 1 static.
    pub distance: u8,
    /// Metric in the kernel.
    pub metric: u32,
    /// Kernel table.
    pub table: u32,
    /// `rtm_protocol`.
    pub protocol: u8,
    /// Asked for, held, or both.
    pub state: IpRouteState,
    /// Next hops; empty for a discard route.
    pub next_hops: Vec<IpRouteHop>,
    /// Packets are discarded.
    #[serde(default)]
    pub discard: bool,
    /// Since it was last changed; `None` when the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// Who put a route in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteSource {
    /// This daemon.
    Bgp,
    /// An address of an interface.
    Connected,
    /// An own address.
    Local,
    /// `ip route add` and the like.
    Static,
    /// The kernel itself or another daemon.
    Kernel,
}

/// Where a route is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IpRouteState {
    /// Asked for and held as asked, or not ours and held.
    Installed,
    /// Asked for, not confirmed yet.
    Queued,
    /// Asked for, and the kernel refused.
    Rejected,
    /// Held, and no longer asked for; it goes with the next reconcile.
    Stale,
}

/// One next hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpRouteHop {
    /// Gateway; `None`: directly connected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Name of the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Weight, from 1.
    pub weight: u16,
}
