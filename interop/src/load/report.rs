//! What the figures say: medians, ratios, verdicts, and the table of a shape in Markdown.
//!
//! A cell where a peer needs less than `wayfare-bgpd` is marked with an arrow, in every table, so
//! that nobody has to look for what is not flattering. A verdict names the figure, the bound and by
//! how much it is kept or missed. Ratios are of medians of the same rounds.

use std::fmt::Write as _;

use super::bench::{Against, Bar, Failure, Metric};
use super::daemon::Daemon;
use super::runner::{Cell, Outcome, median};

/// Octets of a mebibyte.
const MIB: f64 = 1_048_576.0;

impl Cell {
    /// The median of a figure; none without runs.
    pub fn figure(&self, metric: Metric) -> Option<f64> {
        let samples = self.samples.iter();
        let values = samples.filter_map(|sample| match metric {
            Metric::Wall => Some(sample.wall_s),
            Metric::Cpu => Some(sample.cpu_s),
            Metric::Peak => Some(sample.peak_mib),
            Metric::Extra(name) => sample.extra(name),
        });
        median(values.collect())
    }

    /// Peak memory divided by paths, in octets.
    pub fn per_path(&self) -> Option<f64> {
        let values = self.samples.iter().filter(|sample| sample.paths > 0);
        median(
            values
                .map(|one| one.peak_mib * MIB / one.paths as f64)
                .collect(),
        )
    }
}

/// A bar and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Kept, missed, or nothing to compare with.
    pub kept: Option<bool>,
    /// The whole of it in words.
    pub text: String,
}

/// Judges all bars of an outcome; none when `wayfare-bgpd` was not run.
pub fn verdicts(outcome: &Outcome) -> Vec<Verdict> {
    let ours = outcome
        .cells
        .iter()
        .find(|cell| cell.daemon == Daemon::Wayfare(None));
    let Some(ours) = ours else { return Vec::new() };
    outcome
        .bars
        .iter()
        .map(|bar| verdict(bar, ours, outcome))
        .collect()
}

fn verdict(bar: &Bar, ours: &Cell, outcome: &Outcome) -> Verdict {
    let name = metric_name(bar.metric);
    let Some(figure) = ours.figure(bar.metric) else {
        let text = format!("{name}: not measured");
        return Verdict { kept: None, text };
    };
    let (bound, of) = match bar.against {
        Against::Fixed => (bar.factor, String::new()),
        Against::BestPeer | Against::Peer(_) => {
            let Some((peer, theirs)) = best(bar, outcome) else {
                let text = format!(
                    "{name}: {}, no peer to compare with",
                    shown(bar.metric, figure)
                );
                return Verdict { kept: None, text };
            };
            let of = format!(
                " = {:.2} × {peer}'s {}",
                bar.factor,
                shown(bar.metric, theirs)
            );
            (bar.factor * theirs, of)
        }
    };
    let kept = figure <= bound;
    let outcome = match kept {
        true => "met".to_owned(),
        false => format!("MISSED by {:.0} %", (figure / bound - 1.0) * 100.0),
    };
    Verdict {
        kept: Some(kept),
        text: format!(
            "{name}: {} of at most {}{of}: {outcome}",
            shown(bar.metric, figure),
            shown(bar.metric, bound)
        ),
    }
}

/// The peer with the smallest figure, among those the bar names.
fn best(bar: &Bar, outcome: &Outcome) -> Option<(String, f64)> {
    let peers = outcome.cells.iter().filter(|cell| !cell.daemon.is_ours());
    let named = peers.filter(|cell| match bar.against {
        Against::Peer(name) => cell.daemon.name().starts_with(name),
        Against::BestPeer | Against::Fixed => true,
    });
    let figures = named.filter_map(|cell| Some((cell.daemon.name(), cell.figure(bar.metric)?)));
    figures.min_by(|(_, a), (_, b)| a.total_cmp(b))
}

fn metric_name(metric: Metric) -> &'static str {
    match metric {
        Metric::Wall => "wall",
        Metric::Cpu => "CPU",
        Metric::Peak => "peak memory",
        Metric::Extra(name) => name,
    }
}

fn shown(metric: Metric, value: f64) -> String {
    let digits = match value {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 0.1 => 2,
        _ => 3,
    };
    match metric {
        Metric::Wall | Metric::Cpu => format!("{value:.digits$} s"),
        Metric::Peak => format!("{value:.digits$} MiB"),
        Metric::Extra(_) => format!("{value:.digits$}"),
    }
}

