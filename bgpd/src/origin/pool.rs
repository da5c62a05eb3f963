//! Address pools: which addresses are in use, and which routes follow.
//!
//! An address is in use or it is not; nothing is counted, since two services that share an
//! address are the business of whoever assigns them. For each address in use the aggregate of
//! the pool's length is announced, once, however many addresses of it are in use. A pool that is
//! announced `always` ignores use and announces its addresses in the fewest prefixes.
//!
//! **Changed pools.** Addresses in use that no pool of a new configuration holds would lose their
//! services. [`PoolBook::orphans`] names them, so that the reload can be refused (MetalLB refuses
//! such a change too); [`PoolBook::reconfigure`] keeps the others in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{LocalRoute, Source, blocks};
use crate::config::{Pool, PoolAdvertise};

/// Pools and the addresses of them that are in use.
#[derive(Clone, Debug, Default)]
pub struct PoolBook {
    pools: Vec<Pool>,
    in_use: BTreeSet<IpAddr>,
}

/// The saved part of a pool book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PoolState {
    /// Addresses in use, lowest first.
    pub in_use: Vec<IpAddr>,
}

/// Why an address could not be put in use or given back. The text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolError {
    /// No pool holds it. Carries the names of all pools.
    NotInAnyPool(IpAddr, Vec<String>),
    /// It is in use already.
    InUse(IpAddr, String),
    /// It is not in use.
    NotInUse(IpAddr, String),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInAnyPool(addr, pools) if pools.is_empty() => {
                write!(f, "{addr} is in no pool: the configuration has no [[pool]]")
            }
            Self::NotInAnyPool(addr, pools) => {
                write!(f, "{addr} is in no pool; there are: {}", pools.join(", "))
            }
            Self::InUse(addr, pool) => write!(f, "{addr} of pool {pool} is in use already"),
            Self::NotInUse(addr, pool) => write!(f, "{addr} of pool {pool} is not in use"),
        }
    }
}

impl std::error::Error for PoolError {}

/// What `show` says of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus<'b> {
    /// The pool.
    pub pool: &'b Pool,
    /// How many addresses it has.
    pub size: u128,
    /// Those in use, lowest first.
    pub in_use: Vec<IpAddr>,
}

impl PoolBook {
    /// A book with nothing in use.
    pub fn new(pools: &[Pool]) -> Self {
        Self {
            pools: pools.to_vec(),
            in_use: BTreeSet::new(),
        }
    }

    /// The addresses in use that `pools` would not hold.
    pub fn orphans(&self, pools: &[Pool]) -> Vec<IpAddr> {
        self.in_use
            .iter()
            .copied()
            .filter(|addr| holder(pools, *addr).is_none())
            .collect()
    }

    /// Takes over changed pools. Addresses that are in none of them are no longer in use and are
    /// returned; ask [`Self::orphans`] first to refuse the change instead.
    pub fn reconfigure(&mut self, pools: &[Pool]) -> Vec<IpAddr> {
        let orphans = self.orphans(pools);
        for addr in &orphans {
            self.in_use.remove(addr);
        }
        self.pools = pools.to_vec();
        orphans
    }

    /// Puts `addr` in use and returns the name of its pool.
    ///
    /// # Errors
    /// [`PoolError::NotInAnyPool`] and [`PoolError::InUse`]; nothing has changed then.
    pub fn use_address(&mut self, addr: IpAddr) -> Result<&str, PoolError> {
        let pool = self.find(addr)?;
        if self.in_use.contains(&addr) {
            return Err(PoolError::InUse(addr, pool.name.clone()));
        }
        self.in_use.insert(addr);
        Ok(self.find(addr)?.name.as_str())
    }

    /// Gives `addr` back and returns the name of its pool.
    ///
    /// # Errors
    /// [`PoolError::NotInAnyPool`] and [`PoolError::NotInUse`]; nothing has changed then.
    pub fn release(&mut self, addr: IpAddr) -> Result<&str, PoolError> {
        let pool = self.find(addr)?;
        if !self.in_use.contains(&addr) {
            return Err(PoolError::NotInUse(addr, pool.name.clone()));
        }
        self.in_use.remove(&addr);
        Ok(self.find(addr)?.name.as_str())
    }

