//! A BGP speaker made of raw bytes, to stand on the other side of a daemon under test.
//!
//! It shares no code with `proto-codec`: what it sends is built octet by octet, and what it
//! receives is read by a strict reader of its own, so that a misreading in our codec cannot hide
//! itself. It takes no decisions: it opens a session as told, keeps it alive, sends what it is
//! given and remembers what it was sent.
//!
//! * [`wire`]: messages and attributes from parts (RFC 4271 §4).
//! * [`strict`]: UPDATEs read with every check of RFC 4271, 4760 and 7606, into a [`Table`].
//! * [`session`]: one TCP session, blocking, with a reader thread and conditions to wait for.
//! * [`cases`]: a list of malformed messages and the reactions they must cause; [`own_cases`]: one
//!   of our own.
//! * [`daemon`]: `wayfare-bgpd` as a child process, in this network namespace.
//! * [`feed`]: a table as a router would send it, and what must become of it.
//! * [`namespace`]: a test run again inside a network namespace of its own.
//! * [`rib_file`]: a real table from an MRT file.
//! * [`holders`]: what BIRD and FRR hold of such a table; [`shown`]: attributes in one shape.

pub mod cases;
pub mod daemon;
pub mod feed;
pub mod holders;
pub mod namespace;
pub mod own_cases;
pub mod rib_file;
pub mod session;
pub mod shown;
pub mod strict;
pub mod wire;

pub use session::{Ended, Player};
pub use strict::Table;
