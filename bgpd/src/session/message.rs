//! What the peer says: one message at a time, judged by the state of its connection.
//!
//! The caller cuts the stream with the codec's `Framer` and passes whole messages; what the framer
//! refuses it reports by [`Peer::handle_frame_error`], what UPDATE decoding refuses by
//! [`Peer::send_notification`]. A message that its state does not allow is a Finite State Machine
//! Error with the state's subcode and the message type as data (RFC 6608 §4), whatever is in it.
//! A NOTIFICATION is never answered (RFC 4271 §6.4).
//!
//! An UPDATE or ROUTE-REFRESH of the Established session goes back to the caller as a
//! [`Disposition`]; anything else is [`Disposition::Consumed`]. After an ending the remaining
//! messages of the same read are for a connection that no longer exists and are consumed silently.

use std::time::Instant;

use proto_codec::afi::Family;
use proto_codec::bgp::notification::code;
use proto_codec::bgp::{MessageType, Notification, Open, RefreshSubtype, RouteRefresh};
use proto_codec::error::DecodeError;

use super::api::{ConnId, Disposition, RefreshRefused};
use super::conn::{Handshake, Stage};
use super::open;
use super::peer::Peer;
use super::state::{DownReason, Event, State};

/// Octets of the message header.
const HEADER_LEN: usize = 19;

