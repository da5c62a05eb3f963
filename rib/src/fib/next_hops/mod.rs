//! Next hop objects and groups of ours in the kernel: one object per neighbor and interface, one
//! group per set of next hops.
//!
//! Every layer waits for the acknowledgement of the one below: a group names only objects that
//! exist, a route only a group that exists, so one refused object never takes a group down and
//! no error cascades. A set of one next hop is a group of one: its routes then need no rewriting
//! when it grows, shrinks or moves (the kernel cannot turn an object into a group in place).
//!
//! When a link goes down the kernel deletes the objects on it without a word, takes them out of
//! their groups and deletes groups that become empty together with all their routes. That is
//! mirrored here ([`NextHops::link_lost`]): a group that lost all members is deleted once more
//! (to be sure), reported as dead, and only then made anew.
//!
//! Ids come from a range that belongs to our protocol number. An id in it that someone else
//! occupies is left alone.

mod links;
mod observe;
mod ops;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::api::KernelItem;
use super::model::{Hop, Member, OpError};
use super::sets::SetId;
use links::Links;

/// Routes behind a group that make it cheaper to keep it than to write them again.
const TAKE_OVER_MIN: usize = 2;

/// The ids of a protocol: 2^24 of them, from the protocol number times 2^24.
#[must_use]
pub fn own_ids(protocol: u8) -> std::ops::RangeInclusive<u32> {
    let first = u32::from(protocol) << 24;
    first.max(1)..=first | 0x00ff_ffff
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be created.
    Absent,
    /// Acknowledged, or found in a dump.
    Present,
    /// May or may not exist with routes behind it: to be deleted before anything else.
    Doubtful,
}

/// Refusals in a row and when to try again.
#[derive(Debug, Clone, Copy, Default)]
struct Retry {
    tries: u32,
    again: Option<Instant>,
}

#[derive(Debug)]
struct Object {
    hop: Hop,
    state: State,
    retry: Retry,
}

impl Object {
    fn new(hop: Hop, state: State) -> Self {
        let retry = Retry::default();
        Self { hop, state, retry }
    }
}

#[derive(Debug)]
struct Group {
    /// The set it serves; none: of an earlier run, or its set is gone.
    set: Option<SetId>,
    wanted: Vec<Member>,
    /// What the kernel has, sorted by id.
    installed: Vec<(u32, u8)>,
    state: State,
    retry: Retry,
    /// Routes in the kernel that lead to it.
    routes: usize,
    /// Its set has another group for new routes: this one goes when its last route has gone.
    spare: bool,
}

/// What the routes have to know about a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupNews {
    /// It exists: its set has a target.
    Ready(SetId, u32),
    /// It is gone and the kernel removed the routes behind it.
    Dead(Option<SetId>, u32),
    /// It took over the changed members.
    Replaced,
}

/// An answer that is worth an event.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: OpError,
    pub(super) retry_in: Duration,
}

#[derive(Debug)]
pub(super) struct NextHops {
    protocol: u8,
    objects: BTreeMap<u32, Object>,
    by_hop: BTreeMap<Hop, u32>,
    groups: BTreeMap<u32, Group>,
    foreign: BTreeSet<u32>,
    last_id: u32,
    new_objects: BTreeSet<u32>,
    dirty_groups: BTreeSet<u32>,
    retries: BTreeSet<(Instant, u32)>,
    /// Groups in which routes of other sets may be, because those have the same members.
    hosts: BTreeSet<u32>,
    /// Former hosts: what is there has to be looked at again.
    left: BTreeSet<u32>,
    links: Links,
}

impl NextHops {
    pub(super) fn new(protocol: u8) -> Self {
        Self {
            protocol,
            objects: BTreeMap::new(),
            by_hop: BTreeMap::new(),
            groups: BTreeMap::new(),
            foreign: BTreeSet::new(),
            last_id: own_ids(protocol).start().saturating_sub(1),
            new_objects: BTreeSet::new(),
            dirty_groups: BTreeSet::new(),
            retries: BTreeSet::new(),
            hosts: BTreeSet::new(),
            left: BTreeSet::new(),
            links: Links::default(),
        }
    }

    pub(super) fn counts(&self) -> (usize, usize) {
        (self.objects.len(), self.groups.len())
    }

    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Whether a group is in the kernel, so that routes can lead to it.
    pub(super) fn exists(&self, id: u32) -> bool {
        let group = self.groups.get(&id);
        group.is_some_and(|group| group.state == State::Present)
    }

    /// What an id of ours stands for.
    pub(super) fn item(&self, id: u32) -> Option<KernelItem> {
        if let Some(object) = self.objects.get(&id) {
            let Hop {
                gateway, interface, ..
            } = object.hop;
            return Some(KernelItem::NextHop(gateway, interface));
        }
        self.groups.get(&id).map(|_| KernelItem::Group(id))
    }

    /// What the kernel has in a group.
    pub(super) fn members(&self, id: u32) -> Vec<(Hop, u8)> {
        let installed = self.groups.get(&id).map_or(&[][..], |g| &g.installed);
        let hops = installed.iter().filter_map(|(object, weight)| {
            let object = self.objects.get(object)?;
            Some((object.hop, *weight))
        });
        hops.collect()
    }

    // What routes and sets want.

