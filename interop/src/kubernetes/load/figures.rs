//! What a case found: figures with their bars, as a line, a record and a table.
//!
//! A bar is met below it, not at it. The record is what `bgp-load` and `vrrp-load` write too, so
//! the notes are filled by the same words.

use std::fmt::Write;

use serde_json::{Value, json};

/// One figure, and the bar it must stay under.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is, with its unit.
    pub name: &'static str,
    /// How much.
    pub value: f64,
    /// It must be below this.
    pub bar: Option<f64>,
}

impl Figure {
    /// A figure without a bar.
    pub fn plain(name: &'static str, value: f64) -> Figure {
        Figure {
            name,
            value,
            bar: None,
        }
    }

    /// A figure that must stay below.
    pub fn below(name: &'static str, value: f64, bar: f64) -> Figure {
        Figure {
            bar: Some(bar),
            ..Figure::plain(name, value)
        }
    }
}

/// What a case found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// One sentence: what was done.
    pub title: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// Why there are none.
    pub failure: Option<String>,
}

impl Found {
    /// For the machine-readable record: figures, verdicts, and the notes' table.
    #[must_use]
    pub fn record(&self) -> Value {
        let figures = self.figures.iter();
        let figures: Value = figures
            .map(|one| json!({ "name": one.name, "value": one.value }))
            .collect();
        let mut verdicts: Vec<Value> = Vec::new();
        for figure in &self.figures {
            let Some(bar) = figure.bar else { continue };
            let text = format!(
                "{}: {}, below {}",
                figure.name,
                shown(figure.value),
                shown(bar)
            );
            verdicts.push(json!({ "met": figure.value < bar, "text": text }));
        }
        if let Some(why) = &self.failure {
            verdicts.push(json!({ "met": false, "text": why }));
        }
        json!({
            "title": self.title, "figures": figures, "verdicts": verdicts,
            "failure": self.failure, "markdown": self.markdown(),
        })
    }

    /// The table.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.title);
        if let Some(why) = &self.failure {
            let _ = writeln!(text, "Failed: {why}");
            return text;
        }
        text += "| figure | value | bar |\n| --- | ---: | ---: |\n";
        for figure in &self.figures {
            let bar = figure
                .bar
                .map_or(String::new(), |bar| format!("< {}", shown(bar)));
            let _ = writeln!(
                text,
                "| {} | {} | {bar} |",
                figure.name,
                shown(figure.value)
            );
        }
        text
    }
}

/// Three digits are enough to judge by.
fn shown(value: f64) -> String {
    match value {
        value if value == value.trunc() => format!("{value:.0}"),
        value if value < 10.0 => format!("{value:.2}"),
        value => format!("{value:.1}"),
    }
}

/// The value below which this part of the sorted values lies.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    let index = (last as f64 * part).ceil() as usize;
    sorted
        .get(index.min(last))
        .copied()
        .unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), 51.0);
        assert_eq!(quantile(&values, 0.99), 100.0);
        assert_eq!(quantile(&values, 1.0), 101.0);
        assert!(quantile(&[], 0.5).is_infinite());
    }

    #[test]
    fn a_bar_that_is_reached_is_missed() {
        let found = Found {
            title: "A test.".to_owned(),
            figures: vec![
                Figure::below("p99, ms", 50.0, 50.0),
                Figure::below("max, ms", 4.25, 50.0),
                Figure::plain("events", 7.0),
            ],
            failure: None,
        };
        let record = found.record();
        assert_eq!(record["verdicts"][0]["met"], false);
        assert_eq!(record["verdicts"][1]["text"], "max, ms: 4.25, below 50");
        assert!(found.markdown().contains("| events | 7 |  |"));
    }
}
