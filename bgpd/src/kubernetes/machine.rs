//! List and watch of one feed as a machine: what was heard goes in, what is to be asked comes out.
//!
//! It owns the resource version, the page of a list, and all waiting; sockets and the clock belong
//! to the caller, and so do the objects. Every (state, input) pair is a row of the table test.
//!
//! - A list is read in pages. A page that breaks off is asked again with the same continue token;
//!   a token that expired (410) begins the list anew. Only [`Mark::Complete`] allows removals.
//! - A watch resumes at the last version heard, bookmarks included. 410, as a status or as an ERROR
//!   event, begins a list; so does a line that is no event, since what it said is lost.
//! - A watch that says nothing for [`SILENCE_MAX`] is reopened: bookmarks come each minute, so
//!   silence means a path that no longer carries anything.
//! - 401 asks for fresh credentials. 403 and [`Input::Absent`] switch the feed off and ask again
//!   ever more slowly; an absence that lasts means that the CRD and with it all objects are gone.
//!   All else, a 404 that may be anybody's among it, waits with exponential backoff and jitter, at
//!   least as long as Retry-After says.
//! - A feed of one object gets it and then watches it by name: `list` is never used there, and the
//!   watch begins with the object's state, so that nothing between the two is missed.

use std::time::{Duration, Instant};

use crate::session::backoff::Jitter;

/// A request or a watch that carries nothing for this long is given up.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(90);
/// A page that is not whole after this is given up, however busily it drips.
const PAGE_TIME_MAX: Duration = Duration::from_secs(300);
/// How long a watch is asked to last; the caller spreads the ends by as much again.
pub(super) const WATCH_TIME: Duration = Duration::from_secs(480);
/// A watch that ends sooner did not work, and waits before the next.
const WATCH_TIME_MIN: Duration = Duration::from_secs(1);
/// The first wait after a failure; it doubles.
const BACKOFF_BASE: Duration = Duration::from_millis(250);
/// The longest wait after a failure.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// What Retry-After may ask for at most.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);
/// The first wait of a feed that is off; it doubles.
const OFF_BASE: Duration = Duration::from_secs(5);
/// The longest wait of a forbidden feed.
pub(super) const FORBIDDEN_MAX: Duration = Duration::from_secs(300);
/// The longest wait of an absent kind: a CRD is found within this.
pub(super) const ABSENT_MAX: Duration = Duration::from_secs(60);
/// A kind that is absent for this long has no objects. An API server that starts may deny its CRDs
/// for a moment.
pub(super) const ABSENT_GRACE: Duration = Duration::from_secs(60);
/// Failures of a watch in a row after which its version is not trusted: a server that was restored
/// from a backup may never reach it.
const RESUMES_MAX: u32 = 4;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The deadline passed.
    Timeout,
    /// The server took the request: its headers came.
    Accepted,
    /// More of the answer came.
    Progress,
    /// A page of a list is whole; or the single object, or its absence, was read.
    Page {
        version: String,
        next: Option<String>,
    },
    /// A watch said something about an object.
    Object { version: String },
    /// A watch said how far it is.
    Bookmark { version: String },
    /// A status other than 200, in the answer or as an ERROR event of a watch.
    Refused {
        code: u16,
        retry_after: Option<Duration>,
    },
    /// The API server itself says that it has no such kind, which may be so.
    Absent,
    /// Bytes that are no answer.
    Garbled,
    /// The answer ended in order.
    Closed,
    /// The connection failed or broke.
    Broken,
}

/// What is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A page of the list.
    List { next: Option<String> },
    /// The single object.
    Get,
    /// Changes since this version; of a single object, its state first.
    Watch { version: Option<String> },
}

/// What else is to be done, before asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A list begins: nothing of it was seen.
    Begin,
    /// A list is complete: what was not seen is gone.
    Complete,
    /// The kind is absent for long: nothing of it is there.
    Gone,
    /// Credentials are to be read anew.
    Distrust,
}

/// What follows from an input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Do this first.
    pub mark: Option<Mark>,
    /// The request under way is to be dropped.
    pub hang_up: bool,
    /// Then ask this.
    pub ask: Option<Ask>,
    /// This went wrong: a reason of [`super::FeedStatus::errors`].
    pub error: Option<&'static str>,
}

/// Where a wait goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resume {
    /// At this page; `None` = from the first.
    List { next: Option<String> },
    /// From this version.
    Watch { version: String },
}

/// What the machine is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A page is asked for.
    Listing {
        next: Option<String>,
        began: Instant,
        heard: Instant,
    },
    /// Changes are waited for.
    Watching {
        version: String,
        began: Instant,
        heard: Instant,
        is_accepted: bool,
    },
    /// It went wrong, or it has not begun.
    Waiting {
        until: Instant,
        reason: &'static str,
        resume: Resume,
    },
    /// Forbidden or absent.
    Off {
        until: Instant,
        reason: &'static str,
        since: Instant,
    },
}

