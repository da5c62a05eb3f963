//! Connections opening and failing, and which of two survives.
//!
//! An accepted connection is taken in Connect, Active and later states, refused in Idle. With a
//! session Established it is refused too, unless graceful restart says that the peer has come back
//! before we noticed that it was gone (RFC 4724 §4.2); not within [`COLLISION_TAIL`] though, when
//! it is the tail of a collision: FRR and BIRD tear the young session down then. A second accepted
//! connection replaces the first: nobody dials twice without having given the first up.
//!
//! Collisions (RFC 4271 §6.8) are decided when an OPEN has been accepted and the other connection
//! is in OpenConfirm. The RFC leaves a race: we see the loser's KEEPALIVE, go to Established and
//! refuse the winner, while the peer sees the winner's OPEN and closes the loser; both are gone.
//! So a loser whose rival is still in OpenSent *waits* in OpenConfirm, for at most
//! [`COLLISION_WAIT`], until the rival shows an OPEN or ends. A peer that does not wait sends
//! UPDATEs on the loser, which settles the matter at once ([`Peer::settle_waiting`]).

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use proto_codec::bgp::Notification;
use proto_codec::bgp::notification::CeaseSubcode;

use super::api::{Action, ConnEvent, ConnId, Established};
use super::collide::Direction;
use super::config::EstablishedCollision;
use super::conn::{Conn, Handshake, Stage};
use super::open;
use super::peer::{Mode, Peer};
use super::state::{Cause, DownReason, Event, State};
use super::timers::{COLLISION_TAIL, COLLISION_WAIT, Timer};

impl Peer {
    /// Takes what happened to a connection or a dial. Events of connections that the machine has
    /// given up are ignored, except that one just opened is closed again.
    pub fn handle_conn(&mut self, now: Instant, id: ConnId, event: ConnEvent) {
        let dialled = self.dial == Some(id);
        match event {
            ConnEvent::Opened {
                direction: Direction::Inbound,
                local,
                remote,
            } => {
                self.accepted(now, id, (local, remote));
            }
            ConnEvent::Opened {
                direction: Direction::Outbound,
                local,
                remote,
            } if dialled => {
                self.dial = None;
                self.opened(now, id, Direction::Outbound, (local, remote));
            }
            ConnEvent::Opened { .. } => {
                let farewell = bytes::Bytes::new();
                self.actions.push_back(Action::Close {
                    conn: id,
                    farewell,
                    abort: false,
                });
            }
            ConnEvent::Failed(kind) if dialled => self.dial_failed(now, kind),
            ConnEvent::Closed(kind) if dialled => {
                self.dial_failed(now, kind.unwrap_or(ErrorKind::ConnectionAborted));
            }
            ConnEvent::Failed(kind) | ConnEvent::Closed(Some(kind)) => {
                self.end(now, id, Event::TcpConnectionFails, DownReason::Failed(kind));
            }
            ConnEvent::Closed(None) => {
                self.end(now, id, Event::TcpConnectionFails, DownReason::Closed);
            }
        }
    }

    fn accepted(&mut self, now: Instant, id: ConnId, ends: (SocketAddr, SocketAddr)) {
        if self.mode != Mode::Started {
            return self.turn_away(now, id, CeaseSubcode::ConnectionRejected);
        }
        let rivals = self.conns.iter();
        if let Some(session) = rivals
            .clone()
            .find(|conn| conn.state() == State::Established)
        {
            if !self.replaceable(now, session) {
                return self.refuse_rival(now, id, session.id);
            }
            let cause = Cause::ended(Event::TcpConnectionConfirmed, DownReason::Reconnected);
            let (old, from) = (session.id, self.state());
            self.drop_conn(now, old, &cause, true);
            self.note(now, from, cause);
            return self.opened(now, id, Direction::Inbound, ends);
        }
        let old = rivals
            .clone()
            .find(|conn| conn.direction == Direction::Inbound);
        let old = old.map(|conn| conn.id);
        self.opened(now, id, Direction::Inbound, ends);
        if let Some(old) = old {
            let cease = Notification::cease(CeaseSubcode::ConnectionCollision);
            self.refuse(now, old, Event::OpenCollisionDump, cease);
        }
    }

