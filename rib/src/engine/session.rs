//! Peers coming, going, and changing what they may hear.
//!
//! A peer that comes up joins one update group per family; a group that did not exist is built
//! from the table first, so that joining is always the same: walk the Adj-RIB-Out, End-of-RIB,
//! read the log. A peer whose export policy changes, or who may suddenly have a restricted route,
//! moves to another group and is sent the difference; its session does not notice (RFC 4271 §9.2,
//! and what operators call a soft reset).
//!
//! A peer that goes down loses its routes at once, or keeps them marked stale while it restarts
//! (RFC 4724 §4.2).

use std::sync::Arc;

use bytes::BytesMut;
use proto_codec::afi::Family;
use proto_codec::bgp::{RefreshSubtype, RouteRefresh, encode_end_of_rib};

use super::Rib;
use super::import::Importer;
use super::ingest::set;
use super::plane::{RibFamily, for_family};
use super::settle::{offer, release_freed, with_env};
use crate::group::{GroupId, GroupKey};
use crate::path::Path;
use crate::peer::{AddPathTx, PeerKind, PeerSession, PeerSlot};
use crate::policy::Policy;

impl Rib {
    /// A session is established. Routes kept from before (same slot, `peer_down` with
    /// `keep_stale`) stay until the peer's End-of-RIB or `sweep_stale`.
    ///
    /// Slots above [`PeerSlot::MAX`] are ignored.
    pub fn peer_up(&mut self, session: PeerSession) {
        let slot = session.slot;
        if slot > PeerSlot::MAX {
            return;
        }
        self.finish_peer_down(slot);
        if self
            .core
            .peers
            .get(slot)
            .is_some_and(|peer| !peer.restarting)
        {
            self.peer_down(slot, false);
        }
        self.settle();
        let families = session.families;
        self.core.peers.insert(session);
        for family in Family::ALL {
            if family.pick(families) {
                self.join(slot, family);
            } else {
                // What it restarted with in this family, it no longer speaks of (RFC 4724 §4.2).
                self.sweep_stale(slot, family);
            }
        }
        self.core.peers.wake(slot);
    }

    /// A session is gone. Its routes go with it, unless `keep_stale`: then they stay in use until
    /// it is back and has sent them again, or the caller gives up with `sweep_stale` (restart
    /// time) or another `peer_down`.
    ///
    /// Everything is done when it returns, which takes a second for millions of routes; see
    /// [`start_peer_down`](Self::start_peer_down) for doing it in steps.
    pub fn peer_down(&mut self, slot: PeerSlot, keep_stale: bool) {
        let Some(peer) = self.core.peers.get(slot) else {
            return;
        };
        let refreshing = peer.refreshing;
        if keep_stale && !self.purge.has(slot) {
            self.leave_groups(slot);
            for family in Family::ALL {
                // RFC 4724 §4.2: what the last restart left stale does not outlive another.
                if !family.pick(refreshing) {
                    self.sweep_stale(slot, family);
                }
                self.mark_stale(slot, family);
            }
            if let Some(peer) = self.core.peers.get_mut(slot) {
                peer.restarting = true;
                peer.refreshing = [false; 2];
                peer.groups = [None; 2];
            }
            return;
        }
        self.start_peer_down(slot);
        self.finish_peer_down(slot);
    }

    /// Takes a peer out of its update groups.
    pub(super) fn leave_groups(&mut self, slot: PeerSlot) {
        let groups = self.core.peers.get(slot).map(|peer| peer.groups);
        for family in Family::ALL {
            if let Some(id) = groups.and_then(|groups| family.pick(groups)) {
                self.leave(slot, family, id);
            }
        }
    }

    /// Replaces the import policy: the Adj-RIB-In is run through it again.
    pub fn set_import(&mut self, slot: PeerSlot, policy: Arc<Policy>) {
        let Some(peer) = self.core.peers.get_mut(slot) else {
            return;
        };
        if *peer.session.import == *policy {
            // The same text, compiled anew: take it for its counters, change nothing.
            peer.session.import = policy;
            return;
        }
        peer.session.import = policy;
        self.reimport(slot);
    }

    /// Replaces the export policy: the peer is sent what it changes.
    pub fn set_export(&mut self, slot: PeerSlot, policy: Arc<Policy>) {
        let Some(peer) = self.core.peers.get_mut(slot) else {
            return;
        };
        peer.session.export = policy;
        self.regroup(slot);
    }

