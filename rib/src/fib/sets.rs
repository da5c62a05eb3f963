//! Sets of BGP next hops, and what each comes to in the kernel.
//!
//! Routes with equal next hops share one set; a set becomes one next hop group. So when the way
//! to a next hop changes, one group is replaced and every route behind it moves with it, however
//! many there are. A set is what routes wait for: it has no target while its next hops are
//! unresolved (then its routes must not be in the kernel) or while its group is not yet
//! acknowledged (then they wait).
//!
//! Members are the resolved next hops with their shares: a BGP next hop of weight w that itself
//! leaves through several neighbors divides w among them in their proportion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::api::FibNextHop;
use super::hops::{HopKey, Hops, key_of};
use super::model::{Hop, Member};
use super::records::RouteId;
use super::view::View;

/// Most that shares are scaled up to make them whole numbers; beyond they are rounded.
const SCALE_MAX: u32 = 5040;

/// Groups taken over by one set: each has to be told when the members change. With that many, the
/// routes of a further one are written again, one by one.
const OTHERS_MAX: usize = 7;

/// Identifies a set. 0 and 1 stand for "no route" and "discard" in [`Want`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SetId(u32);

impl SetId {
    /// Numbers that are no set.
    const RESERVED: u32 = 2;

    pub(super) fn number(self) -> u32 {
        self.0
    }

    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

/// What a prefix should be. A record holds it in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    Discard,
    Set(SetId),
}

/// Where routes of a set lead to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// No way out: its routes leave the kernel.
    Unresolved,
    /// Its group is not acknowledged yet: its routes wait as they are.
    Pending,
    /// A group id, or without next hop objects the version of its members.
    At(u32),
}

#[derive(Debug)]
pub(super) struct RouteSet {
    pub(super) via: Arc<[FibNextHop]>,
    pub(super) members: Arc<[Member]>,
    pub(super) target: Target,
    /// Its group in the kernel, once it has one.
    pub(super) group: Option<u32>,
    /// Further groups with the same members, taken over with their routes from sets that are gone.
    pub(super) others: SmallVec<[u32; 1]>,
    /// Routes that came up for writing while there was no target.
    waiting: Vec<RouteId>,
    routes: usize,
    /// Where most of the routes went that left, by majority vote: whose the lead is, and how large.
    heir: Want,
    votes: usize,
}

impl RouteSet {
    /// Whether it has a way out, and room for the routes of a set that is gone.
    pub(super) fn may_take_over(&self) -> bool {
        !self.members.is_empty() && self.others.len() < OTHERS_MAX
    }

    /// The set that most of the routes that left went to, and its lead.
    pub(super) fn heir(&self) -> Option<(SetId, usize)> {
        match self.heir {
            Want::Set(id) => Some((id, self.votes)),
            _ => None,
        }
    }