    /// Whether a new connection may take the place of this session.
    fn replaceable(&self, now: Instant, session: &Conn) -> bool {
        let young = self
            .stats
            .up_since
            .is_none_or(|up| now < up + COLLISION_TAIL);
        let graceful = session
            .handshake()
            .is_some_and(|h| h.negotiated.graceful_restart.is_some());
        let wanted = self.config.established_collision == EstablishedCollision::ReplaceIfGraceful;
        wanted && graceful && !young
    }

    /// Refuses a new connection beside an Established session, and asks that session for a sign
    /// of life: if the peer has crashed and come back, its kernel answers the KEEPALIVE with a
    /// reset and the next connection finds the way free. Without this a session with hold time
    /// zero would stand in the way for ever, and any other until its hold timer expires.
    fn refuse_rival(&mut self, now: Instant, id: ConnId, session: ConnId) {
        if let Some(session) = self.conn_mut(session) {
            session.push_keepalive();
        }
        self.turn_away(now, id, CeaseSubcode::ConnectionCollision);
    }

    /// Closes a connection that never became one of ours (event 15).
    fn turn_away(&mut self, now: Instant, id: ConnId, subcode: CeaseSubcode) {
        let cease = Notification::cease(subcode);
        let farewell = cease.to_bytes();
        self.count_sent(&farewell);
        self.stats.refused += 1;
        self.actions.push_back(Action::Close {
            conn: id,
            farewell,
            abort: false,
        });
        let cause = Cause::ended(Event::TcpConnectionInvalid, DownReason::Sent(cease));
        self.note(now, self.state(), cause);
    }

    /// Sends our OPEN on a new connection (events 16 and 17).
    fn opened(
        &mut self,
        now: Instant,
        id: ConnId,
        direction: Direction,
        ends: (SocketAddr, SocketAddr),
    ) {
        let from = self.state();
        let open = open::build(&self.config);
        let message = open.to_bytes();
        let open_wait = self.config.open_wait;
        let mut conn = Conn::new(id, direction, ends, open);
        conn.push(message);
        conn.timers.set(Timer::Hold, now + open_wait);
        self.conns.push(conn);
        // While only the peer's own connection is open our dialling goes on: it may be dead.
        if direction == Direction::Outbound {
            self.timers.stop(Timer::ConnectRetry);
        }
        let event = match direction {
            Direction::Outbound => Event::TcpConnectionAcked,
            Direction::Inbound => Event::TcpConnectionConfirmed,
        };
        self.note(now, from, Cause::of(event));
    }

    /// The peer's OPEN on `id` is accepted: decide a collision, then confirm (event 19).
    pub(super) fn confirm(&mut self, now: Instant, id: ConnId, handshake: Handshake) {
        self.abandon_dial();
        self.timers.stop(Timer::ConnectRetry);
        let Some(direction) = self.conn(id).map(|conn| conn.direction) else {
            return;
        };
        let rival = self.conns.iter().find(|conn| conn.id != id);
        let rival = rival.map(|conn| (conn.id, conn.state()));
        let loses = direction != handshake.survivor();
        let cease = || Notification::cease(CeaseSubcode::ConnectionCollision);
        match rival {
            Some((_, State::Established)) => {
                return self.refuse(now, id, Event::OpenCollisionDump, cease());
            }
            Some((_, State::OpenConfirm)) if loses => {
                return self.refuse(now, id, Event::OpenCollisionDump, cease());
            }
            Some((rival, State::OpenConfirm)) => {
                self.refuse(now, rival, Event::OpenCollisionDump, cease());
            }
            _ => {}
        }
        let from = self.state();
        self.enter_open_confirm(now, id, handshake);
        self.note(now, from, Cause::of(Event::BgpOpen));
    }

