//! Neighbors come and go: from the configuration, and out of listen ranges.
//!
//! Adding or removing a neighbor touches its own entry and nothing else. What goes with it: its key
//! on the listening sockets (TCP-MD5, RFC 2385), its routes, its session (CEASE, Peer
//! De-configured, RFC 4486 §4). A neighbor of a listen range is made when its connection arrives
//! (see `admission`) and forgotten when it has gone; its key is the range's, set once for the whole
//! prefix.

use std::net::IpAddr;
use std::time::Instant;

use ipnet::IpNet;
use proto_codec::bgp::Notification;
use proto_codec::bgp::notification::CeaseSubcode;
use rib::PeerSlot;

use super::assemble;
use super::peers::{Entry, Hold, MalformedCounters};
use super::port::{Action, Md5Key};
use super::staging::Since;
use super::{Due, Speaker};
use crate::config::{ListenRange, Neighbor, NeighborOrigin};
use crate::session::{Command, Peer, PeerConfig};

impl Speaker {
    /// Takes in a neighbor and starts it, unless it is shut down.
    pub(super) fn add_neighbor(&mut self, now: Instant, neighbor: Neighbor) {
        let Some(address) = neighbor.address.addr() else {
            let text = format!(
                "neighbor on {}: nobody is found by the interface alone in this version; \
                 add its link-local address",
                neighbor.address
            );
            self.out.attention(None, text);
            return;
        };
        let Some(slot) = self.peers.free_slot() else {
            let text = "no room for another neighbor".to_owned();
            self.out.attention(Some(address), text);
            return;
        };
        let config = self.machine_config(&neighbor);
        self.machines = self.machines.wrapping_add(1);
        let seed = self.seed ^ (u64::from(self.machines) << 32);
        let peer = Peer::new(config, self.machines, seed);
        if neighbor.origin != NeighborOrigin::Dynamic {
            self.set_neighbor_key(address, &neighbor);
        }
        let hold = if neighbor.settings.shutdown {
            Hold::Admin
        } else {
            Hold::None
        };
        let policies = self.policies.of(&neighbor.settings);
        self.peers.insert(Entry {
            slot,
            address,
            neighbor,
            peer,
            up: None,
            policies,
            hold,
            since: now,
            times: Since::new(now),
            connect_error: None,
            seen: false,
            malformed: MalformedCounters::default(),
            own_range_refused: 0,
        });
        if hold == Hold::None && !self.stopping {
            self.command(now, slot, Command::Start);
        }
    }

    /// What the session machine of a neighbor is told now.
    pub(super) fn machine_config(&self, neighbor: &Neighbor) -> PeerConfig {
        let restarting = !self.resync.is_done();
        let name = &self.host.node_name;
        assemble::peer_config(&self.config.router, neighbor, name, restarting)
    }

    /// Ends a neighbor's session and forgets the neighbor.
    pub(super) fn remove_neighbor(&mut self, now: Instant, slot: PeerSlot, cease: CeaseSubcode) {
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let (address, dynamic) = (
            entry.address,
            entry.neighbor.origin == NeighborOrigin::Dynamic,
        );
        // Held, so that nothing of it is kept as stale: it is not coming back as this neighbor.
        entry.hold = Hold::Admin;
        let had_key = entry.neighbor.settings.password.is_some();
        self.command(now, slot, Command::Stop(Notification::cease(cease)));
        self.remove_entry(slot);
        if had_key && !dynamic {
            let prefix = IpNet::from(address);
            self.out
                .actions
                .push_back(Action::ListenKey { prefix, key: None });
        }
        self.touch(now);
    }

    /// Forgets an entry whose session is over.
    pub(super) fn remove_entry(&mut self, slot: PeerSlot) {
        self.rib.start_peer_down(slot);
        for conn in self.conns.of_peer(slot) {
            self.conns.remove(conn);
            let farewell = bytes::Bytes::new();
            self.out.actions.push_back(Action::Close {
                conn,
                farewell,
                abort: true,
            });
        }
        self.deadlines.set(Due::Peer(slot), None);
        self.deadlines.set(Due::Stale(slot), None);
        self.deadlines.set(Due::Refresh(slot), None);
        self.peers.remove(slot);
    }

    /// Gives a command to a peer and carries out what follows.
    pub(super) fn command(&mut self, now: Instant, slot: PeerSlot, command: Command) {
        if let Some(entry) = self.peers.get_mut(slot) {
            entry.peer.handle_command(now, command);
        }
        self.follow_up(now, slot);
    }

    /// Puts the neighbor's key on the listening sockets, or takes it away.
    pub(super) fn set_neighbor_key(&mut self, address: IpAddr, neighbor: &Neighbor) {
        let password = neighbor.settings.password.as_ref();
        if let Some(password) = password {
            let key = Some(Md5Key::new(&password.key));
            let prefix = IpNet::from(address);
            self.out
                .actions
                .push_back(Action::ListenKey { prefix, key });
        }
    }

    /// Brings the keys of the listen ranges from one configuration to the next.
    pub(super) fn set_range_keys(&mut self, old: &[ListenRange], new: &[ListenRange]) {
        let key_of = |range: &ListenRange| {
            range
                .settings
                .password
                .as_ref()
                .map(|password| Md5Key::new(&password.key))
        };
        for range in old {
            if key_of(range).is_some() && !new.iter().any(|other| other.prefix == range.prefix) {
                let action = Action::ListenKey {
                    prefix: range.prefix,
                    key: None,
                };
                self.out.actions.push_back(action);
            }
        }
        for range in new {
            let before = old.iter().find(|other| other.prefix == range.prefix);
            let key = key_of(range);
            if key != before.and_then(key_of) {
                let action = Action::ListenKey {
                    prefix: range.prefix,
                    key,
                };
                self.out.actions.push_back(action);
            }
        }
    }
}
