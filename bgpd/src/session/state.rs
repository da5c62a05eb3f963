//! States, events and causes: the vocabulary of RFC 4271 §8.
//!
//! [`State`] names the six states; [`Event`] the events of §8.1 by their numbers, with the later
//! additions. Neither carries data: what must exist in a state lives in the types of `conn`, and
//! what an event brings comes as an argument of the method that handles it.
//!
//! Every change of state is reported as a [`Transition`] with a [`Cause`]: the event, and in
//! [`DownReason`] why a session (or an attempt at one) ended. The same value goes to the log,
//! to `show bgp neighbors` and to the tests, so they cannot tell three different stories. An
//! event that is refused without a change of state is a transition from a state to itself.

use std::fmt;
use std::io::ErrorKind;
use std::time::Instant;

use proto_codec::bgp::Notification;

/// States of the session (RFC 4271 §8.2.2), in the order in which a session climbs them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Not started, or held down after an error; connections are refused.
    #[default]
    Idle,
    /// A dial is under way.
    Connect,
    /// Waiting for the peer to dial, or for the time of our next dial.
    Active,
    /// TCP is up, our OPEN is sent.
    OpenSent,
    /// The peer's OPEN is accepted; its KEEPALIVE is awaited.
    OpenConfirm,
    /// Routes may be exchanged.
    Established,
}

impl State {
    /// Every state, from the lowest.
    pub const ALL: [State; 6] = [
        State::Idle,
        State::Connect,
        State::Active,
        State::OpenSent,
        State::OpenConfirm,
        State::Established,
    ];

    /// The name as the RFC and every `show` command write it.
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "Idle",
            State::Connect => "Connect",
            State::Active => "Active",
            State::OpenSent => "OpenSent",
            State::OpenConfirm => "OpenConfirm",
            State::Established => "Established",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Events of the session by RFC number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Event 1: an operator starts a peer that dials.
    ManualStart,
    /// Event 2: an operator stops the peer.
    ManualStop,
    /// Event 3: the system starts the peer again after it ended the session itself.
    AutomaticStart,
    /// Event 4: an operator starts a peer that only accepts.
    ManualStartPassive,
    /// Event 8: the system itself stops the peer (limit reached, reset, BFD).
    AutomaticStop,
    /// Event 9.
    ConnectRetryTimerExpires,
    /// Event 10.
    HoldTimerExpires,
    /// Event 11.
    KeepaliveTimerExpires,
    /// Event 13: a held-down peer starts again.
    IdleHoldTimerExpires,
    /// Event 15: a connection that we do not want.
    TcpConnectionInvalid,
    /// Event 16: our dial succeeded.
    TcpConnectionAcked,
    /// Event 17: the peer's dial was accepted.
    TcpConnectionConfirmed,
    /// Event 18: a dial failed or a connection broke.
    TcpConnectionFails,
    /// Event 19.
    BgpOpen,
    /// Event 21.
    BgpHeaderErr,
    /// Event 22.
    BgpOpenMsgErr,
    /// Event 23: the losing connection of a collision.
    OpenCollisionDump,
    /// Event 24.
    NotifMsgVerErr,
    /// Event 25.
    NotifMsg,
    /// Event 26.
    KeepAliveMsg,
    /// Event 27; a ROUTE-REFRESH, which RFC 4271 does not know, is treated alike.
    UpdateMsg,
    /// Event 28.
    UpdateMsgErr,
    /// Event 29 (RFC 9687 §4.1).
    SendHoldTimerExpires,
}

impl Event {
    /// The event's number in RFC 4271 §8.1, or RFC 9687 §4.1 for 29.
    pub fn number(self) -> u8 {
        match self {
            Event::ManualStart => 1,
            Event::ManualStop => 2,
            Event::AutomaticStart => 3,
            Event::ManualStartPassive => 4,
            Event::AutomaticStop => 8,
            Event::ConnectRetryTimerExpires => 9,
            Event::HoldTimerExpires => 10,
            Event::KeepaliveTimerExpires => 11,
            Event::IdleHoldTimerExpires => 13,
            Event::TcpConnectionInvalid => 15,
            Event::TcpConnectionAcked => 16,
            Event::TcpConnectionConfirmed => 17,
            Event::TcpConnectionFails => 18,
            Event::BgpOpen => 19,
            Event::BgpHeaderErr => 21,
            Event::BgpOpenMsgErr => 22,
            Event::OpenCollisionDump => 23,
            Event::NotifMsgVerErr => 24,
            Event::NotifMsg => 25,
            Event::KeepAliveMsg => 26,
            Event::UpdateMsg => 27,
            Event::UpdateMsgErr => 28,
            Event::SendHoldTimerExpires => 29,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rfc = if *self == Event::SendHoldTimerExpires {
            "RFC 9687"
        } else {
            "RFC 4271"
        };
        write!(f, "{self:?} ({rfc} event {})", self.number())
    }
}

/// Why a connection, and with it perhaps the session, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// We ended it with this NOTIFICATION.
    Sent(Notification),
    /// The peer ended it with this NOTIFICATION.
    Received(Notification),
    /// The peer closed the connection without a NOTIFICATION.
    Closed,
    /// The connection broke, or the dial failed.
    Failed(ErrorKind),
    /// A peer with graceful restart opened a new connection (RFC 4724 §4.2).
    Reconnected,
    /// Our own dial was given up: too slow, or another connection took its place.
    Abandoned,
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DownReason::Sent(n) => write!(f, "sent NOTIFICATION {n}"),
            DownReason::Received(n) => write!(f, "received NOTIFICATION {n}"),
            DownReason::Closed => f.write_str("peer closed the connection"),
            DownReason::Failed(kind) => write!(f, "connection failed: {kind}"),
            DownReason::Reconnected => f.write_str("peer reconnected after a restart"),
            DownReason::Abandoned => f.write_str("connection attempt given up"),
        }
    }
}

/// Why a state changed: the event, and the reason where something ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What happened, by RFC number.
    pub event: Event,
    /// Why it ended; `None` where something began.
    pub reason: Option<DownReason>,
}

impl Cause {
    /// A cause without an ending.
    pub fn of(event: Event) -> Cause {
        Cause {
            event,
            reason: None,
        }
    }

    /// A cause that ended something.
    pub fn ended(event: Event, reason: DownReason) -> Cause {
        Cause {
            event,
            reason: Some(reason),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(f, "{reason}: {}", self.event),
            None => write!(f, "{}", self.event),
        }
    }
}

/// One step of the machine, for logs and `show bgp neighbors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// State of the peer before.
    pub from: State,
    /// State of the peer after; equal to `from` when an event was refused or concerned a
    /// connection that did not decide the state.
    pub to: State,
    /// Why.
    pub cause: Cause,
}
