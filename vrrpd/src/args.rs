//! The command line of `wayfare-vrrpd`, the sibling of bgpd's.
//!
//! Few options on purpose: whatever can change while the daemon runs belongs in the configuration.
//! A usage error exits 2, which is what clap does by itself; `--check` exits 0 or 78.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Where the daemon looks for its configuration unless told otherwise.
pub const CONFIG_DEFAULT: &str = "/etc/wayfare/vrrpd.toml";

/// The VRRP daemon of the Wayfare suite.
#[derive(Debug, Clone, Parser)]
#[command(name = "wayfare-vrrpd", version, about, long_about = None)]
pub struct Args {
    /// Configuration file
    #[arg(long, value_name = "FILE", default_value = CONFIG_DEFAULT)]
    pub config: PathBuf,
    /// Control socket
    #[arg(long, value_name = "PATH", default_value = ctl::VRRPD_SOCKET)]
    pub socket: PathBuf,
    /// How log lines look on standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Read and validate the configuration, print every error, and exit
    #[arg(long)]
    pub check: bool,
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
        let args = Args::parse_from(["wayfare-vrrpd"]);
        assert_eq!(args.config, PathBuf::from("/etc/wayfare/vrrpd.toml"));
        assert_eq!(args.socket, PathBuf::from("/run/wayfare/vrrpd.sock"));
    }
}
