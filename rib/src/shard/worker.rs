//! One shard: tables for some of the prefixes, a letter box, and a report in the making.
//!
//! A shard is driven by mail. [`Shard::step`] does all that is urgent and one order,
//! [`Shard::poll_report`] says what came of it as far as there is credit. It never waits for
//! anybody, knows no time but the seconds that orders bear, and settles when it is told to: what
//! it does depends on its mail alone.
//!
//! Markers (End-of-RIB, BoRR, EoRR) are about all prefixes of a family, so those of one shard are
//! taken out of its octets here and only counted; the front sends one when all shards have.
//!
//! Policies are compiled again for each shard: compiled patterns keep scratch memory and rules
//! keep counters, and neither is for two threads.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use proto_codec::afi::Family;
use proto_codec::bgp::{RefreshSubtype, RouteRefresh, encode_end_of_rib};

use super::mail::{Command, Count, Mail, Order, Report, Told, Urgent};
use super::{Batch, COMMANDS_AHEAD, FIB_BATCH, PULL_LEN, REPORTS_AHEAD};
use crate::engine::Rib;
use crate::peer::{PeerSession, PeerSlot, RibConfig};
use crate::policy::Policy;

/// Policies kept when nobody uses them any more, before they are looked through.
const POLICIES_SLACK: usize = 64;

/// Work between two orders on the routes of peers that are gone, as `Rib::continue_peer_down`
/// counts it: a few milliseconds.
const LEAVING_WORK: u32 = 64 << 10;

/// A shard; see the module.
#[derive(Debug)]
pub struct Shard {
    rib: Rib,
    orders: VecDeque<Order>,
    urgent: VecDeque<Urgent>,
    sessions: Vec<Session>,
    policies: Vec<Arc<Policy>>,
    markers: Markers,
    report: Report,
    credit: u32,
    fib_credit: bool,
    hands_over: bool,
}

/// What a shard knows of the session in a slot.
#[derive(Clone, Copy, Debug, Default)]
struct Session {
    generation: u32,
    /// It has more prefixes than it may in this shard alone: the session is about to end.
    is_over: bool,
}

/// Messages that are about a whole family.
#[derive(Debug)]
struct Markers {
    end_of_rib: [Bytes; 2],
    begin_refresh: [Bytes; 2],
    end_refresh: [Bytes; 2],
}

/// End-of-RIB of a family (RFC 4724 §2).
pub(super) fn end_of_rib(family: Family) -> Bytes {
    let mut out = BytesMut::new();
    encode_end_of_rib(family, &mut out);
    out.freeze()
}

/// A demarcation of RFC 7313 §4.
pub(super) fn refresh_marker(family: Family, subtype: RefreshSubtype) -> Bytes {
    let afi_safi = family.afi_safi();
    RouteRefresh { afi_safi, subtype }.to_bytes()
}

impl Markers {
    fn new() -> Self {
        let refresh = |subtype| Family::ALL.map(|family| refresh_marker(family, subtype));
        Self {
            end_of_rib: Family::ALL.map(end_of_rib),
            begin_refresh: refresh(RefreshSubtype::Begin),
            end_refresh: refresh(RefreshSubtype::End),
        }
    }

    /// Whether it is a marker, which is then noted in `told`.
    fn note(&self, bytes: &Bytes, told: &mut Told) -> bool {
        // No marker is longer, and a segment nearly always is.
        if bytes.len() > 32 {
            return false;
        }
        let among = |markers: &[Bytes; 2]| markers.iter().position(|marker| marker == bytes);
        let set = |at: usize, flags: &mut [bool; 2]| {
            if let Some(flag) = flags.get_mut(at) {
                *flag = true;
            }
        };
        if let Some(at) = among(&self.end_of_rib) {
            set(at, &mut told.end_of_rib);
        } else if let Some(at) = among(&self.end_refresh) {
            set(at, &mut told.end_of_refresh);
        } else {
            return among(&self.begin_refresh).is_some();
        }
        true
    }
}

