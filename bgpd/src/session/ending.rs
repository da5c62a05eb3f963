//! How a connection ends, and what becomes of the peer then.
//!
//! Every ending takes the same road: the connection leaves the peer, an Established one is
//! reported by `Down` (with what graceful restart says about its routes), the driver gets `Close`
//! with whatever must still be written, and if nothing else is open the peer goes to Idle or
//! Active. RFC 4271 §8.2.2 sends most errors to Idle; there the damping of §8.1.1 holds the peer
//! for a while. Four endings go to Active instead, where connections are still accepted:
//!
//! - TCP failing in OpenSent (event 18, as the RFC has it);
//! - losing a collision, because the winner may not have arrived yet;
//! - a dial that the peer rejects (6/5) because it holds *us* down after a common misfortune: two
//!   peers that refuse each other in turn, each time for longer, would never meet;
//! - any ending of a passive peer, which cannot hammer the other side and would only refuse it.
//!   This is ours; BIRD and FRR hold a passive peer down too.

use std::io::ErrorKind;
use std::time::Instant;

use bytes::Bytes;
use proto_codec::bgp::Notification;
use proto_codec::bgp::notification::{CeaseSubcode, code};

use super::api::{Action, ConnId, Down};
use super::conn::Stage;
use super::peer::Peer;
use super::restart;
use super::state::{Cause, DownReason, Event, State};
use super::timers::Timer;

impl Peer {
    /// Ends a connection because of what happened on it, and finds the peer's new state.
    pub(super) fn end(&mut self, now: Instant, id: ConnId, event: Event, reason: DownReason) {
        let from = self.state();
        let Some(reached) = self.conn(id).map(|conn| conn.state()) else {
            return;
        };
        let abort = event == Event::SendHoldTimerExpires;
        let Some(cause) = self.drop_conn(now, id, &Cause::ended(event, reason), abort) else {
            return;
        };
        if self.conns.is_empty() && self.dial.is_none() {
            self.fall_back(now, reached, &cause);
        }
        self.note(now, from, cause);
        // With the rival gone a connection that waited for it need not wait any longer.
        if let [only] = self.conns.as_slice() {
            self.settle_waiting(now, only.id);
        }
    }

    /// Ends a connection with a NOTIFICATION of ours.
    pub(super) fn refuse(&mut self, now: Instant, id: ConnId, event: Event, why: Notification) {
        self.end(now, id, event, DownReason::Sent(why));
    }

    /// Takes a connection out and tells the driver; returns the cause with the NOTIFICATION as it
    /// really went out. The caller decides about the peer's state.
    pub(super) fn drop_conn(
        &mut self,
        now: Instant,
        id: ConnId,
        cause: &Cause,
        abort: bool,
    ) -> Option<Cause> {
        let at = self.conns.iter().position(|conn| conn.id == id)?;
        let conn = self.conns.remove(at);
        let mut cause = cause.clone();
        let mut last: Option<Bytes> = None;
        match &mut cause.reason {
            Some(DownReason::Sent(n)) => {
                if let Stage::Established(handshake) = &conn.stage {
                    *n = restart::on_the_wire(handshake, n.clone());
                }
                let message = n.to_bytes();
                self.stats.last_sent = Some(n.clone());
                self.count_sent(&message);
                last = Some(message);
            }
            Some(DownReason::Received(n)) => self.stats.last_received = Some(n.clone()),
            _ => {}
        }
        if cause.event == Event::OpenCollisionDump {
            self.stats.collisions += 1;
        }
        if let Stage::Established(handshake) = &conn.stage {
            let reason = cause.reason.clone().unwrap_or(DownReason::Abandoned);
            let stale = restart::stale_routes(handshake, &reason);
            self.timers.stop(Timer::Stable);
            self.stats.dropped += 1;
            self.stats.up_since = None;
            self.stats.last_down = Some((now, cause.clone()));
            let down = Down {
                conn: id,
                cause: cause.clone(),
                stale,
            };
            self.actions.push_back(Action::Down(Box::new(down)));
        }
        // A connection that the driver reported as gone needs no close.
        if !matches!(
            cause.reason,
            Some(DownReason::Closed | DownReason::Failed(_))
        ) {
            let answered = matches!(cause.reason, Some(DownReason::Received(_)));
            let farewell = if answered {
                Bytes::new()
            } else {
                conn.farewell(last)
            };
            self.actions.push_back(Action::Close {
                conn: id,
                farewell,
                abort,
            });
        }
        Some(cause)
    }

    /// The state after the last connection ended in the state `reached`.
    fn fall_back(&mut self, now: Instant, reached: State, cause: &Cause) {
        let tcp_failed = matches!(
            cause.reason,
            Some(DownReason::Closed | DownReason::Failed(_))
        );
        let told =
            |subcode| matches!(&cause.reason, Some(DownReason::Received(n)) if is(n, subcode));
        let collided =
            cause.event == Event::OpenCollisionDump || told(CeaseSubcode::ConnectionCollision);
        let turned_away = tcp_failed || told(CeaseSubcode::ConnectionRejected);
        let stay = collided || self.config.passive || (turned_away && reached == State::OpenSent);
        if !collided {
            self.stats.connect_retry_counter += 1;
        }
        if !stay {
            self.hold_down(now);
        } else if self.timers.get(Timer::ConnectRetry).is_none() {
            self.schedule_dial(now);
        }
    }

    /// A dial failed.
    pub(super) fn dial_failed(&mut self, now: Instant, kind: ErrorKind) {
        let from = self.state();
        self.dial = None;
        self.stats.connect_retry_counter += 1;
        self.note(
            now,
            from,
            Cause::ended(Event::TcpConnectionFails, DownReason::Failed(kind)),
        );
    }

    /// Gives up the dial under way, if there is one.
    pub(super) fn abandon_dial(&mut self) {
        if let Some(conn) = self.dial.take() {
            self.actions.push_back(Action::Close {
                conn,
                farewell: Bytes::new(),
                abort: false,
            });
        }
    }
}

/// Whether this is the Cease with this subcode.
fn is(n: &Notification, subcode: CeaseSubcode) -> bool {
    n.code == code::CEASE && n.subcode == subcode.value()
}
