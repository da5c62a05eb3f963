//! Connections: whose they are and what of their stream is not a whole message yet.
//!
//! A connection leaves this table the moment the session machine closes it, so events of the
//! socket that come later find nothing and change nothing. An id is never used twice: its first
//! half is the key of the peer's machine, which no other machine gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proto_codec::bgp::{Framer, MESSAGE_LEN_MAX};
use rib::PeerSlot;
use smallvec::SmallVec;

use super::port::ConnId;

/// One connection, or one attempt at it.
#[derive(Debug)]
pub struct Conn {
    /// Whose.
    pub slot: PeerSlot,
    /// The other end.
    pub remote: SocketAddr,
    /// It is a connection, no longer an attempt.
    pub open: bool,
    /// Cuts messages.
    pub framer: Framer,
    /// The longest message to expect.
    pub message_len_max: usize,
    /// UPDATEs handed out that the socket has yet to report as written.
    pub updates_out: u64,
    /// Its socket has octets that there is no room for yet.
    pub input_waits: bool,
    /// It is already in the queue of the ready ones.
    ready: bool,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Conns {
    by_id: BTreeMap<ConnId, Conn>,
    /// Hardly ever more than two per peer: what both sides dialled at once.
    by_peer: BTreeMap<PeerSlot, SmallVec<[ConnId; 2]>>,
}

impl Conns {
    /// Takes in a connection.
    pub fn add(&mut self, slot: PeerSlot, id: ConnId, remote: SocketAddr) {
        let conn = Conn {
            slot,
            remote,
            open: false,
            framer: Framer::new(),
            message_len_max: MESSAGE_LEN_MAX,
            updates_out: 0,
            input_waits: false,
            ready: false,
        };
        self.by_id.insert(id, conn);
        self.by_peer.entry(slot).or_default().push(id);
    }

    /// Forgets a connection.
    pub fn remove(&mut self, id: ConnId) {
        let Some(conn) = self.by_id.remove(&id) else {
            return;
        };
        if let Some(list) = self.by_peer.get_mut(&conn.slot) {
            list.retain(|other| *other != id);
            if list.is_empty() {
                self.by_peer.remove(&conn.slot);
            }
        }
    }

    /// A connection by its name.
    #[must_use]
    pub fn get(&self, id: ConnId) -> Option<&Conn> {
        self.by_id.get(&id)
    }

    /// A connection by its name, to change.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.by_id.get_mut(&id)
    }

    /// The connections of a peer.
    #[must_use]
    pub fn of_peer(&self, slot: PeerSlot) -> SmallVec<[ConnId; 2]> {
        self.by_peer.get(&slot).cloned().unwrap_or_default()
    }

    /// Marks a connection as having something to send; `true` if it was not marked.
    pub fn mark_ready(&mut self, id: ConnId) -> bool {
        match self.by_id.get_mut(&id) {
            Some(conn) => !std::mem::replace(&mut conn.ready, true),
            None => false,
        }
    }

    /// Takes the mark away; `false` if the connection is gone.
    pub fn clear_ready(&mut self, id: ConnId) -> bool {
        match self.by_id.get_mut(&id) {
            Some(conn) => std::mem::replace(&mut conn.ready, false),
            None => false,
        }
    }
}
