//! Taking an UPDATE into the tables.
//!
//! An UPDATE is decoded and free of errors when it comes here. Withdrawals go first (RFC 4271
//! §4.3). Each announced attribute set is checked for loops and leaks, interned once and run
//! through policy, and then every prefix costs one probe of the table and, as a rule, one
//! comparison of integers. Nothing is exported here: destinations whose best path changed wait for
//! `settle`, so that many messages share one pass over the groups.

use proto_codec::afi::Family;
use proto_codec::bgp::{Announce, Nlri, Update};
use proto_codec::prefix::PrefixKey;

use super::Rib;
use super::core::{Core, Tally};
use super::guard::{self, Reject};
use super::import::Importer;
use super::plane::{Installed, Plane, RibFamily, for_family};
use crate::path::PathFlags;
use crate::peer::PeerSlot;
use crate::table::TOGETHER;

/// What an UPDATE did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateOutcome {
    /// Routes announced, whatever became of them.
    pub announced: u32,
    /// Routes withdrawn that were there.
    pub withdrawn: u32,
    /// Routes refused before policy, and why; they count as withdrawn.
    pub rejected: Option<(Reject, u32)>,
    /// The peer has more prefixes of this family than it may: reset the session
    /// (RFC 4486, subcode 1). The rest of the UPDATE was not looked at.
    pub max_prefix_exceeded: Option<Family>,
    /// The peer has sent all it had; stale routes of the family are gone.
    pub end_of_rib: Option<Family>,
}

impl Rib {
    /// Takes an UPDATE of an established peer. An unknown slot changes nothing.
    pub fn update(&mut self, slot: PeerSlot, update: &Update<'_>) -> UpdateOutcome {
        let mut outcome = UpdateOutcome::default();
        if self.core.peers.get(slot).is_none_or(|peer| peer.restarting) {
            return outcome;
        }
        for nlri in &update.withdraw {
            outcome.withdrawn += self.withdraw_nlri(slot, nlri);
        }
        for announce in &update.announce {
            self.announce(slot, announce, &mut outcome);
            if outcome.max_prefix_exceeded.is_some() {
                return outcome;
            }
        }
        if let Some(family) = update.end_of_rib {
            self.sweep_stale(slot, family);
            outcome.end_of_rib = Some(family);
        }
        outcome
    }

    fn withdraw_nlri(&mut self, slot: PeerSlot, nlri: &Nlri<'_>) -> u32 {
        for_family!(nlri.family(), A => {
            let plane = A::plane_mut(&mut self.planes);
            let mut withdrawn = 0;
            for (path_id, prefix) in nlri.iter::<A>() {
                withdrawn += u32::from(plane.withdraw(prefix, (slot, path_id), &mut self.core));
            }
            withdrawn
        })
    }

    fn announce(&mut self, slot: PeerSlot, announce: &Announce<'_>, outcome: &mut UpdateOutcome) {
        let family = announce.nlri.family();
        let routes = u32::try_from(announce.nlri.count()).unwrap_or(u32::MAX);
        outcome.announced = outcome.announced.saturating_add(routes);
        let refused = for_family!(family, A => {
            let plane = A::plane_mut(&mut self.planes);
            install_all::<A>(plane, &mut self.core, slot, announce)
        });
        if let Err(reason) = refused {
            self.core.peers.reject(slot, reason, routes);
            outcome.rejected = Some((reason, routes));
            self.withdraw_nlri(slot, &announce.nlri);
        }
        let peer = self.core.peers.get(slot);
        let exceeded = peer.is_some_and(|peer| {
            let limit = peer.session.max_prefixes;
            limit.is_some_and(|limit| family.pick(peer.received) > limit)
        });
        if exceeded {
            outcome.max_prefix_exceeded = Some(family);
        }
    }
}

