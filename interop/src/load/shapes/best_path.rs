//! S2: ten external feeders with the same prefixes and different paths, one receiver.
//!
//! Feeders start at different places of the table, so that the best path of most prefixes changes
//! while the table fills. Two feeders each share an AS, so that MED counts between them. What
//! decides differs from set to set ([`rivals`]): length of the path, origin or MED. It is never a
//! tie: among external paths that are equal in all of these some daemons keep the oldest (RFC 5004)
//! and some take the lowest router id, and both are right. Which path has to win is computed here
//! ([`decide`]) from the rules of RFC 4271 §9.1.2.2, set by set, knowing nothing of the order in
//! which the paths come.

use std::sync::Arc;

use ipnet::IpNet;

use super::full_table::SESSIONS_LIMIT;
use super::{FIRST_ASN, Source, grouped, octets_of};
use crate::load::bench::{Bar, Failure, Metric, Sample, Shape};
use crate::load::daemon::Daemon;
use crate::load::dialect::Setup;
use crate::load::expect::Expected;
use crate::load::fleet::{Fleet, Speaker};
use crate::load::ground::{self, Ground};
use crate::load::race::{Clock, Finish};
use crate::load::table::{self, Dice};
use crate::player::rib_file::Attributes;
use crate::player::wire;

const FEEDERS: usize = 10;

/// What decides between paths, apart from who sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rival {
    length: u32,
    origin: u8,
    med: u32,
}

/// The AS of feeder `index`: two feeders each share one.
fn asn_of(index: usize) -> u32 {
    FIRST_ASN + u32::try_from(index / 2).expect("ten feeders")
}

/// Ten paths of which one rule or another picks the best.
fn rivals(dice: &mut Dice) -> [Rival; FEEDERS] {
    let feeders = u32::try_from(FEEDERS).expect("ten feeders");
    let rule = dice.roll(20);
    let mut paths = [(); FEEDERS].map(|()| Rival {
        length: 4 + dice.roll(3),
        origin: u8::try_from(dice.roll(3)).expect("below three"),
        med: dice.roll(50),
    });
    let chosen = dice.roll(feeders) as usize;
    match rule {
        // Length: one path is shorter than all others.
        0..10 => paths[chosen].length = 2 + dice.roll(2),
        // Origin: some are equally short, one of them comes from IGP.
        10..15 => {
            for path in paths.iter_mut().step_by(1 + dice.roll(3) as usize) {
                (path.length, path.origin) = (3, 1 + path.origin % 2);
            }
            (paths[chosen].length, paths[chosen].origin) = (3, 0);
        }
        // MED: the two feeders of one AS are shorter than all others and differ in it alone.
        _ => {
            let first = chosen & !1;
            for index in [first, first + 1] {
                (paths[index].length, paths[index].origin) = (3, 0);
            }
            paths[first + 1].med = paths[first].med + 1 + dice.roll(9);
            if chosen != first {
                paths.swap(first, first + 1);
            }
        }
    }
    paths
}

/// The feeder whose path is best (RFC 4271 §9.1.2.2 a, b, c). MED counts between paths of one AS.
fn decide(paths: &[Rival]) -> usize {
    let mut left: Vec<usize> = (0..paths.len()).collect();
    let shortest = left.iter().map(|index| paths[*index].length).min();
    left.retain(|index| Some(paths[*index].length) == shortest);
    let origin = left.iter().map(|index| paths[*index].origin).min();
    left.retain(|index| Some(paths[*index].origin) == origin);
    let before = left.clone();
    left.retain(|index| {
        let rivals = before
            .iter()
            .filter(|other| asn_of(**other) == asn_of(*index));
        let least = rivals.map(|other| paths[*other].med).min();
        Some(paths[*index].med) == least
    });
    left[0]
}

/// The workload, made ready.
#[derive(Debug)]
pub struct BestPath {
    prefixes: usize,
    feeds: Vec<(Source, Arc<[u8]>)>,
    expected: Expected,
}

