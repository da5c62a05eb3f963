//! What can be seen of a [`Node`] without changing it, for the driver, the operator and metrics.
//!
//! References and copies of facts only; none of these is more than a field away. What happened is
//! the one exception: the history is written by whoever tells events on, who stands outside.

use super::{History, Node, Slot, SlotId, Strangers};
use crate::config::Config;

impl Node {
    /// A slot.
    #[must_use]
    pub fn slot(&self, id: SlotId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    /// All slots, in the order they came to be.
    pub fn slots(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        self.slots.iter().map(|(id, slot)| (*id, slot))
    }

    /// What happened.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// To add what happened.
    pub fn history_mut(&mut self) -> &mut History {
        &mut self.history
    }

    /// Virtual routers that were heard and are not here.
    #[must_use]
    pub fn strangers(&self) -> &Strangers {
        &self.strangers
    }

    /// Adverts for virtual routers that are not here.
    #[must_use]
    pub fn unknown_vrid(&self) -> u64 {
        self.strangers.total()
    }

    /// Whether everybody was asked to hand over for good.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }
}