/// Installs every route of one attribute set; the error refuses all of them.
fn install_all<A: RibFamily>(
    plane: &mut Plane<A>,
    core: &mut Core,
    slot: PeerSlot,
    announce: &Announce<'_>,
) -> Result<(), Reject> {
    let session = match core.peers.get(slot) {
        Some(peer) => &peer.session,
        None => return Ok(()),
    };
    guard::check(&announce.attrs, session, &core.config)?;
    let received = core
        .attrs
        .intern(&announce.attrs, &mut core.next_hops)
        .ok_or(Reject::TableFull)?;
    let session = core.peers.get(slot).map(|peer| &peer.session);
    let importer = session.and_then(|session| Importer::new(session, received, core));
    let Some(mut importer) = importer else {
        core.release(received);
        return Err(Reject::TableFull);
    };
    let (mut refused, mut tally) = (0, Tally::default());
    let mut nlri = announce.nlri.iter::<A>();
    loop {
        let ahead = nlri.clone().take(TOGETHER).map(|(_, prefix)| prefix);
        let located = plane.table.locate(ahead);
        if located.is_empty() {
            break;
        }
        // In this order: a pair is complete before the next prefix is taken.
        for (place, (path_id, _)) in located.iter().zip(nlri.by_ref()) {
            let Some(path) = importer.path(|| place.key.to_net(), path_id, core) else {
                refused += 1;
                continue;
            };
            match plane.place(place, path, core, &mut tally) {
                Installed::New | Installed::Replaced => {}
                Installed::Unchanged => importer.take_back(&path),
                Installed::Full => {
                    importer.take_back(&path);
                    refused += 1;
                }
            }
        }
    }
    core.peers.tally(slot, A::FAMILY, tally);
    importer.finish(core);
    if refused > 0 {
        core.peers.reject(slot, Reject::TableFull, refused);
    }
    Ok(())
}

impl Rib {
    /// Marks every route of a peer and family as stale: it restarts (RFC 4724 §4.2), or is about
    /// to send everything again (BoRR of RFC 7313 §4).
    pub fn mark_stale(&mut self, slot: PeerSlot, family: Family) {
        // A walk over a table of others' routes for nothing is what a neighbor that comes and goes
        // would make us do all day.
        if self.holds_routes_of(slot, family) {
            for_family!(family, A => {
                let plane = A::plane_mut(&mut self.planes);
                plane.for_each_path(&mut self.core, |path, _| {
                    if path.source == slot {
                        path.flags.set(PathFlags::STALE, true);
                    }
                    false
                });
            });
        }
        if let Some(peer) = self.core.peers.get_mut(slot) {
            set(&mut peer.stale, family, true);
        }
    }

    /// Removes the routes of a peer and family that are still stale (End-of-RIB, EoRR, or the end
    /// of patience). Costs nothing when none were marked.
    pub fn sweep_stale(&mut self, slot: PeerSlot, family: Family) {
        let marked = self
            .core
            .peers
            .get(slot)
            .is_some_and(|peer| family.pick(peer.stale));
        if !marked {
            return;
        }
        if self.holds_routes_of(slot, family) {
            for_family!(family, A => {
                let plane = A::plane_mut(&mut self.planes);
                plane.remove_where(&mut self.core, |path| {
                    path.source == slot && path.flags.any(PathFlags::STALE)
                });
            });
        }
        if let Some(peer) = self.core.peers.get_mut(slot) {
            set(&mut peer.stale, family, false);
            set(&mut peer.refreshing, family, false);
        }
    }

    fn holds_routes_of(&self, slot: PeerSlot, family: Family) -> bool {
        let peer = self.core.peers.get(slot);
        peer.is_some_and(|peer| family.pick(peer.received) > 0)
    }
}

/// Sets the entry of one family.
pub(crate) fn set<T>(pair: &mut [T; 2], family: Family, value: T) {
    let [v4, v6] = pair;
    match family {
        Family::Ipv4Unicast => *v4 = value,
        Family::Ipv6Unicast => *v6 = value,
    }
}
