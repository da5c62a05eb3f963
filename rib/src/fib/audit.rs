//! The full comparison with the kernel: at the start, after lost notifications, now and then.
//!
//! The driver dumps links, addresses, next hop objects and routes, in this order, and hands in
//! each row; [`Fib::audit_begin`] and the two ends frame it. Rows of objects come in one turn,
//! without writes in between; routes may stream over many turns while writing goes on, so what
//! was written or notified meanwhile (the touched prefixes) is newer than the dump and is not
//! compared.
//!
//! The first audit is the start: routes of an earlier run become stale records, which wait for
//! someone to ask for them. Later ones are due after an overrun (at once), after a link changed
//! or the kernel gave an answer that does not fit (soon), and in any case after a while that
//! grows with the time a dump takes, so that auditing costs at most one part in fifty.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use smallvec::SmallVec;

use super::api::KernelEvent;
use super::model::{ObservedRoute, Source};
use super::reconcile::{Fib, RESYNC_MAX};
use super::records::{Flag, Placed, Record, RouteId};
use super::sets::{SetId, Want};

/// Between two audits at least this long, or fifty times what the last one took.
const AUDIT_EVERY: Duration = Duration::from_secs(60);
const AUDIT_SHARE: u32 = 50;
/// After a suspicion: long enough for a flapping link to come to rest.
const SUSPECT_PAUSE: Duration = Duration::from_millis(500);
const SUSPECT_SHARE: u32 = 10;
/// After lost notifications: so many times what a dump takes, from one to the next.
const OVERRUN_SHARE: u32 = 2;

#[derive(Debug)]
pub(super) struct Audit {
    pub(super) resynced: bool,
    /// Number of the running or last audit; a record that a dump showed carries it.
    pub(super) mark: u8,
    pub(super) next_hops: BTreeSet<u32>,
    pub(super) repairs: usize,
    /// Groups whose routes the kernel removed, and sets whose routes are to be written anew:
    /// found by one walk over all routes before the next batch.
    pub(super) sweep_groups: BTreeSet<u32>,
    pub(super) sweep_sets: BTreeSet<SetId>,
    running: Option<Running>,
    due: Option<Instant>,
    last_took: Duration,
    last_end: Instant,
}

#[derive(Debug)]
struct Running {
    since: Instant,
    links: BTreeSet<u32>,
    addresses: BTreeSet<(u32, IpNet)>,
    routes: BTreeMap<IpNet, SmallVec<[ObservedRoute; 1]>>,
    extras: BTreeSet<(IpNet, u32)>,
    /// Prefixes newer than the dump that have no record to say so.
    touched: BTreeSet<IpNet>,
}

impl Audit {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            resynced: false,
            mark: 0,
            next_hops: BTreeSet::new(),
            repairs: 0,
            sweep_groups: BTreeSet::new(),
            sweep_sets: BTreeSet::new(),
            running: None,
            due: Some(now),
            last_took: Duration::ZERO,
            last_end: now,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| self.running.is_none())
    }

    /// Something does not fit: compare soon, but not all the time.
    pub(super) fn suspect(&mut self, now: Instant) {
        let earliest = self.last_end + self.last_took * SUSPECT_SHARE;
        let at = earliest.max(now + SUSPECT_PAUSE);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// What happens now to a prefix without a record is newer than any row of the running dump.
    fn touch(&mut self, prefix: IpNet) {
        if let Some(running) = &mut self.running {
            running.touched.insert(prefix);
        }
    }

    pub(super) fn link_seen(&mut self, index: u32) {
        if let Some(running) = &mut self.running {
            running.links.insert(index);
        }
    }

    pub(super) fn address_seen(&mut self, index: u32, address: IpNet) {
        if let Some(running) = &mut self.running {
            running.addresses.insert((index, address));
        }
    }

    pub(super) fn extra_seen(&mut self, key: (IpNet, u32)) {
        if let Some(running) = &mut self.running {
            running.extras.insert(key);
        }
    }

    pub(super) fn shadow(&mut self, route: ObservedRoute) {
        if let Some(running) = &mut self.running {
            let found = running.routes.entry(route.prefix).or_default();
            // Without IPv6 the kernel answers a dump of its routes with those of IPv4.
            if !found.contains(&route) {
                found.push(route);
            }
        }
    }
}

impl Fib {
    /// What happens to a prefix now is newer than any row of the running dump.
    pub(super) fn touch(&mut self, prefix: IpNet) {
        if self.audit.running.is_none() {
            return;
        }
        match self.routes.records.find(prefix) {
            Some(id) => self.touch_record(id),
            None => self.audit.touch(prefix),
        }
    }

    pub(super) fn touch_record(&mut self, id: RouteId) {
        if self.audit.running.is_some()
            && let Some(record) = self.routes.records.get_mut(id)
        {
            record.touched = self.audit.mark;
        }
    }

    /// Drops a record that says nothing any more, but not that it was touched.
    pub(super) fn forget_empty(&mut self, id: RouteId) {
        if let Some((prefix, record)) = self.routes.forget_empty(id)
            && record.touched == self.audit.mark
        {
            self.audit.touch(prefix);
        }
    }

    /// Whether a row says less than is known already; notes what a notification says.
    pub(super) fn outdated(&mut self, route: &ObservedRoute, source: Source) -> bool {
        let Some(running) = &self.audit.running else {
            return false;
        };
        if source == Source::Dump {
            let record = self.routes.get(route.prefix);
            return record.is_some_and(|record| record.touched == self.audit.mark)
                || (!running.touched.is_empty() && running.touched.contains(&route.prefix));
        }
        self.touch(route.prefix);
        false
    }