    fn find(&self, addr: IpAddr) -> Result<&Pool, PoolError> {
        let names = || self.pools.iter().map(|pool| pool.name.clone()).collect();
        holder(&self.pools, addr).ok_or_else(|| PoolError::NotInAnyPool(addr, names()))
    }

    /// Every pool, in the order of the file.
    pub fn status(&self) -> impl Iterator<Item = PoolStatus<'_>> {
        self.pools.iter().map(|pool| PoolStatus {
            pool,
            size: pool
                .ranges
                .iter()
                .map(|range| size(range.first, range.last))
                .sum(),
            in_use: self.in_use_of(pool).collect(),
        })
    }

    fn in_use_of<'b>(&'b self, pool: &'b Pool) -> impl Iterator<Item = IpAddr> + 'b {
        let runs = pool.ranges.iter().filter(|range| range.first <= range.last);
        let mut all: Vec<IpAddr> = runs
            .flat_map(|range| self.in_use.range(range.first..=range.last).copied())
            .collect();
        all.sort_unstable();
        all.into_iter()
    }

    /// The routes of all pools: one source `pool:NAME` each, also of pools with nothing to
    /// announce, in the order of the file.
    pub fn sources(&self) -> Vec<Source> {
        self.pools.iter().map(|pool| self.source(pool)).collect()
    }

    fn source(&self, pool: &Pool) -> Source {
        let routes = match pool.advertise {
            PoolAdvertise::InUse => self.aggregates(pool),
            PoolAdvertise::Always => {
                let nets = pool.ranges.iter().flat_map(|range| blocks(*range));
                nets.map(|net| (net, "whole pool".to_owned())).collect()
            }
        };
        Source {
            name: format!("pool:{}", pool.name),
            routes: routes
                .into_iter()
                .map(|(prefix, object)| LocalRoute {
                    prefix,
                    marks: pool.marks.clone(),
                    discard: false,
                    object,
                })
                .collect(),
        }
    }

    /// The aggregates of the addresses in use, each with the addresses that make it so.
    fn aggregates(&self, pool: &Pool) -> BTreeMap<IpNet, String> {
        let mut users: BTreeMap<IpNet, (IpAddr, usize)> = BTreeMap::new();
        for addr in self.in_use_of(pool) {
            let length = match addr {
                IpAddr::V4(_) => pool.aggregation_length,
                IpAddr::V6(_) => pool.aggregation_length_v6,
            };
            // The configuration keeps lengths in range; a host route is the safe reading else.
            let net = IpNet::new(addr, length)
                .unwrap_or(IpNet::from(addr))
                .trunc();
            users.entry(net).or_insert((addr, 0)).1 += 1;
        }
        let object = |(first, count): (IpAddr, usize)| match count {
            1 => first.to_string(),
            _ => format!("{first} and {} more", count - 1),
        };
        users
            .into_iter()
            .map(|(net, user)| (net, object(user)))
            .collect()
    }

    /// What must survive a restart.
    pub fn state(&self) -> PoolState {
        PoolState {
            in_use: self.in_use.iter().copied().collect(),
        }
    }

    /// Puts in use what a saved state says. Returns the addresses no pool holds any more; they
    /// are not put in use.
    pub fn restore(&mut self, state: &PoolState) -> Vec<IpAddr> {
        let (held, lost) = state
            .in_use
            .iter()
            .copied()
            .partition(|addr| holder(&self.pools, *addr).is_some());
        let held: Vec<IpAddr> = held;
        self.in_use.extend(held);
        lost
    }
}

fn holder(pools: &[Pool], addr: IpAddr) -> Option<&Pool> {
    pools
        .iter()
        .find(|pool| pool.ranges.iter().any(|range| range.contains(addr)))
}

/// How many addresses there are from `first` to `last`. The whole IPv6 space counts one short.
fn size(first: IpAddr, last: IpAddr) -> u128 {
    let number = |addr: IpAddr| match addr {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    number(last).saturating_sub(number(first)).saturating_add(1)
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
