//! The reconciler and the fake kernel, driven together over a clock of the test's own.
//!
//! `turn` is one turn of the production event loop without its sockets. `rest` turns the wheel
//! until nothing happens any more, letting the clock jump to the next deadline; what the kernel
//! then holds is compared with an oracle that computes it from scratch.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rib::fib::model::{NextHopContent, ObservedHop, ObservedNextHop, Source};
use rib::fib::{DISCARD_METRIC, Fib, FibChange, FibNextHop, FibRoute, KernelConfig, KernelEvent};

use super::fake::{FakeKernel, Notice, OURS, STATIC, Way};

pub const METRIC: u32 = 20;

pub struct Driven {
    pub fib: Fib,
    pub kernel: FakeKernel,
    pub now: Instant,
    pub wanted: BTreeMap<IpNet, FibRoute>,
    pub events: Vec<KernelEvent>,
}

impl Driven {
    pub fn new(kernel: FakeKernel) -> Self {
        let now = Instant::now();
        Self {
            fib: Fib::new(KernelConfig::default(), now),
            kernel,
            now,
            wanted: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// The process ends without a word and another one starts.
    pub fn restart(&mut self) {
        self.kernel.notices.clear();
        self.fib = Fib::new(KernelConfig::default(), self.now);
        self.wanted.clear();
        self.events.clear();
    }

    pub fn want(&mut self, change: FibChange) {
        self.fib.apply(self.now, &change);
        match change.route {
            Some(route) => self.wanted.insert(change.prefix, route),
            None => self.wanted.remove(&change.prefix),
        };
    }

    pub fn audit(&mut self) {
        self.kernel.deaf = false;
        let now = self.now;
        self.fib.audit_begin(now);
        for link in self.kernel.links.values() {
            self.fib.link(now, link.clone());
        }
        for (index, address) in &self.kernel.addresses {
            self.fib.address(now, *index, *address, true);
        }
        if self.kernel.old {
            self.fib.without_next_hop_objects();
        }
        for next_hop in self.kernel.next_hops.values() {
            self.fib.next_hop(now, next_hop, Source::Dump);
        }
        self.fib.audit_objects_end(now);
        for (prefix, metric) in self.kernel.routes.keys().copied() {
            let route = self.kernel.observed(prefix, metric);
            self.fib.route(now, route, Source::Dump);
        }
        assert!(self.fib.audit_end(now));
    }

    pub fn hear(&mut self) {
        let now = self.now;
        while let Some(notice) = self.kernel.notices.pop_front() {
            match notice {
                Notice::Link(link) => self.fib.link(now, link),
                Notice::LinkGone(index) => self.fib.link_gone(now, index),
                Notice::Address(index, net, there) => self.fib.address(now, index, net, there),
                Notice::NextHop(next_hop, source) => self.fib.next_hop(now, &next_hop, source),
                Notice::NextHopGone(id, source) => self.fib.next_hop_gone(now, id, source),
                Notice::Route(route, source) => self.fib.route(now, route, source),
                Notice::RouteGone(route, source) => self.fib.route_gone(now, &route, source),
            }
        }
    }

    /// Reads, decides, sends one batch of at most `max`; the answers are handed in after
    /// `meanwhile`. True if something was sent.
    pub fn turn_with(&mut self, max: usize, meanwhile: impl FnOnce(&mut Self)) -> bool {
        self.hear();
        self.fib.handle_timeout(self.now);
        if self.fib.wants_audit(self.now) {
            self.audit();
        }
        self.fib.settle();
        let ops = self.fib.poll_batch(self.now, max).to_vec();
        let results = ops.iter().map(|op| self.kernel.request(op));
        let errors = results
            .enumerate()
            .filter_map(|(index, result)| Some((index, result.err()?)));
        let errors: Vec<_> = errors.collect();
        meanwhile(self);
        if !ops.is_empty() {
            self.fib.batch_done(self.now, errors);
        }
        while let Some(event) = self.fib.poll_event() {
            self.events.push(event);
        }
        !ops.is_empty()
    }

    pub fn turn(&mut self) -> bool {
        self.turn_with(64, |_| {})
    }

    /// Turns until nothing is left to do now.
    pub fn quiet(&mut self) {
        for _ in 0..10_000 {
            let sent = self.turn();
            if !sent && !self.fib.has_work() && self.kernel.notices.is_empty() {
                return;
            }
        }
        panic!("no end of writing; events: {:#?}", self.events);
    }

    /// As [`Self::quiet`], and lets `time` pass with all its deadlines.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.quiet();
            match self.fib.poll_timeout().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = end;
        self.quiet();
    }

    // The oracle.

    /// The neighbor an address is reached through, over connected and static routes: the longest
    /// prefix, and of one prefix the lowest metric, decides. A blackhole reaches nothing, and hides
    /// what stands behind it.
    fn reach(&self, addr: IpAddr) -> Option<(IpAddr, u32)> {
        let mut best: Option<(u8, Option<(IpAddr, u32)>)> = None;
        for ((prefix, _), route) in &self.kernel.routes {
            if route.protocol == OURS || !prefix.contains(&addr) || prefix.prefix_len() == 0 {
                continue;
            }
            let through = match &route.way {
                Way::Discard => None,
                Way::Hops(hops) => {
                    let link = &self.kernel.links[&hops[0].interface];
                    if !link.up || !link.carrier {
                        continue;
                    }
                    Some((hops[0].gateway.unwrap_or(addr), hops[0].interface))
                }
                Way::Group(_) => continue,
            };
            if best.is_none_or(|(len, _)| len < prefix.prefix_len()) {
                best = Some((prefix.prefix_len(), through));
            }
        }
        best.and_then(|(_, through)| through)
    }

    /// What the kernel must hold of ours.
    fn expected(&self) -> BTreeMap<(IpNet, u32), Option<Vec<ObservedHop>>> {
        let mut expected = BTreeMap::new();
        for (prefix, route) in &self.wanted {
            let (place, hops) = match route {
                FibRoute::Discard => ((*prefix, DISCARD_METRIC), None),
                FibRoute::Unicast(via) => {
                    let mut shares: BTreeMap<(IpAddr, u32), u8> = BTreeMap::new();
                    for via in via.iter() {
                        if let Some(hop) = self.reach(via.gateway) {
                            *shares.entry(hop).or_default() += via.weight;
                        }
                    }
                    if shares.is_empty() {
                        continue;
                    }
                    let hops = shares.into_iter().map(|((gateway, interface), weight)| {
                        let gateway = Some(gateway);
                        ObservedHop {
                            gateway,
                            interface,
                            weight,
                        }
                    });
                    ((*prefix, METRIC), Some(hops.collect()))
                }
            };
            let holder = self.kernel.routes.get(&place).map(|route| route.protocol);
            // Connected networks come first.
            let connected = self.kernel.routes.contains_key(&(*prefix, 256));
            if holder != Some(STATIC) && (place.1 != METRIC || !connected) {
                expected.insert(place, hops);
            }
        }
        expected
    }

    /// Compares the kernel with the oracle.
    pub fn check(&self) {
        let mut found = BTreeMap::new();
        for (place, route) in &self.kernel.routes {
            if route.protocol == OURS {
                let hops = match &route.way {
                    Way::Discard => None,
                    _ => Some(self.kernel.observed(place.0, place.1).hops.to_vec()),
                };
                found.insert(*place, hops);
            }
        }
        let mut expected = self.expected();
        for hops in expected.values_mut().flatten() {
            normalise(hops);
        }
        for hops in found.values_mut().flatten() {
            normalise(hops);
        }
        assert_eq!(found, expected, "events: {:#?}", self.events);
    }

    /// After the end of resync there is one object for each neighbor, at most one group without
    /// routes for each set of next hops that is wanted and reachable, and nothing else of ours. (A
    /// set whose routes stay in the group of another has one, and one whose place is taken.)
    pub fn check_no_litter(&self) {
        let mut groups = BTreeSet::new();
        let mut hops = BTreeSet::new();
        for route in self.wanted.values() {
            let FibRoute::Unicast(via) = route else {
                continue;
            };
            let reached = via.iter().filter_map(|via| self.reach(via.gateway));
            let reached: BTreeSet<_> = reached.collect();
            if !reached.is_empty() {
                groups.insert(via.clone());
                hops.extend(reached);
            }
        }
        let of_ours = self
            .kernel
            .next_hops
            .values()
            .filter(|n| n.protocol == OURS);
        let singles = |n: &&ObservedNextHop| matches!(n.content, NextHopContent::Single(_));
        let (objects, found): (Vec<_>, Vec<_>) = of_ours.partition(singles);
        assert_eq!(objects.len(), hops.len());
        let leads_to = |id: u32| {
            let mut routes = self.kernel.routes.values();
            routes.any(|route| route.way == Way::Group(id))
        };
        let empty = found.iter().filter(|group| !leads_to(group.id)).count();
        assert!(empty <= groups.len(), "{found:?}");
    }
}

pub fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

pub fn unicast(prefix: &str, gateways: &[&str]) -> FibChange {
    let via = gateways.iter().map(|gateway| FibNextHop {
        gateway: gateway.parse().unwrap(),
        interface: None,
        device: None,
        weight: 1,
    });
    FibChange {
        prefix: net(prefix),
        route: Some(FibRoute::Unicast(via.collect())),
    }
}

pub fn discard(prefix: &str) -> FibChange {
    FibChange {
        prefix: net(prefix),
        route: Some(FibRoute::Discard),
    }
}

pub fn nothing(prefix: &str) -> FibChange {
    FibChange {
        prefix: net(prefix),
        route: None,
    }
}

pub fn hop(gateway: &str, interface: u32) -> Way {
    Way::Hops(vec![ObservedHop {
        gateway: gateway.parse().ok(),
        interface,
        weight: 1,
    }])
}

/// Shares in lowest terms, so that 2:2 equals 1:1.
fn normalise(hops: &mut [ObservedHop]) {
    fn gcd(a: u8, b: u8) -> u8 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    let divisor = hops.iter().fold(0, |all, hop| gcd(all, hop.weight));
    for hop in hops.iter_mut() {
        hop.weight /= divisor.max(1);
    }
    hops.sort();
}
