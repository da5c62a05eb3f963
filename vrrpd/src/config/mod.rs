//! `vrrpd.toml`: read, check, resolve, compare.
//!
//! The way of a file: text → `raw` (field by field, unknown keys named with the nearest known one)
//! → `resolve` (defaults, what is wrong with one instance and with all of them together) →
//! [`Config`]. All faults come out at once; a file with one error yields no `Config`, so a reload
//! is all or nothing. Three lines are enough:
//!
//! ```toml
//! [[instance]]
//! name = "control-plane"
//! addresses = ["10.0.50.20"]
//! ```
//!
//! The interface is then the one of the route to the address, and the vrid its last octet.
//! Looks outside are `auth-file` and `notify`, because a password that
//! cannot be read, or a program that others may change, must be found before the reload.

mod auth;
pub mod check;
mod group;
mod metrics;
mod model;
mod needs;
mod notify;
mod plan;
mod raw;
mod resolve;
mod routes;
mod track;

use std::path::Path;

use ctl::config::{Diagnostics, Dialect, Sink, Table, read_text};
use toml::de::DeTable;

pub use model::{Config, Instance, Place, SyncGroup};
pub use needs::Need;
pub use plan::{Change, Impact, Plan};
pub use routes::VirtualRoute;

/// What keepalived and FRR call our keys, and what ours looks like.
const DIALECT: Dialect = Dialect {
    elsewhere: &[
        ("virtual-router-id", "vrid"),
        ("advert-int", "advertise-interval"),
        ("advertisement-interval", "advertise-interval"),
        ("virtual-ipaddress", "addresses"),
        ("virtual-addresses", "addresses"),
        ("address", "addresses"),
        ("unicast-peer", "unicast-peers"),
        ("use-vmac", "virtual-mac"),
        ("auth-pass", "auth-file"),
        ("password-file", "auth-file"),
        ("vrrp-version", "version"),
        ("virtual-routes", "routes"),
        ("startup-delay", "start-delay"),
    ],
    value_cure: "names, addresses and durations go in quotes: advertise-interval = \"1s\"",
    header_cure: "a section begins with [[instance]] or [[sync-group]]",
};

/// A configuration and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings, in the order of the file.
    pub warnings: Diagnostics,
}

/// Reads and resolves the file at `path`.
///
/// # Errors
/// Every fault of the file; print it and exit with 78, or keep the running configuration.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let text = read_text(path)?;
    parse(&path.display().to_string(), &text)
}

/// Resolves `text`, which is called `name` in messages. Relative key files are relative to the
/// directory of `name`.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str) -> Result<Loaded, Diagnostics> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let sink = Sink::new(name, text, &DIALECT);
    let span = document.span();
    let raw = raw::read(Table::new("", document.get_ref(), span, &sink));
    let directory = Path::new(name).parent().unwrap_or(Path::new(""));
    let config = resolve::resolve(&raw, directory, &sink);
    let faults = sink.finish(&syntax);
    match faults.has_errors() {
        true => Err(faults),
        false => Ok(Loaded {
            config,
            warnings: faults,
        }),
    }
}
