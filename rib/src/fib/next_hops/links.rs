//! Which groups refer to which object, and what may be left over.
//!
//! A peer decides how many next hops there are, and a million of them must not make each change a
//! walk over a million groups. So every question about "all groups with this object", "a group
//! with these members" or "what is of no use" goes to an index that is kept here.
//!
//! A group is linked to an object if it should have it as a member or has it in the kernel. What
//! may be left over (a group without set and routes, an object without groups) is noted when it
//! may have become so, and judged when its turn comes: notes that are out of date cost one look.

use std::collections::{BTreeMap, BTreeSet};

use super::{Group, NextHops, State};
use crate::fib::model::{Hop, KernelOp};

/// Members as the kernel has them.
type Content = Vec<(u32, u8)>;

#[derive(Debug, Default)]
pub(super) struct Links {
    /// Groups of each object.
    users: BTreeMap<u32, BTreeSet<u32>>,
    /// Groups in the kernel that belonged to no set when they were noted.
    orphans: BTreeMap<Content, BTreeSet<u32>>,
    idle_groups: BTreeSet<u32>,
    idle_objects: BTreeSet<u32>,
}

impl NextHops {
    pub(super) fn link(&mut self, object: u32, group: u32) {
        self.links.users.entry(object).or_default().insert(group);
    }

    /// Groups that want an object or have it.
    pub(super) fn users(&self, object: u32) -> Vec<u32> {
        let users = self.links.users.get(&object);
        users.into_iter().flatten().copied().collect()
    }

    /// Whether any group should have this object as a member.
    pub(super) fn is_wanted(&self, object: u32, hop: Hop) -> bool {
        let users = self.links.users.get(&object).into_iter().flatten();
        let mut groups = users.filter_map(|id| self.groups.get(id));
        groups.any(|group| group.wanted.iter().any(|member| member.hop == hop))
    }

    /// Ends the links of a group to those of `objects` that it neither wants nor has any more.
    pub(super) fn unlink_group(&mut self, id: u32, objects: &[u32]) {
        let group = self.groups.get(&id);
        for object in objects {
            let hop = self.objects.get(object).map(|object| object.hop);
            let refers = |group: &Group| {
                group.installed.iter().any(|(member, _)| member == object)
                    || group.wanted.iter().any(|member| Some(member.hop) == hop)
            };
            if group.is_some_and(refers) {
                continue;
            }
            if let Some(users) = self.links.users.get_mut(object) {
                users.remove(&id);
                if users.is_empty() {
                    self.links.users.remove(object);
                    self.links.idle_objects.insert(*object);
                }
            }
        }
    }

    /// The objects that a group refers to.
    pub(super) fn objects_of(&self, id: u32) -> Vec<u32> {
        let Some(group) = self.groups.get(&id) else {
            return Vec::new();
        };
        let installed = group.installed.iter().map(|(object, _)| *object);
        let wanted = group.wanted.iter();
        let wanted = wanted.filter_map(|member| self.by_hop.get(&member.hop).copied());
        installed.chain(wanted).collect()
    }

    /// An object is no more.
    pub(super) fn forget_object(&mut self, id: u32) {
        self.links.users.remove(&id);
        self.links.idle_objects.remove(&id);
    }

    // Groups that nobody has.

    /// Notes that a group may be without a set or without routes.
    pub(super) fn note_idle(&mut self, id: u32) {
        let Some(group) = self.groups.get(&id).filter(|group| group.set.is_none()) else {
            return;
        };
        if group.state == State::Present && !group.installed.is_empty() {
            let same = self.links.orphans.entry(group.installed.clone());
            same.or_default().insert(id);
        }
        if group.routes == 0 {
            self.links.idle_groups.insert(id);
        }
    }

    pub(super) fn note_idle_object(&mut self, id: u32) {
        if !self.links.users.contains_key(&id) {
            self.links.idle_objects.insert(id);
        }
    }

    /// A group in the kernel that has these members and no set.
    pub(super) fn orphan(&mut self, content: &Content) -> Option<u32> {
        let same = self.links.orphans.get_mut(content)?;
        let groups = &self.groups;
        let fits = |id: &u32| {
            groups.get(id).is_some_and(|group| {
                group.set.is_none() && group.state == State::Present && group.installed == *content
            })
        };
        let mut found = None;
        while found.is_none()
            && let Some(id) = same.pop_first()
        {
            found = Some(id).filter(fits);
        }
        if same.is_empty() {
            self.links.orphans.remove(content);
        }
        found
    }

    /// A group is no more: what was noted of it goes.
    pub(super) fn forget_orphan(&mut self, id: u32, content: &Content) {
        if let Some(same) = self.links.orphans.get_mut(content) {
            same.remove(&id);
            if same.is_empty() {
                self.links.orphans.remove(content);
            }
        }
    }

    /// Deletes what nothing leads to any more: groups first, as they hold the objects.
    pub(in crate::fib) fn litter_ops(&mut self, max: usize, out: &mut Vec<KernelOp>) {
        while out.len() < max
            && let Some(id) = self.links.idle_groups.pop_first()
        {
            let idle = |group: &Group| {
                group.set.is_none() && group.routes == 0 && group.retry.again.is_none()
            };
            if self.groups.get(&id).is_some_and(idle) {
                out.push(KernelOp::DeleteNextHop { id });
            }
        }
        if !out.is_empty() {
            return;
        }
        while out.len() < max
            && let Some(id) = self.links.idle_objects.pop_first()
        {
            let object = self.objects.get(&id);
            let unused = !self.links.users.contains_key(&id);
            if unused && object.is_some_and(|object| object.retry.again.is_none()) {
                out.push(KernelOp::DeleteNextHop { id });
            }
        }
    }
}
