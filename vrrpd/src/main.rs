//! `wayfare-vrrpd`, the VRRP daemon.
//!
//! This file only reads the command line; the life of the daemon is told in `vrrpd::daemon`.

use std::process::ExitCode;

use clap::Parser;
use vrrpd::args::Args;

fn main() -> ExitCode {
    vrrpd::daemon::main(&Args::parse())
}
