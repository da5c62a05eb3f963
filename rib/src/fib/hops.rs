//! BGP next hops and their way through the kernel's routes (RFC 4271 §5.1.3, §9.1.2.1).
//!
//! Each distinct next hop that is tracked for the RIB or used by a route is resolved once and
//! kept, with the count of its users. After a change of the view only those are looked at again
//! that the changed prefixes contain; what came out different is handed to the route sets, and to
//! the RIB if it tracks the address.
//!
//! A next hop with an interface (a link-local gateway) or a tunnel needs no route: it is reachable
//! while its interface is. Whether the far end of the tunnel is, the RIB asks for the bare address.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::api::{Device, FibNextHop, NextHopState};
use super::view::{Changed, Resolved, View};

/// A next hop: address, and interface or tunnel where the address alone says nothing.
pub(super) type HopKey = (IpAddr, Option<u32>, Option<Device>);

#[derive(Debug, Default)]
struct Entry {
    tracked: bool,
    users: usize,
    resolved: Option<Resolved>,
}

impl Entry {
    fn state(&self) -> NextHopState {
        NextHopState {
            reachable: self.resolved.is_some(),
            igp_metric: self.resolved.as_ref().map_or(0, |r| r.metric),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Hops {
    entries: BTreeMap<HopKey, Entry>,
    tracked: usize,
}

/// What became different, after the view changed.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Next hops whose way out is another one.
    pub(super) keys: Vec<HopKey>,
    /// Tracked addresses whose state is another one.
    pub(super) states: Vec<(IpAddr, NextHopState)>,
}

pub(super) fn key_of(via: &FibNextHop) -> HopKey {
    (via.gateway, via.interface, via.device)
}

impl Hops {
    pub(super) fn tracked(&self) -> usize {
        self.tracked
    }

    pub(super) fn tracked_addresses(&self) -> Vec<IpAddr> {
        let entries = self.entries.iter().filter(|(_, entry)| entry.tracked);
        entries.map(|(key, _)| key.0).collect()
    }

    /// Starts tracking and returns the state now.
    pub(super) fn track(&mut self, addr: IpAddr, view: &View) -> NextHopState {
        let entry = self.entry((addr, None, None), view);
        let newly = !std::mem::replace(&mut entry.tracked, true);
        let state = entry.state();
        self.tracked += usize::from(newly);
        state
    }

    pub(super) fn untrack(&mut self, addr: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&(addr, None, None)) {
            let was = std::mem::replace(&mut entry.tracked, false);
            self.tracked -= usize::from(was);
        }
        self.forget_unused((addr, None, None));
    }

    /// One more route set uses the next hop.
    pub(super) fn acquire(&mut self, key: HopKey, view: &View) {
        self.entry(key, view).users += 1;
    }

    pub(super) fn release(&mut self, key: HopKey) {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.users = entry.users.saturating_sub(1);
        }
        self.forget_unused(key);
    }

    pub(super) fn resolved(&self, key: HopKey) -> Option<&Resolved> {
        self.entries.get(&key)?.resolved.as_ref()
    }

    /// Looks again at every next hop that the change can concern.
    pub(super) fn refresh(&mut self, view: &View, changed: &Changed) -> Moved {
        let mut moved = Moved::default();
        for (key, entry) in &mut self.entries {
            let concerned = changed.all || changed.prefixes.iter().any(|p| p.contains(&key.0));
            if !concerned {
                continue;
            }
            let resolved = view.resolve(*key);
            if resolved == entry.resolved {
                continue;
            }
            let before = entry.state();
            entry.resolved = resolved;
            moved.keys.push(*key);
            if entry.tracked && entry.state() != before {
                moved.states.push((key.0, entry.state()));
            }
        }
        moved
    }

    fn entry(&mut self, key: HopKey, view: &View) -> &mut Entry {
        self.entries.entry(key).or_insert_with(|| Entry {
            resolved: view.resolve(key),
            ..Entry::default()
        })
    }

    fn forget_unused(&mut self, key: HopKey) {
        let unused = |entry: &Entry| !entry.tracked && entry.users == 0;
        if self.entries.get(&key).is_some_and(unused) {
            self.entries.remove(&key);
        }
    }
}
