//! [`Peer`]: what the machine remembers, what can be asked of it, what it yields.
//!
//! The inputs live beside this file, one idea each: `admin` (commands, starting and stopping),
//! `link` (connections opening, collision of dials), `message` (what the peer says), `expiry`
//! (timers), `ending` (how a connection, and perhaps the session, comes to its end).
//!
//! The state of RFC 4271 is not stored but derived: the state of the connection that has come
//! furthest, else Connect while a dial is under way, else Active or Idle by [`Mode`]. There is
//! thus no second truth to keep in step. RFC 4271 §8.2.1 gives each connection its own machine;
//! here the peer *is* those machines, and [`Peer::state`] is what an operator wants to see.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proto_codec::bgp::{MessageType, Negotiated, Open};

use super::api::{Action, ConnId};
use super::backoff::{Backoff, Jitter};
use super::collide::Direction;
use super::config::{ConfigEffect, ConfigField, PeerConfig};
use super::conn::{Conn, Stage};
use super::open;
use super::state::{Cause, State, Transition};
use super::stats::Stats;
use super::timers::{Timer, TimerTable};

/// Whether the peer wants a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Idle until a start.
    Stopped,
    /// Idle until the idle-hold timer expires; for good when that does not run.
    HeldDown,
    /// Dialling, listening or in session.
    Started,
}

/// The machine of one neighbor. See the module's essay for how to drive it.
#[derive(Debug)]
pub struct Peer {
    pub(super) config: PeerConfig,
    pub(super) key: u32,
    next_serial: u32,
    pub(super) mode: Mode,
    pub(super) dial: Option<ConnId>,
    /// At most two: one per direction.
    pub(super) conns: Vec<Conn>,
    pub(super) timers: TimerTable,
    pub(super) jitter: Jitter,
    pub(super) dial_backoff: Backoff,
    pub(super) idle_backoff: Backoff,
    pub(super) actions: VecDeque<Action>,
    pub(super) stats: Stats,
}

/// A snapshot of one session for `show bgp neighbors`; see [`Peer::view`].
#[derive(Clone, Debug)]
pub struct PeerView<'a> {
    /// The connection furthest along.
    pub conn: ConnId,
    /// Who dialled.
    pub direction: Direction,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The OPEN we sent.
    pub local_open: &'a Open,
    /// The peer's OPEN, once accepted.
    pub remote_open: Option<&'a Open>,
    /// What both agreed on, once the OPEN is accepted.
    pub negotiated: Option<&'a Negotiated>,
}

