//! What all feeds share: the shelves, the snapshot on disk, the status, and the way out.
//!
//! Everything lives on one thread, and no borrow outlives a call, so there are no locks. A feed
//! hands in objects as they come; what is news goes out as a change and to the disk, in that order
//! and under one name. The hub alone decides when something is removed: when a feed said that its
//! object is gone, when a complete list lacks it, and, for objects of the last run, when no feed of
//! the kind can still show it.

mod disk;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use cluster::object::{Key, Kind, Object, ObjectName};
use cluster::{Change, Fault, Severity};
use tokio::sync::{Notify, mpsc, watch};

use super::kinds::{FeedSpec, object_word};
use super::reduce::Reduced;
use super::shelf::{Loss, Shelf};
use super::store::Store;
use super::{Batch, FeedState, FeedStatus, Progress, Status};

/// Changes of one batch, at most.
const BATCH_MAX: usize = 512;
/// Objects in quarantine that the status names; more are counted only.
const QUARANTINE_MAX: usize = 200;

/// How far a feed is with saying what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is at it.
    #[default]
    Open,
    /// It listed all, once at least.
    Complete,
    /// Its kind is forbidden or absent.
    Off,
}

#[derive(Debug)]
struct Member {
    spec: FeedSpec,
    standing: Standing,
    /// Its list shows an object without a name: which one cannot be gone is not known.
    is_veiled: bool,
    relist: Rc<Notify>,
}

/// What all feeds share.
#[derive(Debug)]
pub(super) struct Hub {
    shelves: RefCell<BTreeMap<Kind, Shelf>>,
    members: RefCell<BTreeMap<String, Member>>,
    store: RefCell<Option<Store>>,
    progress: Cell<Progress>,
    status: watch::Sender<Status>,
    batches: mpsc::Sender<Batch>,
}

impl Hub {
    pub fn new(status: watch::Sender<Status>, batches: mpsc::Sender<Batch>) -> Self {
        Self {
            shelves: RefCell::default(),
            members: RefCell::default(),
            store: RefCell::default(),
            progress: Cell::default(),
            status,
            batches,
        }
    }

