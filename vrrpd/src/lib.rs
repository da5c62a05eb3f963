//! `vrrpd`: virtual addresses that fail over, as a library; `wayfare-vrrpd` only wires it.
//!
//! - [`router`] is one virtual router as a step machine, without sockets or clocks.

pub mod router;
