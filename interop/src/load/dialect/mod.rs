//! The same configuration in each daemon's language.
//!
//! A [`Setup`] says who the neighbors are and whether the daemon reflects between them; everything
//! else is the same for everybody: passive sessions from listed neighbors, hold time 180 s,
//! everything accepted and passed on, no kernel routes unless asked for, no graceful restart, and
//! every delay that a language can name set to its least.

mod bird;
mod frr;
mod gobgp;
mod openbgpd;
mod wayfare;

use std::net::Ipv4Addr;

use super::daemon::Daemon;

/// The daemon's own AS.
pub const ASN: u32 = 65000;
/// Hold time of all sessions: nobody's keepalives matter within a run.
pub const HOLD_TIME_S: u16 = 180;

/// What a daemon is told.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Addresses and AS numbers of the neighbors.
    pub neighbors: Vec<(Ipv4Addr, u32)>,
    /// They are internal clients, and the daemon reflects between them.
    pub reflector: bool,
    /// Routes are written to the kernel (`wayfare-bgpd`, BIRD and OpenBGPD).
    pub kernel: bool,
    /// Paths with an AS_SET are taken, as few daemons do by themselves (RFC 9774).
    pub as_sets: bool,
}

/// The configuration of `daemon` for `setup`.
pub fn config(daemon: &Daemon, setup: &Setup) -> String {
    match daemon {
        Daemon::Wayfare(threads) => wayfare::config(setup, *threads),
        Daemon::Bird3 => bird::config(setup, Some(2)),
        Daemon::Bird2 | Daemon::HostBird(_) => bird::config(setup, None),
        Daemon::Frr => frr::config(setup),
        Daemon::Gobgp => gobgp::config(setup),
        Daemon::Openbgpd => openbgpd::config(setup),
    }
}
