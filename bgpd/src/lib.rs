//! `bgpd`: the BGP speaker of Wayfare as a library; `wayfare-bgpd` only wires it.
//!
//! The parts know as little of each other as they can:
//!
//! - [`config`] turns a file into a resolved configuration and two configurations into a plan,
//! - [`overlay`] lays what the cluster wants over the file's configuration,
//! - [`session`] is the sans-IO machine of one neighbor (RFC 4271 §8), without sockets or clocks,
//! - [`state`] is the file in which pool addresses in use survive a restart,
//! - [`origin`] knows which routes start here: advertised prefixes and address pools,
//! - [`engine`] is the tables as the speaker sees them, wherever they live,
//! - [`speaker`] assembles peers, tables and origins into one step machine a simulator can run,
//! - `kubernetes` reads objects from an API server or from manifests (feature `kubernetes`),
//! - [`io`] gives that machine sockets, timers and the kernel,
//! - `gate` asks the dataplane whether it forwards what is to be announced,
//! - `planning` runs the rules of `cluster` on a thread beside the speaker,
//! - `report` tells the cluster what is true of this node,
//! - [`control`] answers the operator,
//! - [`daemon`] starts and stops all of it.

pub mod args;

pub mod config;

pub mod control;

pub mod daemon;

pub mod engine;

pub mod event;

#[cfg(feature = "kubernetes")]
pub mod gate;

pub mod io;

#[cfg(feature = "kubernetes")]
pub mod kubernetes;

#[cfg(all(test, feature = "kubernetes"))]
mod narrow_proc;

pub mod origin;

pub mod overlay;

#[cfg(feature = "kubernetes")]
pub mod planning;

#[cfg(feature = "kubernetes")]
pub mod report;

pub mod session;

pub mod speaker;

pub mod state;
