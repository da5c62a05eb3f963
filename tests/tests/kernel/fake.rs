//! A kernel in memory with the habits of Linux that matter to a route writer, and with faults.
//!
//! Habits: a next hop object needs a usable link and a gateway on it; a link going down takes its
//! objects, empties groups and deletes what stood behind empty ones, IPv4 routes without a word;
//! a deleted group takes its routes along; a place (prefix, table, metric) holds one route.
//! Faults: refused requests, lost notifications (with the overrun told), notifications that come
//! while a batch is on its way.
//!
//! It fails the test by itself where the reconciler touches what is not its own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use ipnet::IpNet;
use rib::fib::model::{
    Hop, KernelOp, Link, NextHopContent, ObservedHop, ObservedKind, ObservedNextHop, ObservedRoute,
    OpError, RouteTarget, Source, errno,
};

pub const OURS: u8 = 186;
pub const STATIC: u8 = 4;
const KERNEL: u8 = 2;
pub const TABLE: u32 = 254;

/// What the kernel tells, in order.
#[derive(Debug, Clone)]
pub enum Notice {
    Link(Link),
    LinkGone(u32),
    Address(u32, IpNet, bool),
    NextHop(ObservedNextHop, Source),
    NextHopGone(u32, Source),
    Route(ObservedRoute, Source),
    RouteGone(ObservedRoute, Source),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Group(u32),
    Hops(Vec<ObservedHop>),
    Discard,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeRoute {
    pub protocol: u8,
    pub way: Way,
}

#[derive(Debug, Default)]
pub struct FakeKernel {
    pub links: BTreeMap<u32, Link>,
    pub addresses: BTreeSet<(u32, IpNet)>,
    pub next_hops: BTreeMap<u32, ObservedNextHop>,
    pub routes: BTreeMap<(IpNet, u32), FakeRoute>,
    pub notices: VecDeque<Notice>,
    /// Places where someone wrote over a route of ours: taking those back is right.
    pub written_over: BTreeSet<(IpNet, u32)>,
    /// So many of the next requests are refused with `ENOMEM`.
    pub refuse: usize,
    /// Notifications are lost until the next dump.
    pub deaf: bool,
    /// No next hop objects, as before Linux 5.3.
    pub old: bool,
    pub writes: usize,
    /// Of those, requests about routes.
    pub route_writes: usize,
}

/// What Linux gives to connected networks.
fn connected_metric(net: IpNet) -> u32 {
    if net.addr().is_ipv4() { 0 } else { 256 }
}

fn refused(errno: i32) -> Result<(), OpError> {
    let text = None;
    Err(OpError { errno, text })
}

impl FakeKernel {
    /// Links 1..=n with 10.0.n.1/24 and fd00:n::1/64.
    pub fn with_links(n: u32) -> Self {
        let mut kernel = Self::default();
        for index in 1..=n {
            kernel.add_link(index);
        }
        kernel.notices.clear();
        kernel
    }

    fn add_link(&mut self, index: u32) {
        let link = Link {
            index,
            name: format!("eth{index}"),
            up: true,
            carrier: true,
            loopback: false,
            mtu: 1500,
        };
        self.links.insert(index, link);
        for net in [format!("10.0.{index}.1/24"), format!("fd00:{index}::1/64")] {
            self.addresses.insert((index, net.parse().unwrap()));
        }
        self.connect(index);
    }

    fn connect(&mut self, index: u32) {
        let nets = self.addresses.iter().filter(|(i, _)| *i == index);
        for net in nets.map(|(_, net)| net.trunc()).collect::<Vec<_>>() {
            let hop = ObservedHop {
                gateway: None,
                interface: index,
                weight: 1,
            };
            let route = FakeRoute {
                protocol: KERNEL,
                way: Way::Hops(vec![hop]),
            };
            let metric = connected_metric(net);
            self.routes.insert((net, metric), route);
            self.tell_route(net, metric, Source::Kernel);
        }
    }

    fn tell(&mut self, notice: Notice) {
        if !self.deaf {
            self.notices.push_back(notice);
        }
    }

    fn tell_route(&mut self, prefix: IpNet, metric: u32, source: Source) {
        let route = self.observed(prefix, metric);
        self.tell(Notice::Route(route, source));
    }

