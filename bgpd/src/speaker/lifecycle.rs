//! What follows when a session comes up or goes down.
//!
//! Up: the RIB learns of the session and starts its initial table. Down: its routes go, or stay as
//! stale for the restart time the neighbor asked for (graceful restart helper, RFC 4724 §4.2,
//! RFC 8538). They go when the neighbor's End-of-RIB says what is still true, when it comes back
//! without having kept its forwarding state, or when the time is over.
//!
//! [`Speaker::follow_up`] is called after every input of a peer: it carries the machine's actions
//! out into the speaker's own state and sets the peer's next deadline. There is no other way
//! from machine to tables.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use proto_codec::afi::Family;
use proto_codec::bgp::notification::CeaseSubcode;
use proto_codec::bgp::{AttrCache, Notification};
use rib::PeerSlot;

use super::assemble;
use super::peers::{Hold, Up};
use super::port::{Action, ConnectRequest};
use super::refresh::Refreshes;
use super::{Due, Speaker, staging};
use crate::config::NeighborOrigin;
use crate::event::Event;
use crate::session::{self, Command, ConnEvent, ConnId, Down, Established, State, Transition};

/// How long a neighbor that is back may take to its End-of-RIB; FRR's stalepath-time.
const STALE_PATH_TIME: Duration = Duration::from_secs(360);

impl Speaker {
    /// Carries out what the session machine of a peer wants.
    pub(super) fn follow_up(&mut self, now: Instant, slot: PeerSlot) {
        loop {
            let Some(entry) = self.peers.get_mut(slot) else {
                return;
            };
            let Some(action) = entry.peer.poll_action() else {
                break;
            };
            match action {
                session::Action::Connect(id) => self.connect(now, slot, id),
                session::Action::Close {
                    conn,
                    farewell,
                    abort,
                } => {
                    self.note_attempt_given_up(slot, conn);
                    self.conns.remove(conn);
                    self.out.actions.push_back(Action::Close {
                        conn,
                        farewell,
                        abort,
                    });
                }
                session::Action::Up(established) => self.session_up(now, slot, *established),
                session::Action::Down(down) => self.session_down(now, slot, &down),
                session::Action::Transition(transition) => self.note(slot, &transition),
            }
        }
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let due = entry.peer.poll_timeout();
        self.deadlines.set(Due::Peer(slot), due);
        for key in self.conns.of_peer(slot) {
            if self.conns.mark_ready(key) {
                self.out.ready.push_back(key);
            }
        }
        self.forget_if_gone(slot);
    }

    /// The machine gave up an attempt and tries again: nobody answered.
    fn note_attempt_given_up(&mut self, slot: PeerSlot, id: ConnId) {
        let unanswered = self.conns.get(id).is_some_and(|conn| !conn.open);
        let state = self.peers.get(slot).map(|entry| entry.peer.state());
        if unanswered && matches!(state, Some(State::Connect | State::Active)) {
            self.say_connect_error(id, ErrorKind::TimedOut);
        }
    }

    fn connect(&mut self, now: Instant, slot: PeerSlot, id: ConnId) {
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let Some((remote, interface)) = assemble::remote(&entry.neighbor) else {
            let error = ErrorKind::AddrNotAvailable;
            entry.peer.handle_conn(now, id, ConnEvent::Failed(error));
            return;
        };
        self.conns.add(slot, id, remote);
        self.out.actions.push_back(Action::Connect(ConnectRequest {
            conn: id,
            remote,
            interface,
            local: entry.neighbor.settings.local_address,
            options: assemble::socket_options(&entry.neighbor),
        }));
    }

    fn note(&mut self, slot: PeerSlot, transition: &Transition) {
        let Some(entry) = self.peers.get(slot) else {
            return;
        };
        self.out.event(Event::Session {
            neighbor: entry.address,
            from: transition.from,
            to: transition.to,
            cause: transition.cause.to_string(),
        });
    }

    fn session_up(&mut self, now: Instant, slot: PeerSlot, established: Established) {
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let key = established.conn;
        if let Some(conn) = self.conns.get_mut(key) {
            conn.message_len_max = established.negotiated.max_len();
        }
        let policies = entry.policies.clone();
        let session =
            assemble::peer_session(slot, &entry.neighbor, &established, &self.host, policies);
        entry.hold = Hold::None;
        entry.connect_error = None;
        self.rib.peer_up(session);
        if self.deadlines.is_set(Due::Stale(slot)) {
            self.deadlines
                .set(Due::Stale(slot), Some(now + STALE_PATH_TIME));
        }
        // RFC 4724 §4.2: what the neighbor did not keep over its restart is not kept by us either.
        for family in Family::ALL {
            if !preserved(&established, family) {
                self.rib.sweep_stale(slot, family);
            }
        }
        entry.up = Some(Up {
            conn: key,
            since: now,
            decode: assemble::decode_context(&entry.neighbor, &established),
            cache: AttrCache::new(),
            established,
            end_of_rib: [false; 2],
            end_of_rib_sent: [false; 2],
            end_of_rib_held: [false; 2],
            last_update: now,
            refreshes: Refreshes::default(),
        });
        self.touch(now);
    }

