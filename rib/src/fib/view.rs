//! Everyone else's part of the kernel: links, addresses and the routes of other protocols.
//!
//! It answers two questions: through which neighbors an address is reached (longest match over
//! the routes of others in our table and the main table), and whether a place (prefix, metric)
//! of our table is taken by someone else. Our own routes are not in it: a BGP next hop is never
//! resolved through a BGP route of ours, which keeps recursion loops impossible.
//!
//! The default route does not resolve next hops, as in FRR: when the link to a next hop dies, the
//! path must go, not move to whatever gateway the default route knows. Where nodes of other subnets
//! are next hops it does, see `KernelConfig::default_route`.
//!
//! Changes are collected as prefixes, so that only next hops inside them are looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use smallvec::SmallVec;

use super::api::{Interface, KernelConfig, TABLE_MAIN};
use super::hops::HopKey;
use super::model::{Hop, Link, Member, ObservedHop, ObservedKind, ObservedRoute};

/// Changed prefixes kept one by one; beyond, every next hop is looked at again, which costs the
/// same as this many prefixes would.
const CHANGED_MAX: usize = 256;

type Routes = BTreeMap<IpNet, SmallVec<[ObservedRoute; 1]>>;

/// How an address is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) members: Vec<Member>,
    pub(super) metric: u32,
}

/// Which next hops have to be looked at again.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) all: bool,
    pub(super) prefixes: BTreeSet<IpNet>,
}

