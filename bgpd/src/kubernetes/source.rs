//! The thread that reads, and its owner's end.
//!
//! The owner holds a [`Source`]: it takes batches out, reads the status and says which secrets are
//! wanted. Dropping it ends the thread. The thread runs a runtime of one thread; feeds are tasks on
//! it that share what is known without locks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use cluster::object::{Kind, ObjectName};
use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

use super::client::Access;
use super::feed::Feed;
use super::folder::Folder;
use super::hub::Hub;
use super::kinds::{self, FeedSpec};
use super::store::Store;
use super::{Batch, Origin, SourceConfig, Status};
use crate::session::backoff::Jitter;

/// A thread that does not end within this is left behind.
const END_MAX: Duration = Duration::from_secs(1);
/// Batches that wait for the owner. When full, the source reads no further.
const BATCHES_MAX: usize = 16;

/// Names of secrets.
type Wanted = BTreeSet<ObjectName>;

/// Which secrets are to be read.
#[derive(Debug, Default)]
struct Wish {
    names: Wanted,
    /// The owner said so; before that, those of the last run may be among them.
    is_said: bool,
}

/// A running source.
#[derive(Debug)]
pub struct Source {
    batches: mpsc::Receiver<Batch>,
    status: watch::Receiver<Status>,
    secrets: watch::Sender<Wish>,
    /// Ends with the thread.
    is_over: std::sync::mpsc::Receiver<()>,
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
        let (secrets, wanted) = watch::channel(Wish {
            names: config.secrets.clone(),
            is_said: false,
        });
        let (over, is_over) = std::sync::mpsc::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name("kubernetes".into())
            .spawn(move || {
                let hub = Rc::new(Hub::new(status_in, batches_in));
                let reading = read(config, hub, wanted);
                tokio::task::LocalSet::new().block_on(&runtime, reading);
                // A token plugin that hangs must not hold the process.
                runtime.shutdown_background();
                drop(over);
            })?;
        Ok(Self {
            batches,
            status,
            secrets,
            is_over,
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

    /// The same, for who wants to look at it later.
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Reads exactly these secrets from now on; those no longer wanted are removed.
    pub fn want_secrets(&self, names: BTreeSet<ObjectName>) {
        self.secrets.send_if_modified(|wanted| {
            let is_new = wanted.names != names || !wanted.is_said;
            wanted.names = names;
            wanted.is_said = true;
            is_new
        });
    }
}

/// What was heard last is written to the snapshot before the process ends.
impl Drop for Source {
    fn drop(&mut self) {
        self.batches.close();
        // Disconnected is what is waited for.
        let _ = self.is_over.recv_timeout(END_MAX);
    }
}

/// The whole life of the thread: restores, reads, keeps, until the owner is gone.
async fn read(config: SourceConfig, hub: Rc<Hub>, mut wanted: watch::Receiver<Wish>) {
    let specs = kinds::feeds(&config.dialects);
    let kubeconfig = match &config.origin {
        Origin::Api { kubeconfig } => kubeconfig,
        Origin::Folder(path) => {
            let kinds = specs.iter().map(|spec| spec.kind).collect();
            let folder = Folder::new(path.clone(), kinds, hub.clone());
            tokio::select! {
                () = hub.closed() => {}
                () = folder.run() => {}
            }
            return;
        }
    };
    let access = Rc::new(Access::new(kubeconfig.clone()));
    if let Some(directory) = &config.state_directory {
        let is_read = |kind| kind == Kind::Secret || specs.iter().any(|spec| spec.kind == kind);
        let cluster = access.cluster().await;
        let of = cluster.map(|cluster| format!("node {} of {cluster}", config.node));
        hub.restore(Store::at(directory, of), is_read).await;
    }
    let mut feeds = Feeds {
        access,
        hub: hub.clone(),
        seed: seed(),
        secrets: BTreeMap::new(),
    };
    let mut tasks: Vec<AbortOnDropHandle<()>> = Vec::new();
    for spec in specs {
        tasks.push(feeds.start(spec));
    }
    // Whether the owner may have said by now is seen below.
    let secrets = wanted.borrow().names.clone();
    feeds.want(secrets).await;
    hub.begin_listing().await;
    let mut is_tidied = true;
    loop {
        tokio::select! {
            () = hub.closed() => break,
            () = hub.keep() => {}
            changed = wanted.changed() => {
                if changed.is_err() {
                    break;
                }
                let (secrets, is_said) = {
                    let wish = wanted.borrow_and_update();
                    (wish.names.clone(), wish.is_said)
                };
                feeds.want(secrets).await;
                is_tidied = !is_said;
            }
            () = hub.synced(), if !is_tidied => {
                hub.drop_unwanted_secrets().await;
                is_tidied = true;
            }
        }
    }
    let _ = hub.write();
}

/// The tasks that read.
struct Feeds {
    access: Rc<Access>,
    hub: Rc<Hub>,
    seed: Jitter,
    secrets: BTreeMap<ObjectName, (FeedSpec, AbortOnDropHandle<()>)>,
}

impl Feeds {
    fn start(&mut self, spec: FeedSpec) -> AbortOnDropHandle<()> {
        let seed = self.seed.next_u64();
        let feed = Feed::new(spec, self.hub.clone(), self.access.clone(), seed);
        AbortOnDropHandle::new(tokio::task::spawn_local(feed.run()))
    }

    /// Reads exactly these secrets.
    async fn want(&mut self, names: Wanted) {
        let unwanted: Vec<ObjectName> = self
            .secrets
            .keys()
            .filter(|name| !names.contains(*name))
            .cloned()
            .collect();
        for name in unwanted {
            if let Some((spec, task)) = self.secrets.remove(&name) {
                drop(task);
                self.hub.leave(&spec).await;
            }
        }
        for name in names {
            // An object may name a secret by halves; there is nothing to ask for then.
            let is_whole = !name.namespace.is_empty() && !name.name.is_empty();
            if is_whole && !self.secrets.contains_key(&name) {
                let spec = FeedSpec::secret(name.clone());
                let task = self.start(spec.clone());
                self.secrets.insert(name, (spec, task));
            }
        }
    }
}

/// Differs from node to node, so that a thousand nodes do not come back in step.
fn seed() -> Jitter {
    use std::hash::{BuildHasher, RandomState};
    Jitter::new(RandomState::new().hash_one(std::process::id()))
}
