//! A router that moves together with others: what its sync group has to be able to ask and order.
//!
//! Alone, a backup whose down timer ran out becomes master. In a group it only *wants* to: the
//! group makes all members masters when the last of them wants. A member *objects* while it has a
//! master that it would not replace; the group steps down with it. Whoever lets go because of
//! another member goes on answering for longer than alone: its successor waits for the slowest
//! member of its own group, and that one may have to find out by silence.
//!
//! The group itself, which knows more than one router, is `node::group`.

use std::time::{Duration, Instant};

use super::super::event::{Action, Fault, State, Why};
use super::Router;
use super::health::Health;

/// How long others of the group may keep a successor waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// When every member told that it lets go.
    pub told: Duration,
    /// When one of them could not.
    pub silent: Duration,
}

/// What a router knows of its group.
#[derive(Clone, Debug, Default)]
pub(super) struct Together {
    /// It is in a group.
    pub patience: Option<Patience>,
    /// It would be master, alone.
    pub wants: bool,
    /// It started as a backup, and has not heard a master that it would not replace.
    pub fresh: bool,
    /// What its own checks say; what counts is what those of all members come to.
    pub own: Health,
    /// Why the state last changed.
    pub because: Option<Why>,
}

impl Together {
    /// Back in the queue: a master that counts was heard, or the state changed.
    pub fn content(&mut self) {
        self.wants = false;
        self.fresh = false;
    }
}

impl Router {
    /// The router is a member of a group, or of none any more: then it wants nothing but to be
    /// master, and takes what it waited for.
    pub fn set_group(&mut self, now: Instant, patience: Option<Patience>) {
        if patience.is_some() && !self.is_grouped() {
            self.together.own = self.health.clone();
        }
        let left = patience.is_none() && self.is_grouped();
        self.together.patience = patience;
        if left {
            let own = std::mem::take(&mut self.together.own);
            self.apply_health(now, own);
            self.retain_faults(now, |one| !matches!(one, Fault::Group { .. }));
            self.promote(now);
        }
    }

    /// What the checks of all members of the group come to.
    pub fn set_group_health(&mut self, now: Instant, health: &Health) {
        if self.health != *health {
            self.apply_health(now, health.clone());
        }
    }

    /// What the checks of this router alone come to.
    #[must_use]
    pub fn own_health(&self) -> &Health {
        match self.is_grouped() {
            true => &self.together.own,
            false => &self.health,
        }
    }

    pub(super) fn keep_health(&mut self, own: Health) {
        self.together.own = own;
    }

    pub(super) fn is_grouped(&self) -> bool {
        self.together.patience.is_some()
    }

    /// Another member is at fault. One that has not told anybody that it is master goes silently.
    pub fn set_group_fault(&mut self, now: Instant, fault: Fault) {
        self.set_fault(now, fault);
    }

    /// Backup, and would be master by now if it were alone.
    #[must_use]
    pub fn wants(&self) -> bool {
        self.together.wants
    }

    /// Backup because of a master, not because it has just started.
    #[must_use]
    pub fn objects(&self) -> bool {
        self.state == State::Backup && !self.together.wants && !self.together.fresh
    }

    /// Why the state last changed.
    #[must_use]
    pub fn because(&self) -> Option<&Why> {
        self.together.because.as_ref()
    }

    /// All members want: this one becomes master now.
    pub fn promote(&mut self, now: Instant) {
        if self.together.wants && self.state == State::Backup {
            self.take_over(now);
        }
    }

    /// Another member is backup: this master hands over.
    pub fn follow_down(&mut self, now: Instant, why: Why) {
        if !self.yield_when_late(now) && self.state == State::Master {
            self.hand_over(now, self.patience().told);
            self.become_backup(now, why);
        }
    }

    /// The down timer runs longer, once: two groups that let go for each other's sake must not
    /// meet again.
    pub fn wait_longer(&mut self, extra: Duration) {
        self.timers.down = self.timers.down.map(|due| due + extra);
    }

    /// The first thing to do, which stays there.
    #[must_use]
    pub fn next_action(&self) -> Option<&Action> {
        self.actions.front()
    }

    pub(super) fn patience(&self) -> Patience {
        self.together.patience.unwrap_or_default()
    }

    /// The down timer ran out; `true`: the group decides what follows.
    pub(super) fn waits_for_group(&mut self) -> bool {
        self.together.wants = self.is_grouped();
        self.together.wants
    }
}
