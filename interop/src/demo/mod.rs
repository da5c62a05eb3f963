//! The demo: a rack's two routers, three nodes and a control plane, played live or as a check.
//!
//! [`stage`] builds the lab: `tor1` (FRR) and `tor2` (BIRD), each with an external session to
//! `node1`, `node2` and `node3`, which run `wayfare-bgpd` and form a mesh among themselves; and a
//! stranger who knows the address of `tor1` but not its key. [`cluster`] makes
//! services through a Kubernetes API. [`vip`] adds two nodes that share the
//! address of a control plane with `wayfare-vrrpd`, and [`probe`] its client. [`script`] is what
//! happens, step by step, each step with a condition read from the routers and the time it took.
//! [`screen`] draws the same while it happens. Nothing is staged for the eye: the headless run
//! executes the very steps and fails where one of them does.

pub mod cluster;
pub mod probe;
pub mod screen;
pub mod script;
pub mod stage;
pub mod vip;