    fn session_down(&mut self, now: Instant, slot: PeerSlot, down: &Down) {
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let was = entry.up.take();
        if was.as_ref().is_some_and(|up| staging::is_told(up, now)) {
            entry.times.synced = now;
        }
        let families = was.map(|up| up.established.negotiated.families);
        let leaving = self.stopping || entry.hold != Hold::None;
        let (keep, time) = match (leaving, staging::lingers(&entry.neighbor, &down.cause)) {
            (true, _) => ([false; 2], Duration::ZERO),
            (false, true) => (families.unwrap_or_default(), staging::LINGER),
            (false, false) => (down.stale.keep, down.stale.restart_time),
        };
        match keep.contains(&true) {
            true => self.rib.peer_down(slot, true),
            false => {
                self.deadlines.set(Due::Stale(slot), None);
                self.rib.start_peer_down(slot);
            }
        }
        for family in Family::ALL {
            if !family.pick(keep) {
                self.rib.sweep_stale(slot, family);
            }
        }
        if keep.contains(&true) {
            self.deadlines.set(Due::Stale(slot), Some(now + time));
            let text = format!(
                "routes kept for {} s while the neighbor restarts",
                time.as_secs()
            );
            self.out.notice(Some(entry.address), text);
        }
        self.touch(now);
    }

    /// The restart time is over: what is still stale goes (RFC 4724 §4.2).
    pub(super) fn drop_stale(&mut self, now: Instant, slot: PeerSlot) {
        let Some(entry) = self.peers.get(slot) else {
            return;
        };
        if entry.is_up() {
            // What is stale after an End-of-RIB is being refreshed, and has a clock of its own.
            let done = entry.up.as_ref().map_or([false; 2], |up| up.end_of_rib);
            for family in Family::ALL {
                if !family.pick(done) {
                    self.rib.sweep_stale(slot, family);
                }
            }
        } else {
            self.rib.start_peer_down(slot);
            let text = "restart time over: stale routes removed".to_owned();
            self.out.notice(Some(entry.address), text);
        }
        self.touch(now);
        self.forget_if_gone(slot);
    }

    /// A dynamic neighbor exists as long as it is connected or its routes are kept.
    fn forget_if_gone(&mut self, slot: PeerSlot) {
        let Some(entry) = self.peers.get(slot) else {
            return;
        };
        let gone = entry.neighbor.origin == NeighborOrigin::Dynamic
            && entry.up.is_none()
            && self.conns.of_peer(slot).is_empty()
            && entry.seen
            && !self.deadlines.is_set(Due::Stale(slot))
            && !entry.is_held()
            && entry.peer.state() <= State::Active;
        if gone {
            self.remove_entry(slot);
        }
    }

    /// Tells every neighbor goodbye: CEASE, Administrative Shutdown (RFC 4486 §4, RFC 9003); but
    /// those that are to keep our routes over a restart hear nothing (RFC 4724 §4.2).
    pub fn shut_down(&mut self, now: Instant) {
        self.stopping = true;
        let is_silent = self.leaves_silently();
        for slot in self.peers.slots() {
            if is_silent {
                self.hang_up(now, slot);
            }
            let Some(entry) = self.peers.get_mut(slot) else {
                continue;
            };
            let cease = Notification::cease_with_message(
                CeaseSubcode::AdministrativeShutdown,
                super::drain::FAREWELL,
            );
            entry.peer.handle_command(now, Command::Stop(cease));
            self.follow_up(now, slot);
        }
    }
}

impl Speaker {
    /// Closes a session without a word if both sides have graceful restart for our routes.
    fn hang_up(&mut self, now: Instant, slot: PeerSlot) {
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let Some(up) = &entry.up else { return };
        let ours = up.established.local_open.graceful_restart();
        let is_kept = ours.is_some_and(|offer| !offer.families.is_empty())
            && up.established.remote_open.graceful_restart().is_some();
        if !is_kept {
            return;
        }
        let conn = up.conn;
        entry.peer.handle_conn(now, conn, ConnEvent::Closed(None));
        self.conns.remove(conn);
        let farewell = bytes::Bytes::new();
        self.out.actions.push_back(Action::Close {
            conn,
            farewell,
            abort: false,
        });
    }
}

/// Whether the neighbor says that it still forwards by what we kept of this family.
fn preserved(established: &Established, family: Family) -> bool {
    let listed = established.negotiated.graceful_restart.as_ref();
    listed.is_some_and(|offer| {
        offer
            .families
            .iter()
            .any(|entry| entry.afi_safi == family.afi_safi() && entry.forwarding)
    })
}
