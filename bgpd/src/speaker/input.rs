//! From bytes to tables: framing, the session machine, then the RIB.
//!
//! The stream is cut into messages, each message is shown to the session machine, and only what
//! the machine calls an UPDATE of the Established session is decoded and applied. The machine
//! and the tables therefore never disagree about whether a session exists.
//!
//! Errors are obeyed as they come (RFC 7606): the decoder has already turned routes with bad
//! attributes into withdrawals and left bad attributes out; here they are counted and said. Only
//! a message that cannot be cut into routes at all resets the session, with the NOTIFICATION the
//! decoder wrote.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Instant;

use proto_codec::afi::Family;
use proto_codec::bgp::{Framer, Notification, Update, decode_update};
use proto_codec::error::{AttrError, Reaction};
use rib::PeerSlot;

use super::Speaker;
use super::peers::{Entry, Hold, Up};
use super::policies::PolicyTable;
use super::port::{Admission, ConnId};
use crate::config::Settings;
use crate::engine::Engine;
use crate::event::Event;
use crate::session::{Command, ConnEvent, Direction, Disposition, Restart, maximum_prefixes};

/// Errors of a neighbor that are said each; after that only every doubling.
const MALFORMED_SAID: u64 = 16;

/// A read from this size on leaves no buffer of its size behind.
const BURST_LEN: usize = 16 * 1024;

/// What an UPDATE asks for beyond the tables.
enum Verdict {
    /// Nothing.
    Applied,
    /// The session ends with this NOTIFICATION.
    Reset(Notification),
    /// The neighbor announced more than it may.
    TooManyPrefixes(Family),
}

impl Speaker {
    /// Somebody connected to one of our listening sockets.
    pub fn handle_accept(
        &mut self,
        now: Instant,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Admission {
        let slot = match self.admit(now, local, remote) {
            Ok(slot) => slot,
            Err(reason) => {
                self.out.event(Event::Refused { remote, reason });
                return Admission::Refused;
            }
        };
        let Some(entry) = self.peers.get_mut(slot) else {
            return Admission::Refused;
        };
        let options = super::assemble::socket_options(&entry.neighbor);
        entry.seen = true;
        let conn = entry.peer.accept_id();
        self.conns.add(slot, conn, remote);
        if let Some(accepted) = self.conns.get_mut(conn) {
            accepted.open = true;
        }
        let event = ConnEvent::Opened {
            direction: Direction::Inbound,
            local,
            remote,
        };
        entry.peer.handle_conn(now, conn, event);
        self.follow_up(now, slot);
        Admission::Accepted { conn, options }
    }

    /// An accepted connection cannot be kept as the configuration promises: the kernel refused a
    /// socket option. It must not carry a session.
    pub fn handle_accept_failed(&mut self, now: Instant, key: ConnId, error: ErrorKind) {
        self.say_connect_error(key, error);
        self.handle_closed(now, key, Some(error));
    }

    /// A connection that was asked for is open; `false` if it was given up meanwhile.
    pub fn handle_connected(
        &mut self,
        now: Instant,
        key: ConnId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        // The socket's own idea of the other end: it knows the scope of a link-local address.
        let conn = self.conns.get_mut(key).map(|conn| conn.remote = remote);
        let wanted = conn.is_some();
        let direction = Direction::Outbound;
        self.conn_event(
            now,
            key,
            ConnEvent::Opened {
                direction,
                local,
                remote,
            },
        );
        wanted
    }

    /// A connection that was asked for did not come about.
    pub fn handle_connect_failed(&mut self, now: Instant, key: ConnId, error: ErrorKind) {
        self.say_connect_error(key, error);
        self.conn_event(now, key, ConnEvent::Failed(error));
        self.conns.remove(key);
    }

    /// A neighbor that cannot be reached is said once, and again when the reason is another.
    pub(super) fn say_connect_error(&mut self, key: ConnId, error: ErrorKind) {
        let slot = self.conns.get(key).map(|conn| conn.slot);
        let Some(entry) = slot.and_then(|slot| self.peers.get_mut(slot)) else {
            return;
        };
        // Our own doing: the attempt was given up.
        if error == ErrorKind::ConnectionAborted
            || entry.connect_error.replace(error) == Some(error)
        {
            return;
        }
        let settings = &entry.neighbor.settings;
        let hint = match (error, settings.local_address) {
            (ErrorKind::AddrNotAvailable, Some(local)) => {
                format!(": no interface has the local-address {local}")
            }
            (ErrorKind::TimedOut, _) if settings.password.is_some() => {
                ": no answer, as it is when the TCP-MD5 keys differ".to_owned()
            }
            (ErrorKind::Unsupported, _) if settings.ttl_security.is_some() => {
                ": the kernel refuses to check the TTL (IP_MINTTL, IPV6_MINHOPCOUNT), so \
                 ttl-security cannot be kept and no session comes up; run on a kernel that can, \
                 or take ttl-security away"
                    .to_owned()
            }
            _ => String::new(),
        };
        let text = format!("cannot connect: {error}{hint}; trying again");
        self.out.notice(Some(entry.address), text);
    }

    /// A connection ended: closed in order by the other side (`None`) or broken.
    pub fn handle_closed(&mut self, now: Instant, key: ConnId, error: Option<ErrorKind>) {
        self.conn_event(now, key, ConnEvent::Closed(error));
        self.conns.remove(key);
    }

    fn conn_event(&mut self, now: Instant, key: ConnId, event: ConnEvent) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let slot = conn.slot;
        conn.open |= matches!(event, ConnEvent::Opened { .. });
        if let Some(entry) = self.peers.get_mut(slot) {
            entry.peer.handle_conn(now, key, event);
        }
        self.follow_up(now, slot);
    }

