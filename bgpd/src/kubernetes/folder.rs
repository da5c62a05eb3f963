//! A folder of manifests as a cluster: for tests, for routers, and for machines that come up before
//! their kubelet.
//!
//! The folder is looked at every [`POLL`]: names, inodes, sizes and times of all `*.yaml`, `*.yml`
//! and `*.json`, through symbolic links, so that a mounted ConfigMap whose `..data` link is swapped
//! is seen as what it is. When something changed and then held still for one look (a file that is
//! being written does not), all files are read. A file that cannot be read keeps the objects that
//! it had, and is reported with its line; a folder that vanishes keeps everything. An object that
//! is in two files counts as the first in the order of names has it. The folder counts as read
//! once it held still with every file readable: one that is being copied says nothing yet about
//! what is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use cluster::Change;
use cluster::object::{Key, Kind};

use super::hub::Hub;
use super::manifest::{Entry, Unreadable, is_of_files_only, read};
use super::{FileFault, Progress};

/// How often the folder is looked at.
const POLL: Duration = Duration::from_millis(400);
/// A larger file is not read.
const FILE_MAX: u64 = 64 << 20;
/// More files are not read.
const FILES_MAX: usize = 10_000;

/// What tells one state of a file from another: device, inode, size, time of change.
type Print = (u64, u64, u64, i64, i64);

/// The files of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Prints {
    files: BTreeMap<PathBuf, Print>,
    /// How many more there are, which are not read.
    left_out: usize,
}

/// Reads a folder.
pub(super) struct Folder {
    path: PathBuf,
    kinds: BTreeSet<Kind>,
    hub: Rc<Hub>,
    /// What was read last.
    prints: Option<Prints>,
    /// The objects that each file had when it was readable last.
    files: BTreeMap<PathBuf, Vec<Entry>>,
    /// Of what was read last, files that cannot be read.
    unreadable: usize,
    /// What the owner was told.
    told: BTreeMap<Key, u64>,
}

impl Folder {
    /// A folder that was not looked at yet.
    pub fn new(path: PathBuf, kinds: BTreeSet<Kind>, hub: Rc<Hub>) -> Self {
        Self {
            path,
            kinds,
            hub,
            prints: None,
            files: BTreeMap::new(),
            unreadable: 0,
            told: BTreeMap::new(),
        }
    }

    /// Looks and reads until the task is dropped.
    pub async fn run(mut self) {
        let origin = format!("dir://{}", self.path.display());
        self.hub.note(|status| status.origin = origin);
        self.hub.begin_listing_files().await;
        let mut last = None;
        loop {
            let seen = self.look();
            // The first look reads at once: what is half-written then is read again soon.
            let is_still = seen == last || self.prints.is_none();
            if seen.is_some() && seen != self.prints && is_still {
                let changes = self.read_all(&seen.clone().unwrap_or_default());
                self.prints.clone_from(&seen);
                self.hub.send(changes).await;
            }
            let is_read = seen.is_some() && seen == self.prints && seen == last;
            if is_read && self.unreadable == 0 {
                self.hub.progress(Progress::Synced).await;
            }
            last = seen;
            tokio::time::sleep(POLL).await;
        }
    }

    /// The state of all files; `None` when the folder cannot be read.
    fn look(&self) -> Option<Prints> {
        let looked = prints(&self.path, FILES_MAX);
        let trouble = looked.as_ref().err().map(|error| {
            let path = self.path.display();
            format!("dir://{path}: {error}; what was read of it stays")
        });
        self.hub.note_if(|status| {
            let is_new = status.trouble != trouble;
            if let Some(trouble) = trouble.as_ref().filter(|_| is_new) {
                tracing::warn!("{trouble}");
            }
            status.trouble = trouble;
            is_new
        });
        looked.ok()
    }

    /// Reads all files and tells what is different.
    fn read_all(&mut self, prints: &Prints) -> Vec<Change> {
        let mut faults = Vec::new();
        let is_there = |path: &PathBuf| prints.files.contains_key(path);
        self.files.retain(|path, _| is_there(path));
        for path in prints.files.keys() {
            match read_file(path) {
                Ok(mut entries) => {
                    entries.retain(|entry| {
                        let kind = entry.key.kind;
                        self.kinds.contains(&kind) || is_of_files_only(kind)
                    });
                    self.files.insert(path.clone(), entries);
                }
                Err(Unreadable { line, text }) => {
                    tracing::warn!(file = %path.display(), line, text,
                        "the manifest cannot be read; the objects it had stay");
                    faults.push(FileFault {
                        file: path.clone(),
                        line,
                        text,
                    });
                }
            }
        }
        self.unreadable = faults.len();
        faults.extend(self.left_out(prints.left_out));
        let changes = self.compare(&mut faults);
        self.hub.note(|status| status.files = faults);
        changes
    }

