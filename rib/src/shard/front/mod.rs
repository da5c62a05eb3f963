//! The front of the shards: the surface of a RIB, made of many.
//!
//! What the caller says goes to the shards in the order it was said, split by prefix or told to
//! all of them. What comes back is put together by [`Sharded::absorb`]: octets per peer (`told`),
//! routes for the kernel, next hops in use anywhere (`hops`), limits over the sum (`limits`).
//! Questions (`query`) wait for the shards' answers and nothing else here waits.
//!
//! Compared with a single [`Rib`](crate::Rib), two things come later instead of at once: that a
//! peer has more prefixes than it may is said by [`Sharded::poll_exceeded`], within a batch; and
//! octets come when a shard has sent them, so `poll_transmit` may have none although more will
//! follow (`poll_ready` names the peer then).

mod hops;
mod lane;
mod limits;
mod query;
mod told;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;
use proto_codec::afi::Family;
use proto_codec::bgp::Update;

use super::mail::{Command, Urgent};
use super::{BATCH_LEN, SHARDS_MAX, Transport, batch, shard_of};
use crate::fib::FibChange;
use crate::origin::{OriginNews, OriginRoute};
use crate::peer::{PeerSession, PeerSlot};
use crate::policy::Policy;
use crate::route::NextHopState;
use hops::Hops;
use lane::{Lane, Post};
pub(crate) use query::ScanPart;
use query::Snapshots;
use told::Audience;

/// Many shards as one RIB; see the module.
#[derive(Debug)]
pub struct Sharded {
    post: Post,
    lanes: Vec<Lane>,
    audience: Audience,
    hops: Hops,
    /// Peers with more prefixes than they may.
    exceeded: VecDeque<(PeerSlot, Family)>,
    /// Shards that have not handed over what the kernel should hold.
    handing_over: u64,
    snapshots: Snapshots,
}

impl Sharded {
    /// In front of the shards of a transport, which must be new.
    #[must_use]
    pub fn new(transport: Box<dyn Transport>) -> Self {
        let shards = transport.shards().clamp(1, SHARDS_MAX);
        Self {
            post: Post::new(transport),
            lanes: (0..shards).map(Lane::new).collect(),
            audience: Audience::new(shards),
            hops: Hops::default(),
            exceeded: VecDeque::new(),
            handing_over: 0,
            snapshots: Snapshots::default(),
        }
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.lanes.len()
    }

    /// Whether commands wait here because a shard has enough to do. Read no more from peers until
    /// that is over; what is not read stays in the sockets.
    #[must_use]
    pub fn is_congested(&self) -> bool {
        self.lanes.iter().any(Lane::is_congested)
    }

    /// See `Rib::set_time`.
    pub fn set_time(&mut self, now_s: u32) {
        self.post.now_s = now_s;
    }

