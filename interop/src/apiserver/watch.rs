//! One watch: a stream of events that resumes, bookmarks, and breaks off where a test says.
//!
//! An event is a line of JSON in a chunk of its own. A selector decides before and after: an object
//! that no longer fits is DELETED for this watch, one that fits now is ADDED.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use super::faults::{Act, Break, Refusal};
use super::http::{self, begin_stream, chunk};
use super::resources::RESOURCES;
use super::store::{Event, News, Stored};
use super::{Shared, lock};

/// A watch looks at least this often whether the server has stopped.
const LOOK: Duration = Duration::from_millis(200);

/// What is watched.
pub(super) struct Watch {
    pub(super) resource: usize,
    pub(super) selector: Selector,
    /// Begin after this version; `None`: with all there is.
    pub(super) from: Option<u64>,
    pub(super) bookmarks: bool,
    /// `sendInitialEvents`: say where the initial ones end.
    pub(super) marks_initial: bool,
    pub(super) timeout: Duration,
}

/// Which objects.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    pub(super) namespace: Option<String>,
    /// `metadata.name=` of the field selector.
    pub(super) name: Option<String>,
    /// Terms of the label selector: key, and the value that must (or with `false` must not) be
    /// there; no value stands for any.
    pub(super) labels: Vec<(String, Option<String>, bool)>,
}

impl Selector {
    pub(super) fn takes(&self, object: &Stored) -> bool {
        let (namespace, name) = &object.name;
        let labels = &object.value["metadata"]["labels"];
        self.namespace
            .as_ref()
            .is_none_or(|wanted| wanted == namespace)
            && self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.labels.iter().all(|(key, value, must)| {
                let found = labels[key].as_str();
                let fits = match value {
                    Some(value) => found == Some(value.as_str()),
                    None => found.is_some(),
                };
                fits == *must
            })
    }
}

/// Writes the stream until it ends.
pub(super) fn run(
    shared: &Shared,
    stream: &mut TcpStream,
    watch: &Watch,
    fault: Option<&Act>,
) -> io::Result<()> {
    let store = &shared.store;
    let _counted = store.watching();
    let started = Instant::now();
    let seen = store.strikes();
    begin_stream(stream)?;
    let mut cursor = match watch.from {
        Some(version) => version,
        None => {
            let (objects, version) = store.list(watch.resource);
            for object in objects.iter().filter(|object| watch.selector.takes(object)) {
                send(stream, &line("ADDED", &object.json), fault)?;
            }
            if watch.marks_initial {
                send(stream, &bookmark(watch.resource, version, true), fault)?;
            }
            version
        }
    };
    let every = lock(&shared.settings).bookmark_every;
    let mut marked = Instant::now();
    while shared.is_open() && started.elapsed() < watch.timeout {
        let left = watch.timeout.saturating_sub(started.elapsed());
        match store.news(watch.resource, cursor, seen, LOOK.min(left)) {
            News::Events(events, version) => {
                for event in events {
                    if let Some(line) = told(&watch.selector, &event) {
                        send(stream, &line, fault)?;
                    }
                }
                cursor = version;
            }
            News::Gone => {
                send(stream, &error(&Refusal::gone()), fault)?;
                break;
            }
            News::Struck(how) => return struck(shared, stream, how),
        }
        if watch.bookmarks && marked.elapsed() >= every {
            marked = Instant::now();
            send(stream, &bookmark(watch.resource, cursor, false), fault)?;
        }
    }
    stream.write_all(chunk("").as_bytes())
}

fn send(stream: &mut TcpStream, line: &str, fault: Option<&Act>) -> io::Result<()> {
    let text = chunk(line);
    match fault {
        Some(Act::Drip(len, pause)) => http::drip(stream, text.as_bytes(), *len, *pause),
        _ => stream.write_all(text.as_bytes()),
    }
}

fn struck(shared: &Shared, stream: &mut TcpStream, how: Break) -> io::Result<()> {
    // Half a line of what an event looks like, in a chunk that promises more.
    let half = "1000\r\n{\"type\":\"MODIFIED\",\"object\":{\"kind\":\"Ser";
    match how {
        Break::Gone => stream.write_all(chunk(&error(&Refusal::gone())).as_bytes())?,
        Break::Error => stream.write_all(chunk(&error(&Refusal::broken())).as_bytes())?,
        Break::Reset => {
            stream.write_all(half.as_bytes())?;
            http::reset(stream);
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Break::HalfClose => {
            stream.write_all(half.as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Break::End => {}
        Break::Stall => {
            shared.stall(stream);
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    stream.write_all(chunk("").as_bytes())
}

fn told(selector: &Selector, event: &Event) -> Option<String> {
    let fits = |object: &Option<Arc<Stored>>| {
        object
            .as_ref()
            .filter(|object| selector.takes(object))
            .cloned()
    };
    match (fits(&event.before), fits(&event.after)) {
        (None, None) => None,
        (None, Some(after)) => Some(line("ADDED", &after.json)),
        (Some(_), Some(after)) => Some(line("MODIFIED", &after.json)),
        (Some(before), None) => Some(line("DELETED", &before.json)),
    }
}

fn line(kind: &str, object: &str) -> String {
    format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n")
}

fn error(refusal: &Refusal) -> String {
    line("ERROR", &refusal.status().to_string())
}

fn bookmark(resource: usize, version: u64, is_end: bool) -> String {
    let resource = &RESOURCES[resource];
    let mut object = json!({
        "kind": resource.kind,
        "apiVersion": resource.api_version(),
        "metadata": { "resourceVersion": version.to_string(), "creationTimestamp": null },
    });
    if is_end {
        object["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
    }
    line("BOOKMARK", &object.to_string())
}