    /// Changes the limit of prefixes; checked with the next UPDATE.
    pub fn set_max_prefixes(&mut self, slot: PeerSlot, limit: Option<u32>) {
        if let Some(peer) = self.core.peers.get_mut(slot) {
            peer.session.max_prefixes = limit;
        }
    }

    /// What is known of a session changed while it is up (next hops, limits, roles, whether we
    /// reflect for it): the peer is sent what that changes, and its routes go to whom they may go
    /// now. Who the peer is, its AS and what was negotiated must be as before; policies have
    /// methods of their own and stay as they are.
    pub fn peer_changed(&mut self, session: PeerSession) {
        let slot = session.slot;
        let Some(peer) = self.core.peers.get_mut(slot) else {
            return;
        };
        let reflected_before = peer.session.kind == PeerKind::InternalClient;
        let reflected = session.kind == PeerKind::InternalClient;
        let heeds_again = peer.session.ignore_reflected && !session.ignore_reflected;
        peer.session = PeerSession {
            import: Arc::clone(&peer.session.import),
            export: Arc::clone(&peer.session.export),
            ..session
        };
        if heeds_again {
            self.reimport(slot);
        }
        if reflected != reflected_before {
            for family in Family::ALL {
                for_family!(family, A => self.offer_again::<A>(slot));
            }
        }
        self.regroup(slot);
    }

    /// Has the routes of a peer offered to all groups anew (RFC 4456 §6: a client's routes go to
    /// everybody, another internal peer's to clients alone).
    fn offer_again<A: RibFamily>(&mut self, slot: PeerSlot) {
        let plane = A::plane_mut(&mut self.planes);
        for id in plane.table.ids() {
            let dest = plane.table.get(id);
            let paths = dest.map(|dest| dest.paths()).unwrap_or_default();
            if paths.iter().any(|path| path.source == slot) {
                plane.mark_changed(id);
            }
        }
    }

    /// The peer asks for everything again (RFC 2918); `enhanced`: with markers around it (RFC
    /// 7313).
    pub fn refresh_out(&mut self, slot: PeerSlot, family: Family, enhanced: bool) {
        let group = self
            .core
            .peers
            .get(slot)
            .and_then(|peer| family.pick(peer.groups));
        let Some(id) = group else {
            return;
        };
        self.settle();
        let marker = |subtype| {
            RouteRefresh {
                afi_safi: family.afi_safi(),
                subtype,
            }
            .to_bytes()
        };
        let markers =
            enhanced.then(|| (marker(RefreshSubtype::Begin), marker(RefreshSubtype::End)));
        for_family!(family, A => {
            if let Some(group) = self.groups.get_mut(id) {
                let plane = A::plane(&self.planes);
                with_env::<A, _>(plane, &self.core, |env| group.refresh(slot, markers, env));
                release_freed(A::plane_mut(&mut self.planes), group);
            }
        });
        self.core.peers.wake(slot);
    }

    /// The peer begins to send everything again (BoRR).
    pub fn begin_refresh_in(&mut self, slot: PeerSlot, family: Family) {
        self.mark_stale(slot, family);
        if let Some(peer) = self.core.peers.get_mut(slot) {
            set(&mut peer.refreshing, family, true);
        }
    }

    /// The peer has sent everything again (EoRR): what it did not repeat goes.
    pub fn end_refresh_in(&mut self, slot: PeerSlot, family: Family) {
        self.sweep_stale(slot, family);
    }

    fn join(&mut self, slot: PeerSlot, family: Family) {
        let Some(key) = self.key_of(slot, family) else {
            return;
        };
        let id = self.group(key);
        let mut marker = BytesMut::new();
        encode_end_of_rib(family, &mut marker);
        for_family!(family, A => {
            if let Some(group) = self.groups.get_mut(id) {
                let plane = A::plane(&self.planes);
                with_env::<A, _>(plane, &self.core, |env| group.join(slot, marker.freeze(), env));
                release_freed(A::plane_mut(&mut self.planes), group);
            }
        });
        self.set_group(slot, family, Some(id));
    }

    fn key_of(&self, slot: PeerSlot, family: Family) -> Option<GroupKey> {
        let session = &self.core.peers.get(slot)?.session;
        let restricts = self.core.origins.restricts_of(session.address);
        Some(GroupKey::of(session, family, &self.core.config, restricts))
    }