    /// Boyer and Moore: whoever has more than half of the votes is the heir in the end.
    fn vote(&mut self, heir: Want) {
        if self.heir == heir {
            self.votes = self.votes.saturating_add(1);
        } else if self.votes > 0 {
            self.votes -= 1;
        } else {
            (self.heir, self.votes) = (heir, 1);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Sets {
    by_via: BTreeMap<Arc<[FibNextHop]>, SetId>,
    sets: BTreeMap<SetId, RouteSet>,
    last: u32,
    parked: usize,
    /// What was asked for last: whole tables have the same few sets, one after the other.
    recent: Option<(Arc<[FibNextHop]>, SetId)>,
}

impl Sets {
    /// The set of these next hops, made if it is new (then `true`), with one more route.
    pub(super) fn acquire(&mut self, via: &Arc<[FibNextHop]>) -> (SetId, bool) {
        if let Some((last, id)) = &self.recent
            && Arc::ptr_eq(last, via)
            && let Some(set) = self.sets.get_mut(id)
        {
            set.routes += 1;
            return (*id, false);
        }
        let (id, new) = self.acquire_equal(via);
        self.recent = Some((Arc::clone(via), id));
        (id, new)
    }

    fn acquire_equal(&mut self, via: &Arc<[FibNextHop]>) -> (SetId, bool) {
        if let Some(id) = self.by_via.get(via) {
            if let Some(set) = self.sets.get_mut(id) {
                set.routes += 1;
            }
            return (*id, false);
        }
        let next = |last: u32| last.wrapping_add(1).max(SetId::RESERVED);
        self.last = next(self.last);
        while self.sets.contains_key(&SetId(self.last)) {
            self.last = next(self.last);
        }
        let id = SetId(self.last);
        let set = RouteSet {
            via: Arc::clone(via),
            members: Arc::new([]),
            target: Target::Unresolved,
            group: None,
            others: SmallVec::new(),
            waiting: Vec::new(),
            routes: 1,
            heir: Want::Nothing,
            votes: 0,
        };
        self.by_via.insert(Arc::clone(via), id);
        self.sets.insert(id, set);
        (id, true)
    }

    /// One route less, which is `heir` from now on; the set itself if that was the last.
    pub(super) fn release(&mut self, id: SetId, heir: Want) -> Option<RouteSet> {
        let set = self.sets.get_mut(&id)?;
        set.routes = set.routes.saturating_sub(1);
        set.vote(heir);
        if set.routes > 0 {
            return None;
        }
        let set = self.sets.remove(&id)?;
        self.by_via.remove(&set.via);
        self.parked -= set.waiting.len();
        self.recent = None;
        Some(set)
    }

    pub(super) fn get(&self, id: SetId) -> Option<&RouteSet> {
        self.sets.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SetId) -> Option<&mut RouteSet> {
        self.sets.get_mut(&id)
    }

    pub(super) fn target(&self, id: SetId) -> Target {
        self.sets.get(&id).map_or(Target::Unresolved, |s| s.target)
    }

    pub(super) fn ids(&self) -> Vec<SetId> {
        self.sets.keys().copied().collect()
    }

    /// Sets that use one of these next hops: one walk over all sets.
    pub(super) fn using(&self, keys: &[HopKey]) -> Vec<SetId> {
        let keys: BTreeSet<&HopKey> = keys.iter().collect();
        let uses = |set: &RouteSet| set.via.iter().any(|via| keys.contains(&&key_of(via)));
        let sets = self.sets.iter().filter(|(_, set)| uses(set));
        sets.map(|(id, _)| *id).collect()
    }

    /// Routes that wait in all sets.
    pub(super) fn waiting(&self) -> usize {
        self.parked
    }

    /// Puts a route with those that wait for a target.
    pub(super) fn park(&mut self, id: SetId, route: RouteId) {
        if let Some(set) = self.sets.get_mut(&id) {
            set.waiting.push(route);
            self.parked += 1;
        }
    }

    pub(super) fn take_waiting(&mut self, id: SetId) -> Vec<RouteId> {
        let set = self.sets.get_mut(&id);
        let waiting = set.map(|set| std::mem::take(&mut set.waiting));
        let waiting = waiting.unwrap_or_default();
        self.parked -= waiting.len();
        waiting
    }
}

/// The neighbors that packets of a set leave through, sorted, at most `multipath`.
pub(super) fn members_of(via: &[FibNextHop], hops: &Hops, multipath: u16) -> Arc<[Member]> {
    let ways = via.iter().filter_map(|via| {
        let resolved = hops.resolved(key_of(via))?;
        let total: u32 = resolved.members.iter().map(|m| u32::from(m.weight)).sum();
        Some((via, resolved, total.max(1)))
    });
    let ways: Vec<_> = ways.collect();
    let scale = ways
        .iter()
        .fold(1, |scale, (_, _, total)| lcm(scale, *total));
    let mut shares: BTreeMap<Hop, u32> = BTreeMap::new();
    for (via, resolved, total) in ways {
        for member in &resolved.members {
            let share = u32::from(via.weight.max(1)) * u32::from(member.weight) * scale / total;
            let sum = shares.entry(member.hop).or_default();
            *sum = sum.saturating_add(share.max(1));
        }
    }
    let shares: Vec<(Hop, u32)> = shares.into_iter().take(multipath.max(1).into()).collect();
    let divisor = shares.iter().fold(0, |all, (_, share)| gcd(all, *share));
    let largest = shares.iter().map(|(_, share)| *share).max();
    let largest = largest.unwrap_or(1) / divisor.max(1);
    let members = shares.into_iter().map(|(hop, share)| {
        let share = share / divisor.max(1);
        let fitted = if largest > 255 {
            share * 255 / largest
        } else {
            share
        };
        let weight = u8::try_from(fitted.max(1)).unwrap_or(u8::MAX);
        Member { hop, weight }
    });
    members.collect()
}

/// Resolves the next hops of a set that is new, so that they stay resolved while it lives.
pub(super) fn acquire_hops(via: &[FibNextHop], hops: &mut Hops, view: &View) {
    for via in via {
        hops.acquire(key_of(via), view);
    }
}

pub(super) fn release_hops(via: &[FibNextHop], hops: &mut Hops) {
    for via in via {
        hops.release(key_of(via));
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: u32, b: u32) -> u32 {
    let product = a / gcd(a, b).max(1) * b;
    // An odd mix of very many paths: shares are rounded from here on.
    if product > SCALE_MAX { a } else { product }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fib::model::{Link, ObservedHop, ObservedKind, ObservedRoute};

    /// Gateway, interface, weight.
    type Way = (&'static str, u32, u8);
    /// Gateway and weight; the most next hops; expected neighbors with shares.
    type Case<'a> = (&'a [(&'a str, u8)], u16, Vec<(String, u8)>);

    fn view(routes: &[(&str, &[Way])]) -> View {
        let mut view = View::new(254);
        for index in 1..=4 {
            view.put_link(Link {
                index,
                name: format!("eth{index}"),
                up: true,
                carrier: true,
                loopback: false,
                mtu: 1500,
            });
        }
        for (prefix, hops) in routes {
            let hops = hops.iter().map(|(gateway, interface, weight)| ObservedHop {
                gateway: gateway.parse().ok(),
                interface: *interface,
                weight: *weight,
            });
            let route = ObservedRoute {
                prefix: prefix.parse().unwrap(),
                table: 254,
                metric: 0,
                protocol: 2,
                kind: ObservedKind::Unicast,
                hops: hops.collect(),
                next_hop_id: None,
            };
            view.put_route(route, false);
        }
        view
    }

    fn weights(view: &View, via: &[(&str, u8)], multipath: u16) -> Vec<(String, u8)> {
        let mut hops = Hops::default();
        let via: Vec<FibNextHop> = via
            .iter()
            .map(|(gateway, weight)| FibNextHop {
                gateway: gateway.parse().unwrap(),
                interface: None,
                device: None,
                weight: *weight,
            })
            .collect();
        acquire_hops(&via, &mut hops, view);
        let members = members_of(&via, &hops, multipath);
        let row = |m: &Member| (format!("{}%{}", m.hop.gateway, m.hop.interface), m.weight);
        members.iter().map(row).collect()
    }

    #[test]
    fn shares_follow_weights_and_underlying_paths() {
        let view = view(&[
            ("10.1.0.0/24", &[("", 1, 1)]),
            ("10.2.0.0/24", &[("", 2, 1)]),
            (
                "10.9.0.0/24",
                &[("10.1.0.7", 1, 1), ("10.2.0.7", 2, 1), ("10.2.0.8", 2, 2)],
            ),
        ]);
        let row = |gateway: &str, weight| (gateway.to_owned(), weight);
        let cases: &[Case<'_>] = &[
            (&[("10.1.0.1", 1)], 64, vec![row("10.1.0.1%1", 1)]),
            // Equal weights come down to 1, whatever they were.
            (
                &[("10.1.0.1", 4), ("10.2.0.1", 4)],
                64,
                vec![row("10.1.0.1%1", 1), row("10.2.0.1%2", 1)],
            ),
            (
                &[("10.1.0.1", 3), ("10.2.0.1", 1)],
                64,
                vec![row("10.1.0.1%1", 3), row("10.2.0.1%2", 1)],
            ),
            // 10.9.0.1 leaves through three neighbors as 1:1:2; together as much as 10.1.0.1.
            (
                &[("10.1.0.1", 1), ("10.9.0.1", 1)],
                64,
                vec![
                    row("10.1.0.1%1", 4),
                    row("10.1.0.7%1", 1),
                    row("10.2.0.7%2", 1),
                    row("10.2.0.8%2", 2),
                ],
            ),
            // Unreachable next hops take no share; the limit cuts the sorted list.
            (
                &[("10.1.0.1", 1), ("192.0.2.1", 1)],
                64,
                vec![row("10.1.0.1%1", 1)],
            ),
            (
                &[("10.1.0.1", 1), ("10.2.0.1", 1)],
                1,
                vec![row("10.1.0.1%1", 1)],
            ),
            (&[("192.0.2.1", 1)], 64, vec![]),
        ];
        for (via, multipath, expected) in cases {
            assert_eq!(weights(&view, via, *multipath), *expected, "{via:?}");
        }
    }

    #[test]
    fn shares_beyond_a_byte_keep_their_proportion() {
        let mut paths = vec![("", 1, 1)];
        paths.extend([("10.1.0.2", 1, 250), ("10.1.0.3", 1, 249)]);
        let view = view(&[("10.1.0.0/24", &[("", 1, 1)]), ("10.5.0.0/24", &paths)]);
        let got = weights(&view, &[("10.1.0.1", 200), ("10.5.0.1", 1)], 64);
        assert_eq!(got.iter().map(|(_, weight)| *weight).max(), Some(255));
        assert!(got.iter().all(|(_, weight)| *weight >= 1));
    }
}
