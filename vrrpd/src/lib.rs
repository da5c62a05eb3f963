//! `vrrpd`: virtual addresses that fail over, as a library; `wayfare-vrrpd` only wires it.
//!
//! - [`config`] turns a file into a resolved configuration and two of them into a plan,
//! - [`control`] answers the operator,
//! - [`daemon`] starts and stops all of it, [`dirs`] says where it keeps files,
//! - [`io`] gives the node sockets, timers and the kernel,
//! - [`metrics`] is what is measured, for `show metrics` and the exporter,
//! - [`node`] is all virtual routers of this host as one step machine,
//! - [`router`] is one virtual router as a step machine, without sockets or clocks,
//! - [`track`] runs the checks of instances on a thread of their own.

pub mod args;

pub mod config;

pub mod control;

pub mod daemon;

pub mod dirs;

pub mod io;

pub mod metrics;

pub mod node;

pub mod router;

pub mod track;

pub mod trust;
