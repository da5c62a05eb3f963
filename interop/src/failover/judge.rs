//! The bars, judged by code: each is held against the figures of the same run, at every interval.
//!
//! A verdict names the figure, the bound and by how much it is kept or missed. What was not
//! measured is not met: a bar without a figure, or without the peer it is held against, is said to
//! be open and fails the run as a miss does, unless the peer was left out on purpose. Nor is it met
//! by the rest where a run of ours went wrong: what that one would have shown nobody knows.

use super::figures::{Against, Bar, Cell, Outcome, Stat};
use super::pair::{Kind, Pair};
use super::plan::Plan;

/// A bar and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Kept or missed; none for nothing to compare with.
    pub kept: Option<bool>,
    /// The whole of it in words.
    pub text: String,
}

/// Judges all bars of an outcome, at each interval that ours was asked to run at.
#[must_use]
pub fn verdicts(outcome: &Outcome) -> Vec<Verdict> {
    let ours = outcome
        .cells
        .iter()
        .filter(|cell| cell.pair == Pair::of(Kind::Wayfare));
    ours.flat_map(|cell| outcome.bars.iter().map(|bar| verdict(bar, cell, outcome)))
        .collect()
}

fn verdict(bar: &Bar, ours: &Cell, outcome: &Outcome) -> Verdict {
    let head = format!(
        "{}, {}{}",
        interval(ours.interval_ms),
        stat(bar.stat),
        bar.figure
    );
    let open = |why: &str| Verdict {
        kept: None,
        text: format!("{head}: {why}"),
    };
    let Some(figure) = ours.stat(bar.figure, bar.stat) else {
        let why = ours.failure.as_deref().and_then(|why| why.lines().next());
        return open(&format!("not measured{}", colon(why)));
    };
    let interval_ms = f64::from(ours.interval_ms);
    let (bound, of) = match bar.against {
        Against::Fixed(bound) => (bound, String::new()),
        Against::Interval(parts) => (parts * interval_ms, format!(" = {parts} intervals")),
        Against::Down(more) => {
            let down = Plan::one(ours.interval_ms).down_interval().as_secs_f64() * 1e3;
            let more_shown = plus(more);
            (
                down + more,
                format!(" = 3 intervals and the skew{more_shown}"),
            )
        }
        Against::Peer(kind, factor, more) => {
            let same =
                |cell: &&Cell| cell.pair == Pair::of(kind) && cell.interval_ms == ours.interval_ms;
            let peer = outcome.cells.iter().find(same);
            let Some(theirs) = peer.and_then(|cell| cell.stat(bar.figure, Stat::Median)) else {
                return open(&format!("{}, {} not measured", shown(figure), kind.name()));
            };
            let of = format!(
                " = {factor} × {}'s {}{}",
                kind.name(),
                shown(theirs),
                plus(more)
            );
            (factor * theirs + more, of)
        }
    };
    let kept = figure <= bound && ours.failed == 0;
    let outcome = match (kept, figure.is_finite()) {
        (true, _) => "met".to_owned(),
        (false, _) if ours.failed > 0 => {
            let why = ours.failure.as_deref().and_then(|why| why.lines().next());
            format!(
                "MISSED: {} of the runs went wrong{}",
                ours.failed,
                colon(why)
            )
        }
        (false, true) if bound > 0.0 => {
            format!("MISSED by {:.1} %", (figure / bound - 1.0) * 100.0)
        }
        _ => "MISSED".to_owned(),
    };
    Verdict {
        kept: Some(kept),
        text: format!(
            "{head}: {} of at most {}{of}: {outcome}",
            shown(figure),
            shown(bound)
        ),
    }
}

fn colon(why: Option<&str>) -> String {
    why.map_or_else(String::new, |why| format!(": {why}"))
}

fn plus(more: f64) -> String {
    match more == 0.0 {
        true => String::new(),
        false => format!(" + {more}"),
    }
}

fn stat(stat: Stat) -> &'static str {
    match stat {
        Stat::Median => "",
        Stat::Worst => "worst ",
        Stat::Best => "best ",
    }
}

/// "100 ms", "1 s".
#[must_use]
pub fn interval(ms: u32) -> String {
    match ms % 1000 {
        0 => format!("{} s", ms / 1000),
        _ => format!("{ms} ms"),
    }
}

