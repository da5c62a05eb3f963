//! One TCP connection of a peer, and what is true of it in each state.
//!
//! The state is a type: [`Stage::OpenSent`] holds the OPEN we sent, and only the later stages
//! hold a [`Handshake`] with the peer's OPEN and what follows from both. Nothing has to be
//! unwrapped because it "must" be there. A connection that is neither of these is not a
//! connection but a dial, and the peer keeps just its id.
//!
//! The outbox carries OPEN, KEEPALIVE, ROUTE-REFRESH and NOTIFICATION. UPDATEs never pass here.
//! It holds at most [`OUTBOX_MAX`] messages: with that many unsent the socket has been blocked for
//! many keepalive intervals, another KEEPALIVE would say nothing new, and a refresh is refused so
//! that its sender tries again. The send-hold timer ends a connection that stays like this.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto_codec::bgp::{KEEPALIVE, Negotiated, Open};

use super::api::ConnId;
use super::collide::{Direction, Identity, survivor};
use super::state::State;
use super::timers::TimerTable;

/// Control messages waiting for the socket. When full: KEEPALIVE dropped, refresh refused.
pub const OUTBOX_MAX: usize = 16;

/// Both OPENs and what follows from them.
#[derive(Clone, Debug)]
pub(super) struct Handshake {
    pub local_open: Open,
    pub remote_open: Open,
    pub negotiated: Negotiated,
}

impl Handshake {
    /// Which connection survives a collision between these two speakers.
    pub fn survivor(&self) -> Direction {
        let identity = |open: &Open| Identity {
            router_id: open.router_id,
            asn: open.asn,
        };
        survivor(identity(&self.local_open), identity(&self.remote_open))
    }
}

/// How far a connection has come.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Our OPEN is out.
    OpenSent(Box<Open>),
    /// The peer's OPEN is accepted.
    OpenConfirm {
        handshake: Box<Handshake>,
        /// The peer's KEEPALIVE has come too, but a rival that would win the collision has not
        /// shown its OPEN yet: Established has to wait for it.
        confirmed: bool,
    },
    /// Routes may flow.
    Established(Box<Handshake>),
}

/// One TCP connection.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub id: ConnId,
    pub direction: Direction,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub stage: Stage,
    pub timers: TimerTable,
    outbox: VecDeque<Bytes>,
}

impl Conn {
    /// A connection that just opened, with our OPEN about to be sent.
    pub fn new(
        id: ConnId,
        direction: Direction,
        ends: (SocketAddr, SocketAddr),
        open: Open,
    ) -> Conn {
        Conn {
            id,
            direction,
            local: ends.0,
            remote: ends.1,
            stage: Stage::OpenSent(Box::new(open)),
            timers: TimerTable::default(),
            outbox: VecDeque::with_capacity(OUTBOX_MAX),
        }
    }

    pub fn state(&self) -> State {
        match self.stage {
            Stage::OpenSent(_) => State::OpenSent,
            Stage::OpenConfirm { .. } => State::OpenConfirm,
            Stage::Established(_) => State::Established,
        }
    }

    /// The handshake, once the peer's OPEN is accepted.
    pub fn handshake(&self) -> Option<&Handshake> {
        match &self.stage {
            Stage::OpenSent(_) => None,
            Stage::OpenConfirm { handshake, .. } | Stage::Established(handshake) => Some(handshake),
        }
    }

    /// The agreed hold time; `None` before the OPEN or when both agreed on none.
    pub fn hold_time(&self) -> Option<Duration> {
        let hold_time_s = self.handshake()?.negotiated.hold_time_s;
        (hold_time_s > 0).then(|| Duration::from_secs(u64::from(hold_time_s)))
    }

    /// Queues a message; false when the outbox is full.
    pub fn push(&mut self, message: Bytes) -> bool {
        let room = self.outbox.len() < OUTBOX_MAX;
        if room {
            self.outbox.push_back(message);
        }
        room
    }

    /// Queues a KEEPALIVE unless one already waits as the last message: the socket is blocked, and
    /// two in a row say no more than one. Returns whether it was queued.
    pub fn push_keepalive(&mut self) -> bool {
        let waiting = self
            .outbox
            .back()
            .is_some_and(|last| last.as_ref() == KEEPALIVE.as_slice());
        !waiting && self.push(Bytes::from_static(&KEEPALIVE))
    }

    /// The next message for the socket.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.outbox.pop_front()
    }

    /// Everything unsent, ending in `last`, as one block for the driver to write before it closes.
    pub fn farewell(mut self, last: Option<Bytes>) -> Bytes {
        let mut all = BytesMut::new();
        for message in self.outbox.drain(..).chain(last) {
            all.extend_from_slice(&message);
        }
        all.freeze()
    }
}
