//! S5: two external feeders announce the same full table; the session of the better one is reset.
//!
//! The worse table comes first and is waited for, then the better one, so that the daemon holds
//! both when the clock starts with the reset. The receiver has to end with the worse path for each
//! prefix.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::full_table::SESSIONS_LIMIT;
use super::{Source, grouped, octets_of};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::dialect::Setup;
use crate::load::expect::Expected;
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::Ground;
use crate::load::race::{Clock, Finish};
use crate::load::table;
use crate::player::feed;

/// For each of the two tables to come through before the clock starts.
const LOADING_LIMIT: Duration = Duration::from_secs(60);
const BETTER: usize = 0;
const WORSE: usize = 1;
const RECEIVER: usize = 2;

/// The workload, made ready.
#[derive(Debug)]
pub struct Failover {
    prefixes: usize,
    tables: [(Arc<[u8]>, Expected); 2],
}

impl Failover {
    /// With this many prefixes from each feeder.
    pub fn new(prefixes: usize) -> Self {
        let routes = table::build(prefixes);
        let mut longer = routes.clone();
        for set in longer.chunk_by_mut(|(_, a), (_, b)| Arc::ptr_eq(a, b)) {
            let mut attributes = set[0].1.to_vec();
            for (_, code, value) in &mut attributes {
                if *code == 2 {
                    *value = feed::prepend(value, Source::external(WORSE).asn);
                }
            }
            let attributes = Arc::new(attributes);
            set.iter_mut()
                .for_each(|(_, old)| *old = attributes.clone());
        }
        let ready = |index: usize, routes: &[_]| {
            let source = Source::external(index);
            let mut expected = Expected::new(true);
            source.expect(routes, &mut expected);
            (source.announce(routes), expected)
        };
        Self {
            prefixes,
            tables: [ready(BETTER, &routes), ready(WORSE, &longer)],
        }
    }
}

impl Shape for Failover {
    fn key(&self) -> String {
        "s5".to_owned()
    }

    fn title(&self) -> String {
        let prefixes = grouped(self.prefixes);
        format!(
            "failover: two feeders, the same {prefixes} prefixes, the better one's session reset"
        )
    }

    fn bars(&self) -> Vec<Bar> {
        vec![
            Bar::best(Metric::Wall, 1.0 / 2.0),
            Bar::best(Metric::Cpu, 1.0 / 2.0),
        ]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let speakers = [BETTER, WORSE, RECEIVER].map(|index| {
            let source = Source::external(index);
            let prefixes = if index == RECEIVER {
                3 * self.prefixes
            } else {
                self.prefixes
            };
            Speaker::new(source.address, source.asn, octets_of(prefixes))
        });
        let setup = Setup {
            neighbors: speakers.iter().map(|one| (one.address, one.asn)).collect(),
            ..Setup::default()
        };
        let daemon = daemon.start(ground, &setup)?;
        let mut fleet =
            Fleet::new(&speakers, daemon.address()).map_err(|error| error.to_string())?;
        fleet.establish(SESSIONS_LIMIT)?;
        let [(better, with_both), (worse, with_one)] = &self.tables;
        let mut after = Finish::new(with_one, [RECEIVER]);
        fleet.send(WORSE, worse.clone());
        after.reach(&mut fleet, Instant::now(), LOADING_LIMIT)?;
        fleet.send(BETTER, better.clone());
        Finish::new(with_both, [RECEIVER]).reach(&mut fleet, Instant::now(), LOADING_LIMIT)?;
        // What came of the better table is taken in before the clock starts.
        after.catch_up(&fleet)?;
        let clock = Clock::start(&daemon);
        fleet.reset(BETTER).map_err(|error| error.to_string())?;
        let paths = 2 * self.prefixes;
        after.run(&mut fleet, (clock, ground.limit(self)), (&daemon, paths))
    }
}
