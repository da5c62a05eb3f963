//! Orders from outside, by name: for one instance, or for a whole sync group.
//!
//! Members of a group move together, so an order for one of them is one for all; whoever gives it
//! is told the group's name, to say so. All of them have their input before anything follows from
//! it: a group that is released member by member would otherwise take the second for a loser.

use std::time::Instant;

use super::{Node, SlotId};
use crate::router::{Router, State};

impl Node {
    /// Whom an operator's order for `name` is for: one instance, or a whole group, when that is the
    /// name of one or of a member. With the name of the group; empty: there is no such name.
    #[must_use]
    pub fn meant_by(&self, name: &str) -> (Option<&str>, Vec<SlotId>) {
        let id = self.by_name.get(name).copied();
        match self.groups.around(name, id) {
            Some((group, members)) => (Some(group), members.to_vec()),
            None => (None, id.into_iter().collect()),
        }
    }

    /// The state that the group of this instance is in, with its name: `None` in the state while
    /// members differ.
    #[must_use]
    pub fn group_of(&self, id: SlotId) -> Option<(&str, Option<State>)> {
        let (group, members) = self.groups.around("", Some(id))?;
        let members = members.iter().filter_map(|id| self.slots.get(id));
        let mut states = members.map(|slot| slot.router.state());
        let first = states.next();
        Some((group, first.filter(|first| states.all(|it| it == *first))))
    }

    /// Gives routers of the operator's choice an input, all before anything follows from it.
    pub fn with_routers<R>(
        &mut self,
        now: Instant,
        ids: &[SlotId],
        mut input: impl FnMut(&mut Router) -> R,
    ) -> Vec<R> {
        self.ordered = true;
        let mut answers = Vec::new();
        for id in ids {
            if let Some(slot) = self.slots.get_mut(id) {
                answers.push(input(&mut slot.router));
            }
            self.settle(*id);
        }
        self.settle_groups(now);
        answers
    }

    /// Gives a router of the operator's choice an input.
    pub fn with_router<R>(
        &mut self,
        name: &str,
        input: impl FnOnce(&mut Router) -> R,
    ) -> Option<R> {
        self.ordered = true;
        let id = *self.by_name.get(name)?;
        let answer = input(&mut self.slots.get_mut(&id)?.router);
        self.settle(id);
        Some(answer)
    }

    /// Whether the operator ordered anything since the last call.
    pub fn take_ordered(&mut self) -> bool {
        std::mem::take(&mut self.ordered)
    }

    /// The routes that cannot be put, and whose they are.
    pub fn set_route_problems(&mut self, problems: Vec<(SlotId, String)>) {
        for slot in self.slots.values_mut() {
            slot.route_problems.clear();
        }
        for (id, text) in problems {
            if let Some(slot) = self.slots.get_mut(&id) {
                slot.route_problems.push(text);
            }
        }
    }
}
