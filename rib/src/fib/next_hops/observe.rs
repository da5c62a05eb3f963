//! Next hop objects as the kernel shows them: dumps, notifications, lost links.
//!
//! A row of a dump and a notification go through the same comparison, so what another process
//! did to an object of ours is found the same way whether its event arrived or was lost. What
//! differs is marked and written again by the next operations; nothing is written from here.
//!
//! An object with our protocol number that nobody asked for is of an earlier run (or somebody's
//! mistake). It is kept for adoption until the end of resync, then removed as litter.

use std::collections::BTreeSet;

use super::{Group, NextHops, Object, Retry, State, own_ids};
use crate::fib::model::{Hop, Member, NextHopContent, ObservedNextHop};

impl NextHops {
    // What happens in the kernel.

    /// The link cannot carry packets: the kernel has deleted the objects on it.
    pub(in crate::fib) fn link_lost(&mut self, interface: u32) {
        let lost: Vec<u32> = self
            .objects
            .iter()
            .filter(|(_, object)| object.hop.interface == interface)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.object_lost(id);
        }
    }

    pub(super) fn object_lost(&mut self, id: u32) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.state = State::Absent;
            object.retry = Retry::default();
            self.new_objects.insert(id);
        }
        for group_id in self.users(id) {
            let Some(group) = self.groups.get_mut(&group_id) else {
                continue;
            };
            let before = group.installed.len();
            group.installed.retain(|(member, _)| *member != id);
            if group.installed.len() == before {
                continue;
            }
            if group.installed.is_empty() {
                group.state = State::Doubtful;
            }
            self.dirty_groups.insert(group_id);
            self.unlink_group(group_id, &[id]);
        }
    }

    /// An object or group as a dump or notification shows it. True if one of ours had been
    /// changed and is being repaired.
    pub(in crate::fib) fn observe(&mut self, seen: &ObservedNextHop) -> bool {
        if seen.protocol != self.protocol {
            if own_ids(self.protocol).contains(&seen.id) {
                self.foreign.insert(seen.id);
            }
            return self.forget_taken(seen.id);
        }
        self.foreign.remove(&seen.id);
        match &seen.content {
            NextHopContent::Single(hop) => self.observe_object(seen.id, *hop),
            NextHopContent::Group(members) => self.observe_group(seen.id, members),
            NextHopContent::Other => false,
        }
    }

    fn observe_object(&mut self, id: u32, hop: Hop) -> bool {
        if let Some(object) = self.objects.get_mut(&id) {
            if object.hop == hop {
                if object.state == State::Absent {
                    object.state = State::Present;
                    self.new_objects.remove(&id);
                }
                return false;
            }
            object.state = State::Absent;
            self.new_objects.insert(id);
            return true;
        }
        // Of an earlier run, or a stranger with our number: unused ones go after resync.
        self.objects.insert(id, Object::new(hop, State::Present));
        self.by_hop.entry(hop).or_insert(id);
        self.note_idle_object(id);
        false
    }

    fn observe_group(&mut self, id: u32, members: &[(u32, u8)]) -> bool {
        let mut members = members.to_vec();
        members.sort_unstable();
        if let Some(group) = self.groups.get_mut(&id) {
            if group.installed == members && group.state == State::Present {
                return false;
            }
            let changed = group.state == State::Present;
            if group.state == State::Absent {
                group.state = State::Present;
            }
            self.set_installed(id, members);
            self.dirty_groups.insert(id);
            return changed;
        }
        let group = Group {
            set: None,
            wanted: Vec::new(),
            installed: Vec::new(),
            state: State::Present,
            retry: Retry::default(),
            routes: 0,
            spare: false,
        };
        self.groups.insert(id, group);
        self.set_installed(id, members);
        self.note_idle(id);
        false
    }

    /// What the kernel has in a group.
    pub(super) fn set_installed(&mut self, id: u32, members: Vec<(u32, u8)>) {
        let before = self.objects_of(id);
        for (object, _) in &members {
            self.link(*object, id);
        }
        if let Some(group) = self.groups.get_mut(&id) {
            group.installed = members;
        }
        self.unlink_group(id, &before);
    }

    /// An id of ours now belongs to someone else: ours is made again under another id.
    fn forget_taken(&mut self, id: u32) -> bool {
        if let Some(object) = self.objects.remove(&id) {
            self.unlink(object.hop, id);
            self.new_objects.remove(&id);
            self.detach(id, object.hop);
            return true;
        }
        self.groups.contains_key(&id) && self.group_gone(id)
    }

    /// A notification tells that an object or group was deleted. True if it was ours and in use.
    pub(in crate::fib) fn gone(&mut self, id: u32) -> bool {
        self.foreign.remove(&id);
        if self.objects.contains_key(&id) {
            self.object_lost(id);
            return true;
        }
        self.group_gone(id)
    }

    pub(super) fn group_gone(&mut self, id: u32) -> bool {
        let Some(group) = self.groups.get_mut(&id) else {
            return false;
        };
        group.state = State::Doubtful;
        self.set_installed(id, Vec::new());
        self.dirty_groups.insert(id);
        true
    }

    /// After a dump: everything of ours that is not in it does not exist.
    pub(in crate::fib) fn keep_only(&mut self, seen: &BTreeSet<u32>) {
        let objects = self
            .objects
            .iter()
            .filter(|(id, object)| object.state == State::Present && !seen.contains(id));
        let lost: Vec<u32> = objects.map(|(id, _)| *id).collect();
        for id in lost {
            self.object_lost(id);
        }
        let groups = self.groups.iter();
        let lost = groups.filter(|(id, g)| g.state == State::Present && !seen.contains(id));
        let lost: Vec<u32> = lost.map(|(id, _)| *id).collect();
        for id in lost {
            self.group_gone(id);
        }
    }

    /// Drops an object that ceased to be ours and has its groups' members made anew.
    pub(super) fn detach(&mut self, object: u32, hop: Hop) {
        let mut groups: Vec<(u32, Vec<Member>)> = Vec::new();
        for id in self.users(object) {
            let Some(group) = self.groups.get_mut(&id) else {
                continue;
            };
            group.installed.retain(|(member, _)| *member != object);
            if group.wanted.iter().any(|member| member.hop == hop) || group.set.is_some() {
                groups.push((id, group.wanted.clone()));
            }
        }
        self.forget_object(object);
        for (id, members) in groups {
            self.want(id, &members);
        }
    }
}
