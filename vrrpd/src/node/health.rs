//! Checks and instances: whose health an answer changes.
//!
//! A verdict goes to every instance that tracks the check, and nobody else is touched. Each is told
//! the reason before what it causes, so that the history reads in the order of things.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::config::check::Check;
use crate::router::Event;

use super::checks::{Checks, Outcome};
use super::{Node, SlotId};

impl Node {
    /// An answer to a check; one that nobody tracks any more is dropped.
    pub fn check_answered(&mut self, now: Instant, check: &Check, outcome: Outcome) {
        if let Some(events) = self.checks.answer(now, check, outcome) {
            self.judge(now, check, &events);
        }
    }

    /// How all checks stand.
    #[must_use]
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// The configuration is another one: so are the checks and what they are worth.
    pub(super) fn set_checks(&mut self, now: Instant) {
        let instances = self.config.instances.iter();
        let tracked = instances.flat_map(|one| &one.track);
        let wanted: BTreeSet<Check> = tracked.map(|one| one.check.clone()).collect();
        self.checks.set(now, &wanted);
        self.look_at_links(now);
        self.judge_all(now);
    }

    pub(super) fn judge_all(&mut self, now: Instant) {
        let ids: Vec<SlotId> = self.slots.keys().copied().collect();
        for id in ids {
            self.judge_slot(now, id, Vec::new());
        }
    }

    pub(super) fn look_at_links(&mut self, now: Instant) {
        for (check, events) in self.checks.look_at_links(now, &self.hosts) {
            self.judge(now, &check, &events);
        }
    }

    pub(super) fn handle_check_timeout(&mut self, now: Instant) {
        for (check, events) in self.checks.handle_timeout(now) {
            self.judge(now, &check, &events);
        }
    }

    fn judge(&mut self, now: Instant, check: &Check, events: &[Event]) {
        let tracks = |slot: &super::Slot| slot.instance.track.iter().any(|it| it.check == *check);
        let slots = self.slots.iter();
        let ids: Vec<SlotId> = slots
            .filter(|(_, slot)| !slot.leaving && tracks(slot))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.judge_slot(now, id, events.to_vec());
        }
    }

    fn judge_slot(&mut self, now: Instant, id: SlotId, told: Vec<Event>) {
        if let Some(slot) = self.slots.get_mut(&id).filter(|slot| !slot.leaving) {
            let health = self.checks.health(&slot.instance.track);
            if !told.is_empty() || health != *slot.router.own_health() {
                slot.router.set_health(now, health, told);
                self.settle(id);
            }
        }
    }
}