/// List and watch of one feed.
#[derive(Clone, Debug)]
pub(super) struct Machine {
    state: State,
    /// One object, by name.
    is_single: bool,
    /// Failures to list since a page came.
    list_failures: u32,
    /// Failures to watch since a watch worked.
    watch_failures: u32,
    /// Refusals (403, absent) since something worked.
    refusals: u32,
    /// Since when it is refused without a break, and why.
    refused_since: Option<(Instant, &'static str)>,
    /// A 410 came since a watch worked.
    is_expired: bool,
    jitter: Jitter,
}

impl Machine {
    /// A machine that asks at once, on the first [`Input::Timeout`].
    pub fn new(is_single: bool, now: Instant, seed: u64) -> Self {
        Self {
            state: State::Waiting {
                until: now,
                reason: "",
                resume: Resume::List { next: None },
            },
            is_single,
            list_failures: 0,
            watch_failures: 0,
            refusals: 0,
            refused_since: None,
            is_expired: false,
            jitter: Jitter::new(seed),
        }
    }

    /// What it is doing.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether it failed often enough that credentials or address may be out of date.
    pub fn is_failing(&self) -> bool {
        self.list_failures.max(self.watch_failures) >= RESUMES_MAX
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Listing { began, heard, .. } => {
                (*heard + SILENCE_MAX).min(*began + PAGE_TIME_MAX)
            }
            State::Watching { heard, .. } => *heard + SILENCE_MAX,
            State::Waiting { until, .. } | State::Off { until, .. } => *until,
        }
    }

    /// Takes an input in.
    pub fn handle(&mut self, input: Input, now: Instant) -> Step {
        match input {
            Input::Timeout => self.timeout(now),
            Input::Accepted | Input::Progress => self.heard(input == Input::Accepted, now),
            Input::Page { version, next } => self.page(version, next, now),
            Input::Object { version } | Input::Bookmark { version } => self.event(version, now),
            Input::Refused { code, retry_after } => self.refused(code, retry_after, now),
            Input::Absent => self.absent(now),
            Input::Garbled => self.garbled(now),
            Input::Closed => self.closed(now),
            Input::Broken => self.fail("connect", Duration::ZERO, now),
        }
    }

    /// The list is to be read again although nothing went wrong.
    pub fn relist(&mut self, now: Instant) -> Step {
        match self.state {
            State::Off { .. } => Step::default(),
            _ => Step {
                hang_up: true,
                ..self.list(None, now)
            },
        }
    }

    fn timeout(&mut self, now: Instant) -> Step {
        if now < self.deadline() {
            return Step::default();
        }
        match self.state.clone() {
            State::Waiting { resume, .. } => match resume {
                Resume::List { next } => self.list(next, now),
                Resume::Watch { version } => self.watch(version, now),
            },
            State::Off { .. } => self.list(None, now),
            State::Listing { .. } => self.fail("silent", Duration::ZERO, now),
            // Not a failure of the server: it may have nothing to say and no bookmarks.
            State::Watching {
                version,
                is_accepted: true,
                ..
            } => Step {
                hang_up: true,
                error: Some("silent"),
                ..self.watch(version, now)
            },
            State::Watching { .. } => self.fail("silent", Duration::ZERO, now),
        }
    }

    fn heard(&mut self, is_answer: bool, now: Instant) -> Step {
        match &mut self.state {
            State::Listing { heard, .. } => *heard = now,
            State::Watching {
                heard, is_accepted, ..
            } => {
                *heard = now;
                *is_accepted |= is_answer;
            }
            State::Waiting { .. } | State::Off { .. } => {}
        }
        Step::default()
    }

    fn page(&mut self, version: String, next: Option<String>, now: Instant) -> Step {
        if !matches!(self.state, State::Listing { .. }) {
            return Step::default();
        }
        self.list_failures = 0;
        self.refusals = 0;
        self.refused_since = None;
        if let Some(next) = next.filter(|next| !next.is_empty()) {
            return self.list(Some(next), now);
        }
        Step {
            mark: Some(Mark::Complete),
            ..self.watch(version, now)
        }
    }

    fn event(&mut self, new: String, now: Instant) -> Step {
        if let State::Watching { version, heard, .. } = &mut self.state {
            *heard = now;
            if !new.is_empty() {
                *version = new;
            }
            self.worked();
        }
        Step::default()
    }

    fn worked(&mut self) {
        self.watch_failures = 0;
        self.is_expired = false;
    }

    fn closed(&mut self, now: Instant) -> Step {
        match self.state.clone() {
            // Its time was over, as asked for.
            State::Watching { version, began, .. } if now >= began + WATCH_TIME_MIN => {
                self.worked();
                Step {
                    hang_up: true,
                    ..self.watch(version, now)
                }
            }
            State::Watching { .. } | State::Listing { .. } => {
                self.fail("closed", Duration::ZERO, now)
            }
            State::Waiting { .. } | State::Off { .. } => Step::default(),
        }
    }

