//! All update groups, found by what their members share.
//!
//! Groups are few and live as long as they have members; their numbers are reused.

use std::sync::Arc;

use proto_codec::afi::Family;

use crate::group::{Group, GroupId, GroupKey};
use crate::hash::{Seed, SeededMap};

/// The groups of the engine.
#[derive(Debug)]
pub(crate) struct Groups {
    list: Vec<Option<Group>>,
    by_key: SeededMap<Arc<GroupKey>, GroupId>,
    seed: Seed,
}

impl Groups {
    pub fn new(seed: Seed) -> Self {
        Self {
            list: Vec::new(),
            by_key: seed.map(),
            seed,
        }
    }

    /// The group of a key; `true` when it is new and has to be built.
    pub fn find_or_create(&mut self, key: GroupKey, log_segments: usize) -> (GroupId, bool) {
        if let Some(id) = self.by_key.get(&key) {
            return (*id, false);
        }
        let key = Arc::new(key);
        let group = Group::new(Arc::clone(&key), log_segments, &self.seed);
        let at = self.list.iter().position(Option::is_none);
        let at = match at.and_then(|at| Some((at, self.list.get_mut(at)?))) {
            Some((at, free)) => {
                *free = Some(group);
                at
            }
            None => {
                self.list.push(Some(group));
                self.list.len() - 1
            }
        };
        let id = GroupId(u32::try_from(at).unwrap_or(u32::MAX));
        self.by_key.insert(key, id);
        (id, true)
    }

    pub fn get(&self, id: GroupId) -> Option<&Group> {
        self.list.get(usize::try_from(id.0).ok()?)?.as_ref()
    }

    pub fn get_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.list.get_mut(usize::try_from(id.0).ok()?)?.as_mut()
    }

    /// Takes a group out.
    pub fn remove(&mut self, id: GroupId) -> Option<Group> {
        let group = self.list.get_mut(usize::try_from(id.0).ok()?)?.take()?;
        self.by_key.remove(&group.key);
        Some(group)
    }

    /// Groups of a family.
    pub fn of_family(&mut self, family: Family) -> impl Iterator<Item = &mut Group> {
        self.list
            .iter_mut()
            .flatten()
            .filter(move |group| group.family() == family)
    }

    /// All groups with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        (0..)
            .map(GroupId)
            .zip(&self.list)
            .filter_map(|(id, group)| Some((id, group.as_ref()?)))
    }
}
