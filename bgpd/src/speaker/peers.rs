//! The table of peers: who they are, by slot and by address.
//!
//! A [`PeerSlot`] is dense and small because the RIB keeps arrays by it; it is given again only
//! after its owner left. An [`Entry`] is one neighbor of the configuration (or of a listen range)
//! with its session machine and what the session needs while it is up. A neighbor that leaves the
//! configuration leaves this table at once: its last words travel in the `Close` action, so
//! nothing of it has to linger.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use proto_codec::afi::Family;
use proto_codec::bgp::{AttrCache, DecodeContext};
use rib::PeerSlot;

use super::assemble::Policies;
use super::port::ConnId;
use super::refresh::Refreshes;
use super::staging::Since;
use crate::config::Neighbor;
use crate::session::{Established, Peer, State};

/// What exists only while a session is Established.
#[derive(Debug)]
pub struct Up {
    /// The connection that carries it.
    pub conn: ConnId,
    /// Since when.
    pub since: Instant,
    /// How its UPDATEs are read.
    pub decode: DecodeContext,
    /// Attribute blocks seen lately.
    pub cache: AttrCache,
    /// What both sides agreed on.
    pub established: Established,
    /// End-of-RIB received, per family.
    pub end_of_rib: [bool; 2],
    /// End-of-RIB sent, per family.
    pub end_of_rib_sent: [bool; 2],
    /// End-of-RIB that waits for the objects of the cluster, per family.
    pub end_of_rib_held: [bool; 2],
    /// The last UPDATE, or the start: a neighbor that sends no End-of-RIB is done when it is quiet.
    pub last_update: Instant,
    /// Refreshes of late, both ways.
    pub refreshes: Refreshes,
}

impl Up {
    /// We have told the neighbor that it has everything of a family.
    pub fn note_end_of_rib_sent(&mut self, family: Family) {
        if let Some(sent) = self.end_of_rib_sent.get_mut(family.index()) {
            *sent = true;
        }
    }
}

/// Why a neighbor is held down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hold {
    /// It is not.
    #[default]
    None,
    /// `shutdown` in the configuration.
    Admin,
    /// It sent more prefixes than allowed.
    PrefixLimit,
}

/// One neighbor.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the RIB.
    pub slot: PeerSlot,
    /// Its address, which is also its key.
    pub address: IpAddr,
    /// What the configuration says of it.
    pub neighbor: Neighbor,
    /// The session machine.
    pub peer: Peer,
    /// The session, while it is up.
    pub up: Option<Up>,
    /// Compiled policies.
    pub policies: Policies,
    /// Why it is held down.
    pub hold: Hold,
    /// When the neighbor was taken in.
    pub since: Instant,
    /// Since when the session and what the cluster says of it are as they are.
    pub times: Since,
    /// Why it could last not be connected to; said once until the reason changes.
    pub connect_error: Option<std::io::ErrorKind>,
    /// It has connected: a dynamic neighbor that is gone again may be forgotten.
    pub seen: bool,
    /// UPDATE errors the session survived (RFC 7606), by reaction.
    pub malformed: MalformedCounters,
    /// Prefixes inside the cluster's own ranges that it announced and we refused.
    pub own_range_refused: u64,
}

/// Errors in UPDATEs that the session survived.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MalformedCounters {
    /// Treated as withdraw.
    pub treat_as_withdraw: u64,
    /// Attribute discarded.
    pub attribute_discard: u64,
}

impl Entry {
    /// Whether the session is up.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Whether it is kept down: by the operator, or for as long as it pays for too many prefixes.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match self.hold {
            Hold::None => false,
            Hold::Admin => true,
            Hold::PrefixLimit => self.peer.state() != State::Active,
        }
    }

    /// Where the session runs.
    #[must_use]
    pub fn endpoints(&self) -> Option<(SocketAddr, SocketAddr)> {
        let up = self.up.as_ref()?;
        Some((up.established.local, up.established.remote))
    }
}

/// All neighbors.
#[derive(Debug, Default)]
pub struct Peers {
    slots: Vec<Option<Box<Entry>>>,
    by_address: BTreeMap<IpAddr, PeerSlot>,
}

impl Peers {
    /// The lowest slot nobody has, unless all are taken.
    #[must_use]
    pub fn free_slot(&self) -> Option<PeerSlot> {
        let free = self
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.slots.len());
        let slot = PeerSlot(u16::try_from(free).ok()?);
        (slot <= PeerSlot::MAX).then_some(slot)
    }

    /// Puts an entry in its slot.
    pub fn insert(&mut self, entry: Entry) {
        let at = entry.slot.index();
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, || None);
        }
        self.by_address.insert(entry.address, entry.slot);
        if let Some(place) = self.slots.get_mut(at) {
            *place = Some(Box::new(entry));
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, slot: PeerSlot) -> Option<Box<Entry>> {
        let entry = self.slots.get_mut(slot.index())?.take()?;
        self.by_address.remove(&entry.address);
        Some(entry)
    }

    /// The entry of a slot.
    #[must_use]
    pub fn get(&self, slot: PeerSlot) -> Option<&Entry> {
        self.slots.get(slot.index())?.as_deref()
    }

    /// The entry of a slot, to change.
    pub fn get_mut(&mut self, slot: PeerSlot) -> Option<&mut Entry> {
        self.slots.get_mut(slot.index())?.as_deref_mut()
    }

    /// The slot of an address.
    #[must_use]
    pub fn slot_of(&self, address: IpAddr) -> Option<PeerSlot> {
        self.by_address.get(&address).copied()
    }

    /// The entry of an address.
    #[must_use]
    pub fn by_address(&self, address: IpAddr) -> Option<&Entry> {
        self.get(self.slot_of(address)?)
    }

    /// All entries in address order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_address.values().filter_map(|slot| self.get(*slot))
    }

    /// All slots in address order.
    #[must_use]
    pub fn slots(&self) -> Vec<PeerSlot> {
        self.by_address.values().copied().collect()
    }

    /// How many are Established, and how many there are.
    #[must_use]
    pub fn count_up(&self) -> (usize, usize) {
        let up = self.iter().filter(|entry| entry.is_up()).count();
        (up, self.len())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}