    fn left_out(&self, left_out: usize) -> Option<FileFault> {
        let text = format!(
            "the first {FILES_MAX} files are read, {left_out} more are not: put several objects \
             into one file"
        );
        (left_out > 0).then(|| {
            tracing::warn!(folder = %self.path.display(), "{text}");
            FileFault {
                file: self.path.clone(),
                line: 0,
                text,
            }
        })
    }

    fn compare(&mut self, faults: &mut Vec<FileFault>) -> Vec<Change> {
        let mut all: BTreeMap<&Key, (&Entry, &Path)> = BTreeMap::new();
        for (path, entries) in &self.files {
            for entry in entries {
                if let Some((_, first)) = all.get(&entry.key) {
                    faults.push(FileFault {
                        file: path.clone(),
                        line: 0,
                        text: format!("{} is in {} too", entry.key.name, first.display()),
                    });
                    continue;
                }
                all.insert(&entry.key, (entry, path));
            }
        }
        let mut changes = Vec::new();
        let gone = self.told.keys().filter(|key| !all.contains_key(key));
        for key in gone {
            self.hub.judge(key, None);
            changes.push(Change::Remove(key.clone()));
        }
        for (key, (entry, _)) in &all {
            if self.told.get(*key) != Some(&entry.digest) {
                let object = self.hub.judge(key, Some(&entry.json));
                changes.extend(object.map(|object| Change::Put((*key).clone(), object)));
            }
        }
        self.told = all
            .into_iter()
            .map(|(key, (entry, _))| (key.clone(), entry.digest))
            .collect();
        changes
    }
}

/// The first `max` files in the order of their names.
fn prints(folder: &Path, max: usize) -> io::Result<Prints> {
    let mut prints = Prints::default();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let extension = path.extension().and_then(|extension| extension.to_str());
        let is_hidden = name.is_none_or(|name| name.starts_with('.'));
        if is_hidden || !matches!(extension, Some("yaml" | "yml" | "json")) {
            continue;
        }
        // Through the link; a link that points nowhere for a moment is no file.
        let Ok(meta) = fs::metadata(&path) else {
            continue;
        };
        if meta.is_file() {
            let (dev, ino, size) = (meta.dev(), meta.ino(), meta.size());
            let print = (dev, ino, size, meta.mtime(), meta.mtime_nsec());
            prints.files.insert(path, print);
        }
        if prints.files.len() > max {
            prints.files.pop_last();
            prints.left_out += 1;
        }
    }
    Ok(prints)
}

fn read_file(path: &Path) -> Result<Vec<Entry>, Unreadable> {
    let whole = |text: String| Unreadable { line: 0, text };
    let file = fs::File::open(path).map_err(|error| whole(error.to_string()))?;
    let mut text = String::new();
    let mut limited = file.take(FILE_MAX + 1);
    let length = limited.read_to_string(&mut text);
    match length.map_err(|error| whole(error.to_string()))? as u64 {
        0..=FILE_MAX => {
            let is_json = path
                .extension()
                .is_some_and(|extension| extension == "json");
            read(&text, is_json)
        }
        _ => Err(whole(format!("it has more than {} MiB", FILE_MAX >> 20))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_files_the_first_by_name_are_read_and_the_rest_is_counted() {
        let folder = std::env::temp_dir().join(format!("wayfare-prints-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the temporary directory is writable");
        for name in ["d.yaml", "a.json", "c.yml", "b.yaml", "no.txt"] {
            fs::write(folder.join(name), "").expect("writable");
        }
        let seen = prints(&folder, 2).expect("readable");
        let names: Vec<_> = seen.files.keys().map(|path| path.file_name()).collect();
        assert_eq!(names, [Some("a.json".as_ref()), Some("b.yaml".as_ref())]);
        assert_eq!(seen.left_out, 2);
        let all = prints(&folder, 4).expect("readable");
        assert_eq!((all.files.len(), all.left_out), (4, 0));
        let _ = fs::remove_dir_all(&folder);
    }
}
