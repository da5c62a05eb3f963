//! The reconciler: inputs, events and deadlines.
//!
//! Call order of a driver, each turn: hand in commands ([`Fib::apply`], [`Fib::track`], …) and
//! what the kernel told ([`Fib::link`], [`Fib::route`], …), then [`Fib::settle`], then drain
//! [`Fib::poll_event`], then write [`Fib::poll_batch`] and hand the answers to
//! [`Fib::batch_done`]. [`Fib::poll_timeout`] says when to call [`Fib::handle_timeout`] at the
//! latest; [`Fib::wants_audit`] asks for a dump. Nothing is written before the first dump is in.
//!
//! The parts: [`View`] knows the others' routes, [`Hops`] resolves next hops over it, [`Sets`]
//! groups routes by next hops, [`NextHops`] keeps objects and groups, [`Routes`] the routes.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::api::{
    FibChange, FibRoute, Interface, KernelConfig, KernelEvent, KernelItem, KernelStats, Meddling,
    NextHopState,
};
use super::audit::Audit;
use super::hops::{HopKey, Hops};
use super::model::KernelOp;
use super::next_hops::NextHops;
use super::records::{Flag, PLACE_MIN, Placed, RouteId};
use super::routes::{Routes, Slot};
use super::sets::{SetId, Sets, Target, Want, acquire_hops, members_of, release_hops};
use super::show::Listing;
use super::view::{Changed, View};

/// Routes of an earlier run go at the latest this long after the start (FRR's default too).
pub const RESYNC_MAX: Duration = Duration::from_secs(360);

/// Events of the kinds that can come once per route, told within a second. A burst beyond that
/// (no permission for any of a million routes) is counted in `events_suppressed`; the counters
/// of the kind itself stay exact.
const ROUTE_EVENTS_A_SECOND: usize = 100;

/// Desired and observed state of the kernel, and the difference between them.
#[derive(Debug)]
pub struct Fib {
    pub(super) config: KernelConfig,
    pub(super) view: View,
    pub(super) hops: Hops,
    pub(super) sets: Sets,
    pub(super) next_hops: NextHops,
    pub(super) routes: Routes,
    pub(super) audit: Audit,
    pub(super) stats: KernelStats,
    pub(super) outstanding: Vec<KernelOp>,
    /// Prefixes that someone touched while their batch was on its way.
    pub(super) crossed: BTreeSet<ipnet::IpNet>,
    /// The kernel has no next hop objects: next hops are written into each route.
    pub(super) inline: bool,
    pub(super) version: u32,
    pub(super) ready: bool,
    pub(super) resync_deadline: Option<Instant>,
    /// Extras are left alone until then, after the kernel refused to delete one.
    pub(super) extras_held: Option<Instant>,
    pub(super) burst: Option<Burst>,
    /// Our own protocol number until the last reconfiguration: its routes may be written over.
    pub(super) predecessor: Option<u8>,
    events: VecDeque<KernelEvent>,
    /// Route events told since then.
    told: (Instant, usize),
    pub(super) listing: Listing,
}

/// Writing since the kernel side was last idle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Burst {
    pub(super) since: Instant,
    pub(super) written: usize,
}