    /// A route as a dump shows it.
    pub fn observed(&self, prefix: IpNet, metric: u32) -> ObservedRoute {
        let route = &self.routes[&(prefix, metric)];
        let (kind, hops, next_hop_id) = match &route.way {
            Way::Discard => (ObservedKind::Discard, Vec::new(), None),
            Way::Hops(hops) => (ObservedKind::Unicast, hops.clone(), None),
            Way::Group(id) => (ObservedKind::Unicast, self.group_hops(*id), Some(*id)),
        };
        ObservedRoute {
            prefix,
            table: TABLE,
            metric,
            protocol: route.protocol,
            kind,
            hops: hops.into_iter().collect(),
            next_hop_id,
        }
    }

    /// Where a group leads, sorted.
    pub fn group_hops(&self, id: u32) -> Vec<ObservedHop> {
        let Some(NextHopContent::Group(members)) = self.next_hops.get(&id).map(|n| &n.content)
        else {
            panic!("a route leads to {id}, which is no group");
        };
        let mut hops: Vec<_> = members
            .iter()
            .map(|(id, weight)| match &self.next_hops[id].content {
                NextHopContent::Single(hop) => ObservedHop {
                    gateway: Some(hop.gateway),
                    interface: hop.interface,
                    weight: *weight,
                },
                other => panic!("a group member is {other:?}"),
            })
            .collect();
        hops.sort();
        hops
    }

    // What happens to links.

    pub fn set_carrier(&mut self, index: u32, on: bool) {
        let Some(link) = self.links.get_mut(&index).filter(|l| l.carrier != on) else {
            return;
        };
        link.carrier = on;
        let link = link.clone();
        if !on {
            self.flush_objects(index, Source::Kernel, false);
        }
        self.tell(Notice::Link(link));
    }

    pub fn set_up(&mut self, index: u32, on: bool) {
        let Some(link) = self.links.get_mut(&index).filter(|l| l.up != on) else {
            return;
        };
        (link.up, link.carrier) = (on, on);
        let link = link.clone();
        self.tell(Notice::Link(link));
        if on {
            self.connect(index);
            return;
        }
        self.flush_objects(index, Source::Kernel, false);
        let through = |route: &FakeRoute| match &route.way {
            Way::Hops(hops) => hops.iter().any(|hop| hop.interface == index),
            _ => false,
        };
        let gone = self.routes.iter().filter(|(_, route)| through(route));
        for (prefix, metric) in gone.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.remove_route(prefix, metric, Source::Kernel, prefix.addr().is_ipv6());
        }
    }

    /// The interface is deleted and a new one with the same index and addresses appears.
    pub fn replug(&mut self, index: u32) {
        self.set_up(index, false);
        self.tell(Notice::LinkGone(index));
        self.addresses.retain(|(of, _)| *of != index);
        self.add_link(index);
        let link = self.links[&index].clone();
        self.tell(Notice::Link(link));
        let addresses: Vec<_> = self
            .addresses
            .iter()
            .filter(|(of, _)| *of == index)
            .collect();
        let addresses: Vec<_> = addresses.into_iter().copied().collect();
        for (index, net) in addresses {
            self.tell(Notice::Address(index, net, true));
        }
    }