    /// The group for a set: one of an earlier run with these members, or a new one. `true`: it is
    /// in the kernel already.
    pub(super) fn group_for(&mut self, set: SetId, members: &[Member]) -> (u32, bool) {
        let found = self.ids_of(members).and_then(|ids| self.orphan(&ids));
        let (id, known) = match found {
            Some(id) => (id, true),
            None => (self.fresh_id(), false),
        };
        let group = self.groups.entry(id).or_insert_with(|| Group {
            set: None,
            wanted: Vec::new(),
            installed: Vec::new(),
            state: State::Absent,
            retry: Retry::default(),
            routes: 0,
            spare: false,
        });
        group.set = Some(set);
        self.want(id, members);
        if known {
            self.dirty_groups.remove(&id);
        }
        (id, known)
    }

    /// Other members for a group; none at all: it is deleted, and its routes with it.
    pub(super) fn want(&mut self, id: u32, members: &[Member]) {
        let Some(group) = self.groups.get_mut(&id) else {
            return;
        };
        if group.wanted != members && self.hosts.remove(&id) {
            self.left.insert(id);
        }
        let before = self.objects_of(id);
        if let Some(group) = self.groups.get_mut(&id) {
            group.wanted = members.to_vec();
        }
        self.dirty_groups.insert(id);
        for member in members {
            let object = match self.by_hop.get(&member.hop) {
                Some(object) => *object,
                None => {
                    let object = self.fresh_id();
                    self.objects
                        .insert(object, Object::new(member.hop, State::Absent));
                    self.by_hop.insert(member.hop, object);
                    self.new_objects.insert(object);
                    object
                }
            };
            self.link(object, id);
        }
        self.unlink_group(id, &before);
    }

    /// The set of a group is gone: the group follows once no route leads to it.
    pub(super) fn abandon(&mut self, id: u32) {
        if self.hosts.remove(&id) {
            self.left.insert(id);
        }
        let before = self.objects_of(id);
        if let Some(group) = self.groups.get_mut(&id) {
            group.set = None;
            group.spare = false;
            group.wanted.clear();
        }
        self.dirty_groups.remove(&id);
        self.unlink_group(id, &before);
        self.note_idle(id);
    }

    // Routes that stay while their set changes.

    /// Whether a group in the kernel is one of this set.
    pub(super) fn serves(&self, id: u32, set: SetId) -> bool {
        let group = self.groups.get(&id);
        group.is_some_and(|group| group.set == Some(set) && group.state == State::Present)
    }

    /// Whether a group in the kernel has these members, whoever it belongs to.
    pub(super) fn same(&self, id: u32, members: &[Member]) -> bool {
        let group = self.groups.get(&id);
        group.is_some_and(|group| {
            group.state == State::Present && !members.is_empty() && group.wanted == members
        })
    }

    /// The same; and if so, a route of another set stays there until the members differ.
    pub(super) fn lodge(&mut self, id: u32, members: &[Member]) -> bool {
        let same = self.same(id, members);
        if same && !self.hosts.contains(&id) {
            self.hosts.insert(id);
        }
        same
    }

    /// A set with routes has other members now: it may have guests in any group. They are all
    /// looked at, which those that stay survive.
    pub(super) fn no_longer(&mut self) {
        self.left.append(&mut self.hosts);
    }

    /// Groups whose guests have to be looked at again, once.
    pub(super) fn take_left(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.left)
    }

    pub(super) fn is_empty(&self, id: u32) -> bool {
        self.groups.get(&id).is_none_or(|group| group.routes == 0)
    }

    /// Whether a group belongs to a set, in the kernel or not.
    pub(super) fn belongs(&self, id: u32, set: SetId) -> bool {
        let group = self.groups.get(&id);
        group.is_some_and(|group| group.set == Some(set))
    }

    /// Gives a group to another set, `votes` of whose routes came from there. False if too few of
    /// them are still in it.
    pub(super) fn take_over(
        &mut self,
        id: u32,
        to: SetId,
        votes: usize,
        members: &[Member],
    ) -> bool {
        let Some(group) = self.groups.get_mut(&id) else {
            return false;
        };
        let many = group.routes >= TAKE_OVER_MIN && votes > group.routes / 2;
        if !many || group.state != State::Present {
            return false;
        }
        group.set = Some(to);
        group.spare = false;
        if group.wanted != members {
            self.want(id, members);
        }
        true
    }

    /// Its set has another group for new routes from now on.
    pub(super) fn set_spare(&mut self, id: u32) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.spare = true;
        }
    }

    pub(super) fn route_placed(&mut self, id: u32) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.routes += 1;
        }
    }

    pub(super) fn route_gone(&mut self, id: u32) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.routes = group.routes.saturating_sub(1);
            match (group.routes, group.spare) {
                (0, true) => self.abandon(id),
                (0, false) => self.note_idle(id),
                _ => {}
            }
        }
    }

    fn ids_of(&self, members: &[Member]) -> Option<Vec<(u32, u8)>> {
        let ids = members
            .iter()
            .map(|m| Some((*self.by_hop.get(&m.hop)?, m.weight)));
        let mut ids: Vec<(u32, u8)> = ids.collect::<Option<_>>()?;
        ids.sort_unstable();
        Some(ids)
    }

    fn fresh_id(&mut self) -> u32 {
        let range = own_ids(self.protocol);
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !range.contains(&self.last_id) {
                self.last_id = *range.start();
            }
            let id = self.last_id;
            let taken = self.objects.contains_key(&id) || self.groups.contains_key(&id);
            if !taken && !self.foreign.contains(&id) {
                return id;
            }
        }
    }

    /// Forgets that an object stands for a neighbor, unless another does by now.
    fn unlink(&mut self, hop: Hop, id: u32) {
        if self.by_hop.get(&hop) == Some(&id) {
            self.by_hop.remove(&hop);
        }
    }
}
