//! The snapshot on disk: what the daemon announces again when it starts and no API server answers.
//!
//! `cluster.json` in the state directory is a log of lines, each a JSON value: a header with the
//! version of the format, then objects as they were last read (reduced), and removals. A line that
//! was cut by a crash is dropped with what follows it; all before it counts. Changes are appended
//! together, every [`WRITE_INTERVAL`] or when there are many; when more than half of the file is
//! out of date it is written anew beside the old one and renamed over it. So the cost of an event
//! is the size of one object, and nothing of it stays in memory but where each object lies.
//!
//! The header says whose objects these are: another cluster's or another node's, from an image of
//! a disk or a node that was rebuilt, are not announced.
//!
//! The file is readable by its owner only (0600): it holds the secrets that sessions need for their
//! passwords, and no others, since no others are ever read. Without them a restart with the API
//! server away would have to leave those sessions down.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster::object::{Key, ObjectName};
use serde::{Deserialize, Serialize};

use super::kinds::{kind_of, word_of};
use super::listing::OBJECT_MAX;

/// Changes are written at most this often.
pub(super) const WRITE_INTERVAL: Duration = Duration::from_secs(2);
/// After a failure it is tried again after this.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// No more than this is kept; a cluster that needs more starts without a snapshot.
const FILE_MAX: u64 = 256 << 20;
/// More changes than this are not held until the next write.
const PENDING_SOON: usize = 4 << 20;
/// Changes that could not be written. When full, objects are dropped and their names kept: what a
/// restart then announces is older, until the disk works and they are shown again.
const PENDING_MAX: usize = 16 << 20;
/// A file may be out of date by this much, beside half of its size.
const SLACK: u64 = 1 << 20;
const FILE_NAME: &str = "cluster.json";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(rename = "wayfare-cluster-snapshot")]
    version: u32,
    /// Whose objects these are; `None` = not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<String>,
}

/// The line of a removal; a line of an object has `object` in its place.
#[derive(Serialize)]
struct Removal<'a> {
    kind: &'a str,
    remove: (&'a str, &'a str),
}

/// Where an object's JSON lies.
#[derive(Clone, Copy, Debug)]
struct Spot {
    at: u64,
    len: u64,
}

/// The snapshot on disk.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    /// Whose objects these are.
    of: Option<String>,
    file: Option<File>,
    /// The size of the file, and how much of it is up to date.
    size: u64,
    live: u64,
    spots: BTreeMap<Key, Spot>,
    /// Lines to be appended, with the length of those that are objects.
    pending: BTreeMap<Key, (Option<u64>, Vec<u8>)>,
    pending_size: usize,
    /// Objects that were dropped from it.
    lost: BTreeSet<Key>,
    /// They are to be shown again once the disk works.
    has_lost: bool,
    /// The last write failed.
    is_failing: bool,
    /// Something was written and may not be on the disk yet.
    is_unsynced: bool,
}

