//! The next operations, and what becomes of them.
//!
//! One batch is on its way at a time: the kernel works through it in order, so within it a route
//! can follow its group. Order over batches: objects, groups (a group that lost its members goes
//! before any route is looked at), routes, then what is superfluous.
//!
//! What a route needs is decided when its turn comes, from the record and its set as they are
//! then. Ten changes of a prefix while it was in line cost one message; a change back costs none.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::api::{KernelEvent, KernelItem};
use super::model::{KernelOp, OpError, RouteTarget, errno};
use super::next_hops::{GroupNews, Refusal};
use super::reconcile::Fib;
use super::records::{Flag, Placed, RouteId};
use super::routes::Slot;
use super::sets::{SetId, Target, Want};

/// Pause after the kernel refused to delete a superfluous route.
const EXTRAS_PAUSE: Duration = Duration::from_secs(30);

impl Fib {
    /// At most `max` operations to send as one batch, in order; empty while a batch is on its way
    /// or there is nothing to do. The driver answers with [`Self::batch_done`].
    pub fn poll_batch(&mut self, now: Instant, max: usize) -> &[KernelOp] {
        if !self.ready || !self.outstanding.is_empty() || self.config.watch_only {
            return &[];
        }
        self.sweep();
        // The allocation of the last batch, which `batch_done` has emptied.
        let mut ops = std::mem::take(&mut self.outstanding);
        self.next_hops.ops(max, &mut ops);
        while ops.len() < max {
            let Some(id) = self.routes.next() else {
                break;
            };
            if let Some(op) = self.plan(now, id) {
                ops.push(op);
            }
            self.forget_empty(id);
        }
        if ops.is_empty() {
            self.extra_ops(max, &mut ops);
        }
        if ops.is_empty() && self.audit.resynced {
            self.next_hops.litter_ops(max, &mut ops);
        }
        if ops.is_empty() {
            self.burst_ends(now);
        }
        self.outstanding = ops;
        &self.outstanding
    }

