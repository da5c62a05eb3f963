//! From one process to the next: what a router leaves, and how its heir goes on.
//!
//! A restart is no event of the protocol. The heir of a master is master: it has the addresses, and
//! sends an advert at once; nobody is told by gratuitous ARP what everybody knows. The heir of a
//! backup waits on for the master its predecessor heard. Nothing is a transition, and counters go
//! on.
//!
//! That holds only while no other router can have given up waiting: within three intervals of the
//! last advert, which is less than the down interval of the most eager backup. It is asked when the
//! heir is made, when it begins, and once more when its first advert leaves. Whoever comes later
//! starts as anybody does, with the counters alone. The caller proves that the addresses are still
//! on the interface. Who may not have been told of them is told: a predecessor that had just become
//! master may have ended before its announcements.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::super::event::{Action, Fault, State};
use super::super::stats::Stats;
use super::{Master, Router};

/// Announcements that belong to a transition are made by then.
const ANNOUNCED_AFTER: Duration = Duration::from_millis(6200);

/// Of three intervals, what the heir's first advert takes to be heard.
const SLACK: Duration = Duration::from_millis(2);

/// Reasons of discarded adverts that are taken over: more are no reasons of ours.
const REASONS_MAX: usize = 64;

/// The master as the predecessor heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    address: IpAddr,
    priority: u8,
    #[serde(deserialize_with = "interval_ns")]
    interval_ns: u64,
    age_ns: u64,
}

/// What a virtual router leaves. All times are ages when it was written, in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legacy {
    state: State,
    state_age_ns: u64,
    sent_age_ns: Option<u64>,
    released: bool,
    held: bool,
    master: Option<Heard>,
    counters: BTreeMap<String, u64>,
    discarded: BTreeMap<String, u64>,
    /// The last number that was signed with.
    #[serde(default)]
    sequence: u64,
    /// An heir that had not begun leaves what it found: its process was alive, and silent.
    #[serde(default)]
    passed_on: bool,
}

/// What an earlier process left, until this one begins.
#[derive(Clone, Debug)]
pub(super) struct Inheritance {
    legacy: Legacy,
    /// When it was handed over, and how old it was then.
    given: Instant,
    written: Duration,
    /// Since when nobody may have heard anything.
    silent_since: Instant,
}

impl Inheritance {
    /// Since it was written.
    fn age(&self, now: Instant) -> Duration {
        let here = now.saturating_duration_since(self.given);
        self.written.saturating_add(here)
    }

    fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.silent_since)
    }

    fn passed_on(&self, now: Instant) -> Legacy {
        let older = |age: u64| age.saturating_add(ns(self.age(now)));
        let legacy = self.legacy.clone();
        Legacy {
            state_age_ns: older(legacy.state_age_ns),
            sent_age_ns: Some(ns(self.silence(now))),
            master: legacy.master.map(|one| Heard {
                age_ns: older(one.age_ns),
                ..one
            }),
            passed_on: true,
            ..legacy
        }
    }
}

impl Legacy {
    /// The state it was in.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }
}

/// What lies between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Since the legacy was written.
    pub written: Duration,
    /// Since the last sign of life, when the predecessor did not write it as its last act: it may
    /// have sent its last advert an interval before.
    pub silent: Option<Duration>,
}

impl Router {
    /// What this router leaves.
    #[must_use]
    pub fn legacy(&self, now: Instant) -> Legacy {
        if let Some(left) = &self.inherited {
            return Legacy {
                released: self.released,
                held: self.faults.contains(&Fault::Held),
                ..left.passed_on(now)
            };
        }
        let age = |then: Instant| ns(now.saturating_duration_since(then));
        Legacy {
            state: self.state,
            state_age_ns: age(self.since),
            sent_age_ns: self.last_sent.map(age),
            released: self.released,
            held: self.faults.contains(&Fault::Held),
            master: self.master.map(|one| Heard {
                address: one.address,
                priority: one.priority,
                interval_ns: ns(one.interval),
                age_ns: age(one.heard),
            }),
            counters: counters(&mut self.stats.clone())
                .into_iter()
                .map(|(name, value)| (name.to_owned(), *value))
                .collect(),
            discarded: self
                .stats
                .discarded
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            sequence: self.signer.sequence(),
            passed_on: false,
        }
    }

    /// What the operator ordered stays ordered.
    pub fn inherit_orders(&mut self, now: Instant, legacy: &Legacy) {
        self.released = legacy.released;
        if legacy.held {
            self.hold(now);
        }
    }

