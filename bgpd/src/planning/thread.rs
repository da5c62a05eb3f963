//! The planner's thread: takes in what there is, plans once for all of it, says what changed.
//!
//! The gate runs on the same thread, and so does the look at routes to pods: their questions are
//! few and their answers are facts. Whatever wakes the thread, everything that waits is taken in
//! before there is a plan, up to a bound that keeps operators' questions answered.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc as start_signal;
use std::time::Duration;

use cluster::{Delta, Facts, Planner, ProxyHealth};
use ipnet::IpNet;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::faults::FaultLog;
use super::pods;
use super::{News, PlannerConfig, PlannerHandle, PlannerPort, QUESTIONS_MAX, Question};
use crate::gate::{GateTask, Verdicts};
use crate::kubernetes::{Batch, FeedStatus, Progress, Source, Status};
use crate::overlay::Wish;

/// Batches of objects taken in before there is a plan. More wait in the source.
const BATCHES_PER_PLAN: usize = 64;
/// How often the state of the source is looked at while it is not complete.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Starts the source, the gate and the planner.
///
/// # Errors
/// The system grants no thread. That no API server answers is no error, but a state of the source.
pub fn start(config: PlannerConfig) -> io::Result<PlannerPort> {
    let (facts, facts_heard) = watch::channel(config.facts.clone());
    let (options, options_heard) = watch::channel(config.options.clone());
    let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
    // One: what comes while nobody takes it grows together with what waits.
    let (news_out, news) = mpsc::channel(1);
    let source = Source::start(config.source.clone())?;
    let status = source.watch_status();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (started, is_started) = start_signal::channel();
    std::thread::Builder::new()
        .name("planner".into())
        .spawn(move || {
            let ends = Ends {
                facts: facts_heard,
                options: options_heard,
                asked,
                news: news_out,
            };
            let _ = started.send(());
            runtime.block_on(Room::new(config, source, ends).run());
        })?;
    // The thread runs before the daemon says that it does.
    let _ = is_started.recv();
    Ok(PlannerPort {
        news,
        handle: PlannerHandle {
            facts,
            options,
            questions,
            status,
        },
    })
}

/// The planner's ends of what connects it with the daemon.
struct Ends {
    facts: watch::Receiver<Facts>,
    options: watch::Receiver<cluster::Options>,
    asked: mpsc::Receiver<Question>,
    news: mpsc::Sender<News>,
}

/// What the planner wakes for.
enum Input {
    Batch(Batch),
    Options,
    Question(Question),
    /// There is room for news.
    Room,
    Other,
    /// The daemon is gone.
    End,
}

/// The planner and everything it listens to.
struct Room {
    planner: Planner,
    source: Source,
    ends: Ends,
    gate: Option<GateTask>,
    ports: watch::Sender<BTreeSet<u16>>,
    verdicts: watch::Receiver<Verdicts>,
    pods: watch::Receiver<Vec<IpNet>>,
    pods_found: Option<watch::Sender<Vec<IpNet>>>,
    progress: Progress,
    /// Objects of the last run came.
    is_restored: bool,
    /// Everything was said once.
    is_complete: bool,
    /// Until then complete lists are waited for.
    wait_until: Instant,
    drain: Option<Box<str>>,
    faults: FaultLog,
    /// There was a plan.
    has_planned: bool,
    /// The first one found the node drained, and the daemon does not know yet.
    starts_drained: bool,
    /// News nobody has taken.
    waiting: Option<News>,
}

impl Room {
    fn new(config: PlannerConfig, source: Source, ends: Ends) -> Self {
        let (ports, ports_heard) = watch::channel(BTreeSet::new());
        let (gate, verdicts) = GateTask::new(config.gate, ports_heard);
        let mut facts = config.facts;
        judge(&mut facts, &verdicts.borrow());
        let (pods_found, pods) = watch::channel(Vec::new());
        Self {
            planner: Planner::new(config.options, facts),
            source,
            ends,
            gate: Some(gate),
            ports,
            verdicts,
            pods,
            pods_found: Some(pods_found),
            progress: Progress::Restoring,
            is_restored: false,
            is_complete: false,
            wait_until: Instant::now() + config.sync_time,
            drain: None,
            faults: FaultLog::default(),
            has_planned: false,
            starts_drained: false,
            waiting: None,
        }
    }

    async fn run(mut self) {
        let gate = self.gate.take();
        let asking = async {
            if let Some(gate) = gate {
                gate.run().await;
            }
            std::future::pending::<()>().await;
        };
        let (options, found) = (self.ends.options.clone(), self.pods_found.take());
        let scanning = async {
            if let Some(found) = found {
                pods::scan(options, found).await;
            }
        };
        tokio::select! {
            () = asking => {}
            () = scanning => {}
            () = self.work() => {}
        }
    }

    /// Until the daemon is gone.
    async fn work(&mut self) {
        loop {
            match self.input().await {
                Input::Batch(batch) => self.take(batch),
                Input::Options => {
                    let options = self.ends.options.borrow_and_update().clone();
                    self.planner.set_options(options);
                }
                Input::Question(question) => {
                    question(&self.planner);
                    continue;
                }
                Input::Room => {
                    if let Some(news) = self.waiting.take()
                        && let Err(mpsc::error::TrySendError::Full(news)) =
                            self.ends.news.try_send(news)
                    {
                        self.waiting = Some(news);
                    }
                    continue;
                }
                Input::Other => {}
                Input::End => return,
            }
            self.gather();
            self.plan();
        }
    }

