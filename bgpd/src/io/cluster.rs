//! The planner's port in the driver's loop: news go into the speaker, facts come out of it.
//!
//! Facts are looked at when a session came up or went down, and else at most every
//! [`FACTS_EVERY`], because half of what they say (who is in sync, whose routes are also here by
//! another way) changes with every message. The planner is told only what differs.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::node::Node;
use crate::planning::{self, FaultNews, News, PlannerHandle, PlannerPort};

/// Pause between two looks at the facts.
const FACTS_EVERY: Duration = Duration::from_millis(100);
/// And at least so many times what the last look took: during a move it walks the whole table.
const FACTS_PAUSE: u32 = 10;

/// The planner, if there is one.
#[derive(Debug, Default)]
pub struct ClusterPort {
    planner: Option<PlannerPort>,
    looked: Option<Instant>,
    steps: u64,
    /// The speaker was told that it knows everything.
    is_complete: bool,
    /// How long the next look at the facts is to wait.
    pause: Duration,
}

/// A planner that was asked for our AS before there was a speaker, and what it said.
#[derive(Debug)]
pub struct Early {
    /// It goes on.
    pub planner: PlannerPort,
    /// All of its news.
    pub news: News,
}

impl ClusterPort {
    /// Starts the planner, if the configuration asks for one and there is none yet.
    ///
    /// # Errors
    /// The system grants no thread.
    pub fn start(node: &Rc<Node>, early: Option<Early>) -> std::io::Result<Self> {
        let config = node.peek(|speaker, now| {
            let table = speaker.config().kubernetes.as_ref()?;
            Some(planning::configured(table, speaker.facts(now)))
        });
        let (planner, news) = match (config, early) {
            (Some(config), Some(early)) => {
                early.planner.handle().set_options(config.options);
                early.planner.handle().set_facts(config.facts);
                (Some(early.planner), Some(early.news))
            }
            (config, _) => (config.map(planning::start).transpose()?, None),
        };
        if let Some(planner) = &planner {
            node.set_planner(planner.handle().clone());
        }
        let mut port = Self {
            planner,
            pause: FACTS_EVERY,
            ..Self::default()
        };
        if let Some(mut news) = news {
            // Complete is what follows from the facts of now, and the planner says so again.
            news.is_complete = false;
            port.take(node, news);
        }
        Ok(port)
    }

    /// The next news; `None` when the planner has died. Cancel-safe.
    pub async fn next(&mut self) -> Option<News> {
        match &mut self.planner {
            Some(planner) => planner.next().await,
            None => std::future::pending().await,
        }
    }

    /// Puts news in force.
    pub fn take(&mut self, node: &Rc<Node>, news: News) {
        say(&news.faults);
        let is_first = news.is_complete && !self.is_complete;
        self.is_complete |= news.is_complete;
        node.step(|speaker, now| {
            if let Some(wish) = news.wish {
                // A refusal was said by the speaker, and leaves everything as it is.
                if let Ok(plan) = speaker.set_wish(now, wish) {
                    for change in &plan.changes {
                        tracing::debug!(impact = ?change.impact, neighbor = ?change.neighbor,
                            "cluster: {}", change.what);
                    }
                }
            }
            speaker.set_announcements(now, news.routes);
            if let Some(drain) = news.drain {
                let goes_on = news.starts_drained && drain.is_some();
                speaker.drain_for_cluster(now, drain);
                if goes_on {
                    speaker.drain_goes_on(now);
                }
            }
            if is_first {
                speaker.objects_complete(now);
            }
        });
    }

    /// When the facts are to be looked at next, if anything happened since.
    #[must_use]
    pub fn due(&self, node: &Node) -> Option<Instant> {
        self.planner.as_ref()?;
        let looked = self.looked?;
        (node.steps() != self.steps).then_some(looked + self.pause)
    }

    /// Tells the planner what is true now; at once when a session changed.
    pub fn tell(&mut self, node: &Rc<Node>, sessions_changed: bool) {
        let Some(planner) = &self.planner else {
            return;
        };
        let now = Instant::now();
        let is_fresh = self.looked.is_some_and(|at| now < at + self.pause);
        if is_fresh && !sessions_changed {
            return;
        }
        self.looked = Some(now);
        self.steps = node.steps();
        let facts = node.peek(|speaker, now| speaker.facts(now));
        self.pause = FACTS_EVERY.max(now.elapsed() * FACTS_PAUSE);
        planner.handle().set_facts(facts);
    }
}

fn say(faults: &FaultNews) {
    for fault in &faults.said {
        let (object, path, text) = (&fault.object, &fault.path, &fault.text);
        tracing::warn!(%object, %path, "{text}");
    }
    if faults.more > 0 {
        let more = faults.more;
        tracing::warn!("{more} more faults of objects: see `show kubernetes`");
    }
}

/// Tells a planner what the operator chose.
pub fn set_options(planner: Option<&PlannerHandle>, node: &Node) {
    let options = node.peek(|speaker, _| {
        let table = speaker.config().kubernetes.as_ref();
        table.map(|table| table.options.clone())
    });
    if let (Some(planner), Some(options)) = (planner, options) {
        planner.set_options(options);
    }
}
