//! Leaving in stages, so that traffic moves away before anything is taken down (RFC 8326 §4.2).
//!
//! 1. Everything we announce carries GRACEFUL_SHUTDOWN and the lowest LOCAL_PREF: neighbors use
//!    what else they have, and this node while they have nothing else.
//! 2. After `drain-time` the routes are withdrawn. A node that is drained withdraws what services
//!    asked for (the rules of `cluster` do that when they are told); a daemon that stops withdraws
//!    all that starts here.
//! 3. A daemon that stops then ends its sessions: CEASE, Administrative Shutdown, with a word for
//!    the neighbor's operator (RFC 9003).
//!
//! With `drain-time = "0s"` a stop has no stages and begins a restart: sessions whose neighbors
//! keep our routes over one (RFC 4724) are closed without a word, since a NOTIFICATION would end
//! that.
//!
//! Who may ask: the operator (`drain`), the cluster (a taint or annotation of the node), and a stop
//! signal. They are independent: the node is drained while any of them wants it. Without
//! `[kubernetes]` there is no second stage, and a stop signal goes straight to the third: a router
//! keeps its routes in the kernel and is back in seconds, and its neighbors are told to keep them
//! too.

use std::time::{Duration, Instant};

use std::sync::Arc;

use super::{Due, Speaker};

/// How long withdrawals may take to leave before the sessions end.
const WITHDRAW_TIME: Duration = Duration::from_secs(1);
/// What the neighbors' operators read (RFC 9003).
pub(super) const FAREWELL: &str = "wayfare-bgpd is stopping";

/// How far the stop of the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Leaving {
    /// It is not asked for.
    #[default]
    No,
    /// Routes are announced for draining.
    Draining,
    /// Routes are withdrawn.
    Withdrawing,
    /// Neighbors may be told goodbye.
    Left,
}

/// Who wants the node drained, and how far that is.
#[derive(Debug, Default)]
pub(super) struct Drain {
    operator: bool,
    cluster: Option<Box<str>>,
    leaving: Leaving,
    /// The wait is over.
    is_over: bool,
}

impl Drain {
    fn is_wanted(&self) -> bool {
        self.operator || self.cluster.is_some() || self.leaving != Leaving::No
    }
}

impl Speaker {
    /// Announces everything for draining, or takes that back; `false` if it already was so.
    pub fn drain(&mut self, now: Instant, on: bool) -> bool {
        let was = std::mem::replace(&mut self.drain.operator, on);
        self.follow_drain(now);
        was != on
    }

    /// The cluster wants the node drained, or no longer.
    pub fn drain_for_cluster(&mut self, now: Instant, why: Option<Box<str>>) {
        match &why {
            Some(why) => self.out.notice(None, format!("draining: {why}")),
            None if self.drain.cluster.is_some() => {
                let text = "the cluster no longer drains this node".to_owned();
                self.out.notice(None, text);
            }
            None => {}
        }
        self.drain.cluster = why;
        self.follow_drain(now);
    }

    /// The drain is one of before the start: its wait is over.
    pub fn drain_goes_on(&mut self, now: Instant) {
        self.deadlines.set(Due::Drain, None);
        if !self.drain.is_over {
            self.drain_on(now);
        }
    }

    /// Why the cluster wants the node drained.
    #[must_use]
    pub fn drained_by_cluster(&self) -> Option<&str> {
        self.drain.cluster.as_deref()
    }

    /// Whether the wait after a drain is over: what services ask for is withdrawn.
    #[must_use]
    pub fn is_withdrawn(&self) -> bool {
        self.drain.is_over
    }

    /// Whether everything of ours was withdrawn because the daemon stops.
    pub(super) fn has_withdrawn_all(&self) -> bool {
        matches!(self.drain.leaving, Leaving::Withdrawing | Leaving::Left)
    }

    /// Begins to leave in stages, if that is what is configured; how long it will take.
    pub fn begin_leaving(&mut self, now: Instant) -> Option<Duration> {
        let wait = self.drain_time().filter(|_| !self.leaves_silently())?;
        if self.drain.leaving != Leaving::No || self.peers.count_up().0 == 0 {
            return None;
        }
        self.drain.leaving = Leaving::Draining;
        let is_over = self.drain.is_over;
        self.follow_drain(now);
        // Who was drained before need not wait again.
        let left = if is_over { Duration::ZERO } else { wait };
        self.deadlines.set(Due::Drain, Some(now + left));
        Some(left + WITHDRAW_TIME)
    }

    /// Whether neighbors may be told goodbye.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.drain.leaving == Leaving::Left
    }

    /// Whether a stop is to leave routes at neighbors that keep them over a restart: a drain that
    /// takes no time is none.
    pub(super) fn leaves_silently(&self) -> bool {
        self.drain_time().is_some_and(|wait| wait.is_zero())
    }

    fn drain_time(&self) -> Option<Duration> {
        let table = self.config.kubernetes.as_ref()?;
        Some(table.drain_time)
    }

    /// Exports as drained or not, as is wanted now.
    fn follow_drain(&mut self, now: Instant) {
        let on = self.drain.is_wanted();
        if self.drained == on {
            return;
        }
        self.drained = on;
        self.drain.is_over = false;
        let due = self.drain_time().filter(|_| on).map(|wait| now + wait);
        self.deadlines.set(Due::Drain, due);
        self.policies = self.policies.clone().drained(on);
        for slot in self.peers.slots() {
            let Some(entry) = self.peers.get_mut(slot) else {
                continue;
            };
            entry.policies = self.policies.of(&entry.neighbor.settings);
            if entry.is_up() {
                self.rib
                    .set_export(slot, Arc::clone(&entry.policies.export));
            }
        }
        self.touch(now);
    }

    /// A stage is over.
    pub(super) fn drain_on(&mut self, now: Instant) {
        self.drain.is_over = true;
        match self.drain.leaving {
            Leaving::No | Leaving::Left => {
                let text = "drained: what services ask for is withdrawn".to_owned();
                self.out.notice(None, text);
                // The facts are different now, and the tables are not.
                self.touch(now);
            }
            Leaving::Draining => {
                self.drain.leaving = Leaving::Withdrawing;
                let text = "stopping: all routes that start here are withdrawn".to_owned();
                self.out.notice(None, text);
                self.withdraw_all(now);
                self.deadlines.set(Due::Drain, Some(now + WITHDRAW_TIME));
            }
            Leaving::Withdrawing => self.drain.leaving = Leaving::Left,
        }
    }

    fn withdraw_all(&mut self, now: Instant) {
        self.withdraw_sources();
        self.withdraw_announcements(now);
    }
}
