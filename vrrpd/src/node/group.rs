//! Sync groups: members are master together or not at all.
//!
//! After each input the groups it touched are settled by four rules, in this order:
//!
//! 1. What the checks of one member say counts for all: the worst and the best weight, sick where
//!    one is sick, unsure where one is unsure.
//! 2. A member at fault holds all others at fault; the last that recovers lets all start.
//! 3. A member that is backup for a master it would not replace (or because this process stood
//!    still) takes the masters of the group along: they send priority 0 and go on answering until
//!    their successor is heard.
//! 4. When every member is master, or a backup that would be, all become master.
//!
//! keepalived's groups do the same on the wire, so either can be the other's peer. Rule 4 is why
//! nothing swings: whoever has all needs the consent of none, and whoever lacks one takes none.
//!
//! Two groups that became master at the same time can each lose on another segment, by addresses or
//! by unequal priorities, and both step down. Both would come back at the same time and meet
//! again. So a mastership shorter than the down interval is followed by a longer wait, and longer
//! on the router that lost on the *lead* segment: that of the lowest virtual address, which is the
//! same for all routers.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Slot, SlotId};
use crate::config::SyncGroup;
use crate::router::{Action, Fault, Health, Patience, Router, State, Why};

/// Rounds of one settling: each rule can only move members towards the one state they share.
const ROUNDS_MAX: usize = 8;

/// A wait grows for so many short masterships.
const SHORT_MAX: u32 = 8;

/// One group and what it remembers.
#[derive(Debug)]
struct Group {
    name: String,
    members: Vec<SlotId>,
    /// When all became master.
    promoted: Option<Instant>,
    /// Masterships in a row that did not last.
    short: u32,
}

/// What of a member can move a group: most inputs change none of it.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    state: State,
    wants: bool,
    objects: bool,
    health: Health,
    fault: Option<String>,
}

/// All groups of a host.
#[derive(Debug, Default)]
pub(super) struct Groups {
    list: Vec<Group>,
    of: BTreeMap<SlotId, usize>,
    touched: BTreeSet<usize>,
    /// What members looked like when they last touched their group.
    seen: BTreeMap<SlotId, Look>,
    /// When groups were settled last, for those that were touched since.
    settled: Option<Instant>,
}

impl Groups {
    /// Puts the groups of a configuration in force; memories of those that stay are kept.
    pub fn replace(
        &mut self,
        now: Instant,
        groups: &[SyncGroup],
        by_name: &BTreeMap<String, SlotId>,
        slots: &mut BTreeMap<SlotId, Slot>,
    ) {
        let before = std::mem::take(&mut self.list);
        let left: Vec<SlotId> = self.of.keys().copied().collect();
        self.of.clear();
        self.seen.clear();
        for one in groups {
            let old = before.iter().find(|old| old.name == one.name);
            let members = one.instances.iter();
            let group = Group {
                name: one.name.clone(),
                members: members.filter_map(|it| by_name.get(it).copied()).collect(),
                promoted: old.and_then(|old| old.promoted),
                short: old.map_or(0, |old| old.short),
            };
            let patience = patience(&group, slots);
            for id in &group.members {
                self.of.insert(*id, self.list.len());
                if let Some(slot) = slots.get_mut(id) {
                    slot.router.set_group(now, Some(patience));
                }
            }
            self.touched.insert(self.list.len());
            self.list.push(group);
        }
        for id in left.iter().filter(|id| !self.of.contains_key(id)) {
            if let Some(slot) = slots.get_mut(id) {
                slot.router.set_group(now, None);
            }
        }
    }

    /// A member had an input.
    pub fn touch(&mut self, id: SlotId, router: &Router) {
        let Some(at) = self.of.get(&id) else {
            return;
        };
        let look = look(router);
        if self.seen.get(&id) != Some(&look) {
            self.seen.insert(id, look);
            self.touched.insert(*at);
        }
    }

    /// When [`Groups::settle`] is due: at once, where a group was touched.
    pub fn due(&self) -> Option<Instant> {
        self.settled.filter(|_| !self.touched.is_empty())
    }

    /// Settles what was touched. Comes back with the members that had an input by it.
    pub fn settle(&mut self, now: Instant, slots: &mut BTreeMap<SlotId, Slot>) -> BTreeSet<SlotId> {
        self.settled = Some(now);
        let mut moved = BTreeSet::new();
        while let Some(at) = self.touched.pop_first() {
            let Some(group) = self.list.get_mut(at) else {
                continue;
            };
            for _ in 0..ROUNDS_MAX {
                let before = picture(group, slots);
                share_health(now, group, slots);
                share_faults(now, group, slots);
                step_down(now, group, slots);
                promote(now, group, slots);
                if before == picture(group, slots) {
                    break;
                }
                moved.extend(group.members.iter().copied());
            }
            for (id, slot) in routers(group, slots) {
                self.seen.insert(id, look(&slot.router));
            }
        }
        moved
    }

