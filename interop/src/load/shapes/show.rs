//! S7: operators look at the tables while S1 runs.
//!
//! S1 is run four times a round: alone, with operators, with operators, alone, each on a fresh
//! daemon, so that whatever the machine does meanwhile falls on both alike. The operators
//! ([`crate::load::operator`]) ask for `show bgp summary` and other short things all the time,
//! read the whole table with the CLI, and look at the first rows of it again and again.
//!
//! `wall` and `CPU` are of S1 with operators; what they cost it is the ratio of the sums. The
//! daemon's processor time includes what the operators asked for; a table that was still being
//! read when S1 ended is read to its end after the clock has stopped.

use std::time::Duration;

use super::full_table::FullTable;
use super::grouped;
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::ground::Ground;
use crate::load::operator::{Operators, Seen, percentile};

/// Where `wayfare-bgpd` listens in its node.
const SOCKET: &str = "/run/wayfare/bgpd.sock";

const REPLY_P99: &str = "reply p99 ms";
const FIRST_ROW_P99: &str = "first row p99 ms";
const ROW_PAUSE: &str = "row pause ms";
const SLOWER: &str = "S1 slower by %";

/// The workload, made ready.
#[derive(Debug)]
pub struct Show {
    table: FullTable,
    prefixes: usize,
}

impl Show {
    /// On top of S1 with this many prefixes.
    pub fn new(prefixes: usize) -> Self {
        Self {
            table: FullTable::new(prefixes),
            prefixes,
        }
    }

    fn watched(&self, ground: &Ground, daemon: &Daemon) -> Result<(Sample, Seen), Failure> {
        let socket = ground.node.path(SOCKET);
        let begin = || Operators::start(&socket);
        let (sample, seen) = self
            .table
            .run_beside(ground, daemon, begin, Operators::stop)?;
        Ok((sample, seen?))
    }
}

impl Shape for Show {
    fn key(&self) -> String {
        "s7".to_owned()
    }

    fn title(&self) -> String {
        let prefixes = grouped(self.prefixes);
        format!("operators while S1 with {prefixes} prefixes runs")
    }

    fn suits(&self, daemon: &Daemon) -> bool {
        daemon.is_ours()
    }

    fn bars(&self) -> Vec<Bar> {
        vec![
            Bar::fixed(Metric::Extra(REPLY_P99), 50.0),
            Bar::fixed(Metric::Extra(FIRST_ROW_P99), 50.0),
            Bar::fixed(Metric::Extra(ROW_PAUSE), 50.0),
            Bar::fixed(Metric::Extra(SLOWER), 10.0),
        ]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let first = self.table.run(ground, daemon)?;
        let (one, seen_one) = self.watched(ground, daemon)?;
        let (two, seen_two) = self.watched(ground, daemon)?;
        let last = self.table.run(ground, daemon)?;
        let (alone, beside) = (first.wall_s + last.wall_s, one.wall_s + two.wall_s);
        let replies = |seen: &Seen| [seen.summary.clone(), seen.others.clone()].concat();
        let ms = |values: &[Duration], percent| {
            let value = percentile(values, percent);
            value.map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
        };
        let both = |of: fn(&Seen) -> Vec<Duration>| [of(&seen_one), of(&seen_two)].concat();
        let summary = both(|seen| seen.summary.clone());
        let first_rows = both(|seen| seen.first_rows.clone());
        let table = |at: usize| {
            let tables = seen_one.tables.iter().chain(&seen_two.tables);
            tables.map(|table| table[at]).collect::<Vec<_>>()
        };
        let all = [replies(&seen_one), replies(&seen_two)].concat();
        let extra = vec![
            (SLOWER, (beside / alone - 1.0) * 100.0),
            (REPLY_P99, ms(&all, 99)),
            ("reply max ms", ms(&all, 100)),
            ("summary p50 ms", ms(&summary, 50)),
            ("summary p99 ms", ms(&summary, 99)),
            ("replies", all.len() as f64),
            (FIRST_ROW_P99, ms(&first_rows, 99)),
            ("first row p50 ms", ms(&first_rows, 50)),
            (ROW_PAUSE, ms(&table(1), 100)),
            ("whole table s", ms(&table(2), 100) / 1e3),
        ];
        Ok(Sample {
            wall_s: beside / 2.0,
            cpu_s: (one.cpu_s + two.cpu_s) / 2.0,
            tool_cpu_s: (one.tool_cpu_s + two.tool_cpu_s) / 2.0,
            peak_mib: one.peak_mib.max(two.peak_mib),
            paths: one.paths,
            extra,
        })
    }
}