/// A figure with as many digits as mean something.
#[must_use]
pub fn shown(value: f64) -> String {
    match value {
        v if v.is_infinite() => "never".to_owned(),
        v if v.fract() == 0.0 || v >= 1000.0 => format!("{v:.0}"),
        v if v >= 100.0 => format!("{v:.1}"),
        v if v >= 1.0 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::Sample;
    use super::*;

    const OURS: Pair = Pair::of(Kind::Wayfare);
    const THEIRS: Pair = Pair::of(Kind::Keepalived);

    fn outcome(bar: Bar, ours: &[f64], theirs: &[f64]) -> Outcome {
        let cell = |pair, values: &[f64]| Cell {
            samples: values.iter().map(|v| Sample(vec![("lost", *v)])).collect(),
            ..Cell::new(pair, 100)
        };
        Outcome {
            key: "crash".to_owned(),
            title: "a crash".to_owned(),
            bars: vec![bar],
            cells: vec![cell(OURS, ours), cell(THEIRS, theirs)],
        }
    }

    fn kept(stat: Stat, against: Against, ours: &[f64], theirs: &[f64]) -> Option<bool> {
        let bar = Bar {
            figure: "lost",
            stat,
            against,
        };
        let found = verdicts(&outcome(bar, ours, theirs));
        assert_eq!(found.len(), 1);
        found.first().and_then(|one| one.kept)
    }

    #[test]
    fn a_peer_is_held_against_by_its_median() {
        let peer = Against::Peer(Kind::Keepalived, 1.0, 0.0);
        let median = |ours, theirs| kept(Stat::Median, peer, ours, theirs);
        assert_eq!(median(&[310.0, 300.0, 999.0], &[310.0]), Some(true));
        assert_eq!(median(&[311.0], &[310.0, 310.0, 900.0]), Some(false));
        assert_eq!(median(&[311.0], &[]), None, "no peer is no verdict");
        assert_eq!(median(&[], &[310.0]), None, "no figure is no verdict");
    }

    #[test]
    fn factors_and_resolution_widen_a_bound_and_are_said() {
        let peer = Against::Peer(Kind::Keepalived, 1.2, 1.0);
        let bar = |against| Bar {
            figure: "lost",
            stat: Stat::Median,
            against,
        };
        let found = verdicts(&outcome(bar(peer), &[13.0], &[10.0]));
        assert_eq!(found[0].kept, Some(true));
        assert!(
            found[0].text.contains("1.2 × keepalived's 10 + 1"),
            "{}",
            found[0].text
        );
        let found = verdicts(&outcome(bar(peer), &[13.1], &[10.0]));
        assert_eq!(found[0].kept, Some(false));
    }

    #[test]
    fn one_bad_run_misses_a_bar_on_the_worst() {
        let one = Against::Fixed(1.0);
        assert_eq!(kept(Stat::Worst, one, &[0.0, 1.0, 0.0], &[]), Some(true));
        assert_eq!(kept(Stat::Worst, one, &[0.0, 2.0, 0.0], &[]), Some(false));
        assert_eq!(kept(Stat::Median, one, &[0.0, 2.0, 0.0], &[]), Some(true));
    }

    #[test]
    fn timer_bounds_follow_the_interval() {
        let down = Against::Down(0.0);
        assert_eq!(kept(Stat::Worst, down, &[360.0], &[]), Some(true));
        assert_eq!(kept(Stat::Worst, down, &[361.0], &[]), Some(false));
        let tenth = Against::Interval(0.1);
        assert_eq!(kept(Stat::Worst, tenth, &[10.0], &[]), Some(true));
        assert_eq!(kept(Stat::Worst, tenth, &[10.1], &[]), Some(false));
    }

    /// Nine good runs do not make up for one that went wrong; those of a peer are its own affair.
    #[test]
    fn a_run_of_ours_that_went_wrong_misses_every_bar() {
        let bar = Bar {
            figure: "lost",
            stat: Stat::Median,
            against: Against::Peer(Kind::Keepalived, 1.0, 0.0),
        };
        let mut outcome = outcome(bar, &[300.0; 9], &[310.0]);
        outcome.cells[1].fail("it did not come up".to_owned());
        assert_eq!(verdicts(&outcome)[0].kept, Some(true));
        outcome.cells[0].fail("a crash\nwith details".to_owned());
        let found = verdicts(&outcome);
        assert_eq!(found[0].kept, Some(false));
        let wanted = "MISSED: 1 of the runs went wrong: a crash";
        assert!(found[0].text.ends_with(wanted), "{}", found[0].text);
    }

    #[test]
    fn what_never_happened_is_missed() {
        let two = Against::Fixed(2000.0);
        let never = [100.0, f64::INFINITY, 100.0];
        assert_eq!(kept(Stat::Worst, two, &never, &[]), Some(false));
        assert_eq!(shown(f64::INFINITY), "never");
    }
}
