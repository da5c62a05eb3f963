//! Time passing: what each timer does when it expires, and what restarts it.
//!
//! [`Peer::handle_timeout`] handles everything that is due, in the order of
//! [`Timer::ALL`] within one table. It is safe to call at any time and as often as one likes.
//!
//! Two timers watch the peer. The HoldTimer restarts with each message that comes in; when the
//! driver sees unread input on the socket it says so by [`Peer::handle_input_pending`] and the
//! timer gets ten more seconds, as in BIRD: it is we who are late. The SendHoldTimer (RFC 9687)
//! restarts with each write that the socket accepts; a peer that acknowledges nothing for eight
//! minutes holds our routes hostage and is reset, without waiting for it to read the reason.

use std::time::Instant;

use proto_codec::bgp::Notification;

use super::api::ConnId;
use super::collide::Direction;
use super::peer::{Mode, Peer};
use super::state::{Cause, Event, State};
use super::timers::{CONGESTION_GRACE, Timer};

impl Peer {
    /// Handles every timer that is due. Call at [`Peer::poll_timeout`], or earlier.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.take_expired(now) {
            self.peer_timer(now, timer);
        }
        while let Some((id, timer)) = self.take_expired_of_conns(now) {
            self.conn_timer(now, id, timer);
        }
    }

    /// The driver saw input waiting on the socket: if the hold timer is about to expire, it gets
    /// another ten seconds. Call before [`Peer::handle_timeout`]; returns whether it mattered.
    pub fn handle_input_pending(&mut self, now: Instant, conn: ConnId) -> bool {
        let Some(conn) = self.conn_mut(conn) else {
            return false;
        };
        let grace = now + CONGESTION_GRACE;
        let matters = conn.timers.get(Timer::Hold).is_some_and(|at| at <= now);
        if matters {
            conn.timers.set(Timer::Hold, grace);
        }
        matters
    }

    /// The socket took `bytes` octets of this connection, among them `updates` whole UPDATE
    /// messages that did not come from [`Peer::poll_transmit`].
    pub fn handle_written(&mut self, now: Instant, conn: ConnId, bytes: usize, updates: u64) {
        if bytes == 0 || self.conn(conn).is_none() {
            return;
        }
        self.stats.bytes_sent += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.stats.sent.update += updates;
        self.stats.last_write = Some(now);
        self.restart_send_hold(now, conn);
    }

    fn take_expired_of_conns(&mut self, now: Instant) -> Option<(ConnId, Timer)> {
        self.conns
            .iter_mut()
            .find_map(|conn| Some((conn.id, conn.timers.take_expired(now)?)))
    }

    fn peer_timer(&mut self, now: Instant, timer: Timer) {
        match timer {
            Timer::ConnectRetry => self.connect_retry(now),
            Timer::IdleHold if self.mode == Mode::HeldDown => {
                self.begin(now, Event::IdleHoldTimerExpires);
            }
            Timer::Stable => self.forgive(),
            _ => {}
        }
    }

    fn conn_timer(&mut self, now: Instant, id: ConnId, timer: Timer) {
        match timer {
            Timer::Hold => {
                let expired = Notification::hold_timer_expired();
                self.refuse(now, id, Event::HoldTimerExpires, expired);
            }
            Timer::SendHold => {
                let expired = Notification::send_hold_timer_expired();
                self.refuse(now, id, Event::SendHoldTimerExpires, expired);
            }
            Timer::Keepalive => {
                if let Some(conn) = self.conn_mut(id) {
                    conn.push_keepalive();
                }
                self.restart_keepalive(now, id);
            }
            Timer::CollisionWait => {
                self.settle_waiting(now, id);
            }
            Timer::ConnectRetry | Timer::IdleHold | Timer::Stable => {}
        }
    }

    /// Event 9: dial (again), unless the peer has become passive or our dial already succeeded.
    fn connect_retry(&mut self, now: Instant) {
        let outbound = self
            .conns
            .iter()
            .any(|conn| conn.direction == Direction::Outbound);
        if self.mode != Mode::Started || self.config.passive || outbound {
            return;
        }
        let from = self.state();
        self.dial(now);
        self.note(now, from, Cause::of(Event::ConnectRetryTimerExpires));
    }

    /// Restarts the HoldTimer with the agreed hold time.
    pub(super) fn restart_hold(&mut self, now: Instant, id: ConnId) {
        if let Some(conn) = self.conn_mut(id)
            && let Some(hold_time) = conn.hold_time()
        {
            conn.timers.set(Timer::Hold, now + hold_time);
        }
    }

    /// Restarts the KeepaliveTimer with fresh jitter; it does not run with a hold time of zero.
    pub(super) fn restart_keepalive(&mut self, now: Instant, id: ConnId) {
        let Some(hold_time) = self.conn(id).and_then(|conn| conn.hold_time()) else {
            return;
        };
        let interval = self.keepalive_interval(hold_time);
        if let Some(conn) = self.conn_mut(id) {
            conn.timers.set(Timer::Keepalive, now + interval);
        }
    }

    /// Restarts the SendHoldTimer; it runs in Established only (RFC 9687 §4.3).
    pub(super) fn restart_send_hold(&mut self, now: Instant, id: ConnId) {
        let hold_time = self.conn(id).and_then(|conn| conn.hold_time());
        let Some(send_hold_time) = self.send_hold_time(hold_time) else {
            return;
        };
        if let Some(conn) = self.conn_mut(id)
            && conn.state() == State::Established
        {
            conn.timers.set(Timer::SendHold, now + send_hold_time);
        }
    }
}
