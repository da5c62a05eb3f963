//! What to write about next hop objects, and what the kernel answered.
//!
//! Order is safety here: objects before the groups that name them, groups before their routes,
//! and deletions only of what nothing leads to. A refused request is tried again with a pause
//! that doubles; meanwhile the group goes without the refused member.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::{GroupNews, NextHops, Refusal, Retry, State};
use crate::fib::model::{Hop, KernelOp, OpError, errno};

/// First and longest pause before a refused object or group is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

impl NextHops {
    // Operations.

    /// Objects and groups to write before any route.
    pub(in crate::fib) fn ops(&mut self, max: usize, out: &mut Vec<KernelOp>) {
        self.object_ops(max, out);
        let waiting: Vec<u32> = self.dirty_groups.iter().copied().collect();
        for id in waiting {
            if out.len() >= max {
                return;
            }
            if self.group_op(id, out) {
                self.dirty_groups.remove(&id);
            }
        }
    }

    fn object_ops(&mut self, max: usize, out: &mut Vec<KernelOp>) {
        let wanted = self.wanted_hops();
        while out.len() < max {
            let Some(id) = self.new_objects.pop_first() else {
                return;
            };
            let Some(object) = self.objects.get(&id) else {
                continue;
            };
            let hop = object.hop;
            if wanted.contains(&hop) {
                out.push(KernelOp::PutNextHop { id, hop });
            } else {
                // Lost and not needed any more: nothing is left of it.
                self.objects.remove(&id);
                self.unlink(hop, id);
            }
        }
    }

    fn wanted_hops(&self) -> BTreeSet<Hop> {
        if self.new_objects.is_empty() {
            return BTreeSet::new();
        }
        let groups = self.groups.values();
        groups
            .flat_map(|g| g.wanted.iter().map(|m| m.hop))
            .collect()
    }

    /// Emits what a group needs; false: it waits for its objects.
    fn group_op(&mut self, id: u32, out: &mut Vec<KernelOp>) -> bool {
        let Some(group) = self.groups.get(&id) else {
            return true;
        };
        if group.state == State::Doubtful {
            out.push(KernelOp::DeleteNextHop { id });
            return true;
        }
        if group.set.is_none() {
            return true;
        }
        let mut members = Vec::with_capacity(group.wanted.len());
        for member in &group.wanted {
            let object = self.by_hop.get(&member.hop);
            let Some((id, object)) = object.and_then(|id| Some((*id, self.objects.get(id)?)))
            else {
                continue;
            };
            if object.state == State::Present {
                members.push((id, member.weight));
            } else if object.retry.tries == 0 {
                return false;
            }
        }
        members.sort_unstable();
        let exists = group.state == State::Present;
        if members.is_empty() {
            if exists {
                out.push(KernelOp::DeleteNextHop { id });
            }
        } else if !exists || members != group.installed {
            out.push(KernelOp::PutGroup {
                id,
                members,
                must_exist: exists,
            });
        }
        true
    }

    /// Deletes what nothing leads to any more.
    pub(in crate::fib) fn litter_ops(&mut self, max: usize, out: &mut Vec<KernelOp>) {
        if !self.litter || out.len() >= max {
            return;
        }
        let groups = self.groups.iter().filter(|(_, group)| {
            group.set.is_none() && group.routes == 0 && group.retry.again.is_none()
        });
        out.extend(
            groups
                .take(max)
                .map(|(id, _)| KernelOp::DeleteNextHop { id: *id }),
        );
        if !out.is_empty() {
            return;
        }
        let mut used = BTreeSet::new();
        for group in self.groups.values() {
            used.extend(group.installed.iter().map(|(id, _)| *id));
            let hops = group.wanted.iter();
            used.extend(hops.filter_map(|m| self.by_hop.get(&m.hop).copied()));
        }
        let objects = self
            .objects
            .iter()
            .filter(|(id, object)| !used.contains(id) && object.retry.again.is_none());
        let objects = objects.take(max);
        out.extend(objects.map(|(id, _)| KernelOp::DeleteNextHop { id: *id }));
        self.litter = !out.is_empty();
    }

