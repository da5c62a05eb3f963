//! Where the objects come from: the API server, a folder of manifests, or the last run.
//!
//! A [`Source`] is a thread of its own with a runtime of its own, so that a list of ten thousand
//! objects never delays a keepalive. It hands over [`Batch`]es of [`cluster::Change`]s in the order
//! in which they became true, over a bounded channel. When the channel is full the source waits
//! and reads no further: TCP then slows the API server down, and nothing is lost or reordered.
//!
//! What it promises:
//!
//! - The snapshot of the last run comes first ([`Progress::Restoring`]), before the API server is
//!   asked, so a restart announces the same set although the API server is away.
//! - Nothing is removed before the complete list of its kind was read; an API server that is away,
//!   lies, or refuses takes nothing out.
//! - [`Progress::Synced`] comes once every kind was listed completely or is off (forbidden, or its
//!   CRD is absent), and stays. Until then End-of-RIB is to be held back.
//! - An object that cannot be read is a [`cluster::Fault`] of its own; all others go on.
//! - Memory is bounded whatever the server sends.
//!
//! Rooms: `kinds` (what is asked for), `machine` (list and watch, without sockets or clocks),
//! `listing` and `watching` (objects out of a stream of bytes), `requests` (paths and refusals),
//! `reduce` (what is kept of an object), `shelf` (what is known, and what a list lacks), `hub`
//! (what feeds share), `store` (the snapshot on disk), `client` (kubeconfig, tokens, TLS), `feed`
//! (the requests), `folder` and `manifest` (files instead).

pub(crate) mod client;
mod feed;
mod folder;
mod hub;
mod kinds;
mod listing;
mod machine;
mod manifest;
mod reduce;
mod requests;
#[cfg(test)]
mod role_tests;
mod shelf;
mod source;
mod status;
mod store;
mod watching;

use std::collections::BTreeSet;
use std::path::PathBuf;

use cluster::object::ObjectName;
use cluster::{Change, DialectName};

pub use self::source::Source;
pub use self::status::{FeedState, FeedStatus, FileFault, SnapshotStatus, Status};

/// Where objects are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An API server: that of this kubeconfig, else that of the pod's service account.
    Api {
        /// The file; `None` = in-cluster.
        kubeconfig: Option<PathBuf>,
    },
    /// Manifests in this folder: `*.yaml`, `*.yml`, `*.json`.
    Folder(PathBuf),
}

impl Origin {
    /// Reads the configuration's `from` (`api` or `dir:///PATH`) and `kubeconfig`.
    ///
    /// # Errors
    /// What `from` may be.
    pub fn parse(from: &str, kubeconfig: Option<PathBuf>) -> Result<Self, String> {
        match from.strip_prefix("dir://") {
            Some(path) if path.starts_with('/') => Ok(Self::Folder(path.into())),
            None if from == "api" => Ok(Self::Api { kubeconfig }),
            _ => Err(format!("\"{from}\": write \"api\" or \"dir:///PATH\"")),
        }
    }
}

/// What a source needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceConfig {
    /// Where objects are read.
    pub origin: Origin,
    /// Whose kinds are read.
    pub dialects: Vec<DialectName>,
    /// Where the snapshot is kept; `None` = nowhere. See [`state_directory`].
    pub state_directory: Option<PathBuf>,
    /// The node, which the snapshot names: that of another is not taken for its own.
    pub node: String,
    /// Secrets that are read from the start, see [`Source::want_secrets`].
    pub secrets: BTreeSet<ObjectName>,
}

/// How far the source is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// These are objects of the last run; more of them may come.
    #[default]
    Restoring,
    /// All objects of the last run are there; the lists are under way.
    Listing,
    /// Every kind was listed completely or is off. It does not go back.
    Synced,
}

/// Some changes, in order.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// What happened; may be empty when only `progress` did.
    pub changes: Vec<Change>,
    /// How far the source is, these changes included.
    pub progress: Progress,
}

impl Batch {
    /// Whether End-of-RIB may be sent as far as the source is concerned.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.progress == Progress::Synced
    }
}

/// The name of this node's object: as configured, else `$NODE_NAME`, else the host name in lower
/// case as the kubelet registers it.
#[must_use]
pub fn node_name(configured: Option<&str>) -> String {
    let given = configured.map(str::to_owned);
    let from_environment = || std::env::var("NODE_NAME").ok();
    given
        .or_else(from_environment)
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| nix::unistd::gethostname().ok()?.into_string().ok())
        .unwrap_or_default()
        .to_lowercase()
}

/// Where the snapshot is kept: `$STATE_DIRECTORY` (the first, if systemd names several), else
/// `/var/lib/wayfare`.
#[must_use]
pub fn state_directory() -> PathBuf {
    let named = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    match named.split(':').next() {
        Some(first) if !first.is_empty() => first.into(),
        _ => "/var/lib/wayfare".into(),
    }
}
