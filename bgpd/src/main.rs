//! `wayfare-bgpd`, the BGP daemon.
//!
//! This file only reads the command line; the life of the daemon is told in `bgpd::daemon`.

use std::process::ExitCode;

use bgpd::args::Args;
use clap::Parser;

fn main() -> ExitCode {
    bgpd::daemon::main(&Args::parse())
}
