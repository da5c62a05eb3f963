//! What runs yield: samples, the cells they are gathered in, and what is demanded of them.
//!
//! A figure that did not come, an address that never went, is infinite: it loses every comparison
//! and medians take it for what it is. A [`Failure::Noise`] is the machine's or the tool's own
//! doing; such a run is repeated and only counted.

use super::pair::{Kind, Pair};
use crate::load::runner::median;

/// Figures of one run, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample(pub Vec<(&'static str, f64)>);

impl Sample {
    /// A figure by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        let mut figures = self.0.iter();
        figures
            .find(|(known, _)| *known == name)
            .map(|(_, value)| *value)
    }
}

/// Why a run has no figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The machine stood still or the tool was late; in words by how much.
    Noise(String),
    /// It went wrong.
    Wrong(String),
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// All runs of a pair at an interval.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Who.
    pub pair: Pair,
    /// Between two adverts.
    pub interval_ms: u32,
    /// The figures of the runs that count.
    pub samples: Vec<Sample>,
    /// Runs that were repeated for noise.
    pub discarded: usize,
    /// Runs that went wrong.
    pub failed: usize,
    /// How the last of them did.
    pub failure: Option<String>,
}

impl Cell {
    /// A cell without runs.
    #[must_use]
    pub fn new(pair: Pair, interval_ms: u32) -> Self {
        Self {
            pair,
            interval_ms,
            samples: Vec::new(),
            discarded: 0,
            failed: 0,
            failure: None,
        }
    }

    /// Notes a run that went wrong.
    pub fn fail(&mut self, why: String) {
        self.failed += 1;
        self.failure = Some(why);
    }

    /// A figure over all runs; none without runs.
    #[must_use]
    pub fn stat(&self, name: &str, stat: Stat) -> Option<f64> {
        let values: Vec<f64> = self
            .samples
            .iter()
            .filter_map(|one| one.get(name))
            .collect();
        match stat {
            Stat::Median => median(values),
            Stat::Worst => values.into_iter().max_by(f64::total_cmp),
            Stat::Best => values.into_iter().min_by(f64::total_cmp),
        }
    }
}

/// What is made of several runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// The middle one.
    Median,
    /// The largest.
    Worst,
    /// The smallest.
    Best,
}

/// What a figure is held against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// A number in the figure's own unit.
    Fixed(f64),
    /// So many parts of the interval, in milliseconds.
    Interval(f64),
    /// Three intervals and the skew, in milliseconds, and so much more.
    Down(f64),
    /// So many times the median of a peer in the same run, and so much more: what the measurement
    /// itself cannot tell apart.
    Peer(Kind, f64, f64),
}

/// "At most …" of ours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Which figure.
    pub figure: &'static str,
    /// Over the runs.
    pub stat: Stat,
    /// The bound.
    pub against: Against,
}

/// All runs of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its short name.
    pub key: String,
    /// What happens, in one line.
    pub title: String,
    /// What is demanded.
    pub bars: Vec<Bar>,
    /// One per pair and interval.
    pub cells: Vec<Cell>,
}

impl Outcome {
    /// The cell of a pair at an interval, made when it is not there.
    pub fn cell(&mut self, pair: Pair, interval_ms: u32) -> &mut Cell {
        let same = |cell: &Cell| cell.pair == pair && cell.interval_ms == interval_ms;
        let at = self.cells.iter().position(same).unwrap_or_else(|| {
            self.cells.push(Cell::new(pair, interval_ms));
            self.cells.len() - 1
        });
        &mut self.cells[at]
    }
}
