//! Rounds: each pair once at each interval, then all again, so that whatever else the machine does
//! falls on all.
//!
//! A pair is started once per round and interval and goes through all cases that were asked for.
//! One that does not come to rest or goes wrong is started anew for the next case; one that fails
//! a case twice is not put through it again. A run that noise has spoilt is repeated.

use super::cases::Case;
use super::figures::{Cell, Failure, Outcome, Sample};
use super::ground::Ground;
use super::pair::Pair;
use super::plan::Plan;
use super::scale::Scale;
use super::session::Session;
use crate::lab::Lab;

/// A machine that is noisier than this is no place to measure.
const TRIES: usize = 8;
/// Who fails so often is left out.
const FAILURES_MAX: usize = 2;

/// What is run.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which events.
    pub cases: Vec<Case>,
    /// Which numbers of virtual routers.
    pub scales: Vec<Scale>,
    /// Who.
    pub pairs: Vec<Pair>,
    /// Between two adverts.
    pub intervals_ms: Vec<u32>,
    /// How often.
    pub runs: usize,
}

/// Runs the failover cases.
pub fn failover(lab: &Lab, ground: &Ground, order: &Order) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = order.cases.iter().map(|case| outcome(*case)).collect();
    for round in 0..order.runs {
        for interval_ms in &order.intervals_ms {
            for pair in &order.pairs {
                one_pair(lab, ground, (*pair, *interval_ms, round), &mut outcomes);
            }
        }
    }
    outcomes
}

/// Runs one number of virtual routers.
pub fn scale(lab: &Lab, ground: &Ground, order: &Order, scale: Scale) -> Outcome {
    let mut outcome = scale.outcome();
    let intervals = order.intervals_ms.iter().filter(|ms| scale.suits(**ms));
    let intervals: Vec<u32> = intervals.copied().collect();
    for round in 0..order.runs {
        for interval_ms in &intervals {
            for pair in &order.pairs {
                let cell = outcome.cell(*pair, *interval_ms);
                // Who does not come up needs a minute to say so: once is enough.
                if cell.failed == 0 {
                    let name = name(scale.key(), cell);
                    let mut spoilt = 0;
                    let run = || scale.run(lab, ground, (*pair, *interval_ms), &mut spoilt);
                    repeat(&format!("{name}, run {round}"), cell, run);
                    cell.discarded += spoilt;
                }
            }
        }
    }
    outcome
}

fn outcome(case: Case) -> Outcome {
    Outcome {
        key: case.key().to_owned(),
        title: case.title().to_owned(),
        bars: case.bars(),
        cells: Vec::new(),
    }
}

fn one_pair(
    lab: &Lab,
    ground: &Ground,
    (pair, interval_ms, round): (Pair, u32, usize),
    outcomes: &mut [Outcome],
) {
    let mut running: Option<Session<'_>> = None;
    for outcome in outcomes {
        let case = Case::ALL.into_iter().find(|case| case.key() == outcome.key);
        let Some(case) = case.filter(|case| case.suits(interval_ms)) else {
            continue;
        };
        let cell = outcome.cell(pair, interval_ms);
        if cell.failed >= FAILURES_MAX {
            continue;
        }
        let started = match running.take() {
            Some(session) => Ok(session),
            None => Session::start(lab, ground, pair, Plan::one(interval_ms)),
        };
        let mut session = match started {
            Ok(session) => session,
            Err(why) => {
                cell.fail(why);
                continue;
            }
        };
        let name = format!("{}, run {round}", name(case.key(), cell));
        let good = repeat(&name, cell, || {
            session.settle()?;
            case.run(&mut session, round)
        });
        match good {
            true => running = Some(session),
            false => session.finish(),
        }
    }
    if let Some(session) = running {
        session.finish();
    }
}

fn name(key: &str, cell: &Cell) -> String {
    format!("{key} {} ms, {}", cell.interval_ms, cell.pair.name())
}

/// Runs something until the machine lets it; whether it did not go wrong.
fn repeat(name: &str, cell: &mut Cell, mut run: impl FnMut() -> Result<Sample, Failure>) -> bool {
    for _ in 0..TRIES {
        match run() {
            Ok(sample) => {
                println!("{name}: {}", figures(&sample));
                cell.samples.push(sample);
                return true;
            }
            Err(Failure::Noise(why)) => {
                println!("{name}: repeated: {why}");
                cell.discarded += 1;
            }
            Err(Failure::Wrong(why)) => {
                println!("{name}: failed: {why}");
                cell.fail(why);
                return false;
            }
        }
    }
    cell.fail(format!(
        "the machine is too noisy: {TRIES} runs were spoilt"
    ));
    true
}

fn figures(sample: &Sample) -> String {
    let one = |(name, value): &(&str, f64)| format!("{name} {value:.2}");
    sample.0.iter().map(one).collect::<Vec<_>>().join(", ")
}
