//! All checks of this host as they stand, and what they come to for an instance.
//!
//! Answers come in from whoever runs the checks (`crate::track`), or from the links that the node
//! knows itself; verdicts go out as a [`Health`] per instance. A check that several instances track
//! stands here once. A reload keeps how unchanged ones stand. Its name is that of [`Check`], and a
//! number where several would have the same: what tells them apart may be a secret.

mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::config::check::{Check, Probe, Tracked, Weight};
use crate::router::{Event, Health};

use super::Hosts;

pub use standing::{Outcome, Standing, Verdict};

/// How a check stood when its process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    check: String,
    good: bool,
    value: i32,
    text: String,
}

/// The checks in use.
#[derive(Debug, Default)]
pub struct Checks {
    all: BTreeMap<Check, Standing>,
    names: BTreeMap<Check, String>,
}

impl Checks {
    /// Those of `wanted` are in use from now on, new ones without a verdict.
    pub(super) fn set(&mut self, now: Instant, wanted: &BTreeSet<Check>) {
        self.all.retain(|check, _| wanted.contains(check));
        for check in wanted {
            if !self.all.contains_key(check) {
                self.all.insert(check.clone(), Standing::new(now));
            }
        }
        self.names = names(wanted);
    }

    /// What it is called wherever it is told of; no two have the same name.
    #[must_use]
    pub fn name(&self, check: &Check) -> &str {
        self.names.get(check).map_or("", String::as_str)
    }

    /// Those that somebody must run: links are known here.
    pub fn to_run(&self) -> impl Iterator<Item = &Check> {
        let all = self.all.keys();
        all.filter(|check| !matches!(check.probe, Probe::Interface(_)))
    }

    /// What is asked.
    pub(super) fn probes(&self) -> impl Iterator<Item = &Probe> {
        self.all.keys().map(|check| &check.probe)
    }

    /// How `check` stands.
    #[must_use]
    pub fn standing(&self, check: &Check) -> Option<&Standing> {
        self.all.get(check)
    }

    /// Takes an answer. `Some`: instances are to be judged again; with what there is to tell.
    pub(super) fn answer(
        &mut self,
        now: Instant,
        check: &Check,
        outcome: Outcome,
    ) -> Option<Vec<Event>> {
        let standing = self.all.get_mut(check)?;
        let before = standing.last.as_ref().map_or(0, |last| last.value);
        let (value, doubted) = (outcome.value, standing.is_doubtful());
        let changed = standing.answer(now, outcome, check.rise, check.fall);
        if changed || before != value {
            let name = self.names.get(check).map_or("", String::as_str);
            return Some(vec![told(name, standing)]);
        }
        (standing.is_doubtful() != doubted).then(Vec::new)
    }

    /// The links of the host as they are: answers to the checks of interfaces.
    pub(super) fn look_at_links(
        &mut self,
        now: Instant,
        hosts: &Hosts,
    ) -> Vec<(Check, Vec<Event>)> {
        if hosts.is_unknown() {
            return Vec::new();
        }
        let all: Vec<Check> = self.all.keys().cloned().collect();
        let links = all.into_iter().filter_map(|check| {
            let Probe::Interface(name) = &check.probe else {
                return None;
            };
            let outcome = match hosts.link_named(name) {
                Some(link) if link.usable => Outcome::good("up"),
                Some(_) => Outcome::bad("down"),
                None => Outcome::bad("does not exist"),
            };
            let same = self.all.get(&check)?.last.as_ref() == Some(&outcome);
            (!same).then_some((check, outcome))
        });
        let links: Vec<(Check, Outcome)> = links.collect();
        let told = links.into_iter().filter_map(|(check, outcome)| {
            let events = self.answer(now, &check, outcome)?;
            Some((check, events))
        });
        told.collect()
    }

