//! How the source is doing: for `show kubernetes`, the metrics and the log.
//!
//! Plain values, rewritten in place as things happen and read through [`super::Source::status`].
//! Times are monotonic; who prints them takes them off `now`. The counters never go back while the
//! source lives.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How the source is doing.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The API server's URL, or `dir:///PATH`; empty until it is known.
    pub origin: String,
    /// Every kind was listed completely or is off.
    pub is_synced: bool,
    /// What hinders all kinds, as an unreadable kubeconfig; `None` = nothing.
    pub trouble: Option<String>,
    /// By name, as `nodes` or `bgppeers.metallb.io`.
    pub feeds: BTreeMap<String, FeedStatus>,
    /// The snapshot on disk.
    pub snapshot: SnapshotStatus,
    /// Manifests that could not be read; their last good objects stay.
    pub files: Vec<FileFault>,
    /// Objects in quarantine: their name, and what is wrong.
    pub quarantine: BTreeMap<String, String>,
}

/// How the reading of one kind is doing.
#[derive(Clone, Debug, Default)]
pub struct FeedStatus {
    /// What it is doing.
    pub state: FeedState,
    /// Objects known of the kind, those of the last run included.
    pub objects: usize,
    /// Of them, read in the last run and not seen since.
    pub stale_objects: usize,
    /// The resource version up to which everything is known.
    pub resource_version: String,
    /// A list was read completely at least once.
    pub is_complete: bool,
    /// The last event of an object.
    pub last_event: Option<Instant>,
    /// Since when nothing more is learnt; `None` while the watch runs.
    pub stale_since: Option<Instant>,
    /// Complete lists read.
    pub lists: u64,
    /// Watches opened.
    pub watches: u64,
    /// Events of objects, bookmarks not counted.
    pub events: u64,
    /// Objects in quarantine.
    pub quarantined: usize,
    /// Errors by reason: `connect`, `closed`, `silent`, `unauthorized`, `forbidden`, `absent`,
    /// `expired`, `throttled`, `server`, `malformed`, `unexpected`.
    pub errors: BTreeMap<&'static str, u64>,
    /// The last error, in words.
    pub last_error: Option<String>,
}

impl FeedStatus {
    /// For how long nothing more has been learnt; zero while the watch runs.
    #[must_use]
    pub fn staleness(&self, now: Instant) -> Duration {
        let since = self.stale_since;
        since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// What the reading of a kind is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedState {
    /// It has not begun.
    #[default]
    Starting,
    /// The list is being read.
    Listing,
    /// Changes come as they happen.
    Watching,
    /// Something went wrong (the reason, as in [`FeedStatus::errors`]); it is tried again then.
    Backoff {
        /// Why.
        reason: &'static str,
        /// When it goes on.
        until: Instant,
    },
    /// The kind is not readable: `forbidden`, or `absent` (no CRD). It is asked again then.
    Off {
        /// Why.
        reason: &'static str,
        /// When it is asked again.
        until: Instant,
    },
}

impl FeedState {
    /// One word, for tables and metrics.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Listing => "listing",
            Self::Watching => "watching",
            Self::Backoff { .. } => "backoff",
            Self::Off { .. } => "off",
        }
    }
}

/// The snapshot on disk.
#[derive(Clone, Debug, Default)]
pub struct SnapshotStatus {
    /// Where it is; `None` = none is kept.
    pub path: Option<PathBuf>,
    /// Objects taken from it at the start.
    pub restored: usize,
    /// Objects in it now.
    pub objects: usize,
    /// Its size in octets.
    pub size: u64,
    /// When it was written last.
    pub last_write: Option<Instant>,
    /// Why it could not be read or written, with the cure.
    pub trouble: Option<String>,
}

/// A manifest that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1; 0 = the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub text: String,
}
