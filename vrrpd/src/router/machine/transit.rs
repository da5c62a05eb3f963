//! Transitions: what is done on the way from one state to another (RFC 9568 §6.4).
//!
//! Two things are ours. Letting go is apart from the state: after Master the addresses stay until
//! the successor has been heard and [`LINGER`] has passed, or until no backup can still be waiting;
//! meanwhile the router neither advertises nor announces. And lateness: what was due long ago is
//! judged by what others must have done since, before anything is sent.

use std::time::{Duration, Instant};

use proto_codec::vrrp::PRIORITY_RELEASE;

use super::super::advertise::signed;
use super::super::event::{Action, Event, Fault, State, Why};
use super::Router;

/// How long a successor's addresses and announcements may come after its advert. keepalived sends
/// first and adds its addresses in the same turn; a thousand of them take some 20 ms.
pub(in crate::router) const LINGER: Duration = Duration::from_millis(20);

/// Added to the longest skew of a backup, for its own turn and the way of its advert.
const SUCCESSOR_SLACK: Duration = Duration::from_millis(100);

/// A down timer that is later than this (or than the down interval) is no evidence: the machine
/// stood still, and adverts may have been lost on the way to a queue that was full or frozen.
const LATE_MIN: Duration = Duration::from_millis(100);

impl Router {
    /// RFC 9568 §6.4.1, once nothing is in the way.
    pub(super) fn begin(&mut self, now: Instant) {
        if !self.started || !self.faults.is_empty() || self.state != State::Initialize {
            return;
        }
        self.master_interval = self.settings.interval;
        if self.begin_as_heir(now) {
            // The predecessor has told everybody.
            self.known = true;
            return;
        }
        let owner = self.settings.is_owner();
        if owner && !self.waits_for_group() {
            self.become_master(now, Why::Owner);
            return;
        }
        self.become_backup(now, Why::Startup);
        self.together.fresh = true;
        if owner {
            self.pending = Some(Why::Owner);
            self.together.wants = true;
        }
    }

    /// To Initialize, from wherever we are.
    pub(super) fn leave(&mut self, now: Instant, why: Why) {
        let unreachable = matches!(
            why,
            Why::Fault(Fault::NoInterface(_) | Fault::InterfaceDown(_) | Fault::Socket(_))
        );
        self.leave_with(now, why, unreachable);
    }

    /// The same; `silently` when nobody hears us.
    fn leave_with(&mut self, now: Instant, why: Why, silently: bool) {
        // A process that stood still may find the reason before it finds that it is late.
        self.yield_when_late(now);
        let was_master = self.state == State::Master;
        self.timers.stop();
        self.together.content();
        self.pending = None;
        self.worse_since = None;
        self.master = None;
        if self.state != State::Initialize {
            self.transition(now, State::Initialize, why);
        }
        if silently && self.holding {
            // Whoever takes over does it after the down interval.
            if was_master {
                self.unsay();
            }
            self.let_go();
        } else if was_master {
            let patience = match self.together.because {
                Some(Why::Fault(Fault::Group { .. })) => self.patience().silent,
                _ => self.patience().told,
            };
            self.hand_over(now, patience);
        }
    }

    /// Active_Down_Timer, RFC 9568 §6.4.2 (350).
    pub(super) fn down_timer_expired(&mut self, now: Instant, due: Instant) {
        let (_, down_interval) = self.intervals();
        let late = now.saturating_duration_since(due);
        if late >= down_interval.max(LATE_MIN) && !self.excused {
            self.excused = true;
            self.timers.down = Some(now + down_interval);
            self.stats.late += 1;
            self.events.push_back(Event::Excused(late));
            return;
        }
        if !self.waits_for_group() {
            self.take_over(now);
        }
    }

    pub(super) fn take_over(&mut self, now: Instant) {
        let pending = self.pending.take();
        let why = match self.is_sick() {
            true => Why::LastResort,
            false => pending.unwrap_or(Why::MasterTimeout),
        };
        self.become_master(now, why);
    }

    /// Adver_Timer, RFC 9568 §6.4.3. The next one counts from when this one was due, so that
    /// small delays do not add up.
    pub(super) fn advert_timer_expired(&mut self, now: Instant, due: Instant) {
        if self.yield_when_late(now) {
            return;
        }
        self.announce_as_heir(now);
        self.send_adverts(now, self.effective_priority());
        let next = due + self.settings.interval;
        self.timers.advert = Some(if next > now {
            next
        } else {
            now + self.settings.interval
        });
    }

