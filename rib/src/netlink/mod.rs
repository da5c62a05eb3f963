//! The kernel adapter: netlink sockets on one thread of their own.
//!
//! [`KernelHandle::spawn`] starts the thread; it lives as long as the handle. Only that thread
//! holds netlink sockets, so it is the only one that needs `CAP_NET_ADMIN` (capabilities are per
//! thread on Linux). Commands come in through a bounded queue, events go out through a callback
//! that runs on the thread. All decisions are made by [`crate::fib`]; here are the sockets, the
//! wire format and the event loop.
//!
//! [`hosts`], [`links`] and [`nft`] are for the VRRP daemon, which has no routes to reconcile:
//! addresses with a lifetime, links with a virtual MAC and what is not accepted, on sockets of
//! whatever thread the caller chooses; [`routes`] says whether a prefix is routed.
//!
//! Dropping the handle leaves every route in the kernel: a restart must not cost a packet. What
//! takes them out is [`cleanup`].

mod batch;
mod cleanup;
mod decode;
mod dump;
mod encode;
mod handle;
pub mod hosts;
pub mod links;
pub mod nft;
pub mod routes;
mod socket;
mod wire;
mod worker;

pub use cleanup::{cleanup, interfaces};
pub use handle::{KernelGone, KernelHandle};
