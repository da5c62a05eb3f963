//! Sockets, timers and the kernel around the [`crate::node::Node`].
//!
//! One thread, one turn after the other: read every socket until it is empty, do what is due, carry
//! out what the routers ask for, sleep until the next deadline or the next packet. Reading first
//! is what keeps a process that stood still from taking unread adverts for silence.
//!
//! - [`driver`] is that loop,
//! - [`segment`] is the raw socket of one link and family,
//! - [`holder`] puts virtual addresses on links and refreshes their lifetime,
//! - [`alarm`] wakes with the precision of the kernel's timers,
//! - [`sockopt`] is the only place for `unsafe`.

pub mod alarm;
pub mod driver;
pub mod holder;
pub mod segment;
pub mod shared;
pub mod sockopt;
