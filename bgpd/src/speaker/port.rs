//! What crosses the border between the speaker and whoever gives it a network.
//!
//! The speaker never touches a socket. It asks for connections, keys and kernel changes by the
//! [`Action`]s of this module, and the world (the tokio driver in production, a model network in
//! the simulator) answers by calling the speaker's `handle_*` methods. Everything here is plain
//! data: an action can be logged, compared and replayed.
//!
//! Keys are secrets: [`Md5Key`] prints as dots.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;

/// Names one TCP connection, or one attempt at it, of the whole speaker; never used twice.
pub use crate::session::ConnId;

/// The key of TCP-MD5 (RFC 2385), at most 80 bytes as the kernel takes them.
#[derive(Clone, PartialEq, Eq)]
pub struct Md5Key(Arc<[u8]>);

impl Md5Key {
    /// Wraps the bytes of a key file, line end already gone.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    /// The key itself, for the system call.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Md5Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Md5Key(…)")
    }
}

/// What a connection needs beyond an address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SocketOptions {
    /// TTL or hop limit of what we send; `None` leaves the system's default.
    pub ttl: Option<u8>,
    /// Least TTL or hop limit of what we accept (GTSM, RFC 5082 §3).
    pub ttl_min: Option<u8>,
    /// Key for every segment, both ways. On accepted connections the listener's key applies.
    pub md5_key: Option<Md5Key>,
}

/// A connection to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest {
    /// The name the outcome is reported under.
    pub conn: ConnId,
    /// Whom to dial.
    pub remote: SocketAddr,
    /// The interface of a link-local address.
    pub interface: Option<String>,
    /// The source address, when the configuration names one.
    pub local: Option<IpAddr>,
    /// Hop limits and key.
    pub options: SocketOptions,
}

/// What to do with an incoming connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// A neighbor: run the connection under this name.
    Accepted {
        /// The name of the new connection.
        conn: ConnId,
        /// Hop limits to set on the accepted socket.
        options: SocketOptions,
    },
    /// Nobody we know; close it.
    Refused,
}

/// What the speaker wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Dial.
    Connect(ConnectRequest),
    /// Send the farewell after what was already handed out, then close; or give up the attempt.
    Close {
        /// Which connection. The speaker has forgotten it; later events for it are ignored.
        conn: ConnId,
        /// The last bytes, ending in the NOTIFICATION if there is one.
        farewell: Bytes,
        /// Reset instead of an orderly close: the other side does not read anyway.
        abort: bool,
    },
    /// Listen on exactly these addresses.
    Listen(Vec<SocketAddr>),
    /// Require this key on connections from the prefix, or none.
    ListenKey {
        /// Source addresses the key is for; a host prefix for a neighbor.
        prefix: IpNet,
        /// The key, or `None` to take it away.
        key: Option<Md5Key>,
    },
    /// Watch (or no longer watch) how this next hop is reached.
    TrackNextHop {
        /// The next hop.
        address: IpAddr,
        /// Start or stop.
        on: bool,
    },
    /// Write to the kernel as this says from now on; `None` writes nothing.
    Kernel(Option<crate::config::Kernel>),
    /// The tables are back after a start: what the kernel still holds of the last life may go.
    ResyncComplete,
}
