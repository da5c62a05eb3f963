//! What the kernel tells: rows of dumps and notifications.
//!
//! Both take the same way in. A notification of a write of our own does not arrive here (the
//! adapter filters it by port), so whatever concerns a route of ours was done by someone else or
//! by the kernel itself, and is put right. Which of the two decides whether it counts as
//! meddling.
//!
//! A place of ours that another protocol wrote over is taken back: it was ours when it was
//! written over. A place that another protocol had first is left alone.

use std::time::Instant;

use ipnet::IpNet;

use super::api::{InterfaceChange, KernelEvent, KernelItem, Meddling};
use super::model::{Link, ObservedKind, ObservedNextHop, ObservedRoute, Source};
use super::reconcile::Fib;
use super::records::{PLACE_MIN, Placed, RouteId};
use super::routes::Slot;
use super::sets::Want;

impl Fib {
    /// An interface as it is now.
    pub fn link(&mut self, now: Instant, link: Link) {
        let (index, usable) = (link.index, link.usable());
        let was_usable = self.view.usable(index);
        self.audit.link_seen(index);
        if !self.view.put_link(link) {
            return;
        }
        if !usable && was_usable {
            self.next_hops.link_lost(index);
        }
        self.look_at_vacated(now);
        if usable != was_usable && self.ready {
            self.audit.suspect(now);
        }
        self.tell_interface(index);
    }

    /// An interface is gone.
    pub fn link_gone(&mut self, now: Instant, index: u32) {
        let Some(link) = self.view.drop_link(index) else {
            return;
        };
        self.next_hops.link_lost(index);
        let name = link.name;
        let gone = InterfaceChange::Gone { index, name };
        self.event(KernelEvent::Interface(gone));
        self.look_at_vacated(now);
        self.audit.suspect(now);
    }

    fn look_at_vacated(&mut self, now: Instant) {
        self.kick(now);
        for prefix in self.view.take_vacated() {
            self.routes.enqueue_prefix(prefix);
        }
    }

    /// An address appeared on an interface, or went.
    pub fn address(&mut self, now: Instant, index: u32, address: IpNet, present: bool) {
        self.audit.address_seen(index, address);
        if self.view.put_address(index, address, present) {
            self.kick(now);
            self.tell_interface(index);
        }
    }

    fn tell_interface(&mut self, index: u32) {
        // Before the first dump is in, nobody knows an interface yet that could have changed.
        if let Some(interface) = self.view.interface(index).filter(|_| self.ready) {
            let present = InterfaceChange::Present(interface);
            self.event(KernelEvent::Interface(present));
        }
    }

    /// There may be something to write: [`Self::has_work`] until a batch comes out empty.
    pub(super) fn kick(&mut self, now: Instant) {
        self.burst.get_or_insert(super::reconcile::Burst {
            since: now,
            written: 0,
        });
    }

    /// A next hop object or group, new or changed.
    pub fn next_hop(&mut self, now: Instant, seen: &ObservedNextHop, source: Source) {
        if source == Source::Dump {
            self.audit.next_hops.insert(seen.id);
        }
        let changed = self.next_hops.observe(seen);
        self.kick(now);
        let foreign = matches!(source, Source::Foreign { .. });
        if let Some(what) = self.next_hops.item(seen.id).filter(|_| changed && foreign) {
            self.next_hop_meddled(what, Meddling::Changed);
        }
    }

    /// A next hop object or group was deleted.
    pub fn next_hop_gone(&mut self, now: Instant, id: u32, source: Source) {
        let what = self.next_hops.item(id);
        if let Some(what) = what.filter(|_| self.next_hops.gone(id)) {
            self.kick(now);
            if matches!(source, Source::Foreign { .. }) {
                self.next_hop_meddled(what, Meddling::Deleted);
            }
        }
    }

    fn next_hop_meddled(&mut self, what: KernelItem, cause: Meddling) {
        self.stats.restored += 1;
        self.route_event(KernelEvent::Restored { what, cause });
    }

    /// A route, new or changed.
    pub fn route(&mut self, now: Instant, route: ObservedRoute, source: Source) {
        if !self.view.covers_table(route.table) || self.outdated(&route, source) {
            return;
        }
        if route.table == self.config.table && route.protocol == self.config.protocol {
            self.own_route(now, &route, source);
        } else if !self.written_over(now, &route, source) {
            let prefix = route.prefix;
            match source {
                Source::Dump => return self.audit.shadow(route),
                Source::Foreign { replaced } => self.view.put_route(route, replaced),
                Source::Kernel => self.view.put_route(route, false),
            }
            // It may be a connected route that ours would hide.
            self.enqueue_prefix(now, prefix);
        }
    }

