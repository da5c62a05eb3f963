//! The tables as the speaker sees them, wherever they live.
//!
//! The speaker hands in decoded UPDATEs, sessions, policies and origins, and takes out bytes per
//! peer, routes for the kernel and next hops to watch. [`Engine`] is that surface. Behind it the
//! tables are *collapsed*: one [`Rib`] in the speaker's own thread, called like any function, which
//! costs no channel, no copy and no context switch. That is what a machine with one or two cores
//! runs, and every node of a cluster.
//!
//! Queries are part of the surface, so that nobody outside depends on where the tables are.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::bgp::Update;
use rib::fib::FibChange;
use rib::route::NextHopState;
use rib::{
    ExplainStep, OriginRoute, PeerSession, PeerSlot, PeerStats, Policy, Rib, RibConfig, RouteView,
    ScanCursor, SharedStats, TableStats, UpdateOutcome,
};

/// The tables of one router.
#[derive(Debug)]
pub enum Engine {
    /// In the speaker's own thread.
    Collapsed(Box<Rib>),
}

/// Calls the tables, wherever they are.
macro_rules! tables {
    ($engine:expr, $tables:ident => $call:expr) => {
        match $engine {
            Engine::Collapsed($tables) => $call,
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

    /// See [`Rib::continue_peer_down`].
    pub fn continue_peer_down(&mut self, work: u32) -> bool {
        tables!(self, tables => tables.continue_peer_down(work))
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

    /// See [`Rib::update`].
    pub fn update(&mut self, slot: PeerSlot, update: &Update<'_>) -> UpdateOutcome {
        tables!(self, tables => tables.update(slot, update))
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
