//! Who announces what at this moment, and what every node's kernel holds.
//!
//! The judge sees each route that a speaker writes, at the millisecond it does. A prefix that a
//! node has a route to, and that a living node announces, may not lose that route: that is the
//! whole of the law, and it is checked at every single write, not at the end. Prefixes of services
//! are used once, so a late withdrawal is never taken for a loss.
//!
//! Addresses that several nodes announce have one exception. A node that announced one itself a
//! moment ago had no need of the others' routes, and a reflector sends a client no route of its
//! own: it may be without a route until the reflector has sent another.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use rib::fib::{FibChange, FibRoute};

/// How long ago an announcement of one's own excuses a gap.
const OWN_MS: u64 = 1_000;

/// Faults kept for the message; more say nothing more.
const FAULTS_MAX: usize = 20;

#[derive(Default)]
pub struct Judge {
    pub addresses: Vec<IpAddr>,
    /// Which living nodes announce a prefix.
    live: BTreeMap<IpNet, BTreeSet<usize>>,
    kernels: Vec<BTreeMap<IpNet, FibRoute>>,
    /// When a node last withdrew something itself.
    withdrew: BTreeMap<(usize, IpNet), u64>,
    pub faults: Vec<String>,
    pub writes: u64,
}

impl Judge {
    pub fn add(&mut self, address: IpAddr) {
        self.addresses.push(address);
        self.kernels.push(BTreeMap::new());
    }

    pub fn announced(&mut self, at: usize, prefix: IpNet) {
        self.live.entry(prefix).or_default().insert(at);
    }

    pub fn withdrawn(&mut self, at: usize, prefix: IpNet, now_ms: u64) {
        self.withdrew.insert((at, prefix), now_ms);
        if let Some(owners) = self.live.get_mut(&prefix) {
            owners.remove(&at);
        }
        self.live.retain(|_, owners| !owners.is_empty());
    }

    pub fn died(&mut self, at: usize) {
        for owners in self.live.values_mut() {
            owners.remove(&at);
        }
        self.live.retain(|_, owners| !owners.is_empty());
    }

    /// A speaker writes a route to its kernel.
    pub fn told(&mut self, at: usize, now_ms: u64, change: &FibChange) {
        self.writes += 1;
        let prefix = change.prefix;
        match &change.route {
            Some(route) => {
                self.kernels[at].insert(prefix, route.clone());
            }
            None => {
                self.kernels[at].remove(&prefix);
                let owners = self.live.get(&prefix);
                let others = owners.is_some_and(|owners| !owners.contains(&at));
                let own = self.withdrew.get(&(at, prefix));
                if others && own.is_none_or(|own| now_ms > own + OWN_MS) {
                    self.fault(format!("{now_ms} ms: node {at} lost its route to {prefix}"));
                }
            }
        }
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(text);
        }
    }

    /// When all is quiet every living node has a route to every live prefix through one that
    /// announces it, and no other routes.
    pub fn look_at_tables(&mut self, living: &[usize], when: &str) {
        for at in living {
            let kernel = &self.kernels[*at];
            let mut wrong = Vec::new();
            for (prefix, owners) in &self.live {
                let fits = match kernel.get(prefix) {
                    None => owners.contains(at),
                    Some(FibRoute::Unicast(hops)) => hops.iter().all(|hop| {
                        let mut owners = owners.iter();
                        owners.any(|it| self.addresses[*it] == hop.gateway)
                    }),
                    Some(_) => owners.contains(at),
                };
                if !fits {
                    wrong.push(format!(
                        "{when}: node {at} has {:?} for {prefix}",
                        kernel.get(prefix)
                    ));
                }
            }
            let dead = kernel
                .keys()
                .filter(|prefix| !self.live.contains_key(*prefix));
            let dead = dead.map(|prefix| format!("{when}: node {at} still has {prefix}"));
            wrong.extend(dead);
            for text in wrong {
                self.fault(text);
            }
        }
    }

    pub fn live(&self) -> usize {
        self.live.len()
    }
}