    /// Another protocol replaced the route in a place that was ours.
    fn written_over(&mut self, now: Instant, route: &ObservedRoute, source: Source) -> bool {
        let replaced = matches!(source, Source::Foreign { replaced: true });
        if !replaced || route.table != self.config.table {
            return false;
        }
        let slot = Slot::of_metric(route.metric, &self.config);
        let Some((id, want)) = self.record_in(route.prefix, slot) else {
            return false;
        };
        if Slot::of_want(want) != slot {
            self.set_placed(id, Placed::Nothing);
            self.routes.set_stale(id, false);
            self.forget_empty(id);
            return false;
        }
        if let Some(slot) = slot {
            self.mark_crossed(route.prefix);
            self.set_placed(id, Placed::Unknown(slot));
            self.meddled(now, id, Meddling::Changed);
        }
        true
    }

    /// The record whose route is in this slot of the prefix, and what it wants.
    fn record_in(&self, prefix: IpNet, slot: Option<Slot>) -> Option<(RouteId, Want)> {
        let id = self.routes.records.find(prefix)?;
        let record = self.routes.records.get(id)?;
        let there = slot.is_some() && record.placed().slot() == slot;
        there.then(|| (id, record.want()))
    }

    fn mark_crossed(&mut self, prefix: IpNet) {
        if !self.outstanding.is_empty() {
            self.crossed.insert(prefix);
        }
    }

    fn own_route(&mut self, now: Instant, route: &ObservedRoute, source: Source) {
        let prefix = route.prefix;
        let Some(slot) = Slot::of_metric(route.metric, &self.config) else {
            self.extra(now, route);
            return;
        };
        let content = match (slot, route.kind, route.next_hop_id) {
            (Slot::Unicast, ObservedKind::Unicast, Some(id)) if !self.inline && id >= PLACE_MIN => {
                Placed::At(id)
            }
            (Slot::Discard, ObservedKind::Discard, None) => Placed::Discard,
            _ => Placed::Unknown(slot),
        };
        let mark = self.audit.mark;
        let id = self.routes.records.enter(prefix);
        let Some(record) = self.routes.records.get_mut(id) else {
            return;
        };
        if source == Source::Dump {
            record.seen = mark;
        }
        let nobody = record.want() == Want::Nothing;
        match record.placed() {
            placed if placed == content => {}
            // Without next hop objects only the version says whether the content is ours.
            Placed::At(_) if self.inline && source == Source::Dump => {}
            Placed::Nothing => {
                self.set_placed(id, content);
                if nobody && !self.audit.resynced {
                    self.routes.set_stale(id, true);
                }
                self.enqueue(now, id);
            }
            placed if placed.slot() == Some(slot) => {
                self.mark_crossed(prefix);
                self.set_placed(id, content);
                match source {
                    Source::Foreign { .. } => self.meddled(now, id, Meddling::Changed),
                    Source::Dump => {
                        self.audit.repairs += usize::from(self.ready);
                        self.enqueue(now, id);
                    }
                    Source::Kernel => self.enqueue(now, id),
                }
            }
            _ => self.extra(now, route),
        }
    }

    fn extra(&mut self, now: Instant, route: &ObservedRoute) {
        let key = (route.prefix, route.metric);
        self.audit.extra_seen(key);
        self.routes.extras.insert(key);
        self.kick(now);
    }

    /// A route was deleted.
    pub fn route_gone(&mut self, now: Instant, route: &ObservedRoute, source: Source) {
        if !self.view.covers_table(route.table) {
            return;
        }
        let prefix = route.prefix;
        self.touch(prefix);
        if route.table != self.config.table || route.protocol != self.config.protocol {
            self.view.drop_route(route);
            // The place may have been the one a route of ours waits for.
            self.enqueue_prefix(now, prefix);
            return;
        }
        if self.routes.extras.remove(&(prefix, route.metric)) {
            return;
        }
        let slot = Slot::of_metric(route.metric, &self.config);
        let Some((id, want)) = self.record_in(prefix, slot) else {
            return;
        };
        self.mark_crossed(prefix);
        let foreign = matches!(source, Source::Foreign { .. });
        let lives = match want {
            _ if Slot::of_want(want) != slot => false,
            Want::Set(set) => matches!(self.sets.target(set), super::sets::Target::At(_)),
            _ => true,
        };
        match slot {
            // Overwriting works whether or not the place is empty by now.
            Some(slot) if lives => self.set_placed(id, Placed::Unknown(slot)),
            _ => self.set_placed(id, Placed::Nothing),
        }
        if foreign && Slot::of_want(want) == slot {
            self.meddled(now, id, Meddling::Deleted);
        } else {
            self.routes.set_stale(id, false);
            self.enqueue(now, id);
        }
    }
}