    /// The socket took this many bytes of a connection.
    pub fn handle_written(&mut self, now: Instant, key: ConnId, len: usize) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let slot = conn.slot;
        let updates = std::mem::take(&mut conn.updates_out);
        if let Some(entry) = self.peers.get_mut(slot) {
            entry.peer.handle_written(now, key, len, updates);
            let due = entry.peer.poll_timeout();
            self.deadlines.set(super::Due::Peer(slot), due);
        }
    }

    /// The socket of a connection has octets. While the tables can take no more they stay there,
    /// KEEPALIVEs among them, and the hold timer must not hold that against the neighbor.
    pub fn note_waiting_input(&mut self, key: ConnId) {
        let waits = self.is_congested();
        if let Some(conn) = self.conns.get_mut(key) {
            conn.input_waits = waits;
        }
    }

    /// Bytes came in on a connection.
    pub fn handle_bytes(&mut self, now: Instant, key: ConnId, bytes: &[u8]) {
        self.tell_time(now);
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let slot = conn.slot;
        conn.input_waits = false;
        // The framer is out on loan while its frames are handled, so that handling may close the
        // connection; put back, it keeps the rest for the next bytes.
        let mut framer = std::mem::take(&mut conn.framer);
        framer.push_slice(bytes);
        self.handle_frames(now, key, slot, &mut framer);
        if bytes.len() >= BURST_LEN {
            framer.shrink();
        }
        if let Some(conn) = self.conns.get_mut(key) {
            conn.framer = framer;
        }
        self.follow_up(now, slot);
    }

    fn handle_frames(&mut self, now: Instant, key: ConnId, slot: PeerSlot, framer: &mut Framer) {
        loop {
            let frame = match framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(error) => {
                    if let Some(entry) = self.peers.get_mut(slot) {
                        entry.peer.handle_frame_error(now, key, &error);
                    }
                    return;
                }
            };
            let Some(entry) = self.peers.get_mut(slot) else {
                return;
            };
            match entry.peer.handle_frame(now, key, &frame) {
                Disposition::Update(body) => {
                    let verdict = {
                        let guard = &self.policies;
                        apply_update((now, guard), &mut self.rib, entry, body, &mut self.out)
                    };
                    self.pending_since.get_or_insert(now);
                    match verdict {
                        Verdict::Applied => continue,
                        Verdict::Reset(notification) => self.reset(now, key, slot, notification),
                        Verdict::TooManyPrefixes(family) => self.over_limit(now, slot, family),
                    }
                    return;
                }
                Disposition::RouteRefresh(refresh) => self.refresh_asked(now, slot, &refresh),
                Disposition::Consumed => {
                    self.follow_up(now, slot);
                    // The OPENs may have raised the limit (RFC 8654), or the connection is gone.
                    let Some(conn) = self.conns.get(key) else {
                        return;
                    };
                    framer.set_max_len(conn.message_len_max);
                }
            }
        }
    }

    /// Takes in what the tables have to say, where they are on other threads.
    pub fn absorb(&mut self, now: Instant) {
        self.rib.absorb();
        while let Some((slot, family)) = self.rib.poll_exceeded() {
            self.over_limit(now, slot, family);
        }
    }

    /// Ends a session over a message that cannot be lived with.
    fn reset(&mut self, now: Instant, key: ConnId, slot: PeerSlot, notification: Notification) {
        if let Some(entry) = self.peers.get_mut(slot) {
            entry.peer.send_notification(now, key, notification);
        }
        self.follow_up(now, slot);
    }

    /// RFC 4486 §4: the session ends with 6/1 and stays down for as long as configured.
    fn over_limit(&mut self, now: Instant, slot: PeerSlot, family: Family) {
        let Some(entry) = self.peers.get_mut(slot) else {
            return;
        };
        let settings = &entry.neighbor.settings;
        let limit = settings.max_prefixes.unwrap_or(0);
        let restart = match settings.max_prefixes_restart {
            Some(pause) => Restart::After(pause),
            None => Restart::Never,
        };
        entry.hold = Hold::PrefixLimit;
        let cease = maximum_prefixes(family, limit);
        entry
            .peer
            .handle_command(now, Command::Reset(cease, restart));
        let text = format!("more than {limit} prefixes of {family}: session ended");
        self.out.attention(Some(entry.address), text);
        self.follow_up(now, slot);
    }
}

