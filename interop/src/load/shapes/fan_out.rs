//! S3: a route reflector tells each of many clients what one of them has announced.
//!
//! Little comes in and a hundred times as much goes out: it measures whether a daemon encodes once
//! for all members of a group, and what it keeps for each of them.

use std::sync::Arc;

use ipnet::IpNet;

use super::full_table::SESSIONS_LIMIT;
use super::{Source, grouped, octets_of};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::dialect::{ASN, Setup};
use crate::load::expect::Expected;
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::{self, Ground};
use crate::load::race::{Clock, Finish};
use crate::load::table;
use crate::player::rib_file::Attributes;

/// The workload, made ready.
#[derive(Debug)]
pub struct FanOut {
    prefixes: usize,
    clients: usize,
    octets: Arc<[u8]>,
    expected: Expected,
}

impl FanOut {
    /// One client announces `prefixes`, `clients` others receive them.
    pub fn new(prefixes: usize, clients: usize) -> Self {
        let mut routes = table::build(prefixes);
        add_local_pref(&mut routes);
        let source = Source::internal(0);
        let mut expected = Expected::new(false);
        source.expect(&routes, &mut expected);
        Self {
            prefixes,
            clients,
            octets: source.announce(&routes),
            expected,
        }
    }
}

/// Internal sessions carry LOCAL_PREF; sets stay shared.
fn add_local_pref(routes: &mut [(IpNet, Attributes)]) {
    for set in routes.chunk_by_mut(|(_, a), (_, b)| Arc::ptr_eq(a, b)) {
        let mut with = set[0].1.to_vec();
        with.push((0x40, 5, 100_u32.to_be_bytes().to_vec()));
        with.sort_by_key(|(_, code, _)| *code);
        let with = Arc::new(with);
        set.iter_mut()
            .for_each(|(_, attributes)| *attributes = with.clone());
    }
}

impl Shape for FanOut {
    fn key(&self) -> String {
        "s3".to_owned()
    }

    fn title(&self) -> String {
        let (prefixes, clients) = (grouped(self.prefixes), self.clients);
        format!("fan-out: a reflector, one client feeds {prefixes} prefixes, {clients} receive")
    }

    fn bars(&self) -> Vec<Bar> {
        vec![
            Bar::best(Metric::Wall, 1.0 / 2.0),
            Bar::best(Metric::Cpu, 1.0 / 2.0),
            Bar::peer(Metric::Peak, 2.0, "BIRD"),
            Bar::peer(Metric::Peak, 1.0 / 3.0, "FRR"),
        ]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let receives = |index: usize| octets_of(if index == 0 { 1 } else { self.prefixes });
        let speakers: Vec<Speaker> = (0..=self.clients)
            .map(|index| Speaker::new(ground::speaker(index), ASN, receives(index)))
            .collect();
        let setup = Setup {
            neighbors: speakers.iter().map(|one| (one.address, one.asn)).collect(),
            reflector: true,
            ..Setup::default()
        };
        let daemon = daemon.start(ground, &setup)?;
        let mut fleet =
            Fleet::new(&speakers, daemon.address()).map_err(|error| error.to_string())?;
        fleet.establish(SESSIONS_LIMIT)?;
        let mut finish = Finish::new(&self.expected, 1..=self.clients);
        let clock = Clock::start(&daemon);
        fleet.send(0, self.octets.clone());
        let paths = self.prefixes;
        finish.run(&mut fleet, (clock, ground.limit(self)), (&daemon, paths))
    }
}
