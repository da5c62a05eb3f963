//! Next hops: which are in use, and what is known about them.
//!
//! Every next hop of an interned attribute set has a [`NextHopId`] here. The caller learns of
//! interest and its end through `poll_interest`, watches the address in whatever way it likes,
//! and reports states. A path whose next hop is not known to be reachable takes no part in the
//! decision (RFC 4271 §9.1.2, route resolvability); its metric is step e of §9.1.2.2.
//!
//! Changes of state are collected and applied to the tables together, one pass for any number of
//! next hops: a line card that dies takes hundreds at once.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::hash::{Seed, SeededMap};
use crate::route::NextHopState;

/// A next hop in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NextHopId(u32);

impl NextHopId {
    /// No next hop at all.
    pub const NONE: NextHopId = NextHopId(u32::MAX);
}

#[derive(Clone, Debug)]
struct Entry {
    addr: IpAddr,
    /// Attribute sets that use it; 0 is a free entry.
    refs: u32,
    state: NextHopState,
    /// Its state changed and the tables have not been told.
    dirty: bool,
    /// The caller was told that we are interested.
    announced: bool,
    queued: bool,
}

/// All next hops in use.
#[derive(Debug)]
pub(crate) struct NextHops {
    by_addr: SeededMap<IpAddr, u32>,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// Without tracking everything is reachable at metric 0.
    track: bool,
    interest: VecDeque<u32>,
    any_dirty: bool,
    /// Some changed next hop was in use before: paths other than unresolved ones are touched.
    any_in_use: bool,
}

impl NextHops {
    /// `track`: whether states will be reported at all.
    pub fn new(track: bool, seed: &Seed) -> Self {
        Self {
            by_addr: seed.map(),
            entries: Vec::new(),
            free: Vec::new(),
            track,
            interest: VecDeque::new(),
            any_dirty: false,
            any_in_use: false,
        }
    }

    /// Next hops in use.
    pub fn len(&self) -> usize {
        self.by_addr.len()
    }

    /// The identifier of `addr`, while something uses it.
    pub fn find(&self, addr: IpAddr) -> Option<NextHopId> {
        self.by_addr.get(&addr).copied().map(NextHopId)
    }

    /// Notes one more user of `addr`.
    pub fn acquire(&mut self, addr: IpAddr) -> NextHopId {
        if let Some(index) = self.by_addr.get(&addr).copied() {
            if let Some(entry) = usize::try_from(index)
                .ok()
                .and_then(|at| self.entries.get_mut(at))
            {
                entry.refs += 1;
            }
            return NextHopId(index);
        }
        let entry = Entry {
            addr,
            refs: 1,
            state: NextHopState {
                reachable: !self.track,
                igp_metric: 0,
            },
            dirty: false,
            announced: false,
            queued: false,
        };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(free) = self.entry_mut(NextHopId(index)) {
                    *free = entry;
                }
                index
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.by_addr.insert(addr, index);
        // The next hop of a route that starts here is no address to watch.
        if self.track && !addr.is_unspecified() {
            self.queue_interest(index);
        }
        NextHopId(index)
    }

    /// Notes one user less. The entry lives on until the caller was told, so that interest that
    /// ends and begins again between two polls costs nothing.
    pub fn release(&mut self, id: NextHopId) {
        let Some(entry) = self.entry_mut(id) else {
            return;
        };
        entry.refs = entry.refs.saturating_sub(1);
        if entry.refs > 0 {
            return;
        }
        if entry.announced || entry.queued {
            self.queue_interest(id.0);
        } else {
            self.forget(id.0);
        }
    }

    fn queue_interest(&mut self, index: u32) {
        if let Some(entry) = self.entry_mut(NextHopId(index))
            && !entry.queued
        {
            entry.queued = true;
            self.interest.push_back(index);
        }
    }

    fn forget(&mut self, index: u32) {
        if let Some(addr) = self.entry(NextHopId(index)).map(|entry| entry.addr) {
            self.by_addr.remove(&addr);
            self.free.push(index);
        }
    }

