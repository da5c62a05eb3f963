//! Tables in Markdown: a row per daemon and interval, a column per figure, and the verdicts.
//!
//! A figure is the median of the runs with the smallest and the largest behind it. What did not
//! happen within the time of a run is "never". Runs that were repeated for noise are counted in
//! the last column.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::figures::{Cell, Outcome, Stat};
use super::judge::{interval, shown, verdicts};

/// The outcome as Markdown: title, table, verdicts.
#[must_use]
pub fn markdown(outcome: &Outcome) -> String {
    let names = names(outcome);
    let mut text = format!("{}.\n\n| adverts | daemon |", capital(&outcome.title));
    names.iter().for_each(|name| text += &format!(" {name} |"));
    text += " runs |\n|---|---|";
    text += &"---|".repeat(names.len() + 1);
    text.push('\n');
    let mut cells: Vec<&Cell> = outcome.cells.iter().collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.interval_ms));
    for cell in cells {
        let _ = write!(
            text,
            "| {} | {} |",
            interval(cell.interval_ms),
            cell.pair.name()
        );
        for name in &names {
            let _ = write!(text, " {} |", figure(cell, name));
        }
        let repeated = match cell.discarded {
            0 => String::new(),
            number => format!(", {number} repeated"),
        };
        let failed = match cell.failed {
            0 => String::new(),
            number => format!(", {number} failed"),
        };
        let _ = writeln!(text, " {}{repeated}{failed} |", cell.samples.len());
    }
    for verdict in verdicts(outcome) {
        let _ = write!(text, "\n- {}", verdict.text);
    }
    text + "\n"
}

/// "3109 (2709–3509)": the median, and in between what all runs were.
fn figure(cell: &Cell, name: &str) -> String {
    let stat = |stat| cell.stat(name, stat);
    let (Some(middle), Some(best), Some(worst)) =
        (stat(Stat::Median), stat(Stat::Best), stat(Stat::Worst))
    else {
        return String::new();
    };
    match best == worst {
        true => shown(middle),
        false => format!("{} ({}–{})", shown(middle), shown(best), shown(worst)),
    }
}

/// The outcome for the machine-readable record.
#[must_use]
pub fn record(outcome: &Outcome) -> Value {
    let cells = outcome.cells.iter().map(|cell| {
        let runs = cell.samples.iter().map(|sample| {
            let figures = sample.0.iter();
            let figures = figures.map(|(name, value)| ((*name).to_owned(), json!(value)));
            Value::Object(figures.collect())
        });
        json!({
            "name": cell.pair.name(),
            "interval_ms": cell.interval_ms,
            "runs": runs.collect::<Vec<_>>(),
            "repeated_for_noise": cell.discarded,
            "failed": cell.failed,
            "failure": cell.failure,
        })
    });
    let verdicts = verdicts(outcome);
    let verdicts = verdicts
        .iter()
        .map(|one| json!({"met": one.kept, "text": one.text}));
    json!({
        "title": outcome.title,
        "daemons": cells.collect::<Vec<_>>(),
        "verdicts": verdicts.collect::<Vec<_>>(),
        "markdown": markdown(outcome),
    })
}

fn names(outcome: &Outcome) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let samples = outcome.cells.iter().flat_map(|cell| &cell.samples);
    for (name, _) in samples.flat_map(|sample| &sample.0) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

#[cfg(test)]
mod tests {
    use super::super::figures::Sample;
    use super::super::pair::{Kind, Pair};
    use super::*;

    #[test]
    fn a_table_has_medians_ranges_and_what_never_came() {
        let mut outcome = Outcome {
            key: "kill".to_owned(),
            title: "a test".to_owned(),
            bars: Vec::new(),
            cells: Vec::new(),
        };
        for (interval, gone) in [(100, 1900.0), (1000, 1800.5), (100, 1700.0), (100, 1600.0)] {
            let cell = outcome.cell(Pair::of(Kind::Wayfare), interval);
            cell.samples.push(Sample(vec![("gone ms", gone)]));
        }
        let theirs = outcome.cell(Pair::of(Kind::Keepalived), 100);
        theirs
            .samples
            .push(Sample(vec![("gone ms", f64::INFINITY), ("lost", 3.0)]));
        theirs.discarded = 2;
        let text = markdown(&outcome);
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            rows[2..],
            [
                "| 1 s | wayfare-vrrpd | 1800 |  | 1 |",
                "| 100 ms | wayfare-vrrpd | 1700 (1600–1900) |  | 3 |",
                "| 100 ms | keepalived | never | 3 | 1, 2 repeated |",
            ]
        );
        assert!(record(&outcome)["daemons"][1]["runs"][0]["gone ms"].is_number());
    }
}