impl Peer {
    /// Takes one whole message, header included, as the framer yields it.
    pub fn handle_frame<'f>(
        &mut self,
        now: Instant,
        id: ConnId,
        frame: &'f [u8],
    ) -> Disposition<'f> {
        let Some(state) = self.conn(id).map(|conn| conn.state()) else {
            return Disposition::Consumed;
        };
        let kind = frame.get(HEADER_LEN - 1).copied();
        let (Some(message), Some(body)) = (
            kind.and_then(MessageType::from_code),
            frame.get(HEADER_LEN..),
        ) else {
            // The framer refuses this already; a caller without one gets the same answer.
            let data = kind.map_or_else(Vec::new, |kind| vec![kind]);
            let why = Notification::with_data(code::HEADER, 3, &data);
            self.refuse(now, id, Event::BgpHeaderErr, why);
            return Disposition::Consumed;
        };
        self.stats.received.count(message);
        self.stats.last_read = Some(now);
        match (state, message) {
            (_, MessageType::Notification) => self.notified(now, id, body),
            (State::OpenSent, MessageType::Open) => self.received_open(now, id, body),
            (State::OpenConfirm, MessageType::Keepalive) => {
                self.restart_hold(now, id);
                self.confirmed(now, id);
            }
            (State::Established, MessageType::Keepalive) => self.restart_hold(now, id),
            (State::Established, MessageType::Update) => {
                self.restart_hold(now, id);
                return Disposition::Update(body);
            }
            (State::Established, MessageType::RouteRefresh) => {
                return self.received_refresh(now, id, body);
            }
            (State::OpenConfirm, MessageType::Update | MessageType::RouteRefresh)
                if self.settle_waiting(now, id) =>
            {
                self.restart_hold(now, id);
                return match message {
                    MessageType::Update => Disposition::Update(body),
                    _ => self.received_refresh(now, id, body),
                };
            }
            (state, message) => self.unexpected(now, id, state, message),
        }
        Disposition::Consumed
    }

    /// The framer refused the stream: answer as the error says and close (event 21).
    pub fn handle_frame_error(&mut self, now: Instant, id: ConnId, error: &DecodeError) {
        let fallback = || Notification::new(code::HEADER, 0);
        let why = error.notification().cloned().unwrap_or_else(fallback);
        self.send_notification(now, id, why);
    }

    /// Ends the connection with this NOTIFICATION: what decoding an UPDATE or a ROUTE-REFRESH
    /// demands (event 28), or any other reset that is decided outside the machine.
    pub fn send_notification(&mut self, now: Instant, id: ConnId, why: Notification) {
        let event = match why.code {
            code::HEADER => Event::BgpHeaderErr,
            code::OPEN => Event::BgpOpenMsgErr,
            code::CEASE => Event::AutomaticStop,
            _ => Event::UpdateMsgErr,
        };
        self.refuse(now, id, event, why);
    }

    /// Queues a ROUTE-REFRESH on the Established session.
    pub fn send_refresh(&mut self, refresh: RouteRefresh) -> Result<(), RefreshRefused> {
        let session = self
            .conns
            .iter_mut()
            .find(|conn| conn.state() == State::Established);
        let conn = session.ok_or(RefreshRefused::NotEstablished)?;
        if !conn
            .handshake()
            .is_some_and(|handshake| refresh_allowed(handshake, refresh))
        {
            return Err(RefreshRefused::NotNegotiated);
        }
        if conn.push(refresh.to_bytes()) {
            Ok(())
        } else {
            Err(RefreshRefused::QueueFull)
        }
    }

    fn received_open(&mut self, now: Instant, id: ConnId, body: &[u8]) {
        let Some(Stage::OpenSent(local_open)) = self.conn(id).map(|conn| &conn.stage) else {
            return;
        };
        let local_open = local_open.as_ref().clone();
        let judged = match Open::decode(body) {
            Ok(remote_open) => {
                open::judge(&self.config, &local_open, &remote_open).map(|negotiated| Handshake {
                    local_open,
                    remote_open,
                    negotiated,
                })
            }
            Err(error) => {
                let fallback = || Notification::new(code::OPEN, 0);
                Err(error.notification().cloned().unwrap_or_else(fallback))
            }
        };
        match judged {
            Ok(handshake) => self.confirm(now, id, handshake),
            Err(why) => self.refuse(now, id, Event::BgpOpenMsgErr, why),
        }
    }

    fn notified(&mut self, now: Instant, id: ConnId, body: &[u8]) {
        // A mutilated one ends the connection as any other: there is no error to answer with.
        let notification = Notification::decode(body).unwrap_or_else(|_| Notification::new(0, 0));
        let version_error = (notification.code, notification.subcode) == (code::OPEN, 1);
        let event = if version_error {
            Event::NotifMsgVerErr
        } else {
            Event::NotifMsg
        };
        self.end(now, id, event, DownReason::Received(notification));
    }

    fn received_refresh(&mut self, now: Instant, id: ConnId, body: &[u8]) -> Disposition<'static> {
        self.restart_hold(now, id);
        let refresh = match RouteRefresh::decode(body) {
            Ok(refresh) => refresh,
            Err(error) => {
                self.handle_frame_error(now, id, &error);
                return Disposition::Consumed;
            }
        };
        // RFC 2918 §4 and RFC 7313 §5: what was not negotiated, or is unknown, is ignored.
        let handshake = self.conn(id).and_then(|conn| conn.handshake());
        if handshake.is_some_and(|handshake| refresh_allowed(handshake, refresh)) {
            return Disposition::RouteRefresh(refresh);
        }
        self.stats.refresh_ignored += 1;
        Disposition::Consumed
    }

    /// RFC 6608 §4.
    fn unexpected(&mut self, now: Instant, id: ConnId, state: State, message: MessageType) {
        let subcode = match state {
            State::OpenSent => 1,
            State::OpenConfirm => 2,
            State::Established => 3,
            State::Idle | State::Connect | State::Active => 0,
        };
        let event = match message {
            MessageType::Open => Event::BgpOpen,
            MessageType::Keepalive => Event::KeepAliveMsg,
            _ => Event::UpdateMsg,
        };
        let why = Notification::with_data(code::FSM, subcode, &[message.code()]);
        self.refuse(now, id, event, why);
    }
}

/// Whether both sides agreed on this ROUTE-REFRESH: capability, family, subtype.
fn refresh_allowed(handshake: &Handshake, refresh: RouteRefresh) -> bool {
    let negotiated = &handshake.negotiated;
    let capability = match refresh.subtype {
        RefreshSubtype::Request => negotiated.route_refresh,
        RefreshSubtype::Begin | RefreshSubtype::End => negotiated.enhanced_refresh,
        RefreshSubtype::Unknown(_) => false,
    };
    let mut families = Family::ALL.into_iter().zip(negotiated.families);
    let family = families.any(|(f, spoken)| spoken && f.afi_safi() == refresh.afi_safi);
    capability && family
}
