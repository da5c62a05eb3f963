//! The tables as the speaker sees them, wherever they live.
//!
//! The speaker hands in decoded UPDATEs, sessions, policies and origins, and takes out bytes per
//! peer, routes for the kernel and next hops to watch. [`Engine`] is that surface. Behind it the
//! tables are *collapsed*: one [`Rib`] in the speaker's own thread, called like any function, which
//! costs no channel, no copy and no context switch. That is what a machine with one or two cores
//! runs, and every node of a cluster. Or they are in *shards*, each on a thread of its own (see
//! `rib::shard` and [`threads`]): then UPDATEs and commands are sent, what comes back is taken in
//! by [`Engine::absorb`], and [`Engine::is_congested`] says when to read no more.
//!
//! Queries are part of the surface, so that nobody outside depends on where the tables are.

use std::net::IpAddr;
use std::sync::Arc;

pub mod threads;

use bytes::Bytes;
use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::bgp::Update;
use rib::fib::FibChange;
use rib::route::NextHopState;
use rib::shard::Sharded;
use rib::{
    Coverage, ExplainStep, OriginNews, OriginRoute, PeerSession, PeerSlot, PeerStats, Policy, Rib,
    RibConfig, RouteView, ScanCursor, SharedStats, Staying, TableStats,
};
use threads::Threads;
use tokio::sync::Notify;

/// The tables of one router.
#[derive(Debug)]
pub enum Engine {
    /// In the speaker's own thread.
    Collapsed(Box<Rib>),
    /// On threads of their own.
    Sharded(Box<Sharded>),
}

/// Calls the tables, wherever they are.
macro_rules! tables {
    ($engine:expr, $tables:ident => $call:expr) => {
        match $engine {
            Engine::Collapsed($tables) => $call,
            Engine::Sharded($tables) => $call,
        }
    };
}

impl Engine {
    /// Tables in the thread of the caller.
    #[must_use]
    pub fn collapsed(config: RibConfig) -> Self {
        Self::Collapsed(Box::new(Rib::new(config)))
    }

