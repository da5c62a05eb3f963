//! What the kernel should hold, compared with what it holds: the pure half of the kernel side.
//!
//! The reconciler gets three things: what the RIB wants ([`FibChange`]), what the kernel says
//! (links, addresses, routes of everyone, next hop objects, answers to our writes), and the time.
//! It yields the next batch of kernel operations, events and a deadline. It never blocks and does
//! no I/O: `netlink` drives it in production, a fake kernel with faults drives it in tests.
//!
//! Promises: routes and next hop objects of another protocol are never touched; at the first
//! start and after lost notifications the same comparison runs (one code path); a route that is
//! already right is not written again; a foreign change is repaired, but a fight with another
//! daemon slows down instead of spinning.

mod api;
mod audit;
mod batch;
mod hops;
pub mod model;
mod next_hops;
mod observe;
mod reconcile;
mod records;
mod routes;
mod sets;
mod show;
mod view;

pub use api::*;
pub use next_hops::own_ids;
pub use reconcile::{Fib, RESYNC_MAX};
