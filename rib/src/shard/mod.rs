//! The tables in parts that share nothing, so that each may have a processor of its own.
//!
//! A *shard* is a whole [`Rib`] for some of the prefixes: it decides, groups, packs and encodes
//! for them alone and never asks another shard anything. That works because everything a BGP
//! speaker decides, it decides per prefix; what spans prefixes (sessions, policies, next hops) is
//! told to all shards. There is no stage behind the shards that everything has to pass again.
//!
//! [`Sharded`] stands in front of them and has the surface of a [`Rib`]: it splits UPDATEs, sends
//! commands, puts together what comes back. [`Shard`] is the other end. Between the two is a
//! [`Transport`], which may be a queue between threads or a simulator that delivers when it likes:
//! neither end knows. Nothing is shared but immutable attribute sets and octets.
//!
//! **Bounds.** Nobody ever waits for room while the other waits for him:
//! - commands: at most [`COMMANDS_AHEAD`] per shard are under way. What comes meanwhile stays with
//!   [`Sharded`], which then says [`Sharded::is_congested`]; whoever drives it reads no more
//!   sockets until that is over, so that no more than one read waits here;
//! - reports: a shard sends one only while it has credit, and there are [`REPORTS_AHEAD`]. Without
//!   credit what it has to say grows together (latest wins, counters add up);
//! - octets for a peer: asked for, at most [`PULL_LEN`] at a time from a shard and
//!   [`PEER_AHEAD`] in all;
//! - kernel routes: one batch of at most [`FIB_BATCH`] per shard at a time.
//!
//! **Blocks.** Prefixes of one /16 (IPv4) or /40 (IPv6) are of one shard, since neighboring
//! prefixes tend to have the same attributes: one UPDATE for them stays one. See [`block`].

mod batch;
pub mod block;
mod front;
mod mail;
mod worker;

pub use batch::Batch;
pub use block::shard_of;
pub(crate) use front::ScanPart;
pub use front::Sharded;
pub use mail::{Command, Count, Mail, Order, Question, Report, Told, Urgent};
pub use worker::Shard;

#[allow(unused_imports)] // for the essay
use crate::Rib;

/// Most shards: sets of shards are words.
pub const SHARDS_MAX: usize = 64;
/// Commands to one shard that may be under way.
pub const COMMANDS_AHEAD: u32 = 16;
/// Reports of one shard that may be under way.
pub const REPORTS_AHEAD: u32 = 2;
/// Octets asked of a shard for a peer at a time: about one segment.
pub const PULL_LEN: usize = 64 << 10;
/// Octets kept for a peer, and on their way to it, when all shards have more.
pub const PEER_AHEAD: usize = 256 << 10;
/// Routes for the kernel in one report.
pub const FIB_BATCH: usize = 1024;
/// Octets of NLRI per shard in one batch: some thousand prefixes, a millisecond of work.
pub const BATCH_LEN: usize = 16 << 10;

/// What carries mail between [`Sharded`] and its shards. It keeps the order per shard and
/// direction, and loses nothing.
pub trait Transport: std::fmt::Debug {
    /// How many shards there are, at least one and at most [`SHARDS_MAX`].
    fn shards(&self) -> usize;

    /// Sends; gives the mail back when there is no room just now.
    ///
    /// # Errors
    /// The mail, unsent.
    fn send(&mut self, shard: usize, mail: Mail) -> Result<(), Mail>;

    /// The next report of a shard, if one has come.
    fn receive(&mut self, shard: usize) -> Option<Report>;

    /// Has every question answered by its shard, ahead of all commands, and waits for it. `false`
    /// when some shard did not answer in the time the transport gives it.
    fn ask(&self, questions: Vec<(usize, Question)>) -> bool;
}
