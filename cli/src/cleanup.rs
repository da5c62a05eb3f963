//! `cleanup`: takes every route and next hop of ours out of the kernel.
//!
//! Ours is what carries the protocol number of the configuration (`[kernel] protocol`, 186 when
//! nothing else is written). A daemon that runs would put everything back at once, so it is asked
//! for first: who answers on the socket must be stopped.

use std::io::{self, Write};
use std::path::Path;

use ctl::client::Client;
use rib::fib::KernelConfig;

use crate::run::{EXIT_CONFIG, EXIT_FAILED, Failure};

/// Where the daemon's configuration is installed.
const CONFIG_DEFAULT: &str = "/etc/wayfare/bgpd.toml";

/// Cleans up and says what was deleted.
///
/// # Errors
/// The daemon runs, the configuration cannot be read, or the kernel refuses.
pub fn run(config: Option<&str>, socket: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    if Client::connect(socket).is_ok() {
        let text = "% wayfare-bgpd is running and would put everything back; stop it first";
        return Err(Failure::new(EXIT_FAILED, text));
    }
    let kernel = kernel_config(config)?;
    let report = rib::netlink::cleanup(&kernel)
        .map_err(|error| Failure::new(EXIT_FAILED, format!("% the kernel: {error}")))?;
    writeln!(
        out,
        "{} routes, {} next hop groups and {} next hops of protocol {} removed",
        report.routes, report.groups, report.next_hops, kernel.protocol
    )?;
    if report.refused > 0 {
        let text = format!(
            "% the kernel refused to delete {}; are you root?",
            report.refused
        );
        return Err(Failure::new(EXIT_FAILED, text));
    }
    Ok(())
}

/// The kernel settings of the configuration. Only two numbers matter here, so a file that has other
/// faults does not stop a cleanup.
fn kernel_config(file: Option<&str>) -> Result<KernelConfig, Failure> {
    let mut kernel = KernelConfig::default();
    let name = file.unwrap_or(CONFIG_DEFAULT);
    let text = match std::fs::read_to_string(name) {
        Ok(text) => text,
        Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok(kernel);
        }
        Err(error) => return Err(Failure::new(EXIT_CONFIG, format!("% {name}: {error}"))),
    };
    let table: toml::Table = text
        .parse()
        .map_err(|error| Failure::new(EXIT_CONFIG, format!("% {name}: {error}")))?;
    let number = |key: &str| table.get("kernel")?.get(key)?.as_integer();
    if let Some(protocol) = number("protocol").and_then(|number| u8::try_from(number).ok()) {
        kernel.protocol = protocol;
    }
    if let Some(id) = number("table").and_then(|number| u32::try_from(number).ok()) {
        kernel.table = id;
    }
    Ok(kernel)
}
