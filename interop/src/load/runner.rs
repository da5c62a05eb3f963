//! Rounds: each daemon once, then all again, so that whatever else the machine does falls on all.
//!
//! A daemon that does not make a shape's limit is not run again in that shape, nor is one that
//! fails twice; the table shows failures. One whose run takes long is run less often, and the table
//! says so: medians of five of something that takes half a minute tell no more than medians of two.

use std::time::{Duration, Instant};

use super::bench::{Failure, Sample, Shape};
use super::daemon::Daemon;
use super::ground::Ground;

/// From these times on for a whole run, preparations included, a daemon is run so often at most.
const SLOW: [(Duration, usize); 2] = [(Duration::from_secs(40), 1), (Duration::from_secs(15), 2)];

/// One daemon's runs of one shape.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Who.
    pub daemon: Daemon,
    /// The figures, in order.
    pub samples: Vec<Sample>,
    /// Load average of the machine before each run.
    pub loads: Vec<f64>,
    /// Why there are no more, or fewer than asked for.
    pub failure: Option<Failure>,
    /// Runs that yielded no figure.
    pub failed: usize,
}

impl Cell {
    /// Too slow once is too slow; anything else may have been an accident, once.
    fn is_over(&self) -> bool {
        matches!(self.failure, Some(Failure::TooSlow(_))) || self.failed > 1
    }
}

/// All runs of one shape.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// [`Shape::key`].
    pub key: String,
    /// [`Shape::title`].
    pub title: String,
    /// [`Shape::limit`].
    pub limit_s: f64,
    /// [`Shape::bars`].
    pub bars: Vec<super::bench::Bar>,
    /// One per daemon.
    pub cells: Vec<Cell>,
}

/// Runs `shape` with each of `daemons`, `runs` times, in turns; tells of each run as it ends.
pub fn run(shape: &dyn Shape, daemons: &[Daemon], runs: usize, ground: &Ground) -> Outcome {
    let suited = daemons.iter().filter(|daemon| shape.suits(daemon));
    let mut cells: Vec<Cell> = suited
        .map(|daemon| Cell {
            daemon: daemon.clone(),
            samples: Vec::new(),
            loads: Vec::new(),
            failure: None,
            failed: 0,
        })
        .collect();
    let mut most = vec![usize::MAX; cells.len()];
    for round in 0..runs.min(shape.runs_max()) {
        for (cell, most) in cells.iter_mut().zip(&mut most) {
            if cell.is_over() || round >= *most {
                continue;
            }
            let start = Instant::now();
            let load = load_average();
            match shape.run(ground, &cell.daemon) {
                Ok(sample) => {
                    tell(&shape.key(), &cell.daemon, round, &sample);
                    cell.samples.push(sample);
                    cell.loads.push(load);
                }
                Err(failure) => {
                    let (Failure::TooSlow(why) | Failure::Wrong(why)) = &failure;
                    println!("{} {} run {round}: {why}", shape.key(), cell.daemon.name());
                    cell.failure = Some(failure);
                    cell.failed += 1;
                }
            }
            let slow = SLOW.iter().find(|(least, _)| start.elapsed() > *least);
            *most = slow.map_or(*most, |(_, runs)| *runs.min(most));
        }
    }
    Outcome {
        key: shape.key(),
        title: shape.title(),
        limit_s: ground.limit(shape).as_secs_f64(),
        bars: shape.bars(),
        cells,
    }
}

fn tell(key: &str, daemon: &Daemon, round: usize, sample: &Sample) {
    let extra: String = sample
        .extra
        .iter()
        .map(|(name, v)| format!(", {name} {v:.3}"))
        .collect();
    println!(
        "{key} {} run {round}: wall {:.3} s, CPU {:.2} s, peak {:.1} MiB (tool CPU {:.2} s{extra})",
        daemon.name(),
        sample.wall_s,
        sample.cpu_s,
        sample.peak_mib,
        sample.tool_cpu_s,
    );
}

/// Processes that want to run, averaged over the last minute.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

/// The middle one of an odd number, the mean of the middle two of an even one.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    match values.len() % 2 {
        1 => Some(upper),
        _ => Some((values[middle - 1] + upper) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
