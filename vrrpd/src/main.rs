//! `wayfare-vrrpd`, the VRRP daemon: its place in the layout, held until the state machine lands.
//!
//! This version routes with BGP only. Rather than pretend, the binary says so and exits with 1, so
//! that a unit that starts it by mistake fails visibly and no virtual address is believed held.

use std::process::ExitCode;

use clap::Command;

fn main() -> ExitCode {
    let command = Command::new("wayfare-vrrpd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("VRRP daemon of the Wayfare suite (not in this version)");
    command.get_matches();
    eprintln!(
        "wayfare-vrrpd: VRRP is not in version {}: no virtual address is held by this process",
        env!("CARGO_PKG_VERSION")
    );
    ExitCode::FAILURE
}
