//! S1: a full table from one external neighbor to another.
//!
//! The plainest workload there is: everything that comes in goes out once. It measures reading,
//! interning, inserting and packing, and what a prefix costs in memory.

use std::sync::Arc;
use std::time::Duration;

use super::{Source, grouped, octets_of};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::dialect::Setup;
use crate::load::expect::Expected;
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::Ground;
use crate::load::race::{Clock, Finish};
use crate::load::table;

/// From the start of a daemon to its sessions.
pub(crate) const SESSIONS_LIMIT: Duration = Duration::from_secs(30);

/// The workload, made ready.
#[derive(Debug)]
pub struct FullTable {
    prefixes: usize,
    octets: Arc<[u8]>,
    expected: Expected,
}

impl FullTable {
    /// With this many prefixes.
    pub fn new(prefixes: usize) -> Self {
        let routes = table::build(prefixes);
        let source = Source::external(0);
        let mut expected = Expected::new(true);
        source.expect(&routes, &mut expected);
        Self {
            prefixes,
            octets: source.announce(&routes),
            expected,
        }
    }

    /// One run with something beside it: what `begin` makes before the clock starts is given to
    /// `end` when it has stopped.
    pub(crate) fn run_beside<T, U>(
        &self,
        ground: &Ground,
        daemon: &Daemon,
        begin: impl FnOnce() -> T,
        end: impl FnOnce(T) -> U,
    ) -> Result<(Sample, U), Failure> {
        let (from, to) = (Source::external(0), Source::external(1));
        let speakers = [
            Speaker::new(from.address, from.asn, octets_of(self.prefixes / 100)),
            Speaker::new(to.address, to.asn, octets_of(self.prefixes)),
        ];
        let setup = Setup {
            neighbors: speakers.iter().map(|one| (one.address, one.asn)).collect(),
            ..Setup::default()
        };
        let daemon = daemon.start(ground, &setup)?;
        let mut fleet =
            Fleet::new(&speakers, daemon.address()).map_err(|error| error.to_string())?;
        fleet.establish(SESSIONS_LIMIT)?;
        let mut finish = Finish::new(&self.expected, [1]);
        let beside = begin();
        let clock = Clock::start(&daemon);
        fleet.send(0, self.octets.clone());
        let paths = self.prefixes;
        let sample = finish.run(&mut fleet, (clock, ground.limit(self)), (&daemon, paths));
        let beside = end(beside);
        Ok((sample?, beside))
    }
}

impl Shape for FullTable {
    fn key(&self) -> String {
        "s1".to_owned()
    }

    fn title(&self) -> String {
        let prefixes = grouped(self.prefixes);
        format!("full table: one external feeder, {prefixes} prefixes, one external receiver")
    }

    fn bars(&self) -> Vec<Bar> {
        vec![
            Bar::best(Metric::Wall, 1.0 / 2.0),
            Bar::best(Metric::Cpu, 2.0 / 3.0),
            Bar::peer(Metric::Peak, 1.0, "BIRD 2"),
        ]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let (sample, ()) = self.run_beside(ground, daemon, || (), |()| ())?;
        Ok(sample)
    }
}