/// The outcome as Markdown: title, table, verdicts.
pub fn markdown(outcome: &Outcome) -> String {
    let extras = extras(outcome);
    let ours = outcome
        .cells
        .iter()
        .find(|cell| cell.daemon == Daemon::Wayfare(None));
    let mut text = format!(
        "{}.\n\n| daemon | wall | CPU | peak | per path |",
        capital(&outcome.title)
    );
    extras.iter().for_each(|name| text += &format!(" {name} |"));
    text += " runs |\n|---|---|---|---|---|";
    text += &"---|".repeat(extras.len() + 1);
    text.push('\n');
    for cell in &outcome.cells {
        let _ = write!(text, "| {} |", cell.daemon.name());
        for metric in [Metric::Wall, Metric::Cpu, Metric::Peak] {
            let _ = write!(text, " {} |", table_figure(metric, cell, ours, outcome));
        }
        let per_path = cell.per_path().map(|octets| format!("{octets:.0} B"));
        let _ = write!(text, " {} |", per_path.unwrap_or_default());
        for name in &extras {
            let value = cell.figure(Metric::Extra(name));
            let value = value.map(|value| shown(Metric::Extra(name), value));
            let _ = write!(text, " {} |", value.unwrap_or_default());
        }
        let failed = match (cell.failed, cell.samples.len()) {
            (0, _) | (_, 0) => String::new(),
            (failed, _) => format!(", {failed} failed"),
        };
        let _ = writeln!(text, " {}{failed} |", cell.samples.len());
    }
    for verdict in verdicts(outcome) {
        let _ = write!(text, "\n- {}", verdict.text);
    }
    text + "\n"
}

/// "1.00 s (2.3×)": the figure, and how many times ours it is; `←` where it is less than ours.
fn table_figure(metric: Metric, cell: &Cell, ours: Option<&Cell>, outcome: &Outcome) -> String {
    let Some(figure) = cell.figure(metric) else {
        return match (&cell.failure, metric) {
            (Some(Failure::TooSlow(_)), Metric::Wall) => format!("> {:.0} s", outcome.limit_s),
            (Some(Failure::Wrong(_)), Metric::Wall) => "failed".to_owned(),
            _ => String::new(),
        };
    };
    let text = shown(metric, figure);
    let ours = ours.and_then(|ours| ours.figure(metric));
    match ours.filter(|_| cell.daemon != Daemon::Wayfare(None)) {
        Some(ours) if ours > 0.0 => {
            let ratio = figure / ours;
            let mark = if ratio < 1.0 && !cell.daemon.is_ours() {
                " ←"
            } else {
                ""
            };
            format!("{text} ({ratio:.1}×){mark}")
        }
        _ => text,
    }
}

fn extras(outcome: &Outcome) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    let samples = outcome.cells.iter().flat_map(|cell| &cell.samples);
    for (name, _) in samples.flat_map(|sample| &sample.extra) {
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
    use super::*;
    use crate::load::bench::Sample;

    fn outcome(bars: &[Bar]) -> Outcome {
        let cell = |daemon: Daemon, walls: &[f64]| Cell {
            daemon,
            samples: walls
                .iter()
                .map(|wall_s| Sample {
                    wall_s: *wall_s,
                    cpu_s: 1.0,
                    peak_mib: 1.0,
                    paths: 1024,
                    ..Sample::default()
                })
                .collect(),
            loads: Vec::new(),
            failure: None,
            failed: 0,
        };
        Outcome {
            key: "s0".to_owned(),
            title: "a test".to_owned(),
            limit_s: 60.0,
            bars: bars.to_vec(),
            cells: vec![
                cell(Daemon::Wayfare(None), &[3.0, 1.0, 2.0]),
                cell(Daemon::Wayfare(Some(4)), &[0.1]),
                cell(Daemon::Bird2, &[3.0, 3.5, 1.0]),
                cell(Daemon::Frr, &[8.0]),
            ],
        }
    }

    #[test]
    fn a_bar_is_held_against_the_best_peer_and_not_against_ourselves() {
        let found = verdicts(&outcome(&[
            Bar::best(Metric::Wall, 0.5),
            Bar::peer(Metric::Wall, 0.25, "FRR"),
            Bar::fixed(Metric::Wall, 1.6),
            Bar::peer(Metric::Wall, 1.0, "GoBGP"),
            Bar::best(Metric::Extra("ms"), 1.0),
        ]));
        let kept: Vec<_> = found.iter().map(|verdict| verdict.kept).collect();
        assert_eq!(kept, [Some(false), Some(true), Some(false), None, None]);
        assert!(
            found[0].text.contains("BIRD 2's 3.00 s: MISSED by 33 %"),
            "{}",
            found[0].text
        );
        assert!(
            found[2].text.contains("MISSED by 25 %"),
            "{}",
            found[2].text
        );
    }

    #[test]
    fn a_table_shows_ratios_and_marks_peers_that_are_ahead() {
        let mut outcome = outcome(&[]);
        outcome.cells[3].samples[0].wall_s = 1.0;
        let text = markdown(&outcome);
        for part in [
            "| wayfare-bgpd | 2.00 s | 1.00 s | 1.00 MiB | 1024 B | 3 |",
            "| BIRD 2 | 3.00 s (1.5×) |",
            "| FRR | 1.00 s (0.5×) ← |",
            "| wayfare-bgpd, 4 threads | 0.10 s (0.1×) |",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