    /// The next address whose state is wanted (`true`) or no longer wanted.
    pub fn poll_interest(&mut self) -> Option<(IpAddr, bool)> {
        while let Some(index) = self.interest.pop_front() {
            let Some(entry) = self.entry_mut(NextHopId(index)) else {
                continue;
            };
            entry.queued = false;
            let (addr, used, announced) = (entry.addr, entry.refs > 0, entry.announced);
            entry.announced = used;
            if !used {
                self.forget(index);
            }
            if used != announced {
                return Some((addr, used));
            }
        }
        None
    }

    /// Takes a report; returns whether anything changed. Reports about addresses not in use are
    /// late and mean nothing.
    pub fn set_state(&mut self, addr: IpAddr, state: NextHopState) -> bool {
        if !self.track {
            return false;
        }
        let Some(id) = self.by_addr.get(&addr).copied().map(NextHopId) else {
            return false;
        };
        let Some(entry) = self.entry_mut(id).filter(|entry| entry.state != state) else {
            return false;
        };
        let was_reachable = entry.state.reachable;
        entry.state = state;
        entry.dirty = true;
        self.any_dirty = true;
        self.any_in_use |= was_reachable;
        true
    }

    /// Whether some state changed since `clear_dirty`.
    pub fn has_dirty(&self) -> bool {
        self.any_dirty
    }

    /// Whether one of those that changed was reachable before. Else every path concerned is an
    /// unresolved one.
    pub fn touches_resolved(&self) -> bool {
        self.any_in_use
    }

    /// Whether this one changed.
    pub fn is_dirty(&self, id: NextHopId) -> bool {
        self.entry(id).is_some_and(|entry| entry.dirty)
    }

    /// The tables have been told.
    pub fn clear_dirty(&mut self) {
        for entry in &mut self.entries {
            entry.dirty = false;
        }
        self.any_dirty = false;
        self.any_in_use = false;
    }

    /// Whether it is known to be reachable.
    #[inline]
    pub fn is_reachable(&self, id: NextHopId) -> bool {
        !self.track || self.entry(id).is_some_and(|entry| entry.state.reachable)
    }

    /// Its IGP metric.
    #[inline]
    pub fn metric(&self, id: NextHopId) -> u32 {
        self.entry(id).map_or(0, |entry| entry.state.igp_metric)
    }

    fn entry(&self, id: NextHopId) -> Option<&Entry> {
        self.entries.get(usize::try_from(id.0).ok()?)
    }

    fn entry_mut(&mut self, id: NextHopId) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(id.0).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(track: bool) -> NextHops {
        NextHops::new(track, &Seed::new(1))
    }

    const ADDR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn interest_is_reported_once_and_withdrawn_once() {
        let mut hops = hops(true);
        let id = hops.acquire(ADDR);
        assert_eq!(hops.acquire(ADDR), id);
        assert_eq!(hops.poll_interest(), Some((ADDR, true)));
        assert_eq!(hops.poll_interest(), None);
        hops.release(id);
        assert_eq!(hops.poll_interest(), None);
        hops.release(id);
        hops.acquire(ADDR);
        assert_eq!(
            hops.poll_interest(),
            None,
            "it ended and began again in between"
        );
        hops.release(id);
        assert_eq!(hops.poll_interest(), Some((ADDR, false)));
        assert_eq!(hops.len(), 0);
        let own = hops.acquire(std::net::Ipv4Addr::UNSPECIFIED.into());
        assert_eq!(hops.poll_interest(), None, "ours, nothing to watch");
        hops.release(own);
        assert_eq!(hops.len(), 0);
    }

    #[test]
    fn unknown_is_unreachable_unless_nothing_is_tracked() {
        let mut tracked = hops(true);
        let id = tracked.acquire(ADDR);
        assert!(!tracked.is_reachable(id));
        let state = NextHopState {
            reachable: true,
            igp_metric: 7,
        };
        assert!(tracked.set_state(ADDR, state));
        assert!(!tracked.set_state(ADDR, state), "nothing new");
        assert!(tracked.has_dirty() && tracked.is_dirty(id));
        tracked.clear_dirty();
        assert!(!tracked.is_dirty(id));
        assert!(tracked.is_reachable(id));
        assert_eq!(tracked.metric(id), 7);
        let mut free = hops(false);
        let id = free.acquire(ADDR);
        assert!(free.is_reachable(id));
        assert!(!free.set_state(ADDR, state));
        assert_eq!(free.poll_interest(), None);
        free.release(id);
        assert_eq!(free.len(), 0);
    }
}