    /// Takes the IPv6 address of a link away or gives it back, with its connected route.
    pub fn set_address(&mut self, index: u32, there: bool) {
        let net: IpNet = format!("fd00:{index}::1/64").parse().unwrap();
        if there == self.addresses.contains(&(index, net)) {
            return;
        }
        self.tell(Notice::Address(index, net, there));
        if there {
            self.addresses.insert((index, net));
            if self.links[&index].up {
                self.connect(index);
            }
            return;
        }
        self.addresses.remove(&(index, net));
        if self.routes.contains_key(&(net.trunc(), 256)) {
            self.remove_route(net.trunc(), 256, Source::Kernel, true);
        }
        // Whoever had set static routes over it takes them back.
        let through = |way: &Way| match way {
            Way::Hops(hops) => hops.iter().any(|hop| {
                hop.interface == index && hop.gateway.is_some_and(|gateway| net.contains(&gateway))
            }),
            _ => false,
        };
        let stranded = self.routes.iter().filter(|(_, route)| through(&route.way));
        for (prefix, metric) in stranded.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.foreign_delete(prefix, metric);
        }
    }

    fn remove_route(&mut self, prefix: IpNet, metric: u32, source: Source, loud: bool) {
        let route = self.observed_or_bare(prefix, metric);
        self.routes.remove(&(prefix, metric));
        if loud {
            self.tell(Notice::RouteGone(route, source));
        }
    }

    /// A route whose group may be gone already.
    fn observed_or_bare(&self, prefix: IpNet, metric: u32) -> ObservedRoute {
        match self.routes[&(prefix, metric)].way {
            Way::Group(id) if !self.next_hops.contains_key(&id) => ObservedRoute {
                prefix,
                table: TABLE,
                metric,
                protocol: self.routes[&(prefix, metric)].protocol,
                kind: ObservedKind::Unicast,
                hops: Default::default(),
                next_hop_id: Some(id),
            },
            _ => self.observed(prefix, metric),
        }
    }

    fn flush_objects(&mut self, index: u32, source: Source, loud: bool) {
        let on_link = |content: &NextHopContent| match content {
            NextHopContent::Single(hop) => hop.interface == index,
            _ => false,
        };
        let objects = self.next_hops.values().filter(|n| on_link(&n.content));
        for id in objects.map(|n| n.id).collect::<Vec<_>>() {
            self.remove_next_hop(id, source, loud);
        }
    }

    fn remove_next_hop(&mut self, id: u32, source: Source, loud: bool) {
        let Some(removed) = self.next_hops.remove(&id) else {
            return;
        };
        if loud {
            self.tell(Notice::NextHopGone(id, source));
        }
        if matches!(removed.content, NextHopContent::Group(_)) {
            let behind = self.routes.iter().filter(|(_, r)| r.way == Way::Group(id));
            for (prefix, metric) in behind.map(|(key, _)| *key).collect::<Vec<_>>() {
                self.remove_route(prefix, metric, Source::Kernel, prefix.addr().is_ipv6());
            }
            return;
        }
        let mut emptied = Vec::new();
        let mut shrunk = Vec::new();
        for group in self.next_hops.values_mut() {
            if let NextHopContent::Group(members) = &mut group.content {
                let before = members.len();
                members.retain(|(member, _)| *member != id);
                if members.is_empty() {
                    emptied.push(group.id);
                } else if members.len() != before {
                    shrunk.push(group.clone());
                }
            }
        }
        if loud {
            for group in shrunk {
                self.tell(Notice::NextHop(group, source));
            }
        }
        for group in emptied {
            self.remove_next_hop(group, source, loud);
        }
    }

    // What others do.

    pub fn foreign_add(&mut self, prefix: IpNet, metric: u32, way: Way) {
        let protocol = STATIC;
        self.routes
            .insert((prefix, metric), FakeRoute { protocol, way });
        self.tell_route(prefix, metric, Source::Foreign { replaced: false });
    }

    /// Replaces whatever is in a place.
    pub fn foreign_replace(&mut self, prefix: IpNet, metric: u32, way: Way) {
        let before = self.routes.get(&(prefix, metric));
        if before.is_some_and(|route| route.protocol == OURS) {
            self.written_over.insert((prefix, metric));
        }
        let protocol = STATIC;
        self.routes
            .insert((prefix, metric), FakeRoute { protocol, way });
        self.tell_route(prefix, metric, Source::Foreign { replaced: true });
    }

    pub fn foreign_delete(&mut self, prefix: IpNet, metric: u32) {
        if self.routes.contains_key(&(prefix, metric)) {
            let source = Source::Foreign { replaced: false };
            self.remove_route(prefix, metric, source, true);
        }
    }

    pub fn foreign_delete_next_hop(&mut self, id: u32) {
        self.remove_next_hop(id, Source::Foreign { replaced: false }, true);
    }

    // Requests.

    pub fn request(&mut self, op: &KernelOp) -> Result<(), OpError> {
        self.writes += 1;
        if let KernelOp::PutRoute { .. } | KernelOp::DeleteRoute { .. } = op {
            self.route_writes += 1;
        }
        if self.refuse > 0 {
            self.refuse -= 1;
            return refused(12);
        }
        match op {
            KernelOp::PutNextHop { id, hop } => self.put_next_hop(*id, *hop),
            KernelOp::PutGroup {
                id,
                members,
                must_exist,
            } => self.put_group(*id, members, *must_exist),
            KernelOp::DeleteNextHop { id } => {
                self.assert_ours(*id);
                if !self.next_hops.contains_key(id) {
                    return refused(errno::ENOENT);
                }
                self.remove_next_hop(*id, Source::Kernel, false);
                Ok(())
            }
            KernelOp::PutRoute {
                prefix,
                metric,
                target,
                replace,
            } => self.put_route((*prefix, *metric), target, *replace),
            KernelOp::DeleteRoute { prefix, metric } => {
                let found = self.routes.get(&(*prefix, *metric));
                if found.is_none_or(|route| route.protocol != OURS) {
                    return refused(errno::ESRCH);
                }
                self.routes.remove(&(*prefix, *metric));
                Ok(())
            }
        }
    }

    fn assert_ours(&self, id: u32) {
        let found = self.next_hops.get(&id);
        let foreign = found.filter(|next_hop| next_hop.protocol != OURS);
        assert!(foreign.is_none(), "touched a foreign next hop: {foreign:?}");
    }

    fn put_next_hop(&mut self, id: u32, hop: Hop) -> Result<(), OpError> {
        assert!(!self.old, "this kernel has no next hop objects");
        self.assert_ours(id);
        let Some(link) = self.links.get(&hop.interface) else {
            return refused(errno::ENODEV);
        };
        if !link.up || !link.carrier {
            return refused(errno::ENETDOWN);
        }
        let on_link = |(index, net): &(u32, IpNet)| {
            *index == hop.interface && net.contains(&hop.gateway) && net.addr() != hop.gateway
        };
        let link_local = matches!(hop.gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if !link_local && !self.addresses.iter().any(on_link) {
            return refused(errno::EINVAL);
        }
        let content = NextHopContent::Single(hop);
        let next_hop = ObservedNextHop {
            id,
            protocol: OURS,
            content,
        };
        self.next_hops.insert(id, next_hop);
        Ok(())
    }

    fn put_group(&mut self, id: u32, members: &[(u32, u8)], must: bool) -> Result<(), OpError> {
        self.assert_ours(id);
        if must && !self.next_hops.contains_key(&id) {
            return refused(errno::ENOENT);
        }
        let single = |id| {
            let found: Option<&ObservedNextHop> = self.next_hops.get(id);
            found.is_some_and(|n| matches!(n.content, NextHopContent::Single(_)))
        };
        if members.is_empty() || !members.iter().all(|(id, _)| single(id)) {
            return refused(errno::EINVAL);
        }
        let content = NextHopContent::Group(members.to_vec());
        let next_hop = ObservedNextHop {
            id,
            protocol: OURS,
            content,
        };
        self.next_hops.insert(id, next_hop);
        Ok(())
    }

    fn put_route(
        &mut self,
        place: (IpNet, u32),
        target: &RouteTarget,
        replace: bool,
    ) -> Result<(), OpError> {
        if let Some(there) = self.routes.get(&place) {
            if !replace {
                return refused(errno::EEXIST);
            }
            let ours = there.protocol == OURS || self.written_over.contains(&place);
            assert!(ours, "wrote over a foreign route at {place:?}");
        }
        let way = match target {
            RouteTarget::Discard => Way::Discard,
            RouteTarget::Group(id) if !self.next_hops.contains_key(id) => {
                return refused(errno::EINVAL);
            }
            RouteTarget::Group(id) => Way::Group(*id),
            RouteTarget::Paths(members) => {
                let hops = members.iter().map(|m| ObservedHop {
                    gateway: Some(m.hop.gateway),
                    interface: m.hop.interface,
                    weight: m.weight,
                });
                Way::Hops(hops.collect())
            }
        };
        let protocol = OURS;
        self.written_over.remove(&place);
        self.routes.insert(place, FakeRoute { protocol, way });
        Ok(())
    }
}
