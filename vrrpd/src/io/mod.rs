//! Sockets, timers and the kernel around the [`crate::node::Node`].
//!
//! One thread, one turn after the other: read every socket until it is empty, do what is due, carry
//! out what the routers ask for, sleep until the next deadline or the next packet. Reading first
//! is what keeps a process that stood still from taking unread adverts for silence.
//!
//! - [`caps`] gives up what root has and nobody here needs,
//! - [`driver`] is that loop,
//! - [`segment`] is the raw socket of one link and family,
//! - [`host`] is the seam between the driver and Linux,
//! - [`holder`] decides which virtual addresses are on links and refreshes their lifetime,
//! - [`keeper`] is the thread that writes them,
//! - [`routes`] are there while an instance is master,
//! - [`chronicle`] keeps the history on disk,
//! - [`notices`] runs the programs of `notify`,
//! - [`files`] opens what the daemon itself wrote,
//! - [`estate`] is what a process leaves to its successor,
//! - [`alarm`] wakes with the precision of the kernel's timers,
//! - [`realtime`] asks for real-time scheduling,
//! - [`sockopt`] is the only place for `unsafe`.

pub mod accept;
pub mod alarm;
pub mod caps;
pub mod chronicle;
pub mod driver;
pub mod estate;
pub mod files;
pub mod holder;
pub mod host;
pub mod keeper;
pub mod notices;
pub mod realtime;
pub mod routes;
pub mod segment;
pub mod shared;
pub mod sockopt;
pub mod vmac;