    /// What comes first.
    async fn input(&mut self) -> Input {
        let look_at = match self.is_complete {
            true => Instant::now() + Duration::from_secs(3600),
            false => Instant::now() + LOOK_EVERY,
        };
        tokio::select! {
            // A source that has ended does so by accident: who waits for news is to hear of it.
            batch = self.source.next() => batch.map_or(Input::End, Input::Batch),
            changed = self.ends.facts.changed() => match changed {
                Ok(()) => Input::Other,
                Err(_) => Input::End,
            },
            Ok(()) = self.ends.options.changed() => Input::Options,
            Ok(()) = self.verdicts.changed() => Input::Other,
            Ok(()) = self.pods.changed() => Input::Other,
            Some(question) = self.ends.asked.recv() => Input::Question(question),
            permit = self.ends.news.reserve(), if self.waiting.is_some() => match permit {
                Ok(_) => Input::Room,
                Err(_) => Input::End,
            },
            () = tokio::time::sleep_until(look_at) => Input::Other,
        }
    }

    /// Takes in what else is there.
    fn gather(&mut self) {
        for _ in 0..BATCHES_PER_PLAN {
            let Some(batch) = self.source.try_next() else {
                break;
            };
            self.take(batch);
        }
        let mut facts = self.ends.facts.borrow_and_update().clone();
        judge(&mut facts, &self.verdicts.borrow_and_update());
        facts.borrowed.clone_from(&self.pods.borrow_and_update());
        self.starts_drained &= !facts.is_drained;
        facts.is_drained |= self.starts_drained;
        // Until the daemon has an AS nobody can be told anything: it is complete again later.
        self.is_complete &= facts.asn == self.planner.facts().asn;
        self.planner.set_facts(facts);
    }

    fn take(&mut self, batch: Batch) {
        self.is_restored |= batch.progress == Progress::Restoring && !batch.changes.is_empty();
        self.progress = batch.progress;
        for change in batch.changes {
            self.planner.apply(change);
        }
    }

    fn plan(&mut self) {
        let is_late = Instant::now() >= self.wait_until;
        let is_known = match self.progress {
            Progress::Restoring => false,
            Progress::Listing => self.is_restored,
            Progress::Synced => true,
        };
        if !is_known && !is_late {
            return;
        }
        let delta = match self.has_planned {
            true => self.planner.plan(),
            false => self.first_plan(),
        };
        self.source.want_secrets(self.planner.secrets());
        let ports = self.planner.health_check_ports();
        let is_read = self.progress == Progress::Synced
            || (self.is_restored && is_away(&self.source.status()));
        let is_complete =
            self.is_complete || is_late || (is_read && is_judged(self.planner.facts(), &ports));
        // Also where nothing is announced: a port has to answer before its service is.
        self.ports.send_if_modified(|known| {
            let is_new = *known != ports;
            *known = ports;
            is_new
        });
        if delta.is_empty() && is_complete == self.is_complete {
            return;
        }
        let mut news = News {
            routes: delta.announcements,
            is_complete,
            ..News::default()
        };
        if delta.peering_changed {
            let desired = self.planner.desired();
            if desired.drain != self.drain {
                self.drain.clone_from(&desired.drain);
                news.drain = Some(desired.drain.clone());
                self.starts_drained &= desired.drain.is_some();
                news.starts_drained = self.starts_drained;
            }
            news.wish = Some(Wish::from(&desired));
        }
        if delta.faults_changed {
            let now = Instant::now().into_std();
            news.faults = self.faults.look(now, self.planner.each_fault());
        }
        self.is_complete = is_complete;
        match &mut self.waiting {
            Some(waiting) => waiting.merge(news),
            None => self.waiting = Some(news),
        }
    }
}

impl Room {
    /// A node that is drained when the daemon starts was so before it stopped: what services ask
    /// for is not announced for the time of another drain.
    fn first_plan(&mut self) -> Delta {
        self.has_planned = true;
        let mut delta = self.planner.plan();
        let mut facts = self.planner.facts().clone();
        if self.planner.desired().drain.is_none() || facts.is_drained {
            return delta;
        }
        self.starts_drained = true;
        facts.is_drained = true;
        self.planner.set_facts(facts);
        let second = self.planner.plan();
        delta.announcements.extend(second.announcements);
        delta.peering_changed |= second.peering_changed;
        delta.faults_changed |= second.faults_changed;
        delta
    }
}

/// The gate's part of the facts.
fn judge(facts: &mut Facts, verdicts: &Verdicts) {
    facts.proxy = verdicts.proxy;
    facts.health_check.clone_from(&verdicts.ports);
    facts.health_check_silent.clone_from(&verdicts.silent);
}

/// Whether the gate has said of every service whether it may be announced.
fn is_judged(facts: &Facts, ports: &BTreeSet<u16>) -> bool {
    let has_answered = |port: &u16| {
        facts.health_check.contains_key(port) || facts.health_check_silent.contains(port)
    };
    match facts.proxy {
        ProxyHealth::Unknown => false,
        ProxyHealth::Healthy => ports.iter().all(has_answered),
        ProxyHealth::Ungated | ProxyHealth::Unhealthy => true,
    }
}

/// Whether nothing better than the objects of the last run will come soon: whoever was asked has
/// failed.
fn is_away(status: &Status) -> bool {
    let has_failed = |feed: &FeedStatus| feed.lists == 0 && !feed.errors.is_empty();
    let all_failed = !status.feeds.is_empty() && status.feeds.values().all(has_failed);
    status.trouble.is_some() || all_failed
}