    /// See [`Rib::set_own_addresses`].
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        tables!(self, tables => tables.set_own_addresses(addresses));
    }

    /// See [`Rib::set_router_id`].
    pub fn set_router_id(&mut self, router_id: std::net::Ipv4Addr) {
        tables!(self, tables => tables.set_router_id(router_id));
    }

    /// See [`Rib::set_cluster_id`].
    pub fn set_cluster_id(&mut self, cluster_id: std::net::Ipv4Addr) {
        tables!(self, tables => tables.set_cluster_id(cluster_id));
    }

    /// Tables on `count` threads, which signal `wake` when there is something to absorb; with one,
    /// tables in the thread of the caller.
    ///
    /// # Errors
    /// The system grants no thread.
    pub fn on_threads(
        config: RibConfig,
        count: usize,
        wake: &Arc<Notify>,
    ) -> std::io::Result<Self> {
        if count <= 1 {
            return Ok(Self::collapsed(config));
        }
        let threads = Threads::start(&config, count, wake)?;
        Ok(Self::Sharded(Box::new(Sharded::new(Box::new(threads)))))
    }

    /// Whether the tables are on threads of their own, so that what they say comes later.
    #[must_use]
    pub fn is_sharded(&self) -> bool {
        matches!(self, Engine::Sharded(_))
    }

    /// Takes in what the shards have sent.
    pub fn absorb(&mut self) {
        if let Engine::Sharded(tables) = self {
            tables.absorb();
        }
    }

    /// Whether the shards have enough to do: take nothing more from neighbors.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        match self {
            Engine::Collapsed(_) => false,
            Engine::Sharded(tables) => tables.is_congested(),
        }
    }

    /// A peer that turned out to have more prefixes than it may.
    pub fn poll_exceeded(&mut self) -> Option<(PeerSlot, Family)> {
        match self {
            Engine::Collapsed(_) => None,
            Engine::Sharded(tables) => tables.poll_exceeded(),
        }
    }

    /// Has everything that the kernel should hold now handed over, which may take a while.
    pub fn hand_over(&mut self) {
        match self {
            Engine::Collapsed(tables) => tables.settle(),
            Engine::Sharded(tables) => tables.hand_over(),
        }
    }

    /// Whether what was to be handed over can be taken, or has been, with [`Self::poll_fib`].
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        match self {
            Engine::Collapsed(_) => true,
            Engine::Sharded(tables) => tables.is_handed_over(),
        }
    }

    /// See [`Rib::set_time`].
    pub fn set_time(&mut self, now_s: u32) {
        tables!(self, tables => tables.set_time(now_s));
    }

    /// See [`Rib::peer_up`].
    pub fn peer_up(&mut self, session: PeerSession) {
        tables!(self, tables => tables.peer_up(session));
    }

    /// See [`Rib::peer_down`].
    pub fn peer_down(&mut self, slot: PeerSlot, keep_stale: bool) {
        tables!(self, tables => tables.peer_down(slot, keep_stale));
    }

    /// See [`Rib::start_peer_down`].
    pub fn start_peer_down(&mut self, slot: PeerSlot) {
        tables!(self, tables => tables.start_peer_down(slot));
    }

    /// See [`Rib::continue_peer_down`]. Shards go on by themselves.
    pub fn continue_peer_down(&mut self, work: u32) -> bool {
        match self {
            Engine::Collapsed(tables) => tables.continue_peer_down(work),
            Engine::Sharded(_) => false,
        }
    }

    /// See [`Rib::peer_changed`].
    pub fn peer_changed(&mut self, session: PeerSession) {
        tables!(self, tables => tables.peer_changed(session));
    }

    /// See [`Rib::set_import`].
    pub fn set_import(&mut self, slot: PeerSlot, policy: Arc<Policy>) {
        tables!(self, tables => tables.set_import(slot, policy));
    }

    /// See [`Rib::set_export`].
    pub fn set_export(&mut self, slot: PeerSlot, policy: Arc<Policy>) {
        tables!(self, tables => tables.set_export(slot, policy));
    }

    /// Takes an UPDATE of an established peer; answers the family in which the peer has more
    /// prefixes than it may, if that is known at once (see [`Self::poll_exceeded`]).
    pub fn update(&mut self, slot: PeerSlot, update: &Update<'_>) -> Option<Family> {
        match self {
            Engine::Collapsed(tables) => tables.update(slot, update).max_prefix_exceeded,
            Engine::Sharded(tables) => {
                tables.update(slot, update);
                None
            }
        }
    }

    /// See [`Rib::sweep_stale`].
    pub fn sweep_stale(&mut self, slot: PeerSlot, family: Family) {
        tables!(self, tables => tables.sweep_stale(slot, family));
    }

    /// See [`Rib::begin_refresh_in`].
    pub fn begin_refresh_in(&mut self, slot: PeerSlot, family: Family) {
        tables!(self, tables => tables.begin_refresh_in(slot, family));
    }

    /// See [`Rib::end_refresh_in`].
    pub fn end_refresh_in(&mut self, slot: PeerSlot, family: Family) {
        tables!(self, tables => tables.end_refresh_in(slot, family));
    }

    /// See [`Rib::refresh_out`].
    pub fn refresh_out(&mut self, slot: PeerSlot, family: Family, enhanced: bool) {
        tables!(self, tables => tables.refresh_out(slot, family, enhanced));
    }

    /// See [`Rib::originate`].
    pub fn originate(&mut self, name: &str, routes: Vec<OriginRoute>) {
        tables!(self, tables => tables.originate(name, routes));
    }

    /// See [`Rib::originate_prefixes`].
    pub fn originate_prefixes(&mut self, news: Vec<OriginNews>) {
        tables!(self, tables => tables.originate_prefixes(news));
    }

    /// See [`Rib::next_hop_changed`].
    pub fn next_hop_changed(&mut self, addr: IpAddr, state: NextHopState) {
        tables!(self, tables => tables.next_hop_changed(addr, state));
    }

    /// See [`Rib::settle`].
    pub fn settle(&mut self) {
        tables!(self, tables => tables.settle());
    }

    /// See [`Rib::poll_ready`].
    pub fn poll_ready(&mut self) -> Option<PeerSlot> {
        tables!(self, tables => tables.poll_ready())
    }

    /// See [`Rib::poll_transmit`].
    pub fn poll_transmit(&mut self, slot: PeerSlot) -> Option<Bytes> {
        tables!(self, tables => tables.poll_transmit(slot))
    }

    /// See [`Rib::poll_fib`].
    pub fn poll_fib(&mut self) -> Option<FibChange> {
        tables!(self, tables => tables.poll_fib())
    }

    /// See [`Rib::resync_fib_within`].
    pub fn resync_fib_within(&mut self, ranges: &[IpNet]) {
        tables!(self, tables => tables.resync_fib_within(ranges));
    }

    /// See [`Rib::poll_next_hop_interest`].
    pub fn poll_next_hop_interest(&mut self) -> Option<(IpAddr, bool)> {
        tables!(self, tables => tables.poll_next_hop_interest())
    }

    /// See [`Rib::lookup`].
    #[must_use]
    pub fn lookup(&self, prefix: IpNet) -> Option<RouteView> {
        tables!(self, tables => tables.lookup(prefix))
    }

    /// See [`Rib::longest_match`].
    #[must_use]
    pub fn longest_match(&self, addr: IpAddr) -> Option<RouteView> {
        tables!(self, tables => tables.longest_match(addr))
    }

    /// See [`Rib::advertised_to`].
    #[must_use]
    pub fn advertised_to(&self, prefix: IpNet) -> Vec<PeerSlot> {
        tables!(self, tables => tables.advertised_to(prefix))
    }

    /// See [`Rib::explain`].
    #[must_use]
    pub fn explain(&self, prefix: IpNet, to: Option<PeerSlot>) -> Vec<ExplainStep> {
        tables!(self, tables => tables.explain(prefix, to))
    }

    /// See [`Rib::peer_stats`].
    #[must_use]
    pub fn peer_stats(&self, slot: PeerSlot) -> Option<PeerStats> {
        tables!(self, tables => tables.peer_stats(slot))
    }

    /// See [`Rib::coverage`].
    #[must_use]
    pub fn coverage(&self, stays: &Staying) -> Vec<Coverage> {
        tables!(self, tables => tables.coverage(stays))
    }

    /// See [`Rib::table_stats`].
    #[must_use]
    pub fn table_stats(&self, family: Family) -> TableStats {
        tables!(self, tables => tables.table_stats(family))
    }

    /// See [`Rib::shared_stats`].
    #[must_use]
    pub fn shared_stats(&self) -> SharedStats {
        tables!(self, tables => tables.shared_stats())
    }

    /// See [`Rib::scan`].
    pub fn scan(&self, cursor: &mut ScanCursor, max: usize, row: impl FnMut(RouteView)) -> bool {
        tables!(self, tables => tables.scan(cursor, max, row))
    }
}