    /// Changes the status of the source.
    pub fn note(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    /// Changes the status of the source, if there is something to change.
    pub fn note_if(&self, change: impl FnOnce(&mut Status) -> bool) {
        self.status.send_if_modified(change);
    }

    /// Changes the status of a feed.
    pub fn note_feed(&self, name: &str, change: impl FnOnce(&mut FeedStatus)) {
        self.note(|status| {
            if let Some(feed) = status.feeds.get_mut(name) {
                change(feed);
            }
        });
    }

    /// The owner is there no more.
    pub async fn closed(&self) {
        self.batches.closed().await;
    }

    /// Hands changes over, waiting while the owner is behind.
    pub async fn send(&self, changes: Vec<Change>) {
        let mut rest = changes.into_iter().peekable();
        while rest.peek().is_some() {
            let changes = rest.by_ref().take(BATCH_MAX).collect();
            self.send_batch(changes).await;
        }
    }

    async fn send_batch(&self, changes: Vec<Change>) {
        let progress = self.progress.get();
        // The owner is gone: the thread is about to end.
        let _ = self.batches.send(Batch { changes, progress }).await;
    }

    /// Waits until every kind is listed or off.
    pub async fn synced(&self) {
        let mut status = self.status.subscribe();
        // The sender is ours, so the wait ends only when it is so.
        let _ = status.wait_for(|status| status.is_synced).await;
    }

    /// From now on the lists are under way.
    pub async fn begin_listing(&self) {
        self.progress.set(Progress::Listing);
        self.send_batch(Vec::new()).await;
        self.check_synced().await;
    }

    /// There is no snapshot to bring back: files are their own.
    pub async fn begin_listing_files(&self) {
        self.progress.set(Progress::Listing);
        self.send_batch(Vec::new()).await;
    }

    /// All files were read once.
    pub async fn progress(&self, progress: Progress) {
        if self.progress.replace(progress) != progress {
            self.note(|status| status.is_synced = progress == Progress::Synced);
            self.send_batch(Vec::new()).await;
        }
    }

    /// Reads an object, or gives it up, and keeps the quarantine up to date.
    pub fn judge(&self, key: &Key, json: Option<&[u8]>) -> Option<Result<Object, Fault>> {
        let read = json.map(|json| decode(key, json));
        let wrong = match &read {
            Some(Err(fault)) => Some(fault.text.to_string()),
            _ => None,
        };
        self.quarantine(key, wrong);
        read
    }

    /// A feed begins. What is to wake it up for a relist.
    pub fn join(&self, spec: &FeedSpec) -> Rc<Notify> {
        let relist = Rc::new(Notify::new());
        let member = Member {
            spec: spec.clone(),
            standing: Standing::Open,
            is_veiled: false,
            relist: relist.clone(),
        };
        self.members.borrow_mut().insert(spec.name(), member);
        self.note(|status| {
            status.feeds.insert(spec.name(), FeedStatus::default());
        });
        self.count(spec);
        relist
    }

    /// A feed ends, and what it alone has is removed.
    pub async fn leave(&self, spec: &FeedSpec) {
        self.members.borrow_mut().remove(&spec.name());
        self.note(|status| {
            status.feeds.remove(&spec.name());
        });
        if let Some(name) = &spec.only {
            let mut changes = Vec::new();
            self.drop_object(spec.kind, name.clone(), &mut changes);
            self.send(changes).await;
        }
    }

    /// A feed shows an object.
    pub fn put(&self, spec: &FeedSpec, object: Reduced, changes: &mut Vec<Change>) {
        if spec.only.as_ref().is_some_and(|only| *only != object.name) {
            return;
        }
        let key = Key {
            kind: spec.kind,
            name: object.name,
        };
        if !self.is_news(spec, &key.name, object.digest) {
            return self.store_again(spec, &key, (object.digest, &object.json));
        }
        let Some(read) = self.judge(&key, Some(&object.json)) else {
            return;
        };
        if let Some(store) = self.store.borrow_mut().as_mut() {
            store.put(&key, &object.json);
        }
        changes.push(Change::Put(key, read));
    }

    /// What was dropped while the disk did not work is written when it is shown again.
    fn store_again(&self, spec: &FeedSpec, key: &Key, (digest, json): (u64, &[u8])) {
        let mut store = self.store.borrow_mut();
        let Some(store) = store.as_mut().filter(|store| store.lacks(key)) else {
            return;
        };
        let shelves = self.shelves.borrow();
        let shelf = shelves.get(&spec.kind);
        if shelf.is_some_and(|s| s.is_word_of(spec.rank, &key.name, digest)) {
            store.put(key, json);
        }
    }

    /// A feed shows an object that cannot be read.
    pub fn put_broken(&self, spec: &FeedSpec, name: ObjectName, changes: &mut Vec<Change>) {
        let text = "the object is too large or no valid JSON; the API server should not hold it";
        let key = Key {
            kind: spec.kind,
            name,
        };
        if self.is_news(spec, &key.name, 0) {
            self.quarantine(&key, Some(text.into()));
            let fault = Fault {
                object: label(&key).into(),
                path: "".into(),
                severity: Severity::Error,
                text: text.into(),
            };
            changes.push(Change::Put(key, Err(fault)));
        }
    }

    fn is_news(&self, spec: &FeedSpec, name: &ObjectName, digest: u64) -> bool {
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(spec.kind).or_default();
        shelf.put(spec.rank, name, digest)
    }

    /// A feed has an object no more.
    pub fn remove(&self, spec: &FeedSpec, name: &ObjectName, changes: &mut Vec<Change>) {
        let loss = {
            let mut shelves = self.shelves.borrow_mut();
            let shelf = shelves.entry(spec.kind).or_default();
            shelf.remove(spec.rank, name)
        };
        match loss {
            Loss::Nothing => {}
            Loss::Gone => self.drop_object(spec.kind, name.clone(), changes),
            Loss::Falls(rank) => {
                let members = self.members.borrow();
                let heir = members
                    .values()
                    .find(|m| m.spec.kind == spec.kind && m.spec.rank == rank);
                if let Some(heir) = heir {
                    heir.relist.notify_one();
                }
            }
        }
    }

    /// A list shows something whose name cannot be read, so it will not tell what is gone.
    pub fn veil(&self, spec: &FeedSpec) {
        if let Some(member) = self.members.borrow_mut().get_mut(&spec.name()) {
            member.is_veiled = true;
        }
    }

    /// A list begins.
    pub fn begin(&self, spec: &FeedSpec) {
        if let Some(member) = self.members.borrow_mut().get_mut(&spec.name()) {
            member.is_veiled = false;
        }
        let mut shelves = self.shelves.borrow_mut();
        let shelf = shelves.entry(spec.kind).or_default();
        shelf.begin(spec.rank, spec.only.as_ref());
    }

    /// A list is complete, so what it lacks is gone.
    pub fn complete(&self, spec: &FeedSpec, changes: &mut Vec<Change>) {
        self.stand(spec, Standing::Complete);
        if self.is_veiled(spec) {
            return self.count(spec);
        }
        let missing = {
            let shelves = self.shelves.borrow();
            let shelf = shelves.get(&spec.kind);
            shelf.map_or(Vec::new(), |s| s.missing(spec.rank, spec.only.as_ref()))
        };
        for name in missing {
            self.remove(spec, &name, changes);
        }
        self.drop_stale(spec, changes);
        self.count(spec);
    }

    fn is_veiled(&self, spec: &FeedSpec) -> bool {
        let members = self.members.borrow();
        let same = |m: &&Member| m.spec.kind == spec.kind && m.spec.only == spec.only;
        members.values().filter(same).any(|m| m.is_veiled)
    }

    /// A kind is off: forbidden or absent.
    pub fn switch_off(&self, spec: &FeedSpec, changes: &mut Vec<Change>) {
        let was_complete = {
            let members = self.members.borrow();
            let member = members.get(&spec.name());
            member.is_some_and(|member| member.standing == Standing::Complete)
        };
        // What it said stays, and it said all once.
        if !was_complete {
            self.stand(spec, Standing::Off);
            self.drop_stale(spec, changes);
        }
        self.count(spec);
    }

    /// Gives up objects of the last run that no feed of their kind can still show.
    fn drop_stale(&self, spec: &FeedSpec, changes: &mut Vec<Change>) {
        let (is_any_complete, is_any_open) = {
            let members = self.members.borrow();
            let same = || {
                members
                    .values()
                    .filter(|m| m.spec.kind == spec.kind && m.spec.only == spec.only)
            };
            (
                same().any(|m| m.standing == Standing::Complete),
                same().any(|m| m.standing == Standing::Open),
            )
        };
        if !is_any_complete || is_any_open {
            return;
        }
        let stale = {
            let shelves = self.shelves.borrow();
            let shelf = shelves.get(&spec.kind);
            shelf.map_or(Vec::new(), |shelf| shelf.stale(spec.only.as_ref()))
        };
        for name in stale {
            self.drop_object(spec.kind, name, changes);
        }
    }

    /// Gives up secrets of the last run that nobody wants.
    pub async fn drop_unwanted_secrets(&self) {
        let stale = {
            let shelves = self.shelves.borrow();
            let members = self.members.borrow();
            let is_wanted = |name: &ObjectName| {
                members.values().any(|member| {
                    member.spec.kind == Kind::Secret && member.spec.only.as_ref() == Some(name)
                })
            };
            let shelf = shelves.get(&Kind::Secret);
            let mut stale = shelf.map_or(Vec::new(), |shelf| shelf.stale(None));
            stale.retain(|name| !is_wanted(name));
            stale
        };
        let mut changes = Vec::new();
        for name in stale {
            self.drop_object(Kind::Secret, name, &mut changes);
        }
        self.send(changes).await;
    }

    fn drop_object(&self, kind: Kind, name: ObjectName, changes: &mut Vec<Change>) {
        if let Some(shelf) = self.shelves.borrow_mut().get_mut(&kind) {
            shelf.forget(&name);
        }
        let key = Key { kind, name };
        self.quarantine(&key, None);
        if let Some(store) = self.store.borrow_mut().as_mut() {
            store.remove(&key);
        }
        changes.push(Change::Remove(key));
    }

    fn stand(&self, spec: &FeedSpec, standing: Standing) {
        if let Some(member) = self.members.borrow_mut().get_mut(&spec.name()) {
            member.standing = standing;
        }
    }

    /// Says so when the last feed was listed or is off.
    pub async fn check_synced(&self) {
        let is_open = {
            let members = self.members.borrow();
            members.values().any(|m| m.standing == Standing::Open)
        };
        if self.progress.get() == Progress::Listing && !is_open {
            self.progress.set(Progress::Synced);
            self.note(|status| status.is_synced = true);
            tracing::info!("every kind of the cluster is listed");
            self.send_batch(Vec::new()).await;
        }
    }

    /// Lists everything again.
    pub fn relist(&self) {
        for member in self.members.borrow().values() {
            member.relist.notify_one();
        }
    }

    /// Whether the API server itself is heard: each core kind is watched, or forbidden.
    pub fn is_core_heard(&self) -> bool {
        let status = self.status.borrow();
        let members = self.members.borrow();
        let is_core = |m: &&Member| !m.spec.is_optional() && m.spec.only.is_none();
        members.values().filter(is_core).all(|member| {
            let feed = status.feeds.get(&member.spec.name());
            feed.is_some_and(|feed| match feed.state {
                FeedState::Off { .. } => true,
                _ => feed.stale_since.is_none(),
            })
        })
    }

    /// Counts the objects of a feed's kind.
    pub fn count(&self, spec: &FeedSpec) {
        let counted = {
            let shelves = self.shelves.borrow();
            let shelf = shelves.get(&spec.kind);
            shelf.map_or((0, 0), |shelf| shelf.count(spec.only.as_ref()))
        };
        let prefix = format!("{} ", object_word(spec.kind));
        self.note(|status| {
            let quarantine = status.quarantine.keys();
            let quarantined = quarantine.filter(|name| name.starts_with(&prefix)).count();
            if let Some(feed) = status.feeds.get_mut(&spec.name()) {
                (feed.objects, feed.stale_objects) = counted;
                feed.quarantined = quarantined;
            }
        });
    }

    fn quarantine(&self, key: &Key, wrong: Option<String>) {
        self.status.send_if_modified(|status| {
            match wrong {
                None => return status.quarantine.remove(&label(key)).is_some(),
                Some(text) if status.quarantine.get(&label(key)) == Some(&text) => return false,
                Some(text) if status.quarantine.len() < QUARANTINE_MAX => {
                    tracing::warn!(object = label(key), text, "cannot be read; the rest works");
                    status.quarantine.insert(label(key), text);
                }
                Some(_) => {}
            }
            true
        });
    }
}

/// As people write it: `BGPPeer metallb-system/tor`.
fn label(key: &Key) -> String {
    format!("{} {}", object_word(key.kind), key.name)
}

fn decode(key: &Key, json: &[u8]) -> Result<Object, Fault> {
    Object::decode(key.kind, json).map_err(|mut fault| {
        fault.object = label(key).into();
        fault
    })
}
