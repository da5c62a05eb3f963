//! `track = [...]` of an instance: read, judged, resolved.
//!
//! Each entry names what it asks by one key (`interface`, `tcp`, `http`, `script`, `file`,
//! `process`, `route`, `bgp`); the others say how and what it is worth. What can be known before
//! the reload is looked up here: users, and whether scripts and certificates are there.
//!
//! Defaults: every second, with a patience of two seconds or one interval, the less; three bad
//! answers in a row are bad (`fall`), two good ones are good again (`rise`). What this host knows
//! of itself (all but `tcp`, `http` and `script`) counts at once.

mod entry;
mod lint;
mod target;

use std::collections::BTreeSet;
use std::path::Path;

use ctl::config::{At, Sink, Table};

use super::check::Tracked;
use crate::router::Settings;
use entry::Entry;

/// The entries of an instance as they were read.
pub(super) type RawTrack = Vec<At<Entry>>;

/// Reads the list of `table`; what is wrong with an entry is in the sink, and the entry absent.
pub(super) fn read(table: &Table<'_>) -> RawTrack {
    let entries = table.tables("track").into_iter();
    entries.filter_map(entry::read).collect()
}

/// What the entries come to.
pub(super) fn resolve(
    raw: &[At<Entry>],
    settings: &Settings,
    directory: &Path,
    sink: &Sink,
) -> Vec<Tracked> {
    let mut seen = BTreeSet::new();
    let mut list = Vec::new();
    for at in raw {
        let Some(tracked) = at.value.resolve(directory, sink) else {
            continue;
        };
        if !seen.insert(tracked.check.probe.clone()) {
            let message = format!("{} is tracked twice", tracked.check);
            sink.error(&at.span, message, "leave one of them");
        }
        lint::one(at, &tracked, settings, sink);
        list.push(tracked);
    }
    lint::all(raw, &list, settings, sink);
    list
}
