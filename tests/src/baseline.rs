//! Instructions the core path may take: the file, and the verdict on a run against it.
//!
//! The file holds, per scenario, the total and every function with at least one percent of it (but
//! not those that everything is called from), so that a growth can be laid at a function's door
//! and not merely noticed. A scenario whose total is
//! more than [`TOLERANCE_PERCENT`] above the baseline fails, and so does one that has no baseline.
//! Fewer instructions pass; the report asks to bless them, because a loose baseline lets the next
//! regression through.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::callgrind::{Cost, Profile};

/// How far a total may grow before the check fails.
pub const TOLERANCE_PERCENT: u64 = 10;
/// Functions below this share of the total are left out of the file.
const SHARE_PERCENT: u64 = 1;
/// Functions shown for a scenario that has grown.
const SHOWN: usize = 12;

/// Profiles by scenario, with the tools they were made with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Compiler and Valgrind, one line.
    pub made_with: String,
    /// By the scenario's name.
    pub scenarios: BTreeMap<String, Profile>,
}

impl Baseline {
    /// Reads the file. `Err` names the line; bless again to write it anew.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut baseline = Self::default();
        let mut name = None;
        for line in text.lines() {
            let read = match line.split_once(' ') {
                _ if line.is_empty() => Some(()),
                Some(("#", _)) => Some(()),
                Some(("with", tools)) => {
                    baseline.made_with = tools.to_owned();
                    Some(())
                }
                Some(("scenario", rest)) => baseline.scenario(rest, &mut name),
                _ => baseline.function(line, name.as_deref()),
            };
            read.ok_or_else(|| format!("cannot read: {line}"))?;
        }
        Ok(baseline)
    }

    fn scenario(&mut self, text: &str, name: &mut Option<String>) -> Option<()> {
        let (scenario, total) = text.split_once(' ')?;
        let profile = Profile {
            total: total.parse().ok()?,
            ..Profile::default()
        };
        *name = Some(scenario.to_owned());
        self.scenarios.insert(scenario.to_owned(), profile);
        Some(())
    }

    fn function(&mut self, line: &str, scenario: Option<&str>) -> Option<()> {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next()?.parse().ok();
        let (inclusive, own) = (number()?, number()?);
        let name = words.next()?.to_owned();
        let profile = self.scenarios.get_mut(scenario?)?;
        profile.functions.insert(name, Cost { own, inclusive });
        Some(())
    }

    /// The file: scenarios in the order of their names, the most expensive function first.
    pub fn to_text(&self) -> String {
        let mut text = "# Instructions of the core path; `make bench-check BLESS=1` writes this.\n\
            # Below each total: with callees, own, function.\n"
            .to_owned();
        let _ = writeln!(text, "with {}", self.made_with);
        for (name, profile) in &self.scenarios {
            let _ = writeln!(text, "\nscenario {name} {}", profile.total);
            let mut functions: Vec<_> = profile
                .functions
                .iter()
                .filter(|(_, cost)| is_telling(**cost, profile.total))
                .collect();
            functions.sort_by_key(|(name, cost)| (std::cmp::Reverse(cost.inclusive), *name));
            for (name, cost) in functions {
                let _ = writeln!(text, "{} {} {name}", cost.inclusive, cost.own);
            }
        }
        text
    }

    /// Compares a run; the text is for people, the flag is whether it passes.
    pub fn compare(&self, now: &Baseline) -> (String, bool) {
        let mut text = format!(
            "{:<10} {:>14} {:>14} {:>8}\n",
            "scenario", "baseline", "now", "change"
        );
        let (mut details, mut passes, mut cheaper) = (String::new(), true, false);
        for (name, after) in &now.scenarios {
            let Some(before) = self.scenarios.get(name) else {
                let _ = writeln!(text, "{name:<10} {:>14} {:>14}", "none", after.total);
                passes = false;
                continue;
            };
            let grown = exceeds(before.total, after.total);
            let _ = writeln!(
                text,
                "{name:<10} {:>14} {:>14} {:>+7.1}%{}",
                before.total,
                after.total,
                percent(before.total, after.total),
                if grown { "  TOO MUCH" } else { "" }
            );
            cheaper |= exceeds(after.total, before.total);
            if grown {
                passes = false;
                details += &growth(name, before, after);
            }
        }
        for gone in self
            .scenarios
            .keys()
            .filter(|name| !now.scenarios.contains_key(*name))
        {
            let _ = writeln!(text, "{gone:<10} was not run");
            passes = false;
        }
        text += &details;
        if self.made_with != now.made_with {
            let (then, today) = (&self.made_with, &now.made_with);
            let _ = writeln!(text, "baseline made with {then}, this run with {today}");
        }
        if !passes {
            text += "if this is wanted: make bench-check BLESS=1\n";
        } else if cheaper {
            text += "much cheaper than the baseline: make bench-check BLESS=1 keeps it so\n";
        }
        (text, passes)
    }
}

/// Whether `after` is more than the tolerance above `before`.
fn exceeds(before: u64, after: u64) -> bool {
    after * 100 > before * (100 + TOLERANCE_PERCENT)
}

/// Whether a function is large enough to matter and is not what everything is called from.
fn is_telling(cost: Cost, total: u64) -> bool {
    cost.inclusive * 100 >= total * SHARE_PERCENT && cost.inclusive < total / 1_000 * 999
}

fn percent(before: u64, after: u64) -> f64 {
    (after as f64 / before.max(1) as f64 - 1.0) * 100.0
}

/// The functions whose share, of the total as it was, grew most.
fn growth(name: &str, before: &Profile, after: &Profile) -> String {
    let share = |cost: u64| cost as f64 * 100.0 / before.total.max(1) as f64;
    let mut rows: Vec<(i64, i64, &str, u64, u64)> = after
        .functions
        .iter()
        .filter(|(_, now)| is_telling(**now, after.total))
        .map(|(function, now)| {
            let was = before.functions.get(function).copied().unwrap_or_default();
            (
                now.inclusive.cast_signed() - was.inclusive.cast_signed(),
                now.own.cast_signed() - was.own.cast_signed(),
                function.as_str(),
                was.inclusive,
                now.inclusive,
            )
        })
        .filter(|(more, ..)| *more > 0 && share(more.unsigned_abs()) >= 0.1)
        .collect();
    rows.sort_by_key(|(more, own, function, ..)| {
        (std::cmp::Reverse(*more), std::cmp::Reverse(*own), *function)
    });
    let mut text = format!(
        "\n{name}: functions that grew most, in percent of the old total\n\
         {:>7} {:>7} {:>8} {:>8}  function\n",
        "before", "now", "growth", "own"
    );
    for (more, own, function, was, now) in rows.into_iter().take(SHOWN) {
        let signed = |cost: i64| share(cost.unsigned_abs()) * cost.signum() as f64;
        let _ = writeln!(
            text,
            "{:>7.1} {:>7.1} {:>+8.1} {:>+8.1}  {function}",
            share(was),
            share(now),
            signed(more),
            signed(own)
        );
    }
    text
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
