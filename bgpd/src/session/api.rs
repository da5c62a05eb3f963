//! What goes into a peer machine and what comes out of it.
//!
//! Inputs are [`Command`]s of the operator or the speaker, [`ConnEvent`]s of the sockets, whole
//! BGP messages, and time. Outputs are [`Action`]s, message bytes per connection, the next
//! deadline, and for each message a [`Disposition`] that says who handles it: UPDATE bytes go
//! back to the caller at once, so the hot path never waits in a queue.
//!
//! A connection is known by its [`ConnId`] only. The machine numbers the connections, dialled and
//! accepted ones alike ([`Peer::accept_id`](super::Peer::accept_id)); an id is never used twice, so
//! an event that arrives late for a connection already given up is recognised and ignored.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use proto_codec::afi::{AfiSafi, Family};
use proto_codec::bgp::notification::{CeaseSubcode, code};
use proto_codec::bgp::{Negotiated, Notification, Open, RouteRefresh};

use super::collide::Direction;
use super::state::{Cause, Transition};

/// Names one TCP connection, or one attempt at it, among all peers of a speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// The key that [`Peer::new`](super::Peer::new) was given: whose connection it is.
    pub peer: u32,
    /// Counts the peer's connections.
    pub serial: u32,
}

/// The Cease that tells a peer it announced more than allowed (RFC 4486 §4: subcode 1 with the
/// family and the limit as data).
pub fn maximum_prefixes(family: Family, limit: u32) -> Notification {
    let AfiSafi { afi, safi } = family.afi_safi();
    let mut data = afi.to_be_bytes().to_vec();
    data.push(safi);
    data.extend_from_slice(&limit.to_be_bytes());
    Notification::with_data(code::CEASE, CeaseSubcode::MaximumPrefixes.value(), &data)
}

/// When a peer that the system stopped starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Now, without idle hold.
    AtOnce,
    /// After the idle hold of an error.
    Damped,
    /// After this time.
    After(Duration),
    /// Not before the next [`Command::Start`].
    Never,
}

/// What the operator or the speaker wants of the peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start, or clear a hold-down and try at once (events 1 and 4).
    Start,
    /// Stop and stay stopped (event 2), telling the peer why: usually 6/2 or 6/4 with a shutdown
    /// communication (RFC 9003), or 6/3. With a peer that understands RFC 8538 it is wrapped in a
    /// Hard Reset, because routes of a neighbor that was shut down must not linger.
    Stop(Notification),
    /// End the session and start again as `restart` says (event 8): an operator's reset (6/4), a
    /// change of configuration (6/6), too many prefixes ([`maximum_prefixes`]), BFD (6/10).
    Reset(Notification, Restart),
}

/// What happened to a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnEvent {
    /// It is open: our dial succeeded (`Outbound`) or the peer's was accepted (`Inbound`).
    Opened {
        /// Who dialled.
        direction: Direction,
        /// Our end.
        local: SocketAddr,
        /// The peer's end.
        remote: SocketAddr,
    },
    /// The dial failed.
    Failed(ErrorKind),
    /// An open connection ended: `None` = the peer closed it, `Some` = it broke.
    Closed(Option<ErrorKind>),
}

/// Who handles a message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition<'a> {
    /// The machine did; look at its outputs.
    Consumed,
    /// An UPDATE of the Established session: the body behind the 19-octet header, to decode with
    /// [`Established::negotiated`].
    Update(&'a [u8]),
    /// A ROUTE-REFRESH of the Established session for a family that was negotiated.
    RouteRefresh(RouteRefresh),
}

/// What the speaker must do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Dial the neighbor and report with this id.
    Connect(ConnId),
    /// Write `farewell` if the socket takes it, then close; or drop the dial. With `abort` the
    /// socket is reset instead and nothing is written: the peer does not read anyway.
    Close {
        /// Which connection. The machine has forgotten it; later events for it are ignored.
        conn: ConnId,
        /// What was still to be sent, ending in the NOTIFICATION if there is one.
        farewell: Bytes,
        /// Reset instead of an orderly close.
        abort: bool,
    },
    /// The session is Established.
    Up(Box<Established>),
    /// The session that was reported by `Up` is over. Comes before the `Close` of its connection.
    Down(Box<Down>),
    /// The state changed, or something was refused.
    Transition(Box<Transition>),
}

/// What both sides agreed on when the session came up.
#[derive(Clone, Debug)]
pub struct Established {
    /// The connection that carries the session.
    pub conn: ConnId,
    /// Who dialled.
    pub direction: Direction,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// Our OPEN.
    pub local_open: Open,
    /// The peer's OPEN.
    pub remote_open: Open,
    /// What follows from both.
    pub negotiated: Negotiated,
}

/// How a session ended.
#[derive(Clone, Debug)]
pub struct Down {
    /// The connection that carried it.
    pub conn: ConnId,
    /// Why.
    pub cause: Cause,
    /// Which routes of the peer may be kept, and for how long.
    pub stale: StaleRoutes,
}

/// What graceful restart says about the routes of a lost session (RFC 4724 §4.2, RFC 8538 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StaleRoutes {
    /// Families whose routes may stay as stale, indexed by [`Family::index`]; none = remove all.
    pub keep: [bool; 2],
    /// How long to wait for the peer to come back before they go.
    pub restart_time: Duration,
}

impl StaleRoutes {
    /// Whether anything may be kept.
    pub fn any(&self) -> bool {
        self.keep.iter().any(|&k| k)
    }
}

/// Why a ROUTE-REFRESH was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshRefused {
    /// No session.
    NotEstablished,
    /// The peer did not offer the capability, or not the family.
    NotNegotiated,
    /// Too many control messages wait for the socket; try again when it has drained.
    QueueFull,
}
