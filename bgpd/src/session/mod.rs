//! The sans-IO machine of one neighbor: RFC 4271 §8 without sockets, clocks or a runtime.
//!
//! [`Peer`] owns everything one neighbor's sessions need: the state, up to two connections until a
//! collision is resolved, the timers, the counters. It is driven by four kinds of method:
//!
//! - `handle_*` takes input: commands, events of sockets, whole messages, the passing of time;
//! - `poll_*` yields output until it says `None`;
//! - getters show the state; none of them changes anything;
//! - [`Peer::update_config`] replaces the configuration and says what that means.
//!
//! After any `handle_*`, poll in this order: [`Peer::poll_action`] until `None` (they are in the
//! order in which things happened), then [`Peer::poll_transmit`] for each open connection, then
//! [`Peer::poll_timeout`] to know when to call [`Peer::handle_timeout`]. Bytes of a connection go
//! out in the order in which they are polled, and before any UPDATE that the RIB has ready.
//!
//! The driver owes the machine three things. It calls `handle_timeout` in time even while tables
//! are moving, because KEEPALIVEs are made there. It reports every write by
//! [`Peer::handle_written`], because the send-hold timer (RFC 9687) lives on that. And before it
//! lets the hold timer expire it looks whether the socket has input waiting, and if so says so by
//! [`Peer::handle_input_pending`]: the silence was ours.
//!
//! UPDATEs pass by: [`Peer::handle_frame`] restarts the timers, counts, refuses an UPDATE outside
//! Established, and hands the body straight back. Time and randomness are arguments, so a test (or
//! the simulator) replays a session exactly.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::unreachable
    )
)]

mod admin;
mod api;
pub(crate) mod backoff;
mod collide;
mod config;
mod conn;
mod ending;
mod expiry;
mod link;
mod message;
mod open;
mod peer;
mod restart;
mod state;
mod stats;
mod timers;

pub use api::{
    Action, Command, ConnEvent, ConnId, Disposition, Down, Established, RefreshRefused, Restart,
    StaleRoutes, maximum_prefixes,
};
pub use collide::{Direction, Identity, survivor};
pub use config::{
    AddPathOffer, AsnRule, ConfigEffect, ConfigField, Damping, EstablishedCollision,
    GracefulRestartOffer, Offer, PeerConfig,
};
pub use conn::OUTBOX_MAX;
pub use peer::{Peer, PeerView};
pub use state::{Cause, DownReason, Event, State, Transition};
pub use stats::{HISTORY_MAX, MessageCounts, Stats};
pub use timers::Timer;

#[cfg(test)]
mod tests;
