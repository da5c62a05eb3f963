//! What to write about next hop objects, and what the kernel answered.
//!
//! Order is safety here: objects before the groups that name them, groups before their routes,
//! and deletions only of what nothing leads to. A refused request is tried again with a pause
//! that doubles; meanwhile the group goes without the refused member.

use std::time::{Duration, Instant};

use super::{Group, GroupNews, NextHops, Refusal, Retry, State};
use crate::fib::model::{KernelOp, OpError, errno};

/// First and longest pause before a refused object or group is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(30);

impl NextHops {
    // Operations.

    /// Objects and groups to write before any route.
    pub(in crate::fib) fn ops(&mut self, max: usize, out: &mut Vec<KernelOp>) {
        self.object_ops(max, out);
        let mut next = 0;
        while out.len() < max
            && let Some(id) = self.dirty_groups.range(next..).next().copied()
        {
            if self.group_op(id, out) {
                self.dirty_groups.remove(&id);
            }
            next = id.saturating_add(1);
        }
    }

    fn object_ops(&mut self, max: usize, out: &mut Vec<KernelOp>) {
        while out.len() < max {
            let Some(id) = self.new_objects.pop_first() else {
                return;
            };
            let Some(object) = self.objects.get(&id) else {
                continue;
            };
            let hop = object.hop;
            if self.is_wanted(id, hop) {
                out.push(KernelOp::PutNextHop { id, hop });
            } else {
                // Lost and not needed any more: nothing is left of it.
                self.objects.remove(&id);
                self.unlink(hop, id);
                self.forget_object(id);
            }
        }
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

    /// Puts what is due for another try back in line.
    pub(in crate::fib) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.retries.first().copied() {
            if at > now {
                return;
            }
            self.retries.pop_first();
            if let Some(object) = self.objects.get_mut(&id) {
                object.retry.again = None;
                if object.state != State::Present {
                    self.new_objects.insert(id);
                }
                self.note_idle_object(id);
            } else if let Some(group) = self.groups.get_mut(&id) {
                group.retry.again = None;
                self.dirty_groups.insert(id);
                self.note_idle(id);
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
        let wants = |group: &Group| group.wanted.iter().any(|member| member.hop == hop);
        for user in self.users(id) {
            if self.groups.get(&user).is_some_and(wants) {
                self.dirty_groups.insert(user);
            }
        }
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
                group.state = State::Present;
                group.retry = Retry::default();
                let news = match group.set {
                    _ if existed => Some(GroupNews::Replaced),
                    Some(set) => Some(GroupNews::Ready(set, id)),
                    None => None,
                };
                self.set_installed(id, members);
                self.note_idle(id);
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
        let objects = self.objects_of(id);
        let Some(group) = self.groups.get_mut(&id) else {
            return (None, None);
        };
        if group.spare {
            // Its set has another group, which takes the routes.
            group.set = None;
        }
        let set = group.set;
        group.state = State::Absent;
        // One that nobody had and nothing led to is no news.
        let idle = set.is_none() && group.routes == 0;
        group.routes = 0;
        let wanted = !group.wanted.is_empty();
        let content = std::mem::take(&mut group.installed);
        self.forget_orphan(id, &content);
        if set.is_none() {
            self.groups.remove(&id);
        } else if wanted {
            self.dirty_groups.insert(id);
        }
        self.unlink_group(id, &objects);
        let news = (!idle).then_some(GroupNews::Dead(set, id));
        (news, None)
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