impl Fib {
    /// An empty reconciler. It asks for an audit at once.
    #[must_use]
    pub fn new(config: KernelConfig, now: Instant) -> Self {
        Self {
            view: View::of(&config),
            hops: Hops::default(),
            sets: Sets::default(),
            next_hops: NextHops::new(config.protocol),
            routes: Routes::new(now),
            audit: Audit::new(now),
            stats: KernelStats::default(),
            outstanding: Vec::new(),
            crossed: BTreeSet::new(),
            inline: !config.next_hop_objects,
            version: PLACE_MIN,
            ready: false,
            resync_deadline: None,
            extras_held: None,
            burst: None,
            predecessor: None,
            events: VecDeque::new(),
            told: (now, 0),
            listing: Listing::default(),
            config,
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &KernelConfig {
        &self.config
    }

    /// The kernel does not know next hop objects (before 5.3): routes carry their next hops
    /// themselves. Called before the first dump ends.
    pub fn without_next_hop_objects(&mut self) {
        self.inline = true;
    }

    // What the daemon wants.

    /// Takes one wanted route, or the end of one.
    pub fn apply(&mut self, now: Instant, change: &FibChange) {
        let prefix = change.prefix.trunc();
        if change.route.is_none() && self.routes.records.find(prefix).is_none() {
            return;
        }
        let want = match &change.route {
            None => Want::Nothing,
            Some(FibRoute::Discard) => Want::Discard,
            Some(FibRoute::Unicast(via)) if via.is_empty() => Want::Nothing,
            Some(FibRoute::Unicast(via)) => {
                let (id, new) = self.sets.acquire(via);
                if new {
                    acquire_hops(via, &mut self.hops, &self.view);
                    self.resolve_set(id);
                }
                Want::Set(id)
            }
        };
        let id = self.routes.records.enter(prefix);
        let before = self.routes.want(id, want);
        if let Want::Set(set) = before {
            self.release_set(set, want);
        }
        if want == Want::Nothing {
            // An explicit end also ends what an earlier run had left.
            self.routes.set_stale(id, false);
        }
        if before != want || want == Want::Nothing {
            self.enqueue(now, id);
        }
    }

    /// One route less for a set; `heir` is what it is to be from now on.
    fn release_set(&mut self, id: SetId, heir: Want) {
        if let Some(set) = self.sets.release(id, heir) {
            release_hops(&set.via, &mut self.hops);
            for group in set.group.into_iter().chain(set.others.iter().copied()) {
                if self.next_hops.belongs(group, id) && !self.bequeath(group, set.heir()) {
                    self.next_hops.abandon(group);
                }
            }
        }
    }

    /// What becomes of the group of a set that has no routes any more.
    ///
    /// If many routes are still there, they are on their way to other sets, most of them to one:
    /// a next hop was lost or gained for all of them. Then the group goes to that set and is given
    /// its members, one message for them all. The others in it are in line to be written, and come
    /// to where they should be a moment later.
    fn bequeath(&mut self, group: u32, heir: Option<(SetId, usize)>) -> bool {
        let heir = heir.filter(|_| !self.inline);
        let Some((id, votes)) = heir else {
            return false;
        };
        let Some(set) = self.sets.get_mut(id) else {
            return false;
        };
        set.others
            .retain(|other| self.next_hops.belongs(*other, id));
        if !set.may_take_over() || !self.next_hops.take_over(group, id, votes, &set.members) {
            return false;
        }
        // The group taken over speaks for the set: an earlier one without routes is of no use.
        if let Some(old) = set.group.replace(group) {
            if self.next_hops.is_empty(old) {
                self.next_hops.abandon(old);
            } else {
                self.next_hops.set_spare(old);
                set.others.push(old);
            }
        }
        self.set_target(id, Target::At(group));
        true
    }

    pub(super) fn enqueue(&mut self, now: Instant, id: RouteId) {
        self.kick(now);
        self.routes.enqueue(id);
    }

    /// The same by prefix, if it has a record.
    pub(super) fn enqueue_prefix(&mut self, now: Instant, prefix: ipnet::IpNet) {
        self.kick(now);
        self.routes.enqueue_prefix(prefix);
    }

    /// Starts or stops tracking an address.
    pub fn track(&mut self, addr: IpAddr, on: bool) {
        if on {
            let state = self.hops.track(addr, &self.view);
            if self.ready {
                self.events.push_back(KernelEvent::NextHop { addr, state });
            }
        } else {
            self.hops.untrack(addr);
        }
    }

    /// The tables are back: what nobody asked for goes.
    pub fn resync_complete(&mut self, now: Instant) {
        self.resync_deadline = None;
        self.audit.resynced = true;
        let unwanted = self.ids_of(|record| record.is(Flag::STALE));
        let count = unwanted.len();
        for id in unwanted {
            self.routes.set_stale(id, false);
            self.enqueue(now, id);
        }
        if count > 0 {
            self.stats.stale_removed += u64::try_from(count).unwrap_or(0);
            self.event(KernelEvent::StaleRemoved { count });
        }
    }

    /// Changes metric or multipath limit in place.
    ///
    /// Returns false if table, protocol or the way of writing changed: then the driver goes on with
    /// [`Fib::rebuilt`] and cleans up after the old configuration once the new one is written.
    pub fn reconfigure(&mut self, now: Instant, config: KernelConfig) -> bool {
        let same = config.table == self.config.table
            && config.protocol == self.config.protocol
            && config.watch_only == self.config.watch_only
            && config.next_hop_objects == self.config.next_hop_objects;
        if !same {
            return false;
        }
        let old = std::mem::replace(&mut self.config, config);
        self.view.set_default_route(self.config.default_route);
        self.kick(now);
        if old.multipath != self.config.multipath {
            for id in self.sets.ids() {
                self.resolve_set(id);
            }
        }
        if old.metric != self.config.metric {
            self.move_metric(now, old.metric);
        }
        true
    }

    fn move_metric(&mut self, now: Instant, old: u32) {
        for id in self.ids_of(|record| record.placed().slot() == Some(Slot::Unicast)) {
            let prefix = self.routes.records.prefix(id);
            self.routes
                .extras
                .extend(prefix.map(|prefix| (prefix, old)));
            self.set_placed(id, Placed::Nothing);
            self.enqueue(now, id);
        }
    }

    /// A reconciler for another table or protocol that wants the same.
    #[must_use]
    pub fn rebuilt(&self, config: KernelConfig, now: Instant) -> Self {
        let mut fresh = Self::new(config, now);
        fresh.stats = self.stats;
        fresh.predecessor = Some(self.config.protocol);
        for (id, record) in self.routes.records.iter() {
            let route = match record.want() {
                Want::Nothing => None,
                Want::Discard => Some(FibRoute::Discard),
                Want::Set(id) => {
                    let set = self.sets.get(id);
                    set.map(|set| FibRoute::Unicast(set.via.clone()))
                }
            };
            if let Some(prefix) = self.routes.records.prefix(id).filter(|_| route.is_some()) {
                fresh.apply(now, &FibChange { prefix, route });
            }
        }
        for addr in self.hops.tracked_addresses() {
            fresh.track(addr, true);
        }
        // What of the new table is of an earlier run has no one to ask for it.
        fresh.audit.resynced = self.audit.resynced;
        fresh
    }

    // Next hops and sets.

    /// Resolves again what the inputs since the last call can have changed.
    pub fn settle(&mut self) {
        if !self.ready || !self.view.has_changed() {
            return;
        }
        let changed = self.view.take_changed();
        let moved = self.hops.refresh(&self.view, &changed);
        for (addr, state) in moved.states {
            self.events.push_back(KernelEvent::NextHop { addr, state });
        }
        self.resolve_sets(&moved.keys);
    }

    /// The first time, when the dump is in: resolves everything, tells no next hop.
    pub(super) fn settle_first(&mut self) {
        self.view.take_changed();
        self.hops.refresh(&self.view, &Changed::everything());
        for id in self.sets.ids() {
            self.resolve_set(id);
        }
    }

    fn resolve_sets(&mut self, moved: &[HopKey]) {
        if !moved.is_empty() {
            for id in self.sets.using(moved) {
                self.resolve_set(id);
            }
        }
    }

    /// Tells the state of every tracked address, once the first dump is in.
    pub(super) fn tell_tracked(&mut self) {
        for addr in self.hops.tracked_addresses() {
            let state: NextHopState = self.hops.track(addr, &self.view);
            self.events.push_back(KernelEvent::NextHop { addr, state });
        }
    }

    /// Finds out where a set leads. Not before the first dump is in: only then it is known which
    /// ids are taken and which groups of an earlier run can be adopted.
    fn resolve_set(&mut self, id: SetId) {
        if !self.ready {
            return;
        }
        let Some(set) = self.sets.get_mut(id) else {
            return;
        };
        let members = members_of(&set.via, &self.hops, self.config.multipath);
        if members == set.members {
            return;
        }
        let before = std::mem::replace(&mut set.members, members.clone());
        if !before.is_empty() {
            self.next_hops.no_longer();
        }
        set.others
            .retain(|other| self.next_hops.belongs(*other, id));
        for other in &set.others {
            self.next_hops.want(*other, &members);
        }
        let target = if self.inline {
            self.version = self.version.wrapping_add(1).max(PLACE_MIN);
            self.audit.sweep_sets.insert(id);
            if members.is_empty() {
                Target::Unresolved
            } else {
                Target::At(self.version)
            }
        } else if let Some(group) = set.group {
            self.next_hops.want(group, &members);
            match members.is_empty() {
                true => Target::Unresolved,
                false if self.next_hops.exists(group) => Target::At(group),
                false => Target::Pending,
            }
        } else if members.is_empty() {
            Target::Unresolved
        } else {
            let (group, known) = self.next_hops.group_for(id, &members);
            set.group = Some(group);
            if known {
                Target::At(group)
            } else {
                Target::Pending
            }
        };
        self.set_target(id, target);
    }

    /// Gives a set its target and wakes the routes that waited for it.
    pub(super) fn set_target(&mut self, id: SetId, target: Target) {
        let Some(set) = self.sets.get_mut(id) else {
            return;
        };
        let before = std::mem::replace(&mut set.target, target);
        if target != before && target != Target::Pending {
            for id in self.sets.take_waiting(id) {
                if let Some(record) = self.routes.records.get_mut(id) {
                    record.mark(Flag::PARKED, false);
                }
                self.routes.enqueue(id);
            }
        }
    }

    /// Records what the kernel has for a prefix and keeps the groups' counts.
    pub(super) fn set_placed(&mut self, id: RouteId, placed: Placed) {
        let before = self.routes.place(id, placed);
        if before != placed && !self.inline {
            if let Placed::At(group) = before {
                self.next_hops.route_gone(group);
            }
            if let Placed::At(group) = placed {
                self.next_hops.route_placed(group);
            }
        }
    }

    // Time and events.

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let times = [
            self.routes.next_timeout(),
            self.next_hops.next_retry(),
            self.resync_deadline,
            self.audit.due(),
            self.extras_held,
        ];
        times.into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.kick(now);
        if now.saturating_duration_since(self.told.0) >= Duration::from_secs(1) {
            self.told = (now, 0);
        }
        self.routes.handle_timeout(now);
        self.next_hops.handle_timeout(now);
        if self.extras_held.is_some_and(|at| at <= now) {
            self.extras_held = None;
        }
        if self.resync_deadline.is_some_and(|at| at <= now) {
            self.resync_complete(now);
        }
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<KernelEvent> {
        self.events.pop_front()
    }

    pub(super) fn event(&mut self, event: KernelEvent) {
        self.events.push_back(event);
    }

    /// An event that every route can cause: bounded.
    pub(super) fn route_event(&mut self, event: KernelEvent) {
        if self.told.1 < ROUTE_EVENTS_A_SECOND {
            self.told.1 += 1;
            self.events.push_back(event);
        } else {
            self.stats.events_suppressed += 1;
        }
    }

    pub(super) fn meddled(&mut self, now: Instant, id: RouteId, cause: Meddling) {
        self.stats.restored += 1;
        self.kick(now);
        self.routes.restore(id, now);
        if let Some(prefix) = self.routes.records.prefix(id) {
            let what = KernelItem::Route(prefix);
            self.route_event(KernelEvent::Restored { what, cause });
        }
    }

    /// Counters, and gauges as of now.
    #[must_use]
    pub fn stats(&self) -> KernelStats {
        let (next_hops, groups) = self.next_hops.counts();
        KernelStats {
            routes_wanted: self.routes.wanted,
            routes_installed: self.routes.placed + self.routes.extras.len(),
            routes_stale: self.routes.stale,
            routes_pending: self.routes.pending() + self.outstanding.len(),
            routes_waiting: self.sets.waiting(),
            routes_failing: self.routes.failing(),
            next_hops,
            groups,
            tracked: self.hops.tracked(),
            ..self.stats
        }
    }

    /// All interfaces with their addresses, by index.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        self.view.interfaces()
    }
}
