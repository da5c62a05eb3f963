//! From Kubernetes objects to what a node announces, and to whom.
//!
//! One pure function: ([`Snapshot`] of objects, [`Options`] of the configuration, local [`Facts`])
//! gives [`Desired`], the whole set of announcements with their attributes, of neighbors and of
//! policies. Nothing here reads a clock, a file or a socket. Transport (the API server, a folder of
//! manifests, the snapshot of the last run) hands in [`Change`]s; `bgpd` compares the result with
//! what runs and applies the difference.
//!
//! That each rule is a function of plain values is what makes it a row of a table test, and what
//! makes `explain` free: the rules that decide are the rules that are printed.
//!
//! Rooms: [`object`] (what is read of each kind, and how), `snapshot` (all of them, indexed),
//! [`dialect`] (native, MetalLB, Calico, kube-router: who peers with whom, what an address of a
//! service carries), `eligible` and `endpoints` (when an address is announced), `claim` and `table`
//! (what services ask for, and what becomes of it per prefix), `planner` (all of it, run again only
//! where something changed), `desired` (the result).

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::unreachable
    )
)]

mod claim;
mod desired;
pub mod dialect;
mod eligible;
mod endpoints;
mod explain;
mod facts;
pub mod mesh;
pub mod object;
mod options;
mod planner;
mod pools;
mod selector;
mod slices;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;

pub use desired::{
    Announcement, Desired, Fault, Marks, Neighbor, NeighborRole, NextHopMode, OwnRanges, PeerAsn,
    RouterWish, Secret, Severity, Stage, Standing, StaticRoute, Tunnel, TunnelKind, TunnelMode,
};
pub use eligible::{Rule, Verdict};
pub use endpoints::{Counts, Endpoints};
pub use explain::{AddressExplained, RouteExplained, ServiceExplained};
pub use facts::{Facts, Link, ProxyHealth, SessionFact};
pub use options::{Advertised, DialectName, ExcludeLabel, MeshMode, Options, PoolOption};
pub use planner::{Delta, Planner};
pub use pools::PoolListed;
pub use selector::{Selector, SelectorError};
pub use snapshot::{Change, Snapshot, Touched};
