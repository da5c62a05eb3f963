//! The thread that reads, and its owner's end.
//!
//! The owner holds a [`Source`]: it takes batches out, reads the status and says which secrets are
//! wanted. Dropping it ends the thread. The thread runs a runtime of one thread; feeds are tasks on
//! it that share what is known without locks.

use std::collections::BTreeSet;
use std::io;

use cluster::object::ObjectName;
use tokio::sync::{mpsc, watch};

use super::{Batch, SourceConfig, Status};

/// Batches that wait for the owner. When full, the source reads no further.
const BATCHES_MAX: usize = 16;

/// A running source.
#[derive(Debug)]
pub struct Source {
    batches: mpsc::Receiver<Batch>,
    status: watch::Receiver<Status>,
    secrets: watch::Sender<BTreeSet<ObjectName>>,
}

impl Source {
    /// Starts reading, in a thread of its own.
    ///
    /// # Errors
    /// The thread cannot be made. That no server answers is no error but a state, see
    /// [`Source::status`].
    pub fn start(config: SourceConfig) -> io::Result<Self> {
        let (batches_in, batches) = mpsc::channel(BATCHES_MAX);
        let (status_in, status) = watch::channel(Status::default());
        let (secrets, wanted) = watch::channel(config.secrets.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("kubernetes".into())
            .spawn(move || {
                let reading = read(config, batches_in, status_in, wanted);
                tokio::task::LocalSet::new().block_on(&runtime, reading);
                // A token plugin that hangs must not hold the process.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            batches,
            status,
            secrets,
        })
    }

    /// The next changes; `None` when the source has ended. Nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Option<Batch> {
        self.batches.recv().await
    }

    /// The next changes if some wait already.
    pub fn try_next(&mut self) -> Option<Batch> {
        self.batches.try_recv().ok()
    }

    /// How it is doing. Do not hold the reference across a wait: the source waits for it.
    pub fn status(&self) -> watch::Ref<'_, Status> {
        self.status.borrow()
    }

    /// Reads exactly these secrets from now on; those no longer wanted are removed.
    pub fn want_secrets(&self, names: BTreeSet<ObjectName>) {
        self.secrets.send_if_modified(|wanted| {
            let is_new = *wanted != names;
            *wanted = names;
            is_new
        });
    }
}

async fn read(
    config: SourceConfig,
    batches: mpsc::Sender<Batch>,
    status: watch::Sender<Status>,
    _wanted: watch::Receiver<BTreeSet<ObjectName>>,
) {
    use super::client::{Access, get};
    use cluster::Change;
    use cluster::object::Object;
    let super::Origin::Api { kubeconfig } = config.origin else {
        return;
    };
    let access = Access::new(kubeconfig);
    let Some(feed) = super::kinds::feeds(&config.dialects).into_iter().next() else {
        return;
    };
    let listed = async {
        let visit = access.visit().await?;
        status.send_modify(|status| status.origin = visit.url.clone());
        let answer = visit.client.send(get(&feed.path())?).await;
        let answer = answer.map_err(|error| super::client::request_failed(&error))?;
        let body = answer.into_body().collect_bytes().await;
        let body = body.map_err(|error| super::client::request_failed(&error))?;
        serde_json::from_slice::<serde_json::Value>(&body).map_err(|error| error.to_string())
    };
    let list = match listed.await {
        Ok(list) => list,
        Err(trouble) => return status.send_modify(|status| status.trouble = Some(trouble)),
    };
    let mut batch = Batch {
        progress: super::Progress::Synced,
        ..Batch::default()
    };
    for item in list["items"].as_array().into_iter().flatten() {
        let text = item.to_string();
        let name = item["metadata"]["name"].as_str().unwrap_or_default();
        let key = cluster::object::Key {
            kind: feed.kind,
            name: ObjectName::new("", name),
        };
        let object = Object::decode(feed.kind, text.as_bytes());
        batch.changes.push(Change::Put(key, object));
    }
    let _ = batches.send(batch).await;
    batches.closed().await;
}
