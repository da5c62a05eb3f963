//! What comes out of the node, in whose turn, and what has to wait.
//!
//! The address thread takes a slot's addresses while everybody else goes on; until it has, nothing
//! more of that slot comes out, or it would tell the link of addresses that do not answer. In a
//! sync group the same holds for all members: one that is refused takes the others along before
//! anybody has heard of them. Adverts of those that are masters already, and only put an address
//! back or another one there, wait for nothing.

use super::{Node, Output, SlotId};
use crate::router::Action;

impl Node {
    /// The next thing to do or to tell, and whose it is; drain after every input. What all have to
    /// do comes before what anybody tells: a thousand lines of a log hold up no advert.
    pub fn poll_output(&mut self) -> Option<(SlotId, Output)> {
        while let Some(front) = self.ready.front().copied() {
            if self.may_advertise(front)
                && let Some(slot) = self.slots.get_mut(&front)
                && let Some(advert) = slot.router.poll_advert()
            {
                return Some((front, Output::Do(advert)));
            }
            let id = self.groups.takes_first(front, &self.slots).unwrap_or(front);
            if !self.groups.holds_up(id, &self.slots)
                && let Some(slot) = self.slots.get_mut(&id)
            {
                if let Some(action) = slot.router.poll_action() {
                    return Some((id, Output::Do(action)));
                }
                if self.telling.back() != Some(&id) {
                    self.telling.push_back(id);
                }
            }
            self.ready.pop_front();
        }
        while let Some(id) = self.telling.front().copied() {
            if !self.groups.holds_up(id, &self.slots)
                && let Some(slot) = self.slots.get_mut(&id)
            {
                if let Some(event) = slot.router.poll_event() {
                    return Some((id, Output::Tell(event)));
                }
                if slot.leaving && slot.router.is_idle() {
                    self.forget(id);
                }
            }
            self.telling.pop_front();
        }
        None
    }

    /// Whether it has an advert next, or one behind what is kept waiting.
    fn may_advertise(&self, id: SlotId) -> bool {
        match self.slots.get(&id).and_then(|it| it.router.next_action()) {
            None => false,
            Some(Action::Send { .. }) => true,
            Some(_) => self.groups.is_kept_waiting(id, &self.slots),
        }
    }

    /// Its addresses are being taken: nothing of it comes out until [`Node::go_on`].
    pub fn wait(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.waits = true;
        }
    }

    /// They are there, or refused: the rest may follow.
    pub fn go_on(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.waits = false;
            slot.router.catch_up();
        }
        for member in self.groups.with(id) {
            self.settle(member);
        }
    }

    fn forget(&mut self, id: SlotId) {
        if let Some(slot) = self.slots.remove(&id)
            && let Some(due) = slot.deadline
        {
            self.deadlines.remove(&(due, id));
        }
        for ids in self.heard_by.values_mut() {
            ids.retain(|one| *one != id);
        }
    }
}