impl Shard {
    /// An empty shard.
    #[must_use]
    pub fn new(config: RibConfig) -> Self {
        Self {
            rib: Rib::new(config),
            orders: VecDeque::new(),
            urgent: VecDeque::new(),
            sessions: Vec::new(),
            policies: Vec::new(),
            markers: Markers::new(),
            report: Report::default(),
            credit: REPORTS_AHEAD,
            fib_credit: true,
            hands_over: false,
        }
    }

    /// Its tables.
    #[must_use]
    pub fn rib(&self) -> &Rib {
        &self.rib
    }

    /// Takes mail in. The credits of the front bound how much there can be.
    pub fn push(&mut self, mail: Mail) {
        match mail {
            Mail::Order(order) => self.orders.push_back(order),
            Mail::Urgent(urgent) => self.urgent.push_back(urgent),
        }
    }

    /// Does everything urgent, one order, and some work on the routes of peers that are gone;
    /// `false` when there was nothing to do.
    pub fn step(&mut self) -> bool {
        let mut worked = false;
        while let Some(urgent) = self.urgent.pop_front() {
            worked = true;
            match urgent {
                Urgent::Pull { slot, generation } => self.pull(slot, generation),
                Urgent::Report => self.credit += 1,
                Urgent::Fib => self.fib_credit = true,
                Urgent::Ask(question) => question(&self.rib),
            }
        }
        if let Some(order) = self.orders.pop_front() {
            worked = true;
            self.rib.set_time(order.now_s);
            self.report.round = order.round;
            self.report.handled += 1;
            self.obey(order.command);
        }
        if self.rib.has_leaving_peers() {
            worked = true;
            self.rib.continue_peer_down(LEAVING_WORK);
            self.rib.settle();
        }
        worked
    }

    /// What there is to say, if it may be said now.
    pub fn poll_report(&mut self) -> Option<Report> {
        if self.credit == 0 {
            return None;
        }
        while let Some(slot) = self.rib.poll_ready() {
            self.report
                .ready
                .push((slot, self.session(slot).generation));
        }
        while let Some(interest) = self.rib.poll_next_hop_interest() {
            self.report.interest.push(interest);
        }
        if self.fib_credit {
            while self.report.fib.len() < FIB_BATCH
                && let Some(change) = self.rib.poll_fib()
            {
                self.report.fib.push(change);
            }
            if self.hands_over && self.report.fib.len() < FIB_BATCH {
                self.hands_over = false;
                self.report.handed_over = true;
            }
        }
        if !self.is_worth_it() {
            return None;
        }
        self.credit -= 1;
        self.fib_credit &= self.report.fib.is_empty();
        let round = self.report.round;
        let next = Report {
            round,
            ..Report::default()
        };
        Some(std::mem::replace(&mut self.report, next))
    }