    /// RFC 4271 §8.2.2 waits for the KEEPALIVE as long as the hold time, and with a hold time of
    /// zero for ever; no longer than for the OPEN is enough for either.
    fn enter_open_confirm(&mut self, now: Instant, id: ConnId, handshake: Handshake) {
        let open_wait = self.config.open_wait;
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        conn.stage = Stage::OpenConfirm {
            handshake: Box::new(handshake),
            confirmed: false,
        };
        conn.push_keepalive();
        let wait = conn
            .hold_time()
            .map_or(open_wait, |hold| hold.min(open_wait));
        conn.timers.set(Timer::Hold, now + wait);
        self.restart_keepalive(now, id);
    }

    /// The peer's KEEPALIVE in OpenConfirm (event 26): Established, unless a rival may win.
    pub(super) fn confirmed(&mut self, now: Instant, id: ConnId) {
        if !self.must_wait(id) {
            return self.establish(now, id);
        }
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        if let Stage::OpenConfirm { confirmed, .. } = &mut conn.stage
            && !*confirmed
        {
            *confirmed = true;
            conn.timers.set(Timer::CollisionWait, now + COLLISION_WAIT);
            self.note(now, self.state(), Cause::of(Event::KeepAliveMsg));
        }
    }

    /// Whether this connection loses the collision with one that has not shown its OPEN yet.
    fn must_wait(&self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id) else {
            return false;
        };
        let rival = self.conns.iter().find(|rival| rival.id != id);
        let open = rival.is_some_and(|rival| rival.state() == State::OpenSent);
        open && conn
            .handshake()
            .is_some_and(|handshake| handshake.survivor() != conn.direction)
    }

    /// Ends the waiting of a connection that has everything but the permission to go on: its
    /// rival is gone, time is up, or the peer sends routes on it and has thus made its choice.
    /// Returns whether it was waiting; it is Established then.
    pub(super) fn settle_waiting(&mut self, now: Instant, id: ConnId) -> bool {
        let stage = self.conn(id).map(|conn| &conn.stage);
        let waits = matches!(
            stage,
            Some(Stage::OpenConfirm {
                confirmed: true,
                ..
            })
        );
        if waits {
            self.establish(now, id);
        }
        waits
    }

    fn establish(&mut self, now: Instant, id: ConnId) {
        let from = self.state();
        let others: Vec<_> = self
            .conns
            .iter()
            .map(|c| c.id)
            .filter(|&other| other != id)
            .collect();
        for other in others {
            let cease = Notification::cease(CeaseSubcode::ConnectionCollision);
            let cause = Cause::ended(Event::OpenCollisionDump, DownReason::Sent(cease));
            self.drop_conn(now, other, &cause, false);
        }
        let Some(conn) = self.conn_mut(id) else {
            return;
        };
        let Stage::OpenConfirm { handshake, .. } = &conn.stage else {
            return;
        };
        let handshake = handshake.clone();
        let established = Established {
            conn: id,
            direction: conn.direction,
            local: conn.local,
            remote: conn.remote,
            local_open: handshake.local_open.clone(),
            remote_open: handshake.remote_open.clone(),
            negotiated: handshake.negotiated.clone(),
        };
        conn.stage = Stage::Established(handshake);
        conn.timers.stop(Timer::CollisionWait);
        conn.timers.stop(Timer::Hold);
        self.restart_hold(now, id);
        self.restart_send_hold(now, id);
        self.timers.stop(Timer::ConnectRetry);
        self.timers
            .set(Timer::Stable, now + self.config.stable_after);
        self.dial_backoff.reset();
        self.stats.established += 1;
        self.stats.up_since = Some(now);
        self.note(now, from, Cause::of(Event::KeepAliveMsg));
        self.actions.push_back(Action::Up(Box::new(established)));
    }
}
