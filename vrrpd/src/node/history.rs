//! What happened and why, for `show vrrp history`: a bounded list, the oldest forgotten first.
//!
//! It goes on with what earlier processes left on disk ([`crate::io::chronicle`]).

use std::collections::VecDeque;

/// Entries kept: a month of a calm network, an hour of a bad one.
const ENTRIES_MAX: usize = 1000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Wall clock, milliseconds since 1970.
    pub epoch_ms: u64,
    /// The instance.
    pub instance: String,
    /// What and why.
    pub text: String,
}

/// The list.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Entry>);

impl History {
    /// Adds an entry.
    pub fn push(&mut self, entry: Entry) {
        if self.0.len() >= ENTRIES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(entry);
    }

    /// Oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }
}