    /// A master that sent nothing for as long as an equal backup waits is no master any more: it
    /// steps back before it says anything, and lets the next election decide.
    pub(super) fn yield_when_late(&mut self, now: Instant) -> bool {
        let (priority, interval) = (self.effective_priority(), self.settings.interval);
        let patience = match self.unheard {
            false => self.settings.down_interval(priority, interval),
            // Of an heir it is only guessed when others heard it last.
            true => self.heirs_patience(),
        };
        let silent = self
            .last_sent
            .map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
        if self.state != State::Master || silent < patience {
            return false;
        }
        self.unsay();
        self.stats.late += 1;
        self.become_backup(now, Why::Late(silent));
        self.let_go();
        true
    }

    /// What waits for the addresses to be taken is not true any more: a master that steps down
    /// neither announces them nor advertises when they are there.
    pub(super) fn unsay(&mut self) {
        for action in std::mem::take(&mut self.actions) {
            match action {
                Action::Announce => {}
                Action::Send { .. } => {
                    self.stats.adverts_sent = self.stats.adverts_sent.saturating_sub(1);
                }
                Action::Take | Action::Keep | Action::LetGo => self.actions.push_back(action),
            }
        }
    }

    pub(super) fn become_backup(&mut self, now: Instant, why: Why) {
        self.timers.stop();
        self.together.content();
        self.pending = None;
        self.worse_since = None;
        self.excused = false;
        self.transition(now, State::Backup, why);
        let (_, down_interval) = self.intervals();
        self.timers.down = Some(now + down_interval);
    }

    pub(super) fn become_master(&mut self, now: Instant, why: Why) {
        self.timers.stop();
        self.together.content();
        self.timers.let_go = None;
        self.pending = None;
        self.worse_since = None;
        self.awaiting_successor = false;
        self.released = false;
        self.known = false;
        self.master = None;
        self.master_interval = self.settings.interval;
        self.stats.became_master += 1;
        self.transition(now, State::Master, why);
        if !self.holding {
            self.holding = true;
            self.actions.push_back(Action::Take);
        }
        self.announce(now);
        self.timers.begin_announcing(now, self.settings.virtual_mac);
        self.send_adverts(now, self.effective_priority());
        self.timers.advert = Some(now + self.settings.interval);
    }

    /// Priority 0 (RFC 9568 §6.4.3), and the addresses stay until somebody has them, or until no
    /// backup can still be waiting: alone the longest skew, in a group the `patience` it has. One
    /// that has not told anybody that it is master has nothing to hand over, and goes silently.
    pub(super) fn hand_over(&mut self, now: Instant, patience: Duration) {
        self.unsay();
        if !self.known {
            return self.let_go();
        }
        self.send_adverts(now, PRIORITY_RELEASE);
        self.awaiting_successor = true;
        let longest = self.settings.skew_max().max(patience);
        self.timers.let_go = Some(now + longest + SUCCESSOR_SLACK);
    }

    /// A successor was heard: it answers within [`LINGER`].
    pub(super) fn successor_heard(&mut self, now: Instant) {
        self.awaiting_successor = false;
        if self.holding {
            // With a virtual MAC its advert has turned the switches already: what is still ours
            // to answer would only turn them back.
            let linger = match self.settings.virtual_mac {
                false => LINGER,
                true => Duration::ZERO,
            };
            self.timers.let_go = Some(now + linger);
        }
    }

    pub(super) fn let_go(&mut self) {
        self.timers.let_go = None;
        self.awaiting_successor = false;
        if self.holding {
            self.holding = false;
            self.actions.push_back(Action::LetGo);
        }
    }

    pub(super) fn send_adverts(&mut self, now: Instant, priority: u8) {
        self.last_sent = Some(now);
        let Some(source) = self.primary else {
            return;
        };
        let signing = self.settings.signing.as_ref();
        // One number for all peers: the code does not cover the destination.
        let stamp = signing.and_then(|signing| self.signer.stamp(now, signing));
        let messages = self.prepared.messages(&self.settings, source, priority);
        for (destination, message) in messages {
            let message = match &stamp {
                None => message.clone(),
                Some(stamp) => signed(message, (source, *destination), stamp),
            };
            self.stats.adverts_sent += 1;
            if priority == PRIORITY_RELEASE {
                self.stats.priority_zero_sent += 1;
            }
            self.actions.push_back(Action::Send {
                destination: *destination,
                message,
            });
        }
    }

    pub(super) fn announce(&mut self, now: Instant) {
        self.last_announced = Some(now);
        self.stats.announcements += 1;
        self.actions.push_back(Action::Announce);
    }

    fn transition(&mut self, now: Instant, to: State, why: Why) {
        let from = std::mem::replace(&mut self.state, to);
        self.since = now;
        self.unheard = false;
        self.stats.transitions += 1;
        let by = (to.name(), why.name());
        *self.stats.transitions_by.entry(by).or_default() += 1;
        self.together.because = Some(why.clone());
        self.events.push_back(Event::Transition { from, to, why });
    }
}