    /// The members of the group that is called `name`, or that `name` is a member of, with the
    /// group's name.
    pub fn around(&self, name: &str, id: Option<SlotId>) -> Option<(&str, &[SlotId])> {
        let at = id.and_then(|id| self.of.get(&id).copied());
        let group = match at {
            Some(at) => self.list.get(at),
            None => self.list.iter().find(|group| group.name == name),
        }?;
        Some((&group.name, &group.members))
    }

    /// A member of the same group that still has to take its addresses, before `id` announces or
    /// sends: one that is refused takes the others along before anybody heard of them.
    pub fn takes_first(&self, id: SlotId, slots: &BTreeMap<SlotId, Slot>) -> Option<SlotId> {
        let next = |id: &SlotId| slots.get(id)?.router.next_action();
        let group = self.list.get(*self.of.get(&id)?)?;
        if matches!(next(&id), None | Some(Action::Take)) {
            return None;
        }
        let mut members = group.members.iter();
        members
            .find(|one| next(one) == Some(&Action::Take))
            .copied()
    }

    /// Whether what `id` does next has to wait: until its own addresses are there, and with more
    /// than taking until those of every member are.
    pub fn holds_up(&self, id: SlotId, slots: &BTreeMap<SlotId, Slot>) -> bool {
        let next = slots.get(&id).and_then(|slot| slot.router.next_action());
        match next {
            None | Some(Action::Take | Action::Keep) => waits(&id, slots),
            Some(_) => self.is_kept_waiting(id, slots),
        }
    }

    /// Whether addresses are being taken, those of `id` or of a member of its group.
    pub fn is_kept_waiting(&self, id: SlotId, slots: &BTreeMap<SlotId, Slot>) -> bool {
        match self.of.get(&id).and_then(|at| self.list.get(*at)) {
            Some(group) => group.members.iter().any(|one| waits(one, slots)),
            None => waits(&id, slots),
        }
    }

    /// All that move with `id`, itself among them.
    pub fn with(&self, id: SlotId) -> Vec<SlotId> {
        let group = self.of.get(&id).and_then(|at| self.list.get(*at));
        group.map_or_else(|| vec![id], |group| group.members.clone())
    }
}

fn waits(id: &SlotId, slots: &BTreeMap<SlotId, Slot>) -> bool {
    slots.get(id).is_some_and(|slot| slot.waits)
}

fn routers<'s>(
    group: &'s Group,
    slots: &'s BTreeMap<SlotId, Slot>,
) -> impl Iterator<Item = (SlotId, &'s Slot)> {
    let members = group.members.iter();
    members.filter_map(|id| Some((*id, slots.get(id)?)))
}

fn look(router: &Router) -> Look {
    Look {
        state: router.state(),
        wants: router.wants(),
        objects: router.objects(),
        health: router.own_health().clone(),
        fault: own_fault(router),
    }
}

/// Equal pictures mean that nothing is left to do.
fn picture(group: &Group, slots: &BTreeMap<SlotId, Slot>) -> Vec<(Look, usize, u8)> {
    routers(group, slots)
        .map(|(_, slot)| &slot.router)
        .map(|it| (look(it), it.faults().count(), it.effective_priority()))
        .collect()
}

/// How long a member that lets go answers for its successors: the slowest member decides.
fn patience(group: &Group, slots: &BTreeMap<SlotId, Slot>) -> Patience {
    let longest = |of: fn(&Slot) -> Duration| {
        let all = routers(group, slots).map(|(_, slot)| of(slot));
        all.max().unwrap_or_default()
    };
    let silent = |slot: &Slot| {
        let settings = &slot.instance.settings;
        settings.down_interval(0, settings.interval)
    };
    Patience {
        told: longest(|slot| slot.instance.settings.skew_max()),
        silent: longest(silent),
    }
}

