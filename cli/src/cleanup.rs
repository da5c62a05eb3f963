//! `cleanup`: takes everything of ours out of the kernel.
//!
//! Ours is what carries our numbers and names: routes and next hops with the protocol number of
//! bgpd's configuration (`[kernel] protocol`, 186 when nothing else is written); addresses and
//! routes with vrrpd's number, 112, its links with virtual MACs and its table of nftables. A
//! daemon that runs would put everything back at once, and a master would lose what clients speak
//! to, so daemons are looked for first: whoever is on a socket must be stopped, and a vrrpd of this
//! network namespace whatever its socket is.

use std::io::{self, Write};

use ctl::client::Client;
use ctl::sole::Sole;
use rib::fib::KernelConfig;
use rib::netlink::hosts::{HostAddresses, snapshot};
use rib::netlink::links::cleanup_links;
use rib::netlink::nft::{TABLE, cleanup_filter};

use crate::grammar::Kernel;
use crate::run::{Daemon, EXIT_CONFIG, EXIT_FAILED, Failure, Settings};

/// Where the daemon's configuration is installed.
const CONFIG_DEFAULT: &str = "/etc/wayfare/bgpd.toml";

/// Protocol number of vrrpd's addresses and routes.
const VRRP_PROTOCOL: u8 = 112;

/// Cleans up and says what was deleted.
///
/// # Errors
/// A daemon runs, the configuration cannot be read, or the kernel refuses.
pub fn run(
    whose: Kernel,
    config: Option<&str>,
    settings: &Settings,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (bgp, vrrp) = match whose {
        Kernel::Bgp => (true, false),
        Kernel::Vrrp => (false, true),
        Kernel::All => (true, true),
    };
    for (concerned, daemon) in [(bgp, Daemon::Bgpd), (vrrp, Daemon::Vrrpd)] {
        if concerned {
            is_stopped(daemon, settings)?;
        }
    }
    // Whatever socket another may have; and none may start meanwhile.
    let _sole = match vrrp {
        true => Some(Sole::take(ctl::VRRPD_NAME).map_err(|error| {
            let text = format!("% {error} and would put everything back; stop it first");
            Failure::new(EXIT_FAILED, text)
        })?),
        false => None,
    };
    let mut refused = 0;
    if bgp {
        refused += routes(&kernel_config(config)?, out)?;
    }
    if vrrp {
        refused += addresses(out)?;
        refused += links(out)?;
        let kernel = KernelConfig {
            protocol: VRRP_PROTOCOL,
            ..KernelConfig::default()
        };
        refused += routes(&kernel, out)?;
    }
    if refused > 0 {
        let text = format!("% the kernel refused to delete {refused}; are you root?");
        return Err(Failure::new(EXIT_FAILED, text));
    }
    Ok(())
}

/// Only nobody on the socket is a daemon that does not run: one of another release is one, and so
/// may be one that cannot be asked.
fn is_stopped(daemon: Daemon, settings: &Settings) -> Result<(), Failure> {
    let name = daemon.name();
    let text = match Client::connect(&settings.socket_of(daemon)) {
        Err(error) if error.is_absent() => return Ok(()),
        Ok(_) => format!("% wayfare-{name} is running and would put everything back"),
        Err(error) => format!("% whether wayfare-{name} is running is not known: {error}"),
    };
    Err(Failure::new(EXIT_FAILED, format!("{text}; stop it first")))
}

/// Routes and next hops of one protocol number; how many were refused.
fn routes(kernel: &KernelConfig, out: &mut dyn Write) -> Result<usize, Failure> {
    let report = rib::netlink::cleanup(kernel).map_err(|error| of_kernel(&error))?;
    writeln!(
        out,
        "{} routes, {} next hop groups and {} next hops of protocol {} removed",
        report.routes, report.groups, report.next_hops, kernel.protocol
    )?;
    Ok(report.refused)
}

/// Virtual addresses; how many were refused.
fn addresses(out: &mut dyn Write) -> Result<usize, Failure> {
    let (_, addresses) = snapshot().map_err(|error| of_kernel(&error))?;
    let ours = addresses.iter().filter(|one| one.protocol == VRRP_PROTOCOL);
    let list: Vec<_> = ours.map(|one| (one.index, one.network)).collect();
    let refused = HostAddresses::open(VRRP_PROTOCOL)
        .and_then(|mut writer| writer.remove(&list))
        .map_err(|error| of_kernel(&error))?;
    let removed = list.len() - refused.len();
    writeln!(
        out,
        "{removed} addresses of protocol {VRRP_PROTOCOL} removed"
    )?;
    Ok(refused.len())
}

/// Links with virtual MACs, and the rules of `accept = false`; how many were refused.
fn links(out: &mut dyn Write) -> Result<usize, Failure> {
    let (removed, refused) = cleanup_links().map_err(|error| of_kernel(&error))?;
    writeln!(out, "{removed} links of virtual MACs removed")?;
    match cleanup_filter() {
        Ok(true) => writeln!(out, "table {TABLE} of nftables removed")?,
        Ok(false) => {}
        // A kernel without nftables has no rules of ours.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(of_kernel(&error)),
    }
    Ok(refused)
}

fn of_kernel(error: &io::Error) -> Failure {
    Failure::new(EXIT_FAILED, format!("% the kernel: {error}"))
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
