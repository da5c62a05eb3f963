//! What goes to a shard, and what comes back.
//!
//! Commands keep their order: a session comes up, sends routes, goes down. Each is part of a
//! *round*, and what belongs together over all shards (the parts of one UPDATE) is of one round,
//! so that sums over shards can be taken at moments when they mean something. Urgent mail
//! overtakes commands: requests for octets, credit, and questions, none of which changes a table.
//!
//! Whatever depends on a session and may come late bears its *generation*, which counts the
//! sessions of a slot: what belongs to a dead session is thrown away by whoever gets it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use proto_codec::afi::Family;

use super::Batch;
use crate::engine::Rib;
use crate::fib::FibChange;
use crate::origin::{OriginNews, OriginRoute};
use crate::peer::{PeerSession, PeerSlot};
use crate::policy::Policy;
use crate::route::NextHopState;

/// What goes to a shard.
#[derive(Debug)]
pub enum Mail {
    /// Taken in order.
    Order(Order),
    /// Taken before all orders.
    Urgent(Urgent),
}

/// A command and when it was given.
#[derive(Debug)]
pub struct Order {
    /// The round it is part of; never falls.
    pub round: u64,
    /// Seconds, for the stamps of paths.
    pub now_s: u32,
    /// The command.
    pub command: Command,
}

/// What changes the tables. Each is the method of [`Rib`] of that name.
#[derive(Debug)]
#[allow(missing_docs)] // The fields are the arguments of the methods.
pub enum Command {
    /// UPDATEs.
    Batch(Batch),
    PeerUp {
        session: Box<PeerSession>,
        generation: u32,
    },
    PeerDown {
        slot: PeerSlot,
        keep_stale: bool,
    },
    /// [`Rib::start_peer_down`]; the shard goes on by itself.
    StartPeerDown(PeerSlot),
    PeerChanged(Box<PeerSession>),
    SetImport(PeerSlot, Arc<Policy>),
    SetExport(PeerSlot, Arc<Policy>),
    SweepStale(PeerSlot, Family),
    BeginRefreshIn(PeerSlot, Family),
    EndRefreshIn(PeerSlot, Family),
    RefreshOut {
        slot: PeerSlot,
        family: Family,
        enhanced: bool,
    },
    Originate {
        name: Arc<str>,
        /// Sets of neighbors that routes of any shard name, in their order.
        neighbor_sets: Arc<[Vec<IpAddr>]>,
        routes: Vec<OriginRoute>,
    },
    OriginatePrefixes {
        /// As above.
        neighbor_sets: Arc<[Vec<IpAddr>]>,
        /// All sources, also those without a prefix in the shard.
        news: Vec<OriginNews>,
    },
    NextHops(Vec<(IpAddr, NextHopState)>),
    SetOwnAddresses(Vec<IpAddr>),
    SetClusterId(std::net::Ipv4Addr),
    /// See `Rib::set_router_id`.
    SetRouterId(std::net::Ipv4Addr),
    /// [`Rib::resync_fib_within`].
    ResyncFib(Arc<[IpNet]>),
    Settle,
    /// Say when all kernel routes wanted until now have been handed over.
    HandOver,
}

/// What does not change the tables and does not wait behind what does.
pub enum Urgent {
    /// A peer can take more octets.
    Pull {
        /// The peer.
        slot: PeerSlot,
        /// Its session.
        generation: u32,
    },
    /// One more report may be sent.
    Report,
    /// One more batch of kernel routes may be sent.
    Fib,
    /// Somebody wants to know something.
    Ask(Question),
}

/// Looks at a shard's tables and takes the answer to whoever waits for it.
pub type Question = Box<dyn FnOnce(&Rib) + Send>;

impl fmt::Debug for Urgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Urgent::Pull { slot, generation } => write!(f, "Pull({slot:?}, {generation})"),
            Urgent::Report => f.write_str("Report"),
            Urgent::Fib => f.write_str("Fib"),
            Urgent::Ask(_) => f.write_str("Ask"),
        }
    }
}

/// Everything a shard has to say since its last report.
#[derive(Debug, Default)]
pub struct Report {
    /// Orders carried out.
    pub handled: u32,
    /// The round of the last one.
    pub round: u64,
    /// Paths of peers with a limit, after the orders that changed them.
    pub counts: Vec<Count>,
    /// Octets that were asked for.
    pub told: Vec<Told>,
    /// Peers that have something to read and had nothing before.
    pub ready: Vec<(PeerSlot, u32)>,
    /// Next hops to watch, and to watch no more.
    pub interest: Vec<(IpAddr, bool)>,
    /// Routes for the kernel.
    pub fib: Vec<FibChange>,
    /// All routes for the kernel from before [`Command::HandOver`] have been sent.
    pub handed_over: bool,
}

/// How many paths a peer has in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// After this round.
    pub round: u64,
    /// The peer.
    pub slot: PeerSlot,
    /// Its session.
    pub generation: u32,
    /// Paths in the Adj-RIB-In, per family.
    pub received: [u32; 2],
}

/// What a shard tells a peer.
#[derive(Debug)]
pub struct Told {
    /// The peer.
    pub slot: PeerSlot,
    /// Its session.
    pub generation: u32,
    /// Whole UPDATEs.
    pub segments: Vec<Bytes>,
    /// The shard has told its part of the initial table, per family. Comes after its octets.
    pub end_of_rib: [bool; 2],
    /// The shard has told its part of a refresh, per family. Comes after its octets.
    pub end_of_refresh: [bool; 2],
    /// There is no more just now.
    pub is_all: bool,
}