impl BestPath {
    /// With this many prefixes from each feeder.
    pub fn new(prefixes: usize) -> Self {
        let table = table::build(prefixes);
        let sets = table::sets(&table);
        let mut dice = Dice::new(2);
        let rivals: Vec<[Rival; FEEDERS]> = sets.iter().map(|_| rivals(&mut dice)).collect();
        let mut expected = Expected::new(true);
        let mut feeds = Vec::new();
        for feeder in 0..FEEDERS {
            let source = Source {
                asn: asn_of(feeder),
                ..Source::external(feeder)
            };
            let mut routes: Vec<Vec<(IpNet, Attributes)>> = Vec::new();
            for (set, rivals) in sets.iter().zip(&rivals) {
                let attributes = attributes(&rivals[feeder], &mut dice);
                let nets = set.iter().map(|(net, _)| (*net, attributes.clone()));
                let routes_of_set: Vec<(IpNet, Attributes)> = nets.collect();
                if decide(rivals) == feeder {
                    source.expect(&routes_of_set, &mut expected);
                }
                routes.push(routes_of_set);
            }
            routes.rotate_left(sets.len() * feeder / FEEDERS);
            feeds.push((source, source.announce(&routes.concat())));
        }
        Self {
            prefixes,
            feeds,
            expected,
        }
    }
}

fn attributes(rival: &Rival, dice: &mut Dice) -> Attributes {
    let path: Vec<u32> = (0..rival.length)
        .map(|_| 1000 + dice.roll(60_000))
        .collect();
    let communities = (0..dice.roll(4)).flat_map(|_| {
        let value = (1000 + dice.roll(60_000)) << 16 | dice.roll(5000);
        value.to_be_bytes()
    });
    let communities: Vec<u8> = communities.collect();
    let mut found = vec![
        (0x40, 1, vec![rival.origin]),
        (0x40, 2, wire::as_sequence(&path)),
        (0x80, 4, rival.med.to_be_bytes().to_vec()),
    ];
    if !communities.is_empty() {
        found.push((0xc0, 8, communities));
    }
    Arc::new(found)
}

impl Shape for BestPath {
    fn key(&self) -> String {
        "s2".to_owned()
    }

    fn title(&self) -> String {
        let prefixes = grouped(self.prefixes);
        format!(
            "best path: {FEEDERS} external feeders, each the same {prefixes} prefixes, one receiver"
        )
    }

    fn bars(&self) -> Vec<Bar> {
        vec![
            Bar::best(Metric::Wall, 1.0 / 2.0),
            Bar::best(Metric::Cpu, 1.0 / 2.0),
            Bar::peer(Metric::Peak, 1.0, "BIRD 2"),
        ]
    }

    fn run(&self, ground: &Ground, daemon: &Daemon) -> Result<Sample, Failure> {
        let feeders = self.feeds.iter().map(|(source, _)| source);
        let mut speakers: Vec<Speaker> = feeders
            .map(|one| Speaker::new(one.address, one.asn, 4096))
            .collect();
        let receiver = ground::speaker(FEEDERS);
        speakers.push(Speaker::new(
            receiver,
            FIRST_ASN + 100,
            octets_of(self.prefixes * 4),
        ));
        let setup = Setup {
            neighbors: speakers.iter().map(|one| (one.address, one.asn)).collect(),
            ..Setup::default()
        };
        let daemon = daemon.start(ground, &setup)?;
        let mut fleet =
            Fleet::new(&speakers, daemon.address()).map_err(|error| error.to_string())?;
        fleet.establish(SESSIONS_LIMIT)?;
        let mut finish = Finish::new(&self.expected, [FEEDERS]);
        let clock = Clock::start(&daemon);
        for (index, (_, octets)) in self.feeds.iter().enumerate() {
            fleet.send(index, octets.clone());
        }
        let paths = self.prefixes * FEEDERS;
        finish.run(&mut fleet, (clock, ground.limit(self)), (&daemon, paths))
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    /// Another way to the same answer: a path is best when it loses against no other, by the
    /// pairwise comparison that most implementations make.
    fn pairwise(paths: &[Rival]) -> Vec<usize> {
        let beats = |a: usize, b: usize| {
            let (x, y) = (paths[a], paths[b]);
            let med = match asn_of(a) == asn_of(b) {
                true => x.med.cmp(&y.med),
                false => Ordering::Equal,
            };
            let order = x.length.cmp(&y.length).then(x.origin.cmp(&y.origin));
            order.then(med).then(a.cmp(&b)) == Ordering::Less
        };
        let all = 0..paths.len();
        all.clone()
            .filter(|a| all.clone().all(|b| *a == b || beats(*a, b)))
            .collect()
    }

    #[test]
    fn every_order_of_comparison_finds_the_same_best() {
        let mut dice = Dice::new(7);
        let mut wins = [0; FEEDERS];
        for _ in 0..20_000 {
            let paths = rivals(&mut dice);
            let best = decide(&paths);
            // One path beats all others pairwise, so that MED cannot make the answer depend on the
            // order in which an implementation compares.
            assert_eq!(pairwise(&paths), [best], "{paths:?}");
            wins[best] += 1;
        }
        assert!(wins.iter().all(|wins| *wins > 200), "{wins:?}");
    }
}