    /// Makes this router, which has not begun, the heir of another. `true`: it begins where that
    /// one ended; else counters and the operator's orders are all it takes.
    pub fn inherit(&mut self, now: Instant, legacy: &Legacy, gap: Gap) -> bool {
        for (name, value) in counters(&mut self.stats) {
            *value = legacy.counters.get(name).copied().unwrap_or_default();
        }
        for (name, count) in legacy.discarded.iter().take(REASONS_MAX) {
            // Names are for ever; a few dozen short ones, once in the life of a process.
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            self.stats.discarded.insert(name, *count);
        }
        self.signer.go_on_after(legacy.sequence);
        self.inherit_orders(now, legacy);
        let silence = match (gap.silent, legacy.sent_age_ns) {
            (_, Some(age)) if legacy.passed_on => gap.written + Duration::from_nanos(age),
            (Some(silent), _) => silent + self.settings.interval,
            (None, Some(age)) if legacy.state == State::Master => {
                gap.written + Duration::from_nanos(age)
            }
            (None, _) => gap.written,
        };
        let fresh = legacy.state != State::Initialize && silence < self.heirs_patience();
        self.inherited = fresh.then(|| Inheritance {
            legacy: legacy.clone(),
            given: now,
            written: gap.written,
            silent_since: now.checked_sub(silence).unwrap_or(now),
        });
        fresh
    }

    /// How long nobody may have heard of a master whose heir goes on.
    pub(super) fn heirs_patience(&self) -> Duration {
        (3 * self.settings.interval).saturating_sub(SLACK)
    }

    /// Not an heir any more: what it was to inherit is gone, or was not there.
    pub fn disinherit(&mut self) {
        self.inherited = None;
    }

    /// Whether it begins as an heir.
    #[must_use]
    pub fn is_heir(&self) -> bool {
        self.inherited.is_some()
    }

    /// The state it is to begin in, as an heir.
    #[must_use]
    pub fn inherited_state(&self) -> Option<State> {
        Some(self.inherited.as_ref()?.legacy.state)
    }

    /// Begins where the predecessor ended.
    pub(super) fn begin_as_heir(&mut self, now: Instant) -> bool {
        let Some(left) = self.inherited.take() else {
            return false;
        };
        let legacy = &left.legacy;
        if legacy.state == State::Master && left.silence(now) >= self.heirs_patience() {
            return false;
        }
        let ago = |age: u64| {
            let age = Duration::from_nanos(age).saturating_add(left.age(now));
            now.checked_sub(age).unwrap_or(now)
        };
        self.timers.start = None;
        self.state = legacy.state;
        self.since = ago(legacy.state_age_ns);
        if legacy.state == State::Master {
            self.holding = true;
            self.actions.push_back(Action::Keep);
            // It is sent once the sockets have been read.
            self.unheard = true;
            self.last_sent = Some(left.silent_since);
            self.timers.advert = Some(now);
            self.timers.announce_on(now);
            return true;
        }
        let interval = self.settings.interval;
        self.master = legacy.master.map(|one| Master {
            address: one.address,
            priority: one.priority,
            interval: Duration::from_nanos(one.interval_ns),
            heard: ago(one.age_ns),
        });
        if let Some(master) = &self.master {
            self.master_interval = self.settings.learned(master.interval);
        }
        // What came between the two processes was heard by nobody: a master that lives says so
        // within one interval from now.
        let (_, down_interval) = self.intervals();
        let heard = self.master.map_or(now, |master| master.heard);
        let least = now + interval.max(self.master_interval) + down_interval / 4;
        self.timers.down = Some((heard + down_interval).max(least));
        true
    }

    /// Before the first advert of an heir. Where somebody may not have heard the announcements of
    /// the predecessor, or those of another router last, they are made again.
    pub(super) fn announce_as_heir(&mut self, now: Instant) {
        let since = |then: Instant| now.saturating_duration_since(then);
        if !std::mem::take(&mut self.unheard) {
            return;
        }
        let long = 2 * self.settings.interval;
        if since(self.since) < ANNOUNCED_AFTER || self.last_sent.is_some_and(|it| since(it) > long)
        {
            self.timers.announce_from(now);
        }
    }
}

/// A longer interval than an advert can tell (255 s in version 2, 40.95 s in version 3) was never
/// heard: who wrote it did not mean to be believed.
fn interval_ns<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    const MOST: Duration = Duration::from_secs(255);
    let number = u64::deserialize(from)?;
    match Duration::from_nanos(number) <= MOST {
        true => Ok(number),
        false => Err(serde::de::Error::custom(format!(
            "an interval of {number} ns"
        ))),
    }
}

fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The plain counters by name.
fn counters(stats: &mut Stats) -> [(&'static str, &mut u64); 8] {
    [
        ("adverts-sent", &mut stats.adverts_sent),
        ("adverts-received", &mut stats.adverts_received),
        ("priority-zero-sent", &mut stats.priority_zero_sent),
        ("priority-zero-received", &mut stats.priority_zero_received),
        (
            "other-checksum-received",
            &mut stats.other_checksum_received,
        ),
        ("transitions", &mut stats.transitions),
        ("became-master", &mut stats.became_master),
        ("announcements", &mut stats.announcements),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absurd_interval_is_not_believed() {
        let heard = |interval: u64| {
            let json = serde_json::json!({
                "address": "10.0.0.1", "priority": 100, "interval_ns": interval, "age_ns": 0,
            });
            serde_json::from_value::<Heard>(json)
        };
        assert!(heard(255_000_000_000).is_ok());
        let error = heard(u64::MAX).expect_err("nobody sends that");
        assert!(error.to_string().contains("an interval of"), "{error}");
    }
}
