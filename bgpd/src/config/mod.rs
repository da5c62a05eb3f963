//! `bgpd.toml`: read, check, resolve, compare.
//!
//! The way of a file: text → `raw` (a TOML tree with spans, read field by field; unknown keys
//! named with the nearest known one) → `validate` (every semantic error, each with its place and
//! its cure) → `resolve` (groups, mesh, defaults) → [`Config`]. All errors of all stages come out
//! at once; a file with one error yields no `Config` at all, so a reload is all or nothing.
//!
//! Nothing here looks at the machine: addresses, host name and cores come in as [`Host`], so the
//! same text gives the same result in a test. The exception is `password-file`, which is read
//! while checking, because a key that cannot be read must be found before the reload and not
//! when the session next comes up.

mod diagnostic;
mod host;
mod model;
mod plan;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use host::{Host, HostAddress};
pub use model::*;
pub use plan::{Change, Impact, Plan};

/// A configuration and what is worth saying about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings, already carrying their places; empty when there is nothing to say.
    pub warnings: Diagnostics,
}