impl Peer {
    /// A stopped peer. `key` becomes [`ConnId::peer`] of all its connections and must differ
    /// between the peers of one speaker; `seed` drives the jitter.
    pub fn new(config: PeerConfig, key: u32, seed: u64) -> Peer {
        let idle = config.damping.unwrap_or_default();
        Peer {
            key,
            next_serial: 0,
            mode: Mode::Stopped,
            dial: None,
            conns: Vec::with_capacity(2),
            timers: TimerTable::default(),
            jitter: Jitter::new(seed),
            dial_backoff: Backoff::new(config.connect_retry, config.connect_retry_max),
            idle_backoff: Backoff::new(idle.idle_hold, idle.idle_hold_max),
            actions: VecDeque::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// The state of the neighbor (RFC 4271 §8.2.2).
    pub fn state(&self) -> State {
        match (self.conns.iter().map(Conn::state).max(), self.mode) {
            (Some(state), _) => state,
            (None, Mode::Started) if self.dial.is_some() => State::Connect,
            (None, Mode::Started) => State::Active,
            (None, Mode::Stopped | Mode::HeldDown) => State::Idle,
        }
    }

    /// Whether an operator (or the lack of a start) keeps the peer in Idle, as opposed to an error.
    pub fn is_stopped(&self) -> bool {
        self.mode == Mode::Stopped
    }

    /// The configuration in force for the next session.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Counters and recent history.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The session, or the attempt that has come furthest; `None` without a connection.
    pub fn view(&self) -> Option<PeerView<'_>> {
        let conn = self.conns.iter().max_by_key(|conn| conn.state())?;
        let handshake = conn.handshake();
        let local_open = match &conn.stage {
            Stage::OpenSent(open) => open,
            Stage::OpenConfirm { handshake, .. } | Stage::Established(handshake) => {
                &handshake.local_open
            }
        };
        Some(PeerView {
            conn: conn.id,
            direction: conn.direction,
            local: conn.local,
            remote: conn.remote,
            local_open,
            remote_open: handshake.map(|h| &h.remote_open),
            negotiated: handshake.map(|h| &h.negotiated),
        })
    }

    /// What the configuration asks for and the running session has not negotiated, in words: it
    /// waits for the next OPEN.
    pub fn pending_changes(&self) -> Vec<String> {
        let session = self.conns.iter().filter_map(Conn::handshake).next();
        session.map_or_else(Vec::new, |session| {
            open::differences(&session.local_open, &open::build(&self.config))
        })
    }

    /// When a timer expires; `None` while it does not run. Hold, Keepalive, SendHold and
    /// CollisionWait are those of the connection furthest along.
    pub fn timer(&self, timer: Timer) -> Option<Instant> {
        let conn = self.conns.iter().max_by_key(|conn| conn.state());
        self.timers.get(timer).or_else(|| conn?.timers.get(timer))
    }

    /// Replaces the configuration. What cannot hold at once is deferred and listed; the machine
    /// itself never resets a session over it.
    pub fn update_config(&mut self, now: Instant, config: PeerConfig) -> ConfigEffect {
        let remote = self.conns.iter().filter_map(Conn::handshake).next();
        let effect = self
            .config
            .changes(&config, remote.map(|h| h.remote_open.asn));
        let idle = config.damping.unwrap_or_default();
        self.idle_backoff
            .set_bounds(idle.idle_hold, idle.idle_hold_max);
        self.dial_backoff
            .set_bounds(config.connect_retry, config.connect_retry_max);
        self.config = config;
        let paced = [ConfigField::Passive, ConfigField::ConnectRetry];
        if self.state() == State::Active && effect.now.iter().any(|field| paced.contains(field)) {
            self.dial_backoff.reset();
            self.schedule_dial(now);
        }
        effect
    }

    /// A fresh id for a connection that the listener accepted from this neighbor; pass it to
    /// [`Peer::handle_conn`] with [`ConnEvent::Opened`](super::ConnEvent::Opened).
    pub fn accept_id(&mut self) -> ConnId {
        let serial = self.next_serial;
        // Four thousand million connections of one neighbor: wrapping is harmless, as only two
        // are ever alive.
        self.next_serial = self.next_serial.wrapping_add(1);
        ConnId {
            peer: self.key,
            serial,
        }
    }

    /// The next thing the driver must do. Poll until `None` after every `handle_*`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next control message for this connection. Call when the socket can take it; a message
    /// counts as sent from here on.
    pub fn poll_transmit(&mut self, conn: ConnId) -> Option<Bytes> {
        let message = self.conn_mut(conn)?.pop()?;
        self.count_sent(&message);
        Some(message)
    }

    /// The earliest deadline of all timers.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let conns = self.conns.iter().filter_map(|conn| conn.timers.next());
        conns.chain(self.timers.next()).min()
    }

    pub(super) fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.iter().find(|conn| conn.id == id)
    }

    pub(super) fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|conn| conn.id == id)
    }

    /// Reports a step from `from` to the present state.
    pub(super) fn note(&mut self, now: Instant, from: State, cause: Cause) {
        let transition = Transition {
            at: now,
            from,
            to: self.state(),
            cause,
        };
        self.stats.remember(transition.clone());
        self.actions
            .push_back(Action::Transition(Box::new(transition)));
    }

    pub(super) fn count_sent(&mut self, message: &[u8]) {
        if let Some(kind) = message.get(18).copied().and_then(MessageType::from_code) {
            self.stats.sent.count(kind);
        }
    }

    /// The KeepaliveTimer's next interval: a third of the hold time (RFC 4271 §10), or what the
    /// operator wants if that is less, with jitter, and not more often than once a second (§4.4).
    pub(super) fn keepalive_interval(&mut self, hold_time: Duration) -> Duration {
        let third = hold_time / 3;
        let base = self
            .config
            .keepalive
            .map_or(third, |wanted| wanted.min(third));
        self.jitter.apply(base).max(Duration::from_secs(1))
    }

    /// The SendHoldTimer's interval (RFC 9687 §4.3); `None` when it does not run.
    pub(super) fn send_hold_time(&self, hold_time: Option<Duration>) -> Option<Duration> {
        let hold_time = hold_time?;
        let default = super::timers::SEND_HOLD_MIN.max(hold_time * 2);
        Some(self.config.send_hold.unwrap_or(default)).filter(|time| !time.is_zero())
    }
}
