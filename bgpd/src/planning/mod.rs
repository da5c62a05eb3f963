//! The planner beside the speaker: objects in, what is wanted of BGP out, on a thread of its own.
//!
//! The rules of `cluster` are fast for one event and take milliseconds for a whole cluster, which a
//! keepalive should not wait for. So the [`cluster::Planner`] lives on a thread with the source of
//! objects and the gate; the daemon's thread tells it facts (sessions, addresses, drains) and is
//! told [`News`]. Both ways the latest wins: facts and options are watched values, news that
//! nobody has taken yet grow together per prefix, so neither side can flood the other and memory
//! is bounded by what there is to say.
//!
//! **When the first plan is made.** What half a list says would be announced and taken back a
//! moment later. Planning therefore begins when all kinds were read once, or when the snapshot of
//! the last run is there; after `sync-time` it begins with whatever is known.
//!
//! **When End-of-RIB may go** ([`News::is_complete`]): when all kinds were read, or when the
//! snapshot is there and every feed failed at least once, so that nothing better will come soon;
//! and when the gate has heard of the proxy, and of every node port it asks. After `sync-time` it
//! may go anyway.
//!
//! Questions of operators ([`PlannerHandle::ask`]) are answered between two plans.

mod faults;
mod pods;
mod thread;

use std::collections::BTreeMap;

use cluster::{Announcement, Facts, Options, Planner};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot, watch};

use crate::gate::{GateMode, Target};
use crate::kubernetes::{Origin, SourceConfig, Status};
use crate::overlay::Wish;

pub use faults::FaultNews;
pub use thread::start;

/// Questions that wait for the planner; who asks more waits.
const QUESTIONS_MAX: usize = 16;

/// What changed since the last news.
#[derive(Debug, Default)]
pub struct News {
    /// All routes of each prefix that changed; none withdraws it.
    pub routes: BTreeMap<IpNet, Vec<Announcement>>,
    /// Neighbors, policies and the router, if anything of them changed.
    pub wish: Option<Wish>,
    /// Why the node is to be drained (`Some(None)`: no longer), if that changed.
    pub drain: Option<Option<Box<str>>>,
    /// What is wrong with objects and was not said before.
    pub faults: FaultNews,
    /// It was so in the first plan: neighbors were told before the last stop, and nothing is
    /// announced for draining once more.
    pub starts_drained: bool,
    /// Everything there is to say was said: End-of-RIB may go. It does not go back.
    pub is_complete: bool,
}

impl News {
    /// Takes in what is newer.
    pub fn merge(&mut self, newer: News) {
        self.routes.extend(newer.routes);
        self.wish = newer.wish.or(self.wish.take());
        self.drain = newer.drain.or(self.drain.take());
        self.faults.merge(newer.faults);
        self.starts_drained |= newer.starts_drained;
        self.is_complete |= newer.is_complete;
    }
}

/// A look at the planner from another thread.
type Question = Box<dyn FnOnce(&Planner) + Send>;

/// What the planner is made with.
#[derive(Debug)]
pub struct PlannerConfig {
    /// Where objects come from.
    pub source: SourceConfig,
    /// Who is asked whether services are programmed.
    pub gate: Target,
    /// How long the first plan waits for complete lists.
    pub sync_time: std::time::Duration,
    /// The rules' options.
    pub options: Options,
    /// What is known of the node.
    pub facts: Facts,
}

/// The daemon's end of the planner's thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct PlannerPort {
    news: mpsc::Receiver<News>,
    handle: PlannerHandle,
}

/// What can be told to the planner and asked of it.
#[derive(Clone, Debug)]
pub struct PlannerHandle {
    facts: watch::Sender<Facts>,
    options: watch::Sender<Options>,
    questions: mpsc::Sender<Question>,
    status: watch::Receiver<Status>,
}

impl PlannerPort {
    /// The next news; `None` when the planner or its source has died. Cancel-safe.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// The end that others may have too.
    #[must_use]
    pub fn handle(&self) -> &PlannerHandle {
        &self.handle
    }
}

impl PlannerHandle {
    /// Tells what the node knows now; the gate's part is the planner's own.
    pub fn set_facts(&self, facts: Facts) {
        self.facts.send_if_modified(|known| {
            let is_new = *known != facts;
            *known = facts;
            is_new
        });
    }

    /// Tells what the operator chose.
    pub fn set_options(&self, options: Options) {
        self.options.send_if_modified(|known| {
            let is_new = *known != options;
            *known = options;
            is_new
        });
    }

    /// How the source of objects is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// Looks at the planner; `None` when its thread has ended.
    pub async fn ask<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Planner) -> R + Send + 'static,
    ) -> Option<R> {
        let (sender, answer) = oneshot::channel();
        let question: Question = Box::new(move |planner| {
            // Who asked may have gone.
            let _ = sender.send(look(planner));
        });
        self.questions.send(question).await.ok()?;
        answer.await.ok()
    }
}

/// What `[kubernetes]` means for the planner's thread.
#[must_use]
pub fn configured(table: &crate::config::Kubernetes, facts: Facts) -> PlannerConfig {
    let origin = match &table.from {
        crate::config::ObjectSource::Api(kubeconfig) => Origin::Api {
            kubeconfig: kubeconfig.clone(),
        },
        crate::config::ObjectSource::Directory(path) => Origin::Folder(path.clone()),
    };
    let defaults = Target::default();
    PlannerConfig {
        source: SourceConfig {
            origin,
            dialects: table.options.dialects.clone(),
            state_directory: Some(crate::kubernetes::state_directory()),
            node: table.options.node_name.to_string(),
            secrets: std::collections::BTreeSet::new(),
        },
        gate: Target {
            mode: match table.gate {
                crate::config::GateWord::Off => GateMode::Off,
                crate::config::GateWord::On => GateMode::On,
                crate::config::GateWord::Auto => GateMode::Auto,
            },
            proxy: table.proxy_health.parse().unwrap_or(defaults.proxy),
            ..defaults
        },
        sync_time: table.sync_time,
        options: table.options.clone(),
        facts,
    }
}
