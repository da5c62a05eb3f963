//! The routing information bases of Wayfare's BGP daemon.
//!
//! One plain struct, `Rib`, owns everything between a decoded UPDATE and the bytes for a peer:
//! interned attributes, Adj-RIB-In, the decision process (RFC 4271 §9.1, RFC 4456 §9), routes that
//! start here, policy, and one Adj-RIB-Out per update group. Input goes in by methods; output is
//! pulled: bytes per peer, changes for the kernel, next hops to watch. There is no I/O, no
//! clock, no thread and no lock in here, so a test drives it like a function and the same code
//! runs under any scheduler.
//!
//! What it promises: no panic on anything a peer can cause; memory bounded by the tables
//! themselves (a slow peer costs a cursor, never a queue); the same input in the same order gives
//! the same output, whatever the seed of the hash tables.
//!
//! Beside the engine, `fib` computes what to change in the kernel and `netlink` (a feature) does
//! it; that feature is the only I/O of the crate.
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

mod attr;
mod chunked;
mod decision;
mod dest;
mod engine;
pub mod fib;
mod group;
mod hash;
#[cfg(feature = "netlink")]
pub mod netlink;
mod nexthop;
mod origin;
mod path;
pub mod peer;
pub mod policy;
pub mod route;
pub mod shard;
mod table;

pub use decision::Reason;
pub use engine::{
    Coverage, ExplainStep, PathView, PeerStats, Reject, Rejects, Rib, RouteView, ScanCursor,
    SharedStats, Stage, Staying, TableStats, UpdateOutcome, Withheld,
};
pub use origin::{OriginNews, OriginPrefix, OriginRoute};
pub use path::PathKind;
pub use peer::{AddPathTx, PeerKind, PeerSession, PeerSlot, RibConfig, Role};
pub use policy::{Policy, RuleTrace};
