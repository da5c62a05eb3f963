//! The hub and the snapshot on disk: brought back at the start, written now and then.
//!
//! What is brought back is known to no feed: it is announced again, shown as stale, and given up
//! only when a complete list lacks it. A disk that cannot be written is said once and tried again;
//! it takes nothing from what runs.

use std::collections::BTreeMap;

use cluster::object::{Key, Kind, Object};
use cluster::{Change, Fault};

use super::super::reduce::digest;
use super::super::store::{RETRY_INTERVAL, Store, WRITE_INTERVAL};
use super::{Hub, decode};

/// An object of the last run, with its digest.
type Restored = (u64, Result<Object, Fault>);

impl Hub {
    /// Brings the last run's objects back: all are known, none is confirmed.
    pub async fn restore(&self, mut store: Store, is_read: impl Fn(Kind) -> bool) {
        let path = store.path().to_owned();
        let mut last: BTreeMap<Key, Option<Restored>> = BTreeMap::new();
        let loaded = store.load(|key, json| {
            if is_read(key.kind) {
                let read = json.map(|json| (digest(json), decode(&key, json)));
                last.insert(key, read);
            }
        });
        let mut changes = Vec::new();
        for (key, read) in last {
            if let Some((digest, object)) = read {
                let mut shelves = self.shelves.borrow_mut();
                let shelf = shelves.entry(key.kind).or_default();
                shelf.restore(key.name.clone(), digest);
                changes.push(Change::Put(key, object));
            }
        }
        let restored = changes.len();
        self.note(|status| {
            status.snapshot.path = Some(path.clone());
            status.snapshot.restored = restored;
            (status.snapshot.objects, status.snapshot.size) = store.extent();
            status.snapshot.trouble = loaded
                .as_ref()
                .err()
                .map(|error| format!("{}: {error}", path.display()));
        });
        match loaded {
            Ok(()) if restored > 0 => tracing::info!(restored, path = %path.display(),
                "brought back the objects of the last run"),
            Ok(()) => {}
            Err(error) => tracing::warn!(path = %path.display(), %error,
                "the objects of the last run cannot be read"),
        }
        *self.store.borrow_mut() = Some(store);
        self.send(changes).await;
    }

    /// Writes the snapshot on disk now and then.
    pub async fn keep(&self) {
        loop {
            tokio::time::sleep(WRITE_INTERVAL).await;
            if let Err(()) = self.write() {
                tokio::time::sleep(RETRY_INTERVAL).await;
                continue;
            }
            let unsynced = self.with_store(Store::take_unsynced).flatten();
            if let Some(file) = unsynced {
                // A disk may take its time; what is read does not wait for it.
                let _ = tokio::task::spawn_blocking(move || file.sync_data()).await;
            }
            if self.with_store(Store::take_loss) == Some(true) {
                tracing::info!("the disk works again: everything is listed once more for it");
                self.relist();
            }
        }
    }

    fn with_store<T>(&self, look: impl FnOnce(&mut Store) -> T) -> Option<T> {
        self.store.borrow_mut().as_mut().map(look)
    }

    /// Writes what is new to the snapshot on disk.
    pub fn write(&self) -> Result<(), ()> {
        let mut store = self.store.borrow_mut();
        let Some(store) = store.as_mut().filter(|store| store.is_new()) else {
            return Ok(());
        };
        let written = store.write();
        self.note(|status| {
            let snapshot = &mut status.snapshot;
            (snapshot.objects, snapshot.size) = store.extent();
            match &written {
                Ok(()) => {
                    snapshot.last_write = Some(std::time::Instant::now());
                    snapshot.trouble = None;
                }
                Err(error) => {
                    let path = store.path().display();
                    let text =
                        format!("{path}: {error}; a restart without the API server announces less");
                    if snapshot.trouble.as_ref() != Some(&text) {
                        tracing::warn!("{text}");
                    }
                    snapshot.trouble = Some(text);
                }
            }
        });
        written.map_err(|_| ())
    }
}
