//! What checks say of this router, and how it hands over without ever leaving nobody.
//!
//! Weights change the priority. A check without a weight is a verdict on the whole router:
//!
//! | this router | as Backup | as Master |
//! |---|---|---|
//! | healthy | preempts as configured; a last resort always, whatever `preempt` says | stays |
//! | unsure (no verdict yet) | displaces nobody, takes over when nobody is there | stays |
//! | sick | takes part with priority 1 | hands over (priority 0); see below |
//!
//! A sick master does not simply go: the check may be what is wrong, on all routers at once. It
//! sends priority 0, as at a graceful stop, and goes on answering. A healthy backup takes over
//! within its skew. When that time has passed and nobody came, the master is back with priority 1,
//! the *last resort*, and no packet was lost; sick backups wait a little longer than that, so that
//! the addresses stay where they are. So healthy beats sick, then priority decides, and a healthy
//! master is never displaced when `preempt` is off.
//!
//! Owners (priority 255) are exempt: their addresses are on the interface whatever a check says.

use std::time::{Duration, Instant};

use proto_codec::vrrp::PRIORITY_OWNER;

use super::super::event::{Event, State, Why};
use super::Router;

/// The priority of a router that is sick: less than anybody's who is not.
pub(in crate::router) const PRIORITY_LAST_RESORT: u8 = 1;

/// After the longest skew of a healthy backup: its turn, and the way of its advert. Less than
/// [`SICK_SLACK`], and both less than a stopping master goes on answering (100 ms).
const RETURN_SLACK: Duration = Duration::from_millis(30);

/// How much longer a sick backup waits after priority 0: a sick master has returned by then.
const SICK_SLACK: Duration = Duration::from_millis(60);

/// What the checks of a virtual router come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What the weights add to the priority.
    pub offset: i32,
    /// A check without weight is bad: which, and what it found.
    pub sick: Option<String>,
    /// A check has no verdict yet, or is on its way to a bad one.
    pub unsure: bool,
}

impl Router {
    /// What the checks say now; what told so goes out as an event before what it causes.
    pub fn set_health(&mut self, now: Instant, health: Health, told: Vec<Event>) {
        self.events.extend(told);
        // Members of a sync group are as healthy as the group.
        match self.is_grouped() {
            true => self.keep_health(health),
            false => self.apply_health(now, health),
        }
    }

    pub(super) fn apply_health(&mut self, now: Instant, health: Health) {
        // A process that stood still may find this before it finds that it is late.
        self.yield_when_late(now);
        let (before, was_sick) = (self.effective_priority(), self.is_sick());
        let waited = self.patience_after_release();
        self.health = health;
        if self.state == State::Backup {
            self.wait_as_sick(waited);
        }
        if self.state != State::Master || self.settings.is_owner() {
            return;
        }
        match self.health.sick.clone() {
            Some(text) if !was_sick => self.step_down(now, text),
            _ if self.effective_priority() != before => {
                // Backups learn at once whom they are to compare with.
                self.send_adverts(now, self.effective_priority());
                self.timers.advert = Some(now + self.settings.interval);
            }
            _ => {}
        }
    }

    /// Hands over to a healthy backup, or is back when there was none.
    fn step_down(&mut self, now: Instant, text: String) {
        self.hand_over(now, self.patience().told);
        self.become_backup(now, Why::Unhealthy(text));
        let skew = self
            .settings
            .skew(PRIORITY_LAST_RESORT, self.settings.interval);
        self.timers.down = Some(now + skew + RETURN_SLACK);
    }

    /// The master has released, and a healthy backup was about to follow: it waits as a sick one.
    fn wait_as_sick(&mut self, waited: Duration) {
        let longer = self.patience_after_release().saturating_sub(waited);
        if let (Some(Why::MasterReleased(_)), Some(due)) = (&self.pending, self.timers.down) {
            self.timers.down = Some(due + longer);
        }
    }

    /// What an old master sent before it heard that we had taken over, when we let go at once
    /// again: nobody follows sooner than within the shortest skew, nor who is sick before we are
    /// back.
    pub(super) fn cannot_be_successor(&self, now: Instant, priority: u8) -> bool {
        let shortest = self.settings.skew(PRIORITY_OWNER, self.settings.interval);
        let sent = self.last_sent.unwrap_or(now);
        let stepping_down = self.is_sick() && self.state == State::Backup;
        now.saturating_duration_since(sent) < shortest
            || (stepping_down && priority == PRIORITY_LAST_RESORT)
    }

    /// How long a backup waits after priority 0: who is sick, or may be, leaves the old master the
    /// time to return.
    pub(super) fn patience_after_release(&self) -> Duration {
        let doubtful = self.is_sick() || (self.health.unsure && !self.settings.is_owner());
        let skew = |priority| self.settings.skew(priority, self.master_interval);
        match doubtful {
            true => skew(PRIORITY_LAST_RESORT) + SICK_SLACK,
            false => skew(self.effective_priority()),
        }
    }

    /// Whether a check without weight is bad; never so for an owner.
    #[must_use]
    pub fn is_sick(&self) -> bool {
        self.health.sick.is_some() && !self.settings.is_owner()
    }

    /// What the checks say.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }
}
