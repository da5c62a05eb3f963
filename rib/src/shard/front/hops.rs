//! Next hops in use in any shard.
//!
//! The outside watches an address while at least one shard uses it, and is told when the first
//! begins and the last ends. A shard that begins to use an address that is watched already is
//! told what is known of it. The map is bounded by the next hops in the tables.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use crate::route::NextHopState;

/// One address.
#[derive(Debug, Default)]
struct Hop {
    /// The shards that use it.
    shards: u64,
    /// The outside was told to watch it.
    watched: bool,
    queued: bool,
    state: Option<NextHopState>,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Hops {
    by_addr: BTreeMap<IpAddr, Hop>,
    queue: VecDeque<IpAddr>,
}

impl Hops {
    /// A shard uses an address from now on, or no longer; answers what it is to be told.
    pub fn set_interest(
        &mut self,
        addr: IpAddr,
        shard: usize,
        on: bool,
    ) -> Option<(IpAddr, NextHopState)> {
        let hop = self.by_addr.entry(addr).or_default();
        match on {
            true => hop.shards |= 1 << shard,
            false => hop.shards &= !(1 << shard),
        }
        if !std::mem::replace(&mut hop.queued, true) {
            self.queue.push_back(addr);
        }
        hop.state.filter(|_| on).map(|state| (addr, state))
    }

    /// Notes what is known of an address; answers the shards that use it.
    pub fn set_state(&mut self, addr: IpAddr, state: NextHopState) -> u64 {
        match self.by_addr.get_mut(&addr) {
            Some(hop) => {
                hop.state = Some(state);
                hop.shards
            }
            None => 0,
        }
    }

    /// The next address to watch, or to watch no longer.
    pub fn poll_interest(&mut self) -> Option<(IpAddr, bool)> {
        while let Some(addr) = self.queue.pop_front() {
            let Some(hop) = self.by_addr.get_mut(&addr) else {
                continue;
            };
            hop.queued = false;
            let used = hop.shards != 0;
            let was_watched = std::mem::replace(&mut hop.watched, used);
            if !used {
                self.by_addr.remove(&addr);
            }
            if used != was_watched {
                return Some((addr, used));
            }
        }
        None
    }

    /// Addresses in use.
    pub fn len(&self) -> usize {
        self.by_addr.values().filter(|hop| hop.shards != 0).count()
    }
}