    /// The group of a key, built if it is new.
    fn group(&mut self, key: GroupKey) -> GroupId {
        let family = key.family();
        if key.add_path != AddPathTx::Off {
            set(&mut self.core.add_path, family, true);
        }
        let (id, is_new) = self
            .groups
            .find_or_create(key, self.core.config.log_segments);
        if is_new && let Some(group) = self.groups.get_mut(id) {
            for_family!(family, A => {
                let plane = A::plane_mut(&mut self.planes);
                let ids = plane.table.ids();
                offer::<A>(plane, group, &mut self.core, ids);
            });
            group.built();
        }
        id
    }

    fn leave(&mut self, slot: PeerSlot, family: Family, id: GroupId) {
        self.set_group(slot, family, None);
        let Some(group) = self.groups.get_mut(id) else {
            return;
        };
        group.leave(slot);
        for_family!(family, A => release_freed(A::plane_mut(&mut self.planes), group));
        if !group.is_empty() {
            return;
        }
        if let Some(mut group) = self.groups.remove(id) {
            let core = &mut self.core;
            let dests = group.dissolve(&mut core.attrs, &mut core.next_hops);
            for_family!(family, A => {
                let plane = A::plane_mut(&mut self.planes);
                for dest in dests {
                    plane.table.release(dest);
                }
            });
        }
        let add_path = self
            .groups
            .of_family(family)
            .any(|group| group.key.add_path != AddPathTx::Off);
        set(&mut self.core.add_path, family, add_path);
    }

    fn set_group(&mut self, slot: PeerSlot, family: Family, id: Option<GroupId>) {
        if let Some(peer) = self.core.peers.get_mut(slot) {
            set(&mut peer.groups, family, id);
        }
    }

    /// Takes a peer to the groups it belongs to now.
    pub(super) fn regroup(&mut self, slot: PeerSlot) {
        self.settle();
        for family in Family::ALL {
            let old = self
                .core
                .peers
                .get(slot)
                .and_then(|peer| family.pick(peer.groups));
            let (Some(old), Some(key)) = (old, self.key_of(slot, family)) else {
                continue;
            };
            let new = self.group(key);
            if new != old {
                for_family!(family, A => self.move_between::<A>(slot, old, new));
                self.set_group(slot, family, Some(new));
                self.leave_quietly(slot, family, old, new);
            }
        }
        self.core.peers.wake(slot);
    }

    fn move_between<A: RibFamily>(&mut self, slot: PeerSlot, old: GroupId, new: GroupId) {
        let Some(from) = self.groups.get(old) else {
            return;
        };
        let known = from.known_to(slot);
        let owed = from.owed_to(slot);
        if let Some(group) = self.groups.get_mut(new) {
            let plane = A::plane(&self.planes);
            with_env::<A, _>(plane, &self.core, |env| {
                group.move_in(slot, owed, &known, env);
            });
            release_freed(A::plane_mut(&mut self.planes), group);
        }
    }

    /// Leaves `old` while already a member of `new`.
    fn leave_quietly(&mut self, slot: PeerSlot, family: Family, old: GroupId, new: GroupId) {
        self.leave(slot, family, old);
        self.set_group(slot, family, Some(new));
    }

    /// Runs the Adj-RIB-In of a peer through import policy again.
    fn reimport(&mut self, slot: PeerSlot) {
        for family in Family::ALL {
            for_family!(family, A => self.reimport_family::<A>(slot));
        }
    }

    fn reimport_family<A: RibFamily>(&mut self, slot: PeerSlot) {
        let plane = A::plane_mut(&mut self.planes);
        let ids = plane.table.ids();
        for id in ids {
            let Some(dest) = plane.table.get(id) else {
                continue;
            };
            let key = dest.key;
            let own: smallvec::SmallVec<[Path; 2]> = dest
                .paths()
                .iter()
                .filter(|path| path.source == slot)
                .copied()
                .collect();
            for path in own {
                let core = &mut self.core;
                core.attrs.retain(path.received, 1);
                let session = core.peers.get(slot).map(|peer| &peer.session);
                let importer =
                    session.and_then(|session| Importer::new(session, path.received, core));
                let Some(mut importer) = importer else {
                    core.release(path.received);
                    continue;
                };
                let net = || proto_codec::prefix::PrefixKey::to_net(key);
                if let Some(mut again) = importer.path(net, path.path_id, core) {
                    again.stamp = path.stamp;
                    again.flags.keep_stale(path.flags);
                    if plane.install(key, again, core) == super::plane::Installed::Unchanged {
                        importer.take_back(&again);
                    }
                }
                importer.finish(core);
            }
        }
    }
}
