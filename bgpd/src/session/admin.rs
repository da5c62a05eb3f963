//! Commands: starting, stopping, and starting again (RFC 4271 §8.1.2).
//!
//! A started peer dials at once unless it is passive. A stop (event 2) tells the peer why, forgets
//! all damping and stays in Idle. A reset (event 8) ends the session on behalf of the system and
//! says when the peer may start again; an operator's `clear` uses it with [`Restart::AtOnce`],
//! which also cuts short any backoff. A start in any state but Idle is ignored, as §8.2.2 says for
//! each of them; so are a stop of a stopped peer and a reset of one that was never started.

use std::time::Instant;

use proto_codec::bgp::Notification;

use super::api::{Action, Command, Restart};
use super::peer::{Mode, Peer};
use super::state::{Cause, DownReason, Event};
use super::timers::Timer;

impl Peer {
    /// Takes a command of the operator or the speaker.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Start => {
                if self.mode != Mode::Started {
                    self.forgive();
                    let passive = self.config.passive;
                    let event = if passive {
                        Event::ManualStartPassive
                    } else {
                        Event::ManualStart
                    };
                    self.begin(now, event);
                }
            }
            Command::Stop(notification) => {
                if self.mode != Mode::Stopped {
                    self.forgive();
                    self.shut(now, Event::ManualStop, notification, Mode::Stopped);
                }
            }
            Command::Reset(notification, restart) => {
                if self.mode != Mode::Stopped {
                    self.shut(now, Event::AutomaticStop, notification, Mode::HeldDown);
                    self.restart(now, restart);
                }
            }
        }
    }

    /// Leaves Idle: dials, or waits for the peer to do so.
    pub(super) fn begin(&mut self, now: Instant, event: Event) {
        let from = self.state();
        self.mode = Mode::Started;
        self.timers.stop(Timer::IdleHold);
        if !self.config.passive {
            self.dial(now);
        }
        self.note(now, from, Cause::of(event));
    }

    /// Ends everything that is open and goes to Idle in `mode`.
    fn shut(&mut self, now: Instant, event: Event, notification: Notification, mode: Mode) {
        let from = self.state();
        let ids: Vec<_> = self.conns.iter().map(|conn| conn.id).collect();
        let mut cause = Cause::of(event);
        for id in ids {
            cause = Cause::ended(event, DownReason::Sent(notification.clone()));
            if let Some(told) = self.drop_conn(now, id, &cause, false) {
                cause = told;
            }
        }
        self.abandon_dial();
        self.timers.stop(Timer::ConnectRetry);
        self.timers.stop(Timer::IdleHold);
        self.mode = mode;
        self.note(now, from, cause);
    }

    fn restart(&mut self, now: Instant, restart: Restart) {
        match restart {
            Restart::AtOnce => {
                self.forgive();
                self.begin(now, Event::AutomaticStart);
            }
            Restart::Damped => self.hold_down(now),
            Restart::After(delay) => self.timers.set(Timer::IdleHold, now + delay),
            Restart::Never => {}
        }
    }

    /// Forgets all failures.
    pub(super) fn forgive(&mut self) {
        self.dial_backoff.reset();
        self.idle_backoff.reset();
        self.stats.connect_retry_counter = 0;
    }

    /// Enters Idle with the idle-hold timer running (DampPeerOscillations, RFC 4271 §8.1.1).
    pub(super) fn hold_down(&mut self, now: Instant) {
        self.mode = Mode::HeldDown;
        self.timers.stop(Timer::ConnectRetry);
        let delay = match self.config.damping {
            Some(_) => self.idle_backoff.next_delay(),
            None => std::time::Duration::ZERO,
        };
        let delay = self.jitter.apply(delay);
        self.timers.set(Timer::IdleHold, now + delay);
    }

    /// Starts a dial, giving up the one under way, and sets the time of the next.
    pub(super) fn dial(&mut self, now: Instant) {
        self.abandon_dial();
        let id = self.accept_id();
        self.dial = Some(id);
        self.stats.dials += 1;
        self.actions.push_back(Action::Connect(id));
        self.schedule_dial(now);
    }

    /// Sets the time of the next dial; a passive peer has none.
    pub(super) fn schedule_dial(&mut self, now: Instant) {
        if self.config.passive {
            self.timers.stop(Timer::ConnectRetry);
            return;
        }
        let delay = self.dial_backoff.next_delay();
        let delay = self
            .jitter
            .apply(delay)
            .max(super::timers::CONNECT_RETRY_MIN);
        self.timers.set(Timer::ConnectRetry, now + delay);
    }
}
