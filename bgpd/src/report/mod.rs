//! What the cluster is told: real states, written back where a dialect has an object for them.
//!
//! Off unless `[kubernetes] status` or `events` asks for it, because writing takes rights that
//! announcing does not. What is written is what is *true*: the sessions that are established and
//! the neighbors that were told, not what somebody configured.
//!
//! | dialect | object | says |
//! |---|---|---|
//! | MetalLB | `ServiceBGPStatus` | the peers that were told of a service by this node |
//! | Calico | `CalicoNodeStatus` | sessions, their states and since when, router id, version |
//! | all | `Event` on the Service | announced, withdrawn or held back, and why |
//!
//! Nothing waits for it: [`Reality`] goes to a thread of its own, the latest one wins, and an API
//! server that is away costs a report and never an announcement. Writes are rationed
//! ([`writer::WRITES_PER_S`]); who may not write is told once and asked again minutes later.
//!
//! Rooms: `gather` (looks at what is true), `pace` (when to look: pure), `wanted` (from what is
//! true to objects: pure), `news` (which changes are worth an event: pure), `writer` (the
//! requests).

mod gather;
mod news;
mod pace;
mod wanted;
mod writer;

#[cfg(test)]
mod tests;

pub use gather::run;
pub use writer::{ReportConfig, Reporter};

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::SystemTime;

use cluster::object::ObjectName;
use ipnet::IpNet;

/// What is true of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reality {
    /// Services that have an address to announce, announced or not.
    pub services: Arc<BTreeMap<ObjectName, ServiceReality>>,
    /// Neighbors, by address.
    pub neighbors: BTreeMap<IpAddr, NeighborReality>,
    /// The BGP Identifier in use.
    pub router_id: Ipv4Addr,
    /// When the daemon started.
    pub started: SystemTime,
    /// When its configuration was last changed.
    pub configured: SystemTime,
}

impl Reality {
    /// Whether there is nothing to write anew. When a session came up is reckoned from its age, and
    /// differs by moments from look to look.
    #[must_use]
    fn is_like(&self, other: &Self) -> bool {
        let is_like = |one: &NeighborReality, other: &NeighborReality| {
            (&one.object, one.role, one.state) == (&other.object, other.role, other.state)
        };
        let (mine, theirs) = (self.neighbors.iter(), other.neighbors.iter());
        let alike = mine
            .zip(theirs)
            .all(|(a, b)| a.0 == b.0 && is_like(a.1, b.1));
        alike
            && self.neighbors.len() == other.neighbors.len()
            && self.services == other.services
            && (self.router_id, self.configured) == (other.router_id, other.configured)
    }
}

/// What is true of a service on this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceReality {
    /// Its prefixes that start here.
    pub announced: Vec<IpNet>,
    /// Established neighbors that were told at least one of them, sorted.
    pub told: Vec<IpAddr>,
    /// Why nothing is announced, as `explain service` says it; `None` while something is.
    pub held_back: Option<String>,
}

/// What is true of a neighbor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeighborReality {
    /// The object it comes from, as `BGPPeer metallb-system/tor`; `bgpd.toml` for the file's own.
    pub object: String,
    /// What it is to us.
    pub role: cluster::NeighborRole,
    /// The state of its machine: `Idle` … `Established` (RFC 4271 §8.2.2).
    pub state: &'static str,
    /// Since when.
    pub since: Option<SystemTime>,
}

impl NeighborReality {
    /// Whether the session carries routes.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.state == "Established"
    }
}