/// Rule 1. The same check on several members counts once.
fn share_health(now: Instant, group: &Group, slots: &mut BTreeMap<SlotId, Slot>) {
    let mut all = Health::default();
    let (mut worst, mut best) = (0, 0);
    for (_, slot) in routers(group, slots) {
        let own = slot.router.own_health();
        worst = own.offset.min(worst);
        best = own.offset.max(best);
        all.unsure |= own.unsure;
        let text = own.sick.as_ref().filter(|_| all.sick.is_none());
        if let Some(text) = text {
            all.sick = Some(format!("{}: {text}", slot.instance.name));
        }
    }
    all.offset = worst.saturating_add(best);
    for id in &group.members {
        if let Some(slot) = slots.get_mut(id) {
            slot.router.set_group_health(now, &all);
        }
    }
}

fn own_fault(router: &Router) -> Option<String> {
    let mut own = router.faults();
    let found = own.find(|one| !matches!(one, Fault::Group { .. }));
    found.map(ToString::to_string)
}

/// Rule 2.
fn share_faults(now: Instant, group: &Group, slots: &mut BTreeMap<SlotId, Slot>) {
    let faults: Vec<(SlotId, String, String)> = routers(group, slots)
        .filter_map(|(id, slot)| {
            let text = own_fault(&slot.router)?;
            Some((id, slot.instance.name.clone(), text))
        })
        .collect();
    for id in &group.members {
        let other = faults.iter().find(|(of, _, _)| of != id);
        let fault = other.map(|(_, member, text)| Fault::Group {
            group: group.name.clone(),
            member: member.clone(),
            text: text.clone(),
        });
        let Some(slot) = slots.get_mut(id) else {
            continue;
        };
        if let Some(fault) = &fault {
            slot.router.set_group_fault(now, fault.clone());
        }
        slot.router.retain_faults(now, |one| {
            !matches!(one, Fault::Group { .. }) || Some(one) == fault.as_ref()
        });
    }
}

/// Rule 3.
fn step_down(now: Instant, group: &mut Group, slots: &mut BTreeMap<SlotId, Slot>) {
    let is_master = |slot: &Slot| slot.router.state() == State::Master;
    if !routers(group, slots).any(|(_, slot)| is_master(slot)) {
        return;
    }
    let objector = routers(group, slots).find(|(_, slot)| slot.router.objects());
    let Some((loser, slot)) = objector else {
        return;
    };
    let why = Why::Group {
        group: group.name.clone(),
        member: slot.instance.name.clone(),
        text: reason(&slot.router),
    };
    for id in &group.members {
        if let Some(slot) = slots.get_mut(id) {
            slot.router.follow_down(now, why.clone());
        }
    }
    let extra = extra_wait(now, group, loser, slots);
    for id in &group.members {
        if let Some(slot) = slots.get_mut(id) {
            slot.router.wait_longer(extra);
        }
    }
}

fn reason(router: &Router) -> String {
    match (router.because(), router.master()) {
        (Some(Why::Startup) | None, Some(master)) => {
            format!("{} is master there", master.address)
        }
        (because, _) => because.map_or_else(String::new, ToString::to_string),
    }
}

/// How much longer to wait than the down interval, after a mastership that did not last.
fn extra_wait(
    now: Instant,
    group: &mut Group,
    loser: SlotId,
    slots: &BTreeMap<SlotId, Slot>,
) -> Duration {
    let longest = |of: fn(&Router) -> Duration| {
        let all = routers(group, slots).map(|(_, slot)| of(&slot.router));
        all.max().unwrap_or_default()
    };
    let down = longest(|it| it.settings().down_interval(1, it.settings().interval));
    let interval = longest(|it| it.settings().interval);
    let lasted = group.promoted.take();
    let lasted = lasted.map(|since| now.saturating_duration_since(since));
    group.short = match lasted.is_some_and(|lasted| lasted < down) {
        true => (group.short + 1).min(SHORT_MAX),
        false => 0,
    };
    let lowest = |(_, slot): &(SlotId, &Slot)| -> Option<IpAddr> {
        slot.instance.settings.addresses.iter().min().copied()
    };
    let lead = routers(group, slots).min_by_key(lowest);
    match lead.is_some_and(|(lead, _)| lead == loser) {
        true => interval * group.short,
        false => interval * group.short.saturating_sub(1) / 4,
    }
}

/// Rule 4.
fn promote(now: Instant, group: &mut Group, slots: &mut BTreeMap<SlotId, Slot>) {
    let able = |slot: &Slot| slot.router.state() == State::Master || slot.router.wants();
    if !routers(group, slots).all(|(_, slot)| able(slot)) {
        return;
    }
    for id in &group.members {
        if let Some(slot) = slots.get_mut(id)
            && slot.router.wants()
        {
            slot.router.promote(now);
            group.promoted = Some(now);
        }
    }
}
