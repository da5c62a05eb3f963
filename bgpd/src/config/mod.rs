//! `bgpd.toml`: read, check, resolve, compare.
//!
//! The way of a file: text → `raw` (a TOML tree with spans, read field by field; unknown keys
//! named with the nearest known one) → `validate` (what is wrong with the file as a whole) →
//! `resolve` (groups, mesh, defaults, and what is wrong with one neighbor) → [`Config`]. All
//! faults of all stages come out at once; a file with one error yields no `Config` at all, so a
//! reload is all or nothing.
//!
//! Nothing here looks at the machine: addresses, host name and cores come in as [`Host`], so the
//! same text gives the same result in a test. The exception is `password-file`, which is read
//! while checking, because a key that cannot be read must be found before the reload and not
//! when the session next comes up.

mod clusters;
mod host;
mod kube_router;
mod kubernetes;
mod model;
mod overlap;
mod plan;
mod policy;
mod raw;
mod resolve;
mod settings;
mod validate;
mod values;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use ctl::config::{Dialect, Sink, Table, read_text};
use rib::policy::{ACCEPT_ALL, REJECT_ALL};
use toml::de::DeTable;

pub use ctl::config::{Diagnostic, Diagnostics, Severity};
pub use host::{Host, HostAddress};
pub use kubernetes::{
    ClusterPart, FileGives, GateWord, Kubernetes, NeighborObject, ObjectSource, Templates,
};
pub use model::*;
pub use plan::{Change, Impact, Plan};

use settings::Scope;

/// What other daemons' files call our keys, and what ours looks like.
const DIALECT: Dialect = Dialect {
    elsewhere: &[
        ("remote-as", "asn"),
        ("peer-as", "asn"),
        ("peer-asn", "asn"),
        ("my-asn", "asn"),
        ("peer-address", "address"),
        ("source-address", "local-address"),
        ("update-source", "local-address"),
        ("password", "password-file"),
        ("peer-port", "port"),
        ("multihop", "ebgp-multihop"),
        ("maximum-prefix", "max-prefixes"),
    ],
    value_cure: "names, addresses and durations go in quotes: hold-time = \"90s\"",
    header_cure: "a section begins with [router] or, where it repeats, [[neighbor]]",
};

/// A configuration and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings, in the order of the file; empty when there is nothing to say.
    pub warnings: Diagnostics,
}

/// Reads and resolves the file at `path`.
///
/// # Errors
/// Every fault of the file, and the warnings with them; print it and exit with 78, or keep the
/// running configuration.
pub fn load(path: &Path, host: &Host) -> Result<Loaded, Diagnostics> {
    load_with(path, host, None)
}

/// The same, with the AS that is ours if the file does not say it.
///
/// # Errors
/// As [`load`].
pub fn load_with(path: &Path, host: &Host, asn: Option<u32>) -> Result<Loaded, Diagnostics> {
    let name = path.display().to_string();
    let text = read_text(path)?;
    parse_with(&name, &text, host, asn)
}

/// Resolves `text`, which is called `name` in messages. Relative key files are relative to the
/// directory of `name`.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, host: &Host) -> Result<Loaded, Diagnostics> {
    parse_with(name, text, host, None)
}

fn parse_with(
    name: &str,
    text: &str,
    host: &Host,
    asn: Option<u32>,
) -> Result<Loaded, Diagnostics> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let sink = Sink::new(name, text, &DIALECT);
    let span = document.span();
    let mut raw = raw::read(Table::new("", document.get_ref(), span, &sink));
    validate::validate(&raw, host, &sink);
    clusters::expand(&mut raw, &sink);
    let router = raw.router.as_ref();
    let listen = router.and_then(|table| table.listen.as_ref());
    let scope = Scope {
        sink: &sink,
        host,
        directory: Path::new(name).parent().unwrap_or(Path::new("")).to_owned(),
        asn: router
            .and_then(|table| table.asn.as_ref())
            .map(|at| at.value.0)
            .or(asn),
        listens: listen.is_none_or(|list| !list.value.is_empty()),
        policies: raw
            .policies
            .iter()
            .map(|policy| policy.name.value.as_str())
            .filter(|name| !["", ACCEPT_ALL, REJECT_ALL].contains(name))
            .collect(),
        keys: RefCell::new(BTreeMap::new()),
    };
    let config = resolve::resolve(&raw, &scope);
    let faults = sink.finish(&syntax);
    match faults.has_errors() {
        true => Err(faults),
        false => Ok(Loaded {
            config,
            warnings: faults,
        }),
    }
}