    /// Whether the report says anything worth waking somebody for. That orders were carried out
    /// makes room, which matters when half of it is used or nothing else will be said.
    fn is_worth_it(&self) -> bool {
        let report = &self.report;
        let room = match self.orders.is_empty() {
            true => report.handled > 0,
            false => report.handled >= COMMANDS_AHEAD / 2,
        };
        room || report.handed_over
            || !report.counts.is_empty()
            || !report.told.is_empty()
            || !report.ready.is_empty()
            || !report.interest.is_empty()
            || !report.fib.is_empty()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Batch(batch) => self.take(&batch),
            Command::PeerUp {
                session,
                generation,
            } => self.peer_up(*session, generation),
            Command::PeerDown { slot, keep_stale } => self.rib.peer_down(slot, keep_stale),
            Command::StartPeerDown(slot) => self.rib.start_peer_down(slot),
            Command::PeerChanged(session) => {
                let slot = session.slot;
                self.rib.peer_changed(*session);
                // It may have a limit now that it did not have.
                self.count(slot);
            }
            Command::SetImport(slot, policy) => {
                let policy = self.own(&policy);
                self.rib.set_import(slot, policy);
            }
            Command::SetExport(slot, policy) => {
                let policy = self.own(&policy);
                self.rib.set_export(slot, policy);
            }
            Command::SweepStale(slot, family) => {
                self.rib.sweep_stale(slot, family);
                self.count(slot);
            }
            Command::BeginRefreshIn(slot, family) => self.rib.begin_refresh_in(slot, family),
            Command::EndRefreshIn(slot, family) => {
                self.rib.end_refresh_in(slot, family);
                self.count(slot);
            }
            Command::RefreshOut {
                slot,
                family,
                enhanced,
            } => self.rib.refresh_out(slot, family, enhanced),
            Command::Originate {
                name,
                neighbor_sets,
                routes,
            } => {
                self.rib.learn_neighbor_sets(&neighbor_sets);
                self.rib.originate(&name, routes);
            }
            Command::OriginatePrefixes {
                neighbor_sets,
                news,
            } => {
                self.rib.learn_neighbor_sets(&neighbor_sets);
                self.rib.originate_prefixes(news);
            }
            Command::NextHops(states) => {
                for (addr, state) in states {
                    self.rib.next_hop_changed(addr, state);
                }
            }
            Command::SetOwnAddresses(addresses) => self.rib.set_own_addresses(addresses),
            Command::SetRouterId(id) => self.rib.set_router_id(id),
            Command::SetClusterId(id) => self.rib.set_cluster_id(id),
            Command::ResyncFib(ranges) => self.rib.resync_fib_within(&ranges),
            Command::Settle => self.rib.settle(),
            Command::HandOver => self.hands_over = true,
        }
    }

    fn take(&mut self, batch: &Batch) {
        let (rib, sessions) = (&mut self.rib, &mut self.sessions);
        batch.for_each(|slot, update| {
            let session = sessions.get_mut(slot.index());
            let Some(session) = session.filter(|session| !session.is_over) else {
                return;
            };
            let outcome = rib.update(slot, update);
            session.is_over = outcome.max_prefix_exceeded.is_some();
        });
        for slot in batch.slots() {
            self.count(slot);
        }
    }

    /// Reports how many paths a peer with a limit has.
    fn count(&mut self, slot: PeerSlot) {
        let Some(received) = self.rib.limited(slot) else {
            return;
        };
        let (round, generation) = (self.report.round, self.session(slot).generation);
        let count = Count {
            round,
            slot,
            generation,
            received,
        };
        let last = self.report.counts.last_mut();
        match last.filter(|last| (last.round, last.slot) == (round, slot)) {
            Some(last) => *last = count,
            None => self.report.counts.push(count),
        }
    }

    fn session(&self, slot: PeerSlot) -> Session {
        self.sessions.get(slot.index()).copied().unwrap_or_default()
    }

    fn peer_up(&mut self, mut session: PeerSession, generation: u32) {
        let index = session.slot.index();
        if session.slot > PeerSlot::MAX {
            return;
        }
        if self.sessions.len() <= index {
            self.sessions.resize(index + 1, Session::default());
        }
        if let Some(known) = self.sessions.get_mut(index) {
            *known = Session {
                generation,
                is_over: false,
            };
        }
        session.import = self.own(&session.import);
        session.export = self.own(&session.export);
        let slot = session.slot;
        self.rib.peer_up(session);
        self.count(slot);
    }

    /// This shard's own copy of a policy.
    fn own(&mut self, policy: &Arc<Policy>) -> Arc<Policy> {
        if let Some(own) = self.policies.iter().find(|own| ***own == **policy) {
            return Arc::clone(own);
        }
        if self.policies.len() >= POLICIES_SLACK {
            self.policies.retain(|own| Arc::strong_count(own) > 1);
        }
        let own = Arc::new(policy.copy());
        self.policies.push(Arc::clone(&own));
        own
    }

    /// Takes out what a peer has asked for. A request of a dead session is answered too, with
    /// nothing: whoever waits for room learns that there is some.
    fn pull(&mut self, slot: PeerSlot, generation: u32) {
        let mut told = Told {
            slot,
            generation,
            segments: Vec::new(),
            end_of_rib: [false; 2],
            end_of_refresh: [false; 2],
            is_all: true,
        };
        let mut len = 0;
        while self.session(slot).generation == generation {
            if len >= PULL_LEN {
                told.is_all = false;
                break;
            }
            let Some(bytes) = self.rib.poll_transmit(slot) else {
                break;
            };
            if !self.markers.note(&bytes, &mut told) {
                len += bytes.len();
                told.segments.push(bytes);
            }
        }
        self.report.told.push(told);
    }
}
