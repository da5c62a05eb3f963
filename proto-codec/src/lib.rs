//! Wire codecs of the Wayfare suite: bytes to types and back, no I/O, no clock.

pub mod control;
pub mod mrt;
