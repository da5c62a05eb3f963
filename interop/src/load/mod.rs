//! A load tool that is fair to whoever is measured: UPDATEs ready before the clock starts,
//! receivers that never block, and a look at what arrived after the clock has stopped.
//!
//! * [`table`]: a million prefixes with the real mix of lengths, 5 to 8 to an attribute set.
//! * [`speaker`]: BGP sessions as told, and one thread that reads all receivers.
//! * [`daemon`]: who is measured, how it is configured, what it used of the machine.
//! * [`shape`]: the workloads, and the figures of one run.
//!
//! The daemon runs in a node of the lab, everything else outside of it. Nothing writes kernel
//! routes, nothing filters, no advertisement is delayed on purpose.

pub mod daemon;
pub mod shape;
pub mod speaker;
pub mod table;