    /// Whether a dump should be started now.
    #[must_use]
    pub fn wants_audit(&self, now: Instant) -> bool {
        self.audit.due().is_some_and(|due| due <= now)
    }

    /// Notifications were lost: everything is to be read again, at once or, if a dump is running
    /// or has just ended, some time after it: in a lasting storm every other picture is enough.
    pub fn overrun(&mut self, now: Instant) {
        self.stats.overruns += 1;
        let earliest = self.audit.last_end + self.audit.last_took * OVERRUN_SHARE;
        self.audit.due = Some(now.max(earliest));
        self.event(KernelEvent::Overrun);
    }

    /// The running dump will not go on.
    pub fn audit_cancel(&mut self) {
        self.audit.running = None;
    }

    /// A dump starts. An unfinished one is forgotten.
    pub fn audit_begin(&mut self, now: Instant) {
        self.audit.mark = self.audit.mark.wrapping_add(1);
        self.audit.due = None;
        self.audit.repairs = 0;
        self.audit.next_hops.clear();
        self.audit.running = Some(Running {
            since: now,
            links: BTreeSet::new(),
            addresses: BTreeSet::new(),
            routes: BTreeMap::new(),
            extras: BTreeSet::new(),
            touched: BTreeSet::new(),
        });
    }

    /// Links, addresses and next hop objects are all in: what was not among them is gone.
    pub fn audit_objects_end(&mut self, now: Instant) {
        let Some(running) = &mut self.audit.running else {
            return;
        };
        let links = std::mem::take(&mut running.links);
        let addresses = std::mem::take(&mut running.addresses);
        for index in self.view.link_indexes() {
            if !links.contains(&index) {
                self.link_gone(now, index);
                continue;
            }
            for address in self.view.addresses_of(index).to_vec() {
                if !addresses.contains(&(index, address)) {
                    self.address(now, index, address, false);
                }
            }
        }
        let seen = std::mem::take(&mut self.audit.next_hops);
        self.next_hops.keep_only(&seen);
        self.kick(now);
    }

    /// All routes are in. False if no dump was running.
    pub fn audit_end(&mut self, now: Instant) -> bool {
        let Some(running) = self.audit.running.take() else {
            return false;
        };
        self.audit.last_took = now.saturating_duration_since(running.since);
        self.audit.last_end = now;
        let next = now + AUDIT_EVERY.max(self.audit.last_took * AUDIT_SHARE);
        self.audit.due = Some(self.audit.due.map_or(next, |due| due.min(next)));
        self.stats.audits += 1;
        self.own_missing(now, &running);
        self.extras_missing(&running);
        self.others_differ(running);
        self.kick(now);
        if !self.ready {
            self.start(now);
        } else if self.audit.repairs > 0 {
            let routes = self.audit.repairs;
            self.stats.audit_repairs += u64::try_from(routes).unwrap_or(0);
            self.event(KernelEvent::AuditRepaired { routes });
        }
        true
    }

    fn start(&mut self, now: Instant) {
        self.ready = true;
        if !self.audit.resynced {
            self.resync_deadline = Some(now + RESYNC_MAX);
        }
        let adopted = self.routes.stale;
        self.event(KernelEvent::Ready { adopted });
        self.settle_first();
        self.tell_tracked();
        // What was asked for before the first dump had no next hops to resolve.
        for id in self.ids_of(|record| record.want() != Want::Nothing) {
            self.routes.enqueue(id);
        }
    }

    /// The records that `chosen` says so of: one walk over all.
    pub(super) fn ids_of(&self, chosen: impl Fn(&Record) -> bool) -> Vec<RouteId> {
        let records = self.routes.records.iter();
        let chosen = records.filter(|(_, record)| chosen(record));
        chosen.map(|(id, _)| id).collect()
    }

    fn own_missing(&mut self, now: Instant, running: &Running) {
        let mark = self.audit.mark;
        let missing = self.ids_of(|record| {
            record.placed() != Placed::Nothing
                && !record.is(Flag::HELD)
                && record.seen != mark
                && record.touched != mark
        });
        for id in missing {
            let prefix = self.routes.records.prefix(id);
            if prefix.is_some_and(|prefix| running.touched.contains(&prefix)) {
                continue;
            }
            self.set_placed(id, Placed::Nothing);
            self.routes.set_stale(id, false);
            self.enqueue(now, id);
            self.audit.repairs += 1;
        }
    }

    fn extras_missing(&mut self, running: &Running) {
        let mark = self.audit.mark;
        let records = &self.routes.records;
        let record = |prefix| records.find(prefix).and_then(|id| records.get(id));
        let touched = |prefix: &IpNet| {
            running.touched.contains(prefix) || record(*prefix).is_some_and(|r| r.touched == mark)
        };
        self.routes
            .extras
            .retain(|key| running.extras.contains(key) || touched(&key.0));
    }

    fn others_differ(&mut self, running: Running) {
        let Running {
            mut routes,
            touched,
            ..
        } = running;
        let known: Vec<IpNet> = self.view.prefixes().collect();
        for prefix in known {
            routes.entry(prefix).or_default();
        }
        for (prefix, found) in routes {
            let record = self.routes.get(prefix);
            let newer = record.is_some_and(|record| record.touched == self.audit.mark);
            if !newer && !touched.contains(&prefix) {
                self.view.set_routes(prefix, found);
                self.routes.enqueue_prefix(prefix);
            }
        }
    }
}