    fn garbled(&mut self, now: Instant) -> Step {
        let was_watching = matches!(self.state, State::Watching { .. });
        let step = self.fail("malformed", Duration::ZERO, now);
        // What a garbled event said is lost, so its version must not be resumed at.
        if was_watching && let State::Waiting { resume, .. } = &mut self.state {
            *resume = Resume::List { next: None };
        }
        step
    }

    fn refused(&mut self, code: u16, retry_after: Option<Duration>, now: Instant) -> Step {
        if matches!(self.state, State::Waiting { .. } | State::Off { .. }) {
            return Step::default();
        }
        let wait = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        match code {
            401 => Step {
                mark: Some(Mark::Distrust),
                ..self.fail("unauthorized", wait, now)
            },
            403 => self.switch_off("forbidden", FORBIDDEN_MAX, now),
            410 => self.expired(now),
            400 if matches!(self.state, State::Listing { next: Some(_), .. }) => self.expired(now),
            429 => self.fail("throttled", wait, now),
            500..=599 => self.fail("server", wait, now),
            _ => self.fail("unexpected", wait, now),
        }
    }

    fn absent(&mut self, now: Instant) -> Step {
        match self.state {
            State::Waiting { .. } | State::Off { .. } => Step::default(),
            _ => self.switch_off("absent", ABSENT_MAX, now),
        }
    }

    /// The version or the continue token is too old: from the beginning, at once the first time.
    fn expired(&mut self, now: Instant) -> Step {
        let is_first = !std::mem::replace(&mut self.is_expired, true);
        if is_first {
            return Step {
                hang_up: true,
                error: Some("expired"),
                ..self.list(None, now)
            };
        }
        let step = self.fail("expired", Duration::ZERO, now);
        if let State::Waiting { resume, .. } = &mut self.state {
            *resume = Resume::List { next: None };
        }
        step
    }

    fn switch_off(&mut self, reason: &'static str, max: Duration, now: Instant) -> Step {
        let wait = self.delay(OFF_BASE, max, self.refusals);
        self.refusals = self.refusals.saturating_add(1);
        let since = match self.refused_since {
            Some((since, last)) if last == reason => since,
            _ => now,
        };
        self.refused_since = Some((since, reason));
        let is_gone = reason == "absent" && now >= since + ABSENT_GRACE;
        self.state = State::Off {
            until: now + wait,
            reason,
            since,
        };
        Step {
            mark: is_gone.then_some(Mark::Gone),
            hang_up: true,
            ask: None,
            error: Some(reason),
        }
    }

    fn fail(&mut self, reason: &'static str, least: Duration, now: Instant) -> Step {
        let (resume, failures) = match &self.state {
            State::Listing { next, .. } => {
                let next = next.clone();
                (Resume::List { next }, &mut self.list_failures)
            }
            State::Watching { .. } if self.watch_failures >= RESUMES_MAX => {
                (Resume::List { next: None }, &mut self.watch_failures)
            }
            State::Watching { version, .. } => {
                let version = version.clone();
                (Resume::Watch { version }, &mut self.watch_failures)
            }
            State::Waiting { .. } | State::Off { .. } => return Step::default(),
        };
        let before = *failures;
        *failures = before.saturating_add(1);
        let wait = self.delay(BACKOFF_BASE, BACKOFF_MAX, before);
        self.state = State::Waiting {
            until: now + wait.max(least),
            reason,
            resume,
        };
        Step {
            hang_up: true,
            error: Some(reason),
            ..Step::default()
        }
    }

    /// `base` doubled for each time before, at most `max`, with jitter.
    fn delay(&mut self, base: Duration, max: Duration, times: u32) -> Duration {
        let factor = 1u32.checked_shl(times.min(16)).unwrap_or(u32::MAX);
        self.jitter.apply(base.saturating_mul(factor).min(max))
    }

    fn list(&mut self, next: Option<String>, now: Instant) -> Step {
        let ask = match (self.is_single, &next) {
            (true, _) => Ask::Get,
            (false, next) => Ask::List { next: next.clone() },
        };
        let mark = next.is_none().then_some(Mark::Begin);
        self.state = State::Listing {
            next,
            began: now,
            heard: now,
        };
        Step {
            mark,
            ask: Some(ask),
            ..Step::default()
        }
    }

    fn watch(&mut self, version: String, now: Instant) -> Step {
        if self.is_single && !matches!(self.state, State::Listing { .. }) {
            // A single object is got again first: an old version of its own may be compacted away.
            return self.list(None, now);
        }
        let from = (!self.is_single).then(|| version.clone());
        self.state = State::Watching {
            version,
            began: now,
            heard: now,
            is_accepted: false,
        };
        Step {
            ask: Some(Ask::Watch { version: from }),
            ..Step::default()
        }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
