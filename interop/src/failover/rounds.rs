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
use super::session::Session;
use crate::lab::Lab;

/// A machine that is noisier than this is no place to measure.
const TRIES: usize = 8;

/// What is run.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which events.
    pub cases: Vec<Case>,
    /// Who.
    pub pairs: Vec<Pair>,
    /// Between two adverts.
    pub intervals_ms: Vec<u32>,
    /// How often.
    pub runs: usize,
}

/// Runs the failover cases.
pub fn run(lab: &Lab, ground: &Ground, order: &Order) -> Vec<Outcome> {
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
        let Some(case) = case else { continue };
        let cell = outcome.cell(pair, interval_ms);
        if cell.failure.is_some() && cell.samples.len() < round {
            continue;
        }
        let started = match running.take() {
            Some(session) => Ok(session),
            None => Session::start(lab, ground, pair, Plan::one(interval_ms)),
        };
        let session = match started {
            Ok(session) => session,
            Err(why) => {
                cell.failure = Some(why);
                continue;
            }
        };
        running = one_case(session, case, round, cell);
    }
    if let Some(session) = running {
        session.finish();
    }
}

/// Runs a case until the machine lets it; hands the session back if it is still good.
fn one_case<'a>(
    mut session: Session<'a>,
    case: Case,
    round: usize,
    cell: &mut Cell,
) -> Option<Session<'a>> {
    let name = format!(
        "{} {} ms, {}",
        case.key(),
        cell.interval_ms,
        cell.pair.name()
    );
    for _ in 0..TRIES {
        let result = session.settle().map_err(Failure::Wrong);
        match result.and_then(|()| case.run(&mut session, round)) {
            Ok(sample) => {
                println!("{name}, run {round}: {}", figures(&sample));
                cell.samples.push(sample);
                return Some(session);
            }
            Err(Failure::Noise(why)) => {
                println!("{name}, run {round}: repeated: {why}");
                cell.discarded += 1;
            }
            Err(Failure::Wrong(why)) => {
                println!("{name}, run {round}: failed: {why}");
                cell.failure = Some(why);
                session.finish();
                return None;
            }
        }
    }
    cell.failure = Some(format!(
        "the machine is too noisy: {TRIES} runs were spoilt"
    ));
    Some(session)
}

fn figures(sample: &Sample) -> String {
    let one = |(name, value): &(&str, f64)| format!("{name} {value:.1}");
    sample.0.iter().map(one).collect::<Vec<_>>().join(", ")
}