    /// When [`Checks::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let all = self.all.values();
        all.filter_map(|standing| standing.held_until).min()
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<(Check, Vec<Event>)> {
        let mut changed = Vec::new();
        for (check, standing) in &mut self.all {
            if standing.handle_timeout(now) {
                let name = self.names.get(check).map_or("", String::as_str);
                changed.push((check.clone(), vec![told(name, standing)]));
            }
        }
        changed
    }

    /// How those of an instance stand, for the next process.
    pub(super) fn verdicts(&self, tracked: &[Tracked]) -> Vec<Kept> {
        let kept = tracked.iter().filter_map(|one| {
            let standing = self.all.get(&one.check)?;
            let last = standing.last.as_ref()?;
            (standing.verdict != Verdict::Unknown).then(|| Kept {
                check: self.name(&one.check).to_owned(),
                good: standing.verdict == Verdict::Good,
                value: last.value,
                text: last.text.clone(),
            })
        });
        kept.collect()
    }

    /// Those without a verdict stand as they did, until their next answers say otherwise.
    pub(super) fn restore(&mut self, now: Instant, tracked: &[Tracked], kept: &[Kept]) {
        for one in tracked {
            let name = self.name(&one.check);
            let kept = kept.iter().find(|it| it.check == *name);
            let standing = self.all.get_mut(&one.check);
            let standing = standing.filter(|it| it.verdict == Verdict::Unknown);
            if let Some((standing, kept)) = standing.zip(kept) {
                standing.verdict = match kept.good {
                    true => Verdict::Good,
                    false => Verdict::Bad,
                };
                standing.since = now;
                standing.last = Some(Outcome {
                    good: kept.good,
                    value: kept.value,
                    text: kept.text.clone(),
                });
            }
        }
    }

    /// What the checks of an instance come to.
    #[must_use]
    pub fn health(&self, tracked: &[Tracked]) -> Health {
        let mut health = Health::default();
        for one in tracked {
            let standing = self.all.get(&one.check);
            let verdict = standing.map_or(Verdict::Unknown, |it| it.verdict);
            health.unsure |= verdict == Verdict::Unknown
                || (one.weight == Weight::Fault && standing.is_some_and(Standing::is_doubtful));
            match (one.weight, verdict) {
                (Weight::Fault, Verdict::Bad) => {
                    let text = standing.map(|it| words(self.name(&one.check), it));
                    health.sick = health.sick.or(text);
                }
                (Weight::Points(points), Verdict::Bad) if points < 0 => health.offset += points,
                (Weight::Points(points), Verdict::Good) if points > 0 => health.offset += points,
                (Weight::Content, _) => {
                    let last = standing.and_then(|it| it.last.as_ref());
                    health.offset += last.map_or(0, |last| last.value);
                }
                _ => {}
            }
        }
        health
    }
}

/// Names in the order of the checks: the same file gives the same.
fn names(checks: &BTreeSet<Check>) -> BTreeMap<Check, String> {
    let mut alike: BTreeMap<String, Vec<&Check>> = BTreeMap::new();
    for check in checks {
        alike.entry(check.to_string()).or_default().push(check);
    }
    let mut names = BTreeMap::new();
    for (name, checks) in alike {
        let alone = checks.len() == 1;
        for (at, check) in checks.into_iter().enumerate() {
            let own = match alone {
                true => name.clone(),
                false => format!("{name} #{}", at + 1),
            };
            names.insert(check.clone(), own);
        }
    }
    names
}

fn told(check: &str, standing: &Standing) -> Event {
    Event::Checked {
        text: words(check, standing),
        good: standing.verdict != Verdict::Bad,
    }
}

/// "check https://127.0.0.1:6443/readyz failed 3 times: HTTP 500".
fn words(check: &str, standing: &Standing) -> String {
    let found = standing.last.as_ref().map_or("", |last| last.text.as_str());
    match (standing.verdict, standing.failed_in_a_row()) {
        (Verdict::Bad, 0 | 1) => format!("check {check} failed: {found}"),
        (Verdict::Bad, times) => format!("check {check} failed {times} times: {found}"),
        _ => format!("check {check} is good: {found}"),
    }
}

#[cfg(test)]
mod tests;
