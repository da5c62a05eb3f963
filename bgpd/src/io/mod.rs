//! Sockets, timers and the kernel for the speaker: everything here waits, nothing here decides.
//!
//! One thread runs one tokio runtime, and on it a set of local tasks share one [`node::Node`],
//! which owns the speaker. A task borrows the speaker for one step and never across an `await`, so
//! there are no locks, no channels between socket and speaker, and no copies of routes on the way:
//!
//! - a *reader* per connection hands bytes straight into the speaker. A step that takes long delays
//!   the next read, and so TCP itself throttles the sender;
//! - a *writer* per connection pulls messages while the socket takes them, never more than a fixed
//!   amount ahead, so a slow neighbor costs nothing and a KEEPALIVE never waits behind a table;
//! - *listeners* accept, *connectors* dial, and the *driver* turns timeouts and actions into steps.
//!
//! `listings` bounds what answers to operators take of the thread meanwhile.
//!
//! `sockopt` holds the socket options that need a system call nobody wraps (RFC 2385, RFC 5082).

#[cfg(feature = "kubernetes")]
pub mod cluster;
#[cfg(not(feature = "kubernetes"))]
#[path = "no_cluster.rs"]
pub mod cluster;
pub mod conn;
pub mod connector;
pub mod driver;
pub mod events;
pub mod kernel;
pub mod listener;
pub mod listings;
pub mod node;
pub mod reader;
pub mod sockopt;
pub mod writer;