    /// Puts what is due for another try back in line.
    pub(in crate::fib) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.retries.first().copied() {
            if at > now {
                return;
            }
            self.retries.pop_first();
            self.litter = true;
            if let Some(object) = self.objects.get_mut(&id) {
                object.retry.again = None;
                if object.state != State::Present {
                    self.new_objects.insert(id);
                }
            } else if let Some(group) = self.groups.get_mut(&id) {
                group.retry.again = None;
                self.dirty_groups.insert(id);
            }
        }
    }

    // Answers.

    pub(in crate::fib) fn object_done(
        &mut self,
        id: u32,
        result: Result<(), OpError>,
        now: Instant,
    ) -> Option<Refusal> {
        let object = self.objects.get_mut(&id)?;
        let hop = object.hop;
        let refusal = match result {
            Ok(()) => {
                object.state = State::Present;
                object.retry = Retry::default();
                None
            }
            Err(error) => Some(refused(&mut object.retry, error, now)),
        };
        if let Some(refusal) = &refusal {
            self.retries.insert((now + refusal.retry_in, id));
        }
        let groups = self.groups.iter();
        let users = groups.filter(|(_, g)| g.wanted.iter().any(|m| m.hop == hop));
        self.dirty_groups.extend(users.map(|(id, _)| *id));
        refusal
    }

    pub(in crate::fib) fn group_done(
        &mut self,
        op: (u32, Vec<(u32, u8)>, bool),
        result: Result<(), OpError>,
        now: Instant,
    ) -> (Option<GroupNews>, Option<Refusal>) {
        let (id, members, existed) = op;
        let Some(group) = self.groups.get_mut(&id) else {
            return (None, None);
        };
        match result {
            Ok(()) => {
                group.installed = members;
                group.state = State::Present;
                group.retry = Retry::default();
                let news = match group.set {
                    _ if existed => Some(GroupNews::Replaced),
                    Some(set) => Some(GroupNews::Ready(set, id)),
                    None => None,
                };
                (news, None)
            }
            Err(error) if existed && error.errno == errno::ENOENT => {
                self.group_gone(id);
                (None, None)
            }
            Err(error) => {
                // If it existed, it is still there with its old members.
                let refusal = refused(&mut group.retry, error, now);
                self.retries.insert((now + refusal.retry_in, id));
                (None, Some(refusal))
            }
        }
    }

    pub(in crate::fib) fn delete_done(
        &mut self,
        id: u32,
        result: Result<(), OpError>,
        now: Instant,
    ) -> (Option<GroupNews>, Option<Refusal>) {
        if let Err(error) = result
            && error.errno != errno::ENOENT
        {
            let objects = self.objects.get_mut(&id).map(|object| &mut object.retry);
            let groups = self.groups.get_mut(&id).map(|group| &mut group.retry);
            let Some(retry) = objects.or(groups) else {
                return (None, None);
            };
            let refusal = refused(retry, error, now);
            self.retries.insert((now + refusal.retry_in, id));
            return (None, Some(refusal));
        }
        if let Some(object) = self.objects.remove(&id) {
            self.unlink(object.hop, id);
            // Needed again since: made anew under another id.
            self.detach(id, object.hop);
            return (None, None);
        }
        let Some(group) = self.groups.get_mut(&id) else {
            return (None, None);
        };
        if group.spare {
            // Its set has another group, which takes the routes.
            group.set = None;
        }
        let set = group.set;
        group.installed.clear();
        group.state = State::Absent;
        group.routes = 0;
        if set.is_none() {
            self.groups.remove(&id);
        } else if !group.wanted.is_empty() {
            self.dirty_groups.insert(id);
        }
        (Some(GroupNews::Dead(set, id)), None)
    }
}

/// Doubles the pause at every refusal.
fn refused(retry: &mut Retry, error: OpError, now: Instant) -> Refusal {
    let doubled = RETRY_FIRST * 2_u32.saturating_pow(retry.tries.min(16));
    let retry_in = RETRY_LAST.min(doubled);
    retry.tries = retry.tries.saturating_add(1);
    retry.again = Some(now + retry_in);
    Refusal { error, retry_in }
}