/// Decodes one UPDATE and hands it to the tables.
fn apply_update(
    (now, guard): (Instant, &PolicyTable),
    rib: &mut Engine,
    entry: &mut Entry,
    body: &[u8],
    out: &mut super::Outbox,
) -> Verdict {
    let Some(up) = &mut entry.up else {
        return Verdict::Applied;
    };
    let update = match decode_update(body, &up.decode, &mut up.cache) {
        Ok(update) => update,
        Err(error) => {
            let text = format!("UPDATE refused: {error}");
            out.event(Event::Malformed {
                neighbor: entry.address,
                text,
            });
            return match error.notification() {
                Some(notification) => Verdict::Reset(notification.clone()),
                None => Verdict::Applied,
            };
        }
    };
    for error in &update.errors {
        let so_far = count(&mut entry.malformed, error);
        // A neighbor that sends nothing else must not fill the log: the counters tell the rest.
        if so_far <= MALFORMED_SAID || so_far.is_power_of_two() {
            let text = format!("{error} (error {so_far})");
            out.event(Event::Malformed {
                neighbor: entry.address,
                text,
            });
        }
    }
    up.last_update = now;
    if entry.neighbor.settings.import_guard && guard.is_guarding() {
        let before = entry.own_range_refused;
        entry.own_range_refused += refused(guard, &entry.neighbor.settings, &update);
        if before == 0 && entry.own_range_refused > 0 {
            let text = "announces prefixes inside the cluster's own ranges: refused and counted \
                        (import-guard)";
            out.attention(Some(entry.address), text.to_owned());
        }
    }
    let exceeded = rib.update(entry.slot, &update);
    if let Some(family) = update.end_of_rib {
        end_of_rib(up, family);
    }
    match exceeded {
        Some(family) => Verdict::TooManyPrefixes(family),
        None => Verdict::Applied,
    }
}

/// Prefixes of an UPDATE that the guard refuses; the import policy does it.
fn refused(guard: &PolicyTable, settings: &Settings, update: &Update<'_>) -> u64 {
    let nets = update.announce.iter().flat_map(|one| one.nlri.nets());
    let inside = nets.filter(|(_, net)| guard.guards(settings, net));
    inside.fold(0, |count, _| count + 1)
}

fn end_of_rib(up: &mut Up, family: Family) {
    if let Some(seen) = up.end_of_rib.get_mut(family.index()) {
        *seen = true;
    }
}

/// Counts an error; answers how many there were.
fn count(counters: &mut super::peers::MalformedCounters, error: &AttrError) -> u64 {
    match error.reaction {
        Reaction::TreatAsWithdraw => counters.treat_as_withdraw += 1,
        Reaction::Discard | Reaction::Reset(_) => counters.attribute_discard += 1,
    }
    counters.treat_as_withdraw + counters.attribute_discard
}
