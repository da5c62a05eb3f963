//! The objects, their history, and who waits for the next change.
//!
//! One lock holds everything; watches wait on a condition and read the log from their own cursor.
//! Every write gets the next resource version, whatever its kind, as in etcd. An object is kept
//! with its JSON, so a thousand watches cost one serialisation. The log is forgotten by
//! [`Store::compact`] only: tests are short.
//!
//! A write answers as the API does: 404, 409 for an object that exists or a version that is not
//! the latest, and nothing new when nothing changes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::faults::{Break, Refusal};
use super::lock;
use super::resources::{self, RESOURCES};
use super::rules;

/// The first version; nobody may take 0 or 1 for one that exists.
const FIRST_VERSION: u64 = 1000;

/// Namespace (empty for a cluster-wide kind) and name.
pub type Name = (String, String);

/// An object as it was at one version.
#[derive(Debug)]
pub struct Stored {
    /// Namespace and name.
    pub name: Name,
    /// The object.
    pub value: Value,
    /// The same as text.
    pub json: String,
    /// Its version.
    pub version: u64,
}

/// What a watch is told.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) resource: usize,
    /// Absent for a new object.
    pub(crate) before: Option<Arc<Stored>>,
    /// Absent for a deleted one; its last state, with the deletion's version, is in `before`.
    pub(crate) after: Option<Arc<Stored>>,
}

/// What a watch finds when it looks.
#[derive(Debug)]
pub(crate) enum News {
    /// Events after the cursor (perhaps none), and the version to go on from.
    Events(Vec<Event>, u64),
    /// The history does not reach back to the cursor.
    Gone,
    /// The test asked for this.
    Struck(Break),
}

/// A list that is given out in pages: as it was, and at which version.
pub(crate) type Page = (Arc<Vec<Arc<Stored>>>, u64);

#[derive(Debug, Default)]
struct Inner {
    version: u64,
    /// A cursor below this is too old.
    oldest: u64,
    objects: Vec<BTreeMap<Name, Arc<Stored>>>,
    log: VecDeque<Event>,
    strikes: u64,
    strike: Option<Break>,
    pages: Vec<Option<Page>>,
}

/// All objects.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    changed: Condvar,
    watches: AtomicUsize,
}