impl Store {
    /// The store in this directory, of this cluster and node; nothing is touched yet.
    pub fn at(directory: &Path, of: Option<String>) -> Self {
        Self {
            path: directory.join(FILE_NAME),
            of,
            file: None,
            size: 0,
            live: 0,
            spots: BTreeMap::new(),
            pending: BTreeMap::new(),
            pending_size: 0,
            lost: BTreeSet::new(),
            has_lost: false,
            is_failing: false,
            is_unsynced: false,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Objects in it, and its size.
    pub fn extent(&self) -> (usize, u64) {
        (self.spots.len(), self.size)
    }

    /// Whether something is to be written.
    pub fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether something was put since the file was said to be written.
    pub fn is_new(&self) -> bool {
        self.is_dirty() || self.is_unsynced
    }

    /// Whether this object is there, but not what it is now.
    pub fn lacks(&self, key: &Key) -> bool {
        self.lost.contains(key)
    }

    /// Whether all objects are to be shown again, now that the disk works; said once.
    pub fn take_loss(&mut self) -> bool {
        !self.is_failing && std::mem::take(&mut self.has_lost)
    }

    /// The file, if what was written may not be on the disk yet. To be synced by who may wait.
    pub fn take_unsynced(&mut self) -> Option<File> {
        let is_unsynced = std::mem::take(&mut self.is_unsynced);
        let file = self.file.as_ref().filter(|_| is_unsynced);
        file.and_then(|file| file.try_clone().ok())
    }

    /// Reads what the last run left, oldest first: `Some(json)` is an object, `None` a removal.
    ///
    /// # Errors
    /// It cannot be read, or is of another version. Go on without it; the next write replaces it.
    pub fn load(&mut self, mut each: impl FnMut(Key, Option<&[u8]>)) -> io::Result<()> {
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut reader = BufReader::with_capacity(1 << 16, &file);
        let mut line = Vec::new();
        let mut at = read_line(&mut reader, &mut line)?;
        let header: Header = serde_json::from_slice(&line)
            .map_err(|_| invalid("it is no snapshot of a cluster; it is replaced"))?;
        if header.version != VERSION {
            return Err(invalid("it is of another version; it is replaced"));
        }
        if let (Some(theirs), Some(ours)) = (&header.of, &self.of)
            && theirs != ours
        {
            let text = format!("it is of {theirs}, not of {ours}; it is replaced");
            return Err(invalid(&text));
        }
        self.of = self.of.take().or(header.of);
        while at < FILE_MAX {
            let len = read_line(&mut reader, &mut line)?;
            let Some((key, json)) = parse(&line).filter(|_| line.ends_with(b"\n")) else {
                break;
            };
            let spot = json.map(|(from, to)| (at + from as u64, (to - from) as u64));
            each(key.clone(), json.map(|(from, to)| &line[from..to]));
            self.index(key, spot);
            at += len;
        }
        drop(reader);
        // What was cut by a crash, so that the next line does not continue it.
        file.set_len(at)?;
        self.size = at;
        self.file = Some(file);
        Ok(())
    }

    /// An object is there, or is different.
    pub fn put(&mut self, key: &Key, json: &[u8]) {
        let Some(word) = word_of(key.kind) else {
            return;
        };
        let mut line = Vec::with_capacity(json.len() + 64);
        line.extend_from_slice(head_of(word).as_bytes());
        line.extend_from_slice(json);
        line.extend_from_slice(b"}\n");
        self.push(key.clone(), Some(json.len() as u64), line);
    }

    /// An object is gone.
    pub fn remove(&mut self, key: &Key) {
        let Some(word) = word_of(key.kind) else {
            return;
        };
        let ObjectName { namespace, name } = &key.name;
        let removal = Removal {
            kind: word,
            remove: (namespace, name),
        };
        if let Ok(mut line) = serde_json::to_vec(&removal) {
            line.push(b'\n');
            self.push(key.clone(), None, line);
        }
    }

    /// Writes what is pending.
    ///
    /// # Errors
    /// The directory is missing or full. What is pending stays so; try again after
    /// [`RETRY_INTERVAL`].
    pub fn write(&mut self) -> io::Result<()> {
        let written = self.try_write();
        self.is_failing = written.is_err();
        written
    }

    fn try_write(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.begin()?;
        }
        let added = self.pending_size as u64;
        if self.size + added > FILE_MAX {
            self.rewrite()?;
        }
        if self.size + added > FILE_MAX {
            return Err(invalid("the cluster is too large to be kept on disk"));
        }
        self.append()?;
        if self.size > 2 * self.live + SLACK {
            self.rewrite()?;
        }
        Ok(())
    }

    fn push(&mut self, key: Key, len: Option<u64>, line: Vec<u8>) {
        self.lost.remove(&key);
        self.pending_size += line.len();
        if let Some((_, old)) = self.pending.insert(key, (len, line)) {
            self.pending_size -= old.len();
        }
        if self.pending_size > PENDING_SOON && !self.is_failing {
            // An error is said by the next write that is asked for.
            let _ = self.write();
        }
        if self.pending_size > PENDING_MAX {
            self.shed();
        }
    }

    /// Drops objects until half of the room is free. Removals are short, and stay.
    fn shed(&mut self) {
        let mut size = self.pending_size;
        let lost = &mut self.lost;
        self.pending.retain(|key, (len, line)| {
            let is_kept = len.is_none() || size <= PENDING_MAX / 2;
            if !is_kept {
                size -= line.len();
                lost.insert(key.clone());
            }
            is_kept
        });
        self.pending_size = size;
        self.has_lost = true;
    }

    /// The first line.
    fn header(&self) -> io::Result<Vec<u8>> {
        let header = Header {
            version: VERSION,
            of: self.of.clone(),
        };
        let mut line = serde_json::to_vec(&header)?;
        line.push(b'\n');
        Ok(line)
    }

    fn begin(&mut self) -> io::Result<()> {
        let file = create(&self.path)?;
        let header = self.header()?;
        file.write_all_at(&header, 0)?;
        self.size = header.len() as u64;
        self.live = 0;
        self.spots.clear();
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut bytes = Vec::with_capacity(self.pending_size);
        for (_, line) in self.pending.values() {
            bytes.extend_from_slice(line);
        }
        // At a known place: after a write that failed half-way the next one covers its remains.
        file.write_all_at(&bytes, self.size)?;
        self.is_unsynced = true;
        let mut at = self.size;
        for (key, (len, line)) in std::mem::take(&mut self.pending) {
            let end = at + line.len() as u64;
            // The JSON ends before the last brace and the line's end.
            let spot = len.map(|len| (end - 2 - len, len));
            self.index(key, spot);
            at = end;
        }
        self.size = at;
        self.pending_size = 0;
        Ok(())
    }

    fn index(&mut self, key: Key, spot: Option<(u64, u64)>) {
        let old = match spot {
            Some((at, len)) => {
                self.live += len;
                self.spots.insert(key, Spot { at, len })
            }
            None => self.spots.remove(&key),
        };
        self.live -= old.map_or(0, |old| old.len);
    }

    /// Writes what is up to date to a new file and puts it in the old one's place.
    fn rewrite(&mut self) -> io::Result<()> {
        let Some(old) = &self.file else {
            return Ok(());
        };
        let new_path = self.path.with_extension("json.new");
        let new = create(&new_path)?;
        let mut writer = BufWriter::with_capacity(1 << 16, &new);
        let header = self.header()?;
        writer.write_all(&header)?;
        let mut end = header.len() as u64;
        let mut places = Vec::with_capacity(self.spots.len());
        let mut json = Vec::new();
        for (key, spot) in &self.spots {
            let head = head_of(word_of(key.kind).unwrap_or_default());
            json.resize(usize::try_from(spot.len).unwrap_or(0), 0);
            old.read_exact_at(&mut json, spot.at)?;
            writer.write_all(head.as_bytes())?;
            writer.write_all(&json)?;
            writer.write_all(b"}\n")?;
            places.push(end + head.len() as u64);
            end += head.len() as u64 + spot.len + 2;
        }
        writer.flush()?;
        drop(writer);
        new.sync_all()?;
        fs::rename(&new_path, &self.path)?;
        for (spot, at) in self.spots.values_mut().zip(places) {
            spot.at = at;
        }
        self.size = end;
        self.file = Some(new);
        Ok(())
    }
}

/// What a line of an object begins with.
fn head_of(word: &str) -> String {
    format!("{{\"kind\":\"{word}\",\"object\":")
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// Reads a line with its end; its length, 0 at the end of the file.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    line.clear();
    let most = OBJECT_MAX as u64 + 1024;
    Ok(reader.take(most).read_until(b'\n', line)? as u64)
}

/// The key of a line, and where in it the object lies, if it is not a removal.
fn parse(line: &[u8]) -> Option<(Key, Option<(usize, usize)>)> {
    #[derive(Deserialize)]
    struct Line {
        kind: String,
        remove: Option<(String, String)>,
        object: Option<Object>,
    }
    #[derive(Deserialize)]
    struct Object {
        metadata: Meta,
    }
    #[derive(Deserialize)]
    struct Meta {
        #[serde(default)]
        namespace: String,
        name: String,
    }
    let parsed: Line = serde_json::from_slice(line).ok()?;
    let kind = kind_of(&parsed.kind)?;
    let key = |namespace: &str, name: &str| Key {
        kind,
        name: ObjectName::new(namespace, name),
    };
    if let Some((namespace, name)) = parsed.remove {
        return Some((key(&namespace, &name), None));
    }
    let Meta { namespace, name } = parsed.object?.metadata;
    let from = head_of(&parsed.kind).len();
    let to = line.trim_ascii_end().len().checked_sub(1)?;
    (from < to).then(|| (key(&namespace, &name), Some((from, to))))
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
