//! Who may connect, and whose place a stranger cannot take.
//!
//! A connection belongs to the neighbor with its source address, and must agree with what the
//! configuration says beside the address: it comes to the `local-address` of the neighbor if that
//! names one (as in BIRD; another of our addresses is reached over ways nobody chose), and a
//! link-local neighbor is on its own link (an address of that kind can be had on every other one).
//! Everybody else needs a listen range, and whoever is in none is refused without a word.
//!
//! **Ranges.** Anybody inside the prefix can connect, so what a connection alone costs must be
//! little and soon over. It gets a place of the range, `max-neighbors`, but keeps it only with an
//! OPEN within [`OPEN_WAIT`] and a KEEPALIVE in as long again. When all places are taken, a
//! newcomer gets that of the oldest one without an OPEN, else of the oldest without a session.
//! Established sessions, and routes kept for one that restarts, are never touched. A crowd of
//! silent strangers therefore costs a bounded number of sockets and delays a real neighbor, whose
//! handshake takes milliseconds, by an attempt or two.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rib::PeerSlot;

use super::peers::{Entry, Hold};
use super::{Due, Speaker};
use crate::config::{ListenRange, NeighborAddress, NeighborOrigin, Settings};
use crate::event::Event;
use crate::session::State;

/// How long a neighbor of a listen range may take to its OPEN, and then to its KEEPALIVE. RFC 4271
/// §8.2.2 wants a large value for neighbors that somebody has configured.
pub(super) const OPEN_WAIT: Duration = Duration::from_secs(15);

/// Why a connection is refused.
type Reason = &'static str;

impl Speaker {
    /// Whose connection this is: a neighbor, or a new one out of a listen range.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<PeerSlot, Reason> {
        let address = remote.ip();
        if self.stopping {
            return Err("the daemon is stopping");
        }
        if let Some(entry) = self.peers.by_address(address) {
            self.check_link(entry, remote)?;
            check_local(&entry.neighbor.settings, local)?;
            return match entry.hold {
                Hold::Admin => Err("the neighbor is shut down"),
                _ => Ok(entry.slot),
            };
        }
        let config = Arc::clone(&self.config);
        let range = config
            .listen_ranges
            .iter()
            .filter(|range| range.prefix.contains(&address))
            .max_by_key(|range| range.prefix.prefix_len())
            .ok_or("no such neighbor and no listen range for it")?;
        check_local(&range.settings, local)?;
        if self.members(range).count() >= usize::from(range.max_neighbors) {
            self.make_room(range)?;
        }
        self.add_neighbor(now, range.neighbor(address));
        self.follow_neighbors(now);
        self.peers
            .slot_of(address)
            .ok_or("no room for another neighbor")
    }

    /// A link-local address is somebody else on every link.
    fn check_link(&self, entry: &Entry, remote: SocketAddr) -> Result<(), Reason> {
        let SocketAddr::V6(v6) = remote else {
            return Ok(());
        };
        if !v6.ip().is_unicast_link_local() {
            return Ok(());
        }
        if let NeighborAddress::LinkLocal(_, wanted) = &entry.neighbor.address
            && self.interfaces.any()
            && self.interfaces.name_of(v6.scope_id()) != Some(wanted)
        {
            return Err("the neighbor is on another interface");
        }
        let scope = |remote: SocketAddr| match remote {
            SocketAddr::V6(v6) => v6.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        let conns = self.conns.of_peer(entry.slot);
        let mut open = conns.iter().filter_map(|conn| self.conns.get(*conn));
        if open.any(|conn| conn.open && scope(conn.remote) != v6.scope_id()) {
            return Err("a neighbor with this address is connected over another interface");
        }
        Ok(())
    }

    /// The neighbors that a range has made.
    fn members<'a>(&'a self, range: &'a ListenRange) -> impl Iterator<Item = &'a Entry> {
        self.peers
            .iter()
            .filter(|entry| entry.neighbor.origin == NeighborOrigin::Dynamic)
            .filter(|entry| range.prefix.contains(&entry.address))
    }

    /// Ends the oldest connection of a full range that has not become a session.
    fn make_room(&mut self, range: &ListenRange) -> Result<(), Reason> {
        let idle = self.members(range).filter(|entry| {
            !entry.is_up() && !entry.is_held() && !self.deadlines.is_set(Due::Stale(entry.slot))
        });
        // Whoever has shown an OPEN is behind those that have not.
        let oldest = idle.min_by_key(|entry| {
            let known = entry.peer.state() >= State::OpenConfirm;
            (known, entry.since)
        });
        let Some(entry) = oldest else {
            return Err("the listen range is full");
        };
        let (slot, address) = (entry.slot, entry.address);
        let conn = self.conns.of_peer(slot).first().copied();
        let remote = conn.and_then(|conn| self.conns.get(conn).map(|conn| conn.remote));
        self.out.event(Event::Refused {
            remote: remote.unwrap_or(SocketAddr::new(address, 0)),
            reason: "the listen range is full and another connection is newer",
        });
        self.remove_entry(slot);
        Ok(())
    }
}

/// Whether a connection came to the address that the neighbor's sessions run from.
fn check_local(settings: &Settings, local: SocketAddr) -> Result<(), Reason> {
    let other = |own: IpAddr| own != local.ip();
    if settings.local_address.is_some_and(other) {
        return Err("it came to another address than the neighbor's local-address");
    }
    Ok(())
}
