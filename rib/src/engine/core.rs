//! What both families share: attributes, next hops, peers, origins.
//!
//! The engine is split in two so that a function can work on the table of one family and on the
//! shared parts at once: [`Core`] here, and one `Plane` per family beside it.

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use proto_codec::afi::Family;

use super::guard::{Reject, Rejects};
use crate::attr::{AttrId, Interner, SourceOfPath};
use crate::decision::{Facts, SourceFacts};
use crate::group::GroupId;
use crate::hash::Seed;
use crate::nexthop::NextHops;
use crate::origin::Origins;
use crate::path::{Path, PathKind};
use crate::peer::{PeerKind, PeerSession, PeerSlot, RibConfig};

/// Shared state of the engine.
#[derive(Debug)]
pub(crate) struct Core {
    pub config: RibConfig,
    pub seed: Seed,
    pub attrs: Interner,
    pub next_hops: NextHops,
    pub peers: Peers,
    pub origins: Origins,
    /// Seconds, as the caller told last; stamps new paths.
    pub now_s: u32,
    /// Families in which some group is told more than the best path.
    pub add_path: [bool; 2],
}

impl Core {
    pub fn new(config: RibConfig) -> Self {
        let seed = Seed::new(config.seed);
        Self {
            attrs: Interner::new(config.default_local_pref),
            next_hops: NextHops::new(config.track_next_hops, &seed),
            peers: Peers::default(),
            origins: Origins::default(),
            now_s: 0,
            add_path: [false; 2],
            seed,
            config,
        }
    }

    /// Where the decision process looks things up.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            attrs: &self.attrs,
            next_hops: &self.next_hops,
            sources: &self.peers.facts,
        }
    }

    /// Whether a change of a path that is not the best one matters to anybody.
    pub fn all_paths_matter(&self, family: Family) -> bool {
        (self.config.fib && self.config.multipath > 1) || family.pick(self.add_path)
    }

    /// Gives back the references a path holds.
    pub fn release_path(&mut self, path: &Path) {
        self.attrs.release(path.received, &mut self.next_hops);
        self.attrs.release(path.attrs, &mut self.next_hops);
    }

    /// Drops one reference to a set.
    pub fn release(&mut self, id: AttrId) {
        self.attrs.release(id, &mut self.next_hops);
    }
}

/// A peer the RIB holds routes of.
#[derive(Debug)]
pub(crate) struct Peer {
    pub session: PeerSession,
    /// Down, but its routes are kept for a while (RFC 4724 §4.2).
    pub restarting: bool,
    /// Families with paths that wait to be confirmed.
    pub stale: [bool; 2],
    /// Families the peer is sending again (BoRR came last), so what is stale was so just now.
    pub refreshing: [bool; 2],
    /// Paths in the Adj-RIB-In.
    pub received: [u32; 2],
    /// Those of them import policy refused.
    pub filtered: [u32; 2],
    pub groups: [Option<GroupId>; 2],
    pub rejects: Rejects,
    /// In the queue of peers to be woken, or not yet out of messages.
    busy: bool,
}

/// Peers by slot, and those with something to send.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    list: Vec<Option<Peer>>,
    facts: Vec<Option<SourceFacts>>,
    ready: VecDeque<PeerSlot>,
}

impl Peers {
    pub fn get(&self, slot: PeerSlot) -> Option<&Peer> {
        self.list.get(slot.index())?.as_ref()
    }

    pub fn get_mut(&mut self, slot: PeerSlot) -> Option<&mut Peer> {
        self.list.get_mut(slot.index())?.as_mut()
    }

    /// All peers, by slot.
    pub fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.list.iter().flatten()
    }

    /// Puts a session in its slot, keeping what is known of one that restarts.
    pub fn insert(&mut self, session: PeerSession) {
        let index = session.slot.index();
        if self.list.len() <= index {
            self.list.resize_with(index + 1, || None);
            self.facts.resize(index + 1, None);
        }
        if let Some(facts) = self.facts.get_mut(index) {
            *facts = Some(SourceFacts {
                router_id: session.router_id,
                address: session.address,
            });
        }
        let Some(place) = self.list.get_mut(index) else {
            return;
        };
        match place {
            Some(peer) => {
                peer.session = session;
                peer.restarting = false;
                peer.groups = [None; 2];
                peer.busy = false;
            }
            None => {
                *place = Some(Peer {
                    session,
                    restarting: false,
                    stale: [false; 2],
                    refreshing: [false; 2],
                    received: [0; 2],
                    filtered: [0; 2],
                    groups: [None; 2],
                    rejects: Rejects::default(),
                    busy: false,
                });
            }
        }
    }

    pub fn remove(&mut self, slot: PeerSlot) {
        if let Some(place) = self.list.get_mut(slot.index()) {
            *place = None;
        }
        if let Some(facts) = self.facts.get_mut(slot.index()) {
            *facts = None;
        }
    }

    /// What rewriting needs to know of a source.
    pub fn source(&self, slot: PeerSlot) -> SourceOfPath {
        match self.get(slot) {
            None => SourceOfPath {
                kind: PathKind::Local,
                client: false,
                router_id: Ipv4Addr::UNSPECIFIED,
            },
            Some(peer) => SourceOfPath {
                kind: kind_of(peer.session.kind),
                client: peer.session.kind == PeerKind::InternalClient,
                router_id: peer.session.router_id,
            },
        }
    }

    /// Wakes a peer that had run out of messages.
    pub fn wake(&mut self, slot: PeerSlot) {
        if let Some(peer) = self.get_mut(slot)
            && !peer.busy
        {
            peer.busy = true;
            self.ready.push_back(slot);
        }
    }

    /// Notes that a peer has run out of messages.
    pub fn out_of_messages(&mut self, slot: PeerSlot) {
        if let Some(peer) = self.get_mut(slot) {
            peer.busy = false;
        }
    }

    /// The next peer to be woken.
    pub fn poll_ready(&mut self) -> Option<PeerSlot> {
        while let Some(slot) = self.ready.pop_front() {
            if self.get(slot).is_some_and(|peer| peer.busy) {
                return Some(slot);
            }
        }
        None
    }

    /// Counts `routes` that were refused for one reason.
    pub fn reject(&mut self, slot: PeerSlot, reason: Reject, routes: u32) {
        if let Some(peer) = self.get_mut(slot) {
            peer.rejects.add(reason, u64::from(routes));
        }
    }

    /// Takes over what came and went of the paths of a peer.
    pub fn tally(&mut self, slot: PeerSlot, family: Family, tally: Tally) {
        let Some(peer) = self.get_mut(slot) else {
            return;
        };
        let add = |counts: &mut [u32; 2], change: i32| {
            if let Some(count) = counts.get_mut(family.index()) {
                *count = count.saturating_add_signed(change);
            }
        };
        add(&mut peer.received, tally.paths);
        add(&mut peer.filtered, tally.filtered);
    }
}

/// Paths that came less those that went, of one peer and family.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    paths: i32,
    filtered: i32,
}

impl Tally {
    /// Counts a path that came.
    #[inline]
    pub fn came(&mut self, path: &Path) {
        self.paths += 1;
        self.filtered += i32::from(path.is_filtered());
    }

    /// Counts a path that went.
    #[inline]
    pub fn went(&mut self, path: &Path) {
        self.paths -= 1;
        self.filtered -= i32::from(path.is_filtered());
    }
}

/// The kind of path a kind of peer sends.
pub(crate) fn kind_of(kind: PeerKind) -> PathKind {
    match kind {
        PeerKind::External => PathKind::External,
        PeerKind::Internal | PeerKind::InternalClient => PathKind::Internal,
    }
}