    /// Whether a batch would have something in it.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.ready && !self.config.watch_only && (self.burst.is_some() || self.routes.pending() > 0)
    }

    fn burst_ends(&mut self, now: Instant) {
        if let Some(burst) = self.burst.take()
            && burst.written > 0
        {
            self.routes.shrink();
            self.event(KernelEvent::Installed {
                routes: self.routes.placed,
                written: burst.written,
                took: now.saturating_duration_since(burst.since),
            });
        }
    }

    /// What one prefix needs now.
    fn plan(&mut self, now: Instant, id: RouteId) -> Option<KernelOp> {
        let record = *self.routes.records.get(id)?;
        let prefix = self.routes.records.prefix(id)?;
        let (slot, wanted) = match record.want() {
            Want::Nothing => return self.plan_end(id),
            Want::Discard => (Slot::Discard, Placed::Discard),
            Want::Set(set) => match self.place_for(set, record.placed()) {
                Some(at) => (Slot::Unicast, Placed::At(at)),
                None => {
                    self.park(id, set);
                    let gone = self.sets.target(set) == Target::Unresolved;
                    let gone = gone && !record.is(Flag::STALE);
                    return if gone { self.plan_end(id) } else { None };
                }
            },
        };
        let stale = self.routes.set_stale(id, false);
        let metric = slot.metric(&self.config);
        let holder = self.view.holder(prefix, metric);
        let inherited = matches!(holder, Some((by, false)) if Some(by) == self.predecessor);
        if record.placed() == wanted && !matches!(holder, Some((_, true))) {
            self.stats.adopted += u64::from(stale);
            self.routes.succeeded(prefix);
            return None;
        }
        if let Some((protocol, _)) = holder.filter(|_| !inherited) {
            self.routes.blocked(prefix, now);
            self.route_event(KernelEvent::Conflict { prefix, protocol });
            // What is there of ours, in the other place or before a connected route, goes.
            return self.plan_end(id);
        }
        let target = match record.want() {
            Want::Set(id) if self.inline => RouteTarget::Paths(self.sets.get(id)?.members.clone()),
            _ => match wanted {
                Placed::At(group) => RouteTarget::Group(group),
                _ => RouteTarget::Discard,
            },
        };
        Some(KernelOp::PutRoute {
            prefix,
            metric,
            target,
            replace: inherited
                || record.placed().slot() == Some(slot)
                || self.routes.extras.contains(&(prefix, metric)),
        })
    }

    /// Where a route of this set should lead that is at `placed` now: if that is as good as the
    /// set's own place, it stays there. `None`: the set has no place, or not yet.
    fn place_for(&mut self, set: SetId, placed: Placed) -> Option<u32> {
        if let Placed::At(at) = placed
            && self.stays(set, at)
        {
            return Some(at);
        }
        match self.sets.target(set) {
            // A group in doubt is about to be made anew.
            Target::At(at) if self.inline || self.next_hops.exists(at) => Some(at),
            _ => None,
        }
    }

    /// Whether a group is one of the set's own, or happens to have the same members: then a route
    /// there is right as long as that is so. Another set's routes may have moved here one by one
    /// because a next hop died, which the group has been told of long before.
    fn stays(&mut self, set: SetId, group: u32) -> bool {
        if self.inline {
            return false;
        }
        if self.next_hops.serves(group, set) {
            return true;
        }
        let members = self.sets.get(set).map(|set| &set.members);
        members.is_some_and(|members| self.next_hops.lodge(group, members))
    }

    fn park(&mut self, id: RouteId, set: SetId) {
        if let Some(record) = self.routes.records.get_mut(id)
            && !record.mark(Flag::PARKED, true)
        {
            self.sets.park(set, id);
        }
    }

    fn plan_end(&mut self, id: RouteId) -> Option<KernelOp> {
        let record = self.routes.records.get(id)?;
        if record.is(Flag::STALE) {
            return None;
        }
        let metric = record.placed().slot()?.metric(&self.config);
        let prefix = self.routes.records.prefix(id)?;
        Some(KernelOp::DeleteRoute { prefix, metric })
    }

    /// Routes of ours that are in nobody's place, once the place itself is in order.
    fn extra_ops(&self, max: usize, ops: &mut Vec<KernelOp>) {
        if self.extras_held.is_some() {
            return;
        }
        for (prefix, metric) in &self.routes.extras {
            let wanted = self
                .routes
                .get(*prefix)
                .is_some_and(|record| match record.want() {
                    Want::Nothing => false,
                    Want::Discard => record.placed() != Placed::Discard,
                    Want::Set(id) => match self.sets.target(id) {
                        Target::At(_) => !self.is_right(id, record.placed()),
                        Target::Pending => true,
                        Target::Unresolved => false,
                    },
                });
            let known = self
                .routes
                .get(*prefix)
                .is_some_and(|r| r.want() != Want::Nothing);
            if ops.len() >= max {
                return;
            }
            if !wanted && (known || self.audit.resynced) {
                let (prefix, metric) = (*prefix, *metric);
                ops.push(KernelOp::DeleteRoute { prefix, metric });
            }
        }
    }

    /// Whether a route of this set is as it should be in the kernel.
    pub(super) fn is_right(&self, set: SetId, placed: Placed) -> bool {
        let Placed::At(at) = placed else {
            return false;
        };
        let Some(set_of) = self.sets.get(set) else {
            return false;
        };
        set_of.target == Target::At(at)
            || !self.inline
                && (self.next_hops.serves(at, set) || self.next_hops.same(at, &set_of.members))
    }

    /// After groups died or inline sets changed: one walk over all routes finds those concerned.
    pub(super) fn sweep(&mut self) {
        let left = self.next_hops.take_left();
        if self.audit.sweep_groups.is_empty() && self.audit.sweep_sets.is_empty() && left.is_empty()
        {
            return;
        }
        let groups = std::mem::take(&mut self.audit.sweep_groups);
        let sets = std::mem::take(&mut self.audit.sweep_sets);
        let dead = |placed| matches!(placed, Placed::At(at) if groups.contains(&at));
        let moved = |want| matches!(want, Want::Set(id) if sets.contains(&id));
        let guest = |placed, want| match (placed, want) {
            (Placed::At(at), Want::Set(set)) => {
                left.contains(&at) && !self.next_hops.serves(at, set)
            }
            _ => false,
        };
        let mut concerned = Vec::new();
        for (id, record) in self.routes.records.iter() {
            let gone = dead(record.placed());
            if gone || moved(record.want()) || guest(record.placed(), record.want()) {
                concerned.push((id, gone));
            }
        }
        for (id, gone) in concerned {
            if gone {
                self.routes.place(id, Placed::Nothing);
                self.routes.set_stale(id, false);
            }
            self.routes.enqueue(id);
        }
    }

    /// The answers to the batch: operations by their place in it that failed, in order. All
    /// others succeeded.
    pub fn batch_done(&mut self, now: Instant, errors: Vec<(usize, OpError)>) {
        let mut ops = std::mem::take(&mut self.outstanding);
        let crossed = std::mem::take(&mut self.crossed);
        self.stats.batches += 1;
        self.stats.errors += u64::try_from(errors.len()).unwrap_or(0);
        let mut errors = errors.into_iter().peekable();
        for (index, op) in ops.drain(..).enumerate() {
            let error = errors.next_if(|(at, _)| *at == index);
            let result = error.map_or(Ok(()), |(_, error)| Err(error));
            self.op_done(now, op, result, &crossed);
        }
        self.outstanding = ops;
    }

    fn op_done(
        &mut self,
        now: Instant,
        op: KernelOp,
        result: Result<(), OpError>,
        crossed: &BTreeSet<IpNet>,
    ) {
        match op {
            KernelOp::PutRoute { prefix, target, .. } => {
                self.route_put(now, prefix, target, result);
                self.crossed_again(prefix, crossed);
            }
            KernelOp::DeleteRoute { prefix, metric } => {
                self.route_deleted(now, prefix, metric, result);
                self.crossed_again(prefix, crossed);
            }
            KernelOp::PutNextHop { id, hop } => {
                let item = KernelItem::NextHop(hop.gateway, hop.interface);
                let refusal = self.next_hops.object_done(id, result, now);
                self.refused(now, item, refusal);
            }
            KernelOp::PutGroup {
                id,
                members,
                must_exist,
            } => {
                let op = (id, members, must_exist);
                let (news, refusal) = self.next_hops.group_done(op, result, now);
                self.refused(now, KernelItem::Group(id), refusal);
                self.group_news(news);
            }
            KernelOp::DeleteNextHop { id } => {
                let (news, refusal) = self.next_hops.delete_done(id, result, now);
                self.refused(now, KernelItem::Group(id), refusal);
                self.group_news(news);
            }
        }
    }

    /// Someone touched the route while our write was on its way: who came last is unknown.
    fn crossed_again(&mut self, prefix: IpNet, crossed: &BTreeSet<IpNet>) {
        if crossed.contains(&prefix) {
            let Some(id) = self.routes.records.find(prefix) else {
                return;
            };
            let record = self.routes.records.get(id);
            if let Some(slot) = record.and_then(|record| record.placed().slot()) {
                self.set_placed(id, Placed::Unknown(slot));
            }
            self.routes.enqueue(id);
        }
    }

    fn group_news(&mut self, news: Option<GroupNews>) {
        match news {
            Some(GroupNews::Ready(set, group)) => self.set_target(set, Target::At(group)),
            Some(GroupNews::Replaced) => self.stats.groups_replaced += 1,
            Some(GroupNews::Dead(set, group)) => {
                self.audit.sweep_groups.insert(group);
                let Some(set) = set else { return };
                let members = self.sets.get(set).map(|set| set.members.is_empty());
                let target = match members {
                    Some(false) => Target::Pending,
                    _ => Target::Unresolved,
                };
                self.set_target(set, target);
            }
            None => {}
        }
    }

    fn refused(&mut self, now: Instant, what: KernelItem, refusal: Option<Refusal>) {
        let Some(Refusal { error, retry_in }) = refusal else {
            return;
        };
        self.audit.suspect(now);
        let OpError { errno, text } = error;
        self.route_event(KernelEvent::Failed {
            what,
            errno,
            text,
            retry_in,
        });
    }

    fn route_put(
        &mut self,
        now: Instant,
        prefix: IpNet,
        target: RouteTarget,
        result: Result<(), OpError>,
    ) {
        self.stats.routes_written += 1;
        let id = self.routes.records.enter(prefix);
        self.touch_record(id);
        if let Err(error) = result {
            if error.errno == errno::EEXIST || error.errno == errno::EINVAL {
                // The picture is wrong: someone was quicker, or the group has gone.
                self.audit.suspect(now);
            }
            let quiet = error.errno == errno::EEXIST && self.routes.tries(prefix) == 0;
            let retry_in = self.routes.refused(prefix, now);
            if !quiet {
                let OpError { errno, text } = error;
                let what = KernelItem::Route(prefix);
                self.route_event(KernelEvent::Failed {
                    what,
                    errno,
                    text,
                    retry_in,
                });
            }
            return;
        }
        self.count_written();
        self.routes.succeeded(prefix);
        let placed = match target {
            RouteTarget::Group(group) => Placed::At(group),
            RouteTarget::Discard => Placed::Discard,
            RouteTarget::Paths(members) => self.inline_version(id, &members),
        };
        let before = self.routes.records.get(id).and_then(|r| r.placed().slot());
        if let Some(slot) = before.filter(|slot| Some(*slot) != placed.slot()) {
            let metric = slot.metric(&self.config);
            self.routes.extras.insert((prefix, metric));
        }
        if let Some(slot) = placed.slot() {
            // What lay there as superfluous has become the right thing.
            let metric = slot.metric(&self.config);
            if !self.routes.extras.is_empty() {
                self.routes.extras.remove(&(prefix, metric));
            }
        }
        if let Some((by, _)) = self.predecessor.zip(placed.slot()) {
            self.view.drop_inherited(prefix, by);
        }
        self.set_placed(id, placed);
    }

    /// The version of what was written, if the set is still the same; else it is written again.
    fn inline_version(&self, id: RouteId, members: &[super::model::Member]) -> Placed {
        let set = match self.routes.records.get(id).map(|record| record.want()) {
            Some(Want::Set(id)) => self.sets.get(id),
            _ => None,
        };
        match set.map(|set| (&*set.members == members, set.target)) {
            Some((true, Target::At(version))) => Placed::At(version),
            _ => Placed::Unknown(Slot::Unicast),
        }
    }

    fn count_written(&mut self) {
        if let Some(burst) = &mut self.burst {
            burst.written += 1;
        }
    }

    fn route_deleted(
        &mut self,
        now: Instant,
        prefix: IpNet,
        metric: u32,
        result: Result<(), OpError>,
    ) {
        self.touch(prefix);
        let extra = self.routes.extras.contains(&(prefix, metric));
        if let Err(error) = result
            && error.errno != errno::ESRCH
            && error.errno != errno::ENOENT
        {
            let retry_in = if extra {
                self.extras_held = Some(now + EXTRAS_PAUSE);
                EXTRAS_PAUSE
            } else {
                self.routes.refused(prefix, now)
            };
            let OpError { errno, text } = error;
            let what = KernelItem::Route(prefix);
            self.route_event(KernelEvent::Failed {
                what,
                errno,
                text,
                retry_in,
            });
            return;
        }
        self.count_written();
        self.stats.routes_written += 1;
        if extra {
            self.routes.extras.remove(&(prefix, metric));
            return;
        }
        self.routes.succeeded(prefix);
        if let Some(id) = self.routes.records.find(prefix) {
            self.set_placed(id, Placed::Nothing);
            self.forget_empty(id);
        }
    }
}