/// Counts a watch while it lives.
pub(crate) struct Watching<'a>(&'a AtomicUsize);

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Store {
    pub(crate) fn new() -> Store {
        let inner = Inner {
            version: FIRST_VERSION,
            objects: RESOURCES.iter().map(|_| BTreeMap::new()).collect(),
            ..Inner::default()
        };
        Store {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            watches: AtomicUsize::new(0),
        }
    }

    /// The latest version.
    pub fn version(&self) -> u64 {
        lock(&self.inner).version
    }

    /// The objects of a kind, in the order of their names.
    pub fn objects(&self, api_version: &str, kind: &str) -> Vec<Value> {
        let Some(resource) = resources::by_kind(api_version, kind) else {
            return Vec::new();
        };
        let (objects, _) = self.list(resource);
        objects.iter().map(|stored| stored.value.clone()).collect()
    }

    /// One object.
    pub fn object(&self, version: &str, kind: &str, ns: &str, name: &str) -> Option<Value> {
        let resource = resources::by_kind(version, kind)?;
        let stored = self.get(resource, &(ns.to_owned(), name.to_owned()))?;
        Some(stored.value.clone())
    }

    pub(crate) fn get(&self, resource: usize, name: &Name) -> Option<Arc<Stored>> {
        lock(&self.inner).objects.get(resource)?.get(name).cloned()
    }

    /// All objects of a kind and the version at which they are so.
    pub(crate) fn list(&self, resource: usize) -> (Vec<Arc<Stored>>, u64) {
        let inner = lock(&self.inner);
        let objects = inner.objects.get(resource);
        let all = objects.map(|objects| objects.values().cloned().collect());
        (all.unwrap_or_default(), inner.version)
    }

    /// Keeps a list for its next pages; the number is for the `continue` token.
    pub(crate) fn keep(&self, list: Page) -> usize {
        let mut inner = lock(&self.inner);
        inner.pages.push(Some(list));
        inner.pages.len() - 1
    }

    /// A list that was begun earlier, unless its history was compacted.
    pub(crate) fn kept(&self, number: usize) -> Option<Page> {
        lock(&self.inner).pages.get(number).cloned().flatten()
    }

    /// Makes an object.
    ///
    /// # Errors
    /// 409 when it is there.
    pub(crate) fn create(&self, resource: usize, mut value: Value) -> Result<Arc<Stored>, Refusal> {
        let name = rules::name_of(resource, &mut value)?;
        let mut inner = lock(&self.inner);
        let existing = &inner.objects[resource];
        if existing.contains_key(&name) {
            let what = format!(
                "{} \"{}\" already exists",
                RESOURCES[resource].plural, name.1
            );
            return Err(Refusal::new(409, "AlreadyExists", what));
        }
        rules::fill_in_new(resource, &mut value, inner.version);
        Ok(self.put(&mut inner, resource, name, value))
    }

    /// Replaces an object; with `status` its status alone, else all but its status.
    ///
    /// # Errors
    /// 404, and 409 when it names a version that is not the latest.
    pub(crate) fn update(
        &self,
        resource: usize,
        mut value: Value,
        status: bool,
    ) -> Result<Arc<Stored>, Refusal> {
        let name = rules::name_of(resource, &mut value)?;
        let mut inner = lock(&self.inner);
        let Some(old) = inner.objects[resource].get(&name).cloned() else {
            return Err(Refusal::not_found(&format!(
                "{} \"{}\"",
                RESOURCES[resource].plural, name.1
            )));
        };
        let wanted = value["metadata"]["resourceVersion"].as_str();
        if wanted.is_some_and(|wanted| wanted != old.version.to_string()) {
            let what = "the object has been modified; please apply your changes to the latest";
            return Err(Refusal::new(409, "Conflict", what));
        }
        rules::fill_in_change(resource, &old.value, &mut value, status)?;
        if value == old.value {
            return Ok(old);
        }
        if rules::is_finished(&value) {
            return Ok(self.remove(&mut inner, resource, &name).unwrap_or(old));
        }
        Ok(self.put(&mut inner, resource, name, value))
    }

    /// Deletes an object, or marks it when a finalizer holds it.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn delete(&self, resource: usize, name: &Name) -> Result<Arc<Stored>, Refusal> {
        let mut inner = lock(&self.inner);
        let Some(old) = inner.objects[resource].get(name).cloned() else {
            return Err(Refusal::not_found(&format!(
                "{} \"{}\"",
                RESOURCES[resource].plural, name.1
            )));
        };
        if rules::has_finalizers(&old.value) {
            let mut value = old.value.clone();
            if value["metadata"]["deletionTimestamp"].is_null() {
                value["metadata"]["deletionTimestamp"] = json!(rules::now());
                return Ok(self.put(&mut inner, resource, name.clone(), value));
            }
            return Ok(old);
        }
        Ok(self.remove(&mut inner, resource, name).unwrap_or(old))
    }

    /// Makes or replaces an object with its status.
    pub(crate) fn apply(&self, object: &Value) -> Result<Arc<Stored>, Refusal> {
        let resource = resource_of(object)?;
        let mut value = object.clone();
        if let Some(metadata) = value["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        let made = match self.create(resource, value.clone()) {
            Err(refusal) if refusal.code == 409 => self.update(resource, value.clone(), false)?,
            other => other?,
        };
        let is_there = self.get(resource, &made.name).is_some();
        if is_there && RESOURCES[resource].has_status && !value["status"].is_null() {
            return self.update(resource, value, true);
        }
        Ok(made)
    }

    /// Deletes the object that this one names.
    pub(crate) fn delete_object(&self, object: &Value) -> Result<Arc<Stored>, Refusal> {
        let resource = resource_of(object)?;
        let name = rules::name_of(resource, &mut object.clone())?;
        self.delete(resource, &name)
    }

    fn put(&self, inner: &mut Inner, resource: usize, name: Name, value: Value) -> Arc<Stored> {
        inner.version += 1;
        let stored = stored(name, value, inner.version);
        let objects = &mut inner.objects[resource];
        let before = objects.insert(stored.name.clone(), Arc::clone(&stored));
        self.log(inner, resource, before, Some(Arc::clone(&stored)));
        stored
    }

    fn remove(&self, inner: &mut Inner, resource: usize, name: &Name) -> Option<Arc<Stored>> {
        let old = inner.objects[resource].remove(name)?;
        inner.version += 1;
        let last = stored(name.clone(), old.value.clone(), inner.version);
        self.log(inner, resource, Some(Arc::clone(&last)), None);
        Some(last)
    }

    fn log(
        &self,
        inner: &mut Inner,
        resource: usize,
        before: Option<Arc<Stored>>,
        after: Option<Arc<Stored>>,
    ) {
        inner.log.push_back(Event {
            version: inner.version,
            resource,
            before,
            after,
        });
        self.changed.notify_all();
    }

    /// Forgets the history up to now.
    pub(crate) fn compact(&self) {
        let mut inner = lock(&self.inner);
        // Something changes after it, or a watch from exactly here would still be served.
        inner.version += 1;
        inner.oldest = inner.version;
        inner.log.clear();
        inner.pages.fill(None);
        self.changed.notify_all();
    }

    pub(crate) fn strike(&self, how: Break) {
        let mut inner = lock(&self.inner);
        inner.strikes += 1;
        inner.strike = Some(how);
        self.changed.notify_all();
    }

    /// How many strikes there were; a watch that begins now minds the next one only.
    pub(crate) fn strikes(&self) -> u64 {
        lock(&self.inner).strikes
    }

    /// Lets all who wait look again.
    pub(crate) fn wake(&self) {
        let _inner = lock(&self.inner);
        self.changed.notify_all();
    }

    pub(crate) fn watching(&self) -> Watching<'_> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        Watching(&self.watches)
    }

    pub(crate) fn watches(&self) -> usize {
        self.watches.load(Ordering::SeqCst)
    }

    /// What there is for a watch of `resource` after `cursor`; waits at most `limit` for some.
    pub(crate) fn news(&self, resource: usize, cursor: u64, seen: u64, limit: Duration) -> News {
        let mut inner = lock(&self.inner);
        for turn in 0.. {
            match inner.strike {
                Some(how) if inner.strikes > seen => return News::Struck(how),
                _ if cursor < inner.oldest => return News::Gone,
                _ => {}
            }
            let from = inner.log.partition_point(|event| event.version <= cursor);
            let events: Vec<Event> = inner
                .log
                .range(from..)
                .filter(|event| event.resource == resource)
                .cloned()
                .collect();
            if turn == 1 || !events.is_empty() {
                return News::Events(events, inner.version);
            }
            let waited = self.changed.wait_timeout(inner, limit);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        News::Gone
    }
}

fn stored(name: Name, mut value: Value, version: u64) -> Arc<Stored> {
    value["metadata"]["resourceVersion"] = json!(version.to_string());
    Arc::new(Stored {
        name,
        json: value.to_string(),
        value,
        version,
    })
}

fn resource_of(object: &Value) -> Result<usize, Refusal> {
    let (version, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    let (version, kind) = (version.unwrap_or_default(), kind.unwrap_or_default());
    resources::by_kind(version, kind)
        .ok_or_else(|| Refusal::not_found(&format!("kind {kind} of {version}")))
}
