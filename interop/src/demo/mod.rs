//! The demo: a rack's two routers and three nodes, played live or as a check.
//!
//! [`stage`] builds the lab: `tor1` (FRR) and `tor2` (BIRD), each with an external session to
//! `node1`, `node2` and `node3`, which run `wayfare-bgpd` and form a mesh among themselves; and a
//! stranger who knows the address of `tor1` but not its key. [`script`] is what happens, step by
//! step, each step with a condition read from the routers and the time it took. [`screen`] draws
//! the same while it happens. Nothing is staged for the eye: the headless run executes the very
//! steps and fails where one of them does.

pub mod screen;
pub mod script;
pub mod stage;
