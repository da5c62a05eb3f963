//! A load tool that is fair to whoever is measured: UPDATEs ready before the clock starts,
//! receivers that never block, and a look at what arrived after the clock has stopped.
//!
//! * [`bench`]: what a workload is ([`bench::Shape`]), what a run yields, what is demanded.
//! * [`shapes`]: the workloads, one file each; [`catalog`]: by key; [`table`]: a million prefixes.
//! * [`daemon`] and [`dialect`]: who is measured, and how each is told the same; [`ground`]: the
//!   link.
//! * [`fleet`]: all BGP speakers of a run in one thread; [`expect`]: what has to arrive, and the
//!   comparison; [`race`]: the clock. [`speaker`]: one session, for tests.
//! * [`recording`]: a real table and a real day; [`operator`]: who asks while the daemon works;
//!   [`kernel_table`]: the kernel's routes, read and written without a daemon.
//! * [`runner`]: rounds and medians; [`report`]: tables and verdicts; [`record`]: what is kept.
//!
//! The daemon runs in a node of the lab, everything else outside of it. Nothing writes kernel
//! routes where that is not the workload, nothing filters, no advertisement is delayed on purpose.

pub mod bench;
pub mod catalog;
pub mod daemon;
pub mod dialect;
pub mod expect;
pub mod fleet;
pub mod ground;
pub mod kernel_table;
pub mod operator;
pub mod race;
pub mod record;
pub mod recording;
pub mod report;
pub mod runner;
pub mod shapes;
pub mod speaker;
pub mod table;
