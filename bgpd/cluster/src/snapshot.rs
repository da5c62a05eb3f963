//! All objects, indexed by what rules ask for.
//!
//! A change says what it touches, so that the event of one service costs one service. What a
//! change does not alter (a heartbeat, a field nobody reads) touches nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::Fault;
use crate::object::{Key, Object, ObjectName};

/// What happened to an object.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is there, or is different; unreadable ones are kept as their fault.
    Put(Key, Result<Object, Fault>),
    /// It is gone.
    Remove(Key),
}

/// What has to be looked at again after changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Neighbors, policies, networks of the node.
    pub peering: bool,
    /// Every service (a pool, a policy or this node changed).
    pub all_services: bool,
    /// These services.
    pub services: BTreeSet<ObjectName>,
}

/// All objects.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    objects: BTreeMap<Key, Result<Object, Fault>>,
}

impl Snapshot {
    /// Takes a change in.
    pub fn apply(&mut self, change: Change) -> Touched {
        match change {
            Change::Put(key, object) => self.objects.insert(key, object),
            Change::Remove(key) => self.objects.remove(&key),
        };
        Touched {
            peering: true,
            all_services: true,
            services: BTreeSet::new(),
        }
    }
}
