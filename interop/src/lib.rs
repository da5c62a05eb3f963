//! Interop lab and players: other people's routers, and a speaker of raw bytes, against ours.
//!
//! [`player`] plays a BGP neighbor octet by octet: malformed messages, full tables, updates at
//! full speed, and a strict reader of what comes back.

pub mod player;
