//! What a watch says: its lines, each an event, read one at a time.
//!
//! An event is `{"type": T, "object": O}`. ADDED and MODIFIED mean the same to us. A line that is
//! too large is still known by the name in its beginning, and its object goes into quarantine; a
//! line that is no event at all ends the watch, since what it said is lost.

use cluster::object::{Kind, ObjectName};
use serde::Deserialize;
use serde_json::Value;

use super::kinds::object_word;
use super::listing::{Lines, Piece};
use super::reduce::{Reduced, name_in, reduce};
use super::requests::{Refusal, StatusObject};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// An object is there, or is different.
    Put(Box<Reduced>),
    /// An object is gone.
    Remove { name: ObjectName, version: String },
    /// The version up to which all was said.
    Bookmark { version: String },
    /// Something went wrong on the server.
    Error(Refusal),
    /// An object that cannot be read; `None` = no event.
    Broken(Option<ObjectName>),
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    object: Value,
}

/// Reads a watch.
#[derive(Debug)]
pub(super) struct Watching {
    kind: (Kind, &'static str),
    lines: Lines,
}

impl Watching {
    /// A watch of this kind and `apiVersion`.
    pub fn new(kind: (Kind, &'static str)) -> Self {
        Self {
            kind,
            lines: Lines::default(),
        }
    }

    /// Takes bytes in; what they complete comes out.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Said> {
        let mut said = Vec::new();
        let kind = self.kind;
        self.lines.feed(bytes, &mut |piece| {
            said.push(match piece {
                Piece::Whole(line) => read(kind, line),
                Piece::Head(head) => Said::Broken(name_in(head)),
            });
        });
        said
    }
}

fn read(kind: (Kind, &str), line: &[u8]) -> Said {
    let Ok(Line { kind: what, object }) = serde_json::from_slice(line) else {
        return Said::Broken(None);
    };
    match what.as_str() {
        "BOOKMARK" => Said::Bookmark {
            version: version(&object),
        },
        "ERROR" => {
            let said = StatusObject::deserialize(&object).unwrap_or_default();
            Said::Error(Refusal::of(said))
        }
        "ADDED" | "MODIFIED" | "DELETED" => match reduce(kind, object) {
            Ok(object) if object.kind != object_word(kind.0) => Said::Broken(None),
            Ok(object) if what == "DELETED" => Said::Remove {
                name: object.name,
                version: object.version,
            },
            Ok(object) => Said::Put(Box::new(object)),
            Err(_) => Said::Broken(name_in(line)),
        },
        _ => Said::Broken(None),
    }
}

fn version(object: &Value) -> String {
    let meta = object.get("metadata");
    let version = meta.and_then(|meta| meta.get("resourceVersion"));
    version.and_then(Value::as_str).unwrap_or_default().into()
}