impl Changed {
    pub(super) fn everything() -> Self {
        Self {
            all: true,
            prefixes: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.all && self.prefixes.is_empty()
    }

    fn add(&mut self, prefix: IpNet) {
        if !self.all {
            self.prefixes.insert(prefix);
            if self.prefixes.len() > CHANGED_MAX {
                *self = Self::everything();
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct View {
    table: u32,
    links: BTreeMap<u32, Link>,
    addresses: BTreeMap<u32, Vec<IpNet>>,
    routes: Routes,
    /// How many prefixes of each (IPv6?, length) there are, for the longest match.
    lengths: BTreeMap<(bool, u8), usize>,
    changed: Changed,
    /// The shortest prefix that resolves next hops.
    shortest: u8,
    /// Prefixes whose routes went with their interface: a route of ours may have waited for that.
    vacated: Vec<IpNet>,
}

impl View {
    pub(super) fn new(table: u32) -> Self {
        Self {
            table,
            links: BTreeMap::new(),
            addresses: BTreeMap::new(),
            routes: BTreeMap::new(),
            lengths: BTreeMap::new(),
            changed: Changed::default(),
            shortest: 1,
            vacated: Vec::new(),
        }
    }

    /// An empty view for a configuration.
    pub(super) fn of(config: &KernelConfig) -> Self {
        Self {
            shortest: u8::from(!config.default_route),
            ..Self::new(config.table)
        }
    }

    /// Whether the default route resolves next hops.
    pub(super) fn set_default_route(&mut self, on: bool) {
        let shortest = u8::from(!on);
        if std::mem::replace(&mut self.shortest, shortest) != shortest {
            self.changed = Changed::everything();
        }
    }

    pub(super) fn take_vacated(&mut self) -> Vec<IpNet> {
        std::mem::take(&mut self.vacated)
    }

    pub(super) fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    // Links and addresses.

    /// Takes a link's state; true if anything of it is new.
    pub(super) fn put_link(&mut self, link: Link) -> bool {
        let before = self.links.get(&link.index);
        if before == Some(&link) {
            return false;
        }
        let (index, up) = (link.index, link.up);
        let moved = before.is_none_or(|b| b.usable() != link.usable() || b.name != link.name);
        self.links.insert(index, link);
        if !up {
            // The kernel drops a downed interface's IPv4 routes without telling.
            self.drop_routes_through(index);
        }
        if moved {
            self.changed = Changed::everything();
        }
        true
    }

    pub(super) fn drop_link(&mut self, index: u32) -> Option<Link> {
        let link = self.links.remove(&index)?;
        self.addresses.remove(&index);
        self.drop_routes_through(index);
        self.changed = Changed::everything();
        Some(link)
    }

    fn drop_routes_through(&mut self, index: u32) {
        let mut emptied = Vec::new();
        for (prefix, routes) in &mut self.routes {
            let before = routes.len();
            for route in routes.iter_mut() {
                route.hops.retain(|hop| hop.interface != index);
            }
            routes.retain(|r| !r.hops.is_empty() || r.kind != ObservedKind::Unicast);
            if routes.len() != before {
                self.vacated.push(*prefix);
            }
            if routes.is_empty() {
                emptied.push(*prefix);
            }
        }
        for prefix in emptied {
            self.routes.remove(&prefix);
            self.count(prefix, false);
        }
        self.changed = Changed::everything();
    }

    /// Adds (true) or removes an address; true if that is news.
    pub(super) fn put_address(&mut self, index: u32, address: IpNet, present: bool) -> bool {
        let list = self.addresses.entry(index).or_default();
        let known = list.iter().position(|a| *a == address);
        match (known, present) {
            (None, true) => list.push(address),
            (Some(at), false) => {
                list.remove(at);
            }
            _ => return false,
        }
        self.changed.add(IpNet::from(address.addr()));
        true
    }

    pub(super) fn usable(&self, index: u32) -> bool {
        self.links.get(&index).is_some_and(Link::usable)
    }

    pub(super) fn link_name(&self, index: u32) -> Option<&str> {
        self.links.get(&index).map(|link| link.name.as_str())
    }

    pub(super) fn link_indexes(&self) -> Vec<u32> {
        self.links.keys().copied().collect()
    }

    pub(super) fn addresses_of(&self, index: u32) -> &[IpNet] {
        self.addresses.get(&index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn interface(&self, index: u32) -> Option<Interface> {
        let link = self.links.get(&index)?;
        Some(Interface {
            index,
            name: link.name.clone(),
            usable: link.usable(),
            loopback: link.loopback,
            mtu: link.mtu,
            addresses: self.addresses_of(index).to_vec(),
        })
    }

    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let indexes = self.links.keys();
        indexes.filter_map(|index| self.interface(*index)).collect()
    }

    fn is_own_address(&self, addr: IpAddr) -> bool {
        let mut all = self.addresses.values().flatten();
        all.any(|net| net.addr() == addr)
    }

    // Routes of others.

    /// Whether a route of this table is looked at for next hops.
    pub(super) fn covers_table(&self, table: u32) -> bool {
        table == self.table || table == TABLE_MAIN
    }

    pub(super) fn put_route(&mut self, route: ObservedRoute, replaced: bool) {
        if !self.covers_table(route.table) {
            return;
        }
        let prefix = route.prefix;
        let fresh = !self.routes.contains_key(&prefix);
        let list = self.routes.entry(prefix).or_default();
        let place = |r: &ObservedRoute| r.table == route.table && r.metric == route.metric;
        let mergeable = matches!(prefix, IpNet::V6(_)) && !replaced;
        if let Some(at) = list.iter().position(place).filter(|_| replaced) {
            list.remove(at);
        }
        if list.contains(&route) {
            return;
        }
        let known = list.iter_mut().find(|r| place(r));
        match known {
            // IPv6 keeps one multipath route per place and tells of each path added to it.
            Some(known) if mergeable && known.protocol == route.protocol => {
                for hop in route.hops {
                    if !known.hops.contains(&hop) {
                        known.hops.push(hop);
                    }
                }
                known.kind = route.kind;
            }
            _ => list.push(route),
        }
        if fresh {
            self.count(prefix, true);
        }
        self.changed.add(prefix);
    }

    pub(super) fn drop_route(&mut self, route: &ObservedRoute) {
        let Some(list) = self.routes.get_mut(&route.prefix) else {
            return;
        };
        let place = |r: &ObservedRoute| {
            r.table == route.table && r.metric == route.metric && r.protocol == route.protocol
        };
        let exact = list.iter().position(|r| r == route);
        if let Some(at) = exact.or_else(|| list.iter().position(place)) {
            // One path of an IPv6 multipath route may go while the others stay.
            if let (Some(known), IpNet::V6(_)) = (list.get_mut(at), route.prefix) {
                known.hops.retain(|hop| !route.hops.contains(hop));
            }
            if list.get(at).is_none_or(|r| r.hops.is_empty()) || route.prefix.addr().is_ipv4() {
                list.remove(at);
            }
        }
        if list.is_empty() {
            self.routes.remove(&route.prefix);
            self.count(route.prefix, false);
        }
        self.changed.add(route.prefix);
    }

    /// Exchanges the routes of one prefix for what a dump found; nothing happens if equal.
    pub(super) fn set_routes(&mut self, prefix: IpNet, found: SmallVec<[ObservedRoute; 1]>) {
        let before = self.routes.get(&prefix);
        if before.map_or(&[][..], |list| list.as_slice()) == found.as_slice() {
            return;
        }
        let (had, has) = (before.is_some(), !found.is_empty());
        if has {
            self.routes.insert(prefix, found);
        } else {
            self.routes.remove(&prefix);
        }
        if had != has {
            self.count(prefix, has);
        }
        self.changed.add(prefix);
    }

    fn count(&mut self, prefix: IpNet, more: bool) {
        let key = (prefix.addr().is_ipv6(), prefix.prefix_len());
        let count = self.lengths.entry(key).or_default();
        *count = if more {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        if *count == 0 {
            self.lengths.remove(&key);
        }
    }

    /// The protocol that keeps a route of ours out, and whether that is because the prefix is a
    /// network on a link of ours (else the other holds the very place).
    ///
    /// Connected networks come before everything learned (administrative distance 0 elsewhere).
    /// IPv4's have metric 0 and win by themselves; IPv6's have 256 and would be hidden, together
    /// with all neighbors on the link.
    pub(super) fn holder(&self, prefix: IpNet, metric: u32) -> Option<(u8, bool)> {
        let mut list = self.routes.get(&prefix)?.iter();
        let connected = |r: &ObservedRoute| {
            r.metric > metric
                && r.kind == ObservedKind::Unicast
                && r.hops.iter().all(|hop| hop.gateway.is_none())
        };
        list.find(|r| r.table == self.table && (r.metric == metric || connected(r)))
            .map(|r| (r.protocol, connected(r)))
    }

    /// Our own former protocol's route was written over.
    pub(super) fn drop_inherited(&mut self, prefix: IpNet, protocol: u8) {
        let mut routes = self.routes_of(prefix).iter();
        let found = routes.find(|r| r.table == self.table && r.protocol == protocol);
        if let Some(route) = found.cloned() {
            self.drop_route(&route);
        }
    }

    pub(super) fn prefixes(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.routes.keys().copied()
    }

    pub(super) fn routes_of(&self, prefix: IpNet) -> &[ObservedRoute] {
        self.routes.get(&prefix).map_or(&[], |list| list.as_slice())
    }

    /// The first prefix of a family behind `after`, or the very first.
    pub(super) fn first_after(&self, ipv4: bool, after: Option<IpNet>) -> Option<IpNet> {
        let from = match after {
            Some(after) => Bound::Excluded(after),
            None if ipv4 => Bound::Unbounded,
            // IPv4 sorts before IPv6.
            None => Bound::Included(IpNet::V6(Ipv6Net::default())),
        };
        let mut behind = self.routes.range((from, Bound::Unbounded));
        let (prefix, _) = behind.next()?;
        Some(*prefix).filter(|prefix| prefix.addr().is_ipv4() == ipv4)
    }

    // Resolution.

    /// Through which neighbors `addr` is reached; `None`: not at all.
    pub(super) fn resolve(&self, (addr, interface, device): HopKey) -> Option<Resolved> {
        let direct = |index: u32, is_onlink: bool| {
            let hop = Hop {
                gateway: addr,
                interface: index,
                is_onlink,
            };
            let member = Member { hop, weight: 1 };
            self.usable(index).then(|| Resolved {
                members: vec![member],
                metric: 0,
            })
        };
        if let Some(device) = device {
            let mut links = self.links.values();
            let link = links.find(|link| link.name == device.as_str())?;
            return direct(link.index, true);
        }
        if let Some(index) = interface {
            return direct(index, false);
        }
        if addr.is_unspecified() || addr.is_multicast() || self.is_own_address(addr) {
            return None;
        }
        let v6 = addr.is_ipv6();
        let lengths = self.lengths.range((v6, self.shortest)..=(v6, 128)).rev();
        for ((_, len), _) in lengths {
            let Some(found) = truncated(addr, *len).and_then(|net| self.routes.get(&net)) else {
                continue;
            };
            match self.best(found, addr) {
                Verdict::Reached(resolved) => return Some(resolved),
                Verdict::Refused => return None,
                Verdict::Nothing => {}
            }
        }
        None
    }

    fn best(&self, routes: &[ObservedRoute], addr: IpAddr) -> Verdict {
        let mut sorted: SmallVec<[&ObservedRoute; 4]> = routes.iter().collect();
        sorted.sort_by_key(|r| (r.table != self.table, r.metric));
        for route in sorted {
            match route.kind {
                ObservedKind::Other => continue,
                ObservedKind::Discard => return Verdict::Refused,
                ObservedKind::Unicast => {}
            }
            let usable = route.hops.iter().filter(|hop| self.usable(hop.interface));
            let members: Vec<Member> = usable.map(|hop| member(hop, addr)).collect();
            if !members.is_empty() {
                let direct = route.hops.iter().all(|hop| hop.gateway.is_none());
                let metric = if direct { 0 } else { route.metric };
                return Verdict::Reached(Resolved { members, metric });
            }
        }
        Verdict::Nothing
    }
}

enum Verdict {
    Reached(Resolved),
    Refused,
    Nothing,
}

fn member(hop: &ObservedHop, addr: IpAddr) -> Member {
    Member {
        hop: Hop {
            gateway: hop.gateway.unwrap_or(addr),
            interface: hop.interface,
            is_onlink: false,
        },
        weight: hop.weight,
    }
}

/// The network of `len` bits around an address; `None` if the family has no such length.
fn truncated(addr: IpAddr, len: u8) -> Option<IpNet> {
    match addr {
        IpAddr::V4(v4) => Ipv4Net::new(v4, len).ok().map(|n| IpNet::V4(n.trunc())),
        IpAddr::V6(v6) => Ipv6Net::new(v6, len).ok().map(|n| IpNet::V6(n.trunc())),
    }
}
