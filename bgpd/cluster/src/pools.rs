//! The pools that services have their addresses from, whoever defines them: for `show`.
//!
//! A listing and no decision: which pool an address belongs to, and what it carries, is decided
//! where a dialect offers; here is counted what came of it.

use std::net::IpAddr;

use crate::{DialectName, Planner};

/// A pool, and what this cluster and this node make of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolListed {
    /// Its name; its routes have the source `pool:NAME`.
    pub name: Box<str>,
    /// The object that defines it; empty: the file.
    pub object: Box<str>,
    /// First and last address of each range.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// Addresses of it that services have.
    pub in_use: usize,
    /// Routes of it that start here.
    pub announced: usize,
}

impl PoolListed {
    /// A pool of which nothing is used yet.
    pub(crate) fn new(name: &str, object: &str, ranges: Vec<(IpAddr, IpAddr)>) -> Self {
        Self {
            name: name.into(),
            object: object.into(),
            ranges,
            in_use: 0,
            announced: 0,
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let of_family = |first: IpAddr| first.is_ipv4() == address.is_ipv4();
        let mut ranges = self.ranges.iter();
        ranges.any(|(first, last)| of_family(*first) && *first <= address && address <= *last)
    }
}

impl Planner {
    /// All pools: those of the file, then those of objects; as of the last plan.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolListed> {
        let mut pools = Vec::new();
        if self.options().speaks(DialectName::Native) {
            pools.extend(self.options().pools.iter().map(|pool| {
                let ends = |block: &ipnet::IpNet| (block.network(), block.broadcast());
                PoolListed::new(&pool.name, "", pool.blocks.iter().map(ends).collect())
            }));
        }
        self.dialects().list_pools(&mut pools);
        let ingress = self.snapshot().services().flat_map(|(_, s)| &s.ingress);
        let mut used: Vec<IpAddr> = ingress.map(|ingress| ingress.address).collect();
        used.sort_unstable();
        used.dedup();
        for address in used {
            if let Some(pool) = pools.iter_mut().find(|pool| pool.holds(address)) {
                pool.in_use += 1;
            }
        }
        for route in self.table().routes() {
            let name = route.source.strip_prefix("pool:");
            let of = |pool: &&mut PoolListed| Some(&*pool.name) == name;
            if let Some(pool) = pools.iter_mut().find(of) {
                pool.announced += 1;
            }
        }
        pools
    }
}