    /// See `Rib::set_own_addresses`.
    pub fn set_own_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.broadcast(|_| Command::SetOwnAddresses(addresses.clone()));
    }

    /// See `Rib::set_cluster_id`.
    pub fn set_cluster_id(&mut self, cluster_id: std::net::Ipv4Addr) {
        self.broadcast(|_| Command::SetClusterId(cluster_id));
    }

    /// See `Rib::set_router_id`.
    pub fn set_router_id(&mut self, router_id: std::net::Ipv4Addr) {
        self.broadcast(|_| Command::SetRouterId(router_id));
    }

    /// See `Rib::peer_up`. Slots above [`PeerSlot::MAX`] are ignored.
    pub fn peer_up(&mut self, session: PeerSession) {
        if session.slot > PeerSlot::MAX {
            return;
        }
        let generation = self.audience.join(&session);
        let session = Box::new(session);
        self.broadcast(|_| Command::PeerUp {
            session: session.clone(),
            generation,
        });
    }

    /// See `Rib::peer_down`.
    pub fn peer_down(&mut self, slot: PeerSlot, keep_stale: bool) {
        self.audience.leave(slot);
        self.broadcast(|_| Command::PeerDown { slot, keep_stale });
    }

    /// See `Rib::start_peer_down`. The shards go on by themselves.
    pub fn start_peer_down(&mut self, slot: PeerSlot) {
        self.audience.leave(slot);
        self.broadcast(|_| Command::StartPeerDown(slot));
    }

    /// See `Rib::peer_changed`.
    pub fn peer_changed(&mut self, session: PeerSession) {
        self.audience.set_limit(session.slot, session.max_prefixes);
        let session = Box::new(session);
        self.broadcast(|_| Command::PeerChanged(session.clone()));
    }

    /// See `Rib::set_import`.
    pub fn set_import(&mut self, slot: PeerSlot, policy: Arc<Policy>) {
        self.broadcast(|_| Command::SetImport(slot, Arc::clone(&policy)));
    }

    /// See `Rib::set_export`.
    pub fn set_export(&mut self, slot: PeerSlot, policy: Arc<Policy>) {
        self.broadcast(|_| Command::SetExport(slot, Arc::clone(&policy)));
    }

    /// See `Rib::sweep_stale`.
    pub fn sweep_stale(&mut self, slot: PeerSlot, family: Family) {
        self.broadcast(|_| Command::SweepStale(slot, family));
    }

    /// See `Rib::begin_refresh_in`.
    pub fn begin_refresh_in(&mut self, slot: PeerSlot, family: Family) {
        self.broadcast(|_| Command::BeginRefreshIn(slot, family));
    }

    /// See `Rib::end_refresh_in`.
    pub fn end_refresh_in(&mut self, slot: PeerSlot, family: Family) {
        self.broadcast(|_| Command::EndRefreshIn(slot, family));
    }

    /// See `Rib::refresh_out`. A refresh with markers begins when the initial table has been told
    /// (RFC 7313 §4) and the last one has ended.
    pub fn refresh_out(&mut self, slot: PeerSlot, family: Family, enhanced: bool) {
        if !enhanced || self.audience.may_refresh(slot, family) {
            self.broadcast(|_| Command::RefreshOut {
                slot,
                family,
                enhanced,
            });
        }
    }

    /// See `Rib::originate`.
    pub fn originate(&mut self, name: &str, routes: Vec<OriginRoute>) {
        let shards = self.lanes.len();
        let mut parts: Vec<Vec<OriginRoute>> = vec![Vec::new(); shards];
        let mut sets: Vec<Vec<IpAddr>> = Vec::new();
        for route in routes {
            note_set(&mut sets, &route);
            if let Some(part) = parts.get_mut(shard_of(&route.prefix, shards)) {
                part.push(route);
            }
        }
        let (name, sets): (Arc<str>, Arc<[_]>) = (name.into(), sets.into());
        // All are told, so that sources and sets of neighbors have the same numbers everywhere.
        self.broadcast(|shard| Command::Originate {
            name: Arc::clone(&name),
            neighbor_sets: Arc::clone(&sets),
            routes: parts.get_mut(shard).map(std::mem::take).unwrap_or_default(),
        });
    }

    /// See `Rib::originate_prefixes`.
    pub fn originate_prefixes(&mut self, news: Vec<OriginNews>) {
        let shards = self.lanes.len();
        let mut parts: Vec<Vec<OriginNews>> = vec![Vec::new(); shards];
        let mut sets: Vec<Vec<IpAddr>> = Vec::new();
        for (name, prefixes) in news {
            for part in &mut parts {
                part.push((Arc::clone(&name), Vec::new()));
            }
            for (prefix, routes) in prefixes {
                routes.iter().for_each(|route| note_set(&mut sets, route));
                let part = parts.get_mut(shard_of(&prefix, shards));
                if let Some((_, part)) = part.and_then(|part| part.last_mut()) {
                    part.push((prefix, routes));
                }
            }
        }
        let sets: Arc<[_]> = sets.into();
        self.broadcast(|shard| Command::OriginatePrefixes {
            neighbor_sets: Arc::clone(&sets),
            news: parts.get_mut(shard).map(std::mem::take).unwrap_or_default(),
        });
    }

    /// See `Rib::resync_fib_within`.
    pub fn resync_fib_within(&mut self, ranges: &[IpNet]) {
        let ranges: Arc<[IpNet]> = ranges.into();
        self.broadcast(|_| Command::ResyncFib(Arc::clone(&ranges)));
    }

    /// See `Rib::next_hop_changed`.
    pub fn next_hop_changed(&mut self, addr: IpAddr, state: NextHopState) {
        let interested = self.hops.set_state(addr, state);
        let lanes = self.lanes.iter_mut().enumerate();
        for (_, lane) in lanes.filter(|(shard, _)| interested >> shard & 1 == 1) {
            lane.states.push((addr, state));
        }
    }

    /// Takes an UPDATE of an established peer.
    pub fn update(&mut self, slot: PeerSlot, update: &Update<'_>) {
        self.snapshots.forget();
        batch::split(
            slot,
            update,
            self.lanes.iter_mut().map(|lane| &mut lane.batch),
        );
        let octets: usize = self.lanes.iter().map(|lane| lane.batch.octets_len()).sum();
        if octets >= BATCH_LEN * self.lanes.len() {
            self.flush();
        }
    }

    /// See `Rib::settle`.
    pub fn settle(&mut self) {
        self.flush();
        for lane in &mut self.lanes {
            lane.settle(&mut self.post);
        }
    }

    /// Asks the shards to hand over what the kernel should hold now; [`Self::is_handed_over`] says
    /// when they have.
    pub fn hand_over(&mut self) {
        self.settle();
        self.handing_over = self.all();
        self.broadcast(|_| Command::HandOver);
    }

    /// Whether everything from before [`Self::hand_over`] has been taken out with `poll_fib`.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.handing_over == 0 && self.lanes.iter().all(|lane| lane.fib.is_empty())
    }

    /// A peer that has more prefixes than it may, over all shards; each session once.
    pub fn poll_exceeded(&mut self) -> Option<(PeerSlot, Family)> {
        self.exceeded.pop_front()
    }

    /// See `Rib::poll_ready`.
    pub fn poll_ready(&mut self) -> Option<PeerSlot> {
        self.audience.poll_ready()
    }

    /// What has come for a peer. `None`: nothing just now; `poll_ready` will name it.
    pub fn poll_transmit(&mut self, slot: PeerSlot) -> Option<Bytes> {
        let bytes = self.audience.pop(slot);
        self.pull(slot);
        bytes
    }

    /// See `Rib::poll_fib`.
    pub fn poll_fib(&mut self) -> Option<FibChange> {
        let lane = self.lanes.iter_mut().find(|lane| !lane.fib.is_empty())?;
        let change = lane.fib.pop_front();
        if lane.fib.is_empty() {
            lane.urge(Urgent::Fib, &mut self.post);
        }
        change
    }

    /// See `Rib::poll_next_hop_interest`.
    pub fn poll_next_hop_interest(&mut self) -> Option<(IpAddr, bool)> {
        self.hops.poll_interest()
    }

    /// Takes in what the shards have sent, and sends what had no room before.
    pub fn absorb(&mut self) {
        for shard in 0..self.lanes.len() {
            while let Some(report) = self.post.receive(shard) {
                self.snapshots.forget();
                if let Some(lane) = self.lanes.get_mut(shard) {
                    lane.acknowledge(report.handled, report.round);
                    lane.counts.extend(report.counts);
                    lane.fib.extend(report.fib);
                    lane.urge(Urgent::Report, &mut self.post);
                    for (addr, on) in report.interest {
                        lane.states.extend(self.hops.set_interest(addr, shard, on));
                    }
                }
                if report.handed_over {
                    self.handing_over &= !(1 << shard);
                }
                // "That was all" is older than "there is more".
                for told in report.told {
                    self.take_told(shard, told);
                }
                for (slot, generation) in report.ready {
                    if self.audience.note_ready(slot, generation, shard) {
                        self.pull(slot);
                    }
                }
            }
        }
        self.exceeded
            .extend(limits::judge(&mut self.lanes, &mut self.audience));
        for lane in &mut self.lanes {
            lane.tell_states(&mut self.post);
            lane.pump(&mut self.post);
        }
    }

    fn take_told(&mut self, shard: usize, told: super::Told) {
        let slot = told.slot;
        for family in self.audience.take(shard, told) {
            self.broadcast(|_| Command::RefreshOut {
                slot,
                family,
                enhanced: true,
            });
        }
        self.pull(slot);
    }

    /// Asks shards for more octets of a peer, as far as it may have them.
    fn pull(&mut self, slot: PeerSlot) {
        while let Some((shard, generation)) = self.audience.next_pull(slot) {
            if let Some(lane) = self.lanes.get_mut(shard) {
                lane.urge(Urgent::Pull { slot, generation }, &mut self.post);
            }
        }
    }

    /// Gives every shard a command, after all that was said before.
    fn broadcast(&mut self, mut command: impl FnMut(usize) -> Command) {
        self.snapshots.forget();
        self.flush();
        self.post.round += 1;
        for (shard, lane) in self.lanes.iter_mut().enumerate() {
            lane.order(command(shard), &mut self.post);
        }
    }

    /// Sends the batches off, all in one round: the parts of an UPDATE belong together.
    fn flush(&mut self) {
        self.post.round += 1;
        for lane in &mut self.lanes {
            lane.flush(&mut self.post);
        }
    }

    /// The set of all shards.
    fn all(&self) -> u64 {
        all_of(self.lanes.len())
    }
}

/// Notes the neighbors a route is for, unless they were those of the route before.
fn note_set(sets: &mut Vec<Vec<IpAddr>>, route: &OriginRoute) {
    if let Some(set) = &route.neighbors
        && sets.last() != Some(set)
    {
        sets.push(set.clone());
    }
}

/// The set of the first `shards` shards.
fn all_of(shards: usize) -> u64 {
    u64::MAX >> (SHARDS_MAX - shards.clamp(1, SHARDS_MAX))
}
