//! What a peer has done so far: counters, the last errors, the recent transitions.
//!
//! `show bgp neighbors`, metrics and tests read this; the machine only writes it. Counters run
//! over all sessions of the peer and never go back. The history is a ring of the last
//! [`HISTORY_MAX`] transitions: enough to see a flapping session's pattern, too small to matter.

use std::collections::VecDeque;
use std::time::Instant;

use proto_codec::bgp::{MessageType, Notification};

use super::state::{Cause, Transition};

/// Transitions kept; the oldest goes when a new one comes.
pub const HISTORY_MAX: usize = 16;

/// Messages of one direction by type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounts {
    /// OPEN
    pub open: u64,
    /// UPDATE
    pub update: u64,
    /// NOTIFICATION
    pub notification: u64,
    /// KEEPALIVE
    pub keepalive: u64,
    /// ROUTE-REFRESH
    pub route_refresh: u64,
}

impl MessageCounts {
    /// All types together.
    pub fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }

    pub(super) fn count(&mut self, message: MessageType) {
        let counter = match message {
            MessageType::Open => &mut self.open,
            MessageType::Update => &mut self.update,
            MessageType::Notification => &mut self.notification,
            MessageType::Keepalive => &mut self.keepalive,
            MessageType::RouteRefresh => &mut self.route_refresh,
        };
        *counter += 1;
    }
}

/// Everything countable about a peer.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Messages received, on all connections.
    pub received: MessageCounts,
    /// Messages handed to the driver, on all connections.
    pub sent: MessageCounts,
    /// Octets the sockets have taken.
    pub bytes_sent: u64,
    /// How often the peer reached Established.
    pub established: u64,
    /// How often it left Established.
    pub dropped: u64,
    /// Dials begun.
    pub dials: u64,
    /// Connections refused: peer stopped, held down, or already Established.
    pub refused: u64,
    /// Connections closed as the losers of a collision.
    pub collisions: u64,
    /// ROUTE-REFRESH messages ignored: not negotiated, or of an unknown subtype.
    pub refresh_ignored: u64,
    /// RFC 4271 ConnectRetryCounter: failures since the last stable session or manual start.
    pub connect_retry_counter: u64,
    /// When the peer last reached Established.
    pub up_since: Option<Instant>,
    /// When and why it last left Established.
    pub last_down: Option<(Instant, Cause)>,
    /// When the last message came in.
    pub last_read: Option<Instant>,
    /// When the socket last took octets.
    pub last_write: Option<Instant>,
    /// The last NOTIFICATION received.
    pub last_received: Option<Notification>,
    /// The last NOTIFICATION sent.
    pub last_sent: Option<Notification>,
    history: VecDeque<Transition>,
}

impl Stats {
    /// The last transitions, oldest first.
    pub fn history(&self) -> impl Iterator<Item = &Transition> {
        self.history.iter()
    }

    pub(super) fn remember(&mut self, transition: Transition) {
        if self.history.len() == HISTORY_MAX {
            self.history.pop_front();
        }
        self.history.push_back(transition);
    }
}
